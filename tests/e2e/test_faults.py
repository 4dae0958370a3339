"""Faults, made on purpose, under the installed command: nothing is lost, no byte is wrong, afterwards all is well."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import resource
import shutil
import signal
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path

import anndata
import numpy as np
import pytest
from conftest import PATIENCE_S, Running, Start, fetch, first_line, wait_for
from scipy import sparse
from test_cli import host_and_port

from hanging_disk import hanging_disk, usable

CELLS, GENES = 30_000, 200
Begin = Callable[..., Running]


@pytest.fixture(scope="module")
def cells(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("faults") / "cells.h5ad"
    draw = np.random.default_rng(3)
    matrix = sparse.random(CELLS, GENES, 0.4, "csr", np.float32, rng=draw)  # large enough for an index
    anndata.AnnData(matrix, obsm={"X_umap": draw.normal(size=(CELLS, 2)).astype("f4")}).write_h5ad(path)
    return path


@pytest.fixture
def limited(command: Path) -> Iterator[Begin]:
    """Starts servers with limits of the system."""
    started: list[Running] = []

    def begin(path: Path, kind: int, most: int, **environment: str) -> Running:
        process = subprocess.Popen(
            [command, "serve", str(path), "--port", "0", "--no-browser", "--quiet"],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, **environment},
            preexec_fn=lambda: resource.setrlimit(kind, (most, most)),
        )  # fmt: skip
        running = Running(process)
        started.append(running)
        running.url = first_line(process)
        return running

    yield begin
    for running in started:
        running.process.kill()
        running.process.communicate()


def gene(url: str, i: int) -> np.ndarray:
    return np.frombuffer(fetch(f"{url}genes/{i}.values.f32?expression=X"), "<f4")


def expected(path: Path, i: int) -> np.ndarray:
    column: np.ndarray = matrix_of(path)[:, [i]].toarray().ravel()
    return column


@cache
def matrix_of(path: Path) -> sparse.csc_matrix:
    return anndata.read_h5ad(path).X.tocsc()


def index_state(url: str) -> str:
    state: str = json.loads(fetch(f"{url}gene_index.json?expression=X"))["state"]
    return state


def answers(url: str) -> bool:
    try:
        return len(gene(url, 3)) == CELLS
    except (OSError, http.client.HTTPException):  # the system hangs up on some that came in the flood
        return False


def test_out_of_file_descriptors(limited: Begin, cells: Path, tmp_path: Path) -> None:
    running = limited(cells, resource.RLIMIT_NOFILE, 96, COVERSLIP_CACHE_DIR=str(tmp_path / "cache"))
    idle = []
    for _ in range(200):
        with contextlib.suppress(OSError):
            idle.append(socket.create_connection(host_and_port(running.url), 2))
    time.sleep(1)
    for sock in idle:
        sock.close()
    wait_for(lambda: answers(running.url), "an answer after the flood")
    np.testing.assert_array_equal(gene(running.url, 3), expected(cells, 3))
    assert running.process.poll() is None


def test_a_cache_that_cannot_grow(limited: Begin, cells: Path, tmp_path: Path) -> None:
    """Files of more than 64 kB cannot be written, as on a full disk: there is no index, and every gene is right."""
    running = limited(cells, resource.RLIMIT_FSIZE, 65_536, COVERSLIP_CACHE_DIR=str(tmp_path / "cache"))
    np.testing.assert_array_equal(gene(running.url, 0), expected(cells, 0))
    wait_for(lambda: index_state(running.url) == "failed", "the index to be given up")
    np.testing.assert_array_equal(gene(running.url, 7), expected(cells, 7))
    left = [path for path in (tmp_path / "cache").rglob("*") if path.is_file() and path.stat().st_size > 65_536]
    assert left == []


def test_two_servers_share_a_cache(start: Start, cells: Path, tmp_path: Path) -> None:
    shared = str(tmp_path / "cache")
    pair = [start(cells, COVERSLIP_CACHE_DIR=shared) for _ in range(2)]
    for running in pair:
        gene(running.url, 1)
    for running in pair:
        wait_for(lambda url=running.url: index_state(url) == "ready", "the index")  # type: ignore[misc]
    for i in (0, 50, GENES - 1):
        first, second = (gene(running.url, i) for running in pair)
        np.testing.assert_array_equal(first, expected(cells, i))
        np.testing.assert_array_equal(second, first)


def test_killed_while_it_makes_the_index(start: Start, cells: Path, tmp_path: Path) -> None:
    """Whatever it left is not trusted, and removed."""
    shared = str(tmp_path / "cache")
    for after_s in (0.0, 0.3, 0.6):
        running = start(cells, COVERSLIP_CACHE_DIR=shared)
        gene(running.url, 1)
        time.sleep(after_s)
        running.process.kill()
        running.process.wait(PATIENCE_S)
    running = start(cells, COVERSLIP_CACHE_DIR=shared)
    np.testing.assert_array_equal(gene(running.url, 1), expected(cells, 1))
    wait_for(lambda: index_state(running.url) == "ready", "the index")
    for i in (0, 99, GENES - 1):
        np.testing.assert_array_equal(gene(running.url, i), expected(cells, i))
    parts = [path for path in Path(shared, "genes").rglob("*") if path.is_file() and path.name.endswith(".part")]
    assert parts == []


def test_a_file_cut_short_and_put_back_while_served(start: Start, cells: Path, tmp_path: Path) -> None:
    path = tmp_path / "own.h5ad"
    shutil.copy(cells, path)
    url = start(path, "--no-index", COVERSLIP_CACHE_DIR=str(tmp_path / "cache")).url
    np.testing.assert_array_equal(gene(url, 2), expected(cells, 2))
    whole = path.read_bytes()
    with path.open("r+b") as file:
        file.truncate(len(whole) // 3)
    for i in range(3, 8):
        try:
            np.testing.assert_array_equal(gene(url, i), expected(cells, i))  # right, or an error: nothing in between
        except urllib.error.HTTPError as error:
            error.close()
        except http.client.IncompleteRead:
            pass
    assert json.loads(fetch(f"{url}livez"))["status"], "it lives"
    path.write_bytes(whole)
    wait_for(lambda: _equal(url, cells), "the file again")


def _equal(url: str, path: Path) -> bool:
    try:
        return bool((gene(url, 9) == expected(path, 9)).all())
    except urllib.error.HTTPError as error:
        error.close()
        return False
    except http.client.HTTPException:
        return False


def test_clients_that_stop_reading(start: Start, cells: Path) -> None:
    url = start(cells).url
    stalled = []
    for i in range(30):
        sock = socket.create_connection(host_and_port(url))
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.sendall(f"GET /genes/{i}.values.f32?expression=X HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
        stalled.append(sock)
    np.testing.assert_array_equal(gene(url, 100), expected(cells, 100))
    for sock in stalled:
        sock.close()
    assert json.loads(fetch(f"{url}_cellucid/health"))["status"] == "ok"


def latest(url: str) -> list[dict[str, str]]:
    rows: list[dict[str, str]] = json.loads(fetch(f"{url}api/sources"))
    return rows


def answered(address: str) -> int:
    """The status of an answer, an error's too."""
    try:
        with urllib.request.urlopen(address, timeout=PATIENCE_S) as response:
            response.read()
            return int(response.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code


@pytest.mark.skipif(not usable(), reason="no disk can be mounted here; tests/engine/test_lanes.py tells the same")
def test_a_network_disk_that_hangs(start: Start, cells: Path, tmp_path: Path) -> None:
    """Its sources are told to be away; all others, the list and health are answered, and the server ends when told to.

    Most requests are those of the disk that hangs, from the same client.
    """
    near, far = tmp_path / "near", tmp_path / "far"
    for folder, count in ((near, 1), (far, 8)):
        folder.mkdir()
        for i in range(count):
            shutil.copy(cells, folder / f"{folder.name}{i}.h5ad")
    with hanging_disk(far, tmp_path / "nas") as disk:
        running = start(near, disk.point, "--no-index", COVERSLIP_CACHE_DIR=str(tmp_path / "cache"))
        url = running.url

        def all_there() -> bool:
            rows = latest(url)
            return len(rows) == 9 and all(row["status"] == "ready" for row in rows)

        wait_for(all_there, "everything on both disks")
        ids = [row["source_id"] for row in latest(url)]
        good = next(id for id in ids if id.startswith("near"))
        away = [f"{url}{id}/genes/1.values.f32?expression=X" for id in ids if id != good]
        assert answered(away[0]) == 200
        disk.hang()
        with ThreadPoolExecutor(len(away) * 3) as asking:
            told = [asking.submit(answered, address) for address in away * 3]
            for i in range(5):
                np.testing.assert_array_equal(gene(f"{url}{good}/", i), expected(cells, i))
                assert len(latest(url)) == 9
                assert json.loads(fetch(f"{url}livez"))["status"] == "ok"
            assert {one.result(PATIENCE_S) for one in told} == {503}
        disk.go_on()
        wait_for(lambda: all(answered(address) == 200 for address in away), "the disk again")
        for number, id in enumerate(id for id in ids if id != good):
            np.testing.assert_array_equal(gene(f"{url}{id}/", number), expected(cells, number))
        disk.hang()
        left = threading.Thread(target=answered_or_gone, args=(away[0],))
        left.start()
        assert running.stop(signal.SIGTERM) in (-signal.SIGTERM, 128 + signal.SIGTERM)
        left.join(PATIENCE_S)


def answered_or_gone(address: str) -> None:
    with contextlib.suppress(OSError, http.client.HTTPException):
        answered(address)


def test_500_idle_connections_and_100_that_never_end_their_head(start: Start, cells: Path) -> None:
    url = start(cells, "--no-index").url
    with contextlib.ExitStack() as held:
        for number in range(600):
            sock = held.enter_context(socket.create_connection(host_and_port(url), PATIENCE_S))
            if number >= 500:
                sock.sendall(b"GET /livez HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow: ")
        for i in range(3):
            np.testing.assert_array_equal(gene(url, i), expected(cells, i))
        assert json.loads(fetch(f"{url}livez"))["status"] == "ok"
