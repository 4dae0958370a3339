"""Imaris files, written here by its own description of format 5.5: padded volumes, attributes of single characters."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import h5py
import hdf5plugin
import numpy as np
import pytest

from coverslip.core.errors import CoverslipError, Damaged, Unsupported
from coverslip.core.spec import Box
from coverslip.formats import open_source
from coverslip.testing import FormatTests
from coverslip.testing.formats import Golden
from fuzz import rounds
from zarr_files import pixels

Data = np.ndarray[Any, Any]
CHANNELS = [
    {"Name": "nuclei", "Color": "0.000 0.000 1.000", "ColorRange": "10.000 900.500", "ColorMode": "BaseColor"},
    {"Name": "mito", "Color": "1.000 0.502 0.000", "ColorRange": "0.000 255.000", "ColorMode": "BaseColor"},
    {"Name": "", "ColorMode": "TableColor"},
]


def say(item: h5py.HLObject, **attributes: Any) -> None:
    """Attributes as Imaris writes them: one character an element."""
    for name, text in attributes.items():
        item.attrs[name] = np.array([c.encode() for c in str(text)] or [b"\0"], "S1")


def write_ims(
    path: Path,
    levels: list[Data],
    image: dict[str, Any] | None = None,
    times: list[str] | None = None,
    chunks: tuple[int, int, int] = (4, 16, 16),
    **filters: Any,
) -> Path:
    """Levels of axes t, c, z, y, x, each padded to whole chunks."""
    with h5py.File(path, "w") as file:
        say(file, ImarisDataSet="ImarisDataSet", ImarisVersion="5.5.0", DataSetDirectoryName="DataSet")
        say(file, DataSetInfoDirectoryName="DataSetInfo", ThumbnailDirectoryName="Thumbnail")
        file.attrs["NumberOfDataSets"] = np.array([1], "u4")
        for r, level in enumerate(levels):
            for t, c in np.ndindex(*level.shape[:2]):
                group = file.create_group(f"DataSet/ResolutionLevel {r}/TimePoint {t}/Channel {c}")
                volume = level[t, c]
                pad = [(0, -n % k) for n, k in zip(volume.shape, chunks, strict=True)]
                stored = np.pad(volume, pad, constant_values=1)
                group.create_dataset("Data", data=stored, chunks=chunks, **(filters or {"compression": "gzip"}))
                group.create_dataset("Histogram", data=np.zeros(256, "u8"))
                say(group, **{f"ImageSize{a}": n for a, n in zip("ZYX", volume.shape, strict=True)})
                say(group, HistogramMin="0.000", HistogramMax="255.000")
        z, y, x = levels[0].shape[2:]
        extent = {"ExtMin0": 5, "ExtMin1": 0, "ExtMin2": -1, "ExtMax0": 5 + 0.5 * x, "ExtMax1": 0.25 * y}
        extent |= {"ExtMax2": -1 + 2.0 * z, "Unit": "um", "X": x, "Y": y, "Z": z, "Name": "cells"}
        say(file.create_group("DataSetInfo/Image"), **(extent | (image or {})))
        for c in range(levels[0].shape[1]):
            say(file.create_group(f"DataSetInfo/Channel {c}"), **CHANNELS[c])
        if times:
            named = {f"TimePoint{i + 1}": text for i, text in enumerate(times)}
            say(file.create_group("DataSetInfo/TimeInfo"), DatasetTimePoints=len(times), **named)
        file.create_dataset("Thumbnail/Data", data=np.zeros((4, 16), "u1"))
    return path


def pyramid(data: Data, n: int) -> list[Data]:
    """Halved in x and y, then in z too, as Imaris does."""
    levels = [data]
    for i in range(1, n):
        levels.append(levels[-1][:, :, :: 2 if i > 1 else 1, ::2, ::2])
    return levels


class ImarisTests(FormatTests):
    format_name = "imaris"
    raw_key = "ExtMax0"


class TestFiveAxes(ImarisTests):
    """Two time points, three channels, three levels; sizes that are no multiples of chunks."""

    data = pixels((2, 3, 7, 37, 50), "uint16")

    @pytest.fixture
    def sample(self, tmp_path: Path) -> Path:
        times = ["2020-05-01 10:00:00.000", "2020-05-01 10:00:30.500"]
        return write_ims(tmp_path / "a.ims", pyramid(self.data, 3), times=times)

    def golden(self, sample: Path) -> dict[str, Golden]:
        steps = {"t": 30.5, "z": 2.0, "y": 0.25, "x": 0.5}
        labels = ["nuclei", "mito", ""]
        return {"": Golden(self.data, "tczyx", steps, "micrometer", labels, ["0000FF", "FF8000", None], levels=3)}  # type: ignore[list-item]

    def test_contrast_name_and_place(self, source: Any) -> None:
        ome = source.root.attrs["ome"]
        assert ome["omero"]["channels"][0]["window"]["end"] == 900.5
        assert "window" not in ome["omero"]["channels"][2]
        scale = ome["multiscales"][0]
        assert scale["name"] == "cells"
        shift = scale["datasets"][0]["coordinateTransformations"][1]["translation"]
        np.testing.assert_allclose(shift, [0, 0, 0, 0.125, 5.25])

    def test_every_level(self, source: Any) -> None:
        for number, level in enumerate(pyramid(self.data, 3)):
            np.testing.assert_array_equal(source.root.array(str(number)).read_all(), level)


@pytest.mark.parametrize("dtype", ["uint8", "uint32", "float32"])
@pytest.mark.parametrize(
    "filters",
    [{"compression": "gzip"}, {"compression": "gzip", "shuffle": True}, dict(hdf5plugin.LZ4()), {"fletcher32": True}],
    ids=["gzip", "shuffle", "lz4", "none"],
)
def test_every_dtype_and_compression(tmp_path: Path, dtype: str, filters: dict[str, Any]) -> None:
    data = pixels((1, 2, 3, 20, 20), dtype)
    source = open_source(write_ims(tmp_path / "a.ims", [data], **filters))
    np.testing.assert_array_equal(source.root.array("0").read_all(), data)
    source.close()


class TestFlat(ImarisTests):
    """One plane; no unit, no times, no padding."""

    data = pixels((1, 1, 1, 32, 32), "uint8")

    @pytest.fixture
    def sample(self, tmp_path: Path) -> Path:
        return write_ims(tmp_path / "flat.ims", [self.data], {"Unit": "nm", "Name": ""}, chunks=(1, 32, 32))

    def golden(self, sample: Path) -> dict[str, Golden]:
        return {"": Golden(self.data, "tczyx", {"t": 1.0, "x": 0.5}, "nanometer", ["nuclei"])}

    def test_it_is_called_like_its_file(self, source: Any) -> None:
        assert source.root.attrs["ome"]["multiscales"][0]["name"] == "flat"


class TestLarge(ImarisTests):
    """Opening reads no chunk; a pixel reads one."""

    data = pixels((1, 2, 16, 256, 256), "uint8")

    @pytest.fixture
    def sample(self, once: Any) -> Path:
        return once(lambda folder: write_ims(folder / "large.ims", pyramid(self.data, 3), chunks=(8, 64, 64)))

    def golden(self, sample: Path) -> dict[str, Golden]:
        return {"": Golden(self.data, "tczyx", {"z": 2.0}, "micrometer", ["nuclei", "mito"], levels=3)}


def edited(path: Path, edit: Any) -> Path:
    with h5py.File(path, "r+") as file:
        edit(file)
    return path


def test_a_level_that_is_not_smaller_ends_the_pyramid(tmp_path: Path) -> None:
    data = pixels((1, 1, 4, 20, 20), "uint8")
    source = open_source(write_ims(tmp_path / "a.ims", [data, data]))
    assert len(source.root.attrs["ome"]["multiscales"][0]["datasets"]) == 1
    source.close()


@pytest.mark.parametrize(
    "gone",
    [
        "DataSet",
        "DataSet/ResolutionLevel 0",
        "DataSet/ResolutionLevel 0/TimePoint 0",
        "DataSet/ResolutionLevel 0/TimePoint 0/Channel 0",
        "DataSet/ResolutionLevel 0/TimePoint 0/Channel 0/Data",
    ],
)
def test_files_without_an_image_are_damaged(tmp_path: Path, gone: str) -> None:
    path = write_ims(tmp_path / "a.ims", [pixels((1, 1, 4, 20, 20), "uint8")])
    with pytest.raises(Damaged) as caught:
        open_source(edited(path, lambda file: file.__delitem__(gone)))
    assert caught.value.hint


def test_a_channel_that_is_gone_is_told_when_it_is_read(tmp_path: Path) -> None:
    path = write_ims(tmp_path / "a.ims", [pixels((2, 2, 4, 20, 20), "uint8")])
    source = open_source(edited(path, lambda f: f.__delitem__("DataSet/ResolutionLevel 0/TimePoint 1/Channel 1")))
    array = source.root.array("0")
    assert array.read(Box((0, 0, 0, 0, 0), (1, 2, 4, 20, 20))).any()
    with pytest.raises(Damaged):
        array.read_all()
    source.close()


def test_channels_of_different_types_are_told(tmp_path: Path) -> None:
    def edit(file: h5py.File) -> None:
        group = file["DataSet/ResolutionLevel 0/TimePoint 0/Channel 1"]
        del group["Data"]
        group["Data"] = np.zeros((4, 32, 32), "f8")

    path = edited(write_ims(tmp_path / "a.ims", [pixels((1, 2, 4, 20, 20), "uint8")]), edit)
    source = open_source(path)
    with pytest.raises(Unsupported):
        source.root.array("0").read_all()
    source.close()


@pytest.mark.parametrize(
    "image",
    [
        {"ExtMax0": "nan", "ExtMax1": "", "ExtMax2": "x"},
        {"ExtMax0": "-7", "ExtMax1": "0", "ExtMax2": "-1"},
        {"Unit": "", "ExtMax0": "inf"},
    ],
)
def test_extents_that_make_no_sense_leave_the_pixels(tmp_path: Path, image: dict[str, str]) -> None:
    data = pixels((1, 1, 4, 20, 20), "uint8")
    source = open_source(write_ims(tmp_path / "a.ims", [data], image))
    scale = source.root.attrs["ome"]["multiscales"][0]["datasets"][0]["coordinateTransformations"][0]["scale"]
    assert scale[4] == 1.0
    np.testing.assert_array_equal(source.root.array("0").read_all(), data)
    source.close()


@pytest.mark.parametrize("size", ["0", "-3", "99999", "x", ""])
def test_sizes_that_make_no_sense_are_those_stored(tmp_path: Path, size: str) -> None:
    path = write_ims(tmp_path / "a.ims", [pixels((1, 1, 4, 32, 32), "uint8")], {"X": size, "Y": size})
    edited(path, lambda f: say(f["DataSet/ResolutionLevel 0/TimePoint 0/Channel 0"], ImageSizeX=size, ImageSizeY=size))
    source = open_source(path)
    assert source.root.array("0").spec.shape == (1, 1, 4, 32, 32)
    source.close()


def test_damage_anywhere_is_told(tmp_path: Path) -> None:
    path = write_ims(tmp_path / "a.ims", [pixels((1, 2, 4, 40, 40), "uint16")])
    whole = path.read_bytes()
    rng = np.random.default_rng(4)
    told = 0
    for trial in rounds(60):
        broken = bytearray(whole)
        if trial % 3:
            for at in rng.integers(0, len(broken), 30):
                broken[at] ^= int(rng.integers(1, 256))
        else:
            del broken[int(rng.integers(8, len(broken))) :]
        path.write_bytes(broken)
        try:
            source = open_source(path)
        except CoverslipError:
            told += 1
            continue
        try:
            array = source.root.array("0")
            if math.prod(array.spec.shape) < 1 << 24:
                array.read_all()
        except CoverslipError:
            told += 1
        finally:
            source.close()
    assert told >= 20
