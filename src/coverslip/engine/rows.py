"""The rows of the catalog: in memory by id, on disk in the store, changed together.

When the disk fails, the store is one in memory from then on.
"""

from __future__ import annotations

import hashlib
import json
import logging
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Protocol, TypeVar

from coverslip.core.errors import CoverslipError, Unreadable
from coverslip.engine.ledger import Ledger
from coverslip.engine.library import Library
from coverslip.engine.places import Root
from coverslip.engine.sidecar import cache_folder
from coverslip.engine.store import Described, Row, Store, open_store

LOG = logging.getLogger("coverslip.catalog")
T = TypeVar("T")
KEPT_S = 90 * 86400.0
"""How long the list of roots that are no longer served is kept."""


class Reader(Protocol):
    """Who opens sources in the background."""

    def add(self, id: str, hot: bool = False) -> None:
        """Open one soon."""

    def forget(self, id: str) -> None:
        """Do not open it."""


class Rows:
    """Every row, and the store they are kept in.

    Parameters
    ----------
    quiet_s
        How old a file is at least that counts as written.
    plain
        Makes an error one without paths of this machine.
    library
        Closes the sources whose rows are gone.

    Attributes
    ----------
    lock
        Held by whoever reads and changes rows at once.
    ledger
        The rows by id and by place; to be used with the lock.
    revision
        Larger after every change.
    reader
        Opens what is to be learnt anew.
    """

    reader: Reader

    def __init__(
        self, quiet_s: float, plain: Callable[[CoverslipError, Row], CoverslipError], library: Library
    ) -> None:
        self.lock = threading.RLock()
        self.revision = int(time.time() * 1000)
        self._quiet_s = quiet_s
        self._plain = plain
        self._library = library
        self.ledger = Ledger(quiet_s, plain)
        self.store: Store | None = None
        self._file: Path | None = None

    def begin(self, file: Path | None, added: Sequence[Row], holds: Callable[[Row], bool]) -> bool:
        """Take over what was kept in a file, and what was added; whether anything was kept.

        Parameters
        ----------
        file
            Where rows are kept; None for nowhere.
        added
            What is not below a root.
        holds
            Whether a row that was kept is still offered.
        """
        self._file = file
        self.ledger = Ledger(self._quiet_s, self._plain, added)
        self.store = open_store(file)
        known = self.do(Store.rows)
        stale = [row.id for row in known if not row.root or not holds(row)]
        for row in known:
            if holds(row):
                self.ledger.load(replace(row, tensors=None))
        self.do(lambda store: store.put(added, stale))
        return bool(known)

    def close(self) -> None:
        """Keep nothing more."""
        with self.lock:
            store, self.store = self.store, None
        if store is not None:
            store.close()

    @property
    def by_id(self) -> dict[str, Row]:
        """The rows; to be changed with the lock."""
        return self.ledger.rows

    def all(self) -> list[Row]:
        """Every row."""
        with self.lock:
            return list(self.by_id.values())

    def write(self, rows: Sequence[Row], gone: Sequence[str] = (), described: Sequence[Described] = ()) -> None:
        """Keep rows that changed and what was learnt of them, and forget those that are gone."""
        if not (rows or gone or described):
            return
        with self.lock:
            for id in gone:
                self.ledger.drop(id)
        for id in gone:
            self.reader.forget(id)
            self._library.drop(id)
        self.do(lambda store: store.put(rows, gone, described))
        with self.lock:
            self.revision += 1
        self._library.sweep()

    def refresh_entry(self, row: Row) -> None:
        """Tell whoever has a source open that it may have changed."""
        entry = self._library.held(row.id)
        if entry is not None:
            entry.name = row.name
            entry.changed(row.generation)

    def do(self, work: Callable[[Store], T]) -> T:
        """Ask the store; when it fails, go on with one in memory."""
        store = self.store
        if store is None:
            raise Unreadable("The catalog is closed", "The server is ending.")
        try:
            return work(store)
        except (sqlite3.Error, OSError) as error:
            return work(self._fall_back(store, error))

    def _fall_back(self, broken: Store, error: Exception) -> Store:
        with self.lock:
            if self.store is None:
                raise Unreadable("The catalog is closed", "The server is ending.")
            if self.store is not broken:
                return self.store
            LOG.warning("The catalog is kept in memory from now on: %s", error)
            broken.close()
            if isinstance(error, sqlite3.DatabaseError) and not isinstance(error, sqlite3.OperationalError):
                with suppress(OSError):
                    if self._file is not None:
                        self._file.unlink()
            self.store = Store()
            again = [row.well("pending") if row.status == "ready" else row for row in self.by_id.values()]
            self.by_id.update((row.id, row) for row in again)
            self.store.put(again)
        for row in again:
            if row.status != "failed":
                self.reader.add(row.id)
        return self.store


def file_of(edition: str, roots: Sequence[Root], added: Iterable[Row]) -> Path:
    """Where the list of these roots is kept, as this edition of the formats reads them."""
    what = [
        edition,
        *(f"{root.alias}\0{root.path}\0{root.hidden}" for root in roots),
        *(row.id for row in added),
    ]
    key = hashlib.sha256(json.dumps(what).encode()).hexdigest()[:24]
    folder = list_folder()
    with suppress(OSError):
        for old in _unused(folder):
            old.unlink()
    return folder / f"{key}.sqlite"


def list_folder() -> Path:
    """Where lists are kept; made for its owner only, if it can be."""
    folder = cache_folder() / "catalog"
    with suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        folder.chmod(0o700)
    return folder


def _unused(folder: Path) -> Iterator[Path]:
    for file in folder.glob("*.sqlite*"):
        if file.stat().st_mtime < time.time() - KEPT_S:
            yield file
