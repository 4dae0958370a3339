"""A numpy ``.npy`` file of coordinates, one row a cell: the smallest thing that can be looked at.

The array becomes the embedding named after the file. Object arrays (pickles) are never loaded.

Source: numpy.lib.format, versions 1.0 to 3.0.
"""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from numpy.lib import format as npy

from coverslip.core.errors import Damaged, Unsupported
from coverslip.core.format import Format, file_etag
from coverslip.core.node import Array, Group, Source
from coverslip.core.spec import ArraySpec, Box
from coverslip.core.tree import MemoryGroup

MAGIC = b"\x93NUMPY"


class NpySource(Source):
    """One opened ``.npy`` file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        with path.open("rb") as file:
            stat = os.fstat(file.fileno())
            self.etag, self.modified_s = file_etag(stat), stat.st_mtime
            spec, fortran = _header(path, file)
            offset = file.tell()
        if stat.st_size < offset + spec.dtype.itemsize * math.prod(spec.shape):
            raise Damaged(f"{path} ends too early", "The file is truncated; copy it again.")
        array = NpyArray(path, spec, offset, fortran)
        obsm = MemoryGroup({f"X_{path.stem}": array})
        self.root: Group = MemoryGroup({"obsm": obsm}, {"encoding-type": "anndata"})

    def fresh(self) -> bool:
        """Whether the file is still the one that was opened."""
        try:
            return file_etag(self._path.stat()) == self.etag
        except OSError:
            return False


class NpyArray(Array):
    """The array of a ``.npy`` file, read by rows."""

    def __init__(self, path: Path, spec: ArraySpec, offset: int, fortran: bool) -> None:
        self._path = path
        self._spec = spec
        self._offset = offset
        self._fortran = fortran
        self.attrs = {}

    @property
    def spec(self) -> ArraySpec:
        """Shape and dtype."""
        return self._spec

    def read(self, box: Box) -> npt.NDArray[Any]:
        """The elements of ``box``."""
        rows, width = self._spec.shape
        first, last = (0, rows) if self._fortran else (box.start[0], box.stop[0])
        with self._path.open("rb") as file:
            file.seek(self._offset + first * width * self._spec.dtype.itemsize)
            flat = np.fromfile(file, self._spec.dtype, (last - first) * width)
        if flat.size != (last - first) * width:
            raise Damaged(f"{self._path.name} ends too early", "The file is truncated; copy it again.")
        if self._fortran:
            return flat.reshape(width, rows).T[box.slices]
        return flat.reshape(-1, width)[:, box.slices[1]]


def _header(path: Path, file: Any) -> tuple[ArraySpec, bool]:
    try:
        version = npy.read_magic(file)
        reader = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
        shape, fortran, dtype = reader(file)
    except ValueError as error:
        raise Damaged(f"{path} is not a whole .npy file: {error}", "Write it again with numpy.save.") from error
    if len(shape) != 2 or dtype.kind not in "iuf":
        raise Unsupported(
            f"{path} holds {dtype} of shape {shape}", "Coordinates are numbers of shape (cells, dimensions)."
        )
    return ArraySpec(shape, dtype), fortran


class Npy:
    """Coordinates saved with ``numpy.save``."""

    name = "npy"
    expects = ".npy file of coordinates"
    kind = "cells"

    def claims(self, path: Path, head: bytes) -> bool:
        """By the suffix or the magic bytes."""
        return path.is_file() and (path.suffix.lower() == ".npy" or head.startswith(MAGIC))

    def open(self, path: Path) -> Source:
        """Read the header and see that all bytes are there."""
        return NpySource(path)


FORMAT: Format = Npy()
