"""Boxes of pixels as bytes: read in pieces while earlier ones are sent."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from coverslip.core.errors import TooLarge
from coverslip.core.node import Array
from coverslip.core.spec import ArraySpec, Box
from coverslip.core.stop import Stop
from coverslip.domains.images import Image, Images
from coverslip.domains.planes import bad_selection
from coverslip.domains.pyramid import reduce_by
from coverslip.engine.read import Reader

PIECE_BYTES = 8 << 20
LARGEST_PIECE_BYTES = 64 << 20
"""A piece may grow to this to end where stored chunks end: a chunk cut in two is decoded twice."""
SEND_BYTES = 1 << 20
"""At once to the socket, so that other requests get their turn."""
AHEAD = 2
"""Pieces read while earlier ones are sent."""


@dataclass(frozen=True)
class Cut:
    """A box of one level of an image, and how it is made smaller.

    Attributes
    ----------
    array
        What is read.
    box
        Which elements of it.
    factors
        How many of them become one on each axis.
    how
        As `reduce_by` takes it.
    """

    array: Array
    box: Box
    factors: tuple[int, ...]
    how: str

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the answer."""
        return tuple(-(-n // f) for n, f in zip(self.box.shape, self.factors, strict=True))

    @property
    def nbytes(self) -> int:
        """Bytes of the answer."""
        return math.prod(self.shape) * self.array.spec.dtype.itemsize

    def read(self, box: Box) -> npt.NDArray[Any]:
        """The answer to a part of the box, little-endian and in C order."""
        part = reduce_by(self.array.read(box), self.factors, self.how)
        return np.ascontiguousarray(part, part.dtype.newbyteorder("<"))


def cut(
    image: Image,
    start: Sequence[int] | None,
    stop: Sequence[int] | None,
    factors: Sequence[int] | None = None,
    how: str = "mean",
    level: int = 0,
) -> Cut:
    """The box from ``start`` to ``stop`` of a level; shorter lists leave the later axes whole.

    Raises
    ------
    BadRequest
        With the code ``bad_selection``, when it is outside the image.
    """
    if not 0 <= level < len(image.levels):
        raise bad_selection(f"There is no level {level}; there is 0 to {len(image.levels) - 1}")
    array = image.levels[level].array
    shape = array.spec.shape
    rank = len(shape)
    low = [*(start or ()), *[0] * rank][: max(rank, len(start or ()))]
    high = [*(stop or ()), *shape[len(stop or ()) :]]
    by = [*(factors or ()), *[1] * (rank - len(factors or ()))]
    if len(low) != rank or len(high) != rank or len(by) != rank:
        raise bad_selection(f"The array has {rank} axes: {', '.join(image.dims)}")
    low = [a + n if a < 0 else a for a, n in zip(low, shape, strict=True)]
    high = [b + n if b < 0 else b for b, n in zip(high, shape, strict=True)]
    if any(not 0 <= a <= b <= n for a, b, n in zip(low, high, shape, strict=True)) or any(f < 1 for f in by):
        raise bad_selection(f"{low} to {high} is outside the shape {list(shape)}")
    box = Box(tuple(low), tuple(high))
    if level == 0 and how == "mean":
        coarse = _coarser(image, box, by)
        if coarse is not None:
            return coarse
    return Cut(array, box, tuple(by), how)


def _coarser(image: Image, box: Box, factors: Sequence[int]) -> Cut | None:
    """The same from a level that is kept, where the box falls on its pixels."""
    if len(factors) < 2 or factors[-1] != factors[-2]:
        return None
    for number in range(len(image.levels) - 1, 0, -1):
        step, level = 2**number, image.levels[number]
        ends = zip(box.start[-2:], box.stop[-2:], image.array.spec.shape[-2:], strict=True)
        if factors[-1] % step or any(a % step or (b % step and b != n) for a, b, n in ends):
            continue
        size = level.array.spec.shape[-2:]
        if any(-(-n // step) != m for n, m in zip(image.array.spec.shape[-2:], size, strict=True)):
            continue
        start = (*box.start[:-2], *(a // step for a in box.start[-2:]))
        stop = (*box.stop[:-2], *(-(-b // step) for b in box.stop[-2:]))
        left = (*factors[:-2], factors[-2] // step, factors[-1] // step)
        return Cut(level.array, Box(start, stop), tuple(left), "mean")
    return None


def check_size(cut: Cut, cap_bytes: int) -> None:
    """Raise `TooLarge`, with the cap, for an answer over it."""
    if cut.nbytes > cap_bytes:
        raise TooLarge(
            f"This slice is {cut.nbytes:,} bytes; the cap is {cap_bytes:,} bytes",
            "Ask for less at once, or for a coarser level.",
        )


def pieces(spec: ArraySpec, box: Box, factors: Sequence[int]) -> Iterator[Box]:
    """Parts of a box that follow each other in C order, each small, each ending where stored chunks do if it may."""
    if not math.prod(box.shape):
        return
    axis, inner = len(box.shape) - 1, spec.dtype.itemsize
    while axis > 0 and inner * box.shape[axis] <= PIECE_BYTES:
        inner *= box.shape[axis]
        axis -= 1
    step = max(PIECE_BYTES // inner, 1)
    chunk = spec.chunks[axis] if spec.chunks else 1
    for unit in (math.lcm(chunk, factors[axis]), chunk, factors[axis]):
        if unit * inner <= LARGEST_PIECE_BYTES:
            step = max(step // unit, 1) * unit
            break
    step = max(step // factors[axis], 1) * factors[axis]
    lead = [range(a, b, f) for a, b, f in zip(box.start[:axis], box.stop[:axis], factors, strict=False)]
    for index in np.ndindex(*(len(r) for r in lead)):
        low = tuple(r[i] for r, i in zip(lead, index, strict=True))
        high = tuple(min(i + f, b) for i, f, b in zip(low, factors, box.stop, strict=False))
        at = box.start[axis]
        while at < box.stop[axis]:
            end = (at // step + 1) * step if factors[axis] == 1 else at + step
            end = min(end, box.stop[axis])
            yield Box((*low, at, *box.start[axis + 1 :]), (*high, end, *box.stop[axis + 1 :]))
            at = end


async def stream(cut: Cut, reader: Reader, images: Images) -> AsyncIterator[memoryview]:
    """The bytes of a cut; a few pieces are read ahead, and reading ends when nobody takes them.

    ``images`` is what the cut is from: held until the end, because a source stays open as long as its views live.
    """
    waiting = pieces(cut.array.spec, cut.box, cut.factors)
    tasks: list[asyncio.Task[npt.NDArray[Any]]] = []

    def more() -> None:
        box = next(waiting, None)
        if box is not None:
            tasks.append(asyncio.create_task(reader.run(f"piece {id(cut)} {box}", _reading(cut, box))))

    try:
        for _ in range(AHEAD):
            more()
        while tasks:
            part = await tasks.pop(0)
            more()
            data = memoryview(part.reshape(-1).view(np.uint8).data)
            for at in range(0, len(data), SEND_BYTES):
                yield data[at : at + SEND_BYTES]
    finally:
        for task in tasks:
            task.cancel()
        del images


def _reading(cut: Cut, box: Box) -> Callable[[Stop], npt.NDArray[Any]]:
    def read(stop: Stop) -> npt.NDArray[Any]:
        stop.check()
        return cut.read(box)

    return read
