"""HDF5 files that are open already, as objects h5py reads: changed in place, or still being written (SWMR).

HDF5 takes a file that is opened a second time in one process for the one it knows, and what it knew of it for what
is in it. Opened through an object of ours, each opening stands for itself.

Source: HDF5 File Format Specification 3.0, II.A (superblock); Bob Jenkins, lookup3.c (the checksum of metadata).
"""

from __future__ import annotations

import io
import os
from collections import OrderedDict
from functools import partial
from typing import Any

from coverslip.core.patience import PATIENCE

SIGNATURE = b"\x89HDF\r\n\x1a\n"
WRITER, SWMR_WRITER = 1, 4
HEAD_BYTES = 48
"""A superblock of version 3 with addresses of 8 bytes: signature, version, sizes, flags, four addresses, checksum."""
FLAGS_AT, EOF_AT, SUM_AT = 11, 28, 44
WORD = 0xFFFFFFFF
BLOCK_BYTES, MOST_BLOCKS = 1 << 14, 64
"""What is read at once of a file on a network disk, and how much of it is kept for each."""
LAST = (1 << 62) - 1
"""The largest position that the system takes."""


class Bytes(io.RawIOBase):
    """An open file as an object with a position of its own; closing it leaves the file open."""

    def __init__(self, fd: int) -> None:
        self._fd, self._at = fd, 0

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to a position."""
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._at}.get(whence)
        self._at = offset + (os.fstat(self._fd).st_size if start is None else start)
        return self._at

    def tell(self) -> int:
        """The position."""
        return self._at

    def readinto(self, buffer: Any) -> int:
        """Read on into a buffer."""
        if not 0 <= self._at <= LAST:  # a damaged address
            raise OSError("There is nothing at that position of the file")
        got = os.preadv(self._fd, [buffer], self._at)
        self._at += got
        return got

    def readable(self) -> bool:
        """It is."""
        return True

    def seekable(self) -> bool:
        """It is."""
        return True


class Unmarked(Bytes):
    """The same without the mark of its writer, ending where the file ends now.

    A writer that allows readers writes metadata in an order that leaves every moment's file whole.
    """

    def __init__(self, fd: int) -> None:
        super().__init__(fd)
        head = bytearray(os.pread(fd, HEAD_BYTES, 0))
        head[FLAGS_AT] = 0
        head[EOF_AT : EOF_AT + 8] = os.fstat(fd).st_size.to_bytes(8, "little")
        head[SUM_AT:] = lookup3(bytes(head[:SUM_AT])).to_bytes(4, "little")
        self._head = bytes(head)

    def readinto(self, buffer: Any) -> int:
        """Read on into a buffer."""
        at = self._at
        got = super().readinto(buffer)
        if at < HEAD_BYTES:
            shown = self._head[at : at + got]
            memoryview(buffer).cast("B")[: len(shown)] = shown
        return got


class Cut(Bytes):
    """The same as long as it once was, where the file was cut short: what is missing cannot be read.

    Parameters
    ----------
    size
        How long the file says it is.
    """

    def __init__(self, fd: int, size: int) -> None:
        super().__init__(fd)
        self._size = size

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to a position."""
        if whence == os.SEEK_END:
            self._at = self._size + offset
            return self._at
        return super().seek(offset, whence)

    def readinto(self, buffer: Any) -> int:
        """Read on into a buffer, all of it or nothing."""
        if super().readinto(buffer) < memoryview(buffer).nbytes:
            raise OSError("The file was cut short, and this is missing")
        return memoryview(buffer).nbytes


