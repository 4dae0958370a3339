"""``coverslip server``: its words and codes, with real processes where they matter."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import stat
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from coverslip.cli.console import Console
from coverslip.cli.server import server
from coverslip.cli.status import duration, progress
from coverslip.cli.table import table
from coverslip.core.errors import CoverslipError
from coverslip.daemon import launch as launching
from coverslip.daemon import record
from coverslip.daemon.flags import Flags
from coverslip.daemon.identity import Identity
from coverslip.daemon.places import Places
from refused import refused_with

TOKEN = "abcdefghijklmnopqrstuvwxyz"
Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Places:
    """A state folder of its own, and no configuration."""
    monkeypatch.setenv("COVERSLIP_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    (tmp_path / "state").mkdir()
    return Places(tmp_path / "state")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    folder.mkdir()
    np.save(folder / "points.npy", np.zeros((20, 30), np.uint16))
    return folder


@pytest.fixture
def run(places: Places) -> Iterator[Run]:
    """Runs ``coverslip server …`` in a process; what it started is ended."""

    def command(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
        code = "from coverslip.cli.main import main; main()"
        full = [sys.executable, "-c", code, "server", *map(str, arguments)]
        return subprocess.run(full, capture_output=True, text=True, timeout=120, check=False)

    yield command
    invoke("stop", "-t", "5")


def invoke(*arguments: str | Path) -> Result:
    return CliRunner().invoke(server, list(map(str, arguments)))


def status() -> dict[str, object]:
    told: dict[str, object] = json.loads(invoke("status", "--json").output)
    return told


def test_nothing_runs(places: Places) -> None:
    told = invoke("status")
    assert told.exit_code == 0
    assert [line.split() for line in told.output.splitlines()][:1] == [["TensorFlight", "Server", "Status"]]
    assert re.search(r"Status\s+[│|]\s+Not running\s", told.output)
    assert status() == {
        **dict.fromkeys(status(), None), "running": False, "status": "stopped"
    }  # fmt: skip
    for command in (("stop",), ("stop", "-t", "1")):
        ended = invoke(*command)
        assert (ended.output, ended.exit_code) == ("No TensorFlight server running\n", 0)
    assert invoke("logs", "--path").output == f"{places.log}\n"
    assert isinstance(invoke("logs").exception, CoverslipError)


def test_what_a_killed_server_left_is_told_and_removed(places: Places) -> None:
    places.pid.write_text("4711\nno-boot:1\n\n")
    places.pid.write_text(f"4711\n{Identity.own().boot}:1\nhere\n")
    assert status() | {"pid": None} == {**dict.fromkeys(status(), None), "running": False, "status": "stale"}
    told = invoke("status").output
    assert "Not running (stale PID)" in told
    assert f"{places.pid} (stale)" in told
    ended = invoke("stop")
    assert ended.output == "Removing stale PID file (process 4711 not running)\nNo TensorFlight server running\n"
    assert not places.pid.exists()


def test_a_server_of_another_machine_is_left_alone(places: Places, data: Path) -> None:
    places.pid.write_text("4711\nanother-boot:1\nnode17\n")
    assert status()["status"] == "elsewhere"
    assert "node17" in invoke("status").output
    for command in (("start", data), ("stop",), ("restart",)):
        refused = invoke(*command).exception
        assert isinstance(refused, CoverslipError)
        assert "node17" in refused.message
        assert str(places.pid) in refused.hint
    assert places.pid.exists()


def test_a_life(run: Run, places: Places, data: Path) -> None:
    arguments = ("--web-port", "0", "--no-flight", "--token", TOKEN)
    started = run("start", *arguments, data)
    assert started.returncode == 0, started.stderr
    pid = int(places.pid.read_text().split()[0])
    url = json.loads(places.record.read_text())["http"]
    assert started.stdout.splitlines() == [
        "Starting TensorFlight server...",
        f"TensorFlight server started (PID {pid})",
        f"  HTTP: {url}/#token={TOKEN}",
        f"  Logs: {places.log}",
    ]
    assert TOKEN not in Path(f"/proc/{pid}/cmdline").read_text()
    assert os.getsid(pid) == pid
    with refused_with(401):
        urllib.request.urlopen(f"{url}/api/sources", timeout=20)
    told = json.loads(invoke("status", "--json", "--wait", "30").stdout)
    assert told | {"uptime_seconds": 0} == {
        "running": True, "pid": pid, "status": "running", "health": "SERVING", "source_count": 1, "writable": False,
        "uptime_seconds": 0, "http": url, "grpc": None, "config": None, "version": told["version"],
        "scan": {"scanned": True, "scanning": False, "pending": told["scan"]["pending"], "failed": 0},
    }  # fmt: skip
    again = invoke("start", *arguments, data)
    assert (again.output, again.exit_code) == (f"TensorFlight server already running (PID {pid})\n", 0)
    other = invoke("start", "/somewhere/else")
    assert "coverslip server restart" in other.output

    refused = run("restart", data / "nothing")
    assert (refused.returncode, refused.stdout) == (1, "")
    assert refused.stderr.startswith("Error: Path not found")
    with socket.create_server(("127.0.0.1", 0)) as stranger:
        refused = run("restart", "--web-port", str(stranger.getsockname()[1]))
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "is already in use." in refused.stderr
    assert status()["pid"] == pid, "nothing was stopped"

    restarted = run("restart")
    assert restarted.returncode == 0, restarted.stderr
    lines = restarted.stdout.splitlines()
    assert lines[:2] == [f"Stopping TensorFlight server (PID {pid})...", "TensorFlight server stopped"]
    assert lines[-2].endswith(f"/#token={TOKEN}"), "the token stays"
    assert status()["pid"] != pid
    log = places.log.read_text()
    assert TOKEN not in log
    assert log.count("--- Started at ") == 2
    assert invoke("logs", "-n", "1").output == log.splitlines()[-1] + "\n"
    ended = invoke("stop")
    assert ended.output.splitlines()[-1] == "TensorFlight server stopped"
    assert {path.name for path in places.folder.iterdir()} >= {"logs", "server.lock"}
    assert not places.token.exists()
    assert not places.pid.exists()


def test_a_port_that_a_stranger_has(run: Run, places: Places, data: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as stranger:
        port = stranger.getsockname()[1]
        refused = run("start", "--web-port", str(port), "--no-flight", data)
    assert refused.returncode == 1
    lines = refused.stderr.splitlines()
    assert lines[0] == f"HTTP port 127.0.0.1:{port} is already in use."
    assert len(lines) == 5
    assert status()["status"] == "stopped"


def test_a_child_that_dies_is_told_at_once(
    places: Places, data: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Before it could say anything, at an import for instance."""
    broken = tmp_path / "python"
    broken.write_text("#!/bin/sh\ncat > /dev/null\necho 'ImportError: no library' >&2\nexit 3\n")
    broken.chmod(0o755)
    monkeypatch.setattr(launching.sys, "executable", str(broken))
    failed = invoke("start", data)
    assert failed.exit_code == 1
    assert failed.output.splitlines() == [
        "Starting TensorFlight server...",
        "Failed to start TensorFlight server: ImportError: no library",
        f"  Check logs: {places.log}",
    ]
    assert status()["status"] == "stopped"


