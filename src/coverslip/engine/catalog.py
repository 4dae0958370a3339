"""What is on offer: every source below the roots, listed at once, kept true, searched and opened.

A row is written by two threads: the survey (`coverslip.engine.survey`) finds, loses and renames sources, the indexer
(`coverslip.engine.indexer`) opens each once to learn what is in it. Requests only read.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from coverslip.core.errors import BadRequest, CoverslipError, NotFound, Unreadable
from coverslip.core.node import Source
from coverslip.engine.found import Found, Recognise
from coverslip.engine.indexer import Describe, Indexer
from coverslip.engine.ledger import ROOT_MISSING, Ledger
from coverslip.engine.library import MOST_OPEN, Entry, Library
from coverslip.engine.options import CatalogOptions
from coverslip.engine.places import DROPPED, Root, check_inside, distinct
from coverslip.engine.query import Query
from coverslip.engine.scan import Tree
from coverslip.engine.sidecar import cache_folder
from coverslip.engine.store import Described, Row, Store, open_store, shown_path
from coverslip.engine.survey import Survey

LOG = logging.getLogger("coverslip.catalog")
T = TypeVar("T")
FIRST_S = 0.25
"""How long the first start waits for the list, so that small folders are there at once."""
WITHDRAW_S = 10.0
KEPT_S = 90 * 86400.0
"""How long the list of roots that are no longer served is kept."""


class Catalog:
    """The sources below some roots.

    Parameters
    ----------
    roots
        What is offered.
    recognise
        Which format claims a path; raises `UnknownFormat` when none does.
    open_source
        Opens a path.
    describe
        What is in an opened source.
    options
        How often to look, how long to wait.
    edition
        Another one when formats are read differently; a list that was kept by another edition is not used.
    most_open
        How many sources are kept open.

    Raises
    ------
    CoverslipError
        When a root that is a file is of no known format, or cannot be read.
    """

    def __init__(
        self,
        roots: Sequence[Root],
        recognise: Recognise,
        open_source: Callable[[Path], Source],
        describe: Describe,
        options: CatalogOptions | None = None,
        edition: str = "",
        most_open: int = MOST_OPEN,
    ) -> None:
        self.roots = distinct(roots)
        self.options = options or CatalogOptions()
        self.library = Library(most_open)
        self._open_source = open_source
        self._edition = edition
        self._lock = threading.RLock()
        self._ledger = Ledger(self.options.quiet_s, self.plain)
        self._opens: dict[str, Callable[[], Source]] = {}
        self._revision = int(time.time() * 1000)
        self._added: list[Row] = []
        self._dropped: dict[str, Root] = {}
        self._own: list[Path] = []
        self._store: Store | None = None
        self._started = False
        self._recognise = recognise
        self._describe = describe
        self._survey = Survey(self.roots, recognise, self, self.options)
        self._indexer = Indexer(self, describe, self.options)
        self._query = Query(self.options)
        self.overlay: Callable[[str, Source], Source] = lambda _, source: source
        """Adds to an opened source what was uploaded to it."""
        for root in self.roots:
            if root.path.is_file():
                (root.recognise or recognise)(root.path)

    # --- for who puts the server together -----------------------------------------------------------------------

    def add(self, name: str, format: str, kind: str, open_source: Callable[[], Source], id: str = "") -> str:
        """Offer something that is not below a root (an object in memory, a remote file); returns its id."""
        unique = self._ledger.numbered(id or name)
        row = Row(unique, "", unique, name, format, kind, modified_ns=time.time_ns(), version="0")
        self._rows[unique] = row
        self._added.append(row)
        self._opens[unique] = open_source
        if self._store is not None:
            self._write([row])
            self._indexer.add(unique)
        return unique

    def offer(self, row: Row, open_source: Callable[[], Source], index: bool = True) -> None:
        """List what is found elsewhere (`coverslip.engine.remote`), or list it anew; after `start`.

        Parameters
        ----------
        index
            Whether to open it in the background to learn what is in it.
        """
        with self._lock:
            self._rows[row.id], self._opens[row.id] = row, open_source
        self._write([row])
        self._refresh_entry(row)
        if index:
            self._indexer.add(row.id)

    def learn(self, id: str) -> None:
        """Open a source in the background to learn what is in it."""
        self._indexer.add(id)

    def leave_out(self, folder: Path) -> None:
        """List nothing below a folder that the server itself writes to; before `start`.

        Raises
        ------
        BadRequest
            When it is offered itself.
        """
        real = Path(os.path.realpath(folder))
        self._own.append(real)
        self.roots[:] = [_without(root, real) for root in self.roots]

    def offer_root(self, root: Root) -> Root:
        """Offer one root more while serving, until the server ends; returns it with an alias of its own.

        It is looked at in the background (`idle`).

        Raises
        ------
        BadRequest
            When the server itself writes to it.
        """
        for folder in self._own:
            root = _without(root, folder)
        with self._lock:
            name, number = f"{DROPPED}{root.alias}", 2
            taken = {other.alias for other in (*self.roots, *self._dropped.values())}
            while name in taken:
                name, number = f"{DROPPED}{root.alias}-{number}", number + 1
            made = self._dropped[name] = replace(root, alias=name)
        self._survey.offer(made)
        return made

    def withdraw_root(self, alias: str) -> list[str]:
        """Offer a root no longer that was offered while serving; the ids of its sources.

        Raises
        ------
        NotFound
            When there is none of this alias.
        """
        with self._lock:
            root = self._dropped.pop(alias, None)
        if root is None:
            raise NotFound("There is no such folder among those that were added", "See source_url in the catalog.")
        self._survey.withdraw(root)
        end = time.monotonic() + WITHDRAW_S
        while root in tuple(self.roots) and time.monotonic() < end:
            time.sleep(0.01)
        with self._lock:
            ids = [row.id for row in self._ledger.below(root)]
        self._write([], ids)
        return ids

    def below(self, path: str) -> list[Row]:
        """The rows of what is at a path of this machine, or below it."""
        inner = f"{path.rstrip('/')}/"
        with self._lock:
            return [row for row in self._rows.values() if f"{self._where(row)}/".startswith(inner)]

    def look_at(self, path: Path) -> None:
        """Look at a path below a root soon: something may have come, changed or gone."""
        self._survey.look_at(str(path))

    @property
    def surveyed(self) -> bool:
        """Whether everything that was heard of was looked at; it may wait to be opened."""
        return self._survey.idle

    @property
    def idle(self) -> bool:
        """Whether nothing that is known of waits to be looked at or opened."""
        return self._survey.idle and self._indexer.idle and self._survey.idle

    def learn_now(self, id: str) -> None:
        """Open a source right now, because it holds more or less than before; whoever asks next sees what it holds."""
        with self._lock:
            row = self._rows.get(id)
            if row is None:
                return
            row = self._rows[id] = replace(row, generation=row.generation + 1)
        self._write([row])
        self._refresh_entry(row)
        described = self._indexer.look(id)
        if described is not None:
            self.learnt([described])

    def remove(self, id: str) -> None:
        """Offer no longer what was added."""
        self._added = [row for row in self._added if row.id != id]
        if self._opens.pop(id, None) is not None and id in self._rows:
            if self._store is not None:
                self._write([], [id])
            else:
                del self._rows[id]

    def start(self) -> None:
        """List what was kept, then look and listen in the background; returns at once (`FIRST_S`).

        A catalog that was closed may be started again.
        """
        if self._started:
            self._survey = Survey(self.roots, self._recognise, self, self.options)
            self._indexer = Indexer(self, self._describe, self.options)
        self._started = True
        added = self._added
        self._ledger = Ledger(self.options.quiet_s, self.plain, added)
        self._store = open_store(self._file())
        known = self._do(Store.rows)
        stale = [row.id for row in known if not row.root or not self._kept(row)]
        for row in known:
            if self._kept(row):
                self._ledger.load(replace(row, tensors=None))
        self._do(lambda store: store.put(added, stale))
        self._survey.start()
        self._indexer.start()
        for row in self._values():
            if row.status != "ready" and (row.format or not row.root):
                self._indexer.add(row.id)
        if not known:
            self._survey.first.wait(FIRST_S)

    def close(self) -> None:
        """Look and listen no more, and close every source."""
        self._survey.close()
        self._indexer.close()
        self._query.close()
        self.library.close()
        with self._lock:
            store, self._store = self._store, None
        if store is not None:
            store.close()

    def wait_idle(self, timeout: float) -> bool:
        """Wait until everything that is known of was looked at; False when that took too long."""
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            if self.idle:
                return True
            time.sleep(0.01)
        return False

    # --- for who asks ---------------------------------------------------------------------------------------------

    @property
    def revision(self) -> int:
        """Larger after every change of the list."""
        return self._revision

    @property
    def scanning(self) -> bool:
        """Whether everything is being looked at right now."""
        return self._survey.scanning

    @property
    def scanned(self) -> bool:
        """Whether everything was looked at once."""
        return self._survey.scanned

    @property
    def watching(self) -> bool:
        """Whether the system tells of changes on local disks; else they are looked for every few seconds."""
        return self._survey.watching

    def entries(
        self,
        search: str = "",
        kind: str = "",
        status: str = "",
        sort: str = "name",
        limit: int | None = None,
        offset: int = 0,
    ) -> tuple[list[Row], int]:
        """One page of the rows that match, and how many match in all.

        Parameters
        ----------
        search
            Words that a row must all have in its name, path, format, channels or metadata; the beginning of a word
            will do, and in names and paths any part of it.
        kind, status
            Only rows of this kind or status.
        sort
            ``name``, ``kind``, ``size`` or ``modified``; the other way round with a ``-`` before it.
        limit, offset
            The page; everything when left out.

        Raises
        ------
        BadRequest
            When there is no such order.
        """
        equal = {name: value for name, value in (("kind", kind), ("status", status)) if value}
        return self._do(lambda store: store.find(search, equal, sort, limit, offset))

    def get(self, id: str) -> Row:
        """One row.

        Raises
        ------
        NotFound
            When there is none.
        """
        row = self._do(lambda store: store.get(id))
        if row is None:
            raise _not_found(id)
        return row

    def __contains__(self, id: object) -> bool:
        return id in self._rows

    def __len__(self) -> int:
        return len(self._rows)

    def kind(self, id: str) -> str | None:
        """What kind of source this is, or None when there is none."""
        row = self._rows.get(id)
        return row.kind if row is not None else None

    def metadata(self, id: str) -> str | None:
        """A source's own metadata as JSON text; None before it was opened."""
        self.get(id)
        return self._do(lambda store: store.metadata(id))

    def open(self, id: str) -> Entry:
        """The entry of a source, whose views are kept while it does not change.

        Raises
        ------
        NotFound
            When there is none.
        """
        with self._lock:
            row = self._rows.get(id)
            if row is None:
                raise _not_found(id)
            entry = self.library.held(id)
            if entry is None:
                file_name = shown_path(row.path).rpartition("/")[2] if row.path else self._root(row).path.name
                entry = self.library.put(id, row.name, row.format, file_name, self._opener(id))
                entry.changed(row.generation)
            return entry

    def where(self, id: str) -> tuple[str, Row]:
        """Where a source is, for whoever keeps something of his own about it, and its row; see `whereabouts`.

        Raises
        ------
        NotFound
            When there is none.
        """
        with self._lock:
            row = self._rows.get(id)
            if row is None:
                raise _not_found(id)
            return self._where(row), row

    def whereabouts(self) -> dict[str, str]:
        """Ids of all sources by where they are: a path of this machine, an address, or ``memory:`` and the id."""
        with self._lock:
            return {self._where(row): row.id for row in self._rows.values()}

    def _where(self, row: Row) -> str:
        if row.root:
            return str(self._root(row).full(row.path))
        return row.path if "://" in row.path else f"memory:{row.id}"

    def counts(self) -> dict[str, Any]:
        """The list in numbers: ``revision``, ``sources``, ``by_kind``, ``by_status``, ``failed``, ``scanning`` …"""
        found = self._do(Store.counts)
        by_kind: dict[str, int] = {}
        by_status: dict[str, int] = {}
        for (kind, status), count in found.items():
            by_kind[kind] = by_kind.get(kind, 0) + count
            by_status[status] = by_status.get(status, 0) + count
        return {
            "revision": self.revision,
            "sources": sum(by_kind.values()),
            "by_kind": by_kind,
            "by_status": by_status,
            "failed": by_status.get("failed", 0),
            "scanning": self.scanning,
            "scanned": self.scanned,
            "roots": [root.alias for root in self.roots],
        }

    def query(self, sql: str) -> tuple[list[dict[str, Any]], bool]:
        """Rows of an SQL query over the table ``sources``, and whether there were more than are given.

        Raises
        ------
        BadRequest
            When the query is not one SELECT, or DuckDB refuses it.
        TimedOut
            When it took too long.
        Unsupported
            When DuckDB is not installed.
        """
        return self._query.run(sql, self.revision, self.snapshot)

    def query_stream(self, sql: str, further: Mapping[str, bytes]) -> tuple[bytes, int, int]:
        """The same as a stream of Arrow, the number of its rows, and how many there would be without a cap.

        Parameters
        ----------
        further
            Other tables that may be asked for, by name, each as a stream of Arrow.
        """
        return self._query.stream(sql, self.revision, self.snapshot, further)

    def urls(self) -> list[tuple[str, str]]:
        """Id and address of every source, in the order they were found."""
        return [(row.id, row.url) for row in self._values()]

    def snapshot(self) -> tuple[list[Row], dict[str, str]]:
        """Every row, and the metadata of those that have any."""
        return self._do(lambda store: (store.rows(), store.all_metadata()))

    # --- for the survey -------------------------------------------------------------------------------------------

    def known(self, root: Root) -> dict[str, Found]:
        """What was found below a root before, without what could not be read."""
        with self._lock:
            return self._ledger.found(root)

    def device(self, root: Root) -> int | None:
        """The device a root was on before."""
        return self._do(lambda store: store.device(root.alias))

    def reached(self, root: Root, device: int) -> None:
        """A root can be reached."""
        if self.device(root) != device:
            self._do(lambda store: store.put_device(root.alias, device))

    def missing(self, root: Root) -> None:
        """A root cannot be reached: its sources stay listed, with the reason."""
        LOG.warning("%s cannot be reached.", root.alias)
        error = Unreadable(
            f"{root.alias} cannot be reached", "Is its disk mounted? It is looked for every second.", ROOT_MISSING
        )
        with self._lock:
            rows = [row.failing(error) for row in self._ledger.below(root)]
            self._rows.update((row.id, row) for row in rows)
        for row in rows:
            self._indexer.forget(row.id)
        self._write(rows)

    def publish(self, tree: Tree, found: Sequence[Found] | None, dirty: set[str], hot: bool) -> None:
        """Take over what a scan found; see `coverslip.engine.survey.List`."""
        root = tree.root
        items = list(tree.items.values()) if found is None else found
        with self._lock:
            rows = self._ledger.take(root, items, tree.items, dirty, hot)
            lost = self._ledger.lost(root, tree.items) if found is None else []
        self._write(rows, lost)
        for row in rows:
            if row.status in ("pending", "live"):
                self._indexer.add(row.id, hot=row.status == "live")
            self._refresh_entry(row)
        if found is None and not self.scanned:
            self.verify(root)

    def verify(self, root: Root) -> None:
        """Look deeper into the folders of a root, when there is time."""
        with self._lock:
            ids = [row.id for row in self._ledger.below(root) if row.folder]
        for id in ids:
            self._indexer.verify(id)

    def _refresh_entry(self, row: Row) -> None:
        entry = self.library.held(row.id)
        if entry is not None:
            entry.name = row.name
            entry.changed(row.generation)

    # --- for the indexer --------------------------------------------------------------------------------------------

    def place(self, id: str) -> tuple[Row, Path | None, Callable[[], Source]] | None:
        """A row, where it is, and how it is opened; None when it is gone."""
        with self._lock:
            row = self._rows.get(id)
            if row is None or row.code == ROOT_MISSING:
                return None
            return row, self._root(row).full(row.path) if row.root else None, self._opener(id)

    def learnt(self, rows: list[Described]) -> None:
        """Rows that were opened; those that changed meanwhile are opened again anyway."""
        fresh: list[Described] = []
        waiting: list[Row] = []
        with self._lock:
            for row, metadata, words in rows:
                now = self._rows.get(row.id)
                if now is None or now.code == ROOT_MISSING:
                    continue
                if (now.stamp, now.generation, now.path) != (row.stamp, row.generation, row.path):
                    continue
                self._rows[row.id] = replace(row, tensors=None)
                if row.status == "live" and metadata is None:
                    if now.status != "live":
                        waiting.append(row)
                else:
                    fresh.append((row, metadata, words))
        self._write(waiting, described=fresh)

    def written(self, id: str) -> None:
        """A folder changed where no scan looks."""
        with self._lock:
            row = self._rows.get(id)
            if row is None:
                return
            generation = row.generation + 1
            row = replace(row.well("pending"), generation=generation, version=f"{row.stamp}-{generation:x}")
            self._rows[id] = row
        self._write([row])
        self._refresh_entry(row)
        self._indexer.add(id)

    def plain(self, error: CoverslipError, row: Row) -> CoverslipError:
        """The error without paths of this machine."""
        if not row.root:
            return error
        root = self._root(row)
        message, hint = error.message, error.hint
        own = root.full(row.path)
        for path, shown in ((own, shown_path(own.name)), (root.path, root.alias), (root.path.parent, "…")):
            if str(path) != "/":
                message, hint = message.replace(str(path), shown), hint.replace(str(path), shown)
        return CoverslipError(shown_path(message), shown_path(hint), error.name)

    @property
    def _rows(self) -> dict[str, Row]:
        return self._ledger.rows

    # --- inside -----------------------------------------------------------------------------------------------------

    def _values(self) -> list[Row]:
        with self._lock:
            return list(self._rows.values())

    def _kept(self, row: Row) -> bool:
        return any(row.root == root.alias for root in self.roots)

    def _root(self, row: Row) -> Root:
        for root in (*self.roots, *self._dropped.values()):
            if root.alias == row.root:
                return root
        raise _not_found(row.id)

    def _opener(self, id: str) -> Callable[[], Source]:
        def open_now() -> Source:
            own = self._opens.get(id)
            if own is not None:
                return self.overlay(id, own())
            row = self._rows.get(id)
            if row is None:
                raise _not_found(id)
            root = self._root(row)
            path = root.full(row.path)
            try:
                check_inside(path, self.roots)
                return self.overlay(id, (root.open_source or self._open_source)(path))
            except CoverslipError as error:
                plain = self.plain(error, row)
                raise type(error)(plain.message, plain.hint, plain.name) from error

        return open_now

    def _write(self, rows: Sequence[Row], gone: Sequence[str] = (), described: Sequence[Described] = ()) -> None:
        if not (rows or gone or described):
            return
        with self._lock:
            for id in gone:
                self._ledger.drop(id)
        for id in gone:
            self._indexer.forget(id)
            self.library.drop(id)
        self._do(lambda store: store.put(rows, gone, described))
        with self._lock:
            self._revision += 1
        self.library.sweep()

    def _do(self, work: Callable[[Store], T]) -> T:
        """Ask the store; when it fails, go on with one in memory."""
        store = self._store
        if store is None:
            raise Unreadable("The catalog is closed", "The server is ending.")
        try:
            return work(store)
        except (sqlite3.Error, OSError) as error:
            return work(self._fall_back(store, error))

    def _fall_back(self, broken: Store, error: Exception) -> Store:
        with self._lock:
            if self._store is None:
                raise Unreadable("The catalog is closed", "The server is ending.")
            if self._store is not broken:
                return self._store
            LOG.warning("The catalog is kept in memory from now on: %s", error)
            broken.close()
            if isinstance(error, sqlite3.DatabaseError) and not isinstance(error, sqlite3.OperationalError):
                file = self._file()
                with suppress(OSError):
                    if file is not None:
                        file.unlink()
            self._store = Store()
            again = [row.well("pending") if row.status == "ready" else row for row in self._rows.values()]
            self._rows.update((row.id, row) for row in again)
            self._store.put(again)
        for row in again:
            if row.status != "failed":
                self._indexer.add(row.id)
        return self._store

    def _file(self) -> Path | None:
        if not self.options.persist:
            return None
        what = [
            self._edition,
            *(f"{root.alias}\0{root.path}\0{root.hidden}" for root in self.roots),
            *(row.id for row in self._added),
        ]
        key = hashlib.sha256(json.dumps(what).encode()).hexdigest()[:24]
        folder = cache_folder() / "catalog"
        with suppress(OSError):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            folder.chmod(0o700)
            for old in _unused(folder):
                old.unlink()
        return folder / f"{key}.sqlite"


def _without(root: Root, folder: Path) -> Root:
    """A root without a folder that the server itself writes to."""
    if root.path == folder or folder in root.path.parents:
        hint = "Choose a folder of its own; it may be inside one that is offered."
        raise BadRequest(f"{folder} is offered, and cannot be written to as well", hint)
    if root.path not in folder.parents:
        return root
    return replace(root, left_out=root.left_out | {folder.relative_to(root.path).as_posix()})


def _unused(folder: Path) -> Iterator[Path]:
    for file in folder.glob("*.sqlite*"):
        if file.stat().st_mtime < time.time() - KEPT_S:
            yield file


def _not_found(id: str) -> NotFound:
    return NotFound(f"Source not found: {id[:200]}", "GET /api/sources lists them.", "source_not_found")
