"""The grid that a read is cut into: few round trips for much, exactly what was asked for little."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

MOST_CHUNK_BYTES = 64 << 20
"""Of one chunk: clients take no message of over 80 MiB."""
MANY_CHUNKS = 8192
"""A read that would have more chunks than this has larger ones."""
SOURCE_BYTES = 256 << 20
"""How much may be read to make one chunk of a scaled read."""


@dataclass(frozen=True, slots=True)
class Aims:
    """How large chunks are to be, in bytes.

    Attributes
    ----------
    small
        A read up to this is one chunk.
    chunk
        What chunks of larger reads come close to.
    """

    small: int
    chunk: int


def grid_shape(
    shape: Sequence[int], itemsize: int, stored: Sequence[int] | None, aims: Aims, weight: int = 1
) -> tuple[int, ...]:
    """Elements of one chunk along each axis.

    Parameters
    ----------
    shape
        Of the whole read.
    stored
        Chunks on disk, in elements of the read; chunks of the read are made of whole ones where that is not too much.
    weight
        How many elements are read for each one that is sent.
    """
    total = math.prod(shape) * itemsize
    if total <= aims.small and total * weight <= SOURCE_BYTES:
        return tuple(max(n, 1) for n in shape)
    aim = max(min(aims.chunk, SOURCE_BYTES // max(weight, 1)), itemsize)
    grid = _grown(_unit(shape, itemsize, stored), shape, itemsize, aim)
    while aim * weight < SOURCE_BYTES and aim < MOST_CHUNK_BYTES and count(shape, grid) > MANY_CHUNKS:
        aim *= 2
        grid = _grown(_unit(shape, itemsize, stored), shape, itemsize, min(aim, MOST_CHUNK_BYTES))
    return grid


def count(shape: Sequence[int], grid: Sequence[int]) -> int:
    """How many chunks there are."""
    return math.prod(-(-n // g) for n, g in zip(shape, grid, strict=True))


def _unit(shape: Sequence[int], itemsize: int, stored: Sequence[int] | None) -> list[int]:
    """The smallest chunk: a stored one, cut along its first axes when it is too large."""
    unit = [max(min(c, n), 1) for c, n in zip(stored or (1,) * len(shape), shape, strict=True)]
    axis = 0
    while math.prod(unit) * itemsize > MOST_CHUNK_BYTES:
        rest = math.prod(unit) // unit[axis] * itemsize
        unit[axis] = max(MOST_CHUNK_BYTES // rest, 1)
        axis += 1
    return unit


def _grown(unit: list[int], shape: Sequence[int], itemsize: int, aim: int) -> tuple[int, ...]:
    """The unit taken several times along the last axes, up to the aim."""
    grid = list(unit)
    for axis in range(len(grid) - 1, -1, -1):
        times = max(aim // max(math.prod(grid) * itemsize, 1), 1)
        whole = -(-shape[axis] // grid[axis])
        grid[axis] = max(min(grid[axis] * min(times, whole), shape[axis]), 1)
        if times < whole:
            break
    return tuple(grid)


def edges(start: int, stop: int, grid: int) -> list[tuple[int, int]]:
    """Where chunks lie along one axis: cut at multiples of the grid, relative to ``start``."""
    if start == stop:
        return [(0, 0)]
    first = start // grid * grid
    return [(max(at, start) - start, min(at + grid, stop) - start) for at in range(first, stop, grid)]
