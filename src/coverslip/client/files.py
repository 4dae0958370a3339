"""A part of an image as a file: written block by block beside its place, and put there when it is whole."""

from __future__ import annotations

import errno
import math
import os
import secrets
import shutil
import sys
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from coverslip.client.reading import blocks
from coverslip.core.errors import BadRequest, CoverslipError, DiskFull, Unreadable, Unsupported

if TYPE_CHECKING:
    from coverslip.client.image import Image

FORMATS = {
    ".npy": "npy", ".tif": "tiff", ".tiff": "tiff", ".zarr": "zarr", ".zr": "zarr", ".raw": "raw", ".bin": "raw",
    ".pb": "pb", ".protobuf": "pb", ".pkl": "pickle", ".pickle": "pickle",
}  # fmt: skip
STREAMED = ("npy", "raw")
STDOUT = "-"
PLANE_BYTES = 256 << 20
"""Larger planes of a TIFF are written in tiles."""
TILE = 512
OME_DTYPES = frozenset(("b1", "i1", "u1", "i2", "u2", "i4", "u4", "f4", "f8", "c8", "c16"))
Progress = Callable[[int], None]


@dataclass(frozen=True)
class Part:
    """What is written: a box of a level of an image.

    Attributes
    ----------
    image, level
        The image and which resolution.
    ranges
        The box, one range with step 1 per axis.
    progress
        Told the number of bytes of each block that was written.
    """

    image: Image
    level: int
    ranges: tuple[range, ...]
    progress: Progress

    @property
    def shape(self) -> tuple[int, ...]:
        """Elements per axis."""
        return tuple(len(r) for r in self.ranges)

    @property
    def nbytes(self) -> int:
        """Bytes of all elements."""
        return math.prod(self.shape) * self.image.dtype.itemsize

    def blocks(self, ranges: Sequence[range] | None = None) -> Generator[tuple[tuple[slice, ...], Any], None, None]:
        """The elements, block by block in C order."""
        image = self.image
        return blocks(image.transport, image.about, self.level, self.ranges if ranges is None else ranges)


def format_of(name: str, given: str | None) -> str:
    """The format of a file: the one given, else by the ending of its name, else ``npy``."""
    return given or FORMATS.get(Path(name).suffix.lower(), "npy")


def write(part: Part, form: str, target: str, force: bool = False) -> int:
    """Write a file, or to standard output where ``target`` is ``-``.

    Returns
    -------
    int
        Bytes of what was written: of the elements, or of the file where it holds no elements (``pb``, ``pickle``).

    Raises
    ------
    BadRequest
        When the file is there already, or a format cannot go to standard output.
    DiskFull, Unreadable
        When it cannot be written.
    """
    check_target(form, target, force)
    if target == STDOUT:
        return _to_stdout(part, form)
    path = Path(target)
    with _replacing(path) as draft:
        if form == "zarr":
            _zarr(part, draft)
        elif form == "tiff":
            _tiff(part, draft)
        elif form in STREAMED:
            with draft.open("xb") as file:
                _stream(part, form, file)
        else:
            data = _reference(part, form)
            draft.touch(0o600)  # it may hold the token
            draft.write_bytes(data)
            return len(data)
    return part.nbytes


def check_target(form: str, target: str, force: bool = False) -> None:
    """Raise `BadRequest` for a place that is not written to, before anything is read."""
    if target != STDOUT:
        path = Path(target)
        if not force and (path.exists() or path.is_symlink()):
            raise BadRequest(f"{target} is there already", "Write it over with --force.", "exists")
        if not path.parent.is_dir():
            raise BadRequest(f"There is no folder {path.parent}", "Make it first.", "no_folder")
    elif form in ("zarr", "tiff"):
        raise BadRequest(f"{form} needs a file, not standard output", "Name one with -o.")
    elif sys.stdout.isatty():
        raise BadRequest("Bytes are not written to a terminal", "Name a file with -o, or send them on with |.")


