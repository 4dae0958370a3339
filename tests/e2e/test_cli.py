"""The installed command as a black box: what it prints, how it ends, what it lets through."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import urllib.error
import urllib.parse
import urllib.request
import zipfile
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from conftest import PATIENCE_S, Start, fetch, wait_for
from surroundings import free_port

from refused import refused_with


def serve(command: Path, *arguments: str | Path, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, **(env or {})}
    port = [] if "--port" in arguments else ["--port", "0"]
    full = [str(command), "serve", *map(str, arguments), *port, "--no-browser"]
    return subprocess.run(full, capture_output=True, text=True, timeout=PATIENCE_S, check=False, env=environment)


def assert_one_line(done: subprocess.CompletedProcess[str], *words: str, code: int = 1) -> None:
    lines = done.stderr.strip().splitlines()
    assert done.returncode == code, done
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("Error: ")
    assert "Traceback" not in done.stderr
    for word in words:
        assert word in lines[0], lines[0]
    assert done.stdout == ""


def host_and_port(url: str) -> tuple[str, int]:
    split = urllib.parse.urlsplit(url)
    assert split.hostname is not None
    assert split.port is not None
    return split.hostname, split.port


def raw(url: str, request: bytes) -> bytes:
    """Whatever comes back for these very bytes."""
    with socket.create_connection(host_and_port(url), timeout=PATIENCE_S) as sock:
        sock.sendall(request)
        answer = b""
        while part := sock.recv(65536):
            answer += part
    return answer


def test_the_wheel_brings_its_viewer(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        page = archive.read("coverslip/_viewer/index.html").decode()
        scripts = [n for n in names if n.startswith("coverslip/_viewer/assets/") and n.endswith(".js")]
        assert len(scripts) >= 2, "the page and its worker"
    assert "http" not in page.replace("http-equiv", "")
    assert not [n for n in names if "node_modules" in n or n.endswith(".map")]


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("nothing.h5ad", None, ("not found", "nothing.h5ad")),
        ("notes.txt", b"hello", ("does not know", ".h5ad")),
        ("empty.h5ad", b"", ("empty file",)),
        ("corrupt.h5ad", b"\x89HDF\r\n\x1a\n" + b"\x00" * 5000, ("cannot be opened",)),
        ("not_hdf5.h5ad", b"PK\x03\x04" * 4000, ("not a whole HDF5 file",)),
        ("empty", b"", ("empty file",)),
        (
            "pickle.npy",
            b"\x93NUMPY\x01\x00v\x00{'descr': '|O', 'fortran_order': False, 'shape': (3, 2), }",
            ("pickle.npy",),
        ),
    ],
)
def test_what_cannot_be_served_is_said_in_one_line(
    command: Path, tmp_path: Path, name: str, content: bytes | None, words: tuple[str, ...]
) -> None:
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    assert_one_line(serve(command, path), *words)


@pytest.mark.parametrize("share", [0.001, 0.1, 0.5, 0.9, 0.999])
def test_a_truncated_file_is_said_in_one_line(command: Path, pbmc: Path, tmp_path: Path, share: float) -> None:
    path = tmp_path / "half.h5ad"
    data = pbmc.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    assert_one_line(serve(command, path), "half.h5ad", "truncated")


def test_a_folder_without_data_waits_for_some(start: Start, pbmc: Path, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("nothing to look at")
    url = start(tmp_path).url
    assert json.loads(fetch(f"{url}api/sources")) == []
    shutil.copy(pbmc, tmp_path / "late.h5ad")
    wait_for(lambda: json.loads(fetch(f"{url}_cellucid/datasets"))["datasets"] != [], "the new file")


def test_a_folder_says_what_was_found(command: Path, pbmc: Path, tmp_path: Path) -> None:
    shutil.copy(pbmc, tmp_path / "good.h5ad")
    (tmp_path / "bad.npy").write_bytes(b"\x93NUMPY but no more")
    os.utime(tmp_path / "bad.npy", (1, 1))
    process = subprocess.Popen(
        [command, "serve", tmp_path, "--port", "0", "--no-browser"], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        line = next(line for line in process.stdout if "source" in line)
        assert line.strip() == "2 sources: 2 data sets of cells; 1 could not be read."
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize(("port", "code"), [("99999", 1), ("-1", 1), ("abc", 2)])
def test_a_port_that_is_none(command: Path, pbmc: Path, port: str, code: int) -> None:
    done = serve(command, pbmc, "--port", port)
    assert done.returncode == code
    assert "Traceback" not in done.stderr


def test_a_busy_port_is_named_with_the_fix(command: Path, pbmc: Path, start: Start) -> None:
    _, port = host_and_port(start(pbmc).url)
    assert_one_line(serve(command, pbmc, "--port", str(port)), str(port), "--port 0")


def test_the_port_is_free_again_at_once(pbmc: Path, start: Start) -> None:
    first = start(pbmc, port=free_port())
    host, port = host_and_port(first.url)
    client = http.client.HTTPConnection(host, port)
    client.request("GET", "/_cellucid/health")
    client.getresponse().read()
    assert first.stop() == 130
    client.close()
    second = start(pbmc, port=port)
    assert second.url == first.url
    assert json.loads(fetch(f"{second.url}_cellucid/health"))["status"] == "ok"


def test_interrupted_it_ends_quietly(pbmc: Path, start: Start) -> None:
    running = start(pbmc)
    idle = [socket.create_connection(host_and_port(running.url)) for _ in range(20)]
    assert running.stop() == 130
    assert running.process.stderr is not None
    assert running.process.stderr.read().strip() == ""
    for sock in idle:
        sock.close()


def test_terminated_it_ends(pbmc: Path, start: Start) -> None:
    assert start(pbmc).stop(signal.SIGTERM) in (-signal.SIGTERM, 128 + signal.SIGTERM)


def test_idle_connections_hold_up_nobody(pbmc: Path, start: Start) -> None:
    url = start(pbmc).url
    idle = [socket.create_connection(host_and_port(url)) for _ in range(100)]
    assert json.loads(fetch(f"{url}_cellucid/health"))["n_cells"] == 700
    assert len(fetch(f"{url}var/CST3.values.f32")) == 2800
    for sock in idle:
        sock.close()


def test_one_connection_serves_many_requests(pbmc: Path, start: Start) -> None:
    client = http.client.HTTPConnection(*host_and_port(start(pbmc).url))
    for _ in range(3):
        client.request("GET", "/points_2d.bin")
        response = client.getresponse()
        assert response.version == 11
        assert len(response.read()) == 5600
    assert client.sock is not None, "kept alive"
    client.close()


def test_off_loopback_a_token_is_asked_for(pbmc: Path, start: Start) -> None:
    url = start(pbmc, "--host", "0.0.0.0").url
    parts = urllib.parse.urlsplit(url)
    assert parts.hostname == "127.0.0.1", "an address that can be opened"
    assert not parts.query, "what stands behind # reaches no log"
    token = urllib.parse.parse_qs(parts.fragment)["token"][0]
    plain = f"http://127.0.0.1:{parts.port}/"
    with refused_with(401):
        fetch(f"{plain}dataset_identity.json")
    opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
    with opener.open(f"{plain}?token={token}") as page:
        assert page.url == plain, "the token leaves the address bar"
        assert b"coverslip" in page.read()
    with opener.open(f"{plain}dataset_identity.json") as identity:
        assert json.loads(identity.read())["stats"]["n_cells"] == 700
    assert json.loads(fetch(f"{plain}_cellucid/health", Authorization=f"Bearer {token}"))["status"] == "ok"


@pytest.mark.parametrize(
    "path",
    [
        "/../../etc/passwd",
        "/%2e%2e/%2e%2e/etc/passwd",
        "//etc/passwd",
        "/..%2f..%2fetc/passwd",
        "/assets/../../pyproject.toml",
    ],
)
def test_no_path_leads_out(pbmc: Path, start: Start, path: str) -> None:
    url = start(pbmc).url
    answer = raw(url, f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n".encode())
    assert answer.startswith(b"HTTP/1.1 404"), answer[:200]
    assert b"root:" not in answer


def test_hostile_requests(pbmc: Path, start: Start) -> None:
    url = start(pbmc).url
    rebound = raw(url, b"GET /_cellucid/health HTTP/1.1\r\nHost: evil.example.com\r\nConnection: close\r\n\r\n")
    assert rebound.startswith(b"HTTP/1.1 421")
    foreign = b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nOrigin: https://evil.example.com\r\nConnection: close\r\n\r\n"
    answer = raw(url, foreign)
    assert answer.startswith(b"HTTP/1.1 403")
    assert b"access-control-allow-origin" not in answer.lower()
    huge = b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX: " + b"a" * 300_000 + b"\r\nConnection: close\r\n\r\n"
    with suppress(ConnectionError):  # hung up on: fine
        raw(url, huge)
    assert raw(url, b"\x16\x03\x01\x00garbage\r\n\r\n")[:12] in (b"", b"HTTP/1.1 400")
    assert json.loads(fetch(f"{url}_cellucid/health"))["status"] == "ok"


def test_a_file_replaced_while_served_is_read_anew(start: Start, tmp_path: Path) -> None:
    path = tmp_path / "points.npy"
    np.save(path, np.random.default_rng(0).random((10, 2)))
    url = start(path).url
    assert len(fetch(f"{url}points_2d.bin")) == 80
    np.save(tmp_path / "next.npy", np.random.default_rng(0).random((20, 2)))
    (tmp_path / "next.npy").replace(path)
    assert len(fetch(f"{url}points_2d.bin")) == 160
    path.unlink()
    with refused_with(404) as gone:
        fetch(f"{url}points_2d.bin")
    assert json.loads(gone.body)["error"]["code"] == "not_found"


def test_the_source_is_only_read(start: Start, pbmc: Path, tmp_path: Path) -> None:
    folder = tmp_path / "readonly"
    folder.mkdir()
    path = folder / "cells.h5ad"
    path.write_bytes(pbmc.read_bytes())
    before = path.stat().st_mtime_ns
    folder.chmod(0o555)
    url = start(path).url
    fetch(f"{url}obs_manifest.json")
    assert [p.name for p in folder.iterdir()] == ["cells.h5ad"]
    assert path.stat().st_mtime_ns == before
    folder.chmod(0o755)


def test_help_and_version(command: Path) -> None:
    told = subprocess.run([command, "--help"], capture_output=True, text=True, check=True)
    assert "serve" in told.stdout
    version = subprocess.run([command, "--version"], capture_output=True, text=True, check=True).stdout
    told = subprocess.run([command, "version"], capture_output=True, text=True, check=True).stdout
    assert dict(line.split(":", 1) for line in told.splitlines())["coverslip"].strip() == version.split()[1]
    assert "pip install 'coverslip[images]'" in told
    wrong = subprocess.run([command, "nonsense"], capture_output=True, text=True, check=False)
    assert wrong.returncode == 2
