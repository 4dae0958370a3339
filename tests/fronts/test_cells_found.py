"""Which data set a path means, as data sets come and go: what was found once is not kept for too long."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from scipy import sparse
from starlette.testclient import TestClient

import make

PATIENCE_S = 60


def written(path: Path, kept: int) -> Path:
    """A data set of so many cells."""
    make.adata(sparse.csr_matrix(make.dense_matrix()))[:kept].copy().write_h5ad(path)
    return path


def points(client: TestClient, at: str) -> int:
    """How many cells have points there; minus the status of an error."""
    answer = client.get(f"{at}points_2d.bin")
    return len(answer.content) // 8 if answer.status_code == 200 else -answer.status_code


def becomes(look: Callable[[], object], wanted: object) -> None:
    """Wait for it."""
    end = time.monotonic() + PATIENCE_S
    while (found := look()) != wanted:
        assert time.monotonic() < end, found
        time.sleep(0.02)


def test_a_path_means_the_data_set_that_is_there_now(serve: Callable[..., TestClient], tmp_path: Path) -> None:
    written(tmp_path / "a.h5ad", 20)
    written(tmp_path / "b.h5ad", 10)
    client = serve(tmp_path)
    first, second = (row["id"] for row in client.get("/_cellucid/datasets").json()["datasets"])
    for _ in range(2):
        assert [points(client, at) for at in ("/", f"/{first}/", f"/{second}/")] == [20, 20, 10]
    (tmp_path / "a.h5ad").unlink()
    becomes(lambda: [points(client, at) for at in ("/", f"/{first}/", f"/{second}/")], [10, -404, 10])
    written(tmp_path / "a.h5ad", 15)
    becomes(lambda: [points(client, at) for at in ("/", f"/{first}/", f"/{second}/")], [15, 15, 10])
