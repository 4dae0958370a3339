"""Chunks of an array: as they are stored where the client reads them so, else read, padded and little-endian."""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from coverslip.core.ability import RawChunks, raw_chunks
from coverslip.core.errors import NotFound
from coverslip.core.node import Array
from coverslip.core.spec import Box
from coverslip.core.stop import NEVER, Stop
from coverslip.domains.pyramid import read
from coverslip.fronts.zarr.documents import grid

KEY = re.compile(
    r"(?:(?P<image>.+)/)?(?P<level>NUMBER)/c(?P<index>(?:/NUMBER)*)".replace("NUMBER", r"(?:0|[1-9][0-9]{0,14})")
)


def parse(path: str) -> tuple[str, int, tuple[int, ...]] | None:
    """The image, the level and the chunk's index of a key, or None when it is no chunk's key."""
    found = KEY.fullmatch(path)
    if found is None:
        return None
    index = tuple(int(i) for i in found["index"].split("/")[1:])
    return found["image"] or "", int(found["level"]), index


def stored(array: Array, index: tuple[int, ...]) -> tuple[RawChunks, int] | None:
    """The array as one that hands out stored chunks, and the size of this one in bytes; None when it does not.

    Raises
    ------
    NotFound
        When the grid has no such chunk, or it is not stored and stands for the fill value.
    """
    _check(array, index)
    raw = raw_chunks(array)
    if raw is None:
        return None
    size = raw.stored_size(index)
    if size is None:
        raise NotFound("This chunk holds the fill value only", "", "chunk_not_found")
    return raw, size


def made(array: Array, index: tuple[int, ...], stop: Stop = NEVER) -> memoryview:
    """The bytes of a chunk, read, padded to the full shape, little-endian."""
    _check(array, index)
    chunks = grid(array)
    start = tuple(i * c for i, c in zip(index, chunks, strict=True))
    end = tuple(min(a + c, n) for a, c, n in zip(start, chunks, array.spec.shape, strict=True))
    part: np.ndarray[Any, Any] = read(array, Box(start, end), stop)
    dtype = part.dtype.newbyteorder("<")
    if part.shape != chunks:
        whole = np.zeros(chunks, dtype)
        whole[tuple(slice(0, n) for n in part.shape)] = part
        part = whole
    return memoryview(np.ascontiguousarray(part, dtype).reshape(-1).view(np.uint8).data)


def _check(array: Array, index: tuple[int, ...]) -> None:
    shape, chunks = array.spec.shape, grid(array)
    if len(index) != len(shape) or any(i * c >= n for i, c, n in zip(index, chunks, shape, strict=True)):
        raise NotFound("There is no such chunk", "zarr.json tells the grid.", "chunk_not_found")
