"""``catalog_query``: SQL over the tables, answered as Arrow. The questions that clients ask by themselves are answered
without a database."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pyarrow as pa
from biopb.tensor.ticket_pb2 import TensorTicket
from pyarrow import flight

from coverslip.core.errors import BadRequest, NotFound
from coverslip.engine.query import plain_row
from coverslip.engine.store import Row
from coverslip.fronts.flight.desk import Desk
from coverslip.fronts.flight.registry import Call
from coverslip.fronts.flight.tables import SCHEMAS, table_of

NAME = r"[a-z_][a-z0-9_]*"
SIMPLE = re.compile(
    rf"\s*select\s+(?P<what>1|\*|len\(tensors\)\s+as\s+(?P<as>{NAME})|{NAME}(?:\s*,\s*{NAME})*)\s+from\s+sources"
    r"(?:\s+where\s+source_id\s*=\s*'(?P<id>(?:[^']|'')*)')?(?:\s+limit\s+(?P<limit>\d{1,9}))?\s*;?\s*",
    re.IGNORECASE,
)
WORDS = frozenset({"distinct", "all", "from", "null", "true", "false", "rowid"})
"""What stands where a column could and is none."""


def sql(desk: Desk) -> None:
    """Answer tickets of SQL."""
    Tables(desk)


class Tables:
    """Answers SQL."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._lock = threading.Lock()
        self._kept: tuple[int, pa.Table] | None = None
        desk.registry.read("catalog_query", self._answer)

    def _answer(self, ticket: TensorTicket, call: Call) -> Any:
        text = ticket.catalog_query.sql
        if not text.strip():
            raise BadRequest("The ticket has no SQL", "SELECT source_id FROM sources", "malformed")
        found = self.simple(text)
        if found is None:
            found = self.asked(text)
        table, total = found
        counts = {"returned_rows": table.num_rows, "total_rows": total, "truncated": table.num_rows < total}
        return flight.RecordBatchStream(table.replace_schema_metadata({k: str(v) for k, v in counts.items()}))

    def asked(self, text: str) -> tuple[pa.Table, int]:
        """The result of any query, by DuckDB, and how many rows it has without the cap."""
        lowered = text.lower()
        further = {
            name: _stream(table_of(rows(), SCHEMAS[name]))
            for name, rows in self._rows().items()
            if name in lowered
        }  # fmt: skip
        data, _, total = self._desk.catalog.query_stream(text, further)
        return pa.ipc.open_stream(data).read_all(), total

    def _rows(self) -> dict[str, Callable[[], list[dict[str, Any]]]]:
        known: dict[str, Callable[[], list[dict[str, Any]]]] = {n: list for n in SCHEMAS if n != "sources"}
        return known | self._desk.registry.tables

    def simple(self, text: str) -> tuple[pa.Table, int] | None:
        """The result of a query of some columns of all rows or of one; None when it is another one.

        Equal to what DuckDB answers, in milliseconds: these are what clients ask before every read.
        """
        match = SIMPLE.fullmatch(text)
        if match is None:
            return None
        what, named = match["what"], match["as"]
        columns = [] if what == "1" or named else [c.strip().lower() for c in what.split(",")]
        schema = SCHEMAS["sources"]
        if columns == ["*"]:
            columns = list(schema.names)
        if any(c not in schema.names for c in columns) or len(set(columns)) < len(columns) or (named or "") in WORDS:
            return None
        limit = int(match["limit"]) if match["limit"] else None
        rows = self._found(match["id"], limit)
        if rows is None:
            return None
        table = rows if limit is None else rows.slice(0, limit)
        if what == "1":
            table = pa.table({"1": pa.array([1] * table.num_rows, pa.int32())})
        elif named:
            table = pa.table({named: pa.array([_len(t) for t in table["tensors"].to_pylist()], pa.int64())})
        else:
            table = table.select(columns)
        return table, table.num_rows

    def _found(self, id: str | None, limit: int | None) -> pa.Table | None:
        """Rows of ``sources``: all, or those of one id."""
        if id is not None:
            return self._one(id.replace("''", "'"))
        if limit == 0:
            return SCHEMAS["sources"].empty_table()
        if len(self._desk.catalog) > self._desk.catalog.options.query_rows:
            return None
        return self._all()

    def _one(self, id: str) -> pa.Table:
        try:
            row = self._desk.catalog.get(id)
        except NotFound:
            return SCHEMAS["sources"].empty_table()
        return table_of([plain_row(row, {id: self._desk.catalog.metadata(id)})], SCHEMAS["sources"])

    def _all(self) -> pa.Table:
        """Every row; made once while nothing changes."""
        with self._lock:
            revision = self._desk.catalog.revision
            if self._kept is None or self._kept[0] != revision:
                rows, metadata = self._desk.catalog.snapshot()
                self._kept = revision, table_of(list(_plain(rows, metadata)), SCHEMAS["sources"])
            return self._kept[1]


def _plain(rows: list[Row], metadata: dict[str, str]) -> Iterator[dict[str, Any]]:
    return (plain_row(row, metadata) for row in rows)


def _len(tensors: list[Any] | None) -> int | None:
    return None if tensors is None else len(tensors)


def _stream(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    data: bytes = sink.getvalue().to_pybytes()
    return data
