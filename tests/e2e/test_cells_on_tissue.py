"""Cells on the picture of their tissue, and one selection in every view: real Chromium, pixels read from the screen."""

from __future__ import annotations

import io
import json
import math
import re
import warnings
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anndata
import numpy as np
import pandas as pd
import pytest
from conftest import (
    ROOT,
    Open,
    Running,
    Start,
    Watched,
    eventually,
    fetch,
    href,
    linked,
    repainted,
    run,
    wait_for,
)
from surroundings import environment

WIDTH, HEIGHT, SCALE, SPOT = 400, 300, 0.5, 24
"""The picture, in pixels; pixels for one unit of the coordinates; the diameter of a spot, in pixels."""
QUADRANTS = np.array([[(250, 220, 220), (220, 250, 220)], [(220, 220, 250), (250, 250, 210)]], np.uint8)
STEP = 40
FILL = 0.96
"""The part of the view that the picture fills at first."""
PHONE = {"width": 390, "height": 844}


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


def test_cells_lie_where_the_matrix_says(tissue: Tissue) -> None:
    places = grid()
    legend = tissue.legend()
    want = [legend["left" if column < WIDTH / 2 else "right"] for column, _ in places]

    def as_told() -> None:
        got = tissue.colors_at([tissue.where(*place) for place in places])
        assert all(near(g, w) for g, w in zip(got, want, strict=True)), list(zip(got, want, strict=True))

    eventually(as_told)
    # Between them the picture is seen, in its own colours: a quarter of its height and width from each corner.
    between = [(STEP * 1.5, STEP * 1.5), (WIDTH - 60, 60), (60, HEIGHT - 60), (WIDTH - 60, HEIGHT - 60)]
    got = tissue.colors_at([tissue.where(*place) for place in between])
    assert all(near(g, tuple(map(int, w))) for g, w in zip(got, QUADRANTS.reshape(-1, 3), strict=True)), got
    # A spot is as wide as it was measured: full just inside its edge, none just outside.
    column, row = places[0]
    inside, outside = SPOT / 2 - 3, SPOT / 2 + 3
    around = [
        (column + r * math.cos(t), row + r * math.sin(t)) for r in (inside, outside) for t in (0.3, 1.9, 3.5, 5.1)
    ]
    got = tissue.colors_at([tissue.where(*place) for place in around])
    assert all(near(g, want[0]) for g in got[:4])
    assert not any(near(g, want[0], 40) for g in got[4:])
    assert tissue.watched.problems == []


def test_a_lasso_on_the_tissue_dims_the_others_in_both_views(tissue: Tissue) -> None:
    legend, places = tissue.legend(), grid()

    def shown() -> dict[str, Counter[Rgb]]:
        return {view: tissue.pixels(view) for view in ("scatter", "tissue")}

    def all_in_colour() -> dict[str, Counter[Rgb]]:
        found = shown()
        assert all(seen[legend["left"]] > 0 < seen[legend["right"]] for seen in found.values())
        assert found == shown(), "it still moves"
        return found

    before = eventually(all_in_colour)
    tissue.watched.page.keyboard.press("l")
    corners = [(10, 10), (190, 12), (190, 290), (12, 288), (10, 20)]
    tissue.drag(*(tissue.where(*c) for c in corners))
    left = int((places[:, 0] < WIDTH / 2).sum())
    tissue.wait_selected(left)

    def dimmed() -> None:
        after = shown()
        for view in ("scatter", "tissue"):
            assert after[view][legend["right"]] == 0, "the others are dimmed"
            assert after[view][legend["left"]] == before[view][legend["left"]], "the selected ones are as they were"

    eventually(dimmed)
    page = tissue.watched.page
    rows = page.get_by_test_id("selection-row")
    told = "(rows) => rows.map((row) => [row.title, row.dataset.count])"
    wait_for(lambda: rows.evaluate_all(told) == [["left", str(left)]], "what is selected, group by group")
    page.get_by_test_id("color-select").select_option(label="column")
    tissue.watched.ready("field:column")
    mean = places[places[:, 0] < WIDTH / 2, 0].mean()
    told = page.get_by_test_id("selection-mean")
    wait_for(lambda: float(told.inner_text() or "nan") == pytest.approx(mean, rel=1e-3), f"the mean, {mean}")
    page.keyboard.press("Escape")
    tissue.wait_selected(0)
    assert tissue.watched.problems == []


