"""Servers with TLS and tokens, on real sockets and from the command line."""

from __future__ import annotations

import json
import logging
import os
import ssl
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import numpy as np
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from coverslip.core.errors import BadUsage
from coverslip.engine.state import state_folder
from coverslip.server import Server, without_token
from coverslip.settings import Settings

TOKEN = "open-sesame-open-sesame"


@pytest.fixture
def points(tmp_path: Path) -> Path:
    path = tmp_path / "points.npy"
    np.save(path, np.random.default_rng(0).random((9, 2)))
    return path


def ask(url: str, context: ssl.SSLContext | None = None, **headers: str) -> tuple[int, bytes]:
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=20, context=context) as got:
            return got.status, got.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()


def run(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from coverslip.cli.main import main; main()", *map(str, arguments)]
    env = {**os.environ, **environment}
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60, env=env)


def test_everything_is_encrypted_with_a_certificate_that_clients_can_trust(points: Path) -> None:
    server = Server(points, Settings(port=0, token=TOKEN, tls=True))
    server.start_background()
    try:
        assert server.url.startswith("https://127.0.0.1:")
        trusting = ssl.create_default_context(cafile=str(state_folder() / "tls-certificate.pem"))
        assert ask(f"{server.url}/api/catalog", trusting)[0] == 401
        status, body = ask(f"{server.url}/api/catalog", trusting, Authorization=f"Bearer {TOKEN}")
        assert (status, json.loads(body)["sources"]) == (200, 1)
        host, port = server.url.removeprefix("https://").split(":")
        shown = ssl.get_server_certificate((host, int(port)))
        assert shown == server.certificate.chain_pem.decode()  # type: ignore[union-attr]
        with pytest.raises(urllib.error.URLError, match="CERTIFICATE_VERIFY_FAILED"):
            ask(f"{server.url}/api/catalog", ssl.create_default_context())
        with pytest.raises((urllib.error.URLError, ConnectionError, OSError)):
            ask(f"http://{host}:{port}/healthz")
    finally:
        server.stop()


def test_flight_tells_where_it_is_reached_and_when_its_certificate_ends(points: Path) -> None:
    flight = pytest.importorskip("pyarrow.flight")
    server = Server(points, Settings(port=0, flight_port=0, tls=True, external_location="grpcs://lab.example.org:443"))
    server.start_background()
    try:
        with flight.connect(server.flight_url, tls_root_certs=server.certificate.cert_file.read_bytes()) as client:  # type: ignore[union-attr]
            told = json.loads(next(iter(client.do_action(flight.Action("health", b"")))).body.to_pybytes())
    finally:
        server.stop()
    assert told["external_location"] == "grpc+tls://lab.example.org:443"
    assert told["tls_not_after"] == server.certificate.not_after_text  # type: ignore[union-attr]


def test_a_certificate_needs_its_key(points: Path) -> None:
    with pytest.raises(BadUsage, match="belong together"):
        Server(points, Settings(tls_cert=points))


def test_uvicorn_believes_no_proxy_by_itself(points: Path) -> None:
    server = Server(points, Settings(port=0, token=TOKEN))
    server.start_background()
    try:
        for number in range(11):
            forged = {"X-Forwarded-For": f"10.0.0.{number}", "Authorization": f"Bearer {number}"}
            status, _ = ask(f"{server.url}/api/catalog", **forged)
        assert status == 429, "a client on loopback that gives itself another address is counted all the same"
    finally:
        server.stop()


@pytest.mark.parametrize(
    ("arguments", "environment", "words"),
    [
        (["--dev", "--host", "0.0.0.0"], {}, "0.0.0.0 can be reached from other machines"),
        (["--host", "0.0.0.0"], {"BIOPB_WEB_DEV_BYPASS": "yes"}, "0.0.0.0 can be reached from other machines"),
        (["--dev", "--trusted-proxy", "127.0.0.1"], {}, "a proxy brings requests"),
        (["--token", "short"], {}, "it has 5 characters"),
        ([], {"COVERSLIP_TOKEN": "no spaces, please"}, "a character that is not allowed"),
        (["--trusted-proxy", "nginx"], {}, "nginx is not the address of a proxy"),
        (["--tls-key", "nothing.pem"], {}, "belong together"),
    ],
)
def test_what_would_be_unsafe_is_refused(
    points: Path, arguments: list[str], environment: dict[str, str], words: str
) -> None:
    done = run("serve", points, "--port", "0", "--no-browser", *arguments, **environment)
    assert (done.returncode, done.stdout) == (2, "")
    assert words in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_certificate_that_is_not_there(points: Path) -> None:
    done = run("serve", points, "--no-browser", "--tls-cert", "no.crt", "--tls-key", "no.key")
    assert (done.returncode, done.stderr) == (1, "Error: There is no certificate no.crt. Check the path.\n")


def test_a_websocket_that_is_refused_is_one_line_and_no_error(points: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    server = Server(points, Settings(port=0, token=TOKEN, log_level="INFO"))
    server.start_background()
    shown = {"Authorization": f"Bearer {TOKEN}"}
    place = server.url.replace("http:", "ws:")
    try:
        for path, headers, status in (
            ("/ws/render", {"Origin": "https://evil.example"}, 403),
            (f"/ws/nowhere?token={TOKEN}", {}, 404),
            ("/ws/nowhere", shown, 404),
        ):
            with pytest.raises(InvalidStatus) as refused, connect(place + path, additional_headers=headers):
                pass
            assert refused.value.response.status_code == status
            assert json.loads(refused.value.response.body)["error"]["code"]
        with connect(f"{place}/ws/render?token=wrong-{TOKEN}") as socket, pytest.raises(ConnectionClosed) as closed:
            socket.recv()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 4001
        with connect(f"{place}/ws/render", additional_headers=shown) as socket:
            socket.send("{}")
            assert json.loads(socket.recv())["action"] == "error"
    finally:
        server.stop()
    told = [(r.levelname, r.getMessage()) for r in caplog.records if r.name in ("coverslip.access", "uvicorn.error")]
    assert told == [
        ("INFO", f"a WebSocket of 127.0.0.1 to /ws/{name} was refused: {why}")
        for name, why in (("render", 403), ("nowhere", 404), ("nowhere", 404), ("render", 401))
    ]


def test_no_log_line_holds_a_token() -> None:
    lines = [
        ("uvicorn.access", '%s - "%s %s HTTP/%s" %d', ("127.0.0.1:5", "GET", f"/?a=1&token={TOKEN}", "1.1", 200)),
        ("uvicorn.error", '%s - "WebSocket %s" [accepted]', (("127.0.0.1", 5), f"/ws/render?token={TOKEN}&x=1")),
        ("uvicorn.error", '%s - "WebSocket %s" 403', (("127.0.0.1", 5), f"/ws/render?x=1&token={TOKEN}")),
    ]
    for name, message, arguments in lines:
        record = logging.LogRecord(name, logging.INFO, "", 0, message, arguments, None)
        assert without_token(record)
        assert TOKEN not in record.getMessage()
        assert "token=…" in record.getMessage()
