"""The image view as a person sees it: real files, a real server, real Chromium; what it shows is read from pixels."""

from __future__ import annotations

import io
import signal
import urllib.parse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import zarr
from conftest import (
    ROOT,
    Open,
    Running,
    Start,
    Watched,
    eventually,
    href,
    linked,
    repainted,
    still,
    wait_for,
)

PHONE = {"width": 390, "height": 844}
T, Z, C, HEIGHT, WIDTH = 3, 4, 3, 800, 1200
STRIPE = WIDTH // C
COLORS = {0: (1, 0, 0), 1: (0, 1, 0), 2: (0, 0, 1)}
TOP = 4000.0
"""Full colour in the links of these tests."""
CHANNELS = "0:ff0000:0:4000:1:1,1:00ff00:0:4000:1:1,2:0000ff:0:4000:1:1"


def level_of(t: int, z: int, c: int) -> int:
    """The value of a channel's stripe at one time and depth; no two are alike."""
    return 400 + 800 * z + 200 * t + 50 * c


@pytest.fixture(scope="module")
def command(imaging_command: Path) -> Path:
    return imaging_command


def write_five(path: Path) -> None:
    """A stripe for each channel in the upper half; below, a chequered square and all channels at once."""
    data = np.zeros((T, Z, C, HEIGHT, WIDTH), np.uint16)
    for t, z, c in np.ndindex(T, Z, C):
        plane = data[t, z, c]
        plane[: HEIGHT // 2, c * STRIPE : (c + 1) * STRIPE] = level_of(t, z, c)
        plane[HEIGHT // 2 :, :STRIPE] = np.indices((HEIGHT // 2, STRIPE)).sum(0) % 2 * 4000
        plane[HEIGHT // 2 :, STRIPE:] = level_of(t, z, c)
    micrometres = {f"PhysicalSize{a}": 0.5 for a in "XY"} | {f"PhysicalSize{a}Unit": "µm" for a in "XYZ"}
    about = {
        "axes": "TZCYX",
        "Channel": {"Name": ["DAPI", "GFP", "mCherry"]},
        "PhysicalSizeZ": 2.0,
        "TimeIncrement": 30.0,
        "TimeIncrementUnit": "s",
        **micrometres,
    }
    tifffile.imwrite(path, data, metadata=about, tile=(256, 256))


def write_image(group: zarr.Group, data: np.ndarray, **more: Any) -> None:
    """OME-Zarr 0.5 of one plane."""
    axes = [{"name": n, "type": "space", "unit": "micrometer"} for n in "yx"]
    group.create_array("0", data=data, chunks=(200, 200))
    transforms = [{"type": "scale", "scale": [0.25, 0.25]}]
    datasets = [{"path": "0", "coordinateTransformations": transforms}]
    group.attrs["ome"] = {"version": "0.5", "multiscales": [{"axes": axes, "datasets": datasets}], **more}


def write_labelled(path: Path) -> None:
    """A black image and a label image with two squares."""
    root = zarr.open_group(path, mode="w")
    write_image(root, np.zeros((400, 600), np.uint8))
    labels = root.create_group("labels")
    labels.attrs["ome"] = {"version": "0.5", "labels": ["nuclei"]}
    objects = np.zeros((400, 600), np.int32)
    objects[50:150, 50:150] = 7
    objects[50:150, 350:450] = 300
    write_image(labels.create_group("nuclei"), objects, **{"image-label": {}})


def write_types(folder: Path) -> None:
    """A ramp from left to right for each dtype, over a range of its own."""
    ramp = np.broadcast_to(np.linspace(0, 1, 512), (256, 512))
    spans = {
        "uint8": (0, 200),
        "uint16": (100, 60_000),
        "uint32": (0, 4e9),
        "int8": (-100, 100),
        "int16": (-30_000, 30_000),
        "int32": (-2e9, 2e9),
        "int64": (-5e9, 5e9),
        "float16": (-1, 1),
        "float32": (1e-7, 3e-6),
        "float64": (-1e12, 1e12),
    }
    for dtype, (low, high) in spans.items():
        write_image(zarr.open_group(folder / f"ramp_{dtype}.zarr"), (low + ramp * (high - low)).astype(dtype))
    write_image(zarr.open_group(folder / "ramp_bool.zarr"), ramp > 0.5)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Images of every kind that the view treats differently."""
    path = tmp_path_factory.mktemp("images")
    write_five(path / "five.ome.tif")
    write_labelled(path / "labelled.zarr")
    write_types(path)
    xx = np.mgrid[0:300, 0:500][1]
    picture = np.where((xx < 250)[..., None], (200, 100, 50), (10, 240, 130)).astype(np.uint8)
    tifffile.imwrite(path / "picture.tif", picture, photometric="rgb")
    many = np.stack([np.where(xx // 50 == c, 1000, 0) for c in range(9)]).astype(np.uint16)
    names = {"Name": [f"marker {c}" for c in range(9)]}
    tifffile.imwrite(path / "many.ome.tif", many, metadata={"axes": "CYX", "Channel": names})
    with tifffile.TiffWriter(path / "scenes.ome.tif") as writer:
        for name, value in (("left", 50), ("right", 200)):
            data = np.full((1, 200, 300), value, np.uint8)
            data[:, :20] = 255
            writer.write(data, metadata={"axes": "CYX", "Name": name})
    stack = np.zeros((32, 128, 128), np.uint16)
    stack[12:20, 48:80, 48:80] = 3000
    stack[:, 0, 0] = 100
    tifffile.imwrite(path / "stack.ome.tif", stack, metadata={"axes": "ZYX"})
    return path


@pytest.fixture(scope="module")
def server(start: Start, folder: Path) -> Running:
    return start(folder)


Colors = dict[tuple[float, float], tuple[float | None, ...]]


@dataclass
class Seen:
    """One image in a page."""

    watched: Watched

    @property
    def page(self) -> Any:
        return self.watched.page

    @property
    def href(self) -> str:
        """The address bar as it is now."""
        return href(self.page)

    def data(self, name: str) -> str:
        """A ``data-`` attribute of the image view."""
        return self.page.get_by_test_id("image").get_attribute(f"data-{name}") or ""

    def ready(self) -> Seen:
        """Wait until what is asked for is on the screen, in the windows that were found for it."""
        self.page.wait_for_function(
            """() => {
                const image = document.querySelector('[data-testid=image]');
                return image?.dataset.state === 'ready' && image.dataset.painted !== ''
                    && document.querySelector('[data-testid=progress]').textContent === '';
            }"""
        )
        repainted(self.page)
        return self

    def shot(self) -> np.ndarray:
        """What the canvas shows, (height, width, 3)."""
        return decode_png(self.page.locator(".canvas-host canvas").screenshot())

    def still(self) -> np.ndarray:
        """What the canvas shows once nothing on it changes any more."""
        return decode_png(still(self.page, self.page.locator(".canvas-host canvas").screenshot))

    def screen(self, x: float, y: float, size: tuple[int, int] = (WIDTH, HEIGHT)) -> tuple[float, float]:
        """Where a pixel of the image is in the canvas."""
        box = self.page.locator(".canvas-host").bounding_box()
        camera = [float(v) for v in self.data("camera").split(",") if v]
        at = camera[:2] if camera else (size[0] / 2, size[1] / 2)
        scale = 2 ** float(self.data("zoom"))
        return box["width"] / 2 + (x + 0.5 - at[0]) * scale, box["height"] / 2 + (y + 0.5 - at[1]) * scale

    def becomes(self, x: float, y: float, color: Any, size: tuple[int, int] = (WIDTH, HEIGHT), off: float = 2) -> None:
        """Wait until a pixel of the image has this colour on the screen; None: any."""
        self.shows({(x, y): color}, off, size)

    def point(self, x: float, y: float, size: tuple[int, int] = (WIDTH, HEIGHT)) -> None:
        """Put the pointer there."""
        box = self.page.locator(".canvas-host").bounding_box()
        column, row = self.screen(x, y, size)
        self.page.mouse.move(box["x"] + column - 1, box["y"] + row)
        self.page.mouse.move(box["x"] + column, box["y"] + row)

    def shows(self, expected: Colors, tolerance: float = 2, size: tuple[int, int] = (WIDTH, HEIGHT)) -> None:
        """Wait until colours at pixels of the image are these; of a part that is None, nothing is asked."""

        def all_of_them() -> None:
            shot = self.shot()
            for (x, y), color in expected.items():
                column, row = self.screen(x, y, size)
                found = shot[round(row), round(column)].astype(int)
                off = [abs(f - c) for f, c in zip(found, color, strict=True) if c is not None]
                assert max(off) <= tolerance, f"at {x}, {y}: {found} instead of {color}"

        eventually(all_of_them)

    def has(self, **attributes: str) -> None:
        """Wait until the image view tells this of itself."""
        wait_for(lambda: all(self.data(k) == v for k, v in attributes.items()), f"{attributes}, not {self.data('key')}")


def decode_png(data: bytes) -> np.ndarray:
    from matplotlib.image import imread

    return (imread(io.BytesIO(data), format="png")[..., :3] * 255).round().astype(np.uint8)


def stripes(t: int, z: int, channels: tuple[int, ...] = (0, 1, 2), top: float = TOP, gamma: float = 1.0) -> Colors:
    """What the middles of the stripes, and the field of all channels, must look like."""

    def shade(c: int) -> float:
        return min(1.0, level_of(t, z, c) / top) ** (1 / gamma) * 255 if c in channels else 0.0

    expected = {(c * STRIPE + STRIPE // 2, 200): tuple(round(shade(c) * on) for on in COLORS[c]) for c in range(C)}
    return expected | {(STRIPE + 300, 600): tuple(round(shade(c)) for c in range(C))}


Show = Callable[..., Seen]


@pytest.fixture
def show(server: Running, look: Open) -> Show:
    """Opens an image by its file's name."""

    def opened(name: str, query: str = "", **how: Any) -> Seen:
        watched = look(f"{server.url}?image={id_of(server, name)}{query}", **how)
        return Seen(watched)

    return opened


def id_of(server: Running, name: str) -> str:
    """The id under which a file is served, once it was looked at."""
    import json
    import urllib.request

    found: list[str] = []

    def listed() -> bool:
        with urllib.request.urlopen(f"{server.url}api/sources?limit=1000") as answer:
            found[:] = [s["source_id"] for s in json.load(answer) if s["name"] == name]
        return bool(found)

    wait_for(listed, name)
    return found[0]


def five(show: Show, query: str = "", **how: Any) -> Seen:
    """The five-dimensional image in windows that are known."""
    return show("five.ome.tif", f"&channels={CHANNELS}{query}", **how).ready()


def type_into(seen: Seen, place: Any, value: str) -> None:
    place.fill(value)
    seen.page.keyboard.press("Enter")


def channel(seen: Seen, number: int, part: str) -> Any:
    return seen.page.locator(f"[data-testid=channel][data-channel='{number}']").get_by_test_id(part)


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
