"""The ways to deploy, with real programs: a container's entry point, nginx with TLS, sshd, a job, systemd."""

from __future__ import annotations

import base64
import getpass
import http.client
import json
import os
import re
import shlex
import shutil
import signal
import socket
import ssl
import subprocess
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import h5py
import numpy as np
import psutil
import pytest
from conftest import PATIENCE_S, ROOT, Install, href, run, visitor, wait_for
from playwright.sync_api import Browser, expect
from surroundings import environment, free_pair, free_port
from websockets.sync.client import connect

DEPLOY = ROOT / "deploy"
TOKEN = "a-token-of-these-tests_0123"
SYSTEM = os.environ["PATH"] + ":/usr/sbin:/sbin"
LARGE = (13, 2048, 2048)
"""A volume of uint16: 109 MB."""


def tool(name: str) -> str:
    """A program of this machine."""
    found = shutil.which(name, path=SYSTEM)
    assert found, f"{name} is missing: run scripts/deploy-tools"
    return found


@pytest.fixture(scope="session")
def coverslip(install: Install) -> Path:
    """The installed command with Flight and TLS."""
    return install("flight,tls").parent / "coverslip"


@pytest.fixture(scope="session")
def volume() -> np.ndarray:
    return np.random.default_rng(5).integers(0, 60000, LARGE, np.uint16)


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory, volume: np.ndarray) -> Path:
    folder = tmp_path_factory.mktemp("what a lab has")
    with h5py.File(folder / "large.h5", "w") as file:
        file.create_dataset("v", data=volume, chunks=(1, 512, 512))
    then = time.time() - 60
    os.utime(folder / "large.h5", (then, then))
    return folder


