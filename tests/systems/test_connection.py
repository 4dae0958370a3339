"""Reading from an HDF5 server: what is configured, and what happens when it fails."""

from __future__ import annotations

import base64
import gc
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import h5py
import h5pyd
import numpy as np
import pytest
from surroundings import free_port

import network_files
from coverslip.core.errors import BadRequest, CoverslipError, Damaged, Forbidden, NotFound, Unreadable
from coverslip.systems import System, predefined
from coverslip.systems.connection import VARIABLE, Connection, _get, configured, domain
from coverslip.systems.readers import choose

Set = pytest.MonkeyPatch


class Answers(BaseHTTPRequestHandler):
    """Sends what the server holds, or what it was told to."""

    def do_GET(self) -> None:
        server: Any = self.server
        server.asked.append((self.path, self.headers.get("Authorization")))
        status, body = server.answers.get(self.path.partition("?")[0], server.otherwise)
        self.send_response(status)
        if status == 302:
            self.send_header("Location", body.decode())
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def server() -> Iterator[Any]:
    made: Any = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    made.answers, made.asked, made.otherwise = {}, [], (404, b"404: Not Found")
    made.url = f"http://127.0.0.1:{made.server_port}"
    thread = threading.Thread(target=made.serve_forever, args=(0.01,))
    thread.start()
    yield made
    made.shutdown()
    thread.join()
    made.server_close()


def connect(monkeypatch: Set, **fields: Any) -> None:
    monkeypatch.setenv(VARIABLE, json.dumps(fields))


def test_every_field(monkeypatch: Set) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    assert configured() is None
    fields = {
        "endpoint": "http://a:5101",
        "bucket": "b",
        "username": "u",
        "password": "p",
        "files_endpoint": "http://f",
    }
    connect(monkeypatch, **fields)
    assert configured() == Connection(**fields)
    connect(monkeypatch, endpoint="http://a:5101", bucket=None, something=[1])
    assert configured() == Connection("http://a:5101")
    monkeypatch.setenv(VARIABLE, "  ")
    assert configured() is None


@pytest.mark.parametrize(
    "text",
    ["{", "5101", "[]", '"http://a"', "{}", '{"endpoint": ""}', '{"endpoint": 5}', '{"endpoint": "localhost:5101"}',
     '{"endpoint": "ftp://a"}', '{"endpoint": "http://a:99999999"}', '{"endpoint": "http://a", "username": 4}',
     "[" * 100_000],
)  # fmt: skip
def test_what_is_malformed_is_said(text: str, monkeypatch: Set) -> None:
    monkeypatch.setenv(VARIABLE, text)
    with pytest.raises(BadRequest, match=VARIABLE) as caught:
        System(predefined.__globals__["SAMPLES"] / "EI1")
    assert "endpoint" in caught.value.hint
    assert "\n" not in str(caught.value)


def test_where_files_are() -> None:
    assert Connection("http://a:5101/").file_url("EI 1", "graph.json") == "http://a:5102/files/EI%201/graph.json"
    assert Connection("http://[::1]:1").file_url("a", "params/x.json") == "http://[::1]:2/files/a/params/x.json"
    assert Connection("http://a", files_endpoint="http://b/f/").file_url("a", "x.json") == "http://b/f/a/x.json"
    with pytest.raises(BadRequest, match="no port"):
        Connection("http://a/hsds").file_url("a", "graph.json")


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/data/systems/graphs/EI1/cells.h5", "/EI1/cells.h5"),
        ("graphs/lab/EI1/cells.h5", "/lab/EI1/cells.h5"),
        ("/home/me/EI1/cells.h5", "/EI1/cells.h5"),
        ("EI1/cells.h5", "/EI1/cells.h5"),
        ("/cells.h5", "/cells.h5"),
    ],
)
def test_names_on_the_server(path: str, expected: str) -> None:
    assert domain(Path(path)) == expected


