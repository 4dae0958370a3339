"""The demo as a person sees it: real cells, real Chromium, an installed wheel."""

from __future__ import annotations

import gzip
import io
import json
import os
import re
import signal
import subprocess
import urllib.parse
from collections import Counter
from pathlib import Path

import h5py
import numpy as np
import pytest
from conftest import (
    PATIENCE_S,
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
    still,
    wait_for,
)
from surroundings import free_port

BULK_LABELS = {
    "CD4+/CD25 T Reg": 68, "CD4+/CD45RA+/CD25- Naive T": 8, "CD4+/CD45RO+ Memory": 19, "CD8+ Cytotoxic T": 54,
    "CD8+/CD45RA+ Naive Cytotoxic": 43, "CD14+ Monocyte": 129, "CD19+ B": 95, "CD34+": 13, "CD56+ NK": 31,
    "Dendritic": 240,
}  # fmt: skip
PHONE = {"width": 390, "height": 844}
GREY = (158, 158, 158)


@pytest.fixture(scope="module")
def server(start: Start, pbmc: Path) -> Running:
    return start(pbmc)


def pixels(watched: Watched) -> Counter[tuple[int, int, int]]:
    """The colours of the plot as it is on the screen, once nothing on it moves."""
    image = decode_png(still(watched.page, watched.page.locator(".canvas-host").screenshot))
    colors, counts = np.unique(image.reshape(-1, 3), axis=0, return_counts=True)
    return Counter({tuple(map(int, c)): int(n) for c, n in zip(colors, counts, strict=True)})


def decode_png(data: bytes) -> np.ndarray:
    from matplotlib.image import imread

    return (imread(io.BytesIO(data), format="png")[..., :3] * 255).round().astype(np.uint8)


def legend_colors(watched: Watched) -> dict[str, tuple[int, ...]]:
    rows = watched.page.get_by_test_id("legend-item")
    told = rows.evaluate_all("(all) => all.map((row) => [row.querySelector('label').title, row.dataset.color])")
    return {name: tuple(int(v) for v in re.findall(r"\d+", color)) for name, color in told}


def test_the_demo_shows_bulk_labels(server: Running, look: Open) -> None:
    watched = look(server.url)
    watched.ready("field:bulk_labels")
    assert watched.attribute("cells") == watched.attribute("painted") == "700"
    assert watched.attribute("embedding") == "X_umap"
    assert watched.page.get_by_test_id("cell-count").inner_text() == "700 cells"
    rows = watched.page.get_by_test_id("legend-item")

    def counts() -> dict[str, int]:
        told = (
            "(all) => all.map((r) => [r.querySelector('label').title, Number(r.querySelector('.count').textContent)])"
        )
        return dict(rows.evaluate_all(told))

    wait_for(lambda: counts() == BULK_LABELS, f"{BULK_LABELS}, not {counts()}")

    def covered() -> None:
        seen, colors = pixels(watched), legend_colors(watched)
        area = {name: seen[color] for name, color in colors.items()}
        assert all(area[name] > 0 for name in BULK_LABELS), area
        # Large groups cover more of the picture than small ones.
        assert area["Dendritic"] > 3 * area["CD56+ NK"] > 0

    eventually(covered)
    assert watched.problems == []


def test_make_demo_serves_and_opens_the_tab(look: Open, tmp_path: Path) -> None:
    """The very command of the README, with a browser that only notes what it was told to open."""
    noted, program = tmp_path / "url", tmp_path / "browser"
    program.write_text(f'#!/bin/sh\necho "$1" > {noted}.part && mv {noted}.part {noted}\n')
    program.chmod(0o755)
    environment = {**os.environ, "BROWSER": f"{program} %s", "DEMO_FLAGS": "--port 0"}
    command = ["make", "--silent", "-C", str(ROOT), "demo"]
    told = tmp_path / "told"
    with told.open("w") as said:
        demo = subprocess.Popen(command, env=environment, stdout=said, stderr=said, start_new_session=True)
    try:
        wait_for(lambda: noted.exists() or demo.poll() is not None, f"the tab: {told.read_text()}")
        assert demo.poll() is None, told.read_text()
        watched = look(noted.read_text().strip())
        watched.ready("field:bulk_labels")
        assert watched.page.get_by_test_id("cell-count").inner_text() == "700 cells"
    finally:
        os.killpg(demo.pid, signal.SIGINT)
        demo.wait(PATIENCE_S)


