"""Slides and microscopes' own TIFF: pyramids, labels, pixel sizes, channels; written here as the vendors write them.

A real slide comes from the tests of openslide-python (see ``scripts/pypi_file.py``).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image as Picture
from pypi_file import pypi_file
from test_tiff import noise, scale

from coverslip.core.node import Group, Source
from coverslip.formats import open_source
from coverslip.testing import FormatTests, Golden

RGB_NAMES = ["Red", "Green", "Blue"]


def first(image: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Samples first."""
    return np.moveaxis(image, -1, 0)


class TestAperio(FormatTests):
    format_name = "tiff"
    raw_key = "AppMag"
    slide, thumb = noise((400, 300, 3), "uint8"), noise((60, 45, 3), "uint8")
    label, macro = noise((30, 20, 3), "uint8"), noise((25, 70, 3), "uint8")

    @pytest.fixture
    def sample(self, tmp_path: Path) -> Path:
        path = tmp_path / "slide.svs"
        about = "Aperio Image Library v11.2.1\r\n300x400 |AppMag = 20|MPP = 0.4990|Filename = C:\\Users\\eve\\7.svs"
        tiled: dict[str, Any] = {"tile": (64, 64), "compression": "zlib", "photometric": "rgb", "metadata": None}
        flat: dict[str, Any] = {"compression": "lzw", "photometric": "rgb", "metadata": None, "rowsperstrip": 16}
        with tifffile.TiffWriter(path) as writer:
            writer.write(self.slide, description=about, **tiled)
            writer.write(self.thumb, description="Aperio Image Library v11.2.1\r\n300x400 -> 45x60", **flat)
            writer.write(self.slide[::4, ::4], description="Aperio Image Library v11.2.1\r\nlevel", **tiled)
            writer.write(self.slide[::8, ::8], description="Aperio Image Library v11.2.1\r\nlevel", **tiled)
            writer.write(self.label, description="Aperio Image Library v11.2.1\r\nlabel 20x30", subfiletype=1, **flat)
            writer.write(self.macro, description="Aperio Image Library v11.2.1\r\nmacro 70x25", subfiletype=9, **flat)
        return path

    def golden(self, sample: Path) -> dict[str, Golden]:
        um = {"y": 0.499, "x": 0.499}
        return {
            "baseline": Golden(first(self.slide), "cyx", um, "micrometer", RGB_NAMES, levels=3, rgb=True),
            "thumbnail": Golden(first(self.thumb), "cyx", {"x": 1.0}, rgb=True),
            "label": Golden(first(self.label), "cyx", {"x": 1.0}, rgb=True),
            "macro": Golden(first(self.macro), "cyx", {"x": 1.0}, rgb=True),
        }

    def test_raw_metadata_of_every_image(self, sample: Path, source: Source) -> None:
        slide = self.image(source, "baseline").attrs["coverslip"]["raw"]["description"]
        assert "MPP = 0.4990" in slide
        assert "Filename = 7.svs" in slide

    def test_metadata_is_plain_and_private(self, sample: Path, source: Source) -> None:
        for path in ("baseline", "label"):
            assert str(sample.parent) not in str(self.image(source, path).attrs)

    def test_levels_hold_what_was_written(self, source: Source) -> None:
        for level, step in ((1, 4), (2, 8)):
            found = self.level(source, "baseline", level).read_all()
            np.testing.assert_array_equal(found, first(self.slide[::step, ::step]))


class TestQpTiff(FormatTests):
    """PerkinElmer's multi-channel slides: a page for each channel and level, a description in each."""

    format_name = "tiff"
    raw_key = "PerkinElmer-QPI-ImageDescription"
    slide, thumb = noise((3, 256, 192), "uint8"), noise((50, 40, 3), "uint8")
    macro = noise((33, 44, 3), "uint8")

    @pytest.fixture
    def sample(self, tmp_path: Path) -> Path:
        path = tmp_path / "slide.qptiff"
        common: dict[str, Any] = {
            "metadata": None, "software": "PerkinElmer-QPI", "resolution": (20_000, 20_000),
            "resolutionunit": "CENTIMETER",
        }  # fmt: skip
        with tifffile.TiffWriter(path) as writer:
            for level, step in enumerate((1, 2, 4)):
                for plane, name, color in zip(
                    self.slide, ("DAPI", "CD8", "PanCK"), ("0,0,255", "255,0,0", "0,255,0"), strict=True
                ):
                    text = (
                        "<?xml version='1.0'?><PerkinElmer-QPI-ImageDescription><Name>"
                        f"{name}</Name><Color>{color}</Color></PerkinElmer-QPI-ImageDescription>"
                    )
                    writer.write(
                        plane[::step, ::step],
                        description=text,
                        tile=(64, 64),
                        compression="lzw",
                        photometric="minisblack",
                        **common,
                    )
                if level == 0:
                    writer.write(self.thumb, photometric="rgb", **common)
            writer.write(self.macro, photometric="rgb", **common)
        return path

    def golden(self, sample: Path) -> dict[str, Golden]:
        um, colors = {"y": 0.5, "x": 0.5}, ["0000FF", "FF0000", "00FF00"]
        return {
            "baseline": Golden(self.slide, "cyx", um, "micrometer", ["DAPI", "CD8", "PanCK"], colors, levels=3),
            "thumbnail": Golden(first(self.thumb), "cyx", rgb=True),
            "macro": Golden(first(self.macro), "cyx", rgb=True),
        }

    def test_metadata_is_plain_and_private(self, sample: Path, source: Source) -> None:
        raw = self.image(source, "baseline").attrs["coverslip"]["raw"]
        assert raw["description"]["PerkinElmer-QPI-ImageDescription"]["Name"] == {"_": "DAPI"}
        assert str(sample.parent) not in str(raw)


