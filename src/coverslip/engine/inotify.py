"""Changes in folders as Linux tells them, and nothing else: who only reads files is not told of.

``watchfiles`` asks to be told of every file that is opened and throws that away afterwards. A server that reads chunked
arrays opens thousands of files a second, and each woke a thread.

Source: inotify(7); https://inotify-simple.readthedocs.io.
"""

from __future__ import annotations

import os
import time
from collections.abc import Generator, Iterable
from contextlib import closing, suppress

from inotify_simple import INotify, flags

from coverslip.engine.watch import ADDED, DELETED, MODIFIED, Changes

COME = flags.CREATE | flags.MOVED_TO
GONE = flags.DELETE | flags.MOVED_FROM | flags.DELETE_SELF | flags.MOVE_SELF | flags.UNMOUNT
CHANGED = flags.MODIFY | flags.ATTRIB | flags.CLOSE_WRITE
ASKED = COME | CHANGED | flags.DELETE | flags.MOVED_FROM | flags.DELETE_SELF | flags.MOVE_SELF | flags.EXCL_UNLINK


def changes(paths: Iterable[str], timeout_ms: int, debounce_ms: int, step_ms: int) -> Generator[Changes, None, None]:
    """What happens in these folders, or to these files, from now on; in what lies below them is not looked.

    Yields
    ------
    set of (int, str)
        What happened, and to which path: empty after ``timeout_ms`` without anything, else all that came until it was
        quiet for ``step_ms``, or for ``debounce_ms`` at most. When the system lost count, every watched path is told
        as modified. The first one is empty: from then on nothing is missed.

    Raises
    ------
    OSError
        When the system gives no more watches (or none of the paths is there any more).
    """
    with closing(INotify()) as told:
        watched = _Watched(told, paths)
        yield set()
        while True:
            found = watched.read(timeout_ms) or set()
            end = time.monotonic() + debounce_ms / 1000
            while found and time.monotonic() < end and (more := watched.read(step_ms)) is not None:
                found |= more
            yield found


class _Watched:
    """The watches of one ``INotify``: the same folder may have several names."""

    def __init__(self, told: INotify, paths: Iterable[str]) -> None:
        self._told = told
        self._names: dict[int, list[str]] = {}
        missing: OSError | None = None
        for path in paths:
            try:
                number = told.add_watch(path, ASKED)
            except (FileNotFoundError, NotADirectoryError, PermissionError) as error:  # gone, or not ours to see
                missing = error
                continue
            self._names.setdefault(number, []).append(path)
        if missing is not None and not self._names:
            raise missing

    def read(self, timeout_ms: int) -> Changes | None:
        """What there is, after waiting for it; None when there is nothing, empty when it changes nothing."""
        found: Changes = set()
        events = self._told.read(timeout_ms)
        if not events:
            return None
        for event in events:
            if event.mask & flags.Q_OVERFLOW:
                found |= {(MODIFIED, path) for names in self._names.values() for path in names}
                continue
            names = self._names.get(event.wd, ())
            if event.mask & flags.IGNORED:
                self._names.pop(event.wd, None)
                continue
            kind = ADDED if event.mask & COME else DELETED if event.mask & GONE else MODIFIED
            found |= {(kind, os.path.join(path, event.name) if event.name else path) for path in names}  # noqa: PTH118
            if event.mask & flags.MOVE_SELF:  # its watch goes with it: what happens there now is no longer offered
                with suppress(OSError):
                    self._told.rm_watch(event.wd)
        return found
