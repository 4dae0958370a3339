"""Boxes read several at once, and handed out in order."""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from typing import TYPE_CHECKING, Any, TypeVar

from coverslip.client.selection import PIECE_BYTES, Picks, Piece, Selection, pieces

if TYPE_CHECKING:
    import numpy.typing as npt

    from coverslip.client.model import Description
    from coverslip.client.transport import Transport

AT_ONCE = 4
T = TypeVar("T")


def read(transport: Transport, image: Description, level: int, chosen: Selection) -> npt.NDArray[Any]:
    """The elements of a selection, in a new array."""
    import numpy as np

    dtype = image.numpy_dtype
    whole = np.empty(chosen.shape, dtype)
    parts = pieces(chosen.picks, image.levels[level].chunks, dtype.itemsize)

    def fetch(piece: Piece) -> None:
        if piece.all:
            transport.read(image, level, piece.start, piece.stop, whole[piece.into])
        else:
            whole[piece.into] = transport.read(image, level, piece.start, piece.stop)[piece.take]

    with closing(each(transport, fetch, parts)) as done:
        for _ in done:
            pass
    answer: npt.NDArray[Any] = whole[chosen.view]
    return answer


def blocks(
    transport: Transport, image: Description, level: int, ranges: Sequence[Picks], most: int = PIECE_BYTES
) -> Generator[tuple[tuple[slice, ...], npt.NDArray[Any]], None, None]:
    """Parts of a box one after another in C order: where each lies in the box, and its elements.

    At most `AT_ONCE` of them are in memory beside the one handed out.
    """
    parts = pieces(ranges, image.levels[level].chunks, image.numpy_dtype.itemsize, most)

    def fetch(piece: Piece) -> tuple[tuple[slice, ...], npt.NDArray[Any]]:
        return piece.into, transport.read(image, level, piece.start, piece.stop)

    return each(transport, fetch, parts)


def each(transport: Transport, fetch: Callable[[Piece], T], parts: Iterator[Piece]) -> Generator[T, None, None]:
    """Results in order; a few are made ahead. Whoever stops listening ends the reads under way."""
    first, second = next(parts, None), next(parts, None)
    if first is None:
        return
    if second is None:  # most reads are one request: no thread for that
        yield fetch(first)
        return
    pool = ThreadPoolExecutor(AT_ONCE, "coverslip-client")
    waiting: deque[Future[T]] = deque(pool.submit(fetch, piece) for piece in (first, second))
    try:
        for piece in parts:
            waiting.append(pool.submit(fetch, piece))
            if len(waiting) > AT_ONCE:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    except KeyboardInterrupt:  # whoever asked for it does not wait for a server that may say nothing
        pool.shutdown(wait=False, cancel_futures=True)
        transport.cancel()
        raise
    finally:
        pool.shutdown(wait=sys.exc_info()[0] is not KeyboardInterrupt, cancel_futures=True)
