"""Contiguous data that lies outside of the HDF5 file, in files that hold nothing else (external raw storage).

HDF5 never reads it here: it would open whatever path the file names. Who knows which files are offered opens them.

Source: HDF5 File Format Specification 3.0, IV.A.2.h (external data files).
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from coverslip.core.errors import TooLarge, Unsupported
from coverslip.core.stop import Stop
from coverslip.core.typed import Neighbours, Selection

MOST_PIECES = 10_000
MOST_SCATTERED = 1 << 24
"""Elements of one read that are not neighbours."""
NEAR_BYTES = 1 << 16
"""Elements that lie this close are read together."""
BLOCK_BYTES = 8 << 20


@dataclass(frozen=True, slots=True)
class Piece:
    """Part of the data: its place in the data, and the file that holds it."""

    first: int
    end: int
    file: str
    offset: int


class External:
    """Reads one data set that is stored in other files.

    Parameters
    ----------
    plist
        Its creation property list.
    shape, stored
        Its extent, and the type of its elements as they are stored.
    beside
        Opens other files; None where there are none to be had.
    """

    def __init__(
        self, plist: Any, shape: tuple[int, ...], stored: np.dtype[Any], beside: Callable[[], Neighbours | None]
    ) -> None:
        self._shape, self._stored, self._beside = shape, stored, beside
        count, whole, at = plist.get_external_count(), math.prod(shape) * stored.itemsize, 0
        if count > MOST_PIECES:
            raise Unsupported(f"The data set lies in more than {MOST_PIECES:,} pieces")
        self._pieces: list[Piece] = []
        for i in range(count):
            name, offset, size = plist.get_external(i)
            end = min(whole, at + int(size))
            if end > at:
                self._pieces.append(Piece(at, end, os.fsdecode(name), int(offset)))
            at = end

    def read(self, selection: Selection, stop: Stop) -> npt.NDArray[Any]:
        """What is selected; what the files do not hold is zero, as HDF5 has it.

        Raises
        ------
        UnsafeLink
            When a file lies outside of what is offered.
        NotFound
            When one is missing.
        """
        if selection.size > MOST_SCATTERED and not self._joined(selection):
            raise TooLarge(f"At most {MOST_SCATTERED:,} scattered elements are read at once", "Ask for it in parts.")
        with ExitStack() as held:
            files: dict[str, int] = {}

            def fill(target: memoryview, at: int) -> None:
                for piece in self._pieces:
                    first, end = max(at, piece.first), min(at + len(target), piece.end)
                    if first < end:
                        if piece.file not in files:
                            files[piece.file] = held.enter_context(self._opened(piece.file))
                        into = target[first - at : end - at]
                        _filled(files[piece.file], into, piece.offset + first - piece.first, stop)

            if self._joined(selection):
                out = np.zeros(selection.shape, self._stored)
                fill(_bytes(out), self._place(selection))
                return out
            return self._scattered(selection, fill)

    def _opened(self, file: str) -> Any:
        beside = self._beside()
        if beside is None:
            raise Unsupported("The data set keeps its elements in other files", "Those cannot be read here.")
        return beside.raw(file)

    def _joined(self, selection: Selection) -> bool:
        """Whether what is selected lies in one piece of the data."""
        if selection.points is not None or not all(isinstance(axis, slice) for axis in selection.axes):
            return False
        rest = list(zip(selection.axes, self._shape, strict=True))
        while rest and rest[-1][0] == slice(0, rest[-1][1], 1):
            rest.pop()
        if rest and isinstance(last := rest.pop()[0], slice) and last.step != 1 and len(_range(last)) > 1:
            return False
        return all(len(_range(axis)) == 1 for axis, _ in rest)

    def _place(self, selection: Selection) -> int:
        return sum(_range(axis)[0] * stride for axis, stride in zip(selection.axes, self._strides, strict=True))

    @property
    def _strides(self) -> list[int]:
        return [self._stored.itemsize * math.prod(self._shape[i + 1 :]) for i in range(len(self._shape))]

    def _scattered(self, selection: Selection, fill: Callable[[memoryview, int], None]) -> npt.NDArray[Any]:
        if selection.points is not None:
            places = selection.points @ np.array(self._strides, np.int64)
        else:
            axes = [np.asarray(_range(axis), np.int64) for axis in selection.axes]
            places = np.zeros((), np.int64)
            for axis, stride in zip(axes, self._strides, strict=True):
                places = places[..., None] + axis * stride
            places = places.reshape(-1)
        order = np.argsort(places, kind="stable")
        ordered, size = places[order], self._stored.itemsize
        out = np.zeros((len(places), size), np.uint8)
        for some in _groups(ordered, size):
            first = int(ordered[some.start])
            read = np.zeros(int(ordered[some.stop - 1]) + size - first, np.uint8)
            fill(read.data, first)
            out[order[some]] = read[(ordered[some] - first)[:, None] + np.arange(size)]
        return out.reshape(-1).view(self._stored).reshape(selection.shape + self._stored.shape)


def _groups(ordered: npt.NDArray[np.int64], size: int) -> Iterator[slice]:
    """Elements that are read together."""
    far = np.flatnonzero(np.diff(ordered) > NEAR_BYTES + size) + 1
    for part in np.split(np.arange(len(ordered)), far):
        begin, most = int(part[0]), max(1, BLOCK_BYTES)
        end = int(part[-1]) + 1
        while begin < end:
            stop = begin + int(np.searchsorted(ordered[begin:end], ordered[begin] + most))
            yield slice(begin, stop)
            begin = stop


def _range(axis: Any) -> Any:
    return range(axis.start, axis.stop, axis.step) if isinstance(axis, slice) else axis


def _bytes(out: npt.NDArray[Any]) -> memoryview:
    return memoryview(out.reshape(-1).view(np.uint8).data)


def _filled(descriptor: int, target: memoryview, at: int, stop: Stop) -> None:
    """Read into ``target`` as far as the file goes."""
    done = 0
    while done < len(target):
        stop.check()
        got = os.preadv(descriptor, [target[done : done + BLOCK_BYTES]], at + done)
        if got <= 0:
            return
        done += got
