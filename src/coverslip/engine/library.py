"""The sources on offer: opened when asked for, opened anew when they changed."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from typing import Any, TypeVar, cast

from coverslip.core.errors import NotFound
from coverslip.core.node import Source

T = TypeVar("T")


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
    """

    def __init__(self, id: str, name: str, kind: str, file_name: str, open_source: Callable[[], Source]) -> None:
        self.id = id
        self.name = name
        self.kind = kind
        self.file_name = file_name
        self._open = open_source
        self._lock = threading.Lock()
        self._source: Source | None = None
        self._views: dict[Any, Any] = {}

    def source(self) -> Source:
        """The source as it is now; never one that changed on disk since it was opened."""
        with self._lock:
            if self._source is None or not self._source.fresh():
                # The old one is left to those still reading it; it closes when the last of them is done.
                self._source, self._views = None, {}
                self._source = self._open()
            return self._source

    def view(self, make: Callable[[Source], T]) -> tuple[T, str]:
        """What ``make`` sees in the source, made once for each version of it, and that version's etag."""
        source = self.source()
        with self._lock:
            views = self._views if self._source is source else {}
            if make not in views:
                views[make] = make(source)
            return cast(T, views[make]), source.etag

    def close(self) -> None:
        """Close the source."""
        with self._lock:
            if self._source is not None:
                self._source.close()
            self._source, self._views = None, {}


class Library:
    """Entries by id, in stable order."""

    def __init__(self) -> None:
        self._entries: dict[str, Entry] = {}

    def add(
        self, name: str, kind: str, open_source: Callable[[], Source], id: str | None = None, file_name: str = ""
    ) -> Entry:
        """Offer a source; its id is its name made safe, numbered when taken."""
        base = re.sub(r"[^A-Za-z0-9._-]+", "_", id or name).strip("._") or "data"
        unique, number = base, 2
        while unique in self._entries:
            unique, number = f"{base}-{number}", number + 1
        entry = self._entries[unique] = Entry(unique, name, kind, file_name, open_source)
        return entry

    def __iter__(self) -> Iterator[Entry]:
        return iter(self._entries.values())

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
