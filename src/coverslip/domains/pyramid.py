"""Coarser levels of an image: those the file stores where they fit, the others made on demand.

Every level is half as high and wide as the one before (rounded up), so that any viewer can ask for any zoom. Levels are
means over squares, in the image's own dtype; label images keep a pixel instead, since the mean of two numbers of
objects is a third object.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from coverslip.core.node import Array
from coverslip.core.spec import ArraySpec, Box
from coverslip.core.stop import NEVER, Stop
from coverslip.engine.sidecar import Shelf

TILE = 512
"""Height and width of a stored tile, and of the coarsest level at most."""
BLOCK_ELEMENTS = 1 << 24
"""How much of a finer level is held at once while a coarser one is made."""
SLACK = 0.02
"""How far a stored level's size may be from a power of two of level 0's."""
LOOK_S = 0.1
"""How often who waits for a tile that another makes looks whether to go on waiting."""


@dataclass(frozen=True, slots=True)
class Level:
    """One level of an image.

    Attributes
    ----------
    array
        Its pixels.
    downsample
        Size of level 0 by the size of this one, for each axis.
    stored
        The name of the array in the file, or None when it is made on demand.
    """

    array: Array
    downsample: tuple[float, ...]
    stored: str | None


def reduce_by(block: npt.NDArray[Any], factors: Sequence[int], how: str = "mean") -> npt.NDArray[Any]:
    """``block`` with ``factors[i]`` neighbours of axis ``i`` made one, incomplete ones at the end included.

    Parameters
    ----------
    block
        Any numbers.
    factors
        One for each axis.
    how
        ``mean`` (rounded to nearest for integers), ``max`` or ``nearest`` (the first).

    Returns
    -------
    ndarray
        In the dtype of ``block``; sizes are rounded up.
    """
    if how == "nearest" or block.dtype.kind not in "biuf":
        return block[tuple(slice(None, None, f) for f in factors)]
    for axis, factor in enumerate(factors):
        if factor > 1 and block.shape[axis] > 1:
            block = _along(block, axis, factor, how)
    return block


def _along(block: npt.NDArray[Any], axis: int, factor: int, how: str) -> npt.NDArray[Any]:
    size = block.shape[axis]
    whole = size // factor * factor
    parts = []
    if whole:
        part = block[(slice(None),) * axis + (slice(0, whole),)]
        shape = (*part.shape[:axis], whole // factor, factor, *part.shape[axis + 1 :])
        parts.append(_fold(part.reshape(shape), axis + 1, how))
    if whole < size:
        rest = block[(slice(None),) * axis + (slice(whole, size),)]
        parts.append(np.expand_dims(_fold(rest, axis, how), axis))
    return parts[0] if len(parts) == 1 else np.concatenate(parts, axis)


def _fold(block: npt.NDArray[Any], axis: int, how: str) -> npt.NDArray[Any]:
    dtype, n = block.dtype, block.shape[axis]
    if how == "max":
        return np.asarray(block.max(axis))
    if dtype.kind == "b":
        return np.asarray(block.any(axis))
    if dtype.kind == "f":
        return np.asarray(block.mean(axis, dtype=np.promote_types(dtype, np.float32))).astype(dtype)
    if dtype.itemsize == 8:  # no wider integer to add up in
        parts, rests = np.divmod(block, dtype.type(n))
        return np.asarray(parts.sum(axis) + (rests.sum(axis) + dtype.type(n // 2)) // dtype.type(n)).astype(dtype)
    wide = np.uint32 if dtype.itemsize <= 2 and dtype.kind == "u" else np.int64 if dtype.kind == "i" else np.uint64
    total = np.take(block, 0, axis).astype(wide)
    for i in range(1, n):  # a sum over a short axis in steps is several times faster than numpy's reduction
        total += np.take(block, i, axis)
    total += n // 2
    return np.asarray(total // n).astype(dtype)


def read(array: Array, box: Box, stop: Stop = NEVER) -> npt.NDArray[Any]:
    """The elements of ``box``; a level that is made first looks at ``stop`` while it is."""
    stop.check()
    return array.read(box, stop) if isinstance(array, Reduced) else array.read(box)


class Reduced(Array):
    """A level made from a finer one.

    Parameters
    ----------
    finer
        The level it is made from.
    factors
        How many elements of each axis become one.
    how
        As `reduce_by` takes it.
    shelf
        Where tiles made once are kept.
    """

    def __init__(self, finer: Array, factors: Sequence[int], how: str, shelf: Shelf) -> None:
        spec = finer.spec
        self._finer = finer
        self._factors = tuple(factors)
        self._how = how
        self._shelf = shelf
        shape = tuple(math.ceil(n / f) for n, f in zip(spec.shape, factors, strict=True))
        lead = len(shape) - 2
        self._spec = ArraySpec(shape, spec.dtype, (*(1,) * lead, min(TILE, shape[-2]), min(TILE, shape[-1])))
        self._making: dict[tuple[int, ...], threading.Lock] = {}
        self.attrs = {}

    @property
    def spec(self) -> ArraySpec:
        """Shape, dtype, and the tiles it is made in."""
        return self._spec

    def read(self, box: Box, stop: Stop = NEVER) -> npt.NDArray[Any]:
        """The elements of ``box``; tiles it touches are made when they are not kept yet, looking at ``stop``."""
        out = np.empty(box.shape, self._spec.dtype)
        if not out.size:
            return out
        chunks = self._spec.chunks or box.shape
        first = [a // c for a, c in zip(box.start, chunks, strict=True)]
        last = [-(-b // c) for b, c in zip(box.stop, chunks, strict=True)]
        for offset in np.ndindex(*(b - a for a, b in zip(first, last, strict=True))):
            index = tuple(a + o for a, o in zip(first, offset, strict=True))
            low = tuple(i * c for i, c in zip(index, chunks, strict=True))
            tile = self._tile(index, low, stop)
            start = [max(a, b) for a, b in zip(box.start, low, strict=True)]
            end = [min(a, b + n) for a, b, n in zip(box.stop, low, tile.shape, strict=True)]
            inside = tuple(slice(a - b, c - b) for a, b, c in zip(start, low, end, strict=True))
            target = tuple(slice(a - b, c - b) for a, b, c in zip(start, box.start, end, strict=True))
            out[target] = tile[inside]
        return out

    def _tile(self, index: tuple[int, ...], low: tuple[int, ...], stop: Stop) -> npt.NDArray[Any]:
        shape = tuple(
            min(c, n - a) for c, n, a in zip(self._spec.chunks or self._spec.shape, self._spec.shape, low, strict=True)
        )
        tile = self._kept(index, shape)
        if tile is None:
            with self._turn(index, stop):
                tile = self._kept(index, shape)  # another may have made it meanwhile
                if tile is None:
                    tile = np.ascontiguousarray(self._make(low, shape, stop))
                    self._shelf.put(_name(index), tile.data.cast("B"))
        return tile

    def _kept(self, index: tuple[int, ...], shape: tuple[int, ...]) -> npt.NDArray[Any] | None:
        kept = self._shelf.get(_name(index), math.prod(shape) * self._spec.dtype.itemsize)
        return np.frombuffer(kept, self._spec.dtype).reshape(shape) if kept is not None else None

    @contextmanager
    def _turn(self, index: tuple[int, ...], stop: Stop) -> Iterator[None]:
        """One makes a tile, the others wait: it may stand for gigabytes."""
        turn = self._making.setdefault(index, threading.Lock())
        while not turn.acquire(timeout=LOOK_S):
            stop.check()
        try:
            stop.check()
            yield
        finally:
            self._making.pop(index, None)  # who waits has hold of it; a late third makes the tile twice at worst
            turn.release()

    def _make(self, low: tuple[int, ...], shape: tuple[int, ...], stop: Stop) -> npt.NDArray[Any]:
        start = tuple(a * f for a, f in zip(low, self._factors, strict=True))
        end = tuple(
            min((a + n) * f, size)
            for a, n, f, size in zip(low, shape, self._factors, self._finer.spec.shape, strict=True)
        )
        rows, step = end[-2] - start[-2], self._factors[-2]
        wide = math.prod(b - a for a, b in zip(start, end, strict=True)) // max(rows, 1)
        at_once = max(BLOCK_ELEMENTS // max(wide, 1) // step, 1) * step
        parts = []
        for row in range(start[-2], end[-2], at_once):
            box = Box((*start[:-2], row, start[-1]), (*end[:-2], min(row + at_once, end[-2]), end[-1]))
            parts.append(reduce_by(read(self._finer, box, stop), self._factors, self._how))
        return parts[0] if len(parts) == 1 else np.concatenate(parts, -2)


def _name(index: tuple[int, ...]) -> str:
    return ".".join(map(str, index))


def pyramid(stored: Sequence[tuple[str, Array]], label: bool, shelf: Shelf, spatial: bool = True) -> list[Level]:
    """The levels of an image, finest first, each half as high and wide as the one before.

    Parameters
    ----------
    stored
        Names and arrays of the levels in the file, finest first.
    label
        Whether pixels are numbers of objects.
    shelf
        Where made tiles are kept.
    spatial
        Whether the last two axes are ``y`` and ``x``; an image without them has one level.
    """
    name, base = stored[0]
    shape = base.spec.shape
    levels = [Level(base, (1.0,) * len(shape), name)]
    if len(shape) < 2 or not spatial or base.spec.dtype.kind not in "biuf":
        return levels
    how = "nearest" if label else "mean"
    exponent, source, at = 0, base, 0
    while max(levels[-1].array.spec.shape[-2:]) > TILE:
        exponent += 1
        found = _stored_at(stored, exponent)
        if found is not None:
            name, source = found
            at = exponent
            ratio = tuple(a / b if b else 1.0 for a, b in zip(shape, source.spec.shape, strict=True))
            levels.append(Level(source, ratio, name))
            continue
        finer = levels[-1].array if at != exponent - 1 else source
        factors = (*(1,) * (len(shape) - 2), 2, 2)
        made = Reduced(finer, factors, how, shelf.sub(str(exponent)))
        ratio = tuple(a / b if b else 1.0 for a, b in zip(shape, made.spec.shape, strict=True))
        levels.append(Level(made, ratio, None))
    return levels


def _stored_at(stored: Sequence[tuple[str, Array]], exponent: int) -> tuple[str, Array] | None:
    """The stored level that is ``2 ** exponent`` times smaller in ``y`` and ``x``, within a pixel or a little."""
    shape = stored[0][1].spec.shape
    for name, array in stored[1:]:
        other = array.spec.shape
        wanted = [n / 2**exponent for n in shape[-2:]]
        if (
            array.spec.dtype == stored[0][1].spec.dtype
            and other[:-2] == shape[:-2]
            and all(abs(a - b) <= max(1.0, SLACK * b) for a, b in zip(other[-2:], wanted, strict=True))
        ):
            return name, array
    return None
