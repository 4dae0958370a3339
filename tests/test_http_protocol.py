"""Heads of requests that come slowly, or do not end."""

from __future__ import annotations

import http.client
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from coverslip import http_protocol
from coverslip.server import Server
from coverslip.settings import Settings

LONG_S = 20
Address = tuple[str, int]


@pytest.fixture
def address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Address]:
    np.save(tmp_path / "a.npy", np.arange(6).reshape(2, 3))
    monkeypatch.setattr(http_protocol, "HEAD_S", 1.0)
    with Server(tmp_path, Settings(port=0)) as server:
        host, _, port = server.url.rpartition("/")[2].rpartition(":")
        yield host, int(port)


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
