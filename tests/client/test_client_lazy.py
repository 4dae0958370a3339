"""Images as dask and xarray arrays."""

from __future__ import annotations

import pickle
import sys

import numpy as np
import pytest
from conftest import LIVER, VOLUME, Reads

from coverslip.client import Client
from coverslip.client.lazy import good_chunks
from coverslip.core.errors import Unsupported


def test_dask(client: Client, reads: Reads) -> None:
    lazy = client["liver.ome.tif"].dask()
    assert (lazy.shape, lazy.dtype) == (LIVER.shape, np.uint16)
    assert reads == []
    np.testing.assert_array_equal(lazy[1, 1, 0, 20:40, 30:50].compute(), LIVER[1, 1, 0, 20:40, 30:50])
    assert reads == [(1, 1, 1, 20, 20)], "slices are pushed down to the server"
    np.testing.assert_array_equal(lazy[:, [2, 0], 1].compute(), LIVER[:, [2, 0], 1])
    assert (lazy.astype(np.int64).sum() == LIVER.sum()).compute()
    coarse = client["liver.ome.tif"].dask(1)
    np.testing.assert_array_equal(coarse.compute(), client["liver.ome.tif"].level(1)[...])


def test_dask_chunks(client: Client) -> None:
    image = client["volume.zarr"]
    assert image.dask(chunks=(20, 65, 75)).chunks == ((20,), (65, 65), (75, 75))
    lazy = image.dask(chunks=(7, 60, 150))
    np.testing.assert_array_equal(lazy.compute(), VOLUME)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(lazy)).compute(), VOLUME)
    assert image.dask().name == client["volume.zarr"].dask().name, "equal data has equal names"
    assert image.dask().name != client["liver.ome.tif"].dask().name


@pytest.mark.parametrize(
    ("shape", "chunks", "most", "want"),
    [
        ((10, 1000, 1000), (1, 100, 100), 1000 * 1000, (1, 1000, 1000)),
        ((10, 1000, 1000), (1, 100, 100), 200 * 1000, (1, 200, 1000)),
        ((4, 4), (4, 4), 1, (4, 4)),
        ((0, 4), (1, 4), 100, (1, 4)),
        ((), (), 100, ()),
    ],
)
def test_good_chunks(shape: tuple[int, ...], chunks: tuple[int, ...], most: int, want: tuple[int, ...]) -> None:
    assert good_chunks(shape, chunks, 1, most) == want


def test_xarray(client: Client) -> None:
    image = client["liver.ome.tif"]
    found = image.xarray()
    assert found.dims == ("t", "c", "z", "y", "x")
    np.testing.assert_allclose(found.x, np.arange(530) * 0.5)
    assert found.y.attrs["units"] == "micrometer"
    assert found.c.values.tolist() == ["DAPI", "GFP", "Cy5"]
    assert "t" not in found.coords, "its step is not known"
    part = found.sel(c="GFP", x=slice(10, 12), y=slice(0, 1)).isel(t=1, z=0)
    np.testing.assert_array_equal(part.values, LIVER[1, 1, 0, :3, 20:25])
    coarse = image.xarray(1)
    np.testing.assert_allclose(coarse.x[:3], [0.25, 1.25, 2.25])
    assert coarse.attrs["id"] == image.id


def test_without_the_libraries(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    image = client["volume.zarr"]
    for name in ("dask.array", "xarray"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(Unsupported, match=r"coverslip\[client\]"):
        image.dask()
    with pytest.raises(Unsupported, match=r"coverslip\[client\]"):
        image.xarray()