@pytest.fixture(scope="session")
def pixels(volume: np.ndarray, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The volume, for programs of another environment."""
    file = tmp_path_factory.mktemp("pixels") / "volume.npy"
    np.save(file, volume)
    return file


def biopb_reads(url: str, ca: Path, pixels: Path) -> dict[str, object]:
    """What the unmodified client of the tensor server finds."""
    python = environment("biopb[tensor]==0.13.0")
    script = ROOT / "tests" / "e2e" / "clients" / "biopb_reads_tls.py"
    found: dict[str, object] = json.loads(run(python, script, url, TOKEN, ca, pixels).stdout.splitlines()[-1])
    return found


@dataclass
class Process:
    """A program that runs, and what it says."""

    process: subprocess.Popen[str]
    out: list[str] = field(default_factory=list)
    err: list[str] = field(default_factory=list)

    def said(self, words: str) -> bool:
        assert self.process.poll() is None, "".join(self.out + self.err)
        return words in "".join(self.out + self.err)

    def stop(self, how: signal.Signals = signal.SIGTERM) -> int:
        if self.process.poll() is None:
            self.process.send_signal(how)
        code = self.process.wait(PATIENCE_S)
        for stream in (self.process.stdout, self.process.stderr):
            if stream is not None:
                stream.close()
        return code


Begin = Callable[..., Process]


@pytest.fixture(scope="module")
def begin() -> Iterator[Begin]:
    """Starts programs; all are ended afterwards."""
    started: list[Process] = []

    def starts(*command: object, **environment: str) -> Process:
        process = subprocess.Popen(
            [str(c) for c in command],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment or None,
        )
        began = Process(process)
        started.append(began)
        for stream, lines in ((process.stdout, began.out), (process.stderr, began.err)):
            threading.Thread(target=_read, args=(stream, lines), daemon=True).start()
        return began

    yield starts
    for one in reversed(started):
        one.stop()


def _read(stream: object, lines: list[str]) -> None:
    try:
        for line in stream:  # type: ignore[attr-defined]
            lines.append(line)  # noqa: PERF402
    except ValueError:  # closed
        pass


def surroundings(coverslip: Path, folder: Path, **more: str) -> dict[str, str]:
    """The environment of a program that finds our command and has a home of its own."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("COVERSLIP_", "BIOPB_"))}
    return {
        **kept, "PATH": f"{coverslip.parent}:{SYSTEM}", "HOME": str(folder), "PYTHONWARNINGS": "ignore",
        "COVERSLIP_STATE_DIR": str(folder / "state"), "COVERSLIP_CACHE_DIR": str(folder / "cache"), **more,
    }  # fmt: skip


def ask(url: str, context: ssl.SSLContext | None = None, body: object = None, **headers: str) -> tuple[int, bytes]:
    sent = json.dumps(body).encode() if body is not None else None
    headers = {"Connection": "close", "Content-Type": "application/json", **headers}
    request = urllib.request.Request(url, data=sent, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE_S, context=context) as got:
            return got.status, got.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()


def answers(url: str, context: ssl.SSLContext | None = None) -> bool:
    try:
        return ask(f"{url}/readyz", context)[0] == 200
    except OSError:
        return False


BEARER = {"Authorization": f"Bearer {TOKEN}"}


def flight_sources(coverslip: Path, location: str, token: str, ca: Path | None = None) -> str:
    """The names of sources, asked by pyarrow in an environment of its own; or the error's first line."""
    script = """
import sys, pyarrow.flight as f
location, token, ca = sys.argv[1:]
client = f.FlightClient(location, **({"tls_root_certs": open(ca, "rb").read()} if ca else {}))
options = f.FlightCallOptions(headers=[(b"authorization", b"Bearer " + token.encode())], timeout=120)
print("health", len(list(client.do_action(f.Action("health", b""), f.FlightCallOptions(timeout=120)))))
try:
    print("tree", next(client.do_action(f.Action("catalog_children", b"{}"), options)).body.to_pybytes().decode())
except f.FlightError as error:
    print("refused", type(error).__name__)
"""
    python = coverslip.parent / "python"
    return run(python, "-c", script, location, token, str(ca or "")).stdout


class TestContainer:
    """``deploy/entrypoint.py`` as a plain process, with the environment of ``docker run``."""

    def starts(
        self, begin: Begin, coverslip: Path, folder: Path, *arguments: str, **environment: str
    ) -> tuple[Process, int]:
        base = free_pair() - 4
        env = surroundings(coverslip, folder, BIOPB_BASE_PORT=str(base), **environment)
        return begin(coverslip.parent / "python", DEPLOY / "entrypoint.py", *arguments, **env), base + 4

    def test_the_documented_line(self, begin: Begin, coverslip: Path, data: Path, tmp_path: Path) -> None:
        server, http = self.starts(begin, coverslip, tmp_path, DATA_DIR=str(data), BIOPB_TENSOR_TOKEN=TOKEN)
        here = f"http://127.0.0.1:{http}"
        wait_for(lambda: server.process.poll() is not None or answers(here), "the container's server")
        wait_for(lambda: json.loads(ask(f"{here}/api/catalog", **BEARER)[1])["sources"] == 1, "the data of the mount")
        assert ask(f"{here}/api/catalog")[0] == 401
        assert '"what a lab has' in flight_sources(coverslip, f"grpc://127.0.0.1:{http + 1}", TOKEN)
        assert "refused FlightUnauthenticatedError" in flight_sources(
            coverslip, f"grpc://127.0.0.1:{http + 1}", "x" * 16
        )
        env = surroundings(coverslip, tmp_path, BIOPB_BASE_PORT=str(http - 4))
        run(coverslip.parent / "python", DEPLOY / "entrypoint.py", "health", env=env)
        assert server.stop() == 0, "docker stop ends it in time, and well"
        done = subprocess.run(
            [coverslip.parent / "python", DEPLOY / "entrypoint.py", "health"], env=env, check=False, capture_output=True
        )
        assert done.returncode == 1
        assert TOKEN not in "".join(server.out + server.err)
        assert f"http://{socket.gethostname()}:{http}/" in "".join(server.err)

    def test_a_token_is_made_and_shown_once(self, begin: Begin, coverslip: Path, data: Path, tmp_path: Path) -> None:
        server, http = self.starts(
            begin, coverslip, tmp_path, DATA_DIR=str(data), BIOPB_EXTERNAL_HOST="lab.example.org"
        )
        wait_for(lambda: answers(f"http://127.0.0.1:{http}"), "the server")
        text = "".join(server.out + server.err)
        [token] = re.findall(rf"http://lab\.example\.org:{http}/#token=([A-Za-z0-9_-]{{43}})\n", text)
        assert "Access URL (shown once — do not share):" in text
        assert ask(f"http://127.0.0.1:{http}/api/catalog", Authorization=f"Bearer {token}")[0] == 200
        server.stop()
        assert "".join(server.out + server.err).count(token) == 1

    def test_a_shared_node_asks_for_a_token_on_loopback_too(
        self, begin: Begin, coverslip: Path, data: Path, tmp_path: Path
    ) -> None:
        apptainer = {"BIOPB_BIND_LOCALHOST": "true", "APPTAINER_CONTAINER": "/images/coverslip.sif"}
        server, http = self.starts(begin, coverslip, tmp_path, DATA_DIR=str(data), MONITOR="false", **apptainer)
        wait_for(lambda: answers(f"http://127.0.0.1:{http}"), "the server")
        assert ask(f"http://127.0.0.1:{http}/api/catalog")[0] == 401
        listening = Path("/proc/net/tcp").read_text()
        assert f"0100007F:{http:04X} 00000000:0000 0A" in listening
        assert f"00000000:{http:04X} 00000000:0000 0A" not in listening
        assert f"00000000:{http + 1:04X} 00000000:0000 0A" not in listening, "Flight is not open either"
        server.stop()

    def test_a_configuration_of_ones_own_with_tls(
        self, begin: Begin, coverslip: Path, data: Path, tmp_path: Path
    ) -> None:
        config = tmp_path / "own.toml"
        config.write_text(f'[server]\ntls = true\ntoken = "{TOKEN}"\n[[sources]]\nurl = {json.dumps(str(data))}\n')
        server, http = self.starts(begin, coverslip, tmp_path, CONFIG_FILE=str(config))
        here, state = f"https://127.0.0.1:{http}", tmp_path / "state" / "tls-certificate.pem"
        wait_for(state.exists, "the certificate")
        trusting = ssl.create_default_context(cafile=str(state))
        wait_for(lambda: answers(here, trusting), "the server")
        assert ask(f"{here}/api/catalog", trusting, **BEARER)[0] == 200
        env = surroundings(coverslip, tmp_path, BIOPB_BASE_PORT=str(http - 4))
        run(coverslip.parent / "python", DEPLOY / "entrypoint.py", "health", env=env)
        assert '"what a lab has' in flight_sources(coverslip, f"grpc+tls://127.0.0.1:{http + 1}", TOKEN, state)
        assert TOKEN not in "".join(server.out + server.err)
        server.stop()

    def test_another_command(self, coverslip: Path, tmp_path: Path) -> None:
        env = surroundings(coverslip, tmp_path)
        done = run(coverslip.parent / "python", DEPLOY / "entrypoint.py", "coverslip", "--version", env=env)
        assert done.stdout.startswith("coverslip ")

    @pytest.mark.parametrize(
        ("environment", "words"),
        [
            ({"DATA_DIR": "/no/such/folder"}, "There is no folder /no/such/folder"),
            ({"BIOPB_BASE_PORT": "eight"}, "BIOPB_BASE_PORT is 'eight'"),
            ({"BIOPB_BASE_PORT": "65533"}, "from 1 to 65530"),
            ({"BIOPB_TENSOR_TOKEN": "short"}, "The token cannot be used"),
            ({"MONITOR": "perhaps"}, "MONITOR is 'perhaps'"),
            ({"CONFIG_FILE": "/no/such.toml"}, "there is no such file"),
            ({"CONFIG_FILE": str(DEPLOY / "nginx.conf")}, "is not a configuration"),
            ({"BIOPB_WEB_DEV_BYPASS": "true"}, "can be reached from other machines"),
        ],
    )
    def test_what_cannot_be(
        self, coverslip: Path, data: Path, tmp_path: Path, environment: dict[str, str], words: str
    ) -> None:
        env = surroundings(coverslip, tmp_path, **{"DATA_DIR": str(data), **environment})
        command = [coverslip.parent / "python", DEPLOY / "entrypoint.py"]
        done = subprocess.run(command, env=env, capture_output=True, text=True, check=False, timeout=PATIENCE_S)
        assert done.returncode == 2
        assert words in done.stderr
        assert "Traceback" not in done.stderr
        assert "short" not in done.stderr or "short" in words


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


@pytest.fixture(scope="module")
def sshd(begin: Begin, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A real sshd on loopback that knows one throw-away key; the configuration of its client."""
    folder, port = tmp_path_factory.mktemp("ssh"), free_port()
    for name in ("host", "user"):
        run(tool("ssh-keygen"), "-q", "-t", "ed25519", "-N", "", "-f", folder / name)
    shutil.copy(folder / "user.pub", folder / "authorized")
    if os.getuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)
    (folder / "sshd_config").write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {folder}/host\nAuthorizedKeysFile {folder}/authorized\n"
        f"PidFile {folder}/pid\nPasswordAuthentication no\nKbdInteractiveAuthentication no\n"
        "PermitRootLogin prohibit-password\n"
        "UsePAM no\nStrictModes no\nAllowTcpForwarding yes\n"
    )
    (folder / "known").write_text(f"[127.0.0.1]:{port} {(folder / 'host.pub').read_text()}")
    (folder / "config").write_text(
        f"Host *\n  HostName 127.0.0.1\n  Port {port}\n  IdentityFile {folder}/user\n  IdentitiesOnly yes\n"
        f"  UserKnownHostsFile {folder}/known\n  HostKeyAlias [127.0.0.1]:{port}\n  StrictHostKeyChecking yes\n"
        "  BatchMode yes\n  ExitOnForwardFailure yes\n"
    )
    begin(tool("sshd"), "-D", "-e", "-f", folder / "sshd_config")
    wait_for(lambda: _accepts(port), "sshd")
    return folder / "config"


def _accepts(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


def server_of(data: Path) -> psutil.Process:
    """The server that was started for ``data``, with no other port than its own."""
    found: list[psutil.Process] = []

    def there() -> bool:
        found[:] = [
            process
            for process in psutil.process_iter()
            if (words := words_of(process))
            and "--end-with-input" in words
            and str(data) in words
            and "ssh" not in words[0]
        ]
        return bool(found)

    wait_for(there, "the server there")
    return found[0]


def words_of(process: psutil.Process) -> list[str]:
    try:
        words: list[str] = process.cmdline()
    except psutil.Error:
        return []
    return words


def all_of(process: psutil.Process) -> list[psutil.Process]:
    return [process, *process.children(recursive=True), *process.parents()]


class TestTunnel:
    def test_http_and_flight_through_ssh(
        self, begin: Begin, sshd: Path, coverslip: Path, data: Path, tmp_path: Path
    ) -> None:
        far, near = free_pair(), free_pair()
        server = begin(
            coverslip, "server", "start", "--foreground", "--web-port", far, "--port", far + 1, data,
            **surroundings(coverslip, tmp_path, COVERSLIP_TOKEN=TOKEN),
        )  # fmt: skip
        wait_for(lambda: answers(f"http://127.0.0.1:{far}"), "the server")
        forwards = ["-L", f"{near}:localhost:{far}", "-L", f"{near + 1}:localhost:{far + 1}"]
        tunnel = begin(tool("ssh"), "-F", sshd, "-N", *forwards, f"{getpass.getuser()}@server.example.org")
        wait_for(lambda: tunnel.process.poll() is None and answers(f"http://localhost:{near}"), "the tunnel")
        wait_for(lambda: server.said("1 sources found"), "the data")
        assert ask(f"http://localhost:{near}/api/catalog")[0] == 401
        assert ask(f"http://localhost:{near}/api/catalog", **BEARER)[0] == 200
        assert '"what a lab has' in flight_sources(coverslip, f"grpc://localhost:{near + 1}", TOKEN)
        tunnel.stop()
        server.stop()

    def test_one_command_serves_what_is_on_another_machine(
        self, begin: Begin, sshd: Path, coverslip: Path, data: Path, tmp_path: Path
    ) -> None:
        env = surroundings(coverslip, tmp_path)
        far = (
            "--ssh",
            f"{tool('ssh')} -F {sshd}",
            "--remote-command",
            coverslip,
            "--no-browser",
            "--quiet",
            "--port",
            0,
        )
        at = f"{getpass.getuser()}@server.example.org"
        one = begin(coverslip, "connect", *far, f"{at}:{data}", **env)
        wait_for(lambda: one.said("http://"), "the address")
        url, _, token = one.out[0].strip().partition("#token=")
        assert ask(f"{url}api/sources")[0] == 401, "others on that machine read nothing"
        assert ask(f"{url}api/sources", Authorization=f"Bearer {token}")[0] == 200
        there = server_of(data)
        assert not [line for process in all_of(there) for line in process.cmdline() if token in line]
        assert one.stop(signal.SIGINT) == 130
        assert not "".join(one.err).strip()
        psutil.wait_procs([there], timeout=PATIENCE_S)
        assert not there.is_running(), "nothing stays behind there"

        two = begin(coverslip, "connect", *far, f"{at}:{data}", **env)
        wait_for(lambda: two.said("http://"), "the address")
        there = server_of(data)
        next(child for child in psutil.Process(two.process.pid).children() if child.name() == "ssh").kill()
        assert two.process.wait(PATIENCE_S) == 1
        wait_for(lambda: any(line.startswith("Error: The connection to ") for line in two.err), "the last word")
        psutil.wait_procs([there], timeout=PATIENCE_S)
        assert not there.is_running(), "it ends with the connection"

    @pytest.mark.parametrize(
        ("words", "place", "told"),
        [
            ((), "{at}:/no/such/place", "not found"),
            (("--remote-command", "/no/such/coverslip"), "{at}:/tmp", "pip install coverslip"),
            (("--ssh", "ssh -p 1"), "127.0.0.1:/tmp", "cannot be reached"),
            (("--ssh", "no-such-ssh"), "{at}:/tmp", "Install an OpenSSH client"),
            ((), "-oProxyCommand=true:/tmp", "Error: "),
            ((), "--", "Error: "),
            ((), "/tmp/only/a/path", "user@host:/data"),
        ],
    )
    def test_what_cannot_be_connected(
        self, sshd: Path, coverslip: Path, tmp_path: Path, words: tuple[str, ...], place: str, told: str
    ) -> None:
        place = place.format(at=f"{getpass.getuser()}@server.example.org")
        usual = ("--ssh", f"{tool('ssh')} -F {sshd}", "--remote-command", coverslip, "--no-browser", "--port", 0)
        done = subprocess.run(
            [str(word) for word in (coverslip, "connect", *usual, *words, place)],
            capture_output=True, text=True, check=False, timeout=PATIENCE_S, env=surroundings(coverslip, tmp_path),
        )  # fmt: skip
        assert done.returncode in (1, 2), done.stdout
        assert told in done.stderr
        assert "Traceback" not in done.stderr

    @pytest.mark.parametrize("bind", ["loopback", "node"])
    def test_a_job_tells_the_line_to_type(
        self, begin: Begin, sshd: Path, coverslip: Path, data: Path, tmp_path: Path, bind: str
    ) -> None:
        base = free_pair() - 4
        env = surroundings(
            coverslip, tmp_path, SLURM_JOB_ID="4711", COVERSLIP_LOGIN="login.example.org", COVERSLIP_BIND=bind,
            COVERSLIP_BASE_PORT=str(base), TMPDIR=str(tmp_path),
        )  # fmt: skip
        env = {name: value for name, value in env.items() if name not in ("COVERSLIP_STATE_DIR", "COVERSLIP_CACHE_DIR")}
        job = begin("bash", DEPLOY / "slurm.sh", data, **env)
        wait_for(lambda: job.said("scancel 4711"), "what the job tells")
        url_file = tmp_path / "coverslip-4711.url"
        assert url_file.stat().st_mode & 0o777 == 0o600
        url = url_file.read_text().strip()
        token = urllib.parse.urlsplit(url).fragment.removeprefix("token=")
        [line] = [text.strip() for text in job.out if text.strip().startswith("ssh -N")]
        words = shlex.split(line)
        target = words[-1].partition("@")[2]
        assert target == (socket.gethostname() if bind == "loopback" else "login.example.org")
        local = free_pair()  # here both ends of the tunnel are one machine, and have one set of ports
        for old, new in ((base + 4, local), (base + 5, local + 1)):
            words = [re.sub(rf"^{old}:", f"{new}:", word) for word in words]
        node = f"{socket.gethostname() if bind == 'node' else '127.0.0.1'}"
        wait_for(
            lambda: answers(f"http://{node}:{base + 4}") if bind == "loopback" else _accepts_at(node, base + 4), "it"
        )
        tunnel = begin(words[0], "-F", sshd, *words[1:])
        wait_for(lambda: answers(f"http://localhost:{local}"), f"the tunnel {tunnel.err}")
        bearer = f"Bearer {token}"
        wait_for(
            lambda: json.loads(ask(f"http://localhost:{local}/api/catalog", Authorization=bearer)[1])["sources"] == 1,
            "the data",
        )
        assert ask(f"http://localhost:{local}/api/catalog")[0] == 401
        assert '"what a lab has' in flight_sources(coverslip, f"grpc://localhost:{local + 1}", token)
        tunnel.stop()
        assert job.stop() == 143
        assert token not in "".join(job.out + job.err), "the job's output may be read by others"
        assert not url_file.exists()
        assert list(tmp_path.glob("coverslip-4711.*")) == [], "nothing is left"
        assert not _accepts_at(node, base + 4)


def _accepts_at(host: str, port: int) -> bool:
    try:
        socket.create_connection((host, port), 1).close()
    except OSError:
        return False
    return True


class TestService:
    def unit(self, folder: Path, coverslip: Path) -> Path:
        text = (DEPLOY / "coverslip.service").read_text()
        assert "/opt/coverslip/bin/coverslip" in text
        file = folder / "coverslip.service"
        file.write_text(text.replace("/opt/coverslip/bin/coverslip", str(coverslip)))
        return file

    def test_systemd_understands_it(self, coverslip: Path, tmp_path: Path) -> None:
        done = subprocess.run(
            [tool("systemd-analyze"), "verify", "--man=no", self.unit(tmp_path, coverslip)],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert (done.returncode, done.stderr) == (0, "")

    def test_little_is_exposed(self, coverslip: Path, tmp_path: Path) -> None:
        analyze = [tool("systemd-analyze"), "security", "--offline=true", "--no-pager", "--threshold=20"]
        done = subprocess.run([*analyze, self.unit(tmp_path, coverslip)], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout.splitlines()[-1]

    def test_its_command_runs_with_the_example(self, begin: Begin, coverslip: Path, data: Path, tmp_path: Path) -> None:
        config = tmp_path / "lab.toml"
        http = free_pair()
        text = (DEPLOY / "examples" / "lab.toml").read_text().partition("[[sources]]")[0]
        text = text.replace("8814", str(http)).replace("8815", str(http + 1))
        config.write_text(f"{text}\n[[sources]]\nurl = {json.dumps(str(data))}\n")
        command = re.search(r"(?m)^ExecStart=(.*)$", (DEPLOY / "coverslip.service").read_text())
        assert command is not None
        words = [str(coverslip), *shlex.split(command[1])[1:-1], config]
        server = begin(*words, **surroundings(coverslip, tmp_path, COVERSLIP_TOKEN=TOKEN))
        wait_for(lambda: answers(f"http://127.0.0.1:{http}"), "the server")
        assert ask(f"http://127.0.0.1:{http}/api/catalog")[0] == 401, "a proxy in front brings others"
        assert server.stop() == 0
        assert TOKEN not in "".join(server.err), "the journal gets standard error"


def test_everything_over_our_own_tls(
    begin: Begin, coverslip: Path, data: Path, pixels: Path, browser: Browser, tmp_path: Path
) -> None:
    port = free_pair()
    env = surroundings(coverslip, tmp_path, COVERSLIP_TOKEN=TOKEN)
    server = begin(
        coverslip, "serve", data, "--tls", "--no-browser", "--quiet", "--port", port, "--flight", port + 1, **env
    )
    wait_for(lambda: server.said(f"https://127.0.0.1:{port}/#token={TOKEN}"), "the address")
    with visitor(browser, ignore_https_errors=True) as context:
        page = context.new_page()
        page.goto(f"https://127.0.0.1:{port}/?page=home#token={TOKEN}")
        expect(page.get_by_test_id("source")).to_have_count(1)
        [cookie] = context.cookies()
        assert (cookie["secure"], cookie["httpOnly"], cookie["sameSite"]) == (True, True, "Strict")
    certificate = tmp_path / "state" / "tls-certificate.pem"
    trusting = ssl.create_default_context(cafile=str(certificate))
    assert ask(f"https://localhost:{port}/api/catalog", trusting, **BEARER)[0] == 200
    found = biopb_reads(f"grpc+tls://localhost:{port + 1}", certificate, pixels)
    assert (found["whole"], found["part"]) == (True, True)
    ends = ssl.cert_time_to_seconds(
        run(tool("openssl"), "x509", "-in", certificate, "-noout", "-enddate").stdout.strip().partition("=")[2]
    )
    told = found["health"]
    assert isinstance(told, dict)
    assert told["tls_not_after"] == time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(ends))
    server.stop()