def test_a_rectangle_in_the_embedding_lights_up_on_the_tissue(tissue: Tissue) -> None:
    legend, places = tissue.legend(), grid()
    tissue.watched.page.get_by_test_id("tool-rectangle").click()
    left, top, wide, high = tissue.box("scatter")
    # The upper half of this embedding is the right half of the picture.
    tissue.drag((left + 60, top + 4), (left + wide - 4, top + high / 2))
    right = int((places[:, 0] > WIDTH / 2).sum())
    middle = int((places[:, 0] == WIDTH / 2).sum())
    wait_for(lambda: int(tissue.attribute("selected")) > 0, "a selection")
    assert right - middle <= int(tissue.attribute("selected")) <= right + middle

    def lit() -> None:
        got = dict(zip(map(tuple, places), tissue.colors_at([tissue.where(*p) for p in places]), strict=True))
        for (column, row), color in got.items():
            if abs(column - WIDTH / 2) > STEP:
                assert near(color, legend["right"]) == (column > WIDTH / 2), (column, row, color)

    eventually(lit)
    wait_for(lambda: "selected" in linked(tissue.watched.page), "the selection in the link")
    assert "camera" not in linked(tissue.watched.page), "a drag with a tool moves nothing"


def test_single_cells_shift_alt_and_escape(tissue: Tissue) -> None:
    places = grid()
    mouse, keyboard = tissue.watched.page.mouse, tissue.watched.page.keyboard

    def click(i: int, key: str | None = None) -> None:
        if key:
            keyboard.down(key)
        mouse.click(*tissue.where(*places[i]))
        if key:
            keyboard.up(key)

    click(0)
    tissue.wait_selected(1)
    click(5)
    tissue.wait_selected(1)
    click(7, "Shift")
    tissue.wait_selected(2)
    click(5, "Alt")
    tissue.wait_selected(1)
    click(7)
    tissue.wait_selected(0)
    tissue.watched.page.get_by_test_id("select-shown").click()
    tissue.wait_selected(len(places))
    click(3, "Alt")
    tissue.wait_selected(len(places) - 1)
    tissue.watched.page.get_by_test_id("select-others").click()
    tissue.wait_selected(1)
    keyboard.press("Escape")
    tissue.wait_selected(0)
    # An outline that is given up changes nothing.
    click(0)
    tissue.wait_selected(1)
    keyboard.press("l")
    mouse.move(*tissue.where(10, 10))
    mouse.down()
    mouse.move(*tissue.where(300, 10), steps=5)
    mouse.move(*tissue.where(300, 250), steps=5)
    tissue.watched.page.get_by_test_id("outline").wait_for()
    keyboard.press("Escape")
    tissue.watched.page.get_by_test_id("outline").wait_for(state="detached")
    mouse.up()
    repainted(tissue.watched.page)
    tissue.wait_selected(1)
    assert tissue.watched.problems == []


def test_hidden_groups_are_hidden_on_the_tissue_and_cannot_be_selected(tissue: Tissue) -> None:
    legend = tissue.legend()
    page = tissue.watched.page
    page.get_by_test_id("legend-item").first.locator("input").uncheck()

    def hidden() -> bool:
        seen = tissue.pixels("tissue")
        return seen[legend["left"]] == 0 < seen[legend["right"]]

    wait_for(hidden, "the left ones hidden")
    page.get_by_test_id("tool-rectangle").click()
    tissue.drag(tissue.where(2, 2), tissue.where(WIDTH - 2, HEIGHT - 2))
    tissue.wait_selected(int((grid()[:, 0] >= WIDTH / 2).sum()))


def test_the_cell_under_the_pointer_is_marked_in_the_other_view(tissue: Tissue) -> None:
    page, places = tissue.watched.page, grid()
    page.mouse.move(*tissue.where(*places[11]))
    card = page.get_by_test_id("hover-card")
    card.get_by_text("SPOT-11").wait_for()
    wait_for(lambda: card.get_attribute("data-cell") == "11", "the cell under the pointer")
    ring = page.get_by_test_id("ring-embedding")
    wait_for(lambda: ring.get_attribute("data-cell") == "11", "its ring")
    found = ring.bounding_box()
    assert found
    # Where the ring is, the embedding has this very cell.
    page.mouse.move(found["x"] + found["width"] / 2, found["y"] + found["height"] / 2)
    page.get_by_test_id("ring-tissue").wait_for()
    wait_for(lambda: card.get_attribute("data-cell") == "11", "the cell under the pointer")
    x, y = tissue.where(*places[11])

    def around_it() -> None:
        back = page.get_by_test_id("ring-tissue").bounding_box()
        assert back
        assert back["x"] + back["width"] / 2 == pytest.approx(x, abs=1.5)
        assert back["y"] + back["height"] / 2 == pytest.approx(y, abs=1.5)

    eventually(around_it)


