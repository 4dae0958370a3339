"""Blocks of pixels on their way: in order, read a little ahead, and given up when nobody takes them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import numpy as np
import pytest

from coverslip.core.node import Array, Group, Source
from coverslip.core.spec import ArraySpec, Box
from coverslip.core.tree import MemoryGroup
from coverslip.domains.images import Images
from coverslip.engine.read import Reader
from coverslip.fronts.tensors.streams import PIECE_BYTES, Cut, cut, stream

PLANES = 40


class Planes(Array):
    """40 planes of 8 MiB, each filled with its number."""

    def __init__(self) -> None:
        self.attrs, self.read_planes = {}, []
        self.fails_at = PLANES

    @property
    def spec(self) -> ArraySpec:
        return ArraySpec((PLANES, 2048, PIECE_BYTES // 2048), np.dtype(np.uint8), (1, 2048, PIECE_BYTES // 2048))

    def read(self, box: Box) -> np.ndarray[Any, Any]:
        if box.start[0] >= self.fails_at:
            raise OSError("the disk is gone")
        self.read_planes.append(box.start[0])
        return np.full(box.shape, box.start[0], np.uint8)


class Tree(Source):
    def __init__(self, root: Group) -> None:
        self.root, self.etag, self.modified_s = root, "v1", 0.0

    def fresh(self) -> bool:
        return True


def sending(work: Callable[[Planes, Cut, Images, Reader], Awaitable[None]]) -> None:
    """Do something with a block of all planes."""

    async def run() -> None:
        array, reader = Planes(), Reader(2)
        images = Images(Tree(MemoryGroup({"a": array})))
        try:
            await asyncio.wait_for(work(array, cut(images["a"], None, None), images, reader), 60)
        finally:
            reader.close()

    asyncio.run(run())


def test_all_planes_in_order_and_not_all_at_once() -> None:
    async def take(array: Planes, part: Cut, images: Images, reader: Reader) -> None:
        seen, size = [], 0
        async for data in stream(part, reader, images):
            assert len(array.read_planes) <= size // PIECE_BYTES + 4
            seen.append(data[0])
            size += len(data)
        assert size == part.nbytes
        assert seen == sorted(seen)
        assert sorted(array.read_planes) == list(range(PLANES))

    sending(take)


@pytest.mark.parametrize(("ahead", "most"), [(0, 1), (1, 2), (2, 3)])
def test_who_takes_nothing_holds_little(ahead: int, most: int) -> None:
    async def wait(array: Planes, part: Cut, images: Images, reader: Reader) -> None:
        parts = stream(part, reader, images, ahead)
        await anext(parts)
        await asyncio.sleep(0.2)
        assert len(array.read_planes) == most
        await parts.aclose()  # type: ignore[attr-defined]

    sending(wait)


def test_what_is_given_up_is_read_no_further_and_let_go() -> None:
    async def leave(array: Planes, part: Cut, images: Images, reader: Reader) -> None:
        parts = stream(part, reader, images)
        data = await anext(parts)
        await parts.aclose()  # type: ignore[attr-defined]
        await asyncio.sleep(0.1)
        done = len(array.read_planes)
        await asyncio.sleep(0.1)
        assert len(array.read_planes) == done <= 3
        with pytest.raises(ValueError, match="released"):  # whoever was sending it may hold it for long
            data[0]

    sending(leave)


def test_an_error_on_the_way_ends_it() -> None:
    async def fail(array: Planes, part: Cut, images: Images, reader: Reader) -> None:
        array.fails_at = 5

        async def take() -> int:
            return sum([len(data) async for data in stream(part, reader, images)])

        with pytest.raises(OSError, match="disk"):
            await take()
        assert sorted(array.read_planes) == list(range(5))

    sending(fail)
