"""A folder of a thousand real images in the catalog, put together as the server does it.

How it goes with ten thousand toy files, and with changes, is in ``tests/engine/test_catalog.py``.
"""

from __future__ import annotations

import os
import time
from contextlib import closing
from pathlib import Path

import numpy as np
import psutil
import pytest
import tifffile

from coverslip.app import catalog_of
from coverslip.engine.catalog import Catalog
from coverslip.engine.options import CatalogOptions

COUNT = 1000
MOST_FILES, MOST_BYTES = 200, 100 << 20
WAITED_S = 1.0
QUICK = CatalogOptions(persist=False, quiet_s=0.3)


def letters(number: int) -> str:
    """A name without a number in it: numbered files would be one sequence."""
    return "".join(chr(ord("a") + number // 26**place % 26) for place in range(4))


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """OME-TIFF files of two channels, in folders."""
    first = tmp_path / "first.ome.tif"
    channels = {"axes": "CYX", "PhysicalSizeX": 0.5, "Channel": {"Name": ["DAPI", "GFP"]}}
    tifffile.imwrite(first, np.arange(2 * 16 * 16, dtype="u2").reshape(2, 16, 16), ome=True, metadata=channels)
    image = first.read_bytes()
    for number in range(COUNT):
        path = tmp_path / "images" / f"plate {letters(number % 10)}" / f"{letters(number)}.ome.tif"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(image)
        os.utime(path, (1e9, 1e9))
    with closing(catalog_of(first, catalog=QUICK)) as warm:  # libraries take memory, and files, of their own
        warm.start()
        assert warm.wait_idle(60)
    return tmp_path / "images"


def watched(catalog: Catalog, process: psutil.Process, until_s: float) -> tuple[int, int]:
    """The most files and bytes of memory that the process held until all was ready."""
    files = held = 0
    deadline = time.monotonic() + until_s
    while catalog.counts()["by_status"].get("ready", 0) < COUNT:
        files, held = max(files, process.num_fds()), max(held, process.memory_info().rss)
        assert time.monotonic() < deadline, catalog.counts()
        time.sleep(0.05)
    return files, held


def test_a_thousand_images_are_listed_at_once_and_cost_little(images: Path) -> None:
    process = psutil.Process()
    files, held = process.num_fds(), process.memory_info().rss
    catalog = catalog_of(images, catalog=QUICK)
    with closing(catalog):
        began = time.perf_counter()
        catalog.start()
        catalog.entries(limit=200)
        assert time.perf_counter() - began < WAITED_S
        most_files, most_held = watched(catalog, process, 60)
        assert most_files - files < MOST_FILES
        assert most_held - held < MOST_BYTES
        rows, total = catalog.entries(limit=COUNT)
        assert total == COUNT
        assert {row.format for row in rows} == {"tiff"}
        assert all(row.tensors and row.tensors[0]["shape"] == [1, 2, 1, 16, 16] for row in rows)
        for row in rows[:300]:
            catalog.open(row.id).source()
        assert process.num_fds() - files < MOST_FILES
    assert process.num_fds() <= files + 5
