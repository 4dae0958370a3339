"""Zarr that follows no convention of images: every array of numbers, by its path."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any, ClassVar

import numcodecs
import numpy as np
import pytest
import zarr

from coverslip.core.errors import CoverslipError
from coverslip.core.node import Group
from coverslip.domains.images import Images
from coverslip.formats import formats, open_source
from coverslip.formats.trees.zarr import ZarrGroup, open_hierarchy
from coverslip.formats.trees.zarr_store import open_store
from coverslip.testing import FormatTests
from coverslip.testing.formats import Golden
from zarr_files import axes, datasets, pixels, write_array, write_group, write_image, zipped


class Arrays(FormatTests):
    format_name = "zarr"

    @pytest.fixture
    def sample(self, once: Any) -> Path:
        return once(self.write)

    def write(self, folder: Path) -> Path:
        """The sample, in an empty folder."""
        raise NotImplementedError


class TestOneArray(Arrays):
    """A v2 array is offered itself."""

    data = pixels((3, 20, 30), "int16")

    def write(self, folder: Path) -> Path:
        write_array(folder / "volume.zarr", self.data, 2, compressors=numcodecs.Zlib())
        return folder / "volume.zarr"

    def golden(self, sample: Path) -> dict[str, Golden]:
        return {"": Golden(self.data, "zyx")}


class TestNamedAxes(Arrays):
    """Axes as v3 names them; four axes, complex numbers."""

    data = pixels((2, 3, 4, 5), "complex64")

    def write(self, folder: Path) -> Path:
        write_array(folder / "a.zarr", self.data, dimension_names=["t", "c", "y", "x"])
        return folder / "a.zarr"

    def golden(self, sample: Path) -> dict[str, Golden]:
        return {"": Golden(self.data, "tcyx")}


class TestHierarchy(Arrays):
    """Arrays in groups of groups; text and scalars are none."""

    data: ClassVar = {
        "x": pixels((17,), "float64"), "deep/er/image": pixels((8, 9), "uint8"), "deep/t": pixels((5, 4, 3), ">u4"),
    }  # fmt: skip
    names: ClassVar = {"x": "x", "deep/er/image": "yx", "deep/t": "zyx"}
    version = 2
    raw_key = "gain"

    def write(self, folder: Path) -> Path:
        return self.written(folder / "h.zarr")

    def written(self, path: Path) -> Path:
        write_group(path, {}, self.version)
        for group in ("deep", "deep/er", "empty"):
            write_group(path / group, {"made": group}, self.version)
        for name, data in self.data.items():
            write_array(path / name, data, self.version, attributes={"gain": 2})
        zarr.create_array(path / "scalar", shape=(), dtype="i4", zarr_format=self.version)
        zarr.create_array(path / "none", shape=(0, 3), dtype="i4", zarr_format=self.version)
        if self.version == 2:
            zarr.create_array(path / "text", shape=(3,), dtype="<U5", zarr_format=2)
        return path

    def golden(self, sample: Path) -> dict[str, Golden]:
        return {name: Golden(data, self.names[name]) for name, data in self.data.items()}

    def test_nothing_else_is_offered(self, source: Any) -> None:
        assert set(Images(source).paths) == set(self.data)
        assert source.root["deep"].attrs["coverslip"]["raw"] == {"made": "deep"}


class TestHierarchy3(TestHierarchy):
    version = 3


class TestConsolidated(TestHierarchy):
    """Members' own documents are not needed when the root gathers them."""

    document = ".zarray"

    def write(self, folder: Path) -> Path:
        path = self.written(folder / "h.zarr")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # v3 has no specification of it yet
            zarr.consolidate_metadata(path)
        for name in self.data:
            (path / name / self.document).unlink()
        return path


class TestConsolidated3(TestConsolidated):
    version = 3
    document = "zarr.json"


class TestXarray(Arrays):
    """Axes as xarray names them in v2."""

    data: ClassVar = {"air": pixels((4, 6, 8), "float32"), "lat": pixels((6,), "float64")}

    def write(self, folder: Path) -> Path:
        path = write_group(folder / "air.zarr", {}, 2)
        dims = {"air": ["t", "y", "x"], "lat": ["y"]}
        for name, data in self.data.items():
            write_array(path / name, data, 2, attributes={"_ARRAY_DIMENSIONS": dims[name]})
        return zipped(path, folder / "air.zip")

    def golden(self, sample: Path) -> dict[str, Golden]:
        return {"air": Golden(self.data["air"], "tyx"), "lat": Golden(self.data["lat"], "y")}


