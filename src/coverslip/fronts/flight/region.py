"""What one plan reads, as clients carry it around: bytes that they do not understand and give back."""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass

from coverslip.core.errors import BadRequest
from coverslip.core.spec import Box
from coverslip.fronts.flight.grid import edges

FORMAT = 1
MAGIC = 0xC5
HEAD = struct.Struct(">BB8sBBH")
NUMBERS = 4
"""Of each axis: low, high, scale, grid."""
MOST_AXES = 32
METHODS = ("", "nearest", "area", "precompute")


@dataclass(frozen=True, slots=True)
class Region:
    """A box of a tensor, how it is made smaller, and the grid it is cut into.

    Attributes
    ----------
    array_id
        Of the tensor.
    version
        Of its content when it was planned.
    low, high
        The box, in elements that are sent, counted from the tensor's origin.
    scale
        How many elements of the tensor become one on each axis.
    method
        How: ``nearest``, ``area`` or ``precompute``; empty where nothing becomes smaller.
    grid
        Elements of a chunk; chunks are cut at its multiples, counted from the tensor's origin.
    """

    array_id: str
    version: bytes
    low: tuple[int, ...]
    high: tuple[int, ...]
    scale: tuple[int, ...]
    method: str
    grid: tuple[int, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        """Elements that are sent."""
        return tuple(b - a for a, b in zip(self.low, self.high, strict=True))

    def box(self, shape: Sequence[int]) -> Box:
        """The same box in elements of level 0, of this shape."""
        return self.under(Box(self.low, self.high), shape)

    def under(self, box: Box, shape: Sequence[int]) -> Box:
        """What of level 0 becomes a box of elements that are sent."""
        start = tuple(a * s for a, s in zip(box.start, self.scale, strict=True))
        return Box(start, tuple(min(b * s, n) for b, s, n in zip(box.stop, self.scale, shape, strict=True)))

    def edges(self) -> list[list[tuple[int, int]]]:
        """Chunks along each axis, relative to the region."""
        return [edges(a, b, g) for a, b, g in zip(self.low, self.high, self.grid, strict=True)]

    @property
    def counts(self) -> tuple[int, ...]:
        """How many chunks there are along each axis."""
        return tuple(max(-(-b // g) - a // g, 1) for a, b, g in zip(self.low, self.high, self.grid, strict=True))

    def chunk(self, index: Sequence[int]) -> Box:
        """One chunk, in elements that are sent, counted from the tensor's origin.

        Raises
        ------
        BadRequest
            When there is no such chunk.
        """
        if len(index) != len(self.grid) or any(not 0 <= i < n for i, n in zip(index, self.counts, strict=True)):
            raise BadRequest(
                "The ticket names a chunk that the plan does not have", "Plan the read again.", "malformed"
            )
        first = [a // g * g + i * g for a, g, i in zip(self.low, self.grid, index, strict=True)]
        start = tuple(max(f, a) for f, a in zip(first, self.low, strict=True))
        stop = tuple(min(f + g, b) for f, g, b in zip(first, self.grid, self.high, strict=True))
        return Box(start, stop)

    @property
    def largest(self) -> int:
        """Elements of the largest chunk."""
        return math.prod(min(g, n) for g, n in zip(self.grid, self.shape, strict=True))

    def pack(self) -> bytes:
        """The same as bytes: equal for equal regions."""
        name = self.array_id.encode()
        head = HEAD.pack(MAGIC, FORMAT, self.version, METHODS.index(self.method), len(self.grid), len(name))
        numbers = (*self.low, *self.high, *self.scale, *self.grid)
        return head + struct.pack(f">{len(numbers)}q", *numbers) + name

    @classmethod
    def unpack(cls, data: bytes) -> tuple[Region, bytes]:
        """A region, and the bytes after it.

        Raises
        ------
        BadRequest
            When the bytes are none: they come from a client, which may have made them up.
        """
        try:
            magic, form, version, method, rank, length = HEAD.unpack_from(data)
            if (magic, form) != (MAGIC, FORMAT) or method >= len(METHODS) or not 0 < rank <= MOST_AXES:
                raise _malformed()
            numbers = struct.unpack_from(f">{NUMBERS * rank}q", data, HEAD.size)
            at = HEAD.size + 8 * NUMBERS * rank
            name = data[at : at + length].decode()
        except (struct.error, UnicodeDecodeError):
            raise _malformed() from None
        low, high, scale, grid = (numbers[i * rank : (i + 1) * rank] for i in range(NUMBERS))
        sound = all(0 <= a <= b for a, b in zip(low, high, strict=True)) and min(*scale, *grid) >= 1
        if len(data) < at + length or not sound:
            raise _malformed()
        return cls(name, version, low, high, scale, METHODS[method], grid), data[at + length :]


def pack_index(index: Sequence[int]) -> bytes:
    """The number of a chunk along each axis, after its region."""
    return struct.pack(f">{len(index)}I", *index)


def unpack_index(data: bytes, rank: int) -> tuple[int, ...]:
    """As `pack_index` made it.

    Raises
    ------
    BadRequest
        When it is not of this rank.
    """
    if len(data) != 4 * rank:
        raise _malformed()
    return struct.unpack(f">{rank}I", data)


def _malformed() -> BadRequest:
    return BadRequest("This is no ticket of this server", "Plan the read again.", "malformed")
