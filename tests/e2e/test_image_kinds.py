"""Labels, number types, pictures, scenes and volumes in the image view, read from pixels."""

from __future__ import annotations

import urllib.parse

import image_pages
import numpy as np
import pytest
from conftest import (
    Open,
    Running,
    eventually,
    wait_for,
)
from image_pages import Seen, Show, channel, id_of, type_into

command = image_pages.command
folder = image_pages.folder
server = image_pages.server
show = image_pages.show


def label_color(id: int) -> np.ndarray:
    """What README and shader promise for an object, computed once more."""
    import colorsys

    hashed = id * 0x9E3779B1 & 0xFFFFFFFF
    hue, saturation, value = (hashed >> 8) / 2**24, 0.55 + 0.4 * (hashed >> 4 & 15) / 15, 0.8 + 0.2 * (hashed & 15) / 15
    return np.array(colorsys.hsv_to_rgb(hue, saturation, value)) * 255


def test_labels_lie_over_the_image(show: Show) -> None:
    size = (600, 400)
    seen = show("labelled.zarr").ready()
    seen.becomes(100, 100, (0, 0, 0), size, 0)
    seen.page.get_by_test_id("labels-select").select_option(label="nuclei")
    seen.ready()
    for x, id in ((100, 7), (400, 300)):
        seen.becomes(x, 100, tuple(label_color(id) * 0.5), size)
    for x in (250, 151):  # edges are sharp
        seen.becomes(x, 100, (0, 0, 0), size, 0)
    seen.point(400, 100, size)
    wait_for(lambda: "object 300" in (seen.page.get_by_test_id("label-id").all_inner_texts() or [""])[0], "the id")
    seen.becomes(400, 60, tuple(label_color(300) * 0.85), size)
    seen.page.get_by_label("Outlines only").check()
    seen.page.mouse.move(5, 5)
    seen.ready().becomes(100, 100, (0, 0, 0), size, 0)
    seen.page.keyboard.press("l")
    wait_for(lambda: "labels=" not in seen.href, "labels off")
    assert seen.watched.problems == []


def test_a_label_image_opened_by_itself_shows_its_objects(server: Running, look: Open) -> None:
    seen = Seen(look(f"{server.url}?image={id_of(server, 'labelled.zarr')}/labels/nuclei")).ready()
    seen.becomes(100, 100, tuple(label_color(7)), (600, 400))


@pytest.mark.parametrize(
    "dtype",
    ["bool", "uint8", "uint16", "uint32", "int8", "int16", "int32", "int64", "float16", "float32", "float64"],
)
def test_every_dtype_is_stretched_over_what_it_holds(show: Show, dtype: str) -> None:
    size = (512, 256)
    seen = show(f"ramp_{dtype}.zarr").ready()
    seen.page.wait_for_function("() => document.querySelector('[data-ready=true]')")
    expected = [0, 0, 0, 255, 255] if dtype == "bool" else [0, 63, 127, 191, 255]
    shades = dict(zip((4, 128, 255, 384, 507), expected, strict=True))
    seen.ready().shows({(x, 128): (shade, None, None) for x, shade in shades.items()}, 9, size)
    assert seen.watched.problems == []


def test_a_picture_has_the_colours_of_the_file(show: Show) -> None:
    seen = show("picture.tif").ready()
    seen.shows({(100, 150): (200, 100, 50), (400, 150): (10, 240, 130)}, 0, (500, 300))
    assert seen.page.get_by_test_id("channel").count() == 1
    tiles = [u for u in seen.watched.requests if "/api/tile/" in u]
    assert tiles
    assert all("c=" not in urllib.parse.urlsplit(u).query for u in tiles), "its colours come together"


def test_six_of_many_channels(show: Show) -> None:
    seen = show("many.ome.tif").ready()
    seen.has(shown="0,1,2,3,4,5")
    choice = seen.page.get_by_test_id("channel-choice")
    choice.locator("summary").click()
    assert choice.get_by_label("marker 8").is_disabled()
    choice.get_by_label("marker 0").uncheck()
    choice.get_by_label("marker 8").check()
    seen.has(shown="1,2,3,4,5,8")
    seen.ready().becomes(25, 150, (0, 0, 0), (500, 300), 0)

    def full() -> None:
        column, row = seen.screen(425, 150, (500, 300))
        assert max(seen.shot()[round(row), round(column)]) == 255

    eventually(full)


def test_scenes_are_chosen(show: Show) -> None:
    seen = show("scenes.ome.tif").ready()
    select = seen.page.get_by_test_id("scene-select")
    options = select.locator("option").all_inner_texts()
    assert len(options) == 2
    before = seen.data("array")
    select.select_option(index=1)
    wait_for(lambda: seen.data("array") not in ("", before), "the other scene")
    seen.ready()
    type_into(seen, channel(seen, 0, "window-from"), "0")
    type_into(seen, channel(seen, 0, "window-to"), "255")

    def as_in_the_file() -> None:
        column, row = seen.screen(150, 100, (300, 200))
        assert max(seen.shot()[round(row), round(column)]) == 200

    seen.ready()
    eventually(as_in_the_file)
    seen.page.go_back()
    wait_for(lambda: seen.data("array") == before, "back")


def test_a_volume_is_seen_in_3d(show: Show) -> None:
    seen = show("stack.ome.tif", "&channels=0:00ff00:0:3000:1:1").ready()
    seen.page.keyboard.press("m")
    seen.page.keyboard.press("m")
    seen.has(mode="volume")
    seen.ready()

    def a_block() -> None:
        shot = seen.shot().astype(int)
        middle = shot[shot.shape[0] // 2, shot.shape[1] // 2]
        assert middle[1] > 250
        assert middle[0] == middle[2] == 0
        bright = (shot[..., 1] > 200) & (shot[..., 0] < 50)
        assert 0.005 < bright.mean() < 0.4, "a small block in a large volume"

    eventually(a_block)
    before = seen.data("camera")
    seen.page.keyboard.press("Shift+ArrowRight")
    wait_for(lambda: seen.data("camera") != before, "the turn")
    assert seen.watched.problems == []


def test_a_flat_image_has_no_volume_and_says_so(show: Show) -> None:
    seen = show("picture.tif", "&mode=volume")
    seen.page.get_by_test_id("no-volume").wait_for()
    assert seen.page.get_by_test_id("no-volume").get_attribute("data-why") == "flat"
    assert seen.page.get_by_test_id("mode-volume").is_disabled()
    seen.page.get_by_text("One plane", exact=True).click()
    seen.ready().becomes(100, 150, (200, 100, 50), (500, 300), 0)
