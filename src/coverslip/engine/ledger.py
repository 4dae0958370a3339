"""Which row belongs to which file: ids that last, and what changed since a row was written."""

from __future__ import annotations

import hashlib
import os
import re
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

from coverslip.core.errors import CoverslipError
from coverslip.engine.found import Found
from coverslip.engine.library import safe_id
from coverslip.engine.places import Root
from coverslip.engine.store import Row, shown_path

ROOT_MISSING = "root_missing"
SECOND_SUFFIX = re.compile(r"\.(ome|nii|lif|h5ad|zarr)$", re.IGNORECASE)
SLUG = 60

Identity = tuple[int, int, int]


class Ledger:
    """Every row by its id, and by its place. Not safe to use from several threads; the catalog takes care of that.

    Parameters
    ----------
    quiet_s
        How old a file is at least that counts as written.
    plain
        Makes an error one without paths of this machine.
    rows
        What it starts with.
    """

    def __init__(
        self, quiet_s: float, plain: Callable[[CoverslipError, Row], CoverslipError], rows: Iterable[Row] = ()
    ) -> None:
        self._quiet_s = quiet_s
        self._plain = plain
        self.rows: dict[str, Row] = {row.id: row for row in rows}
        self._ids: dict[tuple[str, str], str] = {}

    def load(self, row: Row) -> None:
        """Take over a row that was kept; only one for each place."""
        if (row.root, row.path) not in self._ids:
            self._put(row)

    def drop(self, id: str) -> None:
        """Forget a row."""
        lost = self.rows.pop(id, None)
        if lost is not None and self._ids.get((lost.root, lost.path)) == id:
            del self._ids[lost.root, lost.path]

    def below(self, root: Root) -> list[Row]:
        """The rows of one root."""
        return [row for row in self.rows.values() if row.root == root.alias]

    def found(self, root: Root) -> dict[str, Found]:
        """The rows of one root as a scan found them, without those that could not be read."""
        return {
            r.path: Found(r.path, r.format, r.kind, r.folder, r.size, r.modified_ns, r.inode, r.stamp, r.members)
            for r in self.below(root)
            if r.format
        }

    def lost(self, root: Root, there: Mapping[str, Found]) -> list[str]:
        """Ids of rows whose files are no longer there."""
        return [row.id for row in self.below(root) if row.path not in there]

    def take(
        self, root: Root, items: Iterable[Found], there: Mapping[str, Found], dirty: set[str], hot: bool
    ) -> list[Row]:
        """Rows that are new or changed, of what a scan found.

        Parameters
        ----------
        items
            What was found.
        there
            All that the scan has found until now, by path: what is not among it may have been renamed.
        dirty
            Paths that changed even if they look the same.
        hot
            Whether the change happened just now.
        """
        gone = {_identity(row): row for row in self.below(root) if row.path not in there}
        rows = []
        for item in items:
            row = self._row(root, item, gone, item.path in dirty, hot)
            if row is not None:
                self._put(row)
                rows.append(row)
        return rows

    def numbered(self, name: str) -> str:
        """A free id that is a name made safe, with a number when it is taken."""
        base = unique = safe_id(name)
        number = 2
        while unique in self.rows:
            unique, number = f"{base}-{number}", number + 1
        return unique

    def _put(self, row: Row) -> None:
        self.rows[row.id] = row
        self._ids[row.root, row.path] = row.id

    def _row(self, root: Root, item: Found, gone: dict[Identity, Row], dirty: bool, hot: bool) -> Row | None:
        id = self._ids.get((root.alias, item.path))
        old = self.rows.get(id) if id is not None else None
        moved = self._renamed(root, item, gone) if old is None else None
        old = old or moved
        if old is None or dirty or not _same(old, item):
            return self._changed(root, item, old, hot)
        if moved is not None:
            return moved
        return old.well("pending") if hot and old.code == "unreadable" and item.error is None else None

    def _renamed(self, root: Root, item: Found, gone: dict[Identity, Row]) -> Row | None:
        """The row of what was found, under the name it had before."""
        row = gone.get(item.identity)
        if row is None or row.format != item.format or os.path.lexists(root.full(row.path)):
            return None
        del gone[item.identity]
        self._ids.pop((root.alias, row.path), None)
        return replace(row, path=item.path, name=_name(root, item))

    def _changed(self, root: Root, item: Found, old: Row | None, hot: bool) -> Row:
        young = 0 <= time.time() - item.modified_ns / 1e9 < self._quiet_s
        generation = old.generation if old is not None else 0
        if item.folder and old is not None and old.code != ROOT_MISSING:
            generation += 1
        row = Row(
            old.id if old is not None else self._new_id(root, item),
            root.alias,
            item.path,
            _name(root, item),
            item.format,
            old.kind if old is not None and old.format == item.format else item.kind,
            item.folder,
            "live" if hot or young else "pending",
            item.size if not item.folder or old is None else old.size,
            item.modified_ns,
            item.inode,
            item.stamp,
            generation,
            item.members,
            version=f"{item.stamp}-{generation:x}" if generation else item.stamp,
        )
        return row.failing(self._plain(item.error, row)) if item.error is not None else row

    def _new_id(self, root: Root, item: Found) -> str:
        if not item.path:
            return self.numbered(root.id or root.name or root.path.stem)
        digest = hashlib.sha256(f"{root.alias}/{item.path}".encode("utf-8", "surrogateescape")).hexdigest()
        slug = safe_id(_stem(shown_path(item.path)))[:SLUG]
        return next(id for n in range(6, 65, 2) if (id := f"{slug}-{digest[:n]}") not in self.rows)


def _identity(row: Row) -> Identity:
    return row.inode, 0 if row.folder else row.size, 0 if row.folder else row.modified_ns


def _same(row: Row, item: Found) -> bool:
    """Whether nothing changed since the row was written."""
    if row.code == ROOT_MISSING or (item.error is not None and row.code != item.error.name):
        return False
    return (row.stamp, row.format, row.members) == (item.stamp, item.format, item.members)


def _name(root: Root, item: Found) -> str:
    return shown_path(item.path).rpartition("/")[2] if item.path else root.name or shown_path(root.path.stem)


def _stem(path: str) -> str:
    name = path.rpartition("/")[2]
    stem = name.rpartition(".")[0] or name
    return SECOND_SUFFIX.sub("", stem)
