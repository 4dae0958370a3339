"""What ``array[…]`` means: numpy's indexing, as boxes to read and what is then done with them."""

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
Picks = range | tuple[int, ...]
"""Elements of one axis: evenly spaced, or sorted and each once."""


@dataclass(frozen=True)
class Selection:
    """Elements of an array.

    Attributes
    ----------
    picks
        Which elements of each axis are read (a negative step turns an axis round).
    view
        What turns an array of one axis per entry of ``picks`` into the answer: drops axes indexed by a number, adds new
        ones, puts the elements of a list in its order.
    """

    picks: tuple[Picks, ...]
    view: tuple[Any, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        """How many elements are read of each axis."""
        return tuple(len(r) for r in self.picks)


def select(key: Any, shape: Sequence[int]) -> Selection:
    """What an index means for an array of this shape: integers, slices with steps, ``...``, ``None``, and one list.

    Raises
    ------
    IndexError
        As numpy does; also for several lists, and for arrays of several axes.
    """
    parts = list(key) if isinstance(key, tuple) else [key]
    dots = [i for i, part in enumerate(parts) if isinstance(part, EllipsisType)]
    if len(dots) > 1:
        raise IndexError("an index can only have a single ellipsis ('...')")
    used = sum(1 for part in parts if part is not None and not isinstance(part, EllipsisType))
    if used > len(shape):
        raise IndexError(f"too many indices for array: array is {len(shape)}-dimensional, but {used} were indexed")
    at = dots[0] if dots else len(parts)
    # also one that stands for no axis keeps a list and a number apart, which decides where the list's axis goes
    left: list[Any] = [slice(None)] * (len(shape) - used)
    parts[at : at + 1] = left or [...] * len(dots)
    picks: list[Picks] = []
    view: list[Any] = []
    for part in parts:
        if part is None or part is ...:
            view.append(part)
            continue
        found, then = _axis(part, shape[len(picks)], len(picks))
        picks.append(found)
        view.append(then)
    if sum(1 for then in view if isinstance(then, list)) > 1:
        raise IndexError("only one axis may be indexed by a list or mask; read the part, then choose from it")
    return Selection(tuple(picks), tuple(view))


def _axis(part: Any, length: int, axis: int) -> tuple[Picks, Any]:
    """Which elements of an axis are read, and how what was read is indexed."""
    if isinstance(part, slice):
        return range(*part.indices(length)), slice(None)
    if isinstance(part, (list, range)) or getattr(part, "ndim", False):
        return _several(part, length, axis)
    try:
        if isinstance(part, bool) or type(part).__name__ in ("bool", "bool_"):
            raise TypeError
        index = _inside(operator.index(part), length, axis)
    except TypeError:
        raise IndexError(
            "only integers, slices (`:`), ellipsis (`...`), None, and a list or mask of one axis are valid indices"
        ) from None
    return range(index, index + 1), 0


def _several(part: Any, length: int, axis: int) -> tuple[Picks, list[int]]:
    import numpy as np

    given = np.asarray(part)
    if given.dtype.kind == "b" and given.shape == (length,):
        given = np.flatnonzero(given)
    if given.ndim != 1 or (given.size and given.dtype.kind not in "iu"):
        raise IndexError("a list of indices, or a mask as long as the axis, is expected")
    wanted = [_inside(int(i), length, axis) for i in given]
    once = sorted(set(wanted))
    places = {index: place for place, index in enumerate(once)}
    step = once[1] - once[0] if len(once) > 1 else 1
    even = range(once[0], once[-1] + 1, step) if once else range(0)
    return even if list(even) == once else tuple(once), [places[index] for index in wanted]


def _inside(index: int, length: int, axis: int) -> int:
    if not -length <= index < length:
        raise IndexError(f"index {index} is out of bounds for axis {axis} with size {length}")
    return index % length


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
    take: tuple[slice | list[int], ...]
    into: tuple[slice, ...]

    @property
    def all(self) -> bool:
        """Whether every element of the box is wanted, in its own order."""
        return all(isinstance(one, slice) and one.step == 1 for one in self.take)


def pieces(picks: Sequence[Picks], chunks: Sequence[int], itemsize: int, most: int = PIECE_BYTES) -> Iterator[Piece]:
    """Requests that cover a selection, each about ``most`` bytes, each ending where chunks do if it may.

    Of boxes without steps they follow each other in C order.
    """
    if not math.prod(len(r) for r in picks):
        return
    sizes = _sizes(picks, chunks, itemsize, most)
    grids = [_edges(r, size, chunk) for r, size, chunk in zip(picks, sizes, chunks, strict=True)]
    for index in _corners([len(grid) - 1 for grid in grids]):
        into = tuple(slice(grid[i], grid[i + 1]) for grid, i in zip(grids, index, strict=True))
        yield _piece(picks, into)


def _piece(picks: Sequence[Picks], into: tuple[slice, ...]) -> Piece:
    start, stop = [], []
    take: list[slice | list[int]] = []
    for whole, part in zip(picks, into, strict=True):
        chosen = whole[part]
        low, high = min(chosen[0], chosen[-1]), max(chosen[0], chosen[-1]) + 1
        start.append(low)
        stop.append(high)
        if len(chosen) == 1:
            take.append(slice(0, 1, 1))
        elif isinstance(chosen, range):  # turned round: from the last element of the box to its first
            take.append(slice(None, None, chosen.step))
        else:
            take.append([index - low for index in chosen])
    return Piece(tuple(start), tuple(stop), tuple(take), into)


def _sizes(picks: Sequence[Picks], chunks: Sequence[int], itemsize: int, most: int) -> list[int]:
    """Elements per piece and axis: axes are cut from the first on, until a piece is small enough."""
    sizes = [len(r) for r in picks]
    inner = itemsize
    for axis in reversed(range(len(sizes))):
        if abs(_step(picks[axis])) > 1 and inner >= APART_BYTES:
            sizes[axis] = 1
        inner *= _span(picks[axis], sizes[axis])
    for axis, r in enumerate(picks):
        if inner <= most:
            break
        inner //= _span(r, sizes[axis])
        if sizes[axis] > 1:
            sizes[axis] = min(_size(r, chunks[axis], inner, most), sizes[axis])
        inner *= _span(r, sizes[axis])
        if sizes[axis] > 1:
            break
    return sizes


def _size(r: Picks, chunk: int, inner: int, most: int) -> int:
    if isinstance(r, tuple):
        return 1
    step = abs(r.step)
    fit = max(most // (inner * step), 1)
    if step > 1 or chunk <= 1:
        return min(fit, len(r))
    if chunk <= fit:
        return fit // chunk * chunk
    return chunk if chunk * inner <= LARGEST_PIECE_BYTES else fit


def _step(r: Picks) -> int:
    return r.step if isinstance(r, range) else 2


def _span(r: Picks, size: int) -> int:
    """Elements of the array from the first to the last of ``size`` of an axis."""
    if isinstance(r, tuple):
        return 1 if size == 1 else r[-1] - r[0] + 1
    return (size - 1) * abs(r.step) + 1 if size else 0


def _edges(r: Picks, size: int, chunk: int) -> list[int]:
    """Where pieces begin and end on one axis; the first is cut so that the others begin where a chunk does."""
    first = size
    if isinstance(r, range) and r.step == 1 and chunk > 1 and size % chunk == 0 and len(r) > size:
        first = size - r.start % chunk
    return sorted({0, *range(min(first, len(r)), len(r), size), len(r)})


def _corners(counts: Sequence[int]) -> Iterator[tuple[int, ...]]:
    if not counts:
        yield ()
        return
    for first in range(counts[0]):
        for rest in _corners(counts[1:]):
            yield (first, *rest)