def test_a_child_that_says_nothing_is_not_waited_for_for_ever(
    places: Places, data: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    silent = tmp_path / "python"
    silent.write_text("#!/bin/sh\nexec sleep 5\n")
    silent.chmod(0o755)
    monkeypatch.setattr(launching.sys, "executable", str(silent))
    monkeypatch.setattr(launching, "PATIENCE_S", 0.2)
    failed = invoke("start", data)
    assert failed.exit_code == 1
    assert "TensorFlight server started but it does not answer after" in failed.output


def test_a_child_that_goes_on_telling_how_far_it_is_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    said, clock = [b'{"note": "a"}\n', b'{"note": "b"}\n{"no', b'te": "c"}\n', b""], count(0, 40)
    monkeypatch.setattr(launching.time, "monotonic", lambda: next(clock))
    monkeypatch.setattr(launching.select, "select", lambda read, write, other, left: (read if left > 0 else [], [], []))
    monkeypatch.setattr(launching.os, "read", lambda handle, size: said.pop(0))
    with Path(os.devnull).open("wb") as ears, Path(os.devnull).open("rb") as voice:
        assert [told["note"] for told in launching._heard(ears, voice, Flags())] == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("start",), 1, "No data sources configured"),
        (("start", "/no/such/folder"), 1, "Path not found: /no/such/folder"),
        (("start", "--token", "short", "/"), 2, "5 characters"),
        (("start", "-c", "/no/such.toml"), 1, "There is no configuration /no/such.toml"),
        (("start", "--web-port", "99999", "--no-flight", "/"), 1, "99999 is not a port"),
        (("start", "--log-level", "LOUD", "/"), 2, "LOUD"),
    ],
)
def test_mistakes_end_with_a_line_and_a_code(
    run: Run, places: Places, arguments: tuple[str, ...], code: int, words: str
) -> None:
    done = run(*arguments)
    assert done.returncode == code, done.stderr
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert status()["status"] == "stopped"


def test_a_malformed_configuration_names_file_and_key(run: Run, tmp_path: Path) -> None:
    (tmp_path / "config" / "biopb").mkdir(parents=True)
    (tmp_path / "config" / "biopb" / "biopb.toml").write_text("[server]\nprot = 1\n")
    done = run("start", "/")
    assert done.returncode == 1
    assert f"Config: {tmp_path}/config/biopb/biopb.toml" in done.stdout, "it is said which one"
    assert done.stderr == (
        "Error: biopb.toml: unknown key server.prot, did you mean port? "
        "Every key is in docs/reference/configuration.md.\n"
    )