def test_nothing_is_asked_of_another_origin(server: Running, look: Open) -> None:
    watched = look(server.url)
    watched.ready()
    origins = {urllib.parse.urlsplit(u).netloc for u in watched.requests if not u.startswith(("data:", "blob:"))}
    assert origins == {urllib.parse.urlsplit(server.url).netloc}


def test_the_page_of_cells_stays_small(server: Running, look: Open) -> None:
    seen = look(server.url)
    seen.ready()
    scripts = {asked for asked in seen.requests if asked.endswith(".js")}
    assert len(scripts) >= 2, "the page and its worker"
    assert sum(len(gzip.compress(fetch(script))) for script in scripts) <= 260_000


def test_a_gene_is_found_and_shown_with_the_keyboard_only(server: Running, look: Open, pbmc: Path) -> None:
    watched = look(server.url)
    watched.ready()
    before = pixels(watched)
    page = watched.page
    page.keyboard.press("/")
    page.keyboard.type("cst3")
    page.get_by_test_id("gene-option").first.filter(has_text="CST3").wait_for()
    page.keyboard.press("Enter")
    watched.ready("gene:CST3")
    with h5py.File(pbmc) as file:
        names = [n.decode() for n in file["var"]["index"]]
        values = file["X"][:, names.index("CST3")]

    def span() -> tuple[float, ...]:
        return tuple(float(page.get_by_test_id(f"range-{end}").input_value()) for end in ("min", "max"))

    wait_for(lambda: span() == pytest.approx((values.min(), values.max()), rel=1e-3), "its range")
    page.get_by_test_id("histogram").wait_for()

    def in_colours_of_its_own() -> None:
        after = pixels(watched)
        purple = sum(n for (r, g, b), n in after.items() if b > g + 40 and r < 110)
        assert purple > 500, "cells without the gene are viridis' purple"
        assert len(after.keys() - before.keys()) > 20

    eventually(in_colours_of_its_own)
    assert watched.problems == []


def test_a_copied_link_shows_the_same_view(server: Running, look: Open) -> None:
    first = look(server.url)
    first.ready()
    first.page.get_by_test_id("embedding-select").select_option("X_pca")
    first.ready()
    first.page.get_by_test_id("dim-3").click()
    first.page.get_by_test_id("color-select").select_option(label="n_counts")
    first.ready("field:n_counts")
    first.page.get_by_test_id("colormap-select").select_option("magma")
    first.page.get_by_test_id("range-max").fill("5000")
    first.page.keyboard.press("Enter")
    box = first.page.locator(".canvas-host").bounding_box()
    assert box is not None
    first.page.mouse.move(box["x"] + 300, box["y"] + 300)
    first.page.mouse.down()
    first.page.mouse.move(box["x"] + 380, box["y"] + 330, steps=4)
    first.page.mouse.up()
    first.page.mouse.move(5, 5)
    wait_for(lambda: first.attribute("camera") != "", "the turn")
    shown = pixels(first)
    told = {"embedding": "X_pca", "dim": "3", "color": "field:n_counts", "cmap": "magma"}
    wait_for(
        lambda: told.items() <= linked(first.page).items() and {"camera", "range"} <= linked(first.page).keys(),
        f"the link, not {href(first.page)}",
    )
    second = look(href(first.page))
    second.ready("field:n_counts")

    def the_same() -> None:
        for name in ("embedding", "dim", "color", "cells"):
            assert second.attribute(name) == first.attribute(name)
        assert second.page.get_by_test_id("range-max").input_value() == "5000"
        assert sum((shown & pixels(second)).values()) > 0.995 * sum(shown.values())

    eventually(the_same)


def test_hiding_and_isolating_groups(server: Running, look: Open) -> None:
    watched = look(server.url)
    watched.ready()
    dendritic = legend_colors(watched)["Dendritic"]
    assert pixels(watched)[dendritic] > 0
    watched.page.locator('[data-testid=legend-item][data-code="9"] input').uncheck()
    wait_for(lambda: pixels(watched)[dendritic] == 0, "a hidden group")
    count = watched.page.get_by_test_id("cell-count")
    wait_for(lambda: count.inner_text() == "700 cells · 460 shown", f"460 cells, not {count.inner_text()}")
    watched.page.get_by_role("button", name="Only CD19+ B").click()

    def alone() -> None:
        seen, colors = pixels(watched), legend_colors(watched)
        assert seen[colors["CD19+ B"]] > 0
        assert all(seen[color] == 0 for name, color in colors.items() if name != "CD19+ B")

    eventually(alone)
    watched.page.get_by_role("button", name="Show all").click()
    wait_for(lambda: pixels(watched)[dendritic] > 0, "all groups")


