"""A server that does not run yet is started, where that was agreed to."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import running
from test_client_connect import free_port

import coverslip
from coverslip.client import CannotConnect, NotAnswering
from coverslip.core.errors import NotFound
from coverslip.server import Server


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A ``coverslip`` on PATH that leaves a note of what it was called with; the only one there."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    return script(folder / "coverslip", 0)


def script(path: Path, code: int) -> Path:
    note = f"open({f'{path}.called'!r}, 'w').write(' '.join(sys.argv[1:]))"
    path.write_text(f"#!{sys.executable}\nimport sys\n{note}\nprint('said by the command')\nsys.exit({code})\n")
    path.chmod(0o755)
    return path


@pytest.fixture
def port(command: Path, tmp_path: Path) -> Iterator[int]:
    """Where a server comes up a moment after the command was called."""
    number, started, done = free_port(), [], threading.Event()
    (tmp_path / "empty").mkdir()

    def watch() -> None:
        while not done.wait(0.02):
            if command.with_name("coverslip.called").exists():
                time.sleep(0.2)
                started.append(running(tmp_path / "empty", port=number))
                return

    thread = threading.Thread(target=watch)
    thread.start()
    yield number
    done.set()
    thread.join()
    for server in started:
        assert isinstance(server, Server)
        server.stop()


def called(command: Path) -> str:
    note = command.with_name("coverslip.called")
    return note.read_text() if note.exists() else ""


def test_started_when_told_to(command: Path, port: int, capsys: pytest.CaptureFixture[str]) -> None:
    with coverslip.connect(f"http://127.0.0.1:{port}", start=True) as client:
        assert len(client.sources) == 0
    assert called(command) == "server start"
    assert "said by the command" in capsys.readouterr().err


@pytest.mark.parametrize("start", [False, None])
def test_not_started_unasked(command: Path, start: bool | None) -> None:
    with pytest.raises(NotAnswering):
        coverslip.connect(f"http://127.0.0.1:{free_port()}", start=start)
    assert called(command) == ""


@pytest.mark.parametrize(("answer", "starts"), [("", True), ("y", True), ("n", False), (None, False)])
def test_asked_at_a_terminal(
    command: Path, port: int, answer: str | None, starts: bool, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    def told() -> str:
        if answer is None:
            raise EOFError
        return answer

    monkeypatch.setattr("coverslip.client.connection.asks", lambda: True)
    monkeypatch.setattr("builtins.input", told)
    if starts:
        coverslip.connect(f"http://127.0.0.1:{port}", start=None).close()
    else:
        with pytest.raises(NotAnswering):
            coverslip.connect(f"http://127.0.0.1:{port}", start=None)
    assert called(command) == ("server start" if starts else "")
    assert f"No server answers at http://127.0.0.1:{port}. Start one" in capsys.readouterr().err


def test_a_start_that_fails(command: Path) -> None:
    script(command, 3)
    with pytest.raises(CannotConnect, match=r"`coverslip server start` failed \(exit 3\)"):
        coverslip.connect(f"http://127.0.0.1:{free_port()}", start=True)


def test_a_start_that_comes_to_nothing(command: Path) -> None:
    with pytest.raises(CannotConnect, match="did not become ready in 1s"):
        coverslip.connect(f"http://127.0.0.1:{free_port()}", start=True, timeout_s=0.6)


def test_no_command(command: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    command.unlink()
    with pytest.raises(NotFound, match="coverslip is not on PATH"):
        coverslip.connect(f"http://127.0.0.1:{free_port()}", start=True)
    monkeypatch.setattr("coverslip.client.connection.asks", lambda: True)
    with pytest.raises(NotAnswering):
        coverslip.connect(f"http://127.0.0.1:{free_port()}", start=None)


def test_another_machine_is_not_ours_to_start(command: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("coverslip.client.connection.asks", lambda: True)
    for start in (True, None):
        with pytest.raises(NotAnswering):
            coverslip.connect("http://no.such.host.invalid:1", start=start)
    assert called(command) == ""