class TestLarge(Arrays):
    """Opening reads metadata only; a pixel reads one chunk."""

    data = pixels((16, 256, 256), "uint16")

    def write(self, folder: Path) -> Path:
        write_array(folder / "large.zarr", self.data, 2, chunks=(8, 64, 64), compressors=numcodecs.Zlib(1))
        return folder / "large.zarr"

    def golden(self, sample: Path) -> dict[str, Golden]:
        return {"": Golden(self.data, "zyx")}


def test_images_among_arrays_are_images(tmp_path: Path) -> None:
    path = write_group(tmp_path / "a.zarr", {})
    write_array(path / "table", pixels((5,), "uint8"))
    levels = [pixels((16, 16), "uint8"), pixels((8, 8), "uint8")]
    ome = {"multiscales": [{"axes": axes("yx"), "datasets": datasets(2, [0.5, 0.5])}]}
    write_image(path / "picture", levels, ome)
    write_group(path / "cells", {"encoding-type": "anndata"})
    write_array(path / "cells" / "X", pixels((5, 5), "uint8"))
    source = open_source(path)
    images = Images(source)
    assert set(images.paths) == {"table", "picture"}
    assert images["picture"].axes[0].step == 0.5
    source.close()


def test_what_cannot_be_shown_hides_nothing_else(tmp_path: Path) -> None:
    path = write_group(tmp_path / "a.zarr", {}, 2)
    write_array(path / "good", pixels((5, 5), "uint8"), 2)
    write_array(path / "bad", pixels((5, 5), "uint8"), 2, compressors=numcodecs.LZ4())
    write_array(path / "worse", pixels((5, 5), "uint8"), 2)
    (path / "worse" / ".zarray").write_text("{")
    source = open_source(path)
    assert Images(source).paths == ("good",)
    assert set(source.root.attrs["coverslip"]["left_out"]) == {"bad", "worse"}
    source.close()


def test_anndata_is_left_to_others(tmp_path: Path) -> None:
    path = write_group(tmp_path / "a.zarr", {"encoding-type": "anndata"})
    write_array(path / "X", pixels((5, 5), "float32"))
    assert not [f.name for f in formats() if f.name in ("zarr", "ome-zarr") and f.claims(path, b"")]


def test_a_link_to_the_folder_above_ends(tmp_path: Path) -> None:
    path = write_group(tmp_path / "a.zarr", {})
    write_array(path / "x", pixels((5, 5), "uint8"))
    (path / "again").symlink_to(path)
    source = open_source(path)
    np.testing.assert_array_equal(source.root.array("0").read_all(), pixels((5, 5), "uint8"))
    source.close()


def test_the_tree_itself(tmp_path: Path) -> None:
    """What formats of other conventions build on: groups, attributes, members, paths."""
    path = write_group(tmp_path / "a.zarr", {"k": [1, "b"]})
    write_group(path / "g", {})
    write_array(path / "g" / "x", pixels((5,), "int32"), attributes={"unit": "s"})
    root = open_hierarchy(open_store(path))
    assert isinstance(root, ZarrGroup)
    assert (dict(root.attrs), list(root)) == ({"k": [1, "b"]}, ["g"])
    assert root["g"].array("x").attrs == {"unit": "s"}  # type: ignore[union-attr]
    assert root.at("g/x").spec.shape == (5,)  # type: ignore[union-attr]
    assert isinstance(root["g"], Group)
    for name in ("", "..", "g/x", "nothing", "../a.zarr", 5):
        assert name not in root
    for name in ("..", "nothing", "g/x"):
        with pytest.raises(CoverslipError):
            root[name]


def test_attributes_are_kept_as_json(tmp_path: Path) -> None:
    path = write_group(tmp_path / "a.zarr", {"a": None, "b": 1.5})
    for i in range(2):
        write_array(path / f"x{i}", pixels((5, 6), "uint8"), attributes={"i": i})
    source = open_source(path)
    assert source.root.attrs["coverslip"]["raw"] == {"a": None, "b": 1.5}
    assert json.loads(json.dumps(dict(source.root["x1"].attrs)))["coverslip"]["raw"] == {"i": 1}
    source.close()
