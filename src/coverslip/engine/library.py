"""The sources on offer: opened when asked for, opened anew when they changed, closed when others are wanted more."""

from __future__ import annotations

import re
import threading
import time
import weakref
from collections import OrderedDict, deque
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar, cast

from coverslip.core.errors import NotFound
from coverslip.core.node import Source
from coverslip.engine.storage import STORAGE

T = TypeVar("T")
MOST_OPEN = 64
GRACE_S = 20.0
"""How long a source that nobody seems to hold stays open: a reader may hold a node of it and not the view."""
LOOK_S = 0.5
"""How often somebody who waits for others to look at a disk asks whether it answers at all."""
CLOSE_S = 0.2
"""How long closing waits for somebody who looks at a network disk."""


class Opened:
    """An open source and the views of it; closed when everybody who holds it has let go.

    Holders are the entry, whoever makes a view right now, and every view as long as it lives.
    """

    def __init__(self, source: Source, done: deque[tuple[float, Source]]) -> None:
        self.source = source
        self.views: dict[Any, Any] = {}
        self._done = done
        self._holds = [
            None
        ]  # a list: append and pop are atomic, and a lock must not be taken while memory is collected

    def hold(self) -> None:
        """One more holds it."""
        self._holds.append(None)

    def release(self) -> None:
        """One less holds it; after the last one it waits to be closed."""
        self._holds.pop()
        if not self._holds:
            self._done.append((time.monotonic(), self.source))

    def keep(self, view: object) -> None:
        """Stay open as long as ``view`` lives."""
        try:
            held = weakref.finalize(view, self.release)
        except TypeError:  # a plain list or number; it holds no file
            return
        held.atexit = False
        self.hold()


