"""Bytes and directories of TIFF files, read at any position from any thread.

File descriptors are opened when first needed and held in one pool, so that thousands of opened sources and sets of
thousands of files keep few of them open. Directories (IFD) are parsed one at a time, when a plane of theirs is read.

Source: TIFF 6.0 (Adobe 1992); BigTIFF (AWare Systems).
"""

from __future__ import annotations

import itertools
import os
import struct
import threading
from collections import OrderedDict, deque
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from coverslip.core.errors import Damaged, NotFound, Unreadable
from coverslip.core.format import file_etag

MOST_OPEN = 48
"""Descriptors kept open for all TIFF sources together."""
PREAD_BYTES = 1 << 24
"""One system call reads at most this much."""
MOST_TAGS = 4096
MOST_VALUE_BYTES = 1 << 28
COPY_AGAIN = "The file is truncated or still being copied; copy it again."


class _Handle:
    def __init__(self, fd: int) -> None:
        self.fd = fd
        self.users = 0
        self.closed = False


_pool: OrderedDict[int, _Handle] = OrderedDict()
_lock = threading.Lock()
_numbers = itertools.count()
_left: deque[int] = deque()
"""Keys in the pool of files that are gone. Memory is collected in any thread at any allocation, also in one that holds
the lock, which must not wait for itself then; a deque needs none."""


def _close(key: int) -> None:
    """Give one descriptor back, or have its last user do that; called with the lock held."""
    handle = _pool.pop(key, None)
    if handle is not None:
        handle.closed = True
        if not handle.users:
            os.close(handle.fd)


def _sweep() -> None:
    """Give back the descriptors of files that are gone; called with the lock held."""
    while _left:
        _close(_left.popleft())


def _evict() -> None:
    """Close the descriptors unused longest; called with the lock held."""
    _sweep()
    for key in list(_pool):
        if len(_pool) <= MOST_OPEN:
            return
        if not _pool[key].users:
            os.close(_pool.pop(key).fd)


