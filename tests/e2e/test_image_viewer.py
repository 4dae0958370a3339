"""Channels, contrast, planes and places in the image view: a real server, real Chromium; read from pixels."""

from __future__ import annotations

import image_pages
import pytest
from conftest import (
    eventually,
    wait_for,
)
from image_pages import HEIGHT, STRIPE, TOP, WIDTH, Show, T, Z, channel, five, level_of, stripes, type_into

command = image_pages.command
folder = image_pages.folder
server = image_pages.server
show = image_pages.show


def test_channels_are_put_together_in_their_colours(show: Show) -> None:
    seen = five(show, "&t=0&z=0")
    seen.shows(stripes(0, 0))
    assert seen.data("shown") == "0,1,2"
    assert seen.watched.problems == []


def test_without_a_link_contrast_is_found(show: Show) -> None:
    seen = show("five.ome.tif").ready()
    assert seen.data("key").endswith("|plane|t0,z1|0+1+2|"), "the middle of z"
    low, high = (float(channel(seen, 1, f"window-{end}").input_value()) for end in ("from", "to"))
    assert (low, high) == (0, 4000), "from the first percentile to that of 99.9"
    wait_for(lambda: channel(seen, 1, "histogram").get_attribute("data-ready") == "true", "the histogram")
    seen.becomes(STRIPE + STRIPE // 2, 200, (None, 255 * level_of(0, 1, 1) / 4000, None))


def test_a_channel_is_switched_off_and_on(show: Show) -> None:
    seen = five(show, "&t=1&z=1")
    channel(seen, 1, "channel-visible").uncheck()
    seen.ready().shows(stripes(1, 1, (0, 2)))
    seen.has(shown="0,2")
    seen.page.keyboard.press("1")
    seen.ready().shows(stripes(1, 1, (2,)))
    seen.page.keyboard.press("1")
    channel(seen, 1, "channel-visible").check()
    seen.ready().shows(stripes(1, 1))


def test_a_channel_gets_another_colour(show: Show) -> None:
    seen = five(show, "&t=0&z=3")
    channel(seen, 0, "channel-color").fill("#ff8000")
    share = level_of(0, 3, 0) / TOP
    seen.ready().shows({(STRIPE // 2, 200): (round(255 * share), round(128 * share), 0)})


def test_contrast_and_gamma(show: Show) -> None:
    seen = five(show, "&t=0&z=1")
    type_into(seen, channel(seen, 2, "window-to"), "2000")
    seen.ready().becomes(2 * STRIPE + 100, 200, (None, None, 255 * level_of(0, 1, 2) / 2000))
    type_into(seen, channel(seen, 2, "window-from"), "1300")
    seen.ready().becomes(2 * STRIPE + 100, 200, (0, 0, 0), off=0)
    type_into(seen, channel(seen, 0, "gamma"), "2")
    share = (level_of(0, 1, 0) / TOP) ** 0.5
    seen.ready().shows({(STRIPE // 2, 200): (round(255 * share), 0, 0)})
    channel(seen, 2, "channel-auto").click()
    wait_for(lambda: channel(seen, 2, "window-from").input_value() == "0", "automatic contrast")
    seen.ready().becomes(2 * STRIPE + 100, 200, (None, None, 255 * level_of(0, 1, 2) / 4000))


def test_the_contrast_slider_moves_by_keys(show: Show) -> None:
    seen = five(show)
    thumb = seen.page.get_by_label("GFP: full colour at")
    thumb.focus()
    for _ in range(5):
        seen.page.keyboard.press("ArrowLeft")
    wait_for(lambda: float(channel(seen, 1, "window-to").input_value()) < 4000, "the slider")
    assert seen.data("key").endswith("|plane|t0,z1|0+1+2|"), "the arrows were the slider's"


@pytest.mark.parametrize(("t", "z"), [(0, 0), (2, 0), (0, 3), (2, 3)])
def test_every_plane_is_its_own(show: Show, t: int, z: int) -> None:
    five(show, f"&t={t}&z={z}").shows(stripes(t, z))


def test_sliders_and_keys_move_through_time_and_depth(show: Show) -> None:
    seen = five(show, "&t=0&z=0")
    seen.page.get_by_test_id("slider-z").focus()
    seen.page.keyboard.press("ArrowRight")
    seen.page.keyboard.press("ArrowRight")
    seen.ready().shows(stripes(0, 2))
    seen.page.get_by_test_id("slider-t").focus()
    seen.page.keyboard.press("End")
    seen.ready().shows(stripes(2, 2))
    wait_for(lambda: "3 / 3 · 60 s" in seen.page.get_by_test_id("axis-t").inner_text(), "the time")
    wait_for(lambda: "3 / 4 · 4 µm" in seen.page.get_by_test_id("axis-z").inner_text(), "the depth")
    seen.page.get_by_test_id("slider-t").blur()
    seen.page.keyboard.press("ArrowLeft")
    seen.page.keyboard.press(",")
    seen.ready().shows(stripes(1, 1))
    seen.page.keyboard.press(".")
    seen.ready().shows(stripes(1, 2))
    assert seen.watched.problems == []


def test_playback_goes_round_and_stops(show: Show) -> None:
    seen = five(show, "&fps=15")
    # Noted by the page itself: who asks it from outside now and then may miss one.
    seen.page.evaluate(
        """() => {
            const axis = document.querySelector('[data-testid=axis-t]');
            window.indices = new Set([axis.dataset.index]);
            new MutationObserver(() => window.indices.add(axis.dataset.index)).observe(axis, {attributes: true});
        }"""
    )
    seen.page.get_by_test_id("play-t").click()
    seen.page.wait_for_function("(n) => window.indices.size === n", arg=T)
    assert seen.page.evaluate("[...window.indices].sort()") == [str(t) for t in range(T)]
    seen.page.get_by_test_id("play-t").click()
    wait_for(lambda: seen.page.get_by_test_id("play-t").get_attribute("aria-pressed") == "false", "the end")
    stopped = int(seen.page.get_by_test_id("axis-t").get_attribute("data-index"))
    seen.ready().shows(stripes(stopped, 1))
    assert int(seen.page.get_by_test_id("axis-t").get_attribute("data-index")) == stopped
    seen.page.get_by_test_id("play-t").blur()
    seen.page.keyboard.press("Space")
    wait_for(lambda: seen.page.get_by_test_id("play-t").get_attribute("aria-pressed") == "true", "the space key")
    assert seen.watched.problems == []


def test_maximum_over_depth(show: Show) -> None:
    seen = five(show, "&t=1&z=0")
    seen.page.get_by_test_id("mode-max").click()
    seen.ready().shows(stripes(1, Z - 1))
    assert seen.page.get_by_test_id("play-z").is_disabled()
    wait_for(lambda: "mode=max" in seen.href, "the link")
    seen.page.get_by_test_id("mode-plane").click()
    seen.ready().shows(stripes(1, 0))


def test_zoom_brings_finer_levels_and_the_whole_view_again(show: Show) -> None:
    seen = five(show, "&t=0&z=0")
    wait_for(lambda: seen.data("painted").startswith("0:"), "the finest level")
    seen.page.keyboard.press("-")
    wait_for(lambda: seen.data("painted").startswith("1:"), "a coarse level in a small picture")
    seen.ready().becomes(200, 600, (127, 127, 127), off=3)  # chequers that small are grey
    bar = seen.page.get_by_test_id("scale-bar")

    def true_to_scale(micrometres: float) -> bool:
        px = micrometres / 0.5 * 2 ** float(seen.data("zoom"))
        return abs(float(bar.get_attribute("data-px")) - px) <= px * 0.01

    wait_for(lambda: bar.inner_text().strip() == "100 µm" and true_to_scale(100), "a scale bar that is true")
    at = seen.screen(200, 600)
    box = seen.page.locator(".canvas-host").bounding_box()
    seen.page.mouse.move(box["x"] + at[0], box["y"] + at[1])
    for _ in range(14):
        seen.page.mouse.wheel(0, -100)
    wait_for(lambda: float(seen.data("zoom")) > 3, "zoom")
    wait_for(lambda: seen.data("painted").startswith("0:"), "the finest level")
    seen.ready()

    def single_pixels() -> None:
        shot = seen.shot()
        middle = shot[shot.shape[0] // 4 : -shot.shape[0] // 4, shot.shape[1] // 4 : -shot.shape[1] // 4].reshape(-1, 3)
        black, white = (middle < 3).all(1).mean(), (middle > 252).all(1).mean()
        assert black + white > 0.9, "single pixels have sharp edges"
        assert abs(black - white) < 0.1
        length, unit = bar.inner_text().split()
        assert true_to_scale(float(length) * {"µm": 1, "nm": 1e-3}[unit])

    eventually(single_pixels)
    seen.page.keyboard.press("0")
    wait_for(lambda: seen.data("camera") == "", "the whole view")
    seen.ready().shows(stripes(0, 0))
    assert seen.watched.problems == []


def test_keys_zoom_and_move(show: Show) -> None:
    seen = five(show, "&t=0&z=0")
    seen.page.keyboard.press("+")
    seen.page.keyboard.press("Shift+ArrowRight")

    def moved() -> None:
        assert seen.data("camera")
        x, y, zoom = (float(v) for v in seen.data("camera").split(","))
        assert zoom == pytest.approx(0.5)
        assert x > WIDTH / 2
        assert y == HEIGHT / 2

    eventually(moved)
    seen.ready().shows({(700, 200): stripes(0, 0)[(STRIPE + STRIPE // 2, 200)]})
    seen.page.get_by_test_id("full-view").click()
    wait_for(lambda: seen.data("camera") == "", "the whole view")


def test_dragging_moves_the_image_under_the_pointer(show: Show) -> None:
    seen = five(show, "&t=0&z=0")
    box = seen.page.locator(".canvas-host").bounding_box()
    x, y = box["x"] + 200, box["y"] + 300
    seen.page.mouse.move(x, y)
    seen.page.mouse.down()
    seen.page.mouse.move(x + 120, y, steps=24)
    seen.page.mouse.up()

    def moved() -> None:
        camera = [float(v) for v in seen.data("camera").split(",") if v]
        assert camera
        # The first few pixels only tell a drag from a click.
        assert (WIDTH / 2 - camera[0]) * 2 ** float(seen.data("zoom")) == pytest.approx(120, abs=11)

    eventually(moved)
    seen.ready().shows({(STRIPE // 2, 200): stripes(0, 0)[(STRIPE // 2, 200)]})


def test_pixels_are_read_under_the_pointer(show: Show) -> None:
    seen = five(show, "&t=2&z=3")
    seen.point(100, 100)
    readout = seen.page.get_by_test_id("readout")
    readout.wait_for()

    def read(column: int, row: int) -> tuple[int, int, list[str]]:
        assert readout.get_attribute("data-exact") == "true"
        x, y = (int(readout.get_attribute(f"data-{a}")) for a in "xy")
        assert abs(x - column) <= 1 >= abs(y - row)
        return x, y, [v.strip() for v in readout.get_by_test_id("value").all_inner_texts()]

    x, y, values = eventually(lambda: read(100, 100))
    assert values == [f"{level_of(2, 3, 0):,}", "0", "0"]
    assert f"{x * 0.5:g} µm, {y * 0.5:g} µm" in readout.inner_text()
    # One pixel of the chequers, which no coarser level knows.
    seen.point(150, 600)
    x, y, values = eventually(lambda: read(150, 600))
    assert set(values) == {f"{(x + y) % 2 * 4000:,}"}
    seen.page.mouse.move(5, 300)
    wait_for(lambda: readout.count() == 0, "nothing to read beside the image")
