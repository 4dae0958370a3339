"""What the survey found and the indexer learnt becomes rows.

`coverslip.engine.survey` finds, loses and renames sources; `coverslip.engine.indexer` opens each once to learn what is
in it. Both run in threads of their own.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from coverslip.core.errors import CoverslipError, Unreadable
from coverslip.core.node import Source
from coverslip.engine.found import Found
from coverslip.engine.indexer import Indexer
from coverslip.engine.ledger import ROOT_MISSING
from coverslip.engine.offered import Offered
from coverslip.engine.opening import Opening
from coverslip.engine.places import Root
from coverslip.engine.rows import Rows
from coverslip.engine.scan import Tree
from coverslip.engine.store import Described, Row

LOG = logging.getLogger("coverslip.catalog")


class Intake:
    """What the survey and the indexer tell.

    Parameters
    ----------
    rows
        What is known; changed here.
    offered
        The roots.
    opening
        How sources are opened.

    scanned
        Tells whether everything was looked at once.

    Attributes
    ----------
    indexer
        Opens what is new.
    """

    indexer: Indexer

    def __init__(self, rows: Rows, offered: Offered, opening: Opening, scanned: Callable[[], bool]) -> None:
        self._rows = rows
        self._offered = offered
        self._opening = opening
        self._scanned = scanned

    # --- of the survey --------------------------------------------------------------------------------------------

    def known(self, root: Root) -> dict[str, Found]:
        """What was found below a root before, without what could not be read."""
        with self._rows.lock:
            return self._rows.ledger.found(root)

    def device(self, root: Root) -> int | None:
        """The device a root was on before."""
        return self._rows.do(lambda store: store.device(root.alias))

    def reached(self, root: Root, device: int) -> None:
        """A root can be reached."""
        if self.device(root) != device:
            self._rows.do(lambda store: store.put_device(root.alias, device))

    def missing(self, root: Root) -> None:
        """A root cannot be reached: its sources stay listed, with the reason."""
        LOG.warning("%s cannot be reached.", root.alias)
        error = Unreadable(
            f"{root.alias} cannot be reached", "Is its disk mounted? It is looked for every second.", ROOT_MISSING
        )
        with self._rows.lock:
            rows = [row.failing(error) for row in self._rows.ledger.below(root)]
            self._rows.by_id.update((row.id, row) for row in rows)
        for row in rows:
            self.indexer.forget(row.id)
        self._rows.write(rows)

    def publish(self, tree: Tree, found: Sequence[Found] | None, dirty: set[str], hot: bool) -> None:
        """Take over what a scan found; see `coverslip.engine.survey.List`."""
        root = tree.root
        items = list(tree.items.values()) if found is None else found
        with self._rows.lock:
            rows = self._rows.ledger.take(root, items, tree.items, dirty, hot)
            lost = self._rows.ledger.lost(root, tree.items) if found is None else []
        self._rows.write(rows, lost)
        for row in rows:
            if row.status in ("pending", "live"):
                self.indexer.add(row.id, hot=row.status == "live")
            self._rows.refresh_entry(row)
        if found is None and not self._scanned():
            self.verify(root)

    def verify(self, root: Root) -> None:
        """Look deeper into the folders of a root, when there is time."""
        with self._rows.lock:
            ids = [row.id for row in self._rows.ledger.below(root) if row.folder]
        for id in ids:
            self.indexer.verify(id)

    # --- of the indexer -------------------------------------------------------------------------------------------

    def place(self, id: str) -> tuple[Row, Path | None, Callable[[], Source]] | None:
        """A row, where it is, and how it is opened; None when it is gone."""
        with self._rows.lock:
            row = self._rows.by_id.get(id)
            if row is None or row.code == ROOT_MISSING:
                return None
            return row, self._offered.path(row), self._opening.of(id)

    def learnt(self, rows: list[Described]) -> None:
        """Rows that were opened; those that changed meanwhile are opened again anyway."""
        fresh: list[Described] = []
        waiting: list[Row] = []
        with self._rows.lock:
            for row, metadata, words in rows:
                now = self._rows.by_id.get(row.id)
                if now is None or now.code == ROOT_MISSING:
                    continue
                if (now.stamp, now.generation, now.path) != (row.stamp, row.generation, row.path):
                    continue
                self._rows.by_id[row.id] = replace(row, tensors=None)
                if row.status == "live" and metadata is None:
                    if now.status != "live":
                        waiting.append(row)
                else:
                    fresh.append((row, metadata, words))
        self._rows.write(waiting, described=fresh)

    def written(self, id: str) -> None:
        """A folder changed where no scan looks."""
        with self._rows.lock:
            row = self._rows.by_id.get(id)
            if row is None:
                return
            generation = row.generation + 1
            row = replace(row.well("pending"), generation=generation, version=f"{row.stamp}-{generation:x}")
            self._rows.by_id[id] = row
        self._rows.write([row])
        self._rows.refresh_entry(row)
        self.indexer.add(id)

    def plain(self, error: CoverslipError, row: Row) -> CoverslipError:
        """The error without paths of this machine."""
        return self._offered.plain(error, row)
