"""What is on offer: every source below the roots, listed at once, kept true, searched and opened.

Rows (`coverslip.engine.rows`) are written by two threads: the survey (`coverslip.engine.survey`) finds, loses and
renames sources, the indexer (`coverslip.engine.indexer`) opens each once to learn what is in it; both tell the intake
(`coverslip.engine.intake`). Requests only read (`coverslip.engine.listing`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from coverslip.core.node import Source
from coverslip.engine.description import Describe
from coverslip.engine.found import Recognise
from coverslip.engine.indexer import Indexer
from coverslip.engine.intake import Intake
from coverslip.engine.library import MOST_OPEN, Entry, Library
from coverslip.engine.listing import Listing
from coverslip.engine.offered import Offered, not_found
from coverslip.engine.opening import Opening
from coverslip.engine.options import CatalogOptions
from coverslip.engine.places import Root
from coverslip.engine.query import Query
from coverslip.engine.rows import Rows, file_of, list_folder
from coverslip.engine.storage import place_of
from coverslip.engine.store import Row, shown_path
from coverslip.engine.survey import Survey
from coverslip.engine.suspects import Suspects

FIRST_S = 0.25
"""How long the first start waits for the list, so that small folders are there at once."""
WITHDRAW_S = 10.0


class Catalog(Listing):
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
        self.options = options or CatalogOptions()
        self.library = Library(most_open)
        offered = Offered(roots)
        rows = Rows(self.options.quiet_s, offered.plain, self.library)
        super().__init__(rows, offered, Query(self.options))
        self._suspects = Suspects()
        self._opening = Opening(rows, offered, open_source, self._suspects)
        self._intake = Intake(rows, offered, self._opening, lambda: self.scanned)
        self._edition = edition
        self._added: list[Row] = []
        self._started = False
        self._recognise = recognise
        self._describe = describe
        self._employ()
        for root in self.roots:
            if root.path.is_file():
                self._note()
                with self._suspects.looking(root.path, "recognise"):
                    (root.recognise or recognise)(root.path)

    def _note(self) -> None:
        """Note what is looked at from now on, so that what ends this server does not end every one after it."""
        self._suspects.begin(list_folder() if self.options.persist else None)

    def _employ(self) -> None:
        """Make the two that work in the background; each can be started once."""
        self._survey = Survey(self.roots, self._recognise, self._intake, self.options, self._suspects)
        self._indexer = Indexer(self._intake, self._describe, self.options, self._suspects)
        self._rows.reader = self._intake.indexer = self._indexer

    @property
    def roots(self) -> list[Root]:
        """What is offered now."""
        return self._offered.roots

    @property
    def overlay(self) -> Callable[[str, Source], Source]:
        """Adds to an opened source what was uploaded to it."""
        return self._opening.overlay

    @overlay.setter
    def overlay(self, add: Callable[[str, Source], Source]) -> None:
        self._opening.overlay = add

    # --- for who puts the server together -----------------------------------------------------------------------

    def add(self, name: str, format: str, kind: str, open_source: Callable[[], Source], id: str = "") -> str:
        """Offer something that is not below a root (an object in memory, a remote file); returns its id."""
        unique = self._rows.ledger.numbered(id or name)
        row = Row(unique, "", unique, name, format, kind, modified_ns=time.time_ns(), version="0")
        self._rows.by_id[unique] = row
        self._added.append(row)
        self._opening.own[unique] = open_source
        if self._rows.store is not None:
            self._rows.write([row])
            self._indexer.add(unique)
        return unique

    def offer(self, row: Row, open_source: Callable[[], Source], index: bool = True) -> None:
        """List what is found elsewhere (`coverslip.engine.remote`), or list it anew; after `start`.

        Parameters
        ----------
        index
            Whether to open it in the background to learn what is in it.
        """
        with self._rows.lock:
            self._rows.by_id[row.id], self._opening.own[row.id] = row, open_source
        self._rows.write([row])
        self._rows.refresh_entry(row)
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
        self._offered.leave_out(folder)

    def offer_root(self, root: Root) -> Root:
        """Offer one root more while serving, until the server ends; returns it with an alias of its own.

        It is looked at in the background (`idle`).

        Raises
        ------
        BadRequest
            When the server itself writes to it.
        """
        made = self._offered.add(root)
        self._survey.offer(made)
        return made

    def withdraw_root(self, alias: str) -> list[str]:
        """Offer a root no longer that was offered while serving; the ids of its sources.

        Raises
        ------
        NotFound
            When there is none of this alias.
        """
        root = self._offered.drop(alias)
        self._survey.withdraw(root)
        end = time.monotonic() + WITHDRAW_S
        while root in tuple(self.roots) and time.monotonic() < end:
            time.sleep(0.01)
        with self._rows.lock:
            ids = [row.id for row in self._rows.ledger.below(root)]
        self._rows.write([], ids)
        return ids

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
        with self._rows.lock:
            row = self._rows.by_id.get(id)
            if row is None:
                return
            row = self._rows.by_id[id] = replace(row, generation=row.generation + 1)
        self._rows.write([row])
        self._rows.refresh_entry(row)
        described = self._indexer.look(id)
        if described is not None:
            self._intake.learnt([described])

    def remove(self, id: str) -> None:
        """Offer no longer what was added."""
        self._added = [row for row in self._added if row.id != id]
        if self._opening.own.pop(id, None) is not None and id in self._rows.by_id:
            if self._rows.store is not None:
                self._rows.write([], [id])
            else:
                del self._rows.by_id[id]

    def start(self) -> None:
        """List what was kept, then look and listen in the background; returns at once (`FIRST_S`).

        A catalog that was closed may be started again.
        """
        if self._started:
            self._employ()
        self._started = True
        file = file_of(self._edition, self.roots, self._added) if self.options.persist else None
        self._note()
        known = self._rows.begin(file, self._added, self._offered.holds)
        self._survey.start()
        self._indexer.start()
        for row in self._rows.all():
            if row.status != "ready" and (row.format or not row.root):
                self._indexer.add(row.id)
        if not known:
            self._survey.first.wait(FIRST_S)

    def close(self) -> None:
        """Look and listen no more, and close every source."""
        self._suspects.close()
        self._survey.close()
        self._indexer.close()
        self._query.close()
        self.library.close()
        self._rows.close()

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

    def open(self, id: str) -> Entry:
        """The entry of a source, whose views are kept while it does not change.

        Raises
        ------
        NotFound
            When there is none.
        """
        with self._rows.lock:
            row = self._rows.by_id.get(id)
            if row is None:
                raise not_found(id)
            entry = self.library.held(id)
            if entry is None:
                file_name = shown_path(row.path).rpartition("/")[2] if row.path else self._offered.of(row).path.name
                entry = self.library.put(id, row.name, row.format, file_name, self._opening.of(id))
                entry.place = place_of(self._offered.path(row))
                entry.changed(row.generation)
            return entry

    def counts(self) -> dict[str, Any]:
        """The list in numbers: ``revision``, ``sources``, ``by_kind``, ``by_status``, ``failed``, ``scanning`` …"""
        return {
            "revision": self.revision,
            **self.numbers(),
            "scanning": self.scanning,
            "scanned": self.scanned,
            "roots": [root.alias for root in self.roots],
        }

    def place(self, id: str) -> tuple[Row, Path | None, Callable[[], Source]] | None:
        """A row, where it is, and how it is opened; None when it is gone."""
        return self._intake.place(id)
