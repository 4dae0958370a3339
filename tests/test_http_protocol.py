"""Requests that come slowly, do not end, or come all at once."""

from __future__ import annotations

import http.client
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from websockets.sync.client import connect

from coverslip import http_protocol
from coverslip.server import Server
from coverslip.settings import Settings

LONG_S = 20
LIVEZ = b"GET /livez HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
SESSION = b"POST /api/session HTTP/1.1\r\nHost: 127.0.0.1\r\n"
UPGRADE = b"Host: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
HANDSHAKE = UPGRADE + b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
PING = b"\x89\xfd\0\0\0\0" + b"p" * 125
CLOSE = b"\x88\x80\0\0\0\0"
Address = tuple[str, int]


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    np.save(tmp_path / "a.npy", np.arange(6).reshape(2, 3))
    monkeypatch.setattr(http_protocol, "HEAD_S", 1.0)
    monkeypatch.setattr(http_protocol, "BODY_S", 0.2)
    with Server(tmp_path, Settings(port=0)) as server:
        yield server


@pytest.fixture
def address(server: Server) -> Address:
    host, _, port = server.url.rpartition("/")[2].rpartition(":")
    return host, int(port)


@pytest.fixture
def unhurried(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """For tests in which nobody is to be hung up on for being slow."""
    monkeypatch.setattr(http_protocol, "HEAD_S", 30.0)


def all_of(sock: socket.socket) -> bytes:
    """What is said until the other side hangs up."""
    sock.settimeout(LONG_S)
    said = b""
    try:
        while piece := sock.recv(100_000):
            said += piece
    except ConnectionError:
        pass
    return said


def hung_up(sock: socket.socket) -> bool:
    sock.settimeout(LONG_S)
    try:
        while sock.recv(1000):
            pass
        return True
    except ConnectionError:
        return True


@pytest.mark.parametrize("begun", [b"", b"\r\n", b"GET /livez HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow: "])
def test_who_does_not_finish_is_hung_up_on(address: Address, begun: bytes) -> None:
    with socket.create_connection(address) as sock:
        sock.sendall(begun)
        assert hung_up(sock)


@pytest.mark.parametrize("begun", [b"\r\n", b"GET /livez HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow: "])
def test_also_in_its_second_request(address: Address, begun: bytes) -> None:
    with socket.create_connection(address) as sock:
        sock.sendall(b"GET /livez HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        assert sock.recv(10_000).startswith(b"HTTP/1.1 200")
        sock.sendall(begun)
        assert hung_up(sock)


@pytest.mark.parametrize(
    "begun",
    [
        SESSION + b"Content-Length: 100\r\n\r\n",
        SESSION + b'Content-Length: 100\r\n\r\n{"token":',
        SESSION + b"Transfer-Encoding: chunked\r\n\r\n5\r\n{",
        SESSION + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\nX-Trailer: ",
        LIVEZ + SESSION + b"Content-Length: 100\r\n\r\n",
    ],
)
def test_a_body_without_an_end(address: Address, begun: bytes) -> None:
    with socket.create_connection(address) as sock:
        sock.sendall(begun)
        assert hung_up(sock)


def test_a_websocket_may_be_silent(server: Server, address: Address) -> None:
    with connect(server.url.replace("http:", "ws:") + "/ws/render", ping_interval=None) as silent:
        with socket.create_connection(address) as later:
            assert hung_up(later)  # whose time began after that of the WebSocket
        silent.send("{}")
        assert "error" in str(silent.recv(LONG_S))


@pytest.mark.usefixtures("unhurried")
@pytest.mark.parametrize(
    "head",
    [b"POST /ws/render HTTP/1.1\r\n" + HANDSHAKE, b"GET /ws/render HTTP/1.1\r\n" + HANDSHAKE + b"X: y\r\n" * 500],
)
def test_what_is_no_handshake_is_told_or_hung_up_on(address: Address, head: bytes) -> None:
    with socket.create_connection(address) as sock:
        sock.sendall(head + b"\r\n")
        said = all_of(sock)
    assert not said or said.startswith(b"HTTP/1.1 4")


@pytest.mark.usefixtures("unhurried")
def test_some_requests_may_wait_for_each_other(address: Address) -> None:
    with socket.create_connection(address) as sock:
        sock.sendall(LIVEZ * 49 + LIVEZ.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
        assert all_of(sock).count(b"HTTP/1.1 200") == 50


@pytest.mark.usefixtures("unhurried")
def test_thousands_at_once_are_not_kept(address: Address) -> None:
    with socket.create_connection(address) as sock:
        try:
            sock.sendall(LIVEZ * 5000)
        except ConnectionError:  # it hung up while we were sending
            return
        assert all_of(sock).count(b"HTTP/1.1 200") < 5000


@pytest.mark.usefixtures("unhurried")
def test_pings_of_who_takes_no_answer_are_not_answered(server: Server, address: Address) -> None:
    with socket.create_connection(address) as sock:
        sock.sendall(b"GET /ws/render HTTP/1.1\r\n" + HANDSHAKE + b"\r\n")
        assert sock.recv(1000).startswith(b"HTTP/1.1 101")
        assert server._uvicorn is not None
        (spoken,) = (one for one in server._uvicorn.server_state.connections if "conn" in vars(one))
        transport = spoken.transport
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.sendall(PING * 30_000 + CLOSE)
        end = time.monotonic() + LONG_S
        while not transport.is_closing() and time.monotonic() < end:
            time.sleep(0.02)
        assert transport.is_closing()
        assert transport.get_write_buffer_size() < 1 << 20


def test_connections_are_kept_between_requests(address: Address) -> None:
    client = http.client.HTTPConnection(*address, timeout=LONG_S)
    for _ in range(2):
        client.request("GET", "/livez")
        assert client.getresponse().read()
        time.sleep(1.2)  # longer than a head may take
    assert client.sock is not None
    client.close()


def test_a_head_without_an_end(address: Address) -> None:
    with socket.create_connection(address) as sock:
        said = b""
        try:
            sock.sendall(b"GET /livez HTTP/1.1\r\nHost: 127.0.0.1\r\n" + b"X-More: yes\r\n" * 20_000)
            sock.settimeout(LONG_S)
            said = sock.recv(1000)
        except ConnectionError:  # it hung up while we were sending
            pass
        assert not said or said.startswith(b"HTTP/1.1 431")


def test_a_long_path_is_no_long_head(address: Address) -> None:
    client = http.client.HTTPConnection(*address, timeout=LONG_S)
    client.request("GET", f"/api/sources?search={'x' * 20_000}")
    assert client.getresponse().status == 200
    client.close()
