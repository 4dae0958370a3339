"""The home page with ten thousand sources, on a phone, and what it asks for and weighs."""

from __future__ import annotations

import gzip
import json
import re
import urllib.parse
from collections.abc import Callable
from typing import Any

import home_pages
import pytest
from conftest import (
    ROOT,
    Open,
    Running,
    fetch,
    linked,
    repainted,
    wait_for,
)
from home_pages import DESK, NAMES, at_rest, item, listing, shown
from playwright.sync_api import Page, Route

lab = home_pages.lab
server = home_pages.server

PHONE = {"width": 390, "height": 844}


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
