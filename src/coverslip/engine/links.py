"""Links to one source that were made: each is noted in a file of its own, and opens while that is there.

A note is written before its link is given to anybody, so that a folder that is lost closes links and opens none.
Taking one back renames its note, which needs no room on a disk that is full. Nothing secret is in it.
"""

from __future__ import annotations

import errno
import logging
import math
import os
import re
import tempfile
import threading
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from pathlib import Path

import msgspec

from coverslip.core.errors import CoverslipError, DiskFull, NotFound, TooLarge, Unreadable
from coverslip.engine.state import state_folder

LOG = logging.getLogger("coverslip.access")
FOLDER = "links"
OPEN, REVOKED = ".json", ".revoked"
ID = re.compile(r"[0-9a-f]{16}")
MOST = 10_000
"""Links of one token that have not ended."""
MOST_NOTE = 1 << 16
FRESH_S = 1.0
"""For so long what was seen of a note counts: another server of this user may have taken the link back."""
KEPT_S = 86400.0
"""For so long the note of a link that has ended stays: clocks of two machines differ."""
FULL = (errno.ENOSPC, errno.EDQUOT)
CLOSED = "The link is closed while this server runs, but that cannot be written down"
AGAIN = "Then take it back again, or ask for another token: it ends all links."


class Note(msgspec.Struct, frozen=True):
    """What is known of a link.

    Attributes
    ----------
    id
        16 hexadecimal digits; it stands in the link, too.
    source, name
        What it opens: the id, and what people called it when the link was made.
    label
        Whom it is for, in the words of who made it.
    made_s, ends_s, revoked_s
        In seconds since 1970; ``revoked_s`` is None for one that was not taken back.
    of
        Tells the token it was made with from others.
    """

    id: str
    source: str
    name: str
    label: str
    made_s: float
    ends_s: float
    of: str
    revoked_s: float | None = None