class Patient(Bytes):
    """The same on storage that may not answer, which would hold up everybody: HDF5 reads with its lock held.

    Parameters
    ----------
    place
        The storage.
    """

    def __init__(self, fd: int, place: str) -> None:
        super().__init__(fd)
        self._place = place
        self._size = PATIENCE.ask(place, lambda: os.fstat(fd).st_size)
        self._blocks: OrderedDict[int, bytes] = OrderedDict()

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to a position; how long the file was when it was opened is known."""
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._at}.get(whence, self._size)
        self._at = start + offset
        return self._at

    def readinto(self, buffer: Any) -> int:
        """Read on into a buffer; a little from blocks that were read before."""
        if not 0 <= self._at <= LAST:  # a damaged address
            raise OSError("There is nothing at that position of the file")
        target = memoryview(buffer).cast("B")
        first, last = self._at // BLOCK_BYTES, (self._at + len(target) - 1) // BLOCK_BYTES
        if last > first + 1:
            part = self._read(len(target), self._at)  # not into the buffer: HDF5 may have freed it when bytes come
        else:
            data = b"".join(self._block(number) for number in range(first, last + 1))
            part = data[self._at - first * BLOCK_BYTES :][: len(target)]
        target[: len(part)] = part
        self._at += len(part)
        return len(part)

    def _block(self, number: int) -> bytes:
        if (kept := self._blocks.get(number)) is not None:
            self._blocks.move_to_end(number)
            return kept
        data = self._read(BLOCK_BYTES, number * BLOCK_BYTES)
        self._blocks[number] = data
        if len(self._blocks) > MOST_BLOCKS:
            self._blocks.popitem(last=False)
        return data

    def _read(self, size: int, at: int) -> bytes:
        data: bytes = PATIENCE.ask(self._place, partial(os.pread, self._fd, size, at))
        return data


def told_size(fd: int) -> int:
    """How long a file says it is; 0 when it does not."""
    head = os.pread(fd, HEAD_BYTES, 0)
    if len(head) < HEAD_BYTES or head[:8] != SIGNATURE:
        return 0
    at = 40 if head[8] < 2 else EOF_AT
    sizes = head[13:15] if head[8] < 2 else head[9:11]
    return int.from_bytes(head[at : at + 8], "little") if sizes == b"\x08\x08" else 0


def marks(fd: int) -> int:
    """The consistency flags of a superblock of version 3."""
    head = os.pread(fd, HEAD_BYTES, 0)
    plain = len(head) == HEAD_BYTES and head[:8] == SIGNATURE and head[8] >= 3 and head[9:11] == b"\x08\x08"
    return head[FLAGS_AT] if plain else 0


def lookup3(data: bytes) -> int:
    """Jenkins' lookup3 (``hashlittle`` with 0), as HDF5 sums up metadata."""
    a = b = c = (0xDEADBEEF + len(data)) & WORD
    at = 0
    while len(data) - at > 12:
        a, b, c = _mixed(*_added(a, b, c, data[at : at + 12]))
        at += 12
    rest = data[at:]
    if not rest:
        return c
    return _ended(*_added(a, b, c, rest.ljust(12, b"\0")))


def _added(a: int, b: int, c: int, block: bytes) -> tuple[int, int, int]:
    x, y, z = (int.from_bytes(block[i : i + 4], "little") for i in (0, 4, 8))
    return (a + x) & WORD, (b + y) & WORD, (c + z) & WORD


def _turned(value: int, bits: int) -> int:
    return ((value << bits) | (value >> (32 - bits))) & WORD


def _mixed(a: int, b: int, c: int) -> tuple[int, int, int]:
    for bits in ((4, 6, 8), (16, 19, 4)):
        a = ((a - c) & WORD) ^ _turned(c, bits[0])
        c = (c + b) & WORD
        b = ((b - a) & WORD) ^ _turned(a, bits[1])
        a = (a + c) & WORD
        c = ((c - b) & WORD) ^ _turned(b, bits[2])
        b = (b + a) & WORD
    return a, b, c


def _ended(a: int, b: int, c: int) -> int:
    c = ((c ^ b) - _turned(b, 14)) & WORD
    a = ((a ^ c) - _turned(c, 11)) & WORD
    b = ((b ^ a) - _turned(a, 25)) & WORD
    c = ((c ^ b) - _turned(b, 16)) & WORD
    a = ((a ^ c) - _turned(c, 4)) & WORD
    b = ((b ^ a) - _turned(a, 14)) & WORD
    return ((c ^ b) - _turned(b, 24)) & WORD
