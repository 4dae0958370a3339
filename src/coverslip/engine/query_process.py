"""The process that answers queries; see `coverslip.engine.query`. It reads questions from stdin and ends with it."""

from __future__ import annotations

import base64
import contextlib
import datetime
import decimal
import sys
import threading
import uuid
from collections.abc import Callable
from typing import Any

import msgspec

TENSORS = (
    '[{"array_id": "VARCHAR", "dim_labels": ["VARCHAR"], "shape": ["BIGINT"], "chunk_shape": ["BIGINT"], '
    '"dtype": "VARCHAR"}]'
)
COLUMNS = (
    '[{"source_id": "VARCHAR", "source_url": "VARCHAR", "source_type": "VARCHAR", "indexed_at": "DOUBLE", '
    '"metadata_json": "VARCHAR", "is_resolved": "BOOLEAN", "unresolved_reason": "VARCHAR", '
    '"unresolved_error": "VARCHAR", "name": "VARCHAR", "kind": "VARCHAR", "status": "VARCHAR", "size_bytes": "BIGINT", '
    f'"modified": "DOUBLE", "version": "VARCHAR", "tensors": {TENSORS}}}]'
)
AT_START = {
    "temp_directory": "",  # nothing is ever written to disk
    "threads": "2",
    "autoload_known_extensions": "false",
    "autoinstall_known_extensions": "false",
}
LOCKS = (
    "python_enable_replacements = false", "home_directory = ''", "secret_directory = ''",
    "extension_directory = 'none'", "enable_external_access = false", "lock_configuration = true",
)  # fmt: skip
HEADROOM_MIB = 768
"""Memory beside DuckDB's own limit: threads, text that DuckDB does not count, and the answer."""
FETCH_ROWS = 500
MOST_ANSWER = 64 << 20


def main() -> None:
    """Answer until stdin ends."""
    questions, answers = sys.stdin.buffer, sys.stdout.buffer
    db: Any = None
    while len(head := questions.read(8)) == 8:
        question = msgspec.json.decode(questions.read(int.from_bytes(head, "little")))
        try:
            answer: dict[str, Any] = {"ready": True}
            stream = b""
            if "load" in question:
                db = _load(question["load"], question["mib"])
            elif "table" in question:
                answer = _table(db, question["table"], question["data"])
            elif "arrow" in question:
                answer, stream = _arrow(db, question["arrow"], question["rows"], question["seconds"])
            elif "sql" in question:
                answer = _answer(db, question["sql"], question["rows"], question["seconds"])
            message = msgspec.json.encode(answer, enc_hook=str)
        except MemoryError:
            message, stream = b'{"error":"memory"}', b""
        answers.write(len(message).to_bytes(8, "little") + message)
        answers.write(stream)
        answers.flush()


def _load(rows: list[dict[str, Any]], mib: int) -> Any:
    import duckdb

    text = msgspec.json.encode(rows).decode()
    room = mib + 8 * len(text) // (1 << 20)
    _limit(room + HEADROOM_MIB)
    db = duckdb.connect(":memory:", config={**AT_START, "memory_limit": f"{room}MiB"})
    table = "CREATE TABLE sources AS SELECT r.* FROM (SELECT unnest(from_json(?::JSON, ?)) AS r)"
    db.execute(table, [text, COLUMNS])
    for setting in LOCKS:
        try:
            db.execute(f"SET {setting}")
        except (duckdb.CatalogException, duckdb.InvalidInputException):
            if setting.startswith(("enable", "lock")):
                raise
    return db


def _limit(mib: int) -> None:
    """Hold this process to the memory it has now and ``mib`` more."""
    if sys.platform != "linux":
        return
    import resource

    with open("/proc/self/status") as file:  # noqa: PTH123
        used_kib = next(int(line.split()[1]) for line in file if line.startswith("VmData:"))
    hard = resource.getrlimit(resource.RLIMIT_DATA)[1]
    wanted = (used_kib << 10) + (mib << 20)
    resource.setrlimit(resource.RLIMIT_DATA, (wanted if hard == -1 else min(wanted, hard), hard))


def _answer(db: Any, sql: str, most: int, seconds: float) -> dict[str, Any]:
    def take(cursor: Any) -> dict[str, Any]:
        names = [column[0] for column in cursor.description or ()]
        return _rows(_distinct(names), cursor, most)

    return _asked(db, sql, seconds, take)


