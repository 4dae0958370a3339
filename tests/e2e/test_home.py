"""The home page as a person meets it: a folder of cells, images and a damaged file, in real Chromium."""

from __future__ import annotations

import gzip
import json
import os
import re
import shutil
import time
import urllib.parse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import (
    ROOT,
    Open,
    Running,
    Start,
    Watched,
    fetch,
    href,
    linked,
    repainted,
    visitor,
    wait_for,
)
from playwright.sync_api import Locator, Page, Route
from surroundings import free_port

from zarr_files import axes, datasets, pyramid, write_group, write_image

DESK = {"width": 1280, "height": 800}
PHONE = {"width": 390, "height": 844}
NAMES = ["blobs.ome.zarr", "cut.h5ad", "pbmc.h5ad", "scan.zarr", "stack.ome.zarr"]


def blobs(height: int, width: int, seed: int = 0) -> np.ndarray[Any, Any]:
    """A picture of a few bright spots."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    picture = np.zeros((height, width))
    for _ in range(40):
        cy, cx, size = rng.uniform(0, height), rng.uniform(0, width), rng.uniform(4, 14)
        picture += np.exp(-((y - cy) ** 2 + (x - cx) ** 2) / (2 * size**2))
    return (picture / picture.max() * 4000).astype("uint16")


def image(path: Path, data: np.ndarray[Any, Any], names: str) -> Path:
    """An OME-Zarr image of two levels."""
    levels = datasets(2, [1.0] * data.ndim)
    ome = {"multiscales": [{"axes": axes(names), "datasets": levels, "name": path.name}]}
    return write_image(path, pyramid(data, 2), ome, chunks=(1,) * (data.ndim - 2) + (128, 128))


def fill(folder: Path, pbmc: Path) -> Path:
    """Cells, an image, a stack two folders down, a scan of three images, and a file that is cut short."""
    folder.mkdir()
    shutil.copy(pbmc, folder / "pbmc.h5ad")
    image(folder / "blobs.ome.zarr", np.stack([blobs(300, 400, i) for i in range(3)]), "cyx")
    deep = folder / "plate 3" / "day 2"
    deep.mkdir(parents=True)
    image(deep / "stack.ome.zarr", np.stack([blobs(200, 200, i) for i in range(5)]), "zyx")
    scan = write_group(folder / "scan.zarr", {"ome": {"version": "0.5", "bioformats2raw.layout": 3}})
    write_group(scan / "OME", {"ome": {"version": "0.5", "series": ["0", "1", "2"]}})
    for number in range(3):
        image(scan / str(number), blobs(150, 150, number), "yx")
    (folder / "cut.h5ad").write_bytes(pbmc.read_bytes()[:5000])
    an_hour_ago = time.time() - 3600
    for path in folder.rglob("*"):
        os.utime(path, (an_hour_ago, an_hour_ago))  # what was written just now may still be growing
    return folder


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory, pbmc: Path) -> Path:
    return fill(tmp_path_factory.mktemp("home") / "lab", pbmc)


@pytest.fixture(scope="module")
def server(start: Start, lab: Path) -> Running:
    return start(lab)


def listing(page: Page) -> Locator:
    return page.get_by_test_id("listing")


def shown(page: Page) -> list[str]:
    """The names on the screen, from the top."""
    names: list[str] = page.get_by_test_id("source").evaluate_all(
        """(items) => items.sort((a, b) => Number(a.id.split('-')[1]) - Number(b.id.split('-')[1]))
                           .map((item) => item.querySelector('.open').textContent)"""
    )
    return names


def at_rest(watched: Watched, names: list[str]) -> None:
    """Wait until exactly these are listed, and every picture that can be there is."""
    page = watched.page
    wait_for(lambda: shown(page) == names, f"{names}, not {shown(page)}")
    wait_for(lambda: page.locator("[data-testid=thumbnail][data-state=waiting]").count() == 0, "pictures")


def item(page: Page, id_part: str) -> Locator:
    """A source by the beginning of its id: names are cut in two for the screen."""
    return page.locator(f"[data-testid=source][data-id^='{id_part}']")


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


def many(n: int) -> list[dict[str, Any]]:
    """Sources as a server of a large archive tells them."""
    made = []
    for i in range(n):
        tensor = {"name": "", "dim_labels": ["c", "y", "x"], "shape": [3, 512, 512], "chunk_shape": [1, 512, 512]}
        made.append(
            {
                "source_id": f"s{i:05d}", "name": f"plate_{i:05d}.ome.tif", "source_url": f"file:///lab/{i:05d}.tif",
                "source_type": "tiff", "kind": "images", "status": "ready", "version": "1", "size_bytes": 10**6 + i,
                "modified": 1.7e9 + i, "indexed_at": 1.7e9, "error": None, "metadata_json": None,
                "tensors": [{"array_id": f"s{i:05d}", "dtype": "uint16", **tensor}],
            }
        )  # fmt: skip
    return made


def serve_many(page: Page, sources: list[dict[str, Any]]) -> Callable[[], list[int]]:
    """Answer in the server's place; the offsets that were asked for."""
    asked: list[int] = []
    # A grey pixel, GIF.
    pixel = bytes.fromhex("47494638376101000100800000808080ffffff2c00000000010001000002024401003b")

    def answer(route: Route) -> None:
        url = urllib.parse.urlsplit(route.request.url)
        wanted = dict(urllib.parse.parse_qsl(url.query))
        if url.path.endswith("/api/catalog"):
            by_kind = {"images": len(sources)}
            body = {"revision": 1, "sources": len(sources), "by_kind": by_kind, "failed": 0, "scanning": False}
            return route.fulfill(json={**body, "scanned": True, "roots": ["lab"]})
        if "/api/thumbnail/" in url.path:
            return route.fulfill(body=pixel, content_type="image/gif")
        begin, limit = int(wanted["offset"]), int(wanted["limit"])
        asked.append(begin)
        part = sources[begin : begin + limit]
        return route.fulfill(body=json.dumps(part), headers={"X-Total-Sources": str(len(sources))})

    page.route("**/api/**", answer)
    return lambda: asked


