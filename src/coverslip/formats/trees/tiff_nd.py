"""NDTiff: Micro-Manager's storage of planes in uncompressed TIFF files beside an index of their axes.

Planes that were never acquired are zeros, as the format means them. Tiles of a grid (axes ``row`` and ``column`` of a
data set with resolutions) are laid side by side without their overlap.

Source: NDTiffStorage, https://github.com/micro-manager/NDTiffStorage (versions 2 and 3 of the format).
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from coverslip.core.errors import CoverslipError, Damaged, Unsupported
from coverslip.core.node import Array
from coverslip.core.spec import ArraySpec, Box
from coverslip.formats.trees.ome_xml import safe_name
from coverslip.formats.trees.tiff import read_rows
from coverslip.formats.trees.tiff_bytes import FileBytes
from coverslip.formats.trees.tiff_files import Files

INDEX = "NDTiff.index"
FULL, COARSE = "Full resolution", "Downsampled_x"
MOST_INDEX_BYTES = 1 << 30
MOST_JSON_BYTES = 64 << 20
MAGIC, MARK = 483729, 2355492
FIXED = struct.Struct("<8I")
KINDS = {0: "u1", 1: "u2", 2: "u1", 3: "u2", 4: "u2", 5: "u2", 6: "u2"}
RGB = 2
BROKEN = "It may still be written, or was not copied completely."


@dataclass(frozen=True, slots=True)
class Plane:
    """One entry of the index."""

    axes: Mapping[str, int | str]
    file: str
    offset: int
    width: int
    height: int
    kind: int
    metadata: tuple[int, int]


def read_index(folder: Path) -> list[Plane]:
    """The entries of a folder's index, in the order they were written; a last one cut short is left out.

    Raises
    ------
    Damaged
        When there is none.
    """
    path = folder / INDEX
    if path.stat().st_size > MOST_INDEX_BYTES:
        raise Unsupported(f"{INDEX} has more than {MOST_INDEX_BYTES} bytes", "Split the data set.")
    data = path.read_bytes()
    try:
        found = list(_entries(data))
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        raise Damaged(f"{INDEX} is damaged: {str(error)[:100]}", BROKEN) from error
    if not found:
        raise Damaged(f"{INDEX} names no image", BROKEN)
    return found


def _entries(data: bytes) -> Iterator[Plane]:
    at = 0
    while at + 4 <= len(data):
        length = int.from_bytes(data[at : at + 4], "little")
        name_at = at + 4 + length
        if length == 0 or name_at + 4 > len(data):
            return
        name_length = int.from_bytes(data[name_at : name_at + 4], "little")
        fixed_at = name_at + 4 + name_length
        if fixed_at + FIXED.size > len(data):
            return
        axes = json.loads(data[at + 4 : name_at])
        if not all(isinstance(v, (int, str)) for v in axes.values()):
            raise ValueError("a position that is neither a number nor a name")
        name = safe_name(data[name_at + 4 : fixed_at].decode("utf-8"))
        offset, width, height, kind, packed, meta_at, meta_bytes, _ = FIXED.unpack_from(data, fixed_at)
        if packed or kind not in KINDS or not name:
            raise Unsupported(f"{INDEX} holds images of a kind ({kind}, {packed}) that is not known here", BROKEN)
        yield Plane(axes, name, offset, width, height, kind, (meta_at, meta_bytes))
        at = fixed_at + FIXED.size


def summary(file: FileBytes) -> dict[str, Any]:
    """The summary metadata at the start of a file; empty when there is none."""
    magic, major, *rest = struct.unpack("<8x5I", file.read(0, 28))
    at = 28 if rest[0] != MARK else 24  # version 3 has a minor version before the mark
    if magic != MAGIC or major < 2 or (rest[1] if at == 28 else rest[0]) != MARK:
        return {}
    return read_json(file, at, rest[2] if at == 28 else rest[1])


def read_json(file: FileBytes, offset: int, length: int) -> dict[str, Any]:
    """JSON that lies in a file; empty when it is none."""
    try:
        found = json.loads(file.read(offset, min(length, MOST_JSON_BYTES)).decode("utf-8", "replace").rstrip("\0"))
    except (ValueError, RecursionError, CoverslipError):
        return {}
    return found if isinstance(found, dict) else {}


def positions(planes: Iterable[Plane], axis: str) -> list[int | str]:
    """The positions on an axis: numbers ascending, then names in the order they first appear."""
    found = list(dict.fromkeys(p.axes.get(axis, 0) for p in planes))
    return [*sorted(v for v in found if isinstance(v, int)), *(v for v in found if isinstance(v, str))]


class NdArray(Array):
    """The planes of one resolution of one image.

    Parameters
    ----------
    files
        Of the folder the index lies in.
    planes
        Its entries; all of one size and kind.
    axes
        Names of the leading axes with their positions.
    grid
        Rows and columns of tiles (first and last numbers, both included), or None when planes are not tiles.
    overlap
        Pixels by which neighbouring tiles overlap, down and across.
    """

    def __init__(
        self,
        files: Files,
        planes: Sequence[Plane],
        axes: Mapping[str, Sequence[int | str]],
        grid: tuple[int, int, int, int] | None = None,
        overlap: tuple[int, int] = (0, 0),
    ) -> None:
        first = planes[0]
        if any((p.width, p.height, p.kind) != (first.width, first.height, first.kind) for p in planes):
            raise Unsupported("The planes of one image have different sizes", "Save positions of one size together.")
        self._files = files
        self._axes = {name: {v: i for i, v in enumerate(values)} for name, values in axes.items()}
        self._samples = 3 if first.kind == RGB else 1
        self._stored = (1, 1, first.height, first.width, self._samples)
        self._grid = grid or (0, 0, 0, 0)
        self._trim = (overlap[0] // 2, overlap[1] // 2)
        self._tile = (first.height - overlap[0], first.width - overlap[1])
        if min(self._tile) < 1:
            raise Damaged("The tiles overlap by more than their size", BROKEN)
        self._tiled = grid is not None
        self._found = {self._key(p): p for p in planes}
        rows, columns = self._grid[1] - self._grid[0] + 1, self._grid[3] - self._grid[2] + 1
        lead = tuple(len(values) for values in axes.values())
        plane = (rows * self._tile[0], columns * self._tile[1], *((3,) if self._samples == 3 else ()))
        chunks = (*(1,) * len(lead), *self._tile, *plane[2:])
        self._spec = ArraySpec((*lead, *plane), np.dtype(KINDS[first.kind]), chunks)
        self.attrs = {}

    def _key(self, plane: Plane) -> tuple[int, ...]:
        at = [index[plane.axes.get(name, 0)] for name, index in self._axes.items()]
        return (*at, *((int(plane.axes.get("row", 0)), int(plane.axes.get("column", 0))) if self._tiled else (0, 0)))

    @property
    def spec(self) -> ArraySpec:
        """Shape, dtype and chunks: one tile or plane."""
        return self._spec

    def read(self, box: Box) -> npt.NDArray[Any]:
        """The elements of ``box``; zeros where nothing was acquired."""
        out = np.zeros(box.shape, self._spec.dtype)
        if not out.size:
            return out
        lead = len(self._axes)
        (y0, x0), (y1, x1) = box.start[lead : lead + 2], box.stop[lead : lead + 2]
        samples = (box.start[-1], box.stop[-1]) if self._samples == 3 else (0, 1)
        tall, wide = self._tile
        for offset in np.ndindex(*box.shape[:lead]):
            at = tuple(a + o for a, o in zip(box.start, offset, strict=False))
            for row in range(y0 // tall, -(-y1 // tall)):
                for column in range(x0 // wide, -(-x1 // wide)):
                    plane = self._found.get((*at, row + self._grid[0], column + self._grid[2]))
                    if plane is None:
                        continue
                    top, left = max(y0, row * tall), max(x0, column * wide)
                    bottom, right = min(y1, (row + 1) * tall), min(x1, (column + 1) * wide)
                    part = self._part(
                        plane,
                        (top - row * tall, bottom - row * tall),
                        (left - column * wide, right - column * wide),
                        samples,
                    )
                    out[(*offset, slice(top - y0, bottom - y0), slice(left - x0, right - x0))] = part
        return out

    def _part(
        self, plane: Plane, rows: tuple[int, int], columns: tuple[int, int], samples: tuple[int, int]
    ) -> npt.NDArray[Any]:
        down, across = self._trim
        box = Box(
            (0, 0, rows[0] + down, columns[0] + across, samples[0]),
            (1, 1, rows[1] + down, columns[1] + across, samples[1]),
        )
        found = np.empty(box.shape, self._spec.dtype)
        read_rows(self._files.named(plane.file), plane.offset, self._stored, "<", box, found)
        return found[0, 0] if self._samples == 3 else found[0, 0, :, :, 0]


def coarse_folders(folder: Path) -> list[tuple[int, Path]]:
    """The folders of coarser resolutions with their factor, finest first."""
    found = []
    for path in folder.glob(f"{COARSE}*"):
        factor = path.name.removeprefix(COARSE)
        if factor.isdecimal() and int(factor) > 1 and math.log2(int(factor)).is_integer() and (path / INDEX).is_file():
            found.append((int(factor), path))
    return sorted(found)
