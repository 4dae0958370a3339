"""A notebook's cells: connect, look, compute with dask in two other processes; prints JSON.

Run with the URLs of one server over HTTP and Arrow Flight; the token is in the environment.
"""

import json
import os
import sys

import numpy as np

import coverslip


def ask(url: str) -> dict[str, object]:
    from distributed import Client as Cluster

    with coverslip.connect(url) as client:
        image = client["five.ome.tif"]
        found: dict[str, object] = {
            "sources": len(client.sources),
            "dims": image.dims,
            "shape": image.shape,
            "channels": [channel.label for channel in image.channels],
            "pixel": image.pixel_size,
            "part": image[1, 2, ::2, 10:14, -3:].tolist(),
            "levels": [level.shape for level in image.levels],
        }
        lazy = image.dask(chunks=(1, 1, 1, 320, 350))
        found["chunks"] = lazy.npartitions
        with Cluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None) as cluster:
            found["sum"] = int(lazy.astype(np.int64).sum().compute())
            where = cluster.run(os.getpid)
            found["elsewhere"] = len(set(where.values()) - {os.getpid()})
        xarray = image.xarray().sel(c="GFP").isel(t=0, z=0)
        found["mean"] = float(xarray.mean())
        found["units"] = xarray.x.attrs["units"]
    return found


if __name__ == "__main__":
    print(json.dumps([ask(url) for url in sys.argv[1:]]))
