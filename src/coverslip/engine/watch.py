"""Hearing of changes from the file system: `coverslip.engine.inotify` on Linux, ``watchfiles`` on other systems.

Every folder is watched by itself and not with all that is below it: the library underneath follows links while it goes
down, and would leave what was offered.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import closing
from itertools import chain

from coverslip.engine.found import Key

LOG = logging.getLogger("coverslip.catalog")
DEBOUNCE_MS = 200
STEP_MS = 50
TIMEOUT_MS = 100
ADDED, MODIFIED, DELETED = 1, 2, 3
"""As ``watchfiles`` numbers them."""
MOST_INNER = 2000
"""How many folders inside one claimed folder are watched; deeper changes are found by looking every so often."""
TRIES = 5

Changes = set[tuple[int, str]]
Heard = Generator[Changes, None, None]


class Watch:
    """Tells of changes in a set of folders.

    Parameters
    ----------
    tell
        Called with the changes, from a thread of the watch.

    Attributes
    ----------
    lost
        Whether the system stopped telling.
    """

    def __init__(self, tell: Callable[[Changes], None]) -> None:
        self._tell = tell
        self._covered: dict[str, Key] = {}
        self._lock = threading.Lock()
        self._stop: threading.Event | None = None
        self._closed = False
        self.lost = False

    def cover(self, folders: Mapping[str, Key]) -> list[str]:
        """Watch these folders and no others; returns those that were not watched before.

        Raises
        ------
        OSError
            When the system gives no more watches.
        """
        with self._lock:
            new = [path for path, key in folders.items() if self._covered.get(path) != key]
            if not new and len(folders) == len(self._covered):
                return []
        stop = threading.Event()
        heard = _listen(folders) if folders else None
        with self._lock:
            if self._closed:
                if heard is not None:
                    heard.close()
                return []
            old, self._stop = self._stop, stop
            self._covered = dict(folders)
        if heard is not None:
            threading.Thread(target=self._run, args=(heard, stop), name="coverslip-watch", daemon=True).start()
        if old is not None:
            old.set()
        return new

    def close(self) -> None:
        """Watch nothing any more, for good."""
        with self._lock:
            if self._stop is not None:
                self._stop.set()
            self._stop, self._covered, self._closed = None, {}, True

    def _run(self, heard: Heard, stop: threading.Event) -> None:
        """Tell what is heard; once more after the end, so that nothing is lost while another watch takes over."""
        try:
            ending = False
            while not ending:
                ending = stop.is_set()
                found = next(heard)
                if found:
                    self._forget(found)
                    self._tell(found)
        except (OSError, RuntimeError, StopIteration) as error:
            LOG.debug("the watch failed: %s", error)
            self.lost = not stop.is_set()
        finally:
            heard.close()

    def _forget(self, changes: Changes) -> None:
        """A folder that was removed is no longer watched, even when one of the same name takes its place."""
        with self._lock:
            for change, path in changes:
                if change == DELETED:
                    self._covered.pop(path, None)


def _listen(folders: Mapping[str, Key]) -> Heard:
    """What happens in these folders from now on."""
    paths = list(folders)
    for _ in range(TRIES):
        heard = _changes(paths)
        try:
            next(heard)  # from here on it listens
        except FileNotFoundError:
            paths = [path for path in paths if os.path.isdir(path)]  # noqa: PTH112  (thousands of them)
        except (RuntimeError, StopIteration) as error:
            raise OSError(str(error)) from error
        else:
            return heard
    raise OSError("folders come and go too fast to be watched")


def _changes(paths: Iterable[str]) -> Heard:
    """First nothing, then what happens, in pieces; whatever the system, ``(change, path)``."""
    if sys.platform != "linux":
        return _elsewhere(paths)
    from coverslip.engine.inotify import changes

    return changes(paths, TIMEOUT_MS, DEBOUNCE_MS, STEP_MS)


def _elsewhere(paths: Iterable[str]) -> Heard:
    from watchfiles import watch  # not needed to say that a path is wrong

    heard = watch(
        *paths, watch_filter=None, debounce=DEBOUNCE_MS, step=STEP_MS, rust_timeout=TIMEOUT_MS,
        yield_on_timeout=True, raise_interrupt=False, force_polling=False, recursive=False,
        ignore_permission_denied=True,
    )  # fmt: skip
    with closing(heard):
        first = next(heard)
        yield set()
        for found in chain((first,), heard):
            yield {(int(change), path) for change, path in found}


def inner_folders(folder: str, most: int = MOST_INNER) -> dict[str, Key]:
    """A claimed folder and the folders below it, nearest first; links are not followed."""
    found: dict[str, Key] = {}
    level = [folder]
    while level and len(found) < most:
        below: list[str] = []
        for path in level:
            try:
                stat = os.stat(path)  # noqa: PTH116
                with os.scandir(path) as entries:
                    below += sorted(entry.path for entry in entries if entry.is_dir(follow_symlinks=False))
            except OSError:
                continue
            found[path] = (stat.st_dev, stat.st_ino)
            if len(found) >= most:
                break
        level = below
    return found
