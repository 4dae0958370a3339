"""OME-Zarr as its writers write it, with zarr-python and metadata by the book, for tests."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from zarr.codecs import BloscCodec, GzipCodec, ZstdCodec

V3_CODECS: dict[str, Any] = {
    "blosc": BloscCodec(cname="lz4", clevel=5, shuffle="bitshuffle"),
    "gzip": GzipCodec(level=1),
    "zstd": ZstdCodec(level=1),
    "raw": None,
}


def pixels(shape: tuple[int, ...], dtype: str, seed: int = 0) -> np.ndarray[Any, Any]:
    """Noise over the whole range of a dtype."""
    rng = np.random.default_rng(seed)
    kind = np.dtype(dtype)
    if kind.kind in "fc":
        return rng.normal(0, 1000, shape).astype(kind)
    if kind.kind == "b":
        return rng.integers(0, 2, shape).astype(kind)
    info = np.iinfo(kind)
    return rng.integers(info.min, info.max, shape, dtype=kind.newbyteorder("="), endpoint=True).astype(kind)


def pyramid(data: np.ndarray[Any, Any], levels: int) -> list[np.ndarray[Any, Any]]:
    """Every second pixel of y and x, again and again."""
    found = [data]
    for _ in range(levels - 1):
        found.append(np.ascontiguousarray(found[-1][..., ::2, ::2]))
    return found


def write_array(path: Path, data: np.ndarray[Any, Any], version: int = 3, **options: Any) -> zarr.Array[Any]:
    """One array with zarr-python."""
    options = {"chunks": tuple(min(n, 16) for n in data.shape)} | options
    array = zarr.create_array(path, shape=data.shape, dtype=data.dtype, zarr_format=version, **options)
    array[...] = data
    return array


def write_group(path: Path, attributes: dict[str, Any], version: int = 3) -> Path:
    """A group and its attributes; for v3 what is OME's lies under ``ome``."""
    zarr.create_group(path, zarr_format=version, attributes=attributes)
    return path


def axes(names: str, unit: str | None = "micrometer") -> list[dict[str, Any]]:
    """Axes as 0.4 and 0.5 write them."""
    kinds = {"t": "time", "c": "channel"}
    found: list[dict[str, Any]] = [{"name": n, "type": kinds.get(n, "space")} for n in names]
    for axis in found:
        if axis["type"] == "space" and unit:
            axis["unit"] = unit
    return found


def datasets(n: int, scale: list[float], halved: int = 2) -> list[dict[str, Any]]:
    """Levels with their scales; the last ``halved`` axes get coarser."""
    found = []
    for level in range(n):
        steps = [s * 2**level if i >= len(scale) - halved else s for i, s in enumerate(scale)]
        found.append({"path": str(level), "coordinateTransformations": [{"type": "scale", "scale": steps}]})
    return found


def write_image(
    path: Path,
    levels: list[np.ndarray[Any, Any]],
    ome: dict[str, Any],
    version: int = 3,
    **options: Any,
) -> Path:
    """An image: a group and its levels, by the paths that its ``multiscales`` names."""
    attributes = {"ome": {"version": "0.5", **ome}} if version == 3 else ome
    write_group(path, attributes, version)
    for entry, level in zip(ome["multiscales"][0]["datasets"], levels, strict=True):
        write_array(path / entry["path"], level, version, **options)
    return path


def zipped(folder: Path, path: Path, method: int = zipfile.ZIP_STORED) -> Path:
    """A folder in a zip file, its metadata first."""
    files = sorted((f for f in folder.rglob("*") if f.is_file()), key=lambda f: (f.name != "zarr.json", str(f)))
    with zipfile.ZipFile(path, "w", method) as archive:
        for file in files:
            archive.write(file, file.relative_to(folder).as_posix())
    return path