class Entry:
    """One source on offer.

    Parameters
    ----------
    id
        Stable, and safe in a URL path.
    name
        What a person calls it.
    kind
        The format's name.
    file_name
        Its name on disk without the folders, which are nobody's business.
    open_source
        Opens the source; called again when it changed.

    Attributes
    ----------
    place
        The storage it lies on (`coverslip.engine.storage.place_of`).
    """

    place: Hashable = None

    def __init__(self, id: str, name: str, kind: str, file_name: str, open_source: Callable[[], Source]) -> None:
        self.id = id
        self.name = name
        self.kind = kind
        self.file_name = file_name
        self._open = open_source
        self._lock = threading.Lock()
        self._opened: Opened | None = None
        self._generation = 0
        self._stale = False
        self._shelf = Shelf(MOST_OPEN)

    def _hold(self) -> tuple[Opened, str]:
        """The source as it is now, held for the caller, and its etag."""
        with self._alone():
            if self._opened is None or self._stale or not self._opened.source.fresh():
                self._let_go()
                self._stale = False
                self._opened = Opened(self._open(), self._shelf.done)
                self._opened.source.generation = self._generation
            self._opened.hold()
            found = self._opened, self._etag(self._opened.source)
        self._shelf.used(self)
        return found

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Look at what is on disk, one at a time; not behind somebody who waits for a disk without an end.

        Raises
        ------
        Unreadable
            When the storage does not answer.
        """
        STORAGE.visit(self.place)
        while not self._lock.acquire(timeout=LOOK_S):
            STORAGE.visit(self.place)
        try:
            yield
        finally:
            self._lock.release()

    def _etag(self, source: Source) -> str:
        return f"{source.etag}-{source.generation:x}" if source.generation else source.etag

    def source(self) -> Source:
        """The source as it is now; never one that changed on disk since it was opened.

        It stays open for `GRACE_S` at least; who reads for longer holds a view.
        """
        opened, _ = self._hold()
        opened.release()
        return opened.source

    def view(self, make: Callable[[Source], T]) -> tuple[T, str]:
        """What ``make`` sees in the source, made once for each version of it, and that version's etag.

        Keep the view as long as its arrays are read: the source is closed some time after the last view is gone.
        """
        opened, etag = self._hold()
        try:
            with self._alone():
                if make not in opened.views:
                    opened.views[make] = made = make(opened.source)
                    opened.keep(made)
                return cast(T, opened.views[make]), etag
        finally:
            opened.release()

    def visit(self) -> None:
        """This thread reads the source from now on: what is known of it is not looked at on disk first.

        Raises
        ------
        Unreadable
            When its storage does not answer.
        """
        STORAGE.visit(self.place)

    def changed(self, generation: int) -> None:
        """Open anew next time, as this version: something changed that the source itself may not see."""
        self._generation, self._stale = generation, True
        self.close()

    @property
    def is_open(self) -> bool:
        """Whether the source is kept open."""
        return self._opened is not None

    def close(self) -> None:
        """Keep the source open no longer; those who read it now finish. One whose disk hangs is left as it is."""
        if self._lock.acquire(timeout=-1 if self.place is None else CLOSE_S):
            try:
                self._let_go()
            finally:
                self._lock.release()

    def _let_go(self) -> None:
        opened, self._opened = self._opened, None
        if opened is not None:
            opened.views = {}
            opened.release()


class Shelf:
    """Which entries are open, least recently used first, and sources that wait to be closed."""

    def __init__(self, most_open: int) -> None:
        self._most_open = most_open
        self._open: OrderedDict[Entry, None] = OrderedDict()
        self._lock = threading.Lock()
        self.done: deque[tuple[float, Source]] = deque()

    def used(self, entry: Entry) -> None:
        """An entry was opened or read; the one unused longest is closed when there are too many."""
        with self._lock:
            self._open[entry] = None
            self._open.move_to_end(entry)
            surplus = [self._open.popitem(last=False)[0] for _ in range(len(self._open) - self._most_open)]
        for old in surplus:
            old.close()
        self.sweep()

    def sweep(self, all_of_them: bool = False) -> None:
        """Close the sources that nobody has held for a while."""
        oldest = time.monotonic() - GRACE_S
        while self.done and (all_of_them or len(self.done) > self._most_open or self.done[0][0] < oldest):
            try:
                _, source = self.done.popleft()
            except IndexError:  # another thread was quicker
                return
            source.close()


class Library:
    """Entries by id, in stable order.

    Parameters
    ----------
    most_open
        How many sources are kept open; more may be for a moment, while they are read.
    """

    def __init__(self, most_open: int = MOST_OPEN) -> None:
        self._entries: dict[str, Entry] = {}
        self._shelf = Shelf(most_open)

    def add(
        self, name: str, kind: str, open_source: Callable[[], Source], id: str | None = None, file_name: str = ""
    ) -> Entry:
        """Offer a source; its id is its name made safe, numbered when taken."""
        base = safe_id(id or name)
        unique, number = base, 2
        while unique in self._entries:
            unique, number = f"{base}-{number}", number + 1
        return self.put(unique, name, kind, file_name, open_source)

    def put(self, id: str, name: str, kind: str, file_name: str, open_source: Callable[[], Source]) -> Entry:
        """Offer a source under exactly this id."""
        entry = self._entries[id] = Entry(id, name, kind, file_name, open_source)
        entry._shelf = self._shelf
        return entry

    def drop(self, id: str) -> None:
        """Offer a source no longer."""
        entry = self._entries.pop(id, None)
        if entry is not None:
            entry.close()

    def held(self, id: str) -> Entry | None:
        """The entry of this id, or None."""
        return self._entries.get(id)

    def sweep(self) -> None:
        """Close what nobody reads any more; opening a source does so too."""
        self._shelf.sweep()

    def __iter__(self) -> Iterator[Entry]:
        return iter(list(self._entries.values()))

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, id: object) -> bool:
        return id in self._entries

    def __getitem__(self, id: str) -> Entry:
        if id not in self._entries:
            raise NotFound(f"There is no data set {id!r}", "/_cellucid/datasets lists them.", "dataset_not_found")
        return self._entries[id]

    def close(self) -> None:
        """Close every source."""
        for entry in self:
            entry.close()
        self._shelf.sweep(all_of_them=True)


def safe_id(name: str) -> str:
    """A name with only characters that a URL path holds as they are."""
    return re.sub(r"[^A-Za-z0-9._-]+", "_", name).strip("._") or "data"