class TestPyramidOfPages(FormatTests):
    """A generic pyramid: reduced images as pages of their own (Hamamatsu, libvips, GDAL)."""

    format_name = "tiff"
    slide = noise((260, 330, 3), "uint8")

    @pytest.fixture
    def sample(self, tmp_path: Path) -> Path:
        path = tmp_path / "slide.tiff"
        common: dict[str, Any] = {"tile": (64, 64), "compression": "zstd", "photometric": "rgb", "metadata": None}
        with tifffile.TiffWriter(path, bigtiff=True) as writer:
            writer.write(self.slide, resolution=(40_000, 40_000), resolutionunit="CENTIMETER", **common)
            for step in (2, 4):
                writer.write(self.slide[::step, ::step], subfiletype=1, **common)
        return path

    def golden(self, sample: Path) -> dict[str, Golden]:
        um = {"y": 0.25, "x": 0.25}
        return {"": Golden(first(self.slide), "cyx", um, "micrometer", RGB_NAMES, levels=3, rgb=True)}


class TestLsm(FormatTests):
    """Zeiss LSM: planes alternate with thumbnails, sizes in metres."""

    format_name = "tiff"
    raw_key = "VoxelSizeX"
    data = noise((3, 3, 40, 50), "uint8")  # z c y x

    @pytest.fixture
    def sample(self, tmp_path: Path) -> Path:
        path = tmp_path / "stack.lsm"
        info = np.zeros((), [(name, "<" + kind) for name, kind in tifffile.TIFF.CZ_LSMINFO])
        values = {
            "MagicNumber": 0x0400494C, "StructureSize": info.nbytes, "DimensionX": 50, "DimensionY": 40,
            "DimensionZ": 3, "DimensionChannels": 3, "DimensionTime": 1, "DataType": 1, "ThumbnailX": 12,
            "ThumbnailY": 10,
            "VoxelSizeX": 0.2e-6, "VoxelSizeY": 0.3e-6, "VoxelSizeZ": 1.5e-6, "ScanType": 0,
        }  # fmt: skip
        for name, value in values.items():
            info[name] = value
        tag = (34412, 1, info.nbytes, info.tobytes(), True)
        with tifffile.TiffWriter(path, byteorder="<") as writer:
            for z in range(3):
                more: dict[str, Any] = {"extratags": [tag]} if z == 0 else {}
                writer.write(self.data[z], photometric="minisblack", planarconfig="separate", metadata=None, **more)
                small = np.ascontiguousarray(self.data[z, :, ::4, ::4])
                writer.write(small, subfiletype=1, photometric="minisblack", planarconfig="separate", metadata=None)
        return path

    def golden(self, sample: Path) -> dict[str, Golden]:
        steps = {"z": 1.5, "y": 0.3, "x": 0.2}
        return {"0": Golden(self.data.transpose(1, 0, 2, 3), "czyx", steps, "micrometer")}


def test_a_real_slide() -> None:
    path = pypi_file("small.svs")
    source = open_source(path)
    slide = source.root["baseline"]
    assert isinstance(slide, Group)
    assert scale(slide)["x"] == (0.499, "micrometer")
    found = slide.array("0").read_all()
    with Picture.open(path) as picture:
        other = first(np.asarray(picture.convert("RGB"))).astype(int)
    assert np.abs(found.astype(int) - other).max() <= 3  # two decoders of JPEG may round differently
    assert sorted(source.root)[0] == "baseline"
    source.close()
