"""Images as dask and xarray know arrays; both libraries are imported when they are asked for."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from coverslip.client.selection import PIECE_BYTES
from coverslip.core.errors import Unsupported

if TYPE_CHECKING:
    import dask.array
    import xarray

    from coverslip.client.image import Image, RemoteArray


def missing(name: str) -> Unsupported:
    """The error for a library that is not installed."""
    return Unsupported(f"This needs {name}", "pip install 'coverslip[client]'", "library_missing")


def dask_of(array: RemoteArray, chunks: Any = None) -> dask.array.Array:
    """A lazy dask array; slicing it reads only what the slice needs.

    Raises
    ------
    Unsupported
        When dask is not installed.
    """
    try:
        import dask.array as da
    except ImportError as error:
        raise missing("dask") from error
    grid = good_chunks(array.shape, array.chunks, array.dtype.itemsize) if chunks is None else chunks
    lazy: dask.array.Array = da.from_array(  # type: ignore[no-untyped-call]
        array, chunks=grid, asarray=False, inline_array=True, meta=_meta(array)
    )
    return lazy


def _meta(array: RemoteArray) -> Any:
    import numpy as np

    return np.empty((0,) * array.ndim, array.dtype)


def good_chunks(
    shape: tuple[int, ...], chunks: tuple[int, ...], itemsize: int, most: int = PIECE_BYTES
) -> tuple[int, ...]:
    """Whole numbers of the file's chunks per axis, the last axes first, about ``most`` bytes together."""
    sizes = [min(c, n) or 1 for c, n in zip(chunks, shape, strict=True)]
    for axis in range(len(sizes) - 1, -1, -1):
        room = most // max(math.prod(sizes) * itemsize, 1)
        if room < 2:
            break
        sizes[axis] = min(sizes[axis] * room, shape[axis] or 1)
    return tuple(sizes)


def xarray_of(image: Image, level: int = 0, chunks: Any = None) -> xarray.DataArray:
    """A `xarray.DataArray` with named axes and physical coordinates.

    Raises
    ------
    Unsupported
        When xarray or dask is not installed.
    """
    try:
        import xarray
    except ImportError as error:
        raise missing("xarray") from error
    array = image.level(level)
    attributes = {"id": image.id, "level": level, "server": str(image._origin.target.address)}
    return xarray.DataArray(
        array.dask(chunks), dims=image.dims, coords=_coordinates(image, array), name=image.name, attrs=attributes
    )


def _coordinates(image: Image, array: RemoteArray) -> dict[str, Any]:
    import numpy as np
    import xarray

    found: dict[str, Any] = {}
    for axis, n, by in zip(image.axes, array.shape, array.downsample, strict=True):
        if axis.type == "channel":
            labels = [channel.label for channel in image.channels]
            if len(labels) == n and len(set(labels)) == n and all(labels):
                found[axis.name] = xarray.Variable(axis.name, np.asarray(labels))
        elif axis.unit is not None:
            # the centre of an element of a coarser level is that of the elements it stands for
            shift = (by - 1) / 2 if axis.type == "space" else 0.0
            positions = axis.origin + axis.step * (np.arange(n) * by + shift)
            found[axis.name] = xarray.Variable(axis.name, positions, {"units": axis.unit})
    return found
