"""Smallest, largest and mean value of a part of an image, read block by block."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from coverslip.client.reading import each
from coverslip.client.selection import Piece, pieces
from coverslip.core.errors import BadRequest

if TYPE_CHECKING:
    import numpy.typing as npt

    from coverslip.client.model import Description
    from coverslip.client.transport import Transport

Number = int | float


@dataclass(frozen=True)
class Figures:
    """Figures of numbers.

    Attributes
    ----------
    low, high
        Smallest and largest value; infinite when there is none. Exact for integers.
    total
        Their sum; exact for integers.
    count
        How many numbers there are.
    nan
        How many more elements are no number (NaN).
    """

    low: Number = math.inf
    high: Number = -math.inf
    total: Number = 0
    count: int = 0
    nan: int = 0

    @property
    def mean(self) -> float:
        """NaN of nothing."""
        return self.total / self.count if self.count else math.nan

    def __add__(self, other: Figures) -> Figures:
        return Figures(
            min(self.low, other.low), max(self.high, other.high), self.total + other.total,
            self.count + other.count, self.nan + other.nan,
        )  # fmt: skip


def figures_of(values: npt.NDArray[Any]) -> Figures:
    """Of all elements of an array."""
    import numpy as np

    if values.dtype.kind == "b":
        values = values.view(np.uint8)
    nan = 0
    if values.dtype.kind == "f":
        missing = np.isnan(values)
        nan = int(np.count_nonzero(missing))
        if nan:
            values = values[~missing]
    if not values.size:
        return Figures(nan=nan)
    return Figures(values.min().item(), values.max().item(), _sum(values), values.size, nan)


def _sum(values: npt.NDArray[Any]) -> Number:
    """Exact for integers of whatever size."""
    import numpy as np

    if values.dtype.kind == "f":
        return float(values.sum(dtype=np.float64))
    wide = np.uint64 if values.dtype.kind == "u" else np.int64
    if values.dtype.itemsize < 8:
        return int(values.sum(dtype=wide))
    low = values.astype(wide) & wide(0xFFFFFFFF)
    return (int((values >> wide(32)).sum(dtype=wide)) << 32) + int(low.sum(dtype=wide))


def stream_figures(
    transport: Transport,
    image: Description,
    level: int,
    ranges: Sequence[range],
    progress: Callable[[int], None] = lambda n: None,
) -> Figures:
    """Of a box of an image; a few blocks of about 16 MB are in memory at once.

    Parameters
    ----------
    progress
        Told the number of elements of each block that is done.

    Raises
    ------
    BadRequest
        For complex numbers, of which none is the smallest, and for an empty box.
    """
    dtype = image.numpy_dtype
    if dtype.kind not in "biuf":
        raise BadRequest(f"Elements of type {dtype} have no smallest and largest one")
    if not all(len(r) for r in ranges):
        raise BadRequest("The region is empty", "Name a region with start below stop.")

    def fetch(piece: Piece) -> tuple[Figures, int]:
        values = transport.read(image, level, piece.start, piece.stop)
        return figures_of(values), values.size

    found = Figures()
    with closing(each(transport, fetch, pieces(ranges, image.levels[level].chunks, dtype.itemsize))) as done:
        for part, n in done:
            found += part
            progress(n)
    return found