class FileBytes:
    """One file on disk.

    Parameters
    ----------
    path
        The file; it is not opened yet.
    name
        What errors call it.
    """

    def __init__(self, path: Path, name: str | None = None) -> None:
        self.path = path
        self.name = name or path.name
        try:
            stat = path.stat()
        except FileNotFoundError as error:
            raise Damaged(f"{self.name} is missing", "Copy all files of the set into one folder.") from error
        except OSError as error:
            raise self._refused(error) from error
        self.size = stat.st_size
        self.version = file_etag(stat)
        self._key = next(_numbers)  # an address in memory is another file's as soon as this one is gone
        self._closed = False
        self._seek = threading.Lock()

    def _refused(self, error: OSError) -> Unreadable:
        return Unreadable(f"Cannot read {self.name}: {error.strerror}", "Check who may read it: ls -l.")

    @contextmanager
    def opened(self) -> Iterator[int]:
        """The file's descriptor, kept open until the block ends."""
        handle = self._acquire()
        try:
            yield handle.fd
        finally:
            with _lock:
                handle.users -= 1
                if handle.closed and not handle.users:
                    os.close(handle.fd)

    def _acquire(self) -> _Handle:
        with _lock:
            handle = _pool.get(self._key)
            if handle is not None:
                handle.users += 1
                _pool.move_to_end(self._key)
                return handle
        fd = self._open()
        with _lock:
            handle = _pool.get(self._key)
            if handle is not None or self._closed:
                os.close(fd)
            if self._closed:
                raise NotFound(f"{self.name} was closed", "Open it again.")
            if handle is None:
                handle = _pool[self._key] = _Handle(fd)
            handle.users += 1
            _evict()
            return handle

    def _open(self) -> int:
        try:
            fd = os.open(self.path, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0))
        except OSError as error:
            raise self._refused(error) from error
        if file_etag(os.fstat(fd)) != self.version:
            os.close(fd)
            raise Damaged(f"{self.name} was changed while it was read", "Ask again.")
        return fd

    def read(self, offset: int, count: int) -> bytes:
        """Exactly ``count`` bytes from ``offset``."""
        if offset < 0 or count < 0 or offset + count > self.size:
            raise self.short()
        with self.opened() as fd:
            if count <= PREAD_BYTES:
                data = self._pread(fd, count, offset)
                if len(data) == count:
                    return data
        into = bytearray(count)
        self.read_into(offset, memoryview(into))
        return bytes(into)

    def read_into(self, offset: int, target: memoryview) -> None:
        """Fill ``target`` with the bytes from ``offset``."""
        if offset < 0 or offset + len(target) > self.size:
            raise self.short()
        with self.opened() as fd:
            done = 0
            while done < len(target):
                got = self._fill(fd, target[done : done + PREAD_BYTES], offset + done)
                if got == 0:
                    raise self.short()
                done += got

    def read_strided(self, offset: int, stride: int, target: memoryview, count: int) -> None:
        """Fill ``target`` with ``count`` equal parts of the file, the first at ``offset``, ``stride`` bytes apart."""
        size = len(target) // count
        if offset < 0 or offset + (count - 1) * stride + size > self.size:
            raise self.short()
        with self.opened() as fd:
            for i in range(count):
                if self._fill(fd, target[i * size : (i + 1) * size], offset + i * stride) != size:
                    raise self.short()

    def _pread(self, fd: int, count: int, offset: int) -> bytes:
        try:
            if hasattr(os, "pread"):
                return os.pread(fd, count, offset)
            with self._seek:
                os.lseek(fd, offset, os.SEEK_SET)
                return os.read(fd, count)
        except OSError as error:
            raise self._refused(error) from error

    def _fill(self, fd: int, target: memoryview, offset: int) -> int:
        if not hasattr(os, "preadv"):
            data = self._pread(fd, len(target), offset)
            target[: len(data)] = data
            return len(data)
        try:
            return os.preadv(fd, [target], offset)
        except OSError as error:
            raise self._refused(error) from error

    def short(self) -> Damaged:
        """The error for a file that ends too early."""
        return Damaged(f"{self.name} ends too early", COPY_AGAIN)

    def close(self) -> None:
        """Give the descriptor back; whoever is reading finishes."""
        with _lock:
            self._closed = True
            _close(self._key)
            _sweep()

    def __del__(self) -> None:
        if getattr(self, "_closed", True):
            return
        _left.append(self._key)
        if _lock.acquire(blocking=False):
            try:
                _sweep()
            finally:
                _lock.release()


# How numpy reads the values of each TIFF type; rationals and floats are not needed here.
TYPES = {1: "u1", 2: "S1", 3: "u2", 4: "u4", 6: "i1", 7: "u1", 8: "i2", 9: "i4", 13: "u4", 16: "u8", 17: "i8", 18: "u8"}

WIDTH, LENGTH, DESCRIPTION, SUB_IFDS, JPEG_TABLES = 256, 257, 270, 330, 347
OFFSETS, COUNTS = (324, 273), (325, 279)
LAYOUT = (256, 257, 258, 259, 262, 266, 277, 278, 284, 317, 322, 323, 338, 339, 530, 32997, 32998)
"""Tags that decide how a page is decoded; pages in which all of them are equal share one decoder."""


