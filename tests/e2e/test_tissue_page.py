"""The page of cells on tissue: links, names, phones, accessibility, pictures that cannot be had; SpatialData."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tissue_pages
from conftest import (
    ROOT,
    Open,
    Running,
    Start,
    eventually,
    fetch,
    href,
    linked,
    run,
    wait_for,
)
from surroundings import environment
from tissue_pages import QUADRANTS, STEP, Tissue, grid, near

sample = tissue_pages.sample
server = tissue_pages.server
tissue = tissue_pages.tissue

PHONE = {"width": 390, "height": 844}


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
