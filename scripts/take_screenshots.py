"""Pictures of the viewer, taken in the system's Chromium: ``take_screenshots.py CELLS ND2 FOLDER``."""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright
from surroundings import CHROMIUM, CHROMIUM_FLAGS

from coverslip.cell_servers import AnnDataServer
from coverslip.testing.networks import hippocampus, write_system

Wait = Callable[[Page], None]
DESKTOP, PHONE = (1280, 800), (390, 844)
SHOTS = {
    "clusters-light": ("?color=field:bulk_labels&theme=light", DESKTOP),
    "clusters-dark": ("?color=field:bulk_labels&theme=dark", DESKTOP),
    "gene-light": ("?color=gene:CST3&theme=light", DESKTOP),
    "pca-3d-dark": ("?embedding=X_pca&dim=3&color=field:louvain&theme=dark", DESKTOP),
    "phone-light": ("?color=field:bulk_labels&theme=light", PHONE),
    "phone-dark": ("?color=gene:CST3&theme=dark", PHONE),
}


FOLDER_SHOTS = {
    "home-light": ("?theme=light", DESKTOP),
    "home-dark-phone": ("?theme=dark", PHONE),
    "image-dark": ("?image={nd2}&theme=dark", DESKTOP),
}
NETWORK_SHOTS = {"network-dark": ("?theme=dark", DESKTOP)}
DICOM = ("CT_small.dcm", "examples_palette.dcm", "MR_small.dcm", "examples_overlay.dcm")


def ready(page: Page) -> None:
    """Wait until every cell is drawn in its final colour."""
    page.wait_for_selector('[data-testid="app"][data-state="ready"]')
    page.wait_for_function(
        """() => { const s = document.querySelector('[data-testid=scatter]').dataset;
        return Number(s.cells) > 0 && s.painted === s.cells && s.color !== 'none'; }"""
    )
    page.wait_for_timeout(500)


def lasso(page: Page) -> None:
    """Draw around the right third of the plot, and keep what is in it as a group."""
    box = page.get_by_test_id("scatter").first.bounding_box()
    assert box is not None
    at = [(0.66, 0.3), (0.97, 0.3), (0.97, 0.75), (0.66, 0.75), (0.66, 0.3)]
    page.keyboard.press("l")
    x, y = at[0]
    page.mouse.move(box["x"] + x * box["width"], box["y"] + y * box["height"])
    page.mouse.down()
    for x, y in at[1:]:
        page.mouse.move(box["x"] + x * box["width"], box["y"] + y * box["height"], steps=8)
    page.mouse.up()


def kept(page: Page) -> None:
    """A group of cells, and a filter by a number."""
    ready(page)
    lasso(page)
    page.keyboard.press("g")
    page.get_by_test_id("group").wait_for()
    page.keyboard.press("Escape")
    page.keyboard.press("Escape")
    page.get_by_test_id("filter-add").select_option(label="n_genes")
    page.get_by_test_id("filter-min").fill("1200")
    page.keyboard.press("Enter")
    page.wait_for_timeout(1500)


def views(page: Page) -> None:
    """Two views beside each other."""
    ready(page)
    page.keyboard.press("n")
    page.get_by_test_id("scatter").nth(1).wait_for()
    page.wait_for_timeout(500)
    page.get_by_test_id("embedding-select").select_option("X_pca")
    page.get_by_test_id("color-select").select_option(label="louvain (11)")
    page.wait_for_timeout(3000)


def dots(page: Page) -> None:
    """Marker genes of every group."""
    ready(page)
    page.keyboard.press("a")
    page.get_by_test_id("markers").click()
    page.get_by_test_id("grid-gene").first.wait_for()
    page.wait_for_timeout(1500)


def volcano(page: Page) -> None:
    """Two groups compared."""
    ready(page)
    page.keyboard.press("a")
    page.get_by_test_id("tab-compare").click()
    for side, name in (("a", "CD19+ B"), ("b", "CD14+ Monocyte")):
        page.get_by_test_id(f"operand-{side}").select_option(label="bulk_labels")
        category = page.get_by_test_id(f"operand-{side}-category")
        category.wait_for()
        labels = category.locator("option").all_inner_texts()
        category.select_option(label=next(text for text in labels if text.startswith(name)))
    page.get_by_test_id("analysis-matrix").select_option("raw")
    page.get_by_test_id("compare").click()
    page.get_by_test_id("volcano").wait_for()
    page.wait_for_timeout(1500)


CELL_STEPS: dict[str, tuple[Wait, str]] = {
    "filters-light": (kept, "light"),
    "views-light": (views, "light"),
    "markers-light": (dots, "light"),
    "volcano-dark": (volcano, "dark"),
}


def network(page: Page) -> None:
    """Wait until a network is drawn."""
    page.wait_for_selector('[data-page="network"][data-state="ready"]')
    page.wait_for_timeout(4000)


def settled(page: Page) -> None:
    """Wait until pictures have come."""
    page.wait_for_selector('[data-testid="listing"], [data-testid="image"][data-state="ready"]')
    page.wait_for_timeout(3000)


def take(browser: Browser, url: str, folder: Path, shots: dict[str, tuple[str, tuple[int, int]]], wait: Wait) -> None:
    """Take every picture."""
    for name, (query, (width, height)) in shots.items():
        page = browser.new_page(viewport={"width": width, "height": height}, device_scale_factor=1)
        page.on("console", lambda message: print(message.type, message.text, file=sys.stderr))
        page.on("pageerror", lambda error: print(error, file=sys.stderr))
        page.goto(url + query)
        wait(page)
        page.screenshot(path=folder / f"{name}.png")
        page.close()


def laboratory(folder: Path, cells: Path, nd2: Path) -> Path:
    """A folder of real files: blood cells, a confocal stack, a head, scans."""
    folder.mkdir()
    for file in (cells, nd2, Path(str(files("nibabel") / "tests" / "data" / "anatomical.nii"))):
        shutil.copy(file, folder)
    for name in DICOM:
        shutil.copy(str(files("pydicom") / "data" / "test_files" / name), folder)
    return folder


def system(folder: Path) -> Path:
    """A neural system of two populations in layers."""
    write_system(folder, hippocampus(3000))
    return folder


def main(cells: str, nd2: str, target: str) -> None:
    """Serve the files, look at them."""
    folder = Path(target)
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as place, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=CHROMIUM_FLAGS)
        server = AnnDataServer(cells, port=0, quiet=True)
        server.start_background()
        take(browser, server.viewer_url, folder, SHOTS, ready)
        for name, (steps, theme) in CELL_STEPS.items():
            query = f"?color=field:bulk_labels&theme={theme}"
            take(browser, server.viewer_url, folder, {name: (query, DESKTOP)}, steps)
        server.stop()
        server = AnnDataServer(laboratory(Path(place) / "lab", Path(cells), Path(nd2)), port=0, quiet=True)
        server.start_background()
        while (counts := server.counts()) and counts["by_status"].get("ready", 0) < counts["sources"]:
            time.sleep(0.1)
        with urllib.request.urlopen(f"{server.url}/api/sources?search=nd2") as answer:
            id = json.load(answer)[0]["source_id"]
        shots = {name: (query.format(nd2=id), size) for name, (query, size) in FOLDER_SHOTS.items()}
        take(browser, server.viewer_url, folder, shots, settled)
        server.stop()
        server = AnnDataServer(system(Path(place) / "culture"), port=0, quiet=True)
        server.start_background()
        take(browser, server.viewer_url, folder, NETWORK_SHOTS, network)
        server.stop()
        browser.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