def _to_stdout(part: Part, form: str) -> int:
    out = sys.stdout.buffer
    if form in STREAMED:
        _stream(part, form, out)
        return part.nbytes
    data = _reference(part, form)
    out.write(data)
    out.flush()
    return len(data)


@contextmanager
def _replacing(path: Path) -> Iterator[Path]:
    """A place beside ``path`` to write to, which becomes ``path`` at the end, or is gone."""
    # Nobody else can have put anything there: in a shared folder a name that can be guessed may be a link already.
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}.part")
    try:
        yield draft
        if draft.is_dir() and path.is_dir() and not path.is_symlink():
            old = path.with_name(f".{path.name}.{secrets.token_hex(8)}.old")
            path.rename(old)
            draft.rename(path)
            shutil.rmtree(old, ignore_errors=True)
        else:
            draft.replace(path)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DiskFull(f"There is no room for {path}", "Make room, or write elsewhere.") from error
        why = error.strerror or str(error)
        raise Unreadable(f"Cannot write {path}: {why}", "Check the folder and who may write there.") from error
    finally:
        with suppress(OSError):
            shutil.rmtree(draft) if draft.is_dir() else draft.unlink()


def _stream(part: Part, form: str, file: BinaryIO) -> None:
    import numpy as np

    if form == "npy":
        about = {"descr": np.lib.format.dtype_to_descr(part.image.dtype), "fortran_order": False, "shape": part.shape}
        np.lib.format.write_array_header_1_0(file, about)
    with closing(part.blocks()) as found:
        for _, values in found:
            file.write(np.ascontiguousarray(values).data)
            part.progress(values.nbytes)
    file.flush()


def _zarr(part: Part, folder: Path) -> None:
    """One Zarr v3 array, its axes named."""
    import tensorstore

    image = part.image
    chunks = [max(min(c, n), 1) for c, n in zip(image.level(part.level).chunks, part.shape, strict=True)]
    codecs = [
        {"name": "bytes", "configuration": {"endian": "little"}},
        {"name": "zstd", "configuration": {"level": 3}},
    ]
    about = {
        "id": image.id,
        "name": image.name,
        "level": part.level,
        "start": [r.start for r in part.ranges],
        "pixel_size": image.pixel_size,
        "units": image.units,
        "channels": [channel.label for channel in image.channels],
    }
    metadata = {
        "shape": list(part.shape),
        "data_type": image.dtype.name,
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": chunks}},
        "codecs": codecs if image.dtype.itemsize > 1 else [{"name": "bytes"}, codecs[1]],
        "dimension_names": list(image.dims),
        "attributes": {"coverslip": about},
    }
    spec = {"driver": "zarr3", "kvstore": {"driver": "file", "path": str(folder.absolute())}, "metadata": metadata}
    try:
        store = tensorstore.open(spec, create=True).result()
        with closing(part.blocks()) as found:
            for into, values in found:
                store[into].write(values.astype(values.dtype.newbyteorder("="), copy=False)).result()
                part.progress(values.nbytes)
    except ValueError as error:
        if "RESOURCE_EXHAUSTED" in str(error) or "No space left" in str(error):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)) from error
        raise CoverslipError(f"The Zarr array cannot be written: {error}".splitlines()[0]) from error