class Links:
    """The links of one user; methods may be called from any thread, and by several servers at once.

    Parameters
    ----------
    folder
        Where notes are kept; None = in memory, for links that end with the server.
    clock
        Seconds that only grow.
    """

    def __init__(self, folder: Path | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self._folder = folder
        self._clock = clock
        self._lock = threading.Lock()
        self._noted: dict[str, Note] = {}
        self._seen: dict[str, bool] = {}
        self._looked_s: dict[str, float] = {}
        self._revoked: set[str] = set()

    # --- what a link opens --------------------------------------------------------------------------------------------

    def opens(self, id: str) -> bool:
        """Whether a link is there and was not taken back, as far as was seen (`look`); nothing is read."""
        return id not in self._revoked and (id in self._noted if self._folder is None else self._seen.get(id, False))

    def stale(self, id: str) -> bool:
        """Whether it is time to `look` after a link."""
        if self._folder is None or id in self._revoked:
            return False
        return self._clock() - self._looked_s.get(id, -math.inf) >= FRESH_S

    def look(self, id: str) -> None:
        """See whether a link is still there; while its folder does not answer, what was known last counts."""
        if self._folder is None:
            return
        began_s = self._clock()
        if id in self._seen:  # that counts meanwhile; of one that is not known everybody waits for the answer
            self._looked_s[id] = began_s
        try:
            self._seen[id] = _read(self._folder / f"{id}{OPEN}") is not None
        except OSError as error:
            LOG.warning("links that were taken back elsewhere cannot be looked up: %s", error.strerror)
        self._looked_s[id] = began_s

    # --- what there is ------------------------------------------------------------------------------------------------

    def add(self, note: Note) -> None:
        """Note a link before it is given to anybody.

        Raises
        ------
        TooLarge
            When there are too many.
        DiskFull, Unreadable
            When it cannot be written down.
        """
        if len(self.all((note.of,), note.made_s)) >= MOST:
            hint = "They end by themselves, and another token ends all."
            raise TooLarge(f"There are {MOST:,} links already", hint, "many_links")
        if self._folder is not None:
            try:
                self._folder.mkdir(mode=0o700, exist_ok=True)
                _write(self._folder, f"{note.id}{OPEN}", msgspec.json.encode(note))
            except OSError as error:
                raise _unkept("The link cannot be written down", error, "Then make it again.") from error
        with self._lock:
            if self._folder is None:
                living = (one for one in self._noted.values() if one.ends_s > note.made_s)
                self._noted = {one.id: one for one in (*living, note)}
            self._seen[note.id], self._looked_s[note.id] = True, self._clock()

    def all(self, of: Collection[str], now_s: float) -> list[Note]:
        """The links of some tokens that have not ended, also those that were taken back, in the order they were made.

        Raises
        ------
        Unreadable
            When they cannot be listed.
        """
        kept = [note for note in self._notes(now_s) if note.of in of and note.ends_s > now_s]
        return sorted(kept, key=lambda note: (note.made_s, note.id))

    def revoke(self, id: str, of: Collection[str], now_s: float) -> Note:
        """Take a link back, at once and for good.

        Raises
        ------
        NotFound
            When there is none of these tokens.
        DiskFull, Unreadable
            When that cannot be written down; the link is closed until this server ends.
        """
        note = self._note(id)
        if note is None or note.of not in of:
            raise NotFound(f"There is no link {id[:32]}", "coverslip share --list tells which there are.", "no_link")
        if note.revoked_s is not None:
            return note
        done = msgspec.structs.replace(note, revoked_s=now_s)
        with self._lock:
            self._revoked.add(id)
            if self._folder is None:
                self._noted[id] = done
                return done
        try:
            _rename(self._folder / f"{id}{OPEN}", self._folder / f"{id}{REVOKED}", now_s)
        except FileNotFoundError:  # another server was quicker
            pass
        except OSError as error:
            raise _unkept(CLOSED, error, AGAIN) from error
        return done

    def _note(self, id: str) -> Note | None:
        """One that is open or was taken back; None when there is none, or it is damaged."""
        if self._folder is None:
            return self._noted.get(id)
        if not ID.fullmatch(id):
            return None
        try:
            return _read(self._folder / f"{id}{OPEN}") or _read(self._folder / f"{id}{REVOKED}")
        except OSError as error:
            self._revoked.add(id)
            raise _unkept(CLOSED, error, AGAIN) from error

    def _notes(self, now_s: float) -> Iterator[Note]:
        """Every note that can be read; those that ended long ago are removed."""
        if self._folder is None:
            yield from list(self._noted.values())
            return
        try:
            files = sorted(self._folder.iterdir())
        except FileNotFoundError:
            return
        except OSError as error:
            raise Unreadable(f"Links cannot be listed: {error.strerror}", "Ask again.", "no_state") from error
        for file in files:
            if file.suffix not in (OPEN, REVOKED) or not ID.fullmatch(file.stem):
                continue
            try:
                note = _read(file)
            except OSError as error:
                raise Unreadable(f"Links cannot be listed: {error.strerror}", "Ask again.", "no_state") from error
            if note is not None and note.ends_s + KEPT_S < now_s:
                with suppress(OSError):
                    file.unlink()
            elif note is not None:
                yield note


def kept_links() -> Links:
    """The links of this user; in memory where nothing can be kept, as the key that they are made with."""
    try:
        return Links(state_folder() / FOLDER)
    except CoverslipError:
        return Links()


def _read(file: Path) -> Note | None:
    """The note in a file; None when it is gone, or damaged.

    Raises
    ------
    OSError
        When it cannot be read.
    """
    try:
        with file.open("rb") as opened:
            note = msgspec.json.decode(opened.read(MOST_NOTE), type=Note)
            modified_s = os.fstat(opened.fileno()).st_mtime
    except (FileNotFoundError, NotADirectoryError, msgspec.DecodeError, UnicodeDecodeError):
        return None
    if note.id != file.stem:
        return None
    return msgspec.structs.replace(note, revoked_s=modified_s) if file.suffix == REVOKED else note


def _write(folder: Path, name: str, data: bytes) -> None:
    """Write a file whole or not at all, for its owner only, and see that it is on the disk."""
    handle, part = tempfile.mkstemp(dir=folder, prefix=".")  # made with 0600
    try:
        with os.fdopen(handle, "wb") as opened:
            opened.write(data)
            opened.flush()
            os.fsync(opened.fileno())
        Path(part).replace(folder / name)
        _sync(folder)
    except OSError:
        Path(part).unlink(missing_ok=True)
        raise


def _rename(file: Path, other: Path, now_s: float) -> None:
    """Rename a file, and see that it stays so when the power fails."""
    file.rename(other)
    with suppress(OSError):
        os.utime(other, (now_s, now_s))
    _sync(other.parent)


def _sync(folder: Path) -> None:
    with suppress(OSError):  # some network disks, and some systems, cannot
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _unkept(what: str, error: OSError, hint: str) -> CoverslipError:
    if error.errno in FULL:
        return DiskFull(f"{what}: the disk is full", f"Free some space. {hint}")
    return Unreadable(f"{what}: {error.strerror}", f"See that the state folder can be written. {hint}", "no_state")
