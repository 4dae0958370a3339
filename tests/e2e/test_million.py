"""One million cells: all of them painted, with little memory."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import h5py
import numpy as np
import psutil
import pytest
from conftest import ROOT, Open, Running, Start, fetch, run, wait_for

N = 1_000_000
IDLE_BYTES = 120e6
"""The most that a server of this file may hold while nobody asks it anything; the product promises it."""


@pytest.fixture(scope="module")
def million() -> Path:
    return Path(run(sys.executable, ROOT / "scripts" / "million_cells.py", str(N)).stdout.strip())


@pytest.fixture(scope="module")
def server(start: Start, million: Path) -> Running:
    return start(million)


def resident(server: Running) -> int:
    return int(psutil.Process(server.process.pid).memory_info().rss)


def test_idle_memory(server: Running) -> None:
    assert json.loads(fetch(f"{server.url}_cellucid/health"))["n_cells"] == N
    assert resident(server) < IDLE_BYTES


def test_every_cell_is_painted(server: Running, look: Open) -> None:
    watched = look(server.url)
    watched.ready("field:cluster")
    wait_for(lambda: watched.attribute("painted") == str(N), "every cell")  # fewer while frames take long
    assert watched.page.get_by_test_id("cell-count").inner_text() == "1,000,000 cells"
    marks = "performance.getEntriesByType('mark').map(m => m.name)"
    painted = {"coverslip:first-paint", "coverslip:all-painted"}
    wait_for(lambda: painted <= set(watched.page.evaluate(marks)), "the marks")
    watched.page.get_by_test_id("gene-search").fill("var7")
    watched.page.get_by_test_id("gene-option").first.click()
    watched.ready("gene:var7")
    assert watched.problems == []


def test_a_gene_is_shown_while_it_comes(server: Running, look: Open) -> None:
    watched = look(server.url)
    watched.ready("field:cluster")
    page = watched.page
    page.get_by_test_id("gene-search").fill("var9")
    wanted = page.get_by_test_id("gene-option").filter(has_text="var9").first
    wanted.wait_for()
    line = page.context.new_cdp_session(page)
    line.send("Network.enable")
    slow = {"offline": False, "latency": 0, "downloadThroughput": 20_000, "uploadThroughput": -1}
    line.send("Network.emulateNetworkConditions", slow)
    wanted.click()
    page.get_by_text("cells that have come so far").wait_for()
    wait_for(lambda: 0 < int(watched.attribute("painted")) < N, "a part of the cells")
    assert watched.attribute("color") == "gene:var9"
    line.send("Network.emulateNetworkConditions", {**slow, "downloadThroughput": -1})
    watched.ready("gene:var9")
    page.get_by_text("cells that have come so far").wait_for(state="detached")
    assert watched.problems == []


def test_the_values_are_the_files(server: Running, million: Path) -> None:
    with h5py.File(million) as file:
        hits = np.flatnonzero(file["X/indices"][:] == 7)
        expected = np.zeros(N, np.float32)
        expected[hits // 10] = file["X/data"][:][hits]
        codes = file["obs/cluster/codes"][:].astype(np.uint8)
    np.testing.assert_array_equal(np.frombuffer(fetch(f"{server.url}genes/7.values.f32"), "<f4"), expected)
    np.testing.assert_array_equal(np.frombuffer(fetch(f"{server.url}obs/cluster.codes.u8"), np.uint8), codes)
