"""``coverslip doctor``: what it finds, what it says to do, how it ends."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from click.testing import CliRunner

from coverslip.cli import doctor as module
from coverslip.cli.doctor import doctor


def found(*words: str) -> tuple[int, dict[str, dict[str, str]]]:
    done = CliRunner().invoke(doctor, ["--json", *words], catch_exceptions=False)
    return done.exit_code, {one["what"]: one for one in json.loads(done.stdout)}


@pytest.fixture(autouse=True)
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CACHE", "STATE"):
        monkeypatch.setenv(f"COVERSLIP_{name}_DIR", str(tmp_path / name.lower()))
    monkeypatch.setattr("coverslip.app.viewer_built", lambda: True)
    monkeypatch.setattr(module, "PORTS", {})


@pytest.fixture
def stranger() -> Iterator[int]:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        sock.listen()
        yield sock.getsockname()[1]


def test_where_all_is_well(tmp_path: Path) -> None:
    code, told = found()
    assert code == 0
    assert told["viewer"]["grade"] == told["cache folder"]["grade"] == told["state folder"]["grade"] == "ok"
    assert str(tmp_path / "cache") in told["cache folder"]["told"]
    assert told["background server"]["told"] == "does not run"


def test_a_missing_viewer_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("coverslip.app.viewer_built", lambda: False)
    code, told = found()
    assert code == 1
    assert told["viewer"]["grade"] == "problem"
    assert "make build" in told["viewer"]["hint"]


def test_a_folder_that_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("COVERSLIP_CACHE_DIR", str(tmp_path / "file"))
    code, told = found()
    assert code == 1
    assert told["cache folder"]["grade"] == "problem"
    assert told["cache folder"]["hint"]


def test_a_disk_that_is_nearly_full(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LEAST_DISK", 1 << 60)
    code, told = found()
    assert code == 0
    assert told["cache folder"]["grade"] == "note"
    assert "cache clear" in told["cache folder"]["hint"]


def test_ports(monkeypatch: pytest.MonkeyPatch, stranger: int) -> None:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        free = sock.getsockname()[1]
    monkeypatch.setattr(module, "PORTS", {stranger: "coverslip serve", free: "coverslip ui server"})
    code, told = found()
    assert code == 0
    assert told[f"port {stranger}"]["grade"] == "note"
    assert "--port" in told[f"port {stranger}"]["hint"]
    assert told[f"port {free}"]["told"] == "is free (coverslip ui server)"


def test_arrow_flight_of_the_server_in_the_background_is_no_stranger(
    monkeypatch: pytest.MonkeyPatch, stranger: int
) -> None:
    now = SimpleNamespace(running=True, record=SimpleNamespace(grpc=f"grpc://127.0.0.1:{stranger}"))
    monkeypatch.setattr("coverslip.daemon.record.known", lambda places: now)
    monkeypatch.setattr(module, "PORTS", {stranger: "coverslip server, Arrow Flight"})
    [finding] = module.ports()
    assert (finding.grade, finding.told) == ("ok", "the background server answers there")


def test_a_limit_of_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LEAST_FILES", 1 << 40)
    assert "ulimit" in found()[1]["open files"]["hint"]


def test_a_proxy_that_stands_in_the_way(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("http_proxy", "http://proxy.lab:3128")
    told = found()[1]["proxy"]
    assert told["grade"] == "note"
    assert "proxy.lab" not in json.dumps(told), "an address may hold a password"
    monkeypatch.setenv("no_proxy", "localhost,127.0.0.1")
    assert found()[1]["proxy"]["grade"] == "ok"


def test_what_a_killed_server_left() -> None:
    from coverslip.daemon.places import Places

    places = Places.here()
    places.pid.parent.mkdir(parents=True, exist_ok=True)
    places.pid.write_text('{"pid": 4194300, "started": "0"}')
    assert found()[1]["background server"]["grade"] == "note"


def test_for_people_each_has_a_line_and_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("coverslip.app.viewer_built", lambda: False)
    done = CliRunner().invoke(doctor, [], catch_exceptions=False)
    lines = done.stdout.splitlines()
    at = next(i for i, line in enumerate(lines) if line.startswith("PROBLEM  viewer:"))
    assert lines[at + 1].strip().startswith("Install coverslip again")