def test_hover_names_the_cell_under_the_pointer(server: Running, look: Open) -> None:
    watched = look(server.url)
    watched.ready()
    points = np.frombuffer(fetch(f"{server.url}points_2d.bin"), "<f4").reshape(-1, 2)
    alone = max(range(700), key=lambda i: np.sort(np.hypot(*(points - points[i]).T))[1])
    box = watched.page.locator(".canvas-host").bounding_box()
    assert box is not None
    scale = min(box["width"], box["height"]) * 0.9 / 2
    x = box["x"] + box["width"] / 2 + points[alone, 0] * scale
    y = box["y"] + box["height"] / 2 - points[alone, 1] * scale
    x, y = float(x), float(y)
    watched.page.mouse.move(x - 30, y)
    watched.page.mouse.move(x, y)
    card = watched.page.get_by_test_id("hover-card")
    card.wait_for()
    wait_for(lambda: card.get_attribute("data-cell") == str(alone), f"cell {alone}")
    cell = json.loads(fetch(f"{server.url}cells/{alone}.json"))
    card.get_by_text(cell["name"]).wait_for()
    card.get_by_text(cell["fields"]["bulk_labels"]).wait_for()


def test_orbit_turns_and_reset_comes_back(server: Running, look: Open) -> None:
    watched = look(f"{server.url}?embedding=X_pca&dim=3")
    watched.ready()
    assert watched.attribute("dim") == "3"
    home = pixels(watched)
    watched.page.mouse.move(600, 400)
    watched.page.mouse.down()
    watched.page.mouse.move(760, 440, steps=4)
    watched.page.mouse.up()
    watched.page.mouse.move(5, 5)
    wait_for(lambda: watched.attribute("camera") != "", "a turned camera")
    wait_for(lambda: sum((home & pixels(watched)).values()) < sum(home.values()), "another picture")
    watched.page.keyboard.press("r")
    watched.page.get_by_role("application").blur()  # after a key it shows that it has the focus
    wait_for(lambda: watched.attribute("camera") == "", "the first camera")
    wait_for(lambda: sum((home & pixels(watched)).values()) > 0.999 * sum(home.values()), "the first picture")


def test_the_plot_moves_by_keys(server: Running, look: Open) -> None:
    watched = look(server.url)
    watched.ready()
    home = pixels(watched)
    plot = watched.page.get_by_role("application")
    words = "Scatter plot of 700 cells, UMAP 1 against UMAP 2, coloured by bulk_labels"
    wait_for(lambda: plot.get_attribute("aria-label") == words, f"{words!r}, not {plot.get_attribute('aria-label')!r}")
    plot.focus()
    watched.page.keyboard.press("ArrowRight")
    watched.page.keyboard.press("+")

    def moved() -> None:
        assert watched.attribute("camera")
        x, y, zoom = (float(v) for v in watched.attribute("camera").split(","))
        assert x > 0
        assert (round(y, 9), zoom) == (0, 0.5)

    eventually(moved)
    assert plot.evaluate("(element) => getComputedStyle(element).outlineStyle") == "solid", "where the keys go is seen"
    watched.page.keyboard.press("ArrowLeft")
    watched.page.keyboard.press("r")
    plot.blur()
    wait_for(lambda: sum((home & pixels(watched)).values()) > 0.999 * sum(home.values()), "the first picture")


def test_themes_and_phone(server: Running, look: Open) -> None:
    watched = look(server.url)
    watched.ready()
    wait_for(lambda: pixels(watched).most_common(1)[0][0] == (255, 255, 255), "the light theme")
    watched.page.keyboard.press("t")
    watched.page.keyboard.press("t")
    wait_for(lambda: max(pixels(watched).most_common(1)[0][0]) < 40, "the dark theme")
    phone = look(server.url, **PHONE)
    phone.ready()
    assert phone.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    phone.page.get_by_test_id("legend-open").click()
    phone.page.get_by_test_id("legend-item").first.wait_for()
    phone.page.get_by_role("button", name="Done").locator("visible=true").click()
    phone.page.get_by_test_id("panel-open").click()
    phone.page.get_by_test_id("gene-search").wait_for()


