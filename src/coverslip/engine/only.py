"""One source of many, for who may not know of any other: the list, the files and the threads as if it were alone."""

from __future__ import annotations

import os
from collections.abc import Callable, Hashable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar
from zlib import crc32

from coverslip.core.errors import CoverslipError, NotFound
from coverslip.core.node import Source
from coverslip.core.stop import Stop
from coverslip.engine.catalog import Catalog
from coverslip.engine.files import Files, Place
from coverslip.engine.library import Entry
from coverslip.engine.offered import not_found
from coverslip.engine.places import Root
from coverslip.engine.read import Reader
from coverslip.engine.store import Row

T = TypeVar("T")


class Only:
    """A catalog of one source, in the words that fronts ask the whole one in.

    What it lacks is not asked by fronts that are given it; asked all the same it is an error, and nothing is told.

    Parameters
    ----------
    catalog
        The whole one.
    id
        Of the source.
    where
        Where it was when it was shared (`Listing.where`): whatever has the id later is not there.
    """

    def __init__(self, catalog: Catalog, id: str, where: str) -> None:
        self._catalog, self._id, self._where = catalog, id, where

    def _row(self) -> Row | None:
        try:
            where, row = self._catalog.where(self._id)
            return row if where == self._where else None
        except NotFound:
            return None

    def _check(self, id: str) -> None:
        if id not in self:
            raise not_found(id)

    @property
    def revision(self) -> int:
        """Another one whenever the source changed; tells nothing of the others."""
        row = self._row()
        return crc32(repr(row and (row.name, row.version, row.status, row.generation, row.indexed_s)).encode())

    @property
    def roots(self) -> list[Root]:
        """None: their names are of no concern to who was given one source."""
        return []

    def __contains__(self, id: object) -> bool:
        return id == self._id and self._row() is not None

    def __len__(self) -> int:
        return int(self._row() is not None)

    def entries(
        self,
        search: str = "",
        kind: str = "",
        status: str = "",
        sort: str = "name",
        limit: int | None = None,
        offset: int = 0,
    ) -> tuple[list[Row], int]:
        """As of the whole one (`Listing.entries`)."""
        self._catalog.entries(kind="-", sort=sort, limit=1)  # says that there is no such order
        row = self._row()
        if row is None or (kind and row.kind != kind) or (status and row.status != status):
            return [], 0
        if search and row.id not in (found.id for found in self._catalog.entries(search, row.kind, row.status)[0]):
            return [], 0
        return [self._catalog.get(row.id)][offset : None if limit is None else offset + limit], 1

    def get(self, id: str) -> Row:
        """The row; `NotFound` when it is another's."""
        self._check(id)
        return self._catalog.get(id)

    def kind(self, id: str) -> str | None:
        """What kind of source it is."""
        row = self._row() if id == self._id else None
        return row.kind if row is not None else None

    def metadata(self, id: str) -> str | None:
        """Its own metadata; `NotFound` when it is another's."""
        self._check(id)
        return self._catalog.metadata(id)

    def metadata_of(self, ids: Sequence[str]) -> dict[str, str]:
        """Its own, where it is among them."""
        return self._catalog.metadata_of([id for id in ids if id in self])

    def open(self, id: str) -> Entry:
        """Its entry; `NotFound` when it is another's."""
        self._check(id)
        return self._catalog.open(id)

    def place(self, id: str) -> tuple[Row, Path | None, Callable[[], Source]] | None:
        """As of the whole one (`Catalog.place`)."""
        return self._catalog.place(id) if id in self else None

    def query(self, sql: str) -> tuple[list[dict[str, Any]], bool]:
        """There is no SQL over one source."""
        raise NotFound("Not found", "The link that you have opens one source.")

    def counts(self) -> dict[str, Any]:
        """The list in numbers, as of the whole one (`Catalog.counts`)."""
        row = self._row()
        return {
            "revision": self.revision,
            "sources": int(row is not None),
            "by_kind": {row.kind: 1} if row is not None else {},
            "by_status": {row.status: 1} if row is not None else {},
            "failed": int(row is not None and row.status == "failed"),
            "scanning": False,
            "scanned": True,
            "roots": [],
        }


class OnlyFiles(Files):
    """The files of one source, with the folders above it, in which nothing else is.

    Parameters
    ----------
    roots, is_kind, open_source
        Of all files.
    path
        Of the source: a file, or a folder with all that is in it.
    """

    def __init__(
        self, roots: list[Root], is_kind: Callable[[bytes], bool], open_source: Callable[[Path], Source], path: Path
    ) -> None:
        super().__init__(roots, is_kind, open_source)
        self._path = str(path)

    def find(self, name: str) -> Place:
        """As `Files.find`; what is not of the source is not there."""
        place = super().find(name)
        if not self._shown(place):
            raise NotFound(f"There is no {name[:200]}")
        return place

    def below(self, place: Place, after: str = "") -> Iterator[Place]:
        """As `Files.below`, without what is not of the source."""
        return filter(self._shown, super().below(place, after))

    def _shown(self, place: Place) -> bool:
        if place.path is None:
            return True
        path = str(place.path)
        if path == self._path:
            return True
        if _within(path, self._path):  # of a folder; a link in it may lead to another source
            return _within(os.path.realpath(path), os.path.realpath(self._path))
        return place.folder and _within(self._path, path)


def _within(path: str, folder: str) -> bool:
    return path.startswith(f"{folder.rstrip('/')}/")


class Apart(Reader):
    """The threads of a reader, whose answers are given to nobody else and taken from nobody else.

    Parameters
    ----------
    reader
        Whose threads.
    name
        Tells those apart who may not share answers.
    """

    def __init__(self, reader: Reader, name: Hashable) -> None:
        self._reader, self._name = reader, name

    async def run(self, key: Hashable, work: Callable[[Stop], T], *more: Any, **named: Any) -> T:
        """As `Reader.run`."""
        return await self._reader.run((self._name, key), work, *more, **named)

    def load(self) -> dict[str, int]:
        """As of the reader."""
        return self._reader.load()

    def close(self) -> None:
        """Nothing: the threads are another's."""


def path_of(catalog: Catalog, id: str) -> Path | None:
    """Where a source is on this machine; None when it is not there, or not on a disk."""
    try:
        found = catalog.place(id)
    except CoverslipError:
        return None
    return found[1] if found is not None else None