def test_how_the_tissue_looks_is_kept_in_the_link(server: Running, look: Open, tissue: Tissue) -> None:
    page, places = tissue.watched.page, grid()
    page.mouse.click(*tissue.where(*places[4]))
    tissue.wait_selected(1)
    page.get_by_test_id("view-tissue").click()
    page.get_by_test_id("tissue-select").select_option(label="brain, lowres")
    wait_for(lambda: tissue.attribute("array").endswith("images/lowres"), "the other picture")
    tissue.ready()
    page.get_by_test_id("picture-opacity").fill("0.5")
    page.get_by_test_id("spot-size").fill("9")
    page.get_by_role("application", name=re.compile("Tissue brain")).press("+")
    page.wait_for_function("() => ['tissuecamera=', 'spot=', 'picture='].every((p) => location.search.includes(p))")
    wait_for(lambda: (linked(page).get("spot"), linked(page).get("picture")) == ("9", "0.5"), "the last of it")
    second = Tissue(look(href(page))).ready()

    def equal() -> None:
        for name in ("array", "camera", "spot", "selected", "color"):
            assert second.attribute(name) == tissue.attribute(name) != "", name

    eventually(equal)
    assert second.watched.page.get_by_test_id("scatter").count() == 0
    # Half of the picture, half of the page behind it, which is white.
    _, _, wide, high = second.box()
    half = tuple(int(v / 2 + 127.5) for v in QUADRANTS[0, 0])
    wait_for(lambda: any(near(c, half, 3) for c in second.pixels("tissue")), "the picture behind glass")
    assert wide > 500 < high


def test_a_large_selection_is_left_out_of_the_link(start: Start, look: Open, pbmc: Path) -> None:
    """And selecting works where there is no tissue, for which no picture is fetched."""
    watched = look(start(pbmc).url)
    watched.ready()
    page = watched.page
    assert page.get_by_test_id("view-both").count() == 0
    box = page.get_by_test_id("scatter").bounding_box()
    assert box
    page.keyboard.press("b")
    page.mouse.move(box["x"] + 60, box["y"] + 5)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] - 5, box["y"] + box["height"] - 5, steps=5)
    page.mouse.up()
    wait_for(lambda: int(watched.attribute("selected")) > 600, "a large selection")
    page.get_by_test_id("not-linked").wait_for()
    # The link is written a little later; that it was is told by something else that it holds.
    page.get_by_test_id("color-select").select_option(label="n_counts")
    wait_for(lambda: linked(page).get("color") == "field:n_counts", "the link")
    assert "selected" not in linked(page)
    assert not any("/api/tile" in asked for asked in watched.requests)
    assert watched.problems == []


def test_names_are_copied(tissue: Tissue) -> None:
    page = tissue.watched.page
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.keyboard.press("b")
    tissue.drag(tissue.where(2, 2), tissue.where(STEP * 3 + 10, STEP + 10))
    tissue.wait_selected(3)
    page.get_by_test_id("copy-names").click()
    page.get_by_text("Copied").wait_for()  # it is said for 2.5 s
    assert page.evaluate("navigator.clipboard.readText()").split("\n") == ["SPOT-0", "SPOT-1", "SPOT-2"]


def test_a_phone_shows_one_view_at_a_time(server: Running, look: Open) -> None:
    watched = look(server.url, **PHONE)
    watched.ready()
    page = watched.page
    assert page.get_by_test_id("tissue").count() == 0
    assert page.get_by_test_id("view-both").count() == 0
    page.get_by_test_id("view-tissue").click()
    tissue = Tissue(watched).ready()
    assert page.get_by_test_id("scatter").count() == 0
    page.get_by_test_id("tool-lasso").click()
    tissue.drag(*(tissue.where(*c) for c in ((2, 2), (398, 2), (398, 60), (2, 60))))
    wait_for(lambda: tissue.attribute("selected") == str(int((grid()[:, 1] <= 60).sum())), "the first row")
    page.get_by_test_id("view-embedding").click()
    page.get_by_test_id("scatter").wait_for()
    wait_for(lambda: watched.attribute("selected") == "9", "the same selection in the embedding")
    assert watched.problems == []


