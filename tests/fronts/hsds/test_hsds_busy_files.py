"""Files that others hold: locked, on read-only disks, written, cut short, replaced while they are served."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from starlette.testclient import TestClient

Serve = Callable[..., TestClient]
VALUES = np.arange(40_000, dtype="f8")
HOLDER = """
import fcntl, h5py, sys
path, how = sys.argv[1:]
if how == "flock":
    held = open(path, "r+b")
    fcntl.flock(held, fcntl.LOCK_EX)
elif how == "lockf":
    held = open(path, "r+b")
    fcntl.lockf(held, fcntl.LOCK_EX)
else:
    held = h5py.File(path, "r+", libver=how, locking=True)
    held["x"][0] = 5
    held.flush()
print("ready", flush=True)
sys.stdin.read()
"""


def make(path: Path, libver: str = "earliest") -> Path:
    with h5py.File(path, "w", libver=libver) as f:
        f.create_dataset("x", data=VALUES, chunks=(1000,))
        f.create_dataset("z", data=VALUES, chunks=(1000,), compression="gzip")
        f["plain"] = VALUES
    return path


@contextmanager
def held(path: Path, how: str) -> Iterator[None]:
    """Another process that holds a file."""
    command = [sys.executable, "-c", HOLDER, str(path), how]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        try:
            assert process.stdout.readline() == "ready\n"
            yield
        finally:
            process.stdin.close()
            process.wait(60)


def value(client: TestClient, name: str, select: str, domain: str = "/a.h5") -> Any:
    query = {"domain": domain, "h5path": f"/{name}"}
    told = client.get("/hsds/datasets/", params=query)
    if told.status_code != 200:
        return told
    return client.get(f"/hsds/datasets/{told.json()['id']}/value", params={"domain": domain, "select": select})


def grove(client: TestClient, name: str, domain: str = "a.h5") -> Any:
    return client.get("/h5grove/data/", params={"file": domain, "path": f"/{name}", "selection": "10:12"})


@pytest.mark.parametrize("how", ["flock", "lockf", "earliest"])
def test_a_file_that_is_locked_is_served(serve: Serve, tmp_path: Path, how: str) -> None:
    path = make(tmp_path / "a.h5")
    with held(path, how):
        client = serve(tmp_path)
        for name in ("x", "z", "plain"):
            assert value(client, name, "[10:12]").json()["value"] == [10.0, 11.0]
            assert grove(client, name).json() == [10.0, 11.0]


def test_no_lock_is_ever_taken(serve: Serve, tmp_path: Path) -> None:
    path = make(tmp_path / "a.h5")
    client = serve(tmp_path)
    for name in ("x", "z", "plain"):
        assert value(client, name, "[10:12]").status_code == 200
    with path.open("r+b") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    with held(path, "lockf"), held(path.with_name("a.h5"), "flock"):
        pass
    with h5py.File(path, "r+", locking=True) as f:
        f["x"][0] = 1
    assert value(client, "x", "[0:2]").json()["value"] == [1.0, 1.0]


def test_a_writer_that_allows_no_readers_is_told(serve: Serve, tmp_path: Path) -> None:
    path = make(tmp_path / "a.h5", "latest")
    with held(path, "latest"):
        client = serve(tmp_path)
        for answer in (value(client, "x", "[0:2]"), grove(client, "x")):
            assert answer.status_code == 503
            assert "being written" in answer.text
            assert int(answer.headers["retry-after"]) > 0
            assert str(tmp_path) not in answer.text
    assert value(client, "x", "[0:2]").json()["value"] == [5.0, 1.0], "and served once its writer is gone"


@contextmanager
def read_only(folder: Path) -> Iterator[None]:
    """A folder on a disk that nobody may write to; where none may be mounted, one without the rights."""
    if os.geteuid() == 0:
        for options in (["--bind"], ["-o", "remount,bind,ro"]):
            done = subprocess.run(["mount", *options, str(folder), str(folder)], capture_output=True, text=True)
            if done.returncode:
                subprocess.run(["umount", "-l", str(folder)], capture_output=True)
                pytest.skip(f"nothing can be mounted here: {done.stderr.strip()}")
        try:
            yield
        finally:
            subprocess.run(["umount", "-l", str(folder)], check=True)
        return
    modes = {path: path.stat().st_mode for path in (folder, *folder.rglob("*"))}
    for path in modes:
        path.chmod(0o555 if path.is_dir() else 0o444)
    try:
        yield
    finally:
        for path, mode in modes.items():
            path.chmod(mode)


def test_read_only_disks(serve: Serve, tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    make(folder / "a.h5")
    make(folder / "new.h5", "latest")
    with h5py.File(folder / "old.h5", "w", libver="latest") as f:  # its writer was ended
        f["x"] = VALUES
        f.swmr_mode = True
        f.flush()
        data = (folder / "old.h5").read_bytes()
    (folder / "marked.h5").write_bytes(data)
    then = time.time() - 60
    for path in (*folder.iterdir(), folder):
        os.utime(path, (then, then))
    with read_only(folder):
        with pytest.raises(OSError, match=r"Read-only|denied"):
            (folder / "more").touch()
        client = serve(folder)
        for domain in ("/a.h5", "/new.h5", "/old.h5", "/marked.h5"):
            assert value(client, "x", "[10:12]", domain).json()["value"] == [10.0, 11.0], domain
            assert grove(client, "x", domain[1:]).json() == [10.0, 11.0]
        source = next(s for s in client.get("/api/sources").json() if s["name"] == "a.h5")
        assert source["status"] == "ready"


def test_a_file_that_is_cut_short_while_it_is_served(serve: Serve, tmp_path: Path) -> None:
    path = make(tmp_path / "a.h5")
    with h5py.File(path) as f:
        place = f["z"].id.get_chunk_info(20).byte_offset
    client = serve(tmp_path)
    assert value(client, "x", "[10:12]").status_code == 200
    os.truncate(path, place + 10)
    written = value(client, "x", "[10:12]")
    assert (written.status_code, "being written" in written.text) == (503, True)
    then = time.time() - 60
    os.utime(path, (then, then))
    assert value(client, "x", "[10:12]").json()["value"] == [10.0, 11.0]
    assert value(client, "z", "[10:12]").json()["value"] == [10.0, 11.0]
    for answer in (value(client, "z", "[20000:20002]"), value(client, "plain", "[39990:39992]")):
        assert answer.status_code in (404, 422), answer.text
        assert str(tmp_path) not in answer.text
    os.truncate(path, 0)
    os.utime(path, (then, then))
    assert value(client, "x", "[10:12]").status_code == 404, "an empty file is no domain"
    make(tmp_path / "new.h5").replace(path)
    os.utime(path, (then, then))
    assert value(client, "x", "[10:12]").json()["value"] == [10.0, 11.0]
    path.unlink()
    assert value(client, "x", "[10:12]").status_code == 404


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read(serve: Serve, tmp_path: Path) -> None:
    path = make(tmp_path / "a.h5")
    make(tmp_path / "b.h5")
    path.chmod(0)
    client = serve(tmp_path)
    assert value(client, "x", "[0:2]").status_code in (403, 404, 422)
    assert value(client, "x", "[0:2]", "/b.h5").status_code == 200
