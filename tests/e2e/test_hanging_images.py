"""A network disk that hangs below images whose libraries keep Python's lock, over HTTP and Arrow Flight."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import PATIENCE_S, Install, Running, Start, fetch, wait_for
from pylibCZIrw import czi
from surroundings import free_port

import coverslip
from coverslip.core.errors import CoverslipError
from hanging_disk import Mounted, hanging_disk, usable

pytestmark = pytest.mark.skipif(not usable(), reason="no disk can be mounted here")
PIXELS = np.random.default_rng(2).integers(0, 4000, (3, 900, 1000), np.uint16)


@pytest.fixture(scope="module")
def command(install: Install) -> Path:
    return install("images,flight,client", "distributed").parent / "coverslip"


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Mounted]:
    far = tmp_path / "far"
    far.mkdir()
    with czi.create_czi(str(far / "plate.czi")) as file:
        for z, plane in enumerate(PIXELS):
            file.write(plane[:, :, None], location=(0, 0), plane={"C": 0, "Z": z, "T": 0}, scene=0)
    np.save(far / "far.npy", PIXELS)
    with hanging_disk(far, tmp_path / "nas") as mounted:
        yield mounted


def test_flight_and_http_answer(start: Start, disk: Mounted, tmp_path: Path) -> None:
    near, port = tmp_path / "near", free_port()
    near.mkdir()
    np.save(near / "near.npy", PIXELS)
    cache = str(tmp_path / "cache")
    running = start(near, disk.point, "--flight", str(port), COVERSLIP_CACHE_DIR=cache)
    wait_for(lambda: _ready(running), "everything on both disks")
    ids = {row["name"].partition(".")[0]: row["source_id"] for row in json.loads(fetch(f"{running.url}api/sources"))}
    with coverslip.connect(f"grpc://127.0.0.1:{port}") as client, coverslip.connect(running.url) as other:
        for name in ids:
            for each in (client, other):
                np.testing.assert_array_equal(each[ids[name]][...].squeeze(), PIXELS)
        disk.hang()
        with ThreadPoolExecutor(12) as asking:
            places = [(each, ids[name], z) for each in (client, other) for name in ("plate", "far") for z in range(3)]
            told = [asking.submit(_told, *place) for place in places]
            for z in range(3):
                for each in (client, other):
                    np.testing.assert_array_equal(each[ids["near"]][z], PIXELS[z])
                assert json.loads(fetch(f"{running.url}livez"))["status"] == "ok"
            assert all("does not answer" in one.result(PATIENCE_S) for one in told), [one.result() for one in told]
        disk.go_on()
        for name in ids:
            wait_for(lambda name=name: _equal(client, ids[name]), f"{name} again")  # type: ignore[misc]


def _ready(running: Running) -> bool:
    rows = json.loads(fetch(f"{running.url}api/sources"))
    return len(rows) == 3 and all(row["status"] == "ready" for row in rows)


def _told(client: Any, id: str, z: int) -> str:
    try:
        image = client[id]
        image[..., z, :, :] if image.shape[0] == 1 else image[z]
    except CoverslipError as error:
        return str(error)
    return "read"


def _equal(client: Any, id: str) -> bool:
    try:
        return bool((client[id][...].squeeze() == PIXELS).all())
    except CoverslipError:
        return False