class Stand:
    """Opens local files as h5pyd opens served ones."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.asked = folder, []  # type: ignore[var-annotated]

    def __call__(self, name: str, mode: str, **options: Any) -> Any:
        self.asked.append((name, options))
        return h5py.File(self.folder / name.lstrip("/"), mode)


@pytest.fixture
def stand(tmp_path: Path, monkeypatch: Set) -> Stand:
    network_files.hippocampal(tmp_path / "CA1")
    made = Stand(tmp_path)
    monkeypatch.setattr(h5pyd, "File", made)
    return made


def test_equal_values_from_a_server_set_late(stand: Stand, server: Any, monkeypatch: Set, tmp_path: Path) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    local = System(tmp_path / "CA1", backend="local")
    late = System(tmp_path / "CA1")
    assert late.backend != "h5pyd"
    server.answers["/CA1/graph.json"] = (200, (tmp_path / "CA1" / "graph.json").read_bytes())
    connect(
        monkeypatch, endpoint="http://a:5101", bucket="b", username="me", password="secret", files_endpoint=server.url
    )
    served = System("elsewhere/graphs/CA1")
    for system in (late, served):
        assert system.backend == "h5pyd"
        assert system.population_ranges == local.population_ranges
        assert system.populations == local.populations
        assert vars(system.cells_meta_data) == vars(local.cells_meta_data)
        assert np.array_equal(system.neuron_coordinates, local.neuron_coordinates)
        assert system.summary() == local.summary()
        assert (system.connectivity_matrix() != local.connectivity_matrix()).nnz == 0
        assert [gid for gid, _ in system.synapses("AAC")] == [gid for gid, _ in local.synapses("AAC")]
        assert system.weight_names == local.weight_names
        assert system.electrodes.shape == (0, 4)  # this server has no mea.json; the one here is another system's
    assert {name for name, _ in stand.asked} == {"/CA1/cells.h5", "/CA1/connections.h5"}
    assert stand.asked[0][1] == {
        "endpoint": "http://a:5101", "retries": 2, "bucket": "b", "username": "me", "password": "secret"
    }  # fmt: skip
    word = base64.b64encode(b"me:secret").decode()
    assert server.asked[0] == ("/CA1/graph.json", f"Basic {word}")
    for system in (late, served):
        system.close()
    monkeypatch.delenv(VARIABLE)
    assert late.backend != "h5pyd"
    assert late.num_neurons == local.num_neurons


def test_one_file_for_all_is_told_by_its_document(server: Any, monkeypatch: Set, tmp_path: Path) -> None:
    folder = network_files.hippocampal(tmp_path / "CA1", single_file=True)
    made = Stand(tmp_path)
    monkeypatch.setattr(h5pyd, "File", made)
    server.answers["/CA1/graph.json"] = (200, (folder / "graph.json").read_bytes())
    connect(monkeypatch, endpoint="http://a:5101", files_endpoint=server.url)
    assert System("CA1").summary()["num_neurons"] == 200
    assert {name for name, _ in made.asked} == {"/CA1/graph.h5"}


def test_a_server_that_is_down_is_an_error(monkeypatch: Set) -> None:
    """The system is here, too, and must not be read in its place."""
    path = predefined("EI1")
    connect(monkeypatch, endpoint=f"http://127.0.0.1:{free_port()}", files_endpoint=f"http://127.0.0.1:{free_port()}")
    system = System(path)
    for read in (lambda: system.populations, lambda: system.elements, lambda: system.neuron_coordinates):
        with pytest.raises(Unreadable) as caught:
            read()
        assert VARIABLE in caught.value.hint
        assert "\n" not in str(caught.value)
    assert System(path, backend="local").num_neurons == 10


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # h5pyd leaves its connection to the garbage collector
@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        (401, b"401: Unauthorized", Forbidden),
        (403, b"403: Forbidden", Forbidden),
        (404, b"404: Not Found", NotFound),
        (500, b"", CoverslipError),
        (200, b"<html>", CoverslipError),
        (200, b"{}", CoverslipError),
        (200, b"[]", CoverslipError),
    ],
)
def test_a_server_that_refuses_or_answers_nonsense(
    status: int, body: bytes, error: type[CoverslipError], server: Any, monkeypatch: Set
) -> None:
    server.otherwise = (status, body)
    connect(monkeypatch, endpoint=server.url, files_endpoint=f"{server.url}/files")
    system = System(predefined("EI1"))
    with pytest.raises(error) as caught:
        _ = system.populations
    assert "\n" not in str(caught.value)
    if status != 200:
        with pytest.raises(error if status != 500 else Unreadable):
            _ = system.elements
    elif body == b"<html>":
        with pytest.raises(Damaged):
            _ = system.elements
    del caught
    gc.collect()


def test_the_password_does_not_follow_to_where_the_server_sends_us(server: Any) -> None:
    there = f"http://localhost:{server.server_port}/there"
    server.answers = {"/files/a.json": (302, there.encode()), "/there": (200, b"{}")}
    assert _get(f"{server.url}/files/a.json", "user", "secret") == b"{}"
    shown = base64.b64encode(b"user:secret").decode()
    assert server.asked == [("/files/a.json", f"Basic {shown}"), ("/there", None)]


def test_no_h5pyd(monkeypatch: Set) -> None:
    connect(monkeypatch, endpoint="http://a:5101")
    monkeypatch.setattr("coverslip.systems.readers.find_spec", lambda name: None)
    with pytest.raises(CoverslipError, match="h5pyd"):
        choose(None, configured())
    assert choose("local", configured()) == "local"
