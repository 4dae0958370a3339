"""What ``array[…]`` means: numpy's basic indexing, as boxes to read and what is then done with them."""

from __future__ import annotations

import math
import operator
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from types import EllipsisType
from typing import Any

PIECE_BYTES = 16 << 20
"""About what is read with one request."""
LARGEST_PIECE_BYTES = 64 << 20
"""A piece may grow to this to end where chunks end: a chunk cut in two is decoded twice."""
APART_BYTES = 64 << 10
"""Planes of at least this size that are not neighbours are read one by one, not with what lies between them."""


@dataclass(frozen=True)
class Selection:
    """Elements of an array, one range per axis.

    Attributes
    ----------
    ranges
        Which elements, in order (a negative step turns an axis round).
    view
        What turns an array of one axis per range into the answer: drops axes indexed by a number, adds new ones.
    """

    ranges: tuple[range, ...]
    view: tuple[Any, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        """Lengths of the ranges."""
        return tuple(len(r) for r in self.ranges)


def select(key: Any, shape: Sequence[int]) -> Selection:
    """What an index means for an array of this shape: integers, slices with steps, ``...`` and ``None``.

    Raises
    ------
    IndexError
        As numpy does, and for arrays and lists of indices: those are for the array that was read.
    """
    parts = list(key) if isinstance(key, tuple) else [key]
    dots = [i for i, part in enumerate(parts) if isinstance(part, EllipsisType)]
    if len(dots) > 1:
        raise IndexError("an index can only have a single ellipsis ('...')")
    used = sum(1 for part in parts if part is not None and not isinstance(part, EllipsisType))
    if used > len(shape):
        raise IndexError(f"too many indices for array: array is {len(shape)}-dimensional, but {used} were indexed")
    at = dots[0] if dots else len(parts)
    parts[at : at + 1] = [slice(None)] * (len(shape) - used)
    ranges: list[range] = []
    view: list[Any] = []
    for part in parts:
        if part is None:
            view.append(None)
            continue
        length = shape[len(ranges)]
        if isinstance(part, slice):
            ranges.append(range(*part.indices(length)))
            view.append(slice(None))
        else:
            ranges.append(_one(part, length, len(ranges)))
            view.append(0)
    return Selection(tuple(ranges), tuple(view))


def _one(part: Any, length: int, axis: int) -> range:
    try:
        if isinstance(part, bool):
            raise TypeError
        index = operator.index(part)
    except TypeError:
        raise IndexError(
            "only integers, slices (`:`), ellipsis (`...`) and None are valid indices here; "
            "read the part, then choose from it by lists or masks"
        ) from None
    if not -length <= index < length:
        raise IndexError(f"index {index} is out of bounds for axis {axis} with size {length}")
    index %= length
    return range(index, index + 1)


@dataclass(frozen=True)
class Piece:
    """One request: a box, and the elements of it that are wanted.

    Attributes
    ----------
    start, stop
        The box.
    take
        Which of its elements are wanted, on each axis.
    into
        Where they go in the answer.
    """

    start: tuple[int, ...]
    stop: tuple[int, ...]
    take: tuple[slice, ...]
    into: tuple[slice, ...]

    @property
    def all(self) -> bool:
        """Whether every element of the box is wanted, in its own order."""
        return all(s.step == 1 for s in self.take)


def pieces(ranges: Sequence[range], chunks: Sequence[int], itemsize: int, most: int = PIECE_BYTES) -> Iterator[Piece]:
    """Requests that cover a selection, in C order, each about ``most`` bytes, each ending where chunks do if it may."""
    if not math.prod(len(r) for r in ranges):
        return
    sizes = _sizes(ranges, chunks, itemsize, most)
    grids = [_edges(r, size, chunk) for r, size, chunk in zip(ranges, sizes, chunks, strict=True)]
    for index in _corners([len(grid) - 1 for grid in grids]):
        into = tuple(slice(grid[i], grid[i + 1]) for grid, i in zip(grids, index, strict=True))
        yield _piece(ranges, into)


def _piece(ranges: Sequence[range], into: tuple[slice, ...]) -> Piece:
    start, stop, take = [], [], []
    for whole, part in zip(ranges, into, strict=True):
        chosen = whole[part]
        low, high = min(chosen[0], chosen[-1]), max(chosen[0], chosen[-1]) + 1
        start.append(low)
        stop.append(high)
        # turned round: from the last element of the box to its first
        take.append(slice(None, None, chosen.step) if len(chosen) > 1 else slice(0, 1, 1))
    return Piece(tuple(start), tuple(stop), tuple(take), into)


def _sizes(ranges: Sequence[range], chunks: Sequence[int], itemsize: int, most: int) -> list[int]:
    """Elements per piece and axis: axes are cut from the first on, until a piece is small enough."""
    sizes = [len(r) for r in ranges]
    inner = itemsize * math.prod(_span(r, len(r)) for r in ranges)  # bytes of the box
    for axis, r in enumerate(ranges):
        inner //= max(_span(r, sizes[axis]), 1)  # bytes per element of this axis
        apart = abs(r.step) > 1 and len(r) > 1 and inner >= APART_BYTES
        if not apart and inner * _span(r, sizes[axis]) <= most:
            return sizes
        sizes[axis] = 1 if apart else _size(r, chunks[axis], inner, most)
        if inner * _span(r, sizes[axis]) * 2 > most and sizes[axis] > 1:
            return sizes
    return sizes


def _size(r: range, chunk: int, inner: int, most: int) -> int:
    step = abs(r.step)
    fit = max(most // (inner * step), 1)
    if step > 1 or chunk <= 1:
        return min(fit, len(r))
    if chunk <= fit:
        return fit // chunk * chunk
    return chunk if chunk * inner <= LARGEST_PIECE_BYTES else fit


def _span(r: range, size: int) -> int:
    """Elements of the array from the first to the last of ``size`` of a range."""
    return (size - 1) * abs(r.step) + 1 if size else 0


def _edges(r: range, size: int, chunk: int) -> list[int]:
    """Where pieces begin and end on one axis; the first is cut so that the others begin where a chunk does."""
    first = size
    if r.step == 1 and chunk > 1 and size % chunk == 0 and len(r) > size:
        first = size - r.start % chunk
    return sorted({0, *range(min(first, len(r)), len(r), size), len(r)})


def _corners(counts: Sequence[int]) -> Iterator[tuple[int, ...]]:
    if not counts:
        yield ()
        return
    for first in range(counts[0]):
        for rest in _corners(counts[1:]):
            yield (first, *rest)
