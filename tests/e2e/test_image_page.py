"""The page around an image: links, what is saved, metadata, servers that go, accessibility, phones."""

from __future__ import annotations

import signal
import urllib.parse
from pathlib import Path

import image_pages
import numpy as np
import pytest
from conftest import (
    ROOT,
    Open,
    Running,
    Start,
    eventually,
    linked,
    repainted,
    wait_for,
)
from image_pages import CHANNELS, Seen, Show, Z, channel, decode_png, five, id_of, stripes, type_into

command = image_pages.command
folder = image_pages.folder
server = image_pages.server
show = image_pages.show

PHONE = {"width": 390, "height": 844}


def test_a_copied_link_shows_the_same(show: Show, look: Open) -> None:
    first = five(show, "&t=0&z=0")
    first.page.keyboard.press(".")
    first.page.keyboard.press("ArrowRight")
    channel(first, 0, "channel-visible").uncheck()
    channel(first, 1, "channel-color").fill("#aa5500")
    type_into(first, channel(first, 2, "window-to"), "1700")
    type_into(first, channel(first, 2, "gamma"), "0.5")
    first.page.keyboard.press("Escape")
    box = first.page.locator(".canvas-host").bounding_box()
    first.page.mouse.move(box["x"] + 400, box["y"] + 300)
    first.page.mouse.wheel(0, -250)
    first.page.mouse.move(5, 5)
    wait_for(lambda: first.data("camera") != "" and first.data("shown") == "1,2", "all that was asked for")
    first.ready()
    before = first.still()
    wait_for(lambda: {"view", "t"} <= linked(first.page).keys(), f"the link, not {first.href}")
    wait_for(lambda: linked(first.page)["channels"].count(":0.5") == 1, f"the last change in it, not {first.href}")
    second = Seen(look(first.href)).ready()

    def equal() -> None:
        for name in ("key", "shown", "zoom", "mode"):
            assert first.data(name) == second.data(name), name
        assert channel(second, 2, "gamma").input_value() == "0.5"
        different = np.abs(before.astype(int) - second.shot()).max(2) > 2
        assert different.mean() < 0.001

    eventually(equal)
    third = Seen(look(first.href, **PHONE)).ready()
    wait_for(lambda: numbers(third.data("camera")) == numbers(second.data("camera")), "the same camera on a phone")


def numbers(camera: str) -> list[float]:
    return [float(v) for v in camera.split(",") if v]


def test_a_link_of_nonsense_opens_the_image(show: Show) -> None:
    seen = show("five.ome.tif", "&t=99&z=-3&channels=77:zzz,1:12&mode=4d&view=a,b,c&labels=nowhere").ready()
    wait_for(lambda: seen.data("mode") == "plane" and "|t2," in seen.data("key"), "the plane that is nearest")


