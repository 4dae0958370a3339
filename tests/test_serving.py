"""Servers in the background, on real sockets."""

from __future__ import annotations

import http.client
import json
import logging
import queue
import socket
import urllib.request
from pathlib import Path

import numpy as np
import pytest

import coverslip
import make
from coverslip.cell_servers import AnnDataServer
from coverslip.core.errors import CannotListen, CoverslipError, Damaged, NotFound
from coverslip.server import listen, without_token


def fetch(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=20) as response:
        body: bytes = response.read()
        return body


@pytest.fixture
def points(tmp_path: Path) -> Path:
    path = tmp_path / "points.npy"
    np.save(path, np.random.default_rng(0).random((9, 2)))
    return path


def test_an_object_in_memory_is_served(capsys: pytest.CaptureFixture[str]) -> None:
    server = AnnDataServer(make.adata(), port=0)
    assert not server.is_running()
    server.start_background()
    assert server.is_running()
    assert server.viewer_url in capsys.readouterr().out
    health = json.loads(fetch(f"{server.url}/_cellucid/health"))
    assert (health["format"], health["is_backed"], health["n_cells"]) == ("in-memory", False, make.N)
    gene = np.frombuffer(fetch(f"{server.url}/genes/2.values.f32"), "<f4")
    np.testing.assert_array_equal(gene, make.dense_matrix()[:, 2])
    server.stop()
    assert not server.is_running()
    server.wait()


def test_stop_start_again_on_the_same_port(points: Path) -> None:
    server = AnnDataServer(points, port=0, quiet=True)
    server.start_background()
    port = int(server.url.rsplit(":", 1)[1])
    client = http.client.HTTPConnection("127.0.0.1", port)
    client.request("GET", "/_cellucid/health")
    client.getresponse().read()
    server.stop()
    client.close()
    again = AnnDataServer(points, port=port, quiet=True)
    for _ in range(3):
        again.start_background()
        again.start_background()  # once is enough
        assert json.loads(fetch(f"{again.url}/_cellucid/health"))["status"] == "ok"
        again.stop()


def test_errors_are_raised_in_the_caller(points: Path, tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        AnnDataServer(tmp_path / "nothing.h5ad")
    with pytest.raises(CoverslipError, match="latent_kee"):
        AnnDataServer(points, latent_kee="X_pca")
    (tmp_path / "bad.npy").write_bytes(b"\x93NUMPY")
    with pytest.raises(Damaged):
        AnnDataServer(tmp_path / "bad.npy", port=0, quiet=True).start_background()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        server = AnnDataServer(points, port=port, quiet=True)
        with pytest.raises(CannotListen, match=str(port)):
            server.start_background()
        assert not server.is_running()


@pytest.mark.parametrize(
    ("host", "port"), [("127.0.0.1", 70000), ("127.0.0.1", -1), ("no.such.host.invalid", 0), ("203.0.113.7", 0)]
)
def test_addresses_that_cannot_be_had(host: str, port: int) -> None:
    with pytest.raises(CannotListen) as refused:
        listen(host, port)
    assert refused.value.hint


def test_tokens_stay_out_of_the_log() -> None:
    arguments = ("127.0.0.1:5", "GET", "/?a=1&token=s3cret&b=2", "1.1", 200)
    record = logging.LogRecord("uvicorn.access", logging.INFO, "", 0, '%s - "%s %s HTTP/%s" %d', arguments, None)
    assert without_token(record)
    assert record.getMessage() == '127.0.0.1:5 - "GET /?a=1&token=…&b=2 HTTP/1.1" 200'


def test_a_checkout_without_its_viewer_says_so(
    points: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr("coverslip.fronts.viewer.front.files", lambda _: tmp_path)
    server = AnnDataServer(points, port=0, quiet=True, open_browser=True)
    server.start_background()
    server.stop()
    assert capsys.readouterr().err.count("make build") == 1


def test_a_tab_is_opened_once_the_server_answers(points: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "_viewer").mkdir()
    (tmp_path / "_viewer" / "index.html").write_text("page")
    monkeypatch.setattr("coverslip.fronts.viewer.front.files", lambda _: tmp_path)
    opened: queue.Queue[bytes] = queue.Queue()
    monkeypatch.setattr("webbrowser.open", lambda url: opened.put(fetch(url)) is None)
    server = AnnDataServer(points, port=0, quiet=True, open_browser=True)
    server.start_background()
    assert opened.get(timeout=20) == b"page"
    server.stop()


def test_serve_anndata_without_blocking(points: Path) -> None:
    server = coverslip.serve_anndata(points, port=0, open_browser=False, quiet=True, block=False)
    assert server.is_running()
    server.stop()


def test_ipv6_addresses_are_bracketed(points: Path) -> None:
    if not socket.has_ipv6:
        pytest.skip("no IPv6 here")
    try:
        listen("::1", 0).close()
    except CannotListen:
        pytest.skip("no IPv6 loopback here")
    server = AnnDataServer(points, port=0, host="::1", quiet=True)
    server.start_background()
    assert server.url.startswith("http://[::1]:")
    assert json.loads(fetch(f"{server.url}/_cellucid/health"))["status"] == "ok"
    server.stop()
