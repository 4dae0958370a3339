"""A browser that draws nothing, as on a remote desktop: every page says so, also once its data has come."""

from __future__ import annotations

import shutil
import warnings
from pathlib import Path

import pytest
from conftest import Running, Start, visitor, wait_for
from home_pages import blobs, image
from playwright.sync_api import Browser
from tissue_pages import visium

from coverslip.testing.networks import hippocampus, write_system

BLIND = """
const given = HTMLCanvasElement.prototype.getContext;
HTMLCanvasElement.prototype.getContext = function (kind, ...more) {
    return kind.startsWith("webgl") ? null : given.call(this, kind, ...more);
};
"""


@pytest.fixture(scope="module")
def server(start: Start, tmp_path_factory: pytest.TempPathFactory, pbmc: Path) -> Running:
    folder = tmp_path_factory.mktemp("blind")
    shutil.copy(pbmc, folder / "pbmc.h5ad")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # anndata tells what its next versions will do
        visium().write_h5ad(folder / "brain.h5ad")
    image(folder / "blobs.ome.zarr", blobs(100, 120), "yx")
    (folder / "culture").mkdir()
    write_system(folder / "culture", hippocampus(100))
    return start(folder)


@pytest.mark.parametrize("name", ["pbmc.h5ad", "brain.h5ad", "blobs.ome.zarr", "culture"])
def test_a_page_that_cannot_draw_says_so(server: Running, browser: Browser, name: str) -> None:
    with visitor(browser, viewport={"width": 1280, "height": 800}) as context:
        context.add_init_script(BLIND)
        page = context.new_page()
        page.goto(server.url)
        page.get_by_test_id("source").filter(has_text=name).locator("a.open").click()
        page.locator('[data-state="ready"]').first.wait_for()
        said = page.locator('[data-code="no_webgl2"]').first
        said.wait_for()
        assert "hardware acceleration" in said.inner_text()
        problems = page.locator('[data-testid="error"]:not([data-code="no_webgl2"]), [data-testid="tissue-error"]')
        wait_for(lambda: problems.count() == 0, "no other word about it")