def test_the_picture_that_is_saved_is_what_is_seen(show: Show, tmp_path: Path) -> None:
    seen = five(show, "&t=1&z=2")
    seen.shows(stripes(1, 2))
    with seen.page.expect_download() as download:
        seen.page.get_by_test_id("screenshot").click()
    path = tmp_path / "saved.png"
    download.value.save_as(path)
    assert download.value.suggested_filename.endswith("_t2_z3.png")
    saved = decode_png(path.read_bytes())

    def as_shown() -> None:
        shown = seen.shot()
        assert saved.shape == shown.shape
        away = slice(0, shown.shape[0] * 3 // 4)
        same = np.abs(saved[away].astype(int) - shown[away]).max(2) <= 2
        assert same.mean() > 0.97, "all but the buttons over it"

    eventually(as_shown)
    assert (saved[-60:, -170:] == 255).all(2).sum() > 200, "its scale bar"


def test_metadata_is_read_and_searched(show: Show) -> None:
    seen = five(show)
    tree = seen.page.get_by_test_id("metadata")
    tree.locator("summary").first.click()
    seen.page.get_by_test_id("metadata-filter").fill("mCherry")
    tree.get_by_text("mCherry").first.wait_for()
    seen.page.get_by_test_id("metadata-filter").fill("no such thing")
    tree.get_by_text("Nothing here holds").wait_for()


def test_an_image_that_is_not_there_says_so(server: Running, look: Open) -> None:
    watched = look(f"{server.url}?image=nothing-here")
    error = watched.page.get_by_test_id("error")
    error.wait_for()
    assert "not_found" in (error.get_attribute("data-code") or "")
    assert watched.page.get_by_test_id("retry").is_visible()
    assert error.get_by_text("All sources").is_visible()


def test_a_server_that_goes_and_comes_back(start: Start, look: Open, folder: Path) -> None:
    first = start(folder)
    port = urllib.parse.urlsplit(first.url).port
    assert port is not None
    watched = look(f"{first.url}?image={id_of(first, 'five.ome.tif')}&channels={CHANNELS}&t=0&z=0")
    seen = Seen(watched).ready()
    first.stop(signal.SIGKILL)
    seen.page.keyboard.press(".")
    seen.page.locator("[data-testid=error][data-code=offline]").wait_for()
    assert seen.shot().max() > 0, "the page still draws"
    start(folder, port=port)
    seen.page.locator("[data-testid=error]").wait_for(state="detached")
    seen.ready().shows(stripes(0, 1))


def test_nothing_is_asked_of_another_origin_nor_twice(server: Running, show: Show) -> None:
    seen = five(show, "&t=0&z=0")
    channel(seen, 0, "channel-visible").uncheck()
    type_into(seen, channel(seen, 1, "window-to"), "1000")
    seen.ready()
    asked = [u for u in seen.watched.requests if not u.startswith(("data:", "blob:"))]
    assert {urllib.parse.urlsplit(u).netloc for u in asked} == {urllib.parse.urlsplit(server.url).netloc}
    tiles = [u for u in asked if "/api/tile/" in u]
    assert tiles
    assert len(tiles) == len(set(tiles)), "no tile is fetched twice"


def test_first_light_is_marked(show: Show) -> None:
    seen = five(show)
    marked = "performance.getEntriesByType('mark').map(m => m.name)"
    wait_for(lambda: {"coverslip:first-paint", "coverslip:all-painted"} <= set(seen.page.evaluate(marked)), "the marks")


def test_it_is_told_to_those_who_do_not_see_it(show: Show) -> None:
    told = five(show, "&t=2&z=0").page.locator(".canvas-host")

    def words() -> str:
        return str(told.get_attribute("aria-label"))

    wait_for(lambda: "DAPI, GFP, mCherry; t 3 of 3; z 1 of 4" in words(), f"what is shown, not {words()}")
    assert words().startswith("Image five.ome.tif, ")
    assert "1,200 × 800 px" in words()


def unfold(seen: Seen, sheet: str | None) -> None:
    """Show all there is to show: the sheet of a phone, labels, lists and the metadata."""
    if sheet:
        seen.page.get_by_test_id(sheet).click()
    if "labelled" in seen.data("array"):
        seen.page.keyboard.press("l")
        wait_for(lambda: "/labels/nuclei" in seen.data("key"), "labels")
    for summary in seen.page.locator("[data-testid=metadata] > summary, .choice > summary").all():
        if summary.is_visible():
            summary.click()
    repainted(seen.page)


@pytest.mark.parametrize(
    ("theme", "size", "sheet"),
    [
        ("light", {"width": 1280, "height": 800}, None),
        ("dark", {"width": 1280, "height": 800}, None),
        ("light", PHONE, "panel-open"),
        ("dark", PHONE, "legend-open"),
    ],
)
def test_accessibility(show: Show, theme: str, size: dict[str, int], sheet: str | None) -> None:
    axe = (ROOT / "viewer" / "node_modules" / "axe-core" / "axe.min.js").read_text()
    for name in ("five.ome.tif", "labelled.zarr", "many.ome.tif"):
        seen = show(name, theme=theme, **size).ready()
        unfold(seen, sheet)
        seen.page.evaluate(axe)
        found = seen.page.evaluate("axe.run()")["violations"]
        assert [(v["id"], [n["html"] for n in v["nodes"]]) for v in found] == []


def test_a_phone_has_it_all(show: Show) -> None:
    seen = five(show, "&t=0&z=0", **PHONE)
    width = seen.page.evaluate("document.documentElement.scrollWidth")
    assert width <= PHONE["width"]
    seen.shows(stripes(0, 0))
    seen.page.get_by_test_id("legend-open").click()
    channel(seen, 0, "channel-visible").uncheck()
    seen.page.get_by_role("button", name="Done").last.click()
    seen.ready().shows(stripes(0, 0, (1, 2)))
    seen.page.get_by_test_id("panel-open").click()
    seen.page.get_by_test_id("mode-max").click()
    seen.page.get_by_role("button", name="Done").first.click()
    seen.ready().shows(stripes(0, Z - 1, (1, 2)))


def test_other_pages_do_not_load_the_image_view(server: Running, look: Open) -> None:
    watched = look(server.url)
    watched.page.get_by_test_id("source").first.wait_for()
    waiting = watched.page.locator("[data-testid=thumbnail][data-state=waiting]")
    wait_for(lambda: waiting.count() == 0, "pictures: by then all is loaded that the page needs")
    assert not [u for u in watched.requests if "ImagePage" in u]
