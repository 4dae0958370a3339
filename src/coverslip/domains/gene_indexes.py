"""Which matrices have a gene index, and making those that lack one: in the background, one after the other.

Kept in a private folder of the user's under what it was made of: path, size, time and inode of the file, and the
matrix. Never needed for a right answer, and safe to delete at any time.
"""

from __future__ import annotations

import logging
import os
import shutil
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal

from coverslip.core import amounts
from coverslip.core.errors import Damaged
from coverslip.core.processes import may_run
from coverslip.domains.cells import Cells
from coverslip.domains.gene_index import GeneIndex
from coverslip.domains.gene_index_build import MEMORY_BYTES
from coverslip.domains.matrix import Matrix
from coverslip.engine.job import Job
from coverslip.engine.sidecar import QUOTA_BYTES, SPARE_BYTES

LOG = logging.getLogger("coverslip.genes")
COMMAND = ("-m", "coverslip.gene_indexing")
SUFFIX = ".genes"
LEAST_ITEMS = 2_000_000
"""Fewer values are looked through in a few milliseconds; no index is made of them."""
STORED_BYTES = 6
"""Of an index, for each stored value, at most (two bytes of the cell, four of the value)."""
MOST_KNOWN = 1000
LONGEST_S = 86400.0
State = Literal["off", "none", "waiting", "building", "ready", "failed"]


@dataclass(frozen=True)
class Kept:
    """Where a data set lies, and which version of it.

    Attributes
    ----------
    path
        The file or folder; None when it is not on this machine, or in memory only.
    etag
        The source's own: size, time of change and inode.
    version
        The same, and what else was seen to have changed.
    part
        The data set's path in the source.
    name
        What a person calls it.
    """

    path: Path | None
    etag: str
    version: str
    part: str
    name: str


@dataclass(frozen=True)
class Progress:
    """How far the index of one matrix is.

    Attributes
    ----------
    state
        ``ready``; ``building`` or ``waiting`` for its turn; ``none``: none is needed; ``off``; ``failed``.
    share
        How much is done, 0 to 1.
    message
        Why it failed.
    """

    state: State
    share: float = 0.0
    message: str | None = None


@dataclass(frozen=True)
class _Wanted:
    task: dict[str, Any]
    target: Path
    name: str
    size: int


