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
DICOM = ("CT_small.dcm", "examples_palette.dcm", "MR_small.dcm", "examples_overlay.dcm")


def ready(page: Page) -> None:
    """Wait until every cell is drawn in its final colour."""
    page.wait_for_selector('[data-testid="app"][data-state="ready"]')
    page.wait_for_function(
        """() => { const s = document.querySelector('[data-testid=scatter]').dataset;
        return Number(s.cells) > 0 && s.painted === s.cells && s.color !== 'none'; }"""
    )
    page.wait_for_timeout(500)


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


def main(cells: str, nd2: str, target: str) -> None:
    """Serve the files, look at them."""
    folder = Path(target)
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as place, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=CHROMIUM_FLAGS)
        server = AnnDataServer(cells, port=0, quiet=True)
        server.start_background()
        take(browser, server.viewer_url, folder, SHOTS, ready)
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
        browser.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
