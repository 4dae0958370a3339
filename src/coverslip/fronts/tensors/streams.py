"""Boxes of pixels as bytes: read in pieces while earlier ones are sent."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Any

import numpy as np
import numpy.typing as npt

from coverslip.core.errors import TooLarge
from coverslip.core.node import Array
from coverslip.core.spec import ArraySpec, Box
from coverslip.core.stop import NEVER, Stop
from coverslip.domains.images import Image, Images
from coverslip.domains.planes import bad_selection
from coverslip.domains.pyramid import read, reduce_by
from coverslip.engine.read import SHORT_S, Reader

PIECE_BYTES = 8 << 20
LARGEST_PIECE_BYTES = 64 << 20
"""A piece may grow to this to end where stored chunks end: a chunk cut in two is decoded twice."""
MOST_ONE_BYTES = 256 << 20
"""What may become one element of an answer: it is read at once."""
SEND_BYTES = 1 << 20
"""At once to the socket, so that other requests get their turn."""
AHEAD = 2
"""Pieces read while earlier ones are sent."""
FEW = 4
"""While more blocks are sent at once, none is read ahead: a slow client holds one piece in memory then."""


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

    @property
    def one_bytes(self) -> int:
        """Bytes that become one element of the answer."""
        spec = self.array.spec
        return math.prod(min(f, n) for f, n in zip(self.factors, self.box.shape, strict=True)) * spec.dtype.itemsize

    def first_plane(self, whole: int | None = None) -> Box:
        """The part of the box that becomes the first plane of the answer; the axis ``whole`` is left as it is."""
        start, factors = self.box.start, self.factors
        stop = list(self.box.stop)
        for axis in range(len(stop) - 2):
            if axis != whole:
                stop[axis] = min(start[axis] + factors[axis], stop[axis])
        return Box(start, tuple(stop))

    def read(self, box: Box, stop: Stop = NEVER) -> npt.NDArray[Any]:
        """The answer to a part of the box, little-endian and in C order; much of it is read part by part."""
        spec = self.array.spec
        if all(f == 1 for f in self.factors):
            whole = read(self.array, box, stop)
        else:
            whole = np.empty(tuple(-(-n // f) for n, f in zip(box.shape, self.factors, strict=True)), spec.dtype)
            for into in _parts(whole.shape, max(LARGEST_PIECE_BYTES // max(self.one_bytes, 1), 1)):
                part = read(self.array, self._under(into, box), stop)
                whole[into] = reduce_by(part, self.factors, self.how)
        return np.ascontiguousarray(whole, spec.dtype.newbyteorder("<"))

    def _under(self, into: tuple[slice, ...], box: Box) -> Box:
        """The part of ``box`` that becomes these elements of its answer."""
        low = (a + i.start * f for a, i, f in zip(box.start, into, self.factors, strict=True))
        high = (a + i.stop * f for a, i, f in zip(box.start, into, self.factors, strict=True))
        return Box(tuple(low), tuple(map(min, high, box.stop)))


def _parts(shape: tuple[int, ...], most: int) -> Iterator[tuple[slice, ...]]:
    """Parts of at most ``most`` elements that cover an array of this shape, long along the last axes."""
    sizes = [1] * len(shape)
    for axis in range(len(shape) - 1, -1, -1):
        sizes[axis] = max(min(shape[axis], most), 1)
        most //= sizes[axis]
    for index in np.ndindex(*(-(-n // size) for n, size in zip(shape, sizes, strict=True))):
        yield tuple(slice(i * s, min(i * s + s, n)) for i, s, n in zip(index, sizes, shape, strict=True))


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
    """Raise `TooLarge`, with the cap, for an answer over it, or one of which each element stands for too many."""
    if cut.nbytes and cut.one_bytes > MOST_ONE_BYTES:
        raise TooLarge(
            f"One element of this answer is made of {cut.one_bytes:,} bytes; the cap is {MOST_ONE_BYTES:,} bytes",
            "Ask for a coarser level with level=.",
        )
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


async def stream(cut: Cut, reader: Reader, images: Images, ahead: int = AHEAD) -> AsyncIterator[memoryview]:
    """The bytes of a cut; ``ahead`` pieces are read ahead, and reading ends when nobody takes them.

    ``images`` is what the cut is from: held until the end, because a source stays open as long as its views live.
    """
    waiting = pieces(cut.array.spec, cut.box, cut.factors)
    tasks: list[asyncio.Task[npt.NDArray[Any]]] = []
    mine = object()

    def more(count: int) -> None:
        for box in islice(waiting, max(count - len(tasks), 0)):
            work = partial(_read_piece, cut, box)
            task = asyncio.create_task(reader.run((mine, box), work, within_s=SHORT_S))
            task.add_done_callback(_seen)
            tasks.append(task)

    sent = memoryview(b"")
    try:
        more(max(ahead, 1))
        while tasks:
            part = await tasks.pop(0)
            more(ahead)
            data = memoryview(part.reshape(-1).view(np.uint8).data)
            del part
            for at in range(0, len(data), SEND_BYTES):
                sent = data[at : at + SEND_BYTES]
                yield sent
            del data
            more(max(ahead, 1))
    finally:
        for task in tasks:
            task.cancel()
        del images
        with suppress(BufferError):  # still on its way
            # What sent it may be held by the traces of a cancelled task until memory is collected.
            sent.release()


def _seen(task: asyncio.Task[npt.NDArray[Any]]) -> None:
    """An error in what was read ahead and is not wanted any more is nobody's concern."""
    if not task.cancelled():
        task.exception()


def _read_piece(cut: Cut, box: Box, stop: Stop) -> npt.NDArray[Any]:
    return cut.read(box, stop)
