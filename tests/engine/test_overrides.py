"""What a person knows better than the file."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from coverslip.core.errors import BadRequest, NotFound
from coverslip.core.ngff import Axis, Channel, ImageMeta, image_attrs
from coverslip.core.node import Array, Group, Source
from coverslip.core.spec import Box
from coverslip.core.tree import MemoryArray, MemoryGroup
from coverslip.engine.overrides import Override, array_attributes, overridden

META = ImageMeta(
    [Axis("c"), Axis("y", 2.0, "nanometer", origin=10.0), Axis("x", 2.0, "nanometer")],
    [Channel("one", "FF0000"), Channel("two")],
    name="image",
)


class Memory(Source):
    etag, modified_s = "abc", 5.0

    def __init__(self, root: Group) -> None:
        self.root = root
        self.closed = False
        self.same = True

    def fresh(self) -> bool:
        return self.same

    def close(self) -> None:
        self.closed = True


def image(meta: ImageMeta = META) -> Group:
    levels = [np.arange(2 * 8 * 8, dtype=np.uint16).reshape(2, 8, 8), np.zeros((2, 4, 4), np.uint16)]
    nodes: dict[str, Any] = {str(i): MemoryArray(level) for i, level in enumerate(levels)}
    nodes["labels"] = MemoryGroup(
        {"cells": MemoryGroup({}, image_attrs(META, [(2, 8, 8)]))}, {"ome": {"labels": ["cells"]}}
    )
    return MemoryGroup(nodes, image_attrs(meta, [level.shape for level in levels]))


def ome(root: Any) -> Any:
    return root.attrs["ome"]


def test_without_overrides_the_source_is_itself() -> None:
    source = Memory(image())
    assert overridden(source, Override()) is source


def test_sizes_names_and_colours_are_replaced_and_pixels_are_not() -> None:
    source = Memory(image())
    made = overridden(
        source, Override(("t", "y", "x"), {"y": 0.5, "x": 0.25}, "micrometer", ("DAPI",), ("00FF00", "0000FF"))
    )
    scale = ome(made.root)["multiscales"][0]
    assert scale["axes"] == [
        {"name": "t", "type": "time"},
        {"name": "y", "type": "space", "unit": "micrometer"},
        {"name": "x", "type": "space", "unit": "micrometer"},
    ]
    steps = [level["coordinateTransformations"] for level in scale["datasets"]]
    assert steps[0][0]["scale"] == [1.0, 0.5, 0.25]
    assert steps[0][1]["translation"] == [0.0, 2.5, 0.0], "the origin is in pixels of the file's size"
    assert steps[1][0]["scale"] == [1.0, 1.0, 0.5]
    assert ome(made.root)["omero"]["channels"][:2] == [
        {"label": "DAPI", "active": True, "color": "00FF00"},
        {"label": "two", "active": True, "color": "0000FF"},
    ]
    assert ome(source.root)["multiscales"][0]["axes"][0]["name"] == "c", "the file's own attributes stay"
    level = made.root["0"]
    assert isinstance(level, Array)
    assert level.read(Box((1, 2, 3), (2, 3, 5))).tolist() == [[[83, 84]]]
    assert ome(made.root["labels"]["cells"]) == ome(image()["labels"]["cells"])  # type: ignore[index]


def test_the_version_tells_the_configuration() -> None:
    source = Memory(image())
    one, same, other = (overridden(source, Override(channel_names=(name,))) for name in "aab")
    assert one.etag.startswith("abc-")
    assert one.etag == same.etag != other.etag
    assert set(one.etag) <= set("0123456789abcdefghijklmnopqrstuvwxyz-")
    assert one.modified_s == 5.0
    source.same = False
    assert not one.fresh()
    one.close()
    assert source.closed


def test_every_image_of_a_file_is_overridden() -> None:
    made = overridden(
        Memory(MemoryGroup({"a": image(), "well": MemoryGroup({"b": image()})})), Override((), {"x": 7.0})
    )
    for found in (made.root["a"], made.root["well"]["b"]):  # type: ignore[index]
        assert ome(found)["multiscales"][0]["datasets"][0]["coordinateTransformations"][0]["scale"][2] == 7.0
    assert list(made.root) == ["a", "well"]
    assert "a" in made.root
    assert "nothing" not in made.root


def test_the_older_place_of_the_attributes_and_a_scale_of_the_whole_image() -> None:
    attrs = dict(image_attrs(META, [(2, 8, 8)])["ome"])
    attrs["multiscales"][0]["coordinateTransformations"] = [{"type": "scale", "scale": [1.0, 3.0, 3.0]}]
    made = overridden(Memory(MemoryGroup({}, attrs)), Override((), {"y": 6.0}))
    scale = made.root.attrs["multiscales"][0]
    assert "ome" not in made.root.attrs
    own, whole = (holder["coordinateTransformations"][0]["scale"] for holder in (scale["datasets"][0], scale))
    assert [a * b for a, b in zip(own, whole, strict=True)] == [1.0, 6.0, 6.0]


@pytest.mark.parametrize(
    "override", [Override(("y", "x")), Override((), {"z": 1.0}), Override(("t", "y", "x"), {"z": 1.0})]
)
def test_what_does_not_fit_is_an_error(override: Override) -> None:
    source = Memory(image())
    with pytest.raises(BadRequest) as raised:
        overridden(source, override)
    assert raised.value.name == "override_does_not_fit"
    assert source.closed


def test_a_data_set_instead_of_the_file() -> None:
    tree = MemoryGroup(
        {"deep": MemoryGroup({"stack": MemoryArray(np.zeros((2, 3, 4)), {"made": "here"}), "im": image()})}
    )
    made = overridden(Memory(tree), Override(("z", "y", "x"), {"z": 2.0}, "micrometer", dataset="deep/stack"))
    assert list(made.root) == ["stack"]
    array = made.root["stack"]
    assert isinstance(array, Array)
    assert array.attrs == {
        "made": "here", "dimension_names": ["z", "y", "x"], "step": [2.0, 1.0, 1.0], "unit": "micrometer",
    }  # fmt: skip
    assert array.read_all().shape == array.spec.shape == (2, 3, 4)
    assert "multiscales" in ome(overridden(Memory(tree), Override(dataset="deep/im")).root)
    for wrong in ("nothing", "deep/stack/0"):
        source = Memory(tree)
        with pytest.raises(NotFound, match="no data set"):
            overridden(source, Override(dataset=wrong))
        assert source.closed
    with pytest.raises(NotFound):
        made.root["other"]


def test_arrays_with_another_number_of_axes_stay() -> None:
    spec = MemoryArray(np.zeros((3, 4))).spec
    assert array_attributes({"a": 1}, spec, Override(("z", "y", "x"))) == {"a": 1}
    assert array_attributes({}, spec, Override((), {"z": 1.0})) == {}
    sized = array_attributes({"step": [1.0, 9.0]}, spec, Override((), {"x": 2.0}))
    assert sized == {"step": [1.0, 2.0], "dimension_names": ["y", "x"]}
