"""The image view as tests see it: images whose every pixel is known, and what a page shows of them."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import zarr
from conftest import (
    Open,
    Running,
    Start,
    Watched,
    eventually,
    href,
    repainted,
    still,
    wait_for,
)

T, Z, C, HEIGHT, WIDTH = 3, 4, 3, 800, 1200
STRIPE = WIDTH // C
COLORS = {0: (1, 0, 0), 1: (0, 1, 0), 2: (0, 0, 1)}
TOP = 4000.0
"""Full colour in the links of these tests."""
CHANNELS = "0:ff0000:0:4000:1:1,1:00ff00:0:4000:1:1,2:0000ff:0:4000:1:1"


def level_of(t: int, z: int, c: int) -> int:
    """The value of a channel's stripe at one time and depth; no two are alike."""
    return 400 + 800 * z + 200 * t + 50 * c


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
def command(imaging_command: Path) -> Path:
    """Servers of these tests read microscopy files."""
    return imaging_command


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