SCROLL = """async ([step, count]) => {
    const box = document.querySelector('[data-testid=listing]');
    let most = 0;
    for (let i = 0; i < count; i++) {
        box.scrollTop += step;
        await new Promise(requestAnimationFrame);
        most = Math.max(most, document.querySelectorAll('*').length);
    }
    return most;
}"""
FRAMES = 60


def work_ms(page: Page, act: Callable[[], Any]) -> tuple[float, Any]:
    """CPU time of the page's main thread: unlike frame times, it does not tell how busy the machine is."""
    session = page.context.new_cdp_session(page)
    session.send("Performance.enable", {"timeDomain": "threadTicks"})

    def now() -> float:
        metrics = session.send("Performance.getMetrics")["metrics"]
        return float(next(m["value"] for m in metrics if m["name"] == "TaskDuration"))

    before = now()
    result = act()
    return (now() - before) * 1000, result


@pytest.mark.parametrize(("view", "size"), [("cards", DESK), ("table", DESK), ("cards", PHONE)])
def test_ten_thousand_sources_scroll_smoothly(server: Running, look: Open, view: str, size: dict[str, int]) -> None:
    watched = look("about:blank", **size)
    page = watched.page

    sources: list[dict[str, Any]] = []
    asked = serve_many(page, sources)

    def scrolled(count: int) -> float:
        """The work of scrolling in so many sources."""
        sources[:] = many(count)
        page.goto("about:blank")  # else it opens where it was left
        asked().clear()
        page.goto(f"{server.url}?page=home&view={view}")
        wait_for(lambda: "plate_00000.ome.tif" in shown(page), "the first")
        wait_for(lambda: f"{count:,} sources" in page.get_by_test_id("counts").inner_text(), "their number")
        assert asked() == [0] or asked() == [0, 0], "one page to begin with"
        page.evaluate(SCROLL, [60, FRAMES])  # until it is compiled
        spent, most = work_ms(page, lambda: page.evaluate(SCROLL, [600, FRAMES]))
        assert most < 1500, "elements"
        return spent

    few, all_of_them = scrolled(2000), scrolled(10_000)
    assert all_of_them < 2 * few, "five times as many are as much work"
    listing(page).focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("End")
    wait_for(lambda: "plate_09999.ome.tif" in shown(page), "the last")
    wait_for(lambda: 9800 in asked(), "the last page")
    assert page.evaluate("document.querySelectorAll('*').length") < 1500
    assert watched.problems == []