def test_a_state_folder_that_cannot_be_used(run: Run, places: Places, data: Path) -> None:
    (places.folder / "logs").write_text("a file where a folder should be")
    done = run("start", data)
    assert (done.returncode, "Cannot write" in done.stderr, "COVERSLIP_STATE_DIR" in done.stderr) == (1, True, True)


def test_a_state_folder_that_everybody_shares_is_left_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o1777)
    monkeypatch.setenv("COVERSLIP_STATE_DIR", str(shared))
    refused = invoke("status").exception
    assert isinstance(refused, CoverslipError)
    assert "everybody shares" in refused.message
    assert stat.S_IMODE(shared.stat().st_mode) == 0o1777


def test_asking_imports_nothing_heavy(places: Places) -> None:
    code = (
        "import sys; from coverslip.cli.main import cli\n"
        "try: cli(['server', 'status', '--json'])\nexcept SystemExit: pass\n"
        "print(*sorted(sys.modules), file=sys.stderr)"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(told.stderr.split())
    assert "coverslip.daemon.record" in loaded
    assert loaded.isdisjoint({"numpy", "starlette", "uvicorn", "msgspec", "pyarrow", "coverslip.settings"})


def test_in_the_foreground_it_logs_to_the_terminal_and_ends_in_peace(places: Places, data: Path) -> None:
    code = "from coverslip.cli.main import main; main()"
    arguments = ["server", "start", "--foreground", "--no-flight", "--web-port", "0", str(data)]
    process = subprocess.Popen(
        [sys.executable, "-c", code, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(3)]
        assert lines[2].startswith("  HTTP: http://127.0.0.1:")
        assert lines[1] == f"TensorFlight server started (PID {process.pid})\n"
        assert status()["pid"] == process.pid
        deadline = time.monotonic() + 20
        while status()["health"] != "SERVING":
            assert time.monotonic() < deadline
    finally:
        process.send_signal(signal.SIGTERM)
        _, log = process.communicate(timeout=20)
    assert process.returncode == 0
    assert re.search(r"Z INFO coverslip\.server coverslip \S+ answers on http://127\.0\.0\.1:\d+\n", log)
    assert not places.log.exists()
    assert status()["status"] == "stopped"


def test_what_a_starting_server_says(places: Places, capsys: pytest.CaptureFixture[str]) -> None:
    console = Console(places.log)
    console.hear({"note": "biopb.toml: x has no meaning here"})
    console.hear({"token": "made"})
    console.hear({"already": 7})
    told = capsys.readouterr()
    assert told.out == "Generated access token: made\nTensorFlight server already running (PID 7)\n"
    assert told.err == "biopb.toml: x has no meaning here\n"
    console.hear({"failed": {"message": "No", "hint": "Do.", "code": "c", "exit_code": 2}})
    assert (console.done, console.code) == (True, 2)
    assert capsys.readouterr().err == "Error: No. Do.\n"


def test_waiting_tells_how_far_it_is_and_ends(places: Places, monkeypatch: pytest.MonkeyPatch) -> None:
    own = record.claim(places)
    scans = iter([(False, 0), (False, 3), (False, 3), (True, 5)])

    def counted(*_: object) -> dict[str, object]:
        scanned, sources = next(scans)
        return {"scanned": scanned, "scanning": not scanned, "sources": sources, "failed": 0, "by_status": {}}

    first = invoke("status", "--json", "--wait", "0.3")
    assert json.loads(first.stdout)["health"] == "STARTING"
    assert first.stderr == "waiting for the data server to come up...\n"
    record.publish(places, record.Record(own.pid, "here", "http://127.0.0.1:1", None, 0.0))
    assert status()["health"] == "unreachable"
    monkeypatch.setattr("coverslip.daemon.health.counts", counted)
    told = invoke("status", "--json", "--wait", "20")
    assert json.loads(told.stdout)["source_count"] == 5
    assert told.stderr.splitlines() == [
        f"data server starting - {n} source(s) found so far..." for n in (0, 3)
    ]  # fmt: skip


def test_tables_are_boxes_or_plain() -> None:
    assert table("Title", ("A", "Long"), [("1", "東京"), ("22", "e\u0301")], "utf-8").splitlines() == [
        "    Title",
        "┏━━━━┳━━━━━━┓",
        "┃ A  ┃ Long ┃",
        "┡━━━━╇━━━━━━┩",
        "│ 1  │ 東京 │",
        "│ 22 │ e\u0301    │",
        "└────┴──────┘",
    ]
    assert table("T", ("A",), [], "ascii").isascii()
    assert table("T", ("A",), [], "no such encoding").isascii()


def test_times_and_progress_in_words() -> None:
    assert [duration(s) for s in (0, 6, 60, 200, 7500, 349200)] == ["0s", "6s", "1m 0s", "3m 20s", "2h 5m", "4d 1h"]
    scan = {"scanned": False, "scanning": True, "pending": 1200, "failed": 2}
    assert progress(scan) == "Looking, 1,200 to be opened, 2 cannot be read"
    assert progress({"scanned": True, "scanning": False, "pending": 0, "failed": 0}) == "Done"
