"""Folders of numbered TIFF files; golden values are what was written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from test_tiff import noise, scale

from coverslip.core.errors import Damaged, UnknownFormat
from coverslip.core.format import Several
from coverslip.core.node import Source
from coverslip.formats import open_source, recognise
from coverslip.formats.tiff_sequence import FORMAT
from coverslip.formats.trees.tiff_numbered import numbered
from coverslip.testing import FormatTests, Golden


class TestTimeDepthChannel(FormatTests):
    format_name = "tiff-sequence"
    raw_key = "img_t001_z002_c1.tif"
    data = noise((2, 3, 4, 20, 25))  # t c z y x

    @pytest.fixture
    def sample(self, tmp_path: Path) -> Path:
        folder = tmp_path / "run"
        folder.mkdir()
        for t, c, z in np.ndindex(2, 3, 4):
            path = folder / f"img_t{t + 1:03}_z{z + 1:03}_c{c}.tif"
            resolution = {"resolution": (2e4, 1e4), "resolutionunit": "CENTIMETER"}
            tifffile.imwrite(path, self.data[t, c, z], metadata=None, compression="zlib", **resolution)  # type: ignore[arg-type]
        return folder

    def golden(self, sample: Path) -> dict[str, Golden]:
        return {"": Golden(self.data, "tczyx", {"y": 1.0, "x": 0.5}, "micrometer")}

    def test_the_folder_and_its_files_belong_together(self, sample: Path) -> None:
        assert isinstance(FORMAT, Several)
        assert list(FORMAT.members(sample)) == [sample, *sorted(sample.iterdir())]

    def test_a_missing_file_is_an_error_where_it_would_be(self, sample: Path) -> None:
        (sample / "img_t002_z003_c1.tif").unlink()
        source = open_source(sample)
        array = source.root.array("0")
        np.testing.assert_array_equal(array.read_rows(0, 1), self.data[:1])
        with pytest.raises(Damaged, match="does not say where"):
            array.read_rows(1, 2)
        source.close()

    def test_a_file_that_differs_is_an_error_when_it_is_read(self, sample: Path) -> None:
        tifffile.imwrite(sample / "img_t001_z002_c0.tif", noise((9, 9)), metadata=None)
        source = open_source(sample)
        with pytest.raises(Damaged, match=r"img_t001_z002_c0\.tif"):
            source.root.array("0").read_rows(0, 1)
        source.close()


class TestOneCounter(FormatTests):
    format_name = "tiff-sequence"
    data = noise((12, 15, 18, 3), "uint8")

    @pytest.fixture
    def sample(self, tmp_path: Path) -> Path:
        folder = tmp_path / "frames"
        folder.mkdir()
        for i, plane in enumerate(self.data):
            tifffile.imwrite(folder / f"snap {i * 5}.TIF", plane, metadata=None, photometric="rgb")
        (folder / "notes.txt").write_text("not a picture")
        return folder

    def golden(self, sample: Path) -> dict[str, Golden]:
        return {"": Golden(self.data.transpose(0, 3, 1, 2), "icyx", channels=["Red", "Green", "Blue"], rgb=True)}

    def test_tifffile_reads_the_same(self, sample: Path, source: Source) -> None:
        names = [str(sample / f"snap {i * 5}.TIF") for i in range(12)]
        other = tifffile.TiffSequence(names).asarray()
        np.testing.assert_array_equal(source.root.array("0").read_all(), other.transpose(0, 3, 1, 2))


class TestStacksInTime(FormatTests):
    format_name = "tiff-sequence"
    data = noise((3, 5, 14, 16))

    @pytest.fixture
    def sample(self, tmp_path: Path) -> Path:
        folder = tmp_path / "stacks"
        folder.mkdir()
        for t, stack in enumerate(self.data):
            about = {"axes": "ZYX", "spacing": 2.0, "unit": "um"}
            tifffile.imwrite(folder / f"time{t:02}.tif", stack, imagej=True, resolution=(4, 4), metadata=about)
        return folder

    def golden(self, sample: Path) -> dict[str, Golden]:
        return {"": Golden(self.data, "tzyx", {"z": 2.0, "y": 0.25, "x": 0.25}, "micrometer")}


class TestLarge(FormatTests):
    """Opening reads one file and the heads of a few; a pixel reads its file."""

    format_name = "tiff-sequence"
    data = noise((24, 256, 256))

    @pytest.fixture
    def sample(self, tmp_path: Path) -> Path:
        folder = tmp_path / "large"
        folder.mkdir()
        for z, plane in enumerate(self.data):
            tifffile.imwrite(folder / f"z{z:02}.tif", plane, metadata=None)
        return folder

    def golden(self, sample: Path) -> dict[str, Golden]:
        return {"": Golden(self.data, "zyx")}


def write(folder: Path, names: list[str], shape: tuple[int, ...] = (6, 7), **options: Any) -> Path:
    """Files of these names, all alike."""
    folder.mkdir(exist_ok=True)
    for name in names:
        tifffile.imwrite(folder / name, noise(shape), **options)
    return folder


@pytest.mark.parametrize(
    "names",
    [
        ["a.tif", "b.tif", "c.tif"],
        ["img1.tif", "img2.tif"],
        ["img_1.tif", "img_2.tif", "img_3.tif", "mask_1.tif", "mask_2.tif", "mask_3.tif"],
        ["20240105.tif", "20240817.tif", "20231201.tif"],
        ["1.tif", "01.tif", "2.tif"],
        ["t1_z1.tif", "t2_z2.tif", "t3_z3.tif"],
    ],
)
def test_names_that_are_no_series(tmp_path: Path, names: list[str]) -> None:
    folder = write(tmp_path / "a", names)
    with pytest.raises(UnknownFormat):
        recognise(folder)


def test_files_that_differ_are_no_series(tmp_path: Path) -> None:
    folder = write(tmp_path / "a", ["img1.tif", "img2.tif", "img3.tif"])
    assert recognise(folder).name == "tiff-sequence"
    write(folder, ["img4.tif"], (8, 9))
    with pytest.raises(UnknownFormat):
        recognise(folder)


def test_ome_files_are_no_series(tmp_path: Path) -> None:
    names = ["img1.ome.tif", "img2.ome.tif", "img3.ome.tif"]
    with pytest.raises(UnknownFormat):
        recognise(write(tmp_path / "a", names))


@pytest.mark.parametrize("junk", [b"", b"no picture", b"II*\0\x08\0\0\0\xff\xff"])
def test_files_that_cannot_be_read_are_no_series(tmp_path: Path, junk: bytes) -> None:
    folder = write(tmp_path / "a", ["img1.tif", "img2.tif", "img3.tif"])
    (folder / "img3.tif").write_bytes(junk)
    with pytest.raises(UnknownFormat):
        recognise(folder)


@pytest.mark.parametrize(
    ("name", "axes", "shape"),
    [
        ("scan_T{0:03}_Z{1}.tif", "tz", (4, 3)),
        ("ch{1}-frame{0}.tif", "tc", (4, 3)),
        ("Pos{0}_time{1}.tif", "pt", (4, 3)),
        ("{0:04}_{1:04}.tif", "ij", (4, 3)),
        ("r2d2_z{0}_x{1}.tif", "zi", (4, 3)),
    ],
)
def test_axes_by_their_letters(name: str, axes: str, shape: tuple[int, ...]) -> None:
    found = numbered([name.format(*at) for at in np.ndindex(*shape)])
    assert found is not None
    assert found.axes == axes
    for at in np.ndindex(*shape):
        assert found.names[found.which[at]] == name.format(*at)


def test_pixel_sizes_are_those_of_the_first_file(tmp_path: Path) -> None:
    folder = write(
        tmp_path / "a",
        [f"z{i}.tif" for i in range(3)],
        metadata=None,
        resolution=(5e3, 5e3),
        resolutionunit="CENTIMETER",
    )
    source = open_source(folder)
    assert scale(source.root)["x"] == (2.0, "micrometer")
    source.close()