def test_what_is_read_stays_in_place_when_others_come(server: Running, look: Open) -> None:
    watched = look("about:blank", **DESK)
    page = watched.page
    sources = many(1000)
    revision = [1]
    serve_many(page, sources)

    def catalog(route: Route) -> None:
        body = {"revision": revision[0], "sources": len(sources), "by_kind": {}, "failed": 0}
        route.fulfill(json={**body, "scanning": False, "scanned": True, "roots": ["lab"]})

    page.route("**/api/catalog", catalog)
    page.goto(f"{server.url}?page=home&view=table")
    wait_for(lambda: "plate_00000.ome.tif" in shown(page), "the first")
    listing(page).evaluate("(box) => { box.scrollTop = 3400 }")
    where = "[data-id=s00105]"
    page.locator(where).wait_for()

    def place() -> float:
        box = page.locator(where).bounding_box()
        assert box is not None
        return float(box["y"])

    before = at_rest_at(page, place)
    sources[:0] = [{**s, "source_id": f"n{i}", "name": f"a_{i}.tif"} for i, s in enumerate(many(7))]
    revision[0] = 2
    wait_for(lambda: page.locator(where).get_attribute("id") == "source-112", "the new ones")
    assert at_rest_at(page, place) == pytest.approx(before, abs=1)
    assert watched.problems == []


def at_rest_at(page: Page, place: Callable[[], float]) -> float:
    """Where something is once it no longer moves."""
    found = [place()]

    def stays() -> bool:
        repainted(page)
        found.append(place())
        return len(found) > 5 and len(set(found[-5:])) == 1

    wait_for(stays, "what no longer moves")
    return found[-1]


def test_a_phone_has_room_for_it(server: Running, look: Open) -> None:
    for view in ("cards", "table"):
        watched = look(f"{server.url}?page=home&view={view}", **PHONE)
        at_rest(watched, NAMES)
        page = watched.page
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        assert listing(page).evaluate("(box) => box.scrollWidth <= box.clientWidth")
        for button in page.locator(".toolbar button, .toolbar select, .top-bar button").all():
            box = button.bounding_box()
            assert box is None or box["height"] >= 40
        item(page, "scan").click()
        wait_for(lambda page=page: "image" in linked(page), "the image")  # type: ignore[misc]


def violations(page: Page) -> list[Any]:
    page.evaluate((ROOT / "viewer" / "node_modules" / "axe-core" / "axe.min.js").read_text())
    found = page.evaluate("axe.run()")["violations"]
    return [(v["id"], [n["html"] for n in v["nodes"]]) for v in found if v["impact"] in ("serious", "critical")]


@pytest.mark.parametrize(("theme", "size"), [("light", DESK), ("dark", PHONE)])
def test_accessibility(server: Running, look: Open, theme: str, size: dict[str, int]) -> None:
    for view in ("cards", "table"):
        watched = look(f"{server.url}?page=home&view={view}", theme=theme, **size)
        at_rest(watched, NAMES)
        page = watched.page
        item(page, "cut").click()
        page.get_by_test_id("failure").wait_for()
        assert violations(page) == []
        page.get_by_test_id("search").fill("no such thing")
        page.get_by_test_id("empty").wait_for()
        assert violations(page) == []


def test_the_shell_and_the_cells_are_small(server: Running) -> None:
    """What the page names is what cells need before the first of them is drawn."""
    page = fetch(server.url).decode()
    scripts = set(re.findall(r"assets/[^\"]+\.js", page))
    assert any("CellsPage" in name for name in scripts)
    assert sum(len(gzip.compress(fetch(server.url + name))) for name in scripts) <= 250_000


def test_nothing_is_asked_of_another_origin(server: Running, look: Open) -> None:
    watched = look(server.url)
    at_rest(watched, NAMES)
    origins = {urllib.parse.urlsplit(u).netloc for u in watched.requests if not u.startswith(("data:", "blob:"))}
    assert origins == {urllib.parse.urlsplit(server.url).netloc}
    assert not any(re.search(r"\.(ttf|woff2?)", u) for u in watched.requests)
