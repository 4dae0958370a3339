"""The home page as a person meets it: a folder of cells, images and a damaged file, in real Chromium."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import home_pages
from conftest import (
    Open,
    Running,
    Start,
    Watched,
    href,
    linked,
    visitor,
    wait_for,
)
from home_pages import DESK, NAMES, at_rest, fill, item, listing, shown
from playwright.sync_api import Page, Route
from surroundings import free_port

lab = home_pages.lab
server = home_pages.server


def asks(page: Page, /, **query: str) -> None:
    """Wait until the link says just this."""
    wait_for(lambda: linked(page) == query, f"{query} in the link, not {linked(page)}")


def test_a_folder_opens_on_everything_in_it(server: Running, look: Open) -> None:
    watched = look(server.url)
    at_rest(watched, NAMES)
    page = watched.page
    asks(page, page="home")
    source = page.get_by_test_id("source")
    wanted = ["cells failed", "cells ready", "images ready", "images ready", "images ready"]
    kinds = "(all) => all.map((s) => `${s.dataset.kind} ${s.dataset.status}`).sort()"
    wait_for(lambda: source.evaluate_all(kinds) == wanted, f"{wanted}, not {source.evaluate_all(kinds)}")
    wide = "(all) => all.filter((image) => image.naturalWidth > 50).length"
    wait_for(lambda: page.locator("[data-testid=source] img").evaluate_all(wide) == 4, "four pictures")
    told = page.get_by_test_id("counts")
    wait_for(lambda: told.inner_text().startswith("5 sources"), f"5 sources, not {told.inner_text()}")
    kind = page.get_by_test_id("kind-images")
    wait_for(lambda: kind.inner_text().split() == ["Images", "3"], f"3 images, not {kind.inner_text()}")
    assert watched.problems == []


def test_the_table_tells_what_each_is(server: Running, look: Open) -> None:
    watched = look(f"{server.url}?page=home&view=table")
    at_rest(watched, NAMES)
    stack = item(watched.page, "stack")
    # Names are there at once; what is in a source is, once it was opened.
    told = ("Images", "200 × 200, 5 z", "uint16", "plate 3/day 2", "Ready")
    wait_for(lambda: all(text in stack.inner_text() for text in told), f"{told} in the table")
    wait_for(lambda: "400 × 300" in item(watched.page, "blobs").inner_text(), "the other image")
    assert re.search(r"(today|yesterday) \d\d:\d\d", stack.inner_text())
    channels = item(watched.page, "blobs").locator(".channels")
    wait_for(lambda: channels.inner_text() == "3", "its channels")
    assert listing(watched.page).get_attribute("role") == "treegrid"
    assert listing(watched.page).get_attribute("aria-rowcount") == "6"


def test_search_filter_and_sort_are_in_the_link(server: Running, look: Open) -> None:
    watched = look(f"{server.url}?page=home&view=table")
    page = watched.page
    at_rest(watched, NAMES)
    page.keyboard.press("/")
    page.keyboard.type("stack")
    wait_for(lambda: shown(page) == ["stack.ome.zarr"], "the search")
    wait_for(lambda: linked(page).get("search") == "stack", "the link")
    wait_for(lambda: "1 match" in page.get_by_test_id("counts").inner_text(), "the count")
    page.keyboard.press("Escape")
    wait_for(lambda: shown(page) == NAMES, "everything again")
    page.get_by_test_id("kind-images").click()
    wait_for(lambda: shown(page) == ["blobs.ome.zarr", "scan.zarr", "stack.ome.zarr"], "images")
    page.get_by_test_id("sort-name").click()
    wait_for(lambda: shown(page) == ["stack.ome.zarr", "scan.zarr", "blobs.ome.zarr"], "the order")
    wait_for(lambda: {"kind", "sort"} <= linked(page).keys(), f"the link, not {href(page)}")
    again = look(href(page))
    at_rest(again, ["stack.ome.zarr", "scan.zarr", "blobs.ome.zarr"])
    assert listing(again.page).get_attribute("data-look") == "table"
    page.get_by_test_id("search").fill("no such thing")
    page.get_by_test_id("empty").wait_for()
    page.get_by_test_id("clear").click()
    wait_for(lambda: len(shown(page)) == 5, "everything again")
    assert watched.problems == []


def test_a_damaged_file_says_why_and_what_to_do(server: Running, look: Open, lab: Path) -> None:
    watched = look(f"{server.url}?page=home&view=table")
    at_rest(watched, NAMES)
    page = watched.page
    page.get_by_text("1 could not be read").click()
    wait_for(lambda: shown(page) == ["cut.h5ad"], "the failed one")
    wait_for(lambda: item(page, "cut").get_attribute("data-status") == "failed", "its failure")
    item(page, "cut").click()
    failure = page.get_by_test_id("failure")
    assert failure.get_attribute("data-code") == "damaged"
    assert "cut.h5ad" in failure.inner_text()
    assert str(lab.parent) not in page.locator("body").inner_text()
    asks(page, page="home", view="table", status="failed")
    assert watched.problems == []


def test_an_image_opens_and_back_leads_to_the_same_place(server: Running, look: Open) -> None:
    watched = look(f"{server.url}?page=home&kind=images")
    names = ["blobs.ome.zarr", "scan.zarr", "stack.ome.zarr"]
    at_rest(watched, names)
    page = watched.page
    item(page, "blobs").click()
    page.get_by_test_id("place").get_by_text("blobs").wait_for()
    wait_for(lambda: linked(page).get("image", "").startswith("blobs"), "the link")
    assert page.get_by_test_id("app").get_attribute("data-page") == "image"
    page.go_back()
    at_rest(watched, names)
    asks(page, page="home", kind="images")
    page.go_forward()
    page.get_by_test_id("place").get_by_text("blobs").wait_for()
    page.get_by_test_id("home-link").click()
    at_rest(watched, NAMES)
    assert watched.problems == []


def test_cells_open_and_their_link_can_be_shared(server: Running, look: Open) -> None:
    watched = look(f"{server.url}?page=home&theme=dark")
    at_rest(watched, NAMES)
    page = watched.page
    item(page, "pbmc").click()
    watched.ready("field:bulk_labels")
    assert watched.attribute("cells") == "700"
    wait_for(lambda: "color" in linked(page), "the link")
    assert linked(page)["dataset"].startswith("pbmc")
    assert linked(page)["theme"] == "dark"
    other = look(href(page))
    other.ready("field:bulk_labels")
    page.go_back()
    at_rest(watched, NAMES)
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"
    page.get_by_test_id("theme-toggle").click()
    item(page, "pbmc").click()
    watched.ready("field:bulk_labels")
    wait_for(lambda: "dataset" in linked(page) and "theme" not in linked(page), "a link without a theme")
    assert watched.problems == []


def test_every_image_of_a_file_is_listed_and_opens(server: Running, look: Open) -> None:
    watched = look(f"{server.url}?page=home")
    at_rest(watched, NAMES)
    page = watched.page
    item(page, "scan").get_by_role("button", name="3 images").click()
    arrays = page.get_by_test_id("array")
    wait_for(lambda: arrays.count() == 3, "three images")
    wait_for(lambda: page.locator("[data-testid=array] img").count() == 3, "their pictures")
    arrays.nth(1).click()
    wait_for(lambda: linked(page).get("image", "").endswith("/1"), "the second image")
    page.go_back()
    wait_for(lambda: page.get_by_test_id("array").count() == 3, "the list as it was left")
    assert watched.problems == []


def test_everything_goes_by_keyboard(server: Running, look: Open) -> None:
    watched = look(f"{server.url}?page=home&view=table")
    at_rest(watched, NAMES)
    page = watched.page

    def active() -> str:
        id: str = listing(page).get_attribute("aria-activedescendant") or ""
        return page.locator(f"#{id} .open").inner_text().replace("\n", "") if id else ""

    def press(*keys: str, leads_to: str) -> None:
        for key in keys:
            page.keyboard.press(key)
        wait_for(lambda: active() == leads_to, f"{leads_to}, not {active()}")

    wait_for(lambda: item(page, "scan").get_attribute("data-status") == "ready", "what is in the scan")
    page.keyboard.press("/")
    page.keyboard.press("ArrowDown")
    press("ArrowDown", leads_to="blobs.ome.zarr")
    press("End", leads_to="stack.ome.zarr")
    press("ArrowUp", leads_to="scan.zarr")
    page.keyboard.press("ArrowRight")
    wait_for(lambda: page.get_by_test_id("array").count() == 3, "three images")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    second = page.get_by_test_id("array").nth(1).get_attribute("id")
    wait_for(lambda: listing(page).get_attribute("aria-activedescendant") == second, "the second image")
    page.keyboard.press("Enter")
    wait_for(lambda: linked(page).get("image", "").endswith("/1"), "the second image")
    page.go_back()
    listing(page).wait_for()
    wait_for(lambda: page.evaluate("document.activeElement.dataset.testid") == "listing", "the focus")
    page.keyboard.press("?")
    page.get_by_role("dialog").get_by_text("Move over the sources").wait_for()
    page.keyboard.press("Escape")
    page.get_by_role("dialog").wait_for(state="hidden")
    assert watched.problems == []


def test_files_come_and_go_while_the_page_is_open(start: Start, look: Open, tmp_path: Path, pbmc: Path) -> None:
    lab = fill(tmp_path / "lab", pbmc)
    watched = look(f"{start(lab).url}?page=home&view=table")
    at_rest(watched, NAMES)
    page = watched.page
    page.get_by_test_id("search").focus()
    for _ in range(3):
        page.keyboard.press("ArrowDown")

    def active() -> int:
        return int((listing(page).get_attribute("aria-activedescendant") or "-0").split("-")[1])

    wait_for(lambda: active() == 1, "the second source")
    (lab / "a.part").write_bytes(pbmc.read_bytes())
    (lab / "a.part").rename(lab / "another.h5ad")
    wait_for(lambda: shown(page) == ["another.h5ad", *NAMES], "the new file")
    wait_for(lambda: active() == 2, "the same source")
    assert page.evaluate("document.activeElement.dataset.testid") == "listing"
    shutil.rmtree(lab / "blobs.ome.zarr")
    (lab / "another.h5ad").unlink()
    wait_for(lambda: shown(page) == NAMES[1:], "the deleted ones")
    shutil.copy(pbmc, lab / "cut.h5ad")
    wait_for(lambda: item(page, "cut").get_attribute("data-status") == "ready", "the mended one")
    # A picture that was asked for while its file went is refused, which the browser notes.
    assert [p for p in watched.problems if "404" not in p] == []


def test_the_page_outlives_its_server(start: Start, look: Open, lab: Path) -> None:
    port = free_port()
    server = start(lab, port=port)
    watched = look(f"{server.url}?page=home")
    at_rest(watched, NAMES)
    page = watched.page
    server.stop()
    page.locator("[data-testid=error][data-code=offline]").wait_for()
    assert shown(page) == NAMES
    start(lab, port=port)
    page.get_by_test_id("error").wait_for(state="detached")
    item(page, "pbmc").click()
    watched.ready()


def test_a_folder_of_nothing_says_what_to_do(start: Start, look: Open, tmp_path: Path, pbmc: Path) -> None:
    watched = look(start(tmp_path).url)
    watched.page.get_by_test_id("empty").get_by_text("Nothing found here").wait_for()
    assert ".h5ad" in watched.page.get_by_test_id("empty").inner_text()
    shutil.copy(pbmc, tmp_path / "first.h5ad")
    wait_for(lambda: shown(watched.page) == ["first.h5ad"], "the first file")
    assert watched.problems == []


def test_the_only_image_opens_at_once(start: Start, look: Open, lab: Path) -> None:
    watched = look(start(lab / "blobs.ome.zarr").url)
    watched.page.get_by_test_id("place").get_by_text("blobs").wait_for()
    wait_for(lambda: linked(watched.page).get("image", "").startswith("blobs"), "the link")
    watched.page.get_by_test_id("home-link").click()
    at_rest(watched, ["blobs.ome"])


def test_it_works_behind_a_path_prefix(server: Running, look: Open, browser: Any) -> None:
    """As behind a Jupyter proxy: every address in the page is relative."""
    base = f"{server.url}user/me/proxy/8080/"

    def forward(route: Route) -> None:
        if not route.request.url.startswith(base):
            return route.abort()
        return route.fulfill(response=route.fetch(url=server.url + route.request.url.removeprefix(base)))

    with visitor(browser, viewport=DESK) as context:
        page = context.new_page()
        page.route("**/*", forward)
        watched = Watched(page)
        page.on("console", watched.hear)
        page.goto(base)
        at_rest(watched, NAMES)
        item(page, "pbmc").click()
        watched.ready()
        page.go_back()
        at_rest(watched, NAMES)
        assert href(page) == f"{base}?page=home"
        assert watched.problems == []
        page.unroute_all(behavior="ignoreErrors")
