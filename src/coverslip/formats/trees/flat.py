"""Arrays that lie in a file (or in a gzip file) as one run of elements, read by the rows that are asked for."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from coverslip.core.errors import Damaged
from coverslip.core.node import Array
from coverslip.core.spec import ArraySpec, Box
from coverslip.formats.trees.gzip_index import HIGHEST_RATIO, MAGIC, GzipBytes
from coverslip.formats.trees.vendor_handle import FileBytes

ONE_READ = 1 << 24
"""One system call reads at most about this many bytes."""
NARROW_ROW = 1 << 14
"""Rows of at most this many bytes are read whole, and cut afterwards: cheaper than a call for each."""


class Bytes(Protocol):
    """Bytes that can be read anywhere, from any thread."""

    def read(self, offset: int, length: int) -> bytes:
        """Exactly ``length`` bytes from ``offset`` on; `Damaged` when there are fewer."""

    def close(self) -> None:
        """Give the file back; to be called once."""


def open_bytes(path: Path, end: int) -> Bytes:
    """The bytes of a file, or those inside a gzip file, which must reach as far as ``end``.

    Raises
    ------
    Damaged
        When they cannot.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        gzip = file.read(2) == MAGIC
    if size * (HIGHEST_RATIO if gzip else 1) < end:
        raise Damaged(f"{path.name} ends too early", "The file is truncated; copy it again.")
    return GzipBytes(path, end) if gzip else FileBytes(path)


class FlatArray(Array):
    """A C-ordered array inside ``data``.

    Parameters
    ----------
    data
        Where the elements are.
    offset
        Of the first element, in bytes.
    shape
        Slowest axis first.
    dtype
        As stored, byte order included; elements are given in native order.
    """

    def __init__(self, data: Bytes, offset: int, shape: tuple[int, ...], dtype: npt.DTypeLike) -> None:
        self._data = data
        self._offset = offset
        self._stored = np.dtype(dtype)
        plane = min(len(shape), 3 if shape and shape[-1] <= 4 else 2)
        chunks = (*(1,) * (len(shape) - plane), *shape[len(shape) - plane :])
        self._spec = ArraySpec(shape, self._stored.newbyteorder("="), chunks)
        self.attrs = {}

    @property
    def spec(self) -> ArraySpec:
        """Shape and dtype."""
        return self._spec

    def read(self, box: Box) -> npt.NDArray[Any]:
        """The elements of ``box``; the bytes between its rows are not read."""
        out = np.empty(box.shape, self._spec.dtype)
        if not out.size:
            return out
        shape = self._spec.shape
        axis = _first_whole(box, shape)
        if axis == len(shape) and axis > 1 and self._narrow(box):
            axis -= 1
        # Everything from `axis` on is read as it lies; `axis - 1` is a run of it.
        width = math.prod(shape[axis:])
        lead = max(axis - 1, 0)
        first, last = (box.start[lead], box.stop[lead]) if axis else (0, 1)
        step = max(1, ONE_READ // max(1, width * self._stored.itemsize))
        cut = tuple(slice(a, b) for a, b in zip(box.start[axis:], box.stop[axis:], strict=True))
        for index in np.ndindex(*box.shape[:lead]):
            at = 0
            for i, offset in enumerate(index):
                at = at * shape[i] + box.start[i] + offset
            at = at * shape[lead] if axis else 0
            for row in range(first, last, step):
                rows = min(step, last - row)
                block = self._run((at + row) * width, rows * width).reshape(rows, *shape[axis:])
                where = (*index, slice(row - first, row - first + rows)) if axis else ()
                out[where] = block[(slice(None), *cut)] if axis else block[0]
        return out

    def _narrow(self, box: Box) -> bool:
        row = self._spec.shape[-1] * self._stored.itemsize
        return row <= NARROW_ROW or 2 * box.shape[-1] >= self._spec.shape[-1]

    def _run(self, start: int, count: int) -> npt.NDArray[Any]:
        size = self._stored.itemsize
        data = self._data.read(self._offset + start * size, count * size)
        return np.frombuffer(data, self._stored)


def _first_whole(box: Box, shape: tuple[int, ...]) -> int:
    """The first axis from which on the box covers everything."""
    axis = len(shape)
    while axis and box.start[axis - 1] == 0 and box.stop[axis - 1] == shape[axis - 1]:
        axis -= 1
    return axis
