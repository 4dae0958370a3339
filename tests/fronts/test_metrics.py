"""What a server tells Prometheus of itself, read by Prometheus's own parser."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from prometheus_client.parser import text_string_to_metric_families
from starlette.testclient import TestClient

import make
from coverslip.engine import measures
from coverslip.engine.measures import OTHERS, Measures
from coverslip.engine.read import Reader
from coverslip.settings import Settings

Serve = Callable[..., TestClient]


def told(client: TestClient) -> dict[tuple[str, ...], float]:
    """Every sample: its name and labels, and its value."""
    response = client.get("/metrics")
    assert response.status_code == 200
    assert response.headers["content-type"].startswith("text/plain; version=0.0.4")
    families = text_string_to_metric_families(response.text)
    return {(s.name, *map(str, s.labels.values())): s.value for family in families for s in family.samples}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    make.adata(make.dense_matrix()).write_h5ad(tmp_path / "cells.h5ad")
    np.save(tmp_path / "image.npy", np.arange(600, dtype="u2").reshape(20, 30))
    return tmp_path


def test_answers_are_counted_by_who_gave_them_and_of_what(serve: Serve, folder: Path) -> None:
    client = serve(folder)
    ids = {row["source_id"]: row["kind"] for row in client.get("/api/sources").json()}
    cells = next(id for id, kind in ids.items() if kind == "cells")
    before = told(client)
    points = client.get(f"/{cells}/points_2d.bin")
    assert client.get(f"/{cells}/var/NOPE.values.f32").status_code == 404
    after = told(client)
    grown = {key: value - before.get(key, 0) for key, value in after.items()}
    assert grown["coverslip_answers_total", "cells", "200"] == 1
    assert grown["coverslip_answers_total", "cells", "404"] == 1
    assert grown["coverslip_sent_bytes_total", "cells"] > len(points.content)
    assert grown["coverslip_answer_seconds_count", "cells"] == 2
    assert grown["coverslip_source_answers_total", cells] == 2
    assert grown["coverslip_source_sent_bytes_total", cells] == grown["coverslip_sent_bytes_total", "cells"]
    assert grown["coverslip_source_seconds_total", cells] > 0
    assert after["coverslip_answers_running",] == 1, "this one"
    assert after["coverslip_sources", "ready"] == 2
    assert after["coverslip_sources_open",] >= 1
    assert after["coverslip_memory_bytes",] > 10e6


def test_slots_add_up(serve: Serve, folder: Path) -> None:
    client = serve(folder)
    for _ in range(5):
        client.get("/api/sources")
    found = told(client)
    slots = [value for key, value in found.items() if key[0] == "coverslip_answer_seconds_bucket" and "images" in key]
    assert slots == sorted(slots), "each holds those before it"
    assert slots[-1] == found["coverslip_answer_seconds_count", "images"] == 5


def test_every_answer_tells_a_browser_how_long_it_took(serve: Serve, folder: Path) -> None:
    client = serve(folder)
    for path in ("/", "/api/sources", "/nothing", "/metrics"):
        assert client.get(path).headers["server-timing"].startswith("total;dur="), path


def test_it_is_for_who_may_read(serve: Serve, folder: Path) -> None:
    client = serve(folder, Settings(token="sesame-sesame-sesame"))
    assert client.get("/metrics").status_code == 401
    assert client.get("/metrics", headers={"Authorization": "Bearer sesame-sesame-sesame"}).status_code == 200
    assert client.post("/metrics", headers={"Authorization": "Bearer sesame-sesame-sesame"}).status_code == 405


def test_no_path_of_this_machine_is_told(serve: Serve, folder: Path) -> None:
    client = serve(folder)
    client.get("/api/sources")
    assert str(folder.parent) not in client.get("/metrics").text


def test_however_many_sources_there_are_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measures, "MOST_SOURCES", 3)
    counted = Measures()
    for i in range(10):
        counted.note("cells", 200, 0.1, 0.2, 7, f"source {i}")
    counted.note("cells", 200, 0.1, 0.2, 7, "source 1")
    assert set(counted.sources) == {"source 0", "source 1", "source 2", OTHERS}
    assert counted.sources[OTHERS].answers == 7
    assert counted.sources["source 1"].sent_bytes == 14


def test_reads_that_wait_are_told_apart() -> None:
    async def check() -> dict[str, int]:
        reader = Reader(1)
        gate = asyncio.Event()
        loop = asyncio.get_running_loop()
        begun = asyncio.Event()

        def hold(_: object) -> None:
            loop.call_soon_threadsafe(begun.set)
            asyncio.run_coroutine_threadsafe(gate.wait(), loop).result(10)

        tasks = [asyncio.create_task(reader.run(i, hold)) for i in range(3)]
        await begun.wait()
        found = reader.load()
        gate.set()
        await asyncio.gather(*tasks)
        assert reader.load() == {"begun": 0, "waiting": 0, "still": 0}
        reader.close()
        return found

    assert asyncio.run(check()) == {"begun": 1, "waiting": 2, "still": 0}
