"""One remote object read by ranges, in blocks that are kept for a while."""

from __future__ import annotations

import io
import threading
import time
from collections import OrderedDict
from collections.abc import Hashable, Iterable, Iterator
from typing import IO, Any, cast

from coverslip.core.errors import CoverslipError, Damaged
from coverslip.formats.remote.bucket import QUICK, Bucket, Stat, at_once
from coverslip.formats.remote.failures import changed
from coverslip.formats.trees.recent import new_key

BLOCK = 1 << 18
"""Bytes that are asked for and kept together: about what a server sends in the time one request takes."""
KEPT_BYTES = 96 << 20
"""Blocks that are kept of all remote files together."""
PIECE = 8 << 20
"""A long read is asked for in pieces of this size, several at the same time."""
AHEAD = 16
"""How many blocks are read ahead, at most, of a file that is read from front to back."""
RECHECK_S = 30.0
"""How often a remote source is looked at to see whether it changed."""


class Blocks:
    """Bytes by the number of what they belong to and a name; least recently used dropped first. For any thread."""

    def __init__(self, budget: int) -> None:
        self._budget, self._held = budget, 0
        self._kept: OrderedDict[tuple[int, Hashable], bytes] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: tuple[int, Hashable]) -> bytes | None:
        """A block, or None when it is not kept."""
        with self._lock:
            found = self._kept.get(key)
            if found is not None:
                self._kept.move_to_end(key)
            return found

    def put(self, key: tuple[int, Hashable], block: bytes) -> None:
        """Keep a block."""
        with self._lock:
            self._held += _weight(block) - (_weight(self._kept.pop(key)) if key in self._kept else 0)
            self._kept[key] = block
            while self._held > self._budget:
                self._held -= _weight(self._kept.popitem(last=False)[1])

    def forget(self, file: int) -> None:
        """Drop what is kept of a file."""
        with self._lock:
            for key in [key for key in self._kept if key[0] == file]:
                self._held -= _weight(self._kept.pop(key))


def _weight(block: bytes) -> int:
    return len(block) + 100


BLOCKS = Blocks(KEPT_BYTES)