class Directory:
    """One image file directory (IFD): where the segments of a page lie."""

    def __init__(self, file: FileBytes, offset: int, order: str, big: bool) -> None:
        self.file = file
        self.offset = offset
        self.segments: Any = None
        """Where its segments lie, once somebody has asked."""
        self._order = order
        count_size, entry, next_size = (8, 20, 8) if big else (2, 12, 4)
        head = file.read(offset, min(1024, max(count_size, file.size - offset)))
        count = struct.unpack(order + ("Q" if big else "H"), head[:count_size])[0]
        if not 0 < count <= MOST_TAGS:
            raise Damaged(f"{file.name} has a directory of {count} tags", COPY_AGAIN)
        end = count_size + count * entry
        if len(head) < end + next_size:
            head = file.read(offset, min(end + next_size, file.size - offset))
        if len(head) < end:
            raise file.short()
        after = head[end : end + next_size].ljust(next_size, b"\0")
        self.next: int = struct.unpack(order + ("Q" if big else "I"), after)[0]
        layout = struct.Struct(order + ("HHQ8s" if big else "HHI4s"))
        self._entries = {
            code: (kind, number, value) for code, kind, number, value in layout.iter_unpack(head[count_size:end])
        }

    def __contains__(self, code: int) -> bool:
        return code in self._entries

    def values(self, code: int) -> npt.NDArray[Any] | None:
        """The numbers of a tag, or None when it is not there or holds no whole numbers."""
        found = self._bytes(code)
        if found is None:
            return None
        kind, raw = found
        return np.frombuffer(raw, self._order + TYPES[kind])

    def data(self, code: int) -> bytes | None:
        """The bytes of a tag, or None when it is not there."""
        found = self._bytes(code)
        return found[1] if found else None

    def _bytes(self, code: int) -> tuple[int, bytes] | None:
        kind, number, value = self._entries.get(code, (0, 0, b""))
        if kind not in TYPES:
            return None
        size = np.dtype(TYPES[kind]).itemsize * number
        if size <= len(value):
            return kind, value[:size]
        if size > MOST_VALUE_BYTES:
            raise Damaged(f"{self.file.name} has a tag of {size} bytes", COPY_AGAIN)
        offset = int.from_bytes(value, "little" if self._order == "<" else "big")
        return kind, self.file.read(offset, size)

    @property
    def size(self) -> tuple[Any, ...]:
        """Width, height, samples, compression and kind of numbers as they are stored, to be compared."""
        get = self._entries.get
        return tuple(get(code) for code in (WIDTH, LENGTH, 259, 262, 277, 322, 323))

    @cached_property
    def layout(self) -> tuple[Any, ...]:
        """What decides how the page is decoded, to be compared."""
        return (self._order, *(self._bytes(code) for code in LAYOUT))


class Directories:
    """The chain of directories of one file, walked as far as needed."""

    KEPT = 256

    def __init__(self, file: FileBytes) -> None:
        self.file = file
        head = file.read(0, min(16, file.size))
        self.order = {b"II": "<", b"MM": ">"}.get(head[:2], "")
        version = struct.unpack(self.order + "H", head[2:4])[0] if self.order and len(head) >= 8 else 0
        if version not in (42, 43) or (version == 43 and len(head) < 16):
            raise Damaged(f"{file.name} is not a TIFF file", COPY_AGAIN)
        self.big = version == 43
        first = struct.unpack(self.order + ("Q" if self.big else "I"), head[8:16] if self.big else head[4:8])[0]
        self._offsets = [int(first)] if first else []
        self._seen = set(self._offsets)
        self._kept: OrderedDict[int, Directory] = OrderedDict()
        self._done = not first
        self._alike = True
        self._first: tuple[Any, ...] | None = None
        self._lock = threading.Lock()

    def at(self, offset: int) -> Directory:
        """The directory at a position of the file; a few are kept."""
        found = self._kept.get(offset)
        if found is None:
            found = self._kept[offset] = Directory(self.file, offset, self.order, self.big)
            if len(self._kept) > self.KEPT:
                with self._lock:
                    while len(self._kept) > self.KEPT:
                        self._kept.popitem(last=False)
        return found

    def __getitem__(self, index: int) -> Directory:
        """The directory of this number.

        Raises
        ------
        Damaged
            When the file has fewer.
        """
        self._walk(index)
        if not 0 <= index < len(self._offsets):
            raise Damaged(f"{self.file.name} has no page {index + 1}", COPY_AGAIN)
        return self.at(self._offsets[index])

    def __len__(self) -> int:
        self._walk(None)
        return len(self._offsets)

    def alike(self) -> bool:
        """Whether all pages have one size and kind of numbers."""
        return len(self) > 0 and self._alike

    def _walk(self, index: int | None) -> None:
        with self._lock:
            while not self._done and (index is None or index >= len(self._offsets)):
                last = Directory(self.file, self._offsets[-1], self.order, self.big)
                after = last.next
                if self._first is None:
                    self._first = last.size
                elif last.size != self._first:
                    self._alike = False
                if after == 0:
                    self._done = True
                elif after in self._seen:
                    raise Damaged(f"{self.file.name} has a circle of pages", COPY_AGAIN)
                else:
                    self._seen.add(after)
                    self._offsets.append(after)
