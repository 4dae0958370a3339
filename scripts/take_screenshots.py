"""Pictures of the viewer on a given file, taken in the system's Chromium: ``take_screenshots.py FILE FOLDER``."""

from __future__ import annotations

import sys
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright
from surroundings import CHROMIUM, CHROMIUM_FLAGS

from coverslip.server import AnnDataServer

DESKTOP, PHONE = (1280, 800), (390, 844)
SHOTS = {
    "clusters-light": ("?color=field:bulk_labels&theme=light", DESKTOP),
    "clusters-dark": ("?color=field:bulk_labels&theme=dark", DESKTOP),
    "gene-light": ("?color=gene:CST3&theme=light", DESKTOP),
    "pca-3d-dark": ("?embedding=X_pca&dim=3&color=field:louvain&theme=dark", DESKTOP),
    "phone-light": ("?color=field:bulk_labels&theme=light", PHONE),
    "phone-dark": ("?color=gene:CST3&theme=dark", PHONE),
}


def ready(page: Page) -> None:
    """Wait until every cell is drawn in its final colour."""
    page.wait_for_selector('[data-testid="app"][data-state="ready"]')
    page.wait_for_function(
        """() => { const s = document.querySelector('[data-testid=scatter]').dataset;
        return Number(s.cells) > 0 && s.painted === s.cells && s.color !== 'none'; }"""
    )
    page.wait_for_timeout(500)


def take(browser: Browser, url: str, folder: Path) -> None:
    """Take every picture."""
    for name, (query, (width, height)) in SHOTS.items():
        page = browser.new_page(viewport={"width": width, "height": height}, device_scale_factor=1)
        page.on("console", lambda message: print(message.type, message.text, file=sys.stderr))
        page.on("pageerror", lambda error: print(error, file=sys.stderr))
        page.goto(url + query)
        ready(page)
        page.screenshot(path=folder / f"{name}.png")
        page.close()


def main(file: str, target: str) -> None:
    """Serve the file, look at it."""
    folder = Path(target)
    folder.mkdir(parents=True, exist_ok=True)
    server = AnnDataServer(file, port=0, quiet=True)
    server.start_background()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=CHROMIUM_FLAGS)
        take(browser, server.viewer_url, folder)
        browser.close()
    server.stop()


if __name__ == "__main__":
    main(*sys.argv[1:])