class RemoteFile:
    """One version of one object; see `coverslip.core.ranges.Ranges`.

    Parameters
    ----------
    bucket
        Where it is.
    key
        Its name there.
    stat
        The version that is read: another one is refused.
    """

    def __init__(self, bucket: Bucket, key: str, stat: Stat) -> None:
        self.bucket, self.key, self.stat = bucket, key, stat
        self.name = bucket.address.below(key).name
        self.stem = self.name.rpartition(".")[0] or self.name
        self.size, self.etag, self.modified_s = stat.size, stat.etag, stat.modified_s
        self._number = new_key()
        self._watch = Watch(self._look)
        self._next, self._ahead = -1, 0

    def __str__(self) -> str:
        return self.bucket.shown(self.key)

    def read(self, offset: int, length: int) -> bytes:
        """Exactly ``length`` bytes from ``offset`` on."""
        if offset < 0 or length < 0 or offset + length > self.size:
            raise Damaged(f"{self.name} ends too early", "It is truncated; copy it there again.")
        if length == 0:
            return b""
        if length > PIECE:
            into = bytearray(length)
            self.read_into(offset, memoryview(into))
            return bytes(into)
        first, last = offset // BLOCK, (offset + length - 1) // BLOCK
        found = self._blocks(first, last)
        cut = offset - first * BLOCK
        return (found[0] if len(found) == 1 else b"".join(found))[cut : cut + length]

    def read_into(self, offset: int, target: memoryview) -> None:
        """Fill ``target`` with the bytes from ``offset`` on; long reads are not kept."""
        if offset < 0 or offset + len(target) > self.size:
            raise Damaged(f"{self.name} ends too early", "It is truncated; copy it there again.")
        if len(target) <= PIECE:
            target[:] = self.read(offset, len(target))
            return

        def fill(at: int) -> None:
            end = min(at + PIECE, len(target))
            target[at:end] = self._get(offset + at, offset + end)

        at_once(fill, range(0, len(target), PIECE))

    def prepare(self, spans: Iterable[tuple[int, int]]) -> None:
        """Fetch the blocks of several parts (offset and length), all at the same time, and keep them for a while."""
        wanted: set[int] = set()
        for offset, length in spans:
            if 0 <= offset < self.size and length > 0:
                wanted.update(range(offset // BLOCK, min(offset + length - 1, self.size - 1) // BLOCK + 1))
            if len(wanted) * BLOCK > KEPT_BYTES // 2:
                break
        missing = [n for n in sorted(wanted) if BLOCKS.get((self._number, n)) is None]
        if missing:
            at_once(self._fetch, _runs(missing))

    def open(self) -> IO[bytes]:
        """The same as a file object, for libraries that want one."""
        return cast("IO[bytes]", RangeFile(self))

    def fresh(self) -> bool:
        """Whether the object is still this version; looked at every `RECHECK_S` at most."""
        return self._watch.fresh()

    def close(self) -> None:
        """Forget its blocks."""
        BLOCKS.forget(self._number)

    def _look(self) -> bool:
        now = self.bucket.with_patience(QUICK).stat(self.key)
        return now is not None and now.same(self.stat)

    def _blocks(self, first: int, last: int) -> list[bytes]:
        found = {n: BLOCKS.get((self._number, n)) for n in range(first, last + 1)}
        missing = [n for n, block in found.items() if block is None]
        if missing:
            runs = list(_runs(missing))
            runs[-1] = (runs[-1][0], self._further(*runs[-1]))
            for blocks in at_once(self._fetch, runs):
                found.update(blocks)
        return [cast(bytes, found[n]) for n in range(first, last + 1)]

    def _further(self, first: int, last: int) -> int:
        """The last block to ask for: more and more of a file that is read from front to back."""
        self._ahead = min(max(1, self._ahead * 2), AHEAD) if first == self._next else 0
        last = min(last + self._ahead, (self.size - 1) // BLOCK)
        self._next = last + 1
        return last

    def _fetch(self, run: tuple[int, int]) -> dict[int, bytes]:
        first, last = run
        data = self._get(first * BLOCK, min((last + 1) * BLOCK, self.size))
        found = {first + i: data[i * BLOCK : (i + 1) * BLOCK] for i in range(last - first + 1)}
        for number, block in found.items():
            BLOCKS.put((self._number, number), block)
        return found

    def _get(self, start: int, stop: int) -> bytes:
        try:
            data, _ = self.bucket.get(self.key, start, stop, self.stat)
        except CoverslipError as error:
            if error.name in ("changed", "not_found"):
                self._watch.lost()
                raise changed(self.name) from None
            raise
        if len(data) != stop - start:
            self._watch.lost()
            raise changed(self.name)
        return data


def _runs(numbers: list[int]) -> Iterator[tuple[int, int]]:
    """First and last of every run of consecutive numbers, none longer than a piece."""
    start = last = numbers[0]
    for number in numbers[1:]:
        if number != last + 1 or number - start >= PIECE // BLOCK:
            yield start, last
            start = number
        last = number
    yield start, last


class Watch:
    """Whether a remote source is still what was opened.

    Parameters
    ----------
    look
        Asks the server; when that fails, the answer is taken to be yes.
    """

    def __init__(self, look: Any) -> None:
        self._look = look
        self._last = time.monotonic()
        self._fresh = True
        self._lock = threading.Lock()

    def fresh(self) -> bool:
        """What is known, asked anew when that is long ago; whoever comes while it is asked gets what was known."""
        with self._lock:
            due = self._fresh and time.monotonic() - self._last >= RECHECK_S
            if due:
                self._last = time.monotonic()
        if due:
            try:
                self._fresh = self._fresh and self._look()
            except CoverslipError as error:  # it cannot be reached now: what is kept goes on being served
                self._fresh = self._fresh and error.name not in ("changed", "not_found")
        return self._fresh

    def lost(self) -> None:
        """Somebody who read it met another version."""
        self._fresh = False


class RangeFile(io.RawIOBase):
    """A file object over a `RemoteFile`.

    Attributes
    ----------
    failure
        Why the last read failed; libraries in C lose the reason.
    """

    def __init__(self, file: RemoteFile) -> None:
        self._file = file
        self._at = 0
        self.failure: CoverslipError | None = None

    @property
    def name(self) -> str:
        """The file's name."""
        return self._file.name

    def readable(self) -> bool:
        """Yes."""
        return True

    def seekable(self) -> bool:
        """Yes."""
        return True

    def tell(self) -> int:
        """The position."""
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to a position."""
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._file.size}[whence]
        if start + offset < 0:
            raise OSError("a position before the start of the file")
        self._at = start + offset
        return self._at

    def readinto(self, target: Any) -> int:
        """Fill ``target`` from the position on; returns how many bytes there were."""
        view = memoryview(target).cast("B")
        count = max(0, min(len(view), self._file.size - self._at))
        try:
            self._file.read_into(self._at, view[:count])
        except CoverslipError as error:
            self.failure = error
            raise
        self._at += count
        return count
