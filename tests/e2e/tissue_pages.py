"""Cells on the picture of their tissue as tests see them: every place and colour is known."""

from __future__ import annotations

import io
import re
import warnings
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest
from conftest import (
    Open,
    Running,
    Start,
    Watched,
    repainted,
    wait_for,
)

WIDTH, HEIGHT, SCALE, SPOT = 400, 300, 0.5, 24
"""The picture, in pixels; pixels for one unit of the coordinates; the diameter of a spot, in pixels."""
QUADRANTS = np.array([[(250, 220, 220), (220, 250, 220)], [(220, 220, 250), (250, 250, 210)]], np.uint8)
STEP = 40
FILL = 0.96
"""The part of the view that the picture fills at first."""


def grid() -> np.ndarray:
    """Columns and rows of the spots on the picture."""
    columns, rows = np.meshgrid(np.arange(STEP, WIDTH - 1, STEP), np.arange(STEP, HEIGHT - 1, STEP))
    return np.c_[columns.ravel(), rows.ravel()].astype(float)


def visium() -> anndata.AnnData:
    """Spots on four quadrants of plain colours, left and right of the picture in two groups."""
    places = grid()
    n = len(places)
    left = places[:, 0] < WIDTH / 2
    obs = pd.DataFrame(
        {
            "side": pd.Categorical(np.where(left, "left", "right"), ["left", "right"]),
            "column": places[:, 0].astype(np.float32),
        },
        index=[f"SPOT-{i}" for i in range(n)],
    )
    made = anndata.AnnData(np.random.default_rng(0).random((n, 3)).astype(np.float32), obs)
    made.obsm["spatial"] = places / SCALE
    # Turned by a quarter: what lies together on the tissue must not have to in the embedding.
    made.obsm["X_umap"] = np.c_[places[:, 1], places[:, 0] * 1.2] / 10
    picture = QUADRANTS.repeat(HEIGHT // 2, 0).repeat(WIDTH // 2, 1)
    made.uns["spatial"] = {
        "brain": {
            "images": {"hires": picture, "lowres": picture[::4, ::4]},
            "scalefactors": {
                "tissue_hires_scalef": SCALE,
                "tissue_lowres_scalef": SCALE / 4,
                "spot_diameter_fullres": SPOT / SCALE,
            },
        }
    }
    return made


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tissue") / "brain.h5ad"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # anndata tells what its next versions will do
        visium().write_h5ad(path)
    return path


@pytest.fixture(scope="module")
def server(start: Start, sample: Path) -> Running:
    return start(sample)


Rgb = tuple[int, ...]
Place = tuple[float, float]


@dataclass
class Tissue:
    """A page that shows the tissue."""

    watched: Watched

    def attribute(self, name: str) -> str:
        return self.watched.page.get_by_test_id("tissue").get_attribute(f"data-{name}") or ""

    def ready(self) -> Tissue:
        self.watched.page.wait_for_function(
            """() => {
                const t = document.querySelector('[data-testid=tissue]')?.dataset;
                return t?.state === 'ready' && t.painted !== '' && Number(t.cells) > 0 && t.drawn === t.cells
                    && t.color !== 'none' && document.querySelector('[data-testid=progress]').textContent === '';
            }"""
        )
        repainted(self.watched.page)
        return self

    def box(self, view: str = "tissue") -> tuple[float, float, float, float]:
        found = self.watched.page.get_by_test_id(view).bounding_box()
        assert found
        return found["x"], found["y"], found["width"], found["height"]

    def where(self, column: float, row: float, width: int = WIDTH, height: int = HEIGHT) -> Place:
        """A place of the picture on the page, at the first camera."""
        left, top, wide, high = self.box()
        zoom = min(wide * FILL / width, high * FILL / height)
        return left + wide / 2 + (column - width / 2) * zoom, top + high / 2 + (row - height / 2) * zoom

    def pixels(self, view: str) -> Counter[Rgb]:
        """The colours of a view and how much of it each fills."""
        image = shot(self.watched, self.watched.page.get_by_test_id(view).locator(".canvas-host"))
        colors, counts = np.unique(image.reshape(-1, 3), axis=0, return_counts=True)
        return Counter({tuple(map(int, c)): int(n) for c, n in zip(colors, counts, strict=True)})

    def colors_at(self, places: list[Place]) -> list[Rgb]:
        image = shot(self.watched, self.watched.page)
        return [tuple(int(v) for v in image[round(y), round(x)]) for x, y in places]

    def selected(self) -> tuple[str, str]:
        return self.watched.attribute("selected"), self.attribute("selected")

    def wait_selected(self, count: int) -> None:
        wait_for(lambda: self.selected() == (str(count), str(count)), f"{count} selected cells")
        repainted(self.watched.page)

    def drag(self, *places: Place, key: str | None = None) -> None:
        mouse, keyboard = self.watched.page.mouse, self.watched.page.keyboard
        if key:
            keyboard.down(key)
        mouse.move(*places[0])
        mouse.down()
        for place in places[1:]:
            mouse.move(*place, steps=6)
        mouse.up()
        if key:
            keyboard.up(key)

    def legend(self) -> dict[str, Rgb]:
        rows = self.watched.page.get_by_test_id("legend-item")
        return {
            rows.nth(i).locator("label").get_attribute("title") or "": tuple(
                int(v) for v in re.findall(r"\d+", rows.nth(i).get_attribute("data-color") or "")
            )
            for i in range(rows.count())
        }


def shot(watched: Watched, what: object) -> np.ndarray:
    from matplotlib.image import imread

    taken: Callable[[], bytes] = what.screenshot  # type: ignore[attr-defined]
    return (imread(io.BytesIO(taken()), format="png")[..., :3] * 255).round().astype(np.uint8)


def near(a: Rgb, b: Rgb, most: int = 2) -> bool:
    return all(abs(x - y) <= most for x, y in zip(a, b, strict=True))


@pytest.fixture
def tissue(server: Running, look: Open) -> Tissue:
    return Tissue(look(server.url)).ready()
