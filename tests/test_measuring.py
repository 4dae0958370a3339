"""What benchmarks share: tables, their place in the README, clients, memory."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

BENCHMARKS = Path(__file__).resolve().parent.parent / "benchmarks"
BODY = bytes(range(256)) * 20_000


@pytest.fixture(autouse=True)
def measuring(monkeypatch: pytest.MonkeyPatch) -> None:
    """The package is beside the scripts that use it, and not installed."""
    monkeypatch.syspath_prepend(BENCHMARKS)


class Answers(BaseHTTPRequestHandler):
    """Bodies whose length is told, in chunks, and an error."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.send_response(404 if self.path == "/missing" else 200)
        if self.path == "/chunked":
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            for part in (BODY[:7], BODY[7:]):
                self.wfile.write(b"%x\r\n%s\r\n" % (len(part), part))
            self.wfile.write(b"0\r\n\r\n")
            return
        self.send_header("Content-Length", str(len(BODY)))
        self.end_headers()
        self.wfile.write(BODY)

    def log_message(self, *_: Any) -> None:
        """Quiet."""


@pytest.fixture
def port() -> Iterator[int]:
    """A server of these answers."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server.server_address[1]
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_table_shows_medians_with_their_spread_and_how_they_compare() -> None:
    from measuring.results import Table

    table = Table("64 clients", ["coverslip", "nginx", "Tiled"])
    table.note("bytes", "MB/s", "coverslip", 100, 300, 200)
    table.note("bytes", "MB/s", "nginx", 2000)
    table.note("a tile", "ms", "coverslip", 1.5)
    table.note("a tile", "ms", "Tiled", 30)
    table.say("a tile", "nginx", "has none")
    assert list(table.markdown()) == [
        "| 64 clients | coverslip | nginx | Tiled | ratio to nginx | ratio to Tiled |",
        "|---|---|---|---|---|---|",
        "| bytes | 200 MB/s (100–300) | 2,000 MB/s |  | 0.10 × |  |",
        "| a tile | 1.50 ms | has none | 30.0 ms |  | 20 × |",
    ]
    again = Table.read(json.loads(json.dumps(table.told())))
    assert list(again.markdown()) == list(table.markdown())


def told(folder: Path, name: str) -> None:
    """A file of results."""
    from measuring.results import OURS, Table

    table = Table("one", [OURS])
    table.note("row", "s", OURS, 2)
    machine = {"processor": "P", "cores": 2, "memory_gb": 8, "system": "Linux 6", "python": "3.11"}
    (folder / f"{name}.json").write_text(json.dumps({
        "measured": "today", "machine": machine, "load": {"before": 0.1, "after": 0.9}, "rounds": 3,
        "versions": {"coverslip": "1", "nginx": "2"}, "tables": [table.told()],
    }))  # fmt: skip


def test_tables_are_written_between_their_marks_only(tmp_path: Path) -> None:
    from measuring.report import written

    told(tmp_path, "tiles")
    old = "By hand.\n\n<!-- results: tiles -->\nold\n<!-- end of results -->\n\nBy hand, too.\n"
    new = written(old, tmp_path)
    assert "| row | 2.00 s |" in new
    assert "2 cores, 8 GB, Linux 6, Python 3.11; load 0.1 before, 0.9 after; coverslip 1, nginx 2.*" in new
    assert (new.startswith("By hand.\n\n<!-- res"), new.endswith("results -->\n\nBy hand, too.\n")) == (True, True)
    assert ("old" in new, written(new, tmp_path)) == (False, new)
    with pytest.raises(SystemExit, match="scripts/bench cells"):
        written("<!-- results: cells -->\n<!-- end of results -->", tmp_path)


def test_the_page_of_benchmarks_shows_the_results_that_are_kept() -> None:
    from measuring.report import MARKED, README, RESULTS, written

    text = README.read_text()
    assert written(text) == text, "run benchmarks/measuring/report.py"
    assert sorted(MARKED.findall(text)) == sorted(file.stem for file in RESULTS.glob("*.json"))


def test_clients_read_every_answer_to_its_end(port: int) -> None:
    from measuring.clients import asked

    found = asked(port, ["/told", "/chunked", "/told"], clients=2, seconds=60, once=True)
    assert (len(found.milliseconds), found.bytes) == (3, 3 * len(BODY))
    assert found.per_s > 0
    assert found.mb_per_s * found.seconds == pytest.approx(3 * len(BODY) / 1e6)
    for_a_while = asked(port, ["/told"], clients=2, seconds=0.01)
    assert len(for_a_while.milliseconds) >= 2


def test_clients_do_not_count_errors(port: int) -> None:
    from measuring.clients import asked
    from measuring.servers import fetch

    with pytest.raises(SystemExit, match="404"):
        asked(port, ["/missing"], clients=1, seconds=60, once=True)
    with pytest.raises(SystemExit, match="404"):
        fetch(port, "/missing")
    assert fetch(port, "/chunked") == BODY


def test_memory_and_processor_time_are_of_a_process_and_its_children() -> None:
    from measuring.servers import family, proportional_mb

    assert family(os.getpid())[0] == os.getpid()
    assert proportional_mb(os.getpid()) > 1
    assert proportional_mb(2**22 + 1) == 0
