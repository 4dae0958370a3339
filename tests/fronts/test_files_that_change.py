"""Files cut short, replaced and deleted while every front reads them: what they hold, or an error; never a mix."""

from __future__ import annotations

import os
import shutil
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anndata
import h5py
import numpy as np
import pytest
import tifffile
from starlette.testclient import TestClient

from coverslip.fronts.tensors import answers
from zarr_files import axes, datasets, write_image

Serve = Callable[..., TestClient]
PATIENCE_S = 60
SHAPE = (4, 150, 200)
ROUNDS = 4


def pixels(edition: int) -> np.ndarray:
    return np.random.default_rng(edition).integers(1, 60_000, SHAPE, np.uint16)


def write_cells(path: Path, edition: int) -> None:
    matrix = pixels(edition).reshape(150, -1)[:, :4].astype("f4")
    anndata.AnnData(matrix, obsm={"X_umap": np.zeros((150, 2), "f4")}).write_h5ad(path)


def write_zarr(path: Path, edition: int) -> None:
    multiscales = [{"axes": axes("zyx"), "datasets": datasets(1, [1.0, 1.0, 1.0])}]
    write_image(path, [pixels(edition)], {"multiscales": multiscales}, chunks=(1, 64, 64))


def write_tiff(path: Path, edition: int) -> None:
    tifffile.imwrite(path, pixels(edition), ome=True, metadata={"axes": "ZYX"}, tile=(64, 64), compression="zlib")


def write_hdf5(path: Path, edition: int) -> None:
    with h5py.File(path, "w") as file:
        file.create_dataset("x", data=pixels(edition), chunks=(1, 64, 64), compression="gzip")


def ask_gene(client: TestClient, i: int) -> tuple[int, bytes]:
    answer = client.get(f"/genes/{i}.values.f32?expression=X")
    return answer.status_code, answer.content


def ask_image(client: TestClient, what: str, query: str) -> tuple[int, bytes]:
    listed = client.get("/api/sources").json()
    if not listed:
        return 404, b""
    tensors = listed[0]["tensors"]
    rank = len(tensors[0]["shape"]) if tensors else 3
    if rank > 3:  # axes that were added are at 0
        query = query.replace("start=", "start=" + "0," * (rank - 3)).replace("stop=", "stop=" + "1," * (rank - 3))
    answer = client.get(f"/api/{what}/{listed[0]['source_id']}?{query}")
    return answer.status_code, answer.content


def ask_tile(client: TestClient, i: int) -> tuple[int, bytes]:
    return ask_image(client, "tile", f"z={i}&fmt=raw")


def ask_chunk(client: TestClient, i: int) -> tuple[int, bytes]:
    return ask_image(client, "block", f"level=0&start={i},0,0&stop={i + 1},150,200")


def ask_hsds(client: TestClient, i: int) -> tuple[int, bytes]:
    root = client.get("/hsds/?domain=/a.h5")
    if root.status_code != 200:
        return root.status_code, b""
    link = client.get(f"/hsds/groups/{root.json()['root']}/links/x?domain=/a.h5")
    if link.status_code != 200:
        return link.status_code, b""
    select = f"[{i}:{i + 1},0:150,0:200]"
    path = f"/hsds/datasets/{link.json()['link']['id']}/value?domain=/a.h5&select={select}"
    answer = client.get(path, headers={"accept": "application/octet-stream"})
    return answer.status_code, answer.content


def plane(edition: int, i: int) -> bytes:
    return pixels(edition)[i].astype("<u2").tobytes()


def gene(edition: int, i: int) -> bytes:
    column: np.ndarray = pixels(edition).reshape(150, -1)[:, i]
    return column.astype("<f4").tobytes()


@dataclass(frozen=True)
class Kind:
    name: str
    write: Callable[[Path, int], None]
    ask: Callable[[TestClient, int], tuple[int, bytes]]
    holds: Callable[[int, int], bytes]