def _tiff(part: Part, path: Path) -> None:
    """An OME-TIFF where the axes are OME's, else a plain TIFF that numbers its planes."""
    try:
        import tifffile
    except ImportError as error:
        raise Unsupported("TIFF needs tifffile", "pip install 'coverslip[images]'", "library_missing") from error
    image, dtype = part.image, part.image.dtype
    if dtype.kind == "b":
        raise Unsupported("A TIFF holds no booleans", "Write .npy or .zarr.")
    if not part.nbytes or image.ndim < 2:
        raise BadRequest("A TIFF holds planes", "Write .npy or .zarr.")
    plane = math.prod(part.shape[-2:]) * dtype.itemsize
    tiled = plane > PLANE_BYTES
    axes = "".join(name.upper() for name in image.dims)
    ome = (
        len(axes) == image.ndim
        and len(set(axes)) == image.ndim
        and set(axes) <= set("TCZYX")
        and axes.endswith("YX")
        and dtype.str[1:] in OME_DTYPES
    )
    options: dict[str, Any] = {"ome": True, "metadata": _ome(part, axes)} if ome else {"metadata": None}
    try:
        tifffile.imwrite(
            path, _tiles(part) if tiled else _planes(part), shape=part.shape, dtype=dtype.newbyteorder("="),
            photometric="minisblack", bigtiff=part.nbytes > (3 << 30), tile=(TILE, TILE) if tiled else None, **options,
        )  # fmt: skip
    except (ValueError, tifffile.TiffFileError) as error:
        raise CoverslipError(f"The TIFF cannot be written: {error}".splitlines()[0]) from error


def _ome(part: Part, axes: str) -> dict[str, Any]:
    image = part.image
    by = image.level(part.level).downsample
    found: dict[str, Any] = {"axes": axes, "Name": image.name}
    for axis, factor in zip(image.axes, by, strict=True):
        key = {"T": "TimeIncrement"}.get(axis.name.upper(), f"PhysicalSize{axis.name.upper()}")
        if axis.unit in SYMBOLS and axis.name.upper() in "TZYX":
            found |= {key: axis.step * factor, f"{key}Unit": SYMBOLS[axis.unit]}
    labels = [channel.label for channel in image.channels]
    if "C" in axes and labels:
        chosen = [labels[i] for i in part.ranges[axes.index("C")] if i < len(labels)]
        found["Channel"] = {"Name": chosen}
    return found


SYMBOLS: dict[str | None, str] = {
    "meter": "m", "millimeter": "mm", "micrometer": "µm", "nanometer": "nm", "picometer": "pm", "angstrom": "Å",
    "second": "s", "millisecond": "ms", "microsecond": "µs", "minute": "min", "hour": "h",
}  # fmt: skip
"""Units of OME-NGFF as OME-XML writes them."""


def _planes(part: Part) -> Iterator[Any]:
    """Planes of the last two axes, put together where a block holds a part of one."""
    import numpy as np

    shape = part.shape[-2:]
    plane, filled = np.empty(shape, part.image.dtype), 0
    with closing(part.blocks()) as found:
        for into, values in found:
            part.progress(values.nbytes)
            if values.shape[-2:] == shape:
                yield from values.reshape(-1, *shape)
                continue
            plane[into[-2:]] = values.reshape(values.shape[-2:])
            filled += values.size
            if filled == plane.size:
                yield plane
                plane, filled = np.empty(shape, part.image.dtype), 0


def _tiles(part: Part) -> Iterator[Any]:
    """Tiles of all planes, row by row; those on an edge are filled up with zeros."""
    import numpy as np

    *outer, rows, columns = part.ranges
    for index in np.ndindex(*(len(r) for r in outer)):
        lead = [range(r[i], r[i] + 1) for r, i in zip(outer, index, strict=True)]
        for top in range(0, len(rows), TILE):
            strip = [*lead, rows[top : top + TILE], columns]
            whole = np.empty([len(r) for r in strip], part.image.dtype)
            with closing(part.blocks(strip)) as found:
                for into, values in found:
                    whole[into] = values
                    part.progress(values.nbytes)
            flat = whole.reshape(whole.shape[-2:])
            for left in range(0, len(columns), TILE):
                tile = np.zeros((TILE, TILE), part.image.dtype)
                cut = flat[:, left : left + TILE]
                tile[: cut.shape[0], : cut.shape[1]] = cut
                yield tile


def _reference(part: Part, form: str) -> bytes:
    """What lets another program read the part itself: no pixels, but the way to them."""
    if form == "pb":
        from coverslip.client.handoff import serialized

        return serialized(part.image, part.level, part.ranges)
    import pickle

    lazy = part.image.dask(part.level)
    return pickle.dumps(lazy[tuple(slice(r.start, r.stop) for r in part.ranges)])
