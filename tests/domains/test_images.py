"""What a tree means as images: axes, channels, collections, plain arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from coverslip.core.errors import BadRequest, Damaged, NotFound
from coverslip.core.ngff import Axis, Channel, ImageMeta, unit_name
from coverslip.core.node import Group, Source
from coverslip.core.stop import NEVER
from coverslip.core.tree import MemoryArray, MemoryGroup
from coverslip.domains.images import Images
from coverslip.domains.planes import level_within, plane_of, read_tile, read_whole
from coverslip.domains.render import Look, color_of, composite, encode
from coverslip.domains.statistics import statistics
from coverslip.domains.thumbnails import image_thumbnail
from coverslip.formats.trees.image import image, images, in_order
from coverslip.fronts.tensors.streams import cut


class Tree(Source):
    """A source that is its tree."""

    def __init__(self, root: Group) -> None:
        self.root, self.etag, self.modified_s = root, "v1", 0.0

    def fresh(self) -> bool:
        return True


def open_tree(root: Group) -> Images:
    return Images(Tree(root))


def five_d() -> tuple[np.ndarray[Any, Any], Group]:
    pixels = np.random.default_rng(0).integers(0, 4000, (2, 3, 4, 40, 50), np.uint16)
    axes = [Axis("t", 2.0, "second"), Axis("c"), Axis("z", 1.5, "micrometer"), Axis("y", 0.5, "micrometer")]
    meta = ImageMeta(
        [*axes, Axis("x", 0.5, "micrometer")],
        [Channel("DAPI", "0000FF", (100, 2000)), Channel("GFP"), Channel("", "ff8000")],
        "cells",
        raw={"made": "here"},
    )
    return pixels, image([MemoryArray(pixels)], meta)


def test_what_a_reader_says_comes_through() -> None:
    _, root = five_d()
    found = open_tree(root)[""]
    assert found.dims == ("t", "c", "z", "y", "x")
    assert [a.step for a in found.axes] == [2.0, 1.0, 1.5, 0.5, 0.5]
    assert [a.unit for a in found.axes] == ["second", None, "micrometer", "micrometer", "micrometer"]
    assert [(c.label, c.color, c.window) for c in found.channels] == [
        ("DAPI", "0000FF", (100.0, 2000.0)),
        ("GFP", "00FF00", None),
        ("Channel 3", "FF8000", None),
    ]
    assert found.raw == {"made": "here"}


def test_older_metadata_at_the_root_and_global_transformations() -> None:
    group = MemoryGroup(
        {"full": MemoryArray(np.zeros((4, 8, 8), np.uint8))},
        {
            "multiscales": [
                {
                    "axes": [{"name": n, "type": "space", "unit": "nanometer"} for n in "zyx"],
                    "datasets": [
                        {
                            "path": "full",
                            "coordinateTransformations": [
                                {"type": "scale", "scale": [2, 1, 1]},
                                {"type": "translation", "translation": [1, 0, 0]},
                            ],
                        }
                    ],
                    "coordinateTransformations": [{"type": "scale", "scale": [10, 10, 10]}],
                }
            ]
        },
    )
    axes = open_tree(group)[""].axes
    assert [(a.step, a.origin, a.unit) for a in axes] == [
        (20.0, 10.0, "nanometer"),
        (10.0, 0.0, "nanometer"),
        (10.0, 0.0, "nanometer"),
    ]


@pytest.mark.parametrize("broken", [{}, {"datasets": []}, {"datasets": [{"path": "nope"}]}, {"datasets": [{}]}, []])
def test_incomplete_metadata_is_damage(broken: Any) -> None:
    group = MemoryGroup({"0": MemoryArray(np.zeros((2, 2)))}, {"ome": {"multiscales": [broken]}})
    with pytest.raises((Damaged, NotFound)):
        _ = open_tree(group)[""]


def test_collections_and_plain_arrays_are_found_by_path() -> None:
    _, scene = five_d()
    root = images({"A": scene, "B 2": lambda: scene})
    assert open_tree(root).paths == ("A", "B 2")
    plain = MemoryGroup(
        {
            "deep": MemoryGroup({"volume": MemoryArray(np.zeros((3, 4, 5), np.int16))}),
            "names": MemoryArray(np.array(["a", "b"])),
            "line": MemoryArray(np.zeros(7)),
            ".hidden": MemoryArray(np.zeros((3, 3))),
        }
    )
    found = open_tree(plain)
    assert found.paths == ("deep/volume", "line")
    assert found["deep/volume"].dims == ("z", "y", "x")
    with pytest.raises(NotFound):
        _ = found["deep"]
    with pytest.raises(NotFound):
        _ = found["../deep"]


def test_labels_belong_to_their_image() -> None:
    pixels = MemoryArray(np.zeros((8, 8), np.uint16))
    cells = image([MemoryArray(np.ones((8, 8), np.uint32))], ImageMeta([Axis("y"), Axis("x")], label=True))
    found = open_tree(image([pixels], ImageMeta([Axis("y"), Axis("x")]), {"nuclei": cells}))
    assert found[""].labels == ("labels/nuclei",)
    assert found["labels/nuclei"].label
    assert found.paths == ("",)


def test_samples_become_channels_in_order() -> None:
    pixels = np.arange(2 * 4 * 5 * 3, dtype=np.uint8).reshape(2, 4, 5, 3)
    levels, meta = in_order([MemoryArray(pixels)], ImageMeta([Axis("z"), Axis("y"), Axis("x"), Axis("s")], rgb=True))
    found = open_tree(image(levels, meta))[""]
    assert found.dims == ("c", "z", "y", "x")
    assert [c.color for c in found.channels] == ["FF0000", "00FF00", "0000FF"]
    np.testing.assert_array_equal(found.array.read_all(), np.moveaxis(pixels, -1, 0))
    tile = read_tile(found, 0, 0, 0, 64, plane_of(found, {"z": 1}), NEVER)
    np.testing.assert_array_equal(tile, np.moveaxis(pixels[1], -1, 0))


def test_planes_and_projections() -> None:
    pixels, root = five_d()
    found = open_tree(root)[""]
    np.testing.assert_array_equal(
        read_tile(found, 0, 0, 0, 64, plane_of(found, {"t": 1, "z": 3, "c": 2}), NEVER), pixels[1, 2, 3]
    )
    best = read_whole(found, 0, plane_of(found, {"t": 1, "c": 1}, "z"))
    np.testing.assert_array_equal(best, pixels[1, 1].max(0))
    for at in ({"q": 0}, {"z": 4}, {"t": 2}):
        with pytest.raises(BadRequest) as caught:
            plane_of(found, at)
        assert caught.value.name == "bad_selection"
    for level, row, column in ((1, 0, 0), (0, 1, 0), (0, 0, 9)):
        with pytest.raises(NotFound):
            read_tile(found, level, row, column, 64, plane_of(found, {}), NEVER)
    assert level_within(found, 1) == 0


def test_projection_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("coverslip.domains.planes.PROJECT_ELEMENTS", 2001)
    pixels, root = five_d()
    found = open_tree(root)[""]
    np.testing.assert_array_equal(read_whole(found, 0, plane_of(found, {}, "z")), pixels[0, 0].max(0))


@pytest.mark.parametrize("dtype", ["u1", "u2", "i2", "u4", "f4", "f8", "?"])
def test_figures_are_numpys(dtype: str) -> None:
    rng = np.random.default_rng(3)
    values = (rng.gamma(2, 30, 5001)).astype(dtype)
    found = statistics(values)
    plain = values.astype(np.float64)
    assert found["min"] == plain.min()
    assert found["max"] == plain.max()
    assert found["mean"] == pytest.approx(plain.mean())
    assert found["std"] == pytest.approx(plain.std())
    assert sum(found["histogram"]["counts"]) == values.size
    for name, value in found["percentiles"].items():
        nearest = np.percentile(plain, float(name), method="lower"), np.percentile(plain, float(name), method="higher")
        assert nearest[0] <= value <= nearest[1]


def test_figures_without_numbers() -> None:
    assert statistics(np.array([np.nan, np.inf], np.float32))["min"] is None
    one = statistics(np.full(10, 7, np.uint16))
    assert (one["min"], one["max"], one["std"], one["histogram"]["counts"][0]) == (7, 7, 0.0, 10)
    assert statistics(np.array([1.0, np.nan]))["max"] == 1.0


def test_channels_add_up_in_their_colours() -> None:
    red, green = np.array([[0, 100]], np.uint16), np.array([[50, 100]], np.uint16)
    looks = [Look((0, 100), (255, 0, 0)), Look((0, 100), (0, 255, 0))]
    assert composite([red, green], looks).tolist() == [[[0, 128, 0], [255, 255, 0]]]
    assert composite([red], [Look((0, 100))]).tolist() == [[0, 255]]
    assert composite([np.array([[np.nan, -1, 9]])], [Look((0, 1))]).tolist() == [[0, 0, 255]]
    assert composite([np.array([[25]], np.uint8)], [Look((0, 100), gamma=0.5)]).tolist() == [[128]]


def test_colours_and_encodings() -> None:
    assert color_of("#0080ff") == color_of("0080FF") == (0, 128, 255)
    assert color_of("lime") == (0, 255, 0)
    with pytest.raises(BadRequest):
        color_of("javascript:")
    picture = np.zeros((4, 5, 3), np.uint8)
    assert encode(picture, "png").startswith(b"\x89PNG")
    assert encode(picture, "webp")[8:12] == b"WEBP"
    assert encode(picture, "jpeg").startswith(b"\xff\xd8")


def test_a_thumbnail_shows_the_middle() -> None:
    pixels = np.zeros((5, 600, 300), np.uint16)
    pixels[2, :300] = 1000
    root = image([MemoryArray(pixels)], ImageMeta([Axis("z"), Axis("y"), Axis("x")]))
    picture = image_thumbnail(open_tree(root)[""], 64, NEVER)
    assert picture.shape[:2] == (64, 32)
    assert picture[:30].min() == 255
    assert picture[34:].max() == 0


def test_units_as_files_write_them() -> None:
    assert [unit_name(u) for u in ("µm", "um", "micron", "nm", "Å", "pixel", "", None, "parsec")] == [
        "micrometer",
        "micrometer",
        "micrometer",
        "nanometer",
        "angstrom",
        None,
        None,
        None,
        "parsec",
    ]


@pytest.mark.parametrize(
    "values",
    [
        np.array([1e308, -1e308, 0.0]),
        np.array([65504, -65504, 0], np.float16),
        np.array([3e38, -3e38, 0], np.float32),
        np.array([2**63 - 1, -(2**63), 0]),
        np.array([127, -128, 0], np.int8),
        np.array([1e300, np.nextafter(1e300, np.inf), 1e300]),
        np.full(3, 2**60),
    ],
    ids=lambda v: f"{v.dtype} {v[0]:g}",
)
def test_figures_at_the_ends_of_what_numbers_hold(values: np.ndarray[Any, Any]) -> None:
    found = statistics(values)
    assert (found["min"], found["max"]) == (values.min(), values.max())
    assert found["percentiles"]["50"] == np.median(values.astype(float))
    assert sum(found["histogram"]["counts"]) == values.size


@pytest.mark.parametrize("shape", [(0, 20, 30), (3, 20, 0), (3, 0, 30)])
def test_axes_with_nothing_on_them(shape: tuple[int, ...]) -> None:
    found = open_tree(MemoryGroup({"a": MemoryArray(np.zeros(shape, np.uint16))}))["a"]
    for project in (None, "z"):
        with pytest.raises(NotFound):
            read_tile(found, 0, 0, 0, 512, plane_of(found, {}, project), NEVER)
    for level in found.levels:
        assert level.array.read_all().size == 0
    part = cut(found, None, None, (1, 2, 2))
    assert part.read(part.box).size == 0
    with pytest.raises(NotFound):
        image_thumbnail(found, 64, NEVER)


@pytest.mark.parametrize("dtype", ["u2", "f4", "i2"])
def test_thumbnails_of_colours_that_are_no_bytes(dtype: str) -> None:
    pixels = np.zeros((3, 20, 30), dtype)
    pixels[0] = 4095 if dtype != "f4" else 1
    pixels[1, :5] = np.nan if dtype == "f4" else 0
    group = image([MemoryArray(pixels)], ImageMeta([Axis("c"), Axis("y"), Axis("x")], rgb=True))
    picture = image_thumbnail(open_tree(group)[""], 64, NEVER)
    assert picture[10, 10].tolist() == [255, 0, 0]