KINDS = [
    Kind("a.h5ad", write_cells, ask_gene, gene),
    Kind("a.zarr", write_zarr, ask_tile, plane),
    Kind("a.ome.tif", write_tiff, ask_tile, plane),
    Kind("a.h5", write_hdf5, ask_hsds, plane),
    Kind("a.zarr", write_zarr, ask_chunk, plane),
]
IDS = ["cells", "zarr tiles", "OME-TIFF tiles", "HSDS", "zarr blocks"]
each = pytest.mark.parametrize("kind", KINDS, ids=IDS)


@pytest.fixture
def where(tmp_path: Path) -> Path:
    (tmp_path / "data").mkdir()
    return tmp_path / "data"


def until(what: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE_S
    while not what():
        assert time.monotonic() < end
        time.sleep(0.02)


def cut(path: Path) -> None:
    for file in [path] if path.is_file() else [p for p in path.rglob("*") if p.is_file() and p.suffix != ".json"]:
        os.truncate(file, file.stat().st_size // 3)


def gone(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()


@pytest.mark.parametrize("kind", KINDS[:4], ids=IDS[:4])
@pytest.mark.parametrize("fault", [cut, gone])
def test_cut_short_or_deleted_and_put_back(
    serve: Serve, where: Path, tmp_path: Path, kind: Kind, fault: Callable[[Path], None]
) -> None:
    path = where / kind.name
    kind.write(path, 1)
    client = serve(where)
    assert kind.ask(client, 0) == (200, kind.holds(1, 0))
    fault(path)
    for i in range(1, 4):
        status, body = kind.ask(client, i)
        assert status >= 400 or body == kind.holds(1, i), "right, or an error: nothing in between"
    assert client.get("/livez").status_code == 200
    gone(path) if path.exists() else None
    kind.write(tmp_path / kind.name, 2)
    (tmp_path / kind.name).rename(path)
    until(lambda: kind.ask(client, 2) == (200, kind.holds(2, 2)))
    assert [kind.ask(client, i) for i in range(4)] == [(200, kind.holds(2, i)) for i in range(4)]


@each
def test_replaced_again_and_again_while_it_is_read(serve: Serve, where: Path, tmp_path: Path, kind: Kind) -> None:
    path = where / kind.name
    kind.write(path, 1)
    client = serve(where)
    good = {i: {kind.holds(edition, i) for edition in (1, 2)} for i in range(4)}
    wrong: list[str] = []
    seen = 0
    ended = threading.Event()

    def read() -> None:
        nonlocal seen
        i = 0
        while not ended.is_set():
            i = (i + 1) % 4
            status, body = kind.ask(client, i)
            if status == 200:
                seen += 1
                if body not in good[i]:
                    wrong.append(f"{i}: {len(body)} bytes")

    reading = threading.Thread(target=read)
    reading.start()
    try:
        for number in range(ROUNDS):
            new, old = tmp_path / f"new{number}", tmp_path / f"old{number}"
            kind.write(new.with_name(f"{number}{kind.name}"), 2 - number % 2)
            if path.is_dir():
                path.rename(old)
            new.with_name(f"{number}{kind.name}").rename(path)
            before = seen
            until(lambda before=before: seen > before + 1)  # type: ignore[misc]
    finally:
        ended.set()
        reading.join()
    assert not wrong
    until(lambda: kind.ask(client, 3) == (200, kind.holds(2 - (ROUNDS - 1) % 2, 3)))


def test_a_picture_made_while_the_file_is_replaced_is_made_again(
    serve: Serve, where: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Parts of two versions are never one answer, also where each part is a file."""
    path = where / "a.zarr"
    write_zarr(path, 1)
    write_zarr(tmp_path / "new.zarr", 2)
    client = serve(where)
    own, made = answers.tile, 0

    def slow(*given: Any) -> Any:
        nonlocal made
        made += 1
        answer = own(*given)
        if made == 1:
            path.rename(tmp_path / "old.zarr")
            (tmp_path / "new.zarr").rename(path)
        return answer

    monkeypatch.setattr(answers, "tile", slow)
    assert ask_tile(client, 1) == (200, plane(2, 1))
    assert made == 2
    assert ask_tile(client, 1) == (200, plane(2, 1))
    assert made == 2, "the mixture was not kept"
