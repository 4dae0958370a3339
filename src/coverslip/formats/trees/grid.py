"""Which chunks of a regular grid a box touches, and where they meet."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

from coverslip.core.spec import Box

Slices = tuple[slice, ...]


def touched(box: Box, grid: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
    """Numbers of the chunks of shape ``grid`` that a box touches."""
    return product(*(range(a // n, -(-b // n)) for a, b, n in zip(box.start, box.stop, grid, strict=True)))


def meeting(box: Box, index: tuple[int, ...], grid: tuple[int, ...]) -> tuple[Slices, Slices]:
    """Where a chunk and a box meet: as part of the box, and as part of the chunk."""
    into, part = [], []
    for a, b, i, n in zip(box.start, box.stop, index, grid, strict=True):
        low, high = max(a, i * n), min(b, (i + 1) * n)
        into.append(slice(low - a, high - a))
        part.append(slice(low - i * n, high - i * n))
    return tuple(into), tuple(part)
