"""What readers of vendor formats hold open: one reader for all threads, and bytes of a file without a position.

Pixels are read with ``pread`` and not through a memory map: a map of a file that somebody truncates ends the process.
"""

from __future__ import annotations

import io
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np
import numpy.typing as npt

from coverslip.core.errors import Damaged, Unreadable

T = TypeVar("T")
WHOLE_ROWS = 8
"""Rows are read whole when at least one part in this many of their bytes is wanted: fewer calls cost less."""
READ_BYTES = 1 << 30
"""One system call reads at most this much."""
TRUNCATED = "The file is truncated; copy it again."


class Shared(Generic[T]):
    """One opened thing that many threads use at once, closed when the last of them is done.

    Parameters
    ----------
    thing
        What was opened; safe to use from several threads at once.
    close
        Closes it.
    name
        What to call it in errors.
    """

    def __init__(self, thing: T, close: Callable[[T], object], name: str) -> None:
        self._thing = thing
        self._close = close
        self._name = name
        self._lock = threading.Lock()
        self._users = 1

    @contextmanager
    def use(self) -> Iterator[T]:
        """The thing, which stays open meanwhile.

        Raises
        ------
        Unreadable
            When it was closed.
        """
        with self._lock:
            if self._users == 0:
                raise Unreadable(f"{self._name} was closed", "Open it again.")
            self._users += 1
        try:
            yield self._thing
        finally:
            self._leave()

    def close(self) -> None:
        """Close when nobody reads any more; to be called once."""
        self._leave()

    def _leave(self) -> None:
        with self._lock:
            self._users -= 1
            last = self._users == 0
        if last:
            self._close(self._thing)


class FileBytes:
    """Bytes of a file at any position, from any thread.

    Parameters
    ----------
    path
        The file.
    """

    def __init__(self, path: Path) -> None:
        self._name = path.name
        fd = os.open(path, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0))
        self._fd = Shared(fd, os.close, path.name)
        self.size = os.fstat(fd).st_size

    def close(self) -> None:
        """Close the file when nobody reads it any more; to be called once."""
        self._fd.close()

    def read(self, offset: int, length: int) -> bytes:
        """``length`` bytes from ``offset`` on.

        Raises
        ------
        Damaged
            When the file ends before.
        """
        if offset < 0 or length < 0 or offset + length > self.size:
            raise Damaged(f"{self._name} ends before byte {offset + length}", TRUNCATED)
        with self._fd.use() as fd:
            parts, done = [], 0
            while done < length:
                part = os.pread(fd, min(length - done, READ_BYTES), offset + done)
                if not part:
                    raise Damaged(f"{self._name} ends before byte {offset + length}", TRUNCATED)
                parts.append(part)
                done += len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def stream(self) -> io.BufferedReader:
        """The same for a library that wants an open file, and that would map one with a number into memory."""
        return io.BufferedReader(_Stream(self))

    def rows(self, offset: int, pitch: int, rows: int, length: int) -> npt.NDArray[np.uint8]:
        """Bytes of shape (rows, length): the first ``length`` of every ``pitch`` bytes from ``offset`` on."""
        if not rows or not length:
            return np.empty((rows, length), np.uint8)
        if length * WHOLE_ROWS >= pitch:
            extent = (rows - 1) * pitch + length
            flat = np.frombuffer(self.read(offset, extent), np.uint8)
            return np.lib.stride_tricks.as_strided(flat, (rows, length), (pitch, 1), writeable=False)
        if offset < 0 or offset + (rows - 1) * pitch + length > self.size:
            raise Damaged(f"{self._name} ends before byte {offset + (rows - 1) * pitch + length}", TRUNCATED)
        with self._fd.use() as fd:
            parts = [os.pread(fd, length, offset + i * pitch) for i in range(rows)]
        whole = b"".join(parts)
        if len(whole) != rows * length:
            raise Damaged(f"{self._name} ended while it was read", TRUNCATED)
        return np.frombuffer(whole, np.uint8).reshape(rows, length)


class _Stream(io.RawIOBase):
    def __init__(self, data: FileBytes) -> None:
        self._data, self._at = data, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._at}.get(whence, self._data.size)
        if start + offset < 0:
            raise OSError("There is nothing before the beginning of the file")
        self._at = start + offset
        return self._at

    def tell(self) -> int:
        return self._at

    def readinto(self, buffer: Any) -> int:
        with memoryview(buffer).cast("B") as target:
            size = max(min(len(target), self._data.size - self._at), 0)
            target[:size] = self._data.read(self._at, size)
        self._at += size
        return size