class GeneIndexes:
    """The indexes in one folder.

    Parameters
    ----------
    folder
        Made with access for its owner only.
    quota_bytes
        Disk space that they may take; those unused longest go first.
    enabled
        Whether any are made or used.
    memory_bytes
        What making one may take.
    least_items
        Matrices with fewer stored values have none.
    """

    def __init__(
        self,
        folder: Path,
        quota_bytes: int = QUOTA_BYTES,
        enabled: bool = True,
        memory_bytes: int = MEMORY_BYTES,
        least_items: int = LEAST_ITEMS,
    ) -> None:
        self._folder = folder
        self._quota, self._memory, self._least = quota_bytes, memory_bytes, least_items
        self._enabled = enabled
        self._lock = threading.RLock()
        self._waiting: dict[str, _Wanted] = {}
        self._job: tuple[str, _Wanted, Job] | None = None
        self._over: dict[str, str | None] = {}
        self._closed = False

    def want(self, kept: Kept, cells: Cells, expression: str | None) -> Progress:
        """See that a matrix has its index soon; once it is there, genes are read from it.

        Never waits. `NotFound` when there is no such matrix.
        """
        chosen = cells.expression(expression)
        matrix = chosen.matrix.bulk
        if matrix is None or matrix.scan_items < self._least:
            return Progress("none")
        if not self._enabled or kept.path is None:
            return Progress("off")
        if matrix.index is not None:
            return Progress("ready", 1.0)
        words = (os.path.realpath(kept.path), kept.version, kept.part, chosen.id, repr(matrix.shape))
        key = sha256("\0".join(words).encode("utf-8", "surrogateescape")).hexdigest()
        with self._lock:
            if key not in self._waiting and (self._job is None or self._job[0] != key):
                if self._open(key, matrix):
                    return Progress("ready", 1.0)
                if self._over.get(key) is None and not self._closed:
                    self._ask(key, kept, cells, chosen.id, matrix)
            return self._progress(key)

    def _open(self, key: str, matrix: Matrix) -> bool:
        """Read genes from an index that is there whole."""
        path = self._path(key)
        try:
            matrix.index = GeneIndex(path, matrix.shape, bytes.fromhex(key))
            with suppress(OSError):
                os.utime(path)
        except Damaged:
            with suppress(OSError):
                path.unlink()
            return False
        except OSError:
            return False
        return True

    def _ask(self, key: str, kept: Kept, cells: Cells, expression: str, matrix: Matrix) -> None:
        size = matrix.shape[0] * matrix.shape[1] * 4 if matrix.layout == "dense" else matrix.scan_items * STORED_BYTES
        task = {
            "path": str(kept.path), "etag": kept.etag, "part": kept.part, "expression": expression,
            "options": asdict(cells.options), "shape": list(matrix.shape), "target": str(self._path(key)), "key": key,
            "workers": max(1, min(os.cpu_count() or 1, 4)), "memory": self._memory,
        }  # fmt: skip
        self._waiting[key] = _Wanted(task, self._path(key), kept.name, size)
        self._next()

    def _next(self) -> None:
        while self._job is None and self._waiting and not self._closed:
            key, wanted = next(iter(self._waiting.items()))
            del self._waiting[key]
            why = self._make_room(wanted.size)
            if why is None:
                try:
                    job = Job(COMMAND, wanted.task, lambda error, key=key: self._finished(key, error))  # type: ignore[misc]
                except OSError as error:
                    why = f"No process could be started: {error.strerror}"
                else:
                    self._job = (key, wanted, job)
                    return
            self._end(key, wanted.name, why)

    def _finished(self, key: str, error: str | None) -> None:
        with self._lock:
            if self._job is not None and self._job[0] == key:
                name, self._job = self._job[1].name, None
                self._end(key, name, error)
            self._next()

    def _end(self, key: str, name: str, error: str | None) -> None:
        if len(self._over) >= MOST_KNOWN:
            self._over.clear()
        self._over[key] = error
        if error is None:
            LOG.info("%s: the gene index is ready", name)
        elif not self._closed:  # without an index everything is answered, too
            LOG.info("%s has no gene index: %s", name, error)

    def _progress(self, key: str) -> Progress:
        if self._job is not None and self._job[0] == key:
            return Progress("building", self._job[2].share)
        if key in self._waiting:
            return Progress("waiting")
        return Progress("failed", message=self._over.get(key))

    @property
    def at_work(self) -> tuple[str, float] | None:
        """Of which data set an index is being made, and how much of it is done."""
        with self._lock:
            return (self._job[1].name, self._job[2].share) if self._job is not None else None

    @property
    def last_error(self) -> str | None:
        """Why the last one that was tried is not there; None when it is."""
        return next(reversed(self._over.values()), None)

    def _path(self, key: str) -> Path:
        return self._folder / f"{key[:40]}{SUFFIX}"

    def _make_room(self, size: int) -> str | None:
        """Remove what was not used for longest; why there is no room, or None."""
        if size > self._quota:
            return f"it would take {amounts.size(size)}, and {amounts.size(self._quota)} are allowed"
        try:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            for part in self._folder.glob(".part-*"):  # of a process that was ended: only one is at work
                if not may_run(part.name.split("-")[1], part, LONGEST_S):
                    part.unlink(missing_ok=True)
            found = sorted(self._found())
            held = sum(n for _, n, _ in found)
            free = shutil.disk_usage(self._folder).free - SPARE_BYTES
            for _, n, path in found:
                if held + size <= self._quota and size <= free:
                    break
                path.unlink(missing_ok=True)
                held, free = held - n, free + n
        except OSError as error:
            return f"its folder cannot be written: {error.strerror}"
        return None if size <= free else "the disk is full"

    def _found(self) -> Iterator[tuple[float, int, Path]]:
        for path in self._folder.glob(f"*{SUFFIX}"):
            with suppress(OSError):
                stat = path.stat()
                yield stat.st_mtime, stat.st_size, path

    def close(self) -> None:
        """End what is being made; nothing new is begun."""
        with self._lock:
            self._closed = True
            self._waiting.clear()
            job = self._job
        if job is not None:
            job[2].close()
            for part in self._folder.glob(f".part-{job[2].pid}-*"):
                with suppress(OSError):
                    part.unlink()
