"""What the catalog answers: pages of rows, searches, questions in SQL, where things are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from coverslip.engine.offered import Offered, not_found
from coverslip.engine.query import Query
from coverslip.engine.rows import Rows
from coverslip.engine.store import Row, Store


class Listing:
    """The rows, to be read.

    Parameters
    ----------
    rows
        What is known.
    offered
        The roots.
    query
        Answers SQL.
    """

    def __init__(self, rows: Rows, offered: Offered, query: Query) -> None:
        self._rows = rows
        self._offered = offered
        self._query = query

    @property
    def revision(self) -> int:
        """Larger after every change of the list."""
        return self._rows.revision

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
        return self._rows.do(lambda store: store.find(search, equal, sort, limit, offset))

    def get(self, id: str) -> Row:
        """One row.

        Raises
        ------
        NotFound
            When there is none.
        """
        row = self._rows.do(lambda store: store.get(id))
        if row is None:
            raise not_found(id)
        return row

    def __contains__(self, id: object) -> bool:
        return id in self._rows.by_id

    def __len__(self) -> int:
        return len(self._rows.by_id)

    def kind(self, id: str) -> str | None:
        """What kind of source this is, or None when there is none."""
        row = self._rows.by_id.get(id)
        return row.kind if row is not None else None

    def metadata(self, id: str) -> str | None:
        """A source's own metadata as JSON text; None before it was opened."""
        self.get(id)
        return self._rows.do(lambda store: store.metadata(id))

    def metadata_of(self, ids: Sequence[str]) -> dict[str, str]:
        """Metadata of those of some sources that have any, as JSON text, by id."""
        return self._rows.do(lambda store: store.metadata_of(ids)) if ids else {}

    def where(self, id: str) -> tuple[str, Row]:
        """Where a source is, for whoever keeps something of his own about it, and its row; see `whereabouts`.

        Raises
        ------
        NotFound
            When there is none.
        """
        with self._rows.lock:
            row = self._rows.by_id.get(id)
            if row is None:
                raise not_found(id)
            return self._offered.where(row), row

    def whereabouts(self) -> dict[str, str]:
        """Ids of all sources by where they are: a path of this machine, an address, or ``memory:`` and the id."""
        with self._rows.lock:
            return {self._offered.where(row): row.id for row in self._rows.by_id.values()}

    def below(self, path: str) -> list[Row]:
        """The rows of what is at a path of this machine, or below it."""
        inner = f"{path.rstrip('/')}/"
        with self._rows.lock:
            return [row for row in self._rows.by_id.values() if f"{self._offered.where(row)}/".startswith(inner)]

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
        return [(row.id, row.url) for row in self._rows.all()]

    def snapshot(self) -> tuple[list[Row], dict[str, str]]:
        """Every row, and the metadata of those that have any."""
        return self._rows.do(lambda store: (store.rows(), store.all_metadata()))

    def numbers(self) -> dict[str, Any]:
        """How many sources there are: ``sources``, ``by_kind``, ``by_status``, ``failed``."""
        by_kind: dict[str, int] = {}
        by_status: dict[str, int] = {}
        for (kind, status), count in self._rows.do(Store.counts).items():
            by_kind[kind] = by_kind.get(kind, 0) + count
            by_status[status] = by_status.get(status, 0) + count
        failed = by_status.get("failed", 0)
        return {"sources": sum(by_kind.values()), "by_kind": by_kind, "by_status": by_status, "failed": failed}
