"""HDF5 files in H5Web, in real Chromium, against our own ``/hsds`` and under the page's policy."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import urlsplit

import h5py
import numpy as np
import pytest
from conftest import ROOT, Open, Running, Start, Watched, fetch, href, linked, wait_for
from playwright.sync_api import Locator, Page

from coverslip.testing.networks import culture, write_system

NAMES = ["cube", "flags", "gaps", "gone", "heat", "inner", "line", "soft", "states", "table", "word", "words", "z"]


def write_shapes(path: Path) -> Path:
    """One data set of each kind that H5Web draws in a way of its own."""
    y, x = np.mgrid[:60, :80]
    with h5py.File(path, "w") as f:
        line = f.create_dataset("line", data=np.sin(np.linspace(0, 12.56, 500)))
        line.attrs["units"] = "mV"
        line.attrs["offset"] = np.float32(1.5)
        f.create_dataset("heat", data=np.exp(-((y - 30) ** 2 + (x - 40) ** 2) / 300).astype("f4"), compression="gzip")
        rows = np.array([(1, 2.5, b"ab"), (3, 4.5, b"cd")], dtype=[("count", "i4"), ("mean", "f8"), ("name", "S4")])
        f.create_dataset("table", data=rows)
        f.create_dataset("words", data=np.array(["alpha", "beta", "gämma"], dtype=h5py.string_dtype()))
        f.create_dataset("word", data="a single word")
        f.create_dataset("gaps", data=np.array([1, np.nan, 3, np.inf]))
        f.create_dataset("states", data=np.array([0, 1, 1], dtype=h5py.enum_dtype({"OFF": 0, "ON": 1}, basetype="i1")))
        f.create_dataset("flags", data=np.array([True, False, True]))
        f.create_dataset("z", data=np.array([1 + 2j, 3 - 1j]))
        f.create_dataset("cube", data=np.arange(24.0).reshape(2, 3, 4))
        inner = f.create_group("inner")
        inner.attrs["kind"] = "a group's attribute"
        inner["deep/deeper"] = np.arange(6).reshape(2, 3)
        f["soft"] = h5py.SoftLink("/line")
        f["gone"] = h5py.SoftLink("/nowhere")
    return path


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("h5web") / "lab"
    (folder / "day 2").mkdir(parents=True)
    write_shapes(folder / "day 2" / "shapes.h5")
    write_system(folder / "dish", culture(100, 5))
    return folder


@pytest.fixture(scope="module")
def server(start: Start, lab: Path) -> Running:
    running = start(lab)
    wait_for(lambda: b"shapes.h5" in fetch(f"{running.url}api/sources"), "the file in the list")
    return running


def open_from_home(server: Running, look: Open, name: str, **size: object) -> Watched:
    """Click the way into a file on the home page."""
    watched = look(f"{server.url}?page=home", **size)
    link = watched.page.locator(f"[data-testid=source][data-id^={name}] [data-testid=look-inside]")
    link.click()
    tree(watched.page).first.wait_for()
    return watched


def tree(page: Page) -> Locator:
    return page.locator("[role=treeitem]")


def choose(page: Page, path: str) -> None:
    page.locator(f'[role=treeitem][data-path="{path}"]').click()
    page.wait_for_function("(path) => document.querySelector('[data-testid=h5web]').dataset.path === path", arg=path)


def main(page: Page) -> str:
    return page.locator("#h5w-main-area").inner_text()


def sees(page: Page, *words: str) -> None:
    wait_for(lambda: all(word in main(page) for word in words), f"{words}, not {main(page)!r}")


def cells(page: Page) -> list[str]:
    return page.locator("#h5w-main-area [role=cell], #h5w-main-area [class*=dataCell]").all_inner_texts()


def test_the_tree_opens_from_the_home_page(server: Running, look: Open) -> None:
    watched = open_from_home(server, look, "shapes")
    page = watched.page
    wait_for(lambda: [n for n in tree(page).all_inner_texts() if n in NAMES] == NAMES, "the tree")
    assert tree(page).count() == 1 + len(NAMES)
    choose(page, "/inner")
    choose(page, "/inner/deep")
    choose(page, "/inner/deep/deeper")
    sees(page, "Heatmap")
    wait_for(lambda: linked(page).get("at") == "/inner/deep/deeper", f"the link, not {href(page)}")
    again = look(href(page))
    sees(again.page, "deeper", "Heatmap")
    assert watched.problems + again.problems == []
    assert {urlsplit(url).netloc for url in watched.requests if url.startswith("http")} == {urlsplit(server.url).netloc}


def test_every_kind_of_data_set_is_shown(server: Running, look: Open) -> None:
    watched = open_from_home(server, look, "shapes")
    page = watched.page
    for path, words in {
        "/table": ("count", "mean", "name", "ab", "cd"),
        "/words": ("alpha", "beta", "gämma"),
        "/word": ("a single word",),
        "/cube": ("Heatmap", "D2"),
        "/z": ("Amplitude",),
    }.items():
        choose(page, path)
        sees(page, *words)
    for path, values in {"/states": ["OFF", "ON", "ON"], "/flags": ["true", "false", "true"]}.items():
        choose(page, path)
        page.get_by_role("tab", name="Matrix").click()
        wait_for(lambda values=values: cells(page) == values, f"{values}, not {cells(page)}")
    choose(page, "/gaps")
    page.get_by_role("tab", name="Matrix").click()
    wait_for(lambda: len(cells(page)) == 4 and "NaN" in cells(page)[1], f"NaN, not {cells(page)}")
    assert watched.problems == []


def test_attributes_are_told(server: Running, look: Open) -> None:
    watched = open_from_home(server, look, "shapes")
    page = watched.page
    choose(page, "/line")
    page.get_by_role("tab", name="Inspect").click()
    sees(page, "units", "mV", "offset", "1.5", "500")
    choose(page, "/inner")
    sees(page, "kind", "a group's attribute")
    assert watched.problems == []


BLUE_AND_YELLOW = """() => {
    const canvas = document.querySelector('#h5w-main-area canvas');
    return canvas !== null && canvas.width > 100;
}"""


def pixels(page: Page) -> np.ndarray:
    """The plot's pixels, as they are on the screen."""
    import io

    from PIL import Image

    shot = page.locator("#h5w-main-area canvas").first.screenshot()
    return np.asarray(Image.open(io.BytesIO(shot)).convert("RGB")).astype(int)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_a_heat_map_has_its_own_colours_in_both_themes(server: Running, look: Open, theme: str) -> None:
    watched = open_from_home(server, look, "shapes", theme=theme)
    page = watched.page
    choose(page, "/heat")
    page.wait_for_function(
        BLUE_AND_YELLOW,
    )

    def middle_is_yellow() -> bool:
        found = pixels(page)
        r, g, b = found[found.shape[0] // 2, found.shape[1] // 2]
        return bool(r > 200 and g > 180 and b < 110)

    wait_for(middle_is_yellow, "the bright middle of viridis")
    background = page.evaluate(
        "getComputedStyle(document.querySelector('[data-testid=h5web] [data-fullscreen-root]')).filter"
    )
    assert background == ("invert(1)" if theme == "dark" else "none")
    assert watched.problems == []


def test_a_line_is_drawn(server: Running, look: Open) -> None:
    watched = open_from_home(server, look, "shapes")
    choose(watched.page, "/line")

    def columns_with_line() -> int:
        found = pixels(watched.page)
        blue = (found[..., 2] > 120) & (found[..., 0] < 90)
        return int(blue.any(axis=0).sum())

    wait_for(lambda: columns_with_line() > 300, "the curve over the width of the plot")
    assert watched.problems == []


def test_the_theme_key_turns_it_over(server: Running, look: Open) -> None:
    watched = open_from_home(server, look, "shapes", theme="light")
    page = watched.page
    host = page.get_by_test_id("h5web")
    assert host.get_attribute("data-dark") == "false"
    page.get_by_test_id("theme-toggle").click()
    page.get_by_test_id("theme-toggle").click()
    wait_for(lambda: host.get_attribute("data-dark") == "true", "the dark theme")


def test_a_network_lists_its_files(server: Running, look: Open) -> None:
    watched = open_from_home(server, look, "dish")
    page = watched.page
    files = page.get_by_test_id("file-select")
    names = ["cells.h5", "connections.h5"]
    wait_for(lambda: files.locator("option").all_inner_texts() == names, "the files of the network")
    choose(page, "/H5Types")  # enums: HSDS's own answers break H5Web here
    choose(page, "/H5Types/Populations")
    sees(page, "Compound", "EXC", "INH")
    files.select_option(label="connections.h5")
    page.locator('[role=treeitem][data-path="/Projections"]').wait_for()
    wait_for(lambda: linked(page).get("file") == "connections.h5", f"the link, not {href(page)}")
    assert watched.problems == []


def test_cells_and_images_lead_inside(server: Running, look: Open) -> None:
    watched = look(f"{server.url}?image=" + image_id(server))
    page = watched.page
    page.get_by_test_id("metadata").locator("summary").first.click()
    page.get_by_test_id("look-inside").click()
    tree(page).first.wait_for()
    page.go_back()
    page.get_by_test_id("image").wait_for()
    assert watched.problems == []


def image_id(server: Running) -> str:
    import json

    def heat() -> str:
        for source in json.loads(fetch(f"{server.url}api/sources")):
            for tensor in source["tensors"] or []:
                if tensor["array_id"].endswith("/heat"):
                    return str(tensor["array_id"])
        return ""

    wait_for(lambda: heat() != "", "the arrays of the file")
    return heat()


def test_nothing_of_it_is_in_other_pages(server: Running, look: Open) -> None:
    watched = look(f"{server.url}?page=home")
    watched.page.get_by_test_id("source").first.wait_for()
    assert not [url for url in watched.requests if "InsidePage" in url]
    named = set(re.findall(r"assets/[^\"]+\.(?:js|css)", fetch(server.url).decode()))
    assert not [name for name in named if "Inside" in name]


def test_what_is_no_hdf5_file_says_so(server: Running, look: Open) -> None:
    watched = look(f"{server.url}?inside=no-such-source")
    error = watched.page.get_by_test_id("error")
    error.wait_for()
    assert error.get_attribute("data-code") == "source_not_found"


def test_a_phone_begins_with_the_tree(server: Running, look: Open) -> None:
    watched = open_from_home(server, look, "shapes", width=390, height=844)
    page = watched.page
    wait_for(lambda: tree(page).first.is_visible(), "the tree")
    choose(page, "/heat")
    page.locator(".h5web canvas").first.wait_for()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    # Tree, plot and its tools are one below the other, and whole; nothing is to be found by moving sideways.
    parts = page.locator(".h5web [data-panel], .h5web [role=tab], .h5web canvas")

    def outside() -> list[object]:
        spans = """(all) => all.map((part) => {
            const box = part.getBoundingClientRect();
            return part.getClientRects().length > 0 ? [box.left, box.right] : [-1, -1];
        })"""
        return [span for span in parts.evaluate_all(spans) if span[0] < 0 or span[1] > 391]

    wait_for(lambda: parts.count() > 4 and outside() == [], "a plot as wide as there is room")
    assert page.evaluate("getComputedStyle(document.querySelector('.h5web')).overflowX") == "hidden"
    assert watched.problems == []


def test_what_is_ours_is_accessible(server: Running, look: Open) -> None:
    for theme in ("light", "dark"):
        watched = open_from_home(server, look, "dish", theme=theme)
        watched.page.evaluate((ROOT / "viewer" / "node_modules" / "axe-core" / "axe.min.js").read_text())
        found = watched.page.evaluate("axe.run({exclude: [['.h5web']]})")["violations"]
        assert [(v["id"], [n["html"][:200] for n in v["nodes"]]) for v in found] == []