def test_a_wrong_link_says_so(server: Running, look: Open) -> None:
    watched = look(f"{server.url}?color=gene:NOPE&embedding=X_none")
    watched.ready("field:bulk_labels")
    wait_for(lambda: "NOPE" in watched.page.get_by_test_id("notice").inner_text(), "the notice")


def test_the_page_outlives_its_server(start: Start, pbmc: Path, look: Open) -> None:
    port = free_port()
    server = start(pbmc, port=port)
    watched = look(server.url)
    watched.ready()
    assert server.stop() == 130
    watched.page.get_by_test_id("color-select").select_option(label="louvain (11)")
    error = watched.page.locator("[data-testid=error][data-code=offline]")
    error.wait_for()
    assert watched.attribute("painted") == "700", "what was drawn stays"
    start(pbmc, port=port)
    watched.ready("field:louvain")
    error.wait_for(state="detached")


def test_an_unreadable_gene_is_an_error_with_a_code(start: Start, look: Open, tmp_path: Path) -> None:
    path = tmp_path / "damaged.h5ad"
    with h5py.File(path, "w") as file:
        rng = np.random.default_rng(0)
        file["obsm/X_umap"] = rng.random((100, 2))
        for frame, n in (("obs", 100), ("var", 3)):
            file.create_group(frame).attrs.update(
                {"encoding-type": "dataframe", "_index": "_index", "column-order": []}
            )
            file[f"{frame}/_index"] = [f"{frame}{i}" for i in range(n)]
        x = file.create_dataset("X", data=rng.random((100, 3)), chunks=(100, 1), compression="gzip")
        broken = x.id.get_chunk_info(1)
    with path.open("r+b") as raw:
        raw.seek(broken.byte_offset)
        raw.write(b"\xff" * broken.size)
    server = start(path)
    watched = look(f"{server.url}?color=gene:var1")
    error = watched.page.get_by_test_id("error")
    error.wait_for()
    assert error.get_attribute("data-code") == "damaged"
    assert str(tmp_path) not in error.inner_text()
    watched.page.get_by_test_id("gene-search").fill("var2")
    watched.page.get_by_test_id("gene-option").first.click()
    watched.ready("gene:var2")


def test_no_embedding_is_said_with_what_to_do(start: Start, look: Open, tmp_path: Path) -> None:
    path = tmp_path / "bare.h5ad"
    with h5py.File(path, "w") as file:
        file.create_group("obs").attrs.update({"encoding-type": "dataframe", "_index": "_index", "column-order": []})
        file["obs/_index"] = ["a", "b"]
    watched = look(start(path).url)
    watched.page.get_by_test_id("empty").wait_for()
    wait_for(lambda: "scanpy.tl.umap" in watched.page.get_by_test_id("empty").inner_text(), "what to do")


@pytest.mark.parametrize(("theme", "size"), [("dark", {"width": 1280, "height": 800}), ("light", PHONE)])
def test_accessibility(server: Running, look: Open, theme: str, size: dict[str, int]) -> None:
    axe = (ROOT / "viewer" / "node_modules" / "axe-core" / "axe.min.js").read_text()
    for query in ("", "?color=gene:CST3"):
        watched = look(server.url + query, theme=theme, **size)
        watched.ready()
        if size is PHONE:
            watched.page.get_by_test_id("legend-open").click()
            watched.page.get_by_test_id("legend").first.wait_for()
        repainted(watched.page)
        watched.page.evaluate(axe)
        found = watched.page.evaluate("axe.run()")["violations"]
        serious = [(v["id"], [n["html"] for n in v["nodes"]]) for v in found if v["impact"] in ("serious", "critical")]
        assert serious == []


def test_the_viewer_survives_fast_choices(server: Running, look: Open) -> None:
    watched = look(server.url)
    watched.ready()
    choose = watched.page.get_by_test_id("color-select")
    for name in ("n_genes", "n_counts", "S_score", "percent_mito"):
        choose.select_option(label=name)
    watched.ready("field:percent_mito")
    wait_for(lambda: "percent_mito" in href(watched.page), "the address bar")
    wait_for(lambda: watched.page.get_by_test_id("legend").locator("h2").inner_text() == "percent_mito", "the legend")
    assert watched.problems == []
