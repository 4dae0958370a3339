"""Systems by their names: here, among the samples, and on a hub."""

from __future__ import annotations

import hashlib
import json
import os
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from surroundings import free_port

from coverslip.core.errors import BadRequest, CoverslipError, Damaged, NotFound, Unreadable
from coverslip.systems import PREDEFINED, System, fetch, predefined
from coverslip.systems.connection import VARIABLE
from coverslip.systems.hub import SAMPLES
from coverslip.testing.networks import culture, write_system

Set = pytest.MonkeyPatch
TREE = "/api/datasets/livn-org/livn/tree/main/systems/graphs/"
FILES = "/datasets/livn-org/livn/resolve/main/systems/graphs/"


class Hub(BaseHTTPRequestHandler):
    """Lists files in two pages, and sends them."""

    def do_GET(self) -> None:
        server: Any = self.server
        path, _, query = self.path.partition("?")
        if path.startswith(TREE):
            folder = server.folder / path.removeprefix(TREE)
            if not folder.is_dir():
                self.send_error(404)
                return
            self._send(json.dumps(server.listed(folder, "cursor" in query)).encode(), "cursor" not in query)
        elif path.startswith(FILES):
            self._send((server.folder / path.removeprefix(FILES)).read_bytes()[: server.cut])
        else:
            self.send_error(404)

    def _send(self, body: bytes, more: bool = False) -> None:
        server: Any = self.server
        self.send_response(200)
        if more:
            path = self.path.partition("?")[0]
            self.send_header("Link", f'<{server.url}{path}?recursive=true&cursor=2>; rel="next"')
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: Set) -> Iterator[Any]:
    monkeypatch.delenv(VARIABLE, raising=False)
    made: Any = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    made.folder, made.cut = tmp_path / "hub", None
    made.url = f"http://127.0.0.1:{made.server_port}"
    write_system(made.folder / "EI2", culture(30))
    (made.folder / "EI2" / "params").mkdir()
    (made.folder / "EI2" / "params" / "default.json").write_text("{}")

    def listed(folder: Path, last: bool) -> list[dict[str, Any]]:
        files = [p for p in sorted(folder.rglob("*")) if p.is_file()]
        rows: list[dict[str, Any]] = [{"type": "directory", "path": "systems/graphs/EI2/params"}]
        for file in files[2:] if last else files[:2]:
            data = file.read_bytes()
            row = {"type": "file", "path": f"systems/graphs/{file.relative_to(made.folder)}", "size": len(data)}
            rows.append({**row, "lfs": {"oid": hashlib.sha256(data).hexdigest()}} if file.suffix == ".h5" else row)
        return rows

    made.listed = listed
    monkeypatch.setenv("HF_ENDPOINT", made.url)
    thread = threading.Thread(target=made.serve_forever, args=(0.01,))
    thread.start()
    yield made
    made.shutdown()
    thread.join()
    made.server_close()


def left(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.rglob("*") if p.is_file())


def test_downloaded_whole(hub: Any, tmp_path: Path) -> None:
    path = predefined("EI2", tmp_path / "here")
    assert path == str(tmp_path / "here" / "systems" / "graphs" / "EI2")
    assert left(Path(path)) == left(hub.folder / "EI2")
    assert System(path).num_neurons == 30
    hub.folder = tmp_path / "gone"
    assert predefined("EI2", tmp_path / "here") == path  # it is here now
    with pytest.raises(NotFound):
        predefined("EI2", tmp_path / "here", force=True)
    assert System(path).num_neurons == 30  # what was there is still there


def test_nothing_half(hub: Any, tmp_path: Path) -> None:
    hub.cut = 100
    with pytest.raises(Damaged, match="whole"):
        predefined("EI2", tmp_path)
    assert not list((tmp_path / "systems" / "graphs").iterdir())


@pytest.mark.parametrize(
    "path", ["../../x.json", "systems/graphs/EI2/../x.json", "/etc/passwd", "systems/graphs/EI2/a\\b"]
)
def test_a_hub_that_names_files_elsewhere(path: str, hub: Any, tmp_path: Path) -> None:
    hub.listed = lambda folder, last: [{"type": "file", "path": path, "size": 1}]
    with pytest.raises(CoverslipError):
        predefined("EI2", tmp_path / "a" / "b")
    assert left(tmp_path / "a") == []


def test_a_hub_that_sends_nonsense(hub: Any, tmp_path: Path) -> None:
    for answer in ({"error": "x"}, [1, 2], [{"type": "file"}]):
        hub.listed = lambda folder, last, answer=answer: answer
        with pytest.raises(Damaged):
            predefined("EI2", tmp_path)


def test_no_network(tmp_path: Path, monkeypatch: Set) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{free_port()}")
    with pytest.raises(Unreadable, match="cannot be reached") as caught:
        predefined("CA1", tmp_path)
    assert "\n" not in str(caught.value)
    assert "directories" in caught.value.hint
    assert not list((tmp_path / "systems" / "graphs").iterdir())


def test_places_on_this_machine(tmp_path: Path, monkeypatch: Set) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{free_port()}")
    assert predefined("EI1", tmp_path) == str(SAMPLES / "EI1")
    own = write_system(tmp_path / "lab" / "EI1", culture(20))
    assert predefined("EI1", tmp_path, directories=[tmp_path / "nothing", tmp_path / "lab"]) == str(own)
    assert predefined("EI1", tmp_path, directories=[str(tmp_path)]) == str(SAMPLES / "EI1")
    assert predefined("mine", directories=[write_system(tmp_path / "lab" / "mine", culture(9)).parent]).endswith("mine")
    for name in ("EI9", "mine"):
        with pytest.raises(NotFound, match="no system"):
            predefined(name, tmp_path)
    for name in ("../EI1", "", ".", "a/b", "EI1\0", "x" * 99 + "/"):
        with pytest.raises(BadRequest):
            predefined(name, tmp_path)
    assert "EI1" in PREDEFINED


def test_nothing_is_downloaded_for_a_server(tmp_path: Path, monkeypatch: Set) -> None:
    monkeypatch.setenv(VARIABLE, '{"endpoint": "http://127.0.0.1:1"}')
    assert predefined("CA1", tmp_path) == str(tmp_path / "systems" / "graphs" / "CA1")
    assert predefined("lab7", tmp_path) == str(tmp_path / "systems" / "graphs" / "lab7")
    assert not list(tmp_path.iterdir())


def test_copies_of_folders(tmp_path: Path) -> None:
    path = fetch(str(SAMPLES / "EI1"), tmp_path)
    assert left(Path(path)) == left(SAMPLES / "EI1")
    assert fetch(str(SAMPLES / "EI1"), tmp_path) == path
    assert fetch(str(SAMPLES / "EI1"), tmp_path, "other").endswith("other")
    for source, error in (
        (str(tmp_path), NotFound),
        ("hf://datasets/x", BadRequest),
        ("hf://models/a/b/c", BadRequest),
    ):
        with pytest.raises(error):
            fetch(source, tmp_path, "third")
    if os.name == "posix" and os.geteuid():
        (tmp_path / "closed").mkdir(mode=0o500)
        with pytest.raises(Unreadable):
            fetch(str(SAMPLES / "EI1"), tmp_path / "closed")