@pytest.mark.parametrize(
    ("theme", "query"),
    [("light", "?view=both&selected=0-5"), ("dark", "?view=tissue&selected=3&color=field:column")],
)
def test_accessibility(server: Running, look: Open, theme: str, query: str) -> None:
    tissue = Tissue(look(server.url + query, theme=theme)).ready()
    tissue.watched.page.get_by_test_id("clear-selection").wait_for()
    tissue.watched.page.evaluate((ROOT / "viewer" / "node_modules" / "axe-core" / "axe.min.js").read_text())
    found = tissue.watched.page.evaluate("axe.run()")["violations"]
    serious = [(v["id"], [n["html"] for n in v["nodes"]]) for v in found if v["impact"] in ("serious", "critical")]
    assert serious == []


def test_a_picture_that_cannot_be_had_is_said_and_the_cells_stay(server: Running, look: Open) -> None:
    watched = look("about:blank")
    watched.page.route("**/api/tile_info/**", lambda route: route.abort())
    watched.page.goto(server.url)
    watched.page.get_by_test_id("tissue-error").wait_for()
    watched.ready()
    watched.page.unroute("**/api/tile_info/**")
    watched.page.get_by_test_id("tissue-error").get_by_role("button").click()
    Tissue(watched).ready()


SPATIALDATA = """
import sys, warnings
warnings.simplefilter("ignore")
import anndata, numpy as np, pandas as pd, spatialdata
from spatialdata.models import Image2DModel, ShapesModel, TableModel
from spatialdata.transformations import Identity, Scale
folder = sys.argv[1]
picture = np.full((3, 200, 300), 240, np.uint8)
picture[0, :, :150] = 120
he = Image2DModel.parse(picture, dims=("c", "y", "x"), scale_factors=[2],
                        transformations={"global": Scale([2.0, 2.0], axes=("x", "y"))})
xy = np.stack(np.meshgrid([60.0, 200, 400, 540], [80.0, 200, 320]), -1).reshape(-1, 2)
n = len(xy)
obs = pd.DataFrame({"side": pd.Categorical(np.where(xy[:, 0] < 300, "left", "right")),
                    "region": pd.Categorical(["spots"] * n), "number": np.arange(n)}, index=[f"c{i}" for i in range(n)])
table = anndata.AnnData(np.ones((n, 2), np.float32), obs)
table.obsm["spatial"] = xy
spots = ShapesModel.parse(xy, geometry=0, radius=9.0, transformations={"global": Identity()})
table = TableModel.parse(table, region="spots", region_key="region", instance_key="number")
spatialdata.SpatialData(images={"he": he}, shapes={"spots": spots}, tables={"table": table}).write(folder)
np.save(folder + ".npy", xy)
"""


def sources(server: Running) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(fetch(f"{server.url}api/sources"))
    return found


def test_a_store_written_by_spatialdata(start: Start, look: Open, tmp_path: Path) -> None:
    path = tmp_path / "mouse.zarr"
    run(environment("spatialdata"), "-c", SPATIALDATA, path)
    server = start(path)
    identity = json.loads(fetch(f"{server.url}dataset_identity.json"))
    assert identity["stats"]["n_cells"] == 12
    assert [(t["name"], t["matrix"]) for t in identity["tissue"]] == [("he", [0.5, 0, 0, 0, 0.5, 0])]
    wait_for(lambda: sources(server)[0]["status"] == "ready", "what the store holds")
    (source,) = sources(server)
    assert (source["kind"], [t["name"] for t in source["tensors"]]) == ("cells", ["/images/he"])
    tissue = Tissue(look(f"{server.url}?view=tissue")).ready()
    legend = tissue.legend()
    xy = np.load(f"{path}.npy")

    def its_cells() -> None:
        got = tissue.colors_at([tissue.where(x / 2, y / 2, 300, 200) for x, y in xy])
        assert all(near(g, legend["left" if x < 300 else "right"]) for g, (x, _) in zip(got, xy, strict=True)), got

    eventually(its_cells)

    def its_picture() -> None:
        left, right = tissue.colors_at([tissue.where(65, 20, 300, 200), tissue.where(240, 20, 300, 200)])
        assert near(left, (120, 240, 240)), left
        assert near(right, (240, 240, 240)), right

    eventually(its_picture)
    assert tissue.watched.problems == []
