"""Files that a server did not survive: what it was looking at when it ended without a word.

The libraries that read files are written in C, and some damaged files end the process that opens them. A server that is
started again would open the same file again. So what is looked at is noted on disk meanwhile. What is found noted
there, with nobody at work on it, is looked at once more; after the second time it is not, until it changes.

A server that is killed leaves a note too. That is no fault of the file, and is forgotten when it was looked at well.
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
from hashlib import blake2b
from pathlib import Path
from typing import Literal

from coverslip.core.errors import Damaged
from coverslip.core.format import file_etag

LOG = logging.getLogger("coverslip.catalog")
MOST_TIMES = 2
"""So many servers may end over a file before it is looked at no more."""
MOST_SUSPECTS = 1000
CODE = "ended_the_server"
DIGEST = 32
"""Letters that a file is named by: its place is nobody's business here."""
AT_ONCE = 8
"""So many that are looked at at the same time are noted."""
How = Literal["recognise", "open"]
HOW: tuple[How, ...] = ("recognise", "open")
NOTES, KEPT = "looking-*", "suspects.json"


class Suspects:
    """How often servers ended while they looked at a file; safe to use from any thread."""

    def __init__(self) -> None:
        self._times: dict[str, int] = {}
        self._folder: Path | None = None
        self._open: list[str] = []
        self._note_file: Path | None = None
        self._handle: int | None = None
        self._lock = threading.Lock()

    def begin(self, folder: Path | None) -> None:
        """Learn what earlier servers left, and note from now on; None, and what cannot be written: nothing is noted.

        Parameters
        ----------
        folder
            Where notes are, of this user's servers.
        """
        if folder is None or os.name != "posix" or self._handle is not None:
            return
        self._folder = folder
        self._times = _kept(folder)
        for left in sorted(folder.glob(NOTES)):
            try:
                self._judge(left)
            except OSError as error:  # no note of ours
                LOG.debug("%s cannot be read: %s", left.name, error)
        try:
            self._note_file = folder / NOTES.replace("*", secrets.token_hex(6))
            self._handle = os.open(self._note_file, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600)
            _hold(self._handle)
        except OSError as error:
            self._give_up(error)

    def close(self) -> None:
        """Leave nothing behind."""
        with self._lock:
            self._drop()

    def times(self, path: Path) -> int:
        """How often a server ended while it looked at this, as it is now."""
        return max(self._times.get(_digest(path, how), 0) for how in HOW) if self._times else 0

    def check(self, path: Path) -> None:
        """Refuse what would end this server too.

        Raises
        ------
        Damaged
            With the code ``ended_the_server``.
        """
        if self.times(path) >= MOST_TIMES:
            raise Damaged(
                f"{path.name} ended the server {MOST_TIMES} times when it was opened",
                "It is left alone until it changes; write it again, or try it once more: touch FILE.",
                CODE,
            )

    @contextmanager
    def looking(self, path: Path, how: How) -> Iterator[None]:
        """Note that a file (or folder) is looked at, until that went well or an error tells why it cannot be.

        Parameters
        ----------
        path
            The file.
        how
            Whether its format is asked for, or it is opened: the one may go well where the other does not.

        Raises
        ------
        Damaged
            As `check`.
        """
        if self._handle is None:
            yield
            return
        digest = _digest(path, how)
        if digest in self._times:
            self.check(path)
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
            if self._handle is None:
                return
            try:
                os.pwrite(self._handle, "".join(self._open[:AT_ONCE]).ljust(AT_ONCE * DIGEST).encode(), 0)
            except OSError as error:
                self._give_up(error)

    def _judge(self, left: Path) -> None:
        """Count what a server left that is gone."""
        handle = os.open(left, os.O_RDWR | getattr(os, "O_NOFOLLOW", 0))
        try:
            try:
                _hold(handle)
            except OSError:  # it is at work
                return
            if not os.fstat(handle).st_nlink:  # another server that starts now has counted it
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
        if self._folder is None:
            return
        kept = dict(list(self._times.items())[-MOST_SUSPECTS:])
        part = self._folder / f"{KEPT}.{secrets.token_hex(4)}"
        part.write_text(json.dumps(kept))
        part.replace(self._folder / KEPT)

    def _give_up(self, error: OSError) -> None:
        LOG.debug("what is looked at is not noted: %s", error)
        self._drop()

    def _drop(self) -> None:
        handle, self._handle = self._handle, None
        if handle is not None:
            with suppress(OSError):
                os.close(handle)
        if self._note_file is not None:
            with suppress(OSError):
                self._note_file.unlink(missing_ok=True)


def _digest(path: Path, how: How) -> str:
    """A file as it is now: another one when it changed."""
    try:
        stamp = file_etag(path.stat())
    except OSError:
        stamp = ""
    return blake2b(f"{how}\0{path}\0{stamp}".encode("utf-8", "surrogateescape"), digest_size=DIGEST // 2).hexdigest()


def _hold(handle: int) -> None:
    """Hold a file as long as this process lives; processes of other containers see that too.

    Raises
    ------
    OSError
        When somebody else holds it.
    """
    import fcntl

    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _kept(folder: Path) -> dict[str, int]:
    """What was counted before; nothing when it cannot be read."""
    try:
        found = json.loads((folder / KEPT).read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    if not isinstance(found, dict):
        return {}
    return {k: n for k, n in found.items() if len(k) == DIGEST and isinstance(n, int) and n > 0}
