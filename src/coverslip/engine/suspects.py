"""Sources that a server did not survive: what it was opening when it ended without a word.

The libraries that read files are written in C, and some damaged files end the process that opens them. A server that is
started again would open the same file again. So the name of what is being opened is kept on disk meanwhile; who finds
it there, with nobody at work on it, opens that source again when all others were looked at, and after the second time
no more, until it changes.

A server that is killed leaves a name too. That is no fault of the source, and is forgotten when it was opened well.
"""

from __future__ import annotations

import json
import logging
import os
import re
import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from hashlib import sha256
from pathlib import Path

from coverslip.core.errors import Damaged
from coverslip.engine.store import Row

LOG = logging.getLogger("coverslip.catalog")
MOST_TIMES = 2
"""So many servers may end over a source before it is opened no more."""
MOST_SUSPECTS = 1000
CODE = "ended_the_server"
DIGEST = 32
"""Letters that a source is named by: its place is nobody's business here."""
AT_ONCE = 8
"""So many that are opened at the same time are noted."""


class Suspects:
    """How often servers ended while they opened a source; safe to use from any thread."""

    def __init__(self) -> None:
        self._times: dict[str, int] = {}
        self._file: Path | None = None
        self._open: list[str] = []
        self._mark: int | None = None
        self._mark_file: Path | None = None
        self._lock = threading.Lock()

    def begin(self, file: Path | None) -> None:
        """Learn what earlier servers left beside the file that keeps the list; None: nothing is kept.

        Parameters
        ----------
        file
            The list of sources (`coverslip.engine.rows.file_of`).
        """
        if file is None or os.name != "posix":
            return
        self._file = file.with_name(f"{file.name}.suspects")
        self._times = _kept(self._file)
        try:
            for left in sorted(file.parent.glob(f"{file.name}.opening-*")):
                self._judge(left)
            self._mark_file = file.with_name(f"{file.name}.opening-{secrets.token_hex(4)}")
            self._mark = os.open(self._mark_file, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600)
            _take(self._mark)
        except OSError as error:
            LOG.debug("what is opened is not noted: %s", error)
            self._drop()

    def close(self) -> None:
        """Leave nothing behind."""
        with self._lock:
            self._drop()

    @property
    def any(self) -> bool:
        """Whether there is one."""
        return bool(self._times)

    def times(self, row: Row) -> int:
        """How often a server ended while it opened this source as it is now."""
        return self._times.get(_digest(row), 0) if self._times else 0

    def check(self, row: Row) -> None:
        """Refuse what would end this server too.

        Raises
        ------
        Damaged
            With the code ``ended_the_server``.
        """
        if self.times(row) >= MOST_TIMES:
            raise Damaged(
                f"{row.name} ended the server {MOST_TIMES} times when it was opened",
                "It is left alone until it changes; copy or write it again.",
                CODE,
            )

    @contextmanager
    def opening(self, row: Row) -> Iterator[None]:
        """Note that a source is opened, until it is or an error tells why it cannot be."""
        digest = _digest(row)
        self._note(digest, True)
        try:
            yield
        finally:
            self._note(digest, False)
        if digest in self._times:
            self._acquit(digest)

    def _note(self, digest: str, begins: bool) -> None:
        with self._lock:
            (self._open.append if begins else self._open.remove)(digest)
            if self._mark is None:
                return
            try:
                os.pwrite(self._mark, "".join(self._open[:AT_ONCE]).ljust(AT_ONCE * DIGEST).encode(), 0)
            except OSError as error:
                LOG.debug("what is opened is not noted: %s", error)
                self._drop()

    def _judge(self, left: Path) -> None:
        """Count what a server left that is gone."""
        handle = os.open(left, os.O_RDWR | getattr(os, "O_NOFOLLOW", 0))
        try:
            try:
                _take(handle)
            except OSError:  # it is at work
                return
            named = re.findall(rf"[0-9a-f]{{{DIGEST}}}", os.pread(handle, AT_ONCE * DIGEST, 0).decode("latin-1"))
            for digest in named:
                self._times[digest] = self._times.pop(digest, 0) + 1
            if named:
                self._keep()
            left.unlink(missing_ok=True)
        finally:
            os.close(handle)

    def _acquit(self, digest: str) -> None:
        with self._lock:
            self._times.pop(digest, None)
            with suppress(OSError):
                self._keep()

    def _keep(self) -> None:
        if self._file is None:
            return
        kept = dict(list(self._times.items())[-MOST_SUSPECTS:])
        part = self._file.with_name(f"{self._file.name}.{secrets.token_hex(4)}")
        part.write_text(json.dumps(kept))
        part.replace(self._file)

    def _drop(self) -> None:
        mark, self._mark = self._mark, None
        if mark is not None:
            with suppress(OSError):
                os.close(mark)
        if self._mark_file is not None:
            with suppress(OSError):
                self._mark_file.unlink(missing_ok=True)


def _digest(row: Row) -> str:
    """A source as it is now: another one when it changed."""
    text = f"{row.root}\0{row.path}\0{row.stamp}\0{row.generation}"
    return sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:DIGEST]


def _take(handle: int) -> None:
    """Hold a file as long as this process lives; processes of other containers see that too.

    Raises
    ------
    OSError
        When somebody else holds it.
    """
    import fcntl

    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _kept(file: Path) -> dict[str, int]:
    """What was counted before; nothing when it cannot be read."""
    try:
        found = json.loads(file.read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    if not isinstance(found, dict):
        return {}
    return {k: n for k, n in found.items() if len(k) == DIGEST and isinstance(n, int) and n > 0}
