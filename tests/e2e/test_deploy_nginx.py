"""Behind a real nginx with TLS: HTTP, WebSockets and Arrow Flight on one port."""

from __future__ import annotations

import base64
import getpass
import http.client
import json
import os
import re
import socket
import ssl
import subprocess
import threading
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass
from pathlib import Path

import deployed
import numpy as np
import pytest
from conftest import PATIENCE_S, href, run, visitor, wait_for
from deployed import (
    BEARER,
    DEPLOY,
    LARGE,
    TOKEN,
    Begin,
    Process,
    _accepts,
    answers,
    ask,
    biopb_reads,
    flight_sources,
    surroundings,
    tool,
)
from playwright.sync_api import Browser, expect
from surroundings import free_pair
from websockets.sync.client import connect

coverslip = deployed.coverslip
volume = deployed.volume
data = deployed.data
pixels = deployed.pixels
begin = deployed.begin


@dataclass
class Proxied:
    """nginx, and the server behind it."""

    url: str
    flight: str
    ca: Path
    context: ssl.SSLContext
    log: Path
    backend: int
    server: Process


def nginx_before(begin: Begin, folder: Path, http: int, flight: int) -> tuple[int, Path]:
    """``deploy/nginx.conf`` with nothing changed but names, ports and files; its port and its certificate."""
    tls = free_pair()
    plain = tls + 1
    cert, key = folder / "cert.pem", folder / "key.pem"
    run(
        tool("openssl"), "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
        "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-out", cert, "-keyout", key,
    )  # fmt: skip
    ours = (DEPLOY / "nginx.conf").read_text()
    for old, new in (
        ("lab.example.org", "localhost"), ("listen 80;", f"listen 127.0.0.1:{plain};"),
        ("listen 443 ssl", f"listen 127.0.0.1:{tls} ssl"), ("127.0.0.1:8814", f"127.0.0.1:{http}"),
        ("127.0.0.1:8815", f"127.0.0.1:{flight}"), ("/etc/ssl/coverslip/fullchain.pem", str(cert)),
        ("/etc/ssl/coverslip/privkey.pem", str(key)), ("/var/log/nginx/coverslip.log", str(folder / "access.log")),
    ):  # fmt: skip
        assert old in ours, old
        ours = ours.replace(old, new)
    (folder / "coverslip.conf").write_text(ours)
    user = f"user {getpass.getuser()};" if os.getuid() == 0 else ""
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    temporary = "".join(f"{kind}_temp_path {folder}/{kind};\n" for kind in kinds)
    (folder / "nginx.conf").write_text(
        f"{user}\ndaemon off;\npid {folder}/pid;\nerror_log {folder}/error.log;\nevents {{}}\n"
        f"http {{\n{temporary}include {folder}/coverslip.conf;\n}}\n"
    )
    command = [tool("nginx"), "-p", folder, "-c", folder / "nginx.conf", "-e", folder / "error.log"]
    checked = subprocess.run([*map(str, command), "-t"], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stderr
    assert "warn" not in checked.stderr
    begin(*command)
    wait_for(lambda: _accepts(tls), "nginx")
    return tls, cert


@pytest.fixture(scope="module")
def proxied(begin: Begin, coverslip: Path, data: Path, tmp_path_factory: pytest.TempPathFactory) -> Proxied:
    """nginx before a server on loopback."""
    folder, http = tmp_path_factory.mktemp("nginx"), free_pair()
    server = begin(
        coverslip, "server", "start", "--foreground", "--web-port", http, "--port", http + 1, "--trusted-proxy",
        "127.0.0.1", data, **surroundings(coverslip, folder, COVERSLIP_TOKEN=TOKEN),
    )  # fmt: skip
    tls, cert = nginx_before(begin, folder, http, http + 1)
    context = ssl.create_default_context(cafile=str(cert))
    wait_for(lambda: answers(f"https://localhost:{tls}", context), "the server behind nginx")
    wait_for(lambda: server.said("1 sources found"), "the data")
    return Proxied(
        f"https://localhost:{tls}", f"grpc+tls://localhost:{tls}", cert, context, folder / "access.log", http,
        server,
    )  # fmt: skip


class TestProxy:
    def test_the_api_and_the_token(self, proxied: Proxied) -> None:
        assert ask(f"{proxied.url}/api/catalog", proxied.context)[0] == 401
        status, body = ask(f"{proxied.url}/api/catalog", proxied.context, **BEARER)
        assert (status, json.loads(body)["sources"]) == (200, 1)
        assert ask(f"{proxied.url}/api/catalog", proxied.context, **BEARER, Origin="https://evil.example")[0] == 403
        assert ask(f"{proxied.url}/api/catalog", proxied.context, **BEARER, Origin=proxied.url)[0] == 200

    def test_a_hundred_megabytes_a_part_of_them_and_nothing_twice(self, proxied: Proxied, volume: np.ndarray) -> None:
        sources = json.loads(ask(f"{proxied.url}/api/sources", proxied.context, **BEARER)[1])
        [tensor] = sources[0]["tensors"]
        wanted = {"source_id": sources[0]["source_id"], "tensor_id": tensor["array_id"]}
        wanted |= {"slice_start": [0, 0, 0], "slice_stop": list(LARGE)}
        status, body = ask(f"{proxied.url}/api/slice", proxied.context, wanted, **BEARER)
        assert status == 200, body[:300]
        assert len(body) > 100e6
        np.testing.assert_array_equal(np.frombuffer(body, "<u2").reshape(LARGE), volume)
        tile = f"{proxied.url}/api/tile/{tensor['array_id']}?level=0&col=1&row=0&fmt=raw&z=3"
        request = urllib.request.Request(tile, headers=BEARER)
        with urllib.request.urlopen(request, context=proxied.context) as got:
            whole, etag = got.read(), got.headers["ETag"]
        assert len(whole) > 1000
        status, part = ask(tile, proxied.context, **BEARER, Range="bytes=100-299")
        assert (status, part) == (206, whole[100:300])
        assert ask(tile, proxied.context, **BEARER, **{"If-None-Match": etag})[0] == 304

    def test_a_browser_over_tls(self, proxied: Proxied, browser: Browser) -> None:
        with visitor(browser, ignore_https_errors=True) as context:
            page = context.new_page()
            page.goto(f"{proxied.url}/?page=home#token={TOKEN}")
            expect(page.get_by_test_id("source")).to_have_count(1)
            assert "token" not in href(page)
            [cookie] = context.cookies()
            assert (cookie["secure"], cookie["httpOnly"], cookie["sameSite"]) == (True, True, "Strict")

    def test_a_handshake_of_a_websocket_reaches_the_gate(self, proxied: Proxied) -> None:
        said = handshake(proxied, "/ws/render", Origin="https://evil.example")
        assert "403" in said.splitlines()[0]
        assert "wrong_origin" in said
        wait_for(lambda: proxied.server.said("/ws/render was refused: 403"), "the log")
        assert "101" in handshake(proxied, "/ws/render").splitlines()[0]
        wait_for(lambda: proxied.server.said("/ws/render was refused: 401"), "the log")
        assert "404" in handshake(proxied, "/ws/nowhere?token=" + TOKEN).splitlines()[0]
        wait_for(lambda: proxied.server.said("/ws/nowhere was refused: 404"), "the log")
        told = [line for line in proxied.server.err if "WebSocket" in line]
        assert [line.split(" ", 1)[1].rstrip() for line in told] == [
            f"INFO coverslip.access a WebSocket of 127.0.0.1 to {path} was refused: {status}"
            for path, status in (("/ws/render", 403), ("/ws/render", 401), ("/ws/nowhere", 404))
        ]
        assert not any(" ERROR " in line for line in proxied.server.err)

    def test_pictures_over_a_websocket(self, proxied: Proxied, volume: np.ndarray) -> None:
        [source] = json.loads(ask(f"{proxied.url}/api/sources", proxied.context, **BEARER)[1])
        [tensor] = source["tensors"]
        box = {"slice_start": [3, 0, 0], "slice_stop": [4, *LARGE[1:]]}
        place = {"source_id": source["source_id"], "tensor_id": tensor["array_id"], **box}
        url = f"{proxied.url.replace('https', 'wss')}/ws/render"
        with connect(url, ssl=proxied.context, additional_headers=BEARER, origin=proxied.url, max_size=None) as socket:  # type: ignore[arg-type]
            for _ in range(3):
                socket.send(json.dumps({"action": "render", "params": {**place, "output_format": "raw"}}))
                told = json.loads(socket.recv(PATIENCE_S))
                assert (told["action"], told["dtype"]) == ("render_start", "uint16"), told
                raw = np.frombuffer(socket.recv(PATIENCE_S), "<u2")
                np.testing.assert_array_equal(raw.reshape(LARGE[1:]), volume[3])

    def test_flight_on_the_same_port(self, proxied: Proxied, coverslip: Path) -> None:
        said = flight_sources(coverslip, proxied.flight, TOKEN, proxied.ca)
        assert "health 1" in said
        assert '"what a lab has' in said
        assert "refused FlightUnauthenticatedError" in flight_sources(coverslip, proxied.flight, "x" * 16, proxied.ca)

    def test_biopbs_own_client_reads_every_pixel(self, proxied: Proxied, pixels: Path) -> None:
        found = biopb_reads(proxied.flight, proxied.ca, pixels)
        assert (found["whole"], found["part"]) == (True, True)

    def test_who_guesses_is_known_by_his_own_address(self, proxied: Proxied) -> None:
        forged = {"X-Forwarded-For": "10.1.2.3", "X-Forwarded-Host": "evil.example", "X-Forwarded-Proto": "http"}
        assert ask(f"{proxied.url}/api/catalog", proxied.context, **BEARER, **forged)[0] == 200
        for number in range(11):
            guess = {"Authorization": f"Bearer {number}", "X-Forwarded-For": f"10.1.2.{number}"}
            status, _ = ask(f"{proxied.url}/api/catalog", proxied.context, **guess)
        assert status == 429
        direct = f"http://127.0.0.1:{proxied.backend}/api/catalog"
        other = {**BEARER, "X-Forwarded-For": "192.0.2.99"}
        assert ask(direct, **other)[0] == 200, "another client of the proxy is not held up"

    def test_no_token_is_logged(self, proxied: Proxied) -> None:
        ask(f"{proxied.url}/?token={TOKEN}", proxied.context)
        wait_for(lambda: proxied.log.exists() and "/api/catalog" in proxied.log.read_text(), "the log")
        assert TOKEN not in proxied.log.read_text()

    def test_without_tls_one_is_sent_on(self, proxied: Proxied) -> None:
        conf = (proxied.log.parent / "coverslip.conf").read_text()
        port = re.search(r"listen 127\.0\.0\.1:(\d+);", conf)
        assert port is not None
        with socket.create_connection(("127.0.0.1", int(port[1]))) as sock:
            sock.sendall(b"GET /x?y=1 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            said = b"".join(iter(lambda: sock.recv(4096), b"")).decode()
        assert said.startswith("HTTP/1.1 301")
        assert "Location: https://localhost/x?y=1" in said


def test_nginx_hands_websockets_on(begin: Begin, tmp_path: Path) -> None:
    """A server of a few lines says what reaches it, and sends back what it gets."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        seen: list[str] = []

        def echo() -> None:
            while True:
                try:
                    connection, _ = listening.accept()
                except OSError:
                    return
                with connection:
                    head = b""
                    while not head.endswith(b"\r\n\r\n") and (part := connection.recv(4096)):
                        head += part
                    seen.append(head.decode().lower())
                    connection.sendall(
                        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"
                    )
                    while part := connection.recv(65536):
                        connection.sendall(part)

        threading.Thread(target=echo, daemon=True).start()
        tls, cert = nginx_before(begin, tmp_path, listening.getsockname()[1], 1)
        context = ssl.create_default_context(cafile=str(cert))
        with (
            socket.create_connection(("localhost", tls), PATIENCE_S) as plain,
            context.wrap_socket(plain, server_hostname="localhost") as sock,
        ):
            sock.sendall(
                f"GET /ws/render?x=1 HTTP/1.1\r\nHost: localhost:{tls}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                f"Origin: https://localhost:{tls}\r\nX-Forwarded-For: 6.6.6.6\r\n\r\n".encode()
            )
            head = b""
            while not head.endswith(b"\r\n\r\n"):
                head += sock.recv(4096)
            assert head.startswith(b"HTTP/1.1 101")
            for frame in (b"\x82\x03abc", *(os.urandom(32 << 10) for _ in range(100))):
                sock.sendall(frame)
                got = b""
                while len(got) < len(frame):
                    got += sock.recv(1 << 16)
                assert got == frame
    for line in (
        "get /ws/render?x=1 http/1.1", "upgrade: websocket", "connection: upgrade", f"host: localhost:{tls}",
        f"origin: https://localhost:{tls}", "x-forwarded-for: 127.0.0.1", "x-forwarded-proto: https",
    ):  # fmt: skip
        assert f"{line}\r\n" in seen[0], line
    assert "6.6.6.6" not in seen[0]


def handshake(proxied: Proxied, path: str, **headers: str) -> str:
    """What a server says to the first request of a WebSocket."""
    place = urllib.parse.urlsplit(proxied.url)
    assert place.hostname
    sent = {
        "Host": place.netloc, "Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": base64.b64encode(os.urandom(16)).decode(), **headers,
    }  # fmt: skip
    lines = [f"GET {path} HTTP/1.1", *(f"{name}: {value}" for name, value in sent.items())]
    with (
        socket.create_connection((place.hostname, place.port or 443), PATIENCE_S) as plain,
        proxied.context.wrap_socket(plain, server_hostname="localhost") as sock,
    ):
        sock.sendall("\r\n".join([*lines, "", ""]).encode())
        answer = http.client.HTTPResponse(sock)
        answer.begin()
        body = b"" if answer.status == 101 else answer.read()
        return f"{answer.status} {answer.reason}\n{body.decode('latin-1')}"
