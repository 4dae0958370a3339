"""A lab's folder of cells, images and a damaged file, and its home page as tests see it."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import (
    Running,
    Start,
    Watched,
    wait_for,
)
from playwright.sync_api import Locator, Page

from zarr_files import axes, datasets, pyramid, write_group, write_image

DESK = {"width": 1280, "height": 800}
NAMES = ["blobs.ome.zarr", "cut.h5ad", "pbmc.h5ad", "scan.zarr", "stack.ome.zarr"]


def blobs(height: int, width: int, seed: int = 0) -> np.ndarray[Any, Any]:
    """A picture of a few bright spots."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    picture = np.zeros((height, width))
    for _ in range(40):
        cy, cx, size = rng.uniform(0, height), rng.uniform(0, width), rng.uniform(4, 14)
        picture += np.exp(-((y - cy) ** 2 + (x - cx) ** 2) / (2 * size**2))
    return (picture / picture.max() * 4000).astype("uint16")


def image(path: Path, data: np.ndarray[Any, Any], names: str) -> Path:
    """An OME-Zarr image of two levels."""
    levels = datasets(2, [1.0] * data.ndim)
    ome = {"multiscales": [{"axes": axes(names), "datasets": levels, "name": path.name}]}
    return write_image(path, pyramid(data, 2), ome, chunks=(1,) * (data.ndim - 2) + (128, 128))


def fill(folder: Path, pbmc: Path) -> Path:
    """Cells, an image, a stack two folders down, a scan of three images, and a file that is cut short."""
    folder.mkdir()
    shutil.copy(pbmc, folder / "pbmc.h5ad")
    image(folder / "blobs.ome.zarr", np.stack([blobs(300, 400, i) for i in range(3)]), "cyx")
    deep = folder / "plate 3" / "day 2"
    deep.mkdir(parents=True)
    image(deep / "stack.ome.zarr", np.stack([blobs(200, 200, i) for i in range(5)]), "zyx")
    scan = write_group(folder / "scan.zarr", {"ome": {"version": "0.5", "bioformats2raw.layout": 3}})
    write_group(scan / "OME", {"ome": {"version": "0.5", "series": ["0", "1", "2"]}})
    for number in range(3):
        image(scan / str(number), blobs(150, 150, number), "yx")
    (folder / "cut.h5ad").write_bytes(pbmc.read_bytes()[:5000])
    an_hour_ago = time.time() - 3600
    for path in folder.rglob("*"):
        os.utime(path, (an_hour_ago, an_hour_ago))  # what was written just now may still be growing
    return folder


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory, pbmc: Path) -> Path:
    return fill(tmp_path_factory.mktemp("home") / "lab", pbmc)


@pytest.fixture(scope="module")
def server(start: Start, lab: Path) -> Running:
    return start(lab)


def listing(page: Page) -> Locator:
    return page.get_by_test_id("listing")


def shown(page: Page) -> list[str]:
    """The names on the screen, from the top."""
    names: list[str] = page.get_by_test_id("source").evaluate_all(
        """(items) => items.sort((a, b) => Number(a.id.split('-')[1]) - Number(b.id.split('-')[1]))
                           .map((item) => item.querySelector('.open').textContent)"""
    )
    return names


def at_rest(watched: Watched, names: list[str]) -> None:
    """Wait until exactly these are listed, and every picture that can be there is."""
    page = watched.page
    wait_for(lambda: shown(page) == names, f"{names}, not {shown(page)}")
    wait_for(lambda: page.locator("[data-testid=thumbnail][data-state=waiting]").count() == 0, "pictures")


def item(page: Page, id_part: str) -> Locator:
    """A source by the beginning of its id: names are cut in two for the screen."""
    return page.locator(f"[data-testid=source][data-id^='{id_part}']")
