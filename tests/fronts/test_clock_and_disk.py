"""A clock that is set to and fro, and caches that cannot be written: the answers of a server stay the same."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import anndata
import h5py
import numpy as np
import pytest
from scipy import sparse
from starlette.testclient import TestClient

from coverslip.settings import Settings
from disks import full_disk, read_only_disk
from zarr_files import axes, datasets, write_image

TOKEN = "a-token-of-the-tests"
Serve = Callable[..., TestClient]
PATIENCE_S = 60
YEARS_S = 10 * 365 * 86400.0
PIXELS = np.random.default_rng(1).integers(0, 9000, (2, 600, 700), np.uint16)
MATRIX = sparse.random(50, 20, 0.3, "csr", np.float32, rng=np.random.default_rng(2))


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    folder.mkdir()
    anndata.AnnData(MATRIX, obsm={"X_umap": np.zeros((50, 2), "f4")}).write_h5ad(folder / "cells.h5ad")
    multiscales = [{"axes": axes("zyx"), "datasets": datasets(1, [1.0, 1.0, 1.0])}]
    write_image(folder / "image.zarr", [PIXELS], {"multiscales": multiscales}, chunks=(1, 128, 128))
    with h5py.File(folder / "model.h5", "w") as file:
        file["x"] = np.arange(100.0)
    return folder


def check(client: TestClient, i: int, **headers: str) -> None:
    """Answers of every front, compared with what was written."""
    ids = {
        row["name"].partition(".")[0]: row["source_id"] for row in client.get("/api/sources", headers=headers).json()
    }
    assert {"cells", "image", "model"} <= set(ids)
    gene = client.get(f"/{ids['cells']}/genes/{i}.values.f32?expression=X", headers=headers)
    np.testing.assert_array_equal(np.frombuffer(gene.content, "<f4"), MATRIX[:, [i]].toarray().ravel())
    tile = client.get(f"/api/tile/{ids['image']}?z={i % 2}&col=1&row=1&fmt=raw", headers=headers)
    assert tile.content == PIXELS[i % 2, 512:, 512:].astype("<u2").tobytes()
    coarse = client.get(f"/api/tile/{ids['image']}?z={i % 2}&level=1&fmt=raw", headers=headers)
    assert coarse.status_code == 200, "a level that the file does not have, kept on disk where that is possible"
    root = client.get("/hsds/?domain=/model.h5", headers=headers).json()["root"]
    link = client.get(f"/hsds/groups/{root}/links/x?domain=/model.h5", headers=headers).json()["link"]
    value = client.get(f"/hsds/datasets/{link['id']}/value?domain=/model.h5&select=[{i}:{i + 2}]", headers=headers)
    assert value.json()["value"] == [float(i), i + 1.0]


def until_listed(client: TestClient, name: str, **headers: str) -> None:
    end = time.monotonic() + PATIENCE_S
    while True:
        rows = client.get("/api/sources", headers=headers).json()
        if any(row["name"].startswith(name) and row["status"] == "ready" for row in rows):
            return
        assert time.monotonic() < end, rows
        time.sleep(0.02)


@pytest.fixture
def jump(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Sets the clock of this process, as an administrator or NTP does; it goes on from there."""
    real = time.time

    def by(seconds: float) -> None:
        monkeypatch.setattr(time, "time", lambda: real() + seconds)

    return by


def test_a_clock_that_jumps(serve: Serve, data: Path, jump: Callable[[float], None]) -> None:
    """Tokens, cookies, the list, open files and caches: nothing depends on what the clock says."""
    client = serve(data, Settings(token=TOKEN))
    given = client.post("/api/session", json={"token": TOKEN})
    assert given.status_code == 200
    told = client.get("/api/session").json()
    for number, seconds in enumerate((YEARS_S, -YEARS_S)):
        jump(seconds)
        assert client.get("/api/session").json() == told, "the cookie is good"
        check(client, number)
        check(client, 10 + number, authorization=f"Bearer {TOKEN}")
        with h5py.File(data / f"more{number}.h5", "w") as file:
            file["x"] = np.arange(number + 3.0)
        until_listed(client, f"more{number}")
    assert client.get("/metrics").status_code == 200


def full(tmp_path: Path) -> AbstractContextManager[Path]:
    return full_disk(tmp_path / "disk")


def read_only(tmp_path: Path) -> AbstractContextManager[Path]:
    return read_only_disk(tmp_path / "disk")


@pytest.fixture(params=[full, read_only])
def cache(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    with request.param(tmp_path) as disk:
        monkeypatch.setenv("COVERSLIP_CACHE_DIR", str(disk))
        monkeypatch.setenv("COVERSLIP_STATE_DIR", str(disk / "state"))
        yield disk


def test_a_cache_that_cannot_be_written(serve: Serve, data: Path, cache: Path) -> None:
    """The list, indexes and levels are kept in memory, or not at all; a token made at the start is good as long."""
    before = sorted(path.name for path in cache.iterdir())
    client = serve(data, Settings(token=TOKEN))
    head = {"authorization": f"Bearer {TOKEN}"}
    for i in range(3):
        check(client, i, **head)
    with h5py.File(data / "more.h5", "w") as file:
        file["x"] = np.arange(3.0)
    until_listed(client, "more", **head)
    assert client.post("/api/session", json={"token": TOKEN}).status_code == 200
    left = [p for p in cache.rglob("*") if p.is_file() and p.name != "filler" and p.stat().st_size]
    assert not left, "nothing half-written"
    assert set(before) <= {path.name for path in cache.iterdir()}