def _asked(db: Any, sql: str, seconds: float, take: Callable[[Any], dict[str, Any]]) -> dict[str, Any]:
    """What ``take`` makes of the result of a query, or why there is none."""
    import duckdb

    try:
        statements = duckdb.extract_statements(sql)
        if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
            return {"error": "Only one SELECT is answered"}
    except duckdb.Error as error:
        return {"error": _line(error)}
    cursor = db.cursor()
    late = threading.Timer(seconds, cursor.interrupt)
    late.start()
    try:
        cursor.execute("BEGIN TRANSACTION READ ONLY")  # a WITH may hold an INSERT
        cursor.execute(sql)
        return take(cursor)
    except duckdb.InterruptException:
        return {"error": "time"}
    except (duckdb.OutOfMemoryException, MemoryError):
        return {"error": "memory"}
    except (duckdb.Error, RuntimeError, ValueError, OSError) as error:
        if "INTERRUPT" in str(error):  # as Arrow's reader tells it
            return {"error": "time"}
        return {"error": _line(error)}
    finally:
        late.cancel()
        with contextlib.suppress(duckdb.Error):
            cursor.rollback()
        cursor.close()


def _table(db: Any, name: str, data: str) -> dict[str, Any]:
    """Make or replace a table of what a stream of Arrow holds, given in base64."""
    import pyarrow as pa

    rows = pa.ipc.open_stream(base64.b64decode(data)).read_all()
    cursor = db.cursor()
    cursor.register("given", rows)
    cursor.execute(f'CREATE OR REPLACE TABLE "{name}" AS SELECT * FROM given')  # noqa: S608  (a name of ours)
    cursor.unregister("given")
    cursor.close()
    return {"ready": True}


def _arrow(db: Any, sql: str, most: int, seconds: float) -> tuple[dict[str, Any], bytes]:
    """As `_answer`, as a stream of Arrow, whose length the answer tells; rows that are too many are counted only."""
    found: dict[str, Any] = {}

    def take(cursor: Any) -> dict[str, Any]:
        import pyarrow as pa

        read = getattr(cursor, "to_arrow_reader", None) or cursor.fetch_record_batch
        reader = read(FETCH_ROWS)
        sink, returned, total, full = pa.BufferOutputStream(), 0, 0, False
        with pa.ipc.new_stream(sink, reader.schema) as writer:
            for batch in reader:
                total += batch.num_rows
                full = full or sink.tell() + batch.nbytes > MOST_ANSWER
                if not full and returned < most:
                    kept = batch.slice(0, most - returned)
                    writer.write_batch(kept)
                    returned += kept.num_rows
        found["stream"] = sink.getvalue().to_pybytes()
        return {"stream": len(found["stream"]), "returned": returned, "total": total}

    answer = _asked(db, sql, seconds, take)
    return answer, found.get("stream", b"") if "stream" in answer else b""


def _rows(names: list[str], cursor: Any, most: int) -> dict[str, Any]:
    rows: list[msgspec.Raw] = []
    size = 0
    while found := cursor.fetchmany(FETCH_ROWS):
        for values in found:
            row = {name: _plain(value) for name, value in zip(names, values, strict=True)}
            rows.append(msgspec.Raw(msgspec.json.encode(row, enc_hook=str)))
            size += len(rows[-1])
            if len(rows) > most or size > MOST_ANSWER:
                return {"rows": rows[:-1], "truncated": True}
    return {"rows": rows, "truncated": False}


def _plain(value: Any) -> Any:
    """What JSON holds; other values as text."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, decimal.Decimal):
        return float(value)
    if isinstance(value, int) and abs(value) >= 1 << 63:
        return float(value)
    if isinstance(value, (bytes, datetime.timedelta, uuid.UUID)):
        return value.hex() if isinstance(value, bytes) else str(value)
    return value


def _distinct(names: list[str]) -> list[str]:
    """Names of columns, numbered where several have one name."""
    seen: dict[str, int] = {}
    found = []
    for name in names:
        seen[name] = seen.get(name, 0) + 1
        found.append(name if seen[name] == 1 else f"{name}_{seen[name] - 1}")
    return found


def _line(error: BaseException) -> str:
    return (str(error).splitlines() or [error.__class__.__name__])[0][:500]
