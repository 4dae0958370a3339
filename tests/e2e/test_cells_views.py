"""Several views of the same cells, edges, velocity and figures, in a real browser."""

from __future__ import annotations

import io
import json
import re
import struct
from pathlib import Path
from xml.etree import ElementTree

import anndata
import numpy as np
import pandas as pd
import pytest
from conftest import Open, Running, Start, Watched, eventually, fetch, href, linked, repainted, wait_for
from matplotlib.image import imread
from scipy import sparse

from coverslip.domains.drawing_order import step_of

N = 600
SVG = "{http://www.w3.org/2000/svg}"


def made() -> anndata.AnnData:
    """Cells on a ring that drift along it; each is joined to its neighbours in the file."""
    rng = np.random.default_rng(5)
    angle = np.sort(rng.uniform(0, 5, N))
    ring = np.c_[np.cos(angle), np.sin(angle)] * rng.normal(5, 0.4, (N, 1))
    rows = np.arange(N - 1)
    graph = sparse.csr_matrix((rng.uniform(0.1, 1, N - 1), (rows, rows + 1)), shape=(N, N))
    obs = pd.DataFrame({
        "part": pd.Categorical.from_codes(np.arange(N) // 200, ["first", "second & more", "third"]),
        "half": pd.Categorical.from_codes(np.arange(N) // 300, ["a", "b"]),
        "angle": angle,
    }, index=[f"c{i}" for i in range(N)])  # fmt: skip
    adata = anndata.AnnData(sparse.csr_matrix(rng.poisson(1, (N, 3)).astype(np.float32)), obs=obs)
    adata.obsm["X_umap"] = ring.astype(np.float32)
    adata.obsm["X_pca"] = rng.normal(size=(N, 4)).astype(np.float32)
    adata.obsm["velocity_umap"] = np.c_[-ring[:, 1], ring[:, 0]].astype(np.float32) / 10
    adata.obsp["connectivities"] = (graph + graph.T).tocsr()
    return adata


@pytest.fixture(scope="module")
def server(start: Start, tmp_path_factory: pytest.TempPathFactory) -> Running:
    path = tmp_path_factory.mktemp("views") / "ring.h5ad"
    made().write_h5ad(path)
    return start(path)


def views(watched: Watched) -> list[dict[str, str]]:
    """What each view on the page says of itself."""
    told: str = watched.page.evaluate(
        "() => JSON.stringify([...document.querySelectorAll('[data-testid=scatter]')].map((s) => ({...s.dataset})))"
    )
    found: list[dict[str, str]] = json.loads(told)
    return found


def colors(watched: Watched) -> list[str]:
    return [view["color"] for view in views(watched)]


def painted(watched: Watched, *expected: str) -> None:
    """Wait until the views show just these."""
    watched.page.wait_for_function(
        """(colors) => {
            const all = [...document.querySelectorAll('[data-testid=scatter]')];
            return all.length === colors.length && all.every((s, i) =>
                s.dataset.color === colors[i] && s.dataset.painted === s.dataset.cells && s.dataset.cells !== '0');
        }""",
        arg=list(expected),
    )


def drag(watched: Watched, view: int, by: int) -> None:
    box = watched.page.locator(".canvas-host").nth(view).bounding_box()
    assert box is not None
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    watched.page.mouse.move(x, y)
    watched.page.mouse.down()
    watched.page.mouse.move(x + by / 2, y)
    watched.page.mouse.move(x + by, y)
    watched.page.mouse.up()
    repainted(watched.page)


def test_views_share_cells_and_keep_colours(server: Running, look: Open) -> None:
    watched = look(server.url)
    watched.ready("field:part")
    page = watched.page
    page.keyboard.press("n")
    painted(watched, "field:part", "field:half")
    page.get_by_test_id("select-shown").click()
    page.wait_for_function("() => document.querySelectorAll('[data-selected=\"600\"]').length >= 2")
    page.keyboard.press("Escape")
    drag(watched, 0, 60)

    def cameras() -> list[str]:
        return [view["camera"] for view in views(watched)]

    wait_for(lambda: cameras()[0] == cameras()[1] != "", "both cameras moved")
    focus = page.get_by_test_id("color-select")
    wait_for(lambda: focus.input_value() == "0", "the view that was touched has the focus")
    page.get_by_test_id("move-together").click()
    wait_for(lambda: page.get_by_test_id("move-together").get_attribute("aria-pressed") == "false", "one by one")
    drag(watched, 1, -40)
    wait_for(lambda: cameras()[0] != cameras()[1], "one camera moved")
    page.get_by_test_id("embedding-select").select_option("X_pca")
    page.wait_for_function("() => document.querySelectorAll('[data-embedding=X_pca]').length === 1")
    page.get_by_test_id("color-select").select_option("2")
    painted(watched, "field:part", "field:angle")
    told = {"embedding": "X_pca", "color": "field:angle"}
    wait_for(lambda: told.items() <= linked(page).items(), f"the link, not {href(page)}")
    again = look(href(page))
    painted(again, "field:part", "field:angle")

    def equal() -> None:
        assert [v["embedding"] for v in views(again)] == ["X_umap", "X_pca"]
        assert [v["focused"] for v in views(again)] == ["false", "true"]
        told = [[float(n) for n in views(one)[0]["camera"].split(",") if n] for one in (again, watched)]
        assert told[0] == pytest.approx(told[1], abs=1e-4)

    eventually(equal)
    again.page.keyboard.press("x")
    painted(again, "field:part")
    for count in (2, 3, 4, 5, 6, 6, 6):
        again.page.keyboard.press("d")
        painted(again, *["field:part"] * count)
    wait_for(again.page.get_by_test_id("add-view").is_disabled, "no room for more")
    assert watched.problems == again.problems == []


def test_edges_and_velocity(server: Running, look: Open) -> None:
    watched = look(f"{server.url}?vectors=arrows:velocity_umap&knn=1")
    page = watched.page
    watched.ready("field:part")
    told = page.get_by_test_id("edges-told")
    page.wait_for_function(f"() => document.querySelector('[data-testid=edges-told]').dataset.drawn === '{N - 1}'")
    page.locator("[data-testid=legend-item] .only").first.click()  # cells 0 to 199 pass
    page.wait_for_function("() => document.querySelector('[data-testid=edges-told]').dataset.drawn === '199'")
    wait_for(lambda: "199 edges" in told.inner_text(), f"199 edges, not {told.inner_text()}")
    page.wait_for_function("() => Number(document.querySelector('[data-testid=vectors-told]').dataset.nodes) > 10")
    page.keyboard.press("e")
    page.get_by_test_id("figure-format").select_option("svg")
    lines = [g for g in ElementTree.fromstring(downloaded(watched)).iter(f"{SVG}g") if g.get("class") == "lines"]
    drawn = [sum((p.get("d") or "").count("M") for p in g.iter(f"{SVG}path")) for g in lines]
    assert drawn[0] == 199, "the edges, under the points"
    assert drawn[1] > 30, "the arrows, over them"
    page.keyboard.press("Escape")
    before = page.locator(".canvas-host").screenshot()
    page.get_by_test_id("vectors-flow").click()
    page.wait_for_function("() => Number(document.querySelector('[data-testid=flow]')?.dataset.frames) > 3")
    wait_for(lambda: page.locator(".canvas-host").screenshot() != before, "the arrows gone")
    wait_for(lambda: linked(page).get("vectors", "").startswith("flow"), f"the link, not {href(page)}")
    page.emulate_media(reduced_motion="reduce")
    page.get_by_test_id("flow").wait_for(state="detached")
    assert watched.problems == []


def downloaded(watched: Watched) -> bytes:
    with watched.page.expect_download() as found:
        watched.page.get_by_test_id("figure-save").click()
    return Path(found.value.path()).read_bytes()


def chunks(png: bytes) -> dict[bytes, bytes]:
    """What a PNG holds, by the name of the chunk."""
    found, at = {}, 8
    while at < len(png):
        (length,) = struct.unpack_from(">I", png, at)
        name = png[at + 4 : at + 8]
        found[name] = found.get(name, b"") + png[at + 8 : at + 8 + length]
        at += 12 + length
    return found


def test_figures_are_true(server: Running, look: Open) -> None:
    watched = look(server.url)
    watched.ready("field:part")
    page = watched.page
    rows = page.get_by_test_id("legend-item").all()
    told = {row.get_attribute("data-code") or "": row.get_attribute("data-color") or "" for row in rows}
    legend = {int(code): tuple(map(int, re.findall(r"\d+", color))) for code, color in told.items()}
    page.keyboard.press("e")
    page.get_by_test_id("figure-format").select_option("svg")
    svg = ElementTree.fromstring(downloaded(watched))
    group = next(g for g in svg.iter(f"{SVG}g") if g.get("class") == "points")
    circles = list(group.iter(f"{SVG}circle"))
    cells = np.arange(N) * step_of(N) % N
    assert [c.get("fill") for c in circles] == ["#{:02x}{:02x}{:02x}".format(*legend[cell // 200]) for cell in cells]
    points = np.frombuffer(fetch(f"{server.url}points_2d.bin"), "<f4").reshape(N, 2)[cells]
    at = np.array([[float(c.get("cx") or 0), float(c.get("cy") or 0)] for c in circles])
    scale = np.ptp(at[:, 0]) / np.ptp(points[:, 0])
    np.testing.assert_allclose(at - at[0], (points - points[0]) * [scale, -scale], atol=0.02)
    texts = [t.text for t in svg.iter(f"{SVG}text")]
    assert {"part", "first (200)", "second & more (200)", "third (200)", "UMAP 1", "UMAP 2"} <= set(texts)
    assert svg.get("width") == "180mm"
    source = next(svg.iter("{http://purl.org/dc/elements/1.1/}source")).text or ""
    assert source.startswith(server.url)

    page.get_by_test_id("figure-format").select_option("png")
    page.get_by_test_id("figure-dpi").fill("192")
    png = downloaded(watched)
    held = chunks(png)
    assert struct.unpack(">IIB", held[b"pHYs"]) == (7559, 7559, 1)
    assert server.url.encode() in held[b"iTXt"]
    image = (imread(io.BytesIO(png))[..., :3] * 255).round().astype(int)
    assert image.shape[1] == round(180 / 25.4 * 192)
    left, top = (float(v) for v in re.findall(r"[\d.]+", group.get("transform") or "")[:2])
    for place in range(N - 20, N):  # nothing lies over the last ones but one another
        x, y = ((at[place] + [left, top]) * 2).round().astype(int)
        near = image[y - 1 : y + 2, x - 1 : x + 2].reshape(-1, 3)
        assert np.abs(near - legend[int(cells[place]) // 200]).sum(1).min() < 12, place
    assert watched.problems == []
