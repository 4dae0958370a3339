"""SQL over the list of sources, answered by DuckDB in a process of its own.

DuckDB runs apart from the server because a query can ask one function for gigabytes: its memory limit does not see
that, and an interrupt does not end it. The process has a limit of memory that the system holds it to, and is ended when
a query takes too long.
"""

from __future__ import annotations

import importlib.util
import logging
import subprocess
import sys
import threading
import time
from base64 import b64encode
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

import msgspec

from coverslip.core.errors import BadRequest, TimedOut, Unsupported
from coverslip.core.idle import KEEPERS
from coverslip.engine.options import CatalogOptions
from coverslip.engine.store import Row

LOG = logging.getLogger("coverslip.catalog")
MOST_SQL = 100_000
GRACE_S = 1.5
LOAD_S = 60.0
STALE_S = 1.0
"""While the list changes all the time, a query may see it as it was this long ago."""
MOST_METADATA = 1 << 20

Snapshot = Callable[[], tuple[list[Row], dict[str, str]]]


class Query:
    """Answers queries, one at a time.

    Parameters
    ----------
    options
        Rows, seconds and memory that a query may take.
    """

    def __init__(self, options: CatalogOptions) -> None:
        self._options = options
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._revision = -1
        self._loaded = 0.0
        self.used_s = 0.0
        KEEPERS.add(self)

    def run(self, sql: str, revision: int, snapshot: Snapshot) -> tuple[list[dict[str, Any]], bool]:
        """As `coverslip.engine.catalog.Catalog.query`."""
        answer = self._run("sql", sql, revision, snapshot, {})
        return answer["rows"], answer["truncated"]

    def stream(
        self, sql: str, revision: int, snapshot: Snapshot, further: Mapping[str, bytes]
    ) -> tuple[bytes, int, int]:
        """As `coverslip.engine.catalog.Catalog.query_stream`."""
        answer = self._run("arrow", sql, revision, snapshot, further)
        return answer["stream"], answer["returned"], answer["total"]

    def _run(
        self, how: str, sql: str, revision: int, snapshot: Snapshot, further: Mapping[str, bytes]
    ) -> dict[str, Any]:
        if importlib.util.find_spec("duckdb") is None:
            raise Unsupported(
                "Queries need the package duckdb", "Install it: pip install 'coverslip[images]'.", "library_missing"
            )
        if len(sql) > MOST_SQL or "\0" in sql:
            raise BadRequest("The query is too long", f"It may have {MOST_SQL} characters.")
        if not self._lock.acquire(timeout=self._options.query_s):
            raise TimedOut("Other queries are being answered", "Try again in a few seconds.")
        try:
            self._load(revision, snapshot)
            for name, data in further.items():
                made = self._ask({"table": name, "data": b64encode(data).decode()}, LOAD_S)
                if "error" in made:
                    raise _error(made, self._options)
            text = sql.encode("utf-8", "replace").decode()
            limits = {"rows": self._options.query_rows, "seconds": self._options.query_s}
            answer = self._ask({how: text, **limits}, self._options.query_s + GRACE_S)
            self.used_s = time.monotonic()
            if answer.get("error") == "memory":
                self.close()  # what it holds it would keep
        finally:
            self._lock.release()
        if "error" in answer:
            raise _error(answer, self._options)
        return answer

    def let_go(self) -> None:
        """End the process, unless it answers; the next query starts another."""
        if self._lock.acquire(blocking=False):
            try:
                self.close()
            finally:
                self._lock.release()

    def close(self) -> None:
        """End the process."""
        process, self._process = self._process, None
        self._revision, self.used_s = -1, 0.0
        if process is not None:
            process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout):
                with suppress(OSError):  # what was not sent cannot be sent any more
                    if pipe is not None:
                        pipe.close()

    def _load(self, revision: int, snapshot: Snapshot) -> None:
        running = self._process is not None and "ready" in self._ask({}, GRACE_S)  # it may have been ended meanwhile
        if running and (revision == self._revision or time.monotonic() - self._loaded < STALE_S):
            return
        if not running:
            self.close()
            command = [sys.executable, "-I", "-c", _START, *sys.path]
            pipe = subprocess.PIPE
            self._process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL)
        rows, metadata = snapshot()
        loaded = self._ask({"load": [plain_row(row, metadata) for row in rows], "mib": self._options.query_mib}, LOAD_S)
        if "error" in loaded:
            self.close()
            raise _error(loaded, self._options)
        self._revision, self._loaded = revision, time.monotonic()

    def _ask(self, question: dict[str, Any], seconds: float) -> dict[str, Any]:
        process = self._process
        if process is None or process.stdin is None or process.stdout is None:
            raise BadRequest("The query could not be answered", "Try again.")
        late = threading.Event()

        def end() -> None:
            late.set()
            process.kill()

        timer = threading.Timer(seconds, end)
        timer.start()
        try:
            message = msgspec.json.encode(question)
            process.stdin.write(len(message).to_bytes(8, "little") + message)
            process.stdin.flush()
            head = process.stdout.read(8)
            body = process.stdout.read(int.from_bytes(head, "little")) if len(head) == 8 else b""
            answer: dict[str, Any] = msgspec.json.decode(body) if body else {}
            if "stream" in answer:
                wanted = answer["stream"]
                answer["stream"] = process.stdout.read(wanted)
                body = body if len(answer["stream"]) == wanted else b""
        except OSError:
            body = b""
        finally:
            timer.cancel()
        if body:
            return answer
        self.close()
        return {"error": "time" if late.is_set() else "memory"}


_START = "import sys; sys.path[:] = sys.argv[1:]; from coverslip.engine.query_process import main; main()"


def _error(answer: dict[str, Any], options: CatalogOptions) -> Exception:
    match answer["error"]:
        case "time":
            return TimedOut(f"The query took longer than {options.query_s:g} s", "Ask for less at once.")
        case "memory":
            return BadRequest("The query needs more memory than it may use", "Ask for less at once.", "too_large")
        case text:
            return BadRequest(str(text), "One SELECT over the table sources, in DuckDB's dialect.")


def plain_row(row: Row, metadata: Mapping[str, str | None]) -> dict[str, Any]:
    """A row of the table ``sources``."""
    failed = row.status == "failed"
    own = metadata.get(row.id)
    return {
        "source_id": row.id,
        "source_url": row.url,
        "source_type": row.format,
        "indexed_at": row.indexed_s,
        "metadata_json": own if own is not None and len(own) <= MOST_METADATA else None,
        "is_resolved": row.tensors is not None,
        "unresolved_reason": (row.code if failed else "pending") if row.tensors is None else None,
        "unresolved_error": row.message if failed else None,
        "name": row.name,
        "kind": row.kind,
        "status": row.status,
        "size_bytes": row.size,
        "modified": row.modified_s,
        "version": row.version,
        "tensors": row.tensors,
    }
