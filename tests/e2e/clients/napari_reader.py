"""napari's OME-Zarr reader on an address: run in an environment that has ``napari-ome-zarr``; prints JSON."""

import json
import sys

import numpy as np
from napari_ome_zarr import napari_get_reader

read = napari_get_reader(sys.argv[1])
assert read is not None, "the reader does not take this address"
found = []
for data, options, kind in read(sys.argv[1]):
    levels = list(data) if isinstance(data, (list, tuple)) else [data]
    finest = np.asarray(levels[0])
    found.append(
        {
            "kind": kind,
            "shape": list(finest.shape),
            "sum": int(finest.astype(np.int64).sum()),
            "levels": len(levels),
            "name": options.get("name"),
            "scale": np.asarray(options.get("scale", [])).tolist(),
        }
    )
print(json.dumps(found))
