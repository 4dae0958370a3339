"""TIFF: plain, tiled, in strips, compressed, BigTIFF, ImageJ; golden values are what was written."""

from __future__ import annotations

import os
import struct
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image as Picture
from tiff_files import noise, whole

from coverslip.core.errors import Damaged
from coverslip.core.node import Group, Source
from coverslip.core.spec import Box
from coverslip.formats import open_source
from coverslip.testing import FormatTests, Golden


def scale(root: Group) -> dict[str, tuple[float, str | None]]:
    """Step and unit of each axis."""
    found = root.attrs["ome"]["multiscales"][0]
    steps = found["datasets"][0]["coordinateTransformations"][0]["scale"]
    return {a["name"]: (s, a.get("unit")) for a, s in zip(found["axes"], steps, strict=True)}


class TestImageJHyperstack(FormatTests):
    format_name = "tiff"
    raw_key = "finterval"
    data = noise((3, 4, 2, 31, 45))

    @pytest.fixture
    def sample(self, tmp_path: Path) -> Path:
        path = tmp_path / "hyperstack.tif"
        ramp = np.arange(256, dtype=np.uint8)
        red, cyan = np.zeros((3, 256), np.uint8), np.zeros((3, 256), np.uint8)
        red[0], cyan[1], cyan[2] = ramp, ramp, ramp
        about = {"axes": "TZCYX", "spacing": 2.5, "unit": "um", "finterval": 30.0, "mode": "composite"}
        tifffile.imwrite(
            path, self.data, imagej=True, resolution=(4.0, 2.0),
            metadata={**about, "LUTs": [red, cyan], "Ranges": (10.0, 200.0, 5.0, 6000.0)},
        )  # fmt: skip
        return path

    def golden(self, sample: Path) -> dict[str, Golden]:
        steps = {"t": 30.0, "z": 2.5, "y": 0.5, "x": 0.25}
        pixels = self.data.transpose(0, 2, 1, 3, 4)
        return {"": Golden(pixels, "tczyx", steps, "micrometer", ["", ""], ["FF0000", "00FFFF"])}

    def test_contrast_is_that_of_imagej(self, source: Source) -> None:
        windows = [c["window"] for c in source.root.attrs["ome"]["omero"]["channels"]]
        assert [(w["start"], w["end"]) for w in windows] == [(10.0, 200.0), (5.0, 6000.0)]


class TestImageJWithoutDirectories(FormatTests):
    """ImageJ writes stacks above 4 GB with one directory and all pixels after it."""

    format_name = "tiff"
    data = noise((7, 20, 30), ">u2")

    @pytest.fixture
    def sample(self, tmp_path: Path) -> Path:
        path = tmp_path / "large.tif"
        text = b"ImageJ=1.53t\nimages=7\nslices=7\nunit=nm\nspacing=50.0\nloop=false\n\0"
        tags = [
            (256, 4, 1, 30), (257, 4, 1, 20), (258, 3, 1, 16 << 16), (262, 3, 1, 1 << 16),
            (270, 2, len(text), 200), (273, 4, 1, 400), (277, 3, 1, 1 << 16), (278, 4, 1, 20), (279, 4, 1, 1200),
            (282, 5, 1, 180), (283, 5, 1, 180),
        ]  # fmt: skip
        head = b"MM\0*" + struct.pack(">IH", 8, len(tags))
        head += b"".join(struct.pack(">HHII", *tag) for tag in tags) + b"\0\0\0\0"
        body = head.ljust(180, b"\0") + struct.pack(">II", 1, 13)
        path.write_bytes((body.ljust(200, b"\0") + text).ljust(400, b"\0") + self.data.tobytes())
        return path

    def golden(self, sample: Path) -> dict[str, Golden]:
        return {"": Golden(self.data, "zyx", {"z": 50.0, "y": 13.0, "x": 13.0}, "nanometer")}


class TestTiledRgb(FormatTests):
    format_name = "tiff"
    data = noise((150, 210, 3), "uint8")

    @pytest.fixture
    def sample(self, tmp_path: Path) -> Path:
        path = tmp_path / "rgb.tif"
        tifffile.imwrite(
            path, self.data, tile=(64, 48), compression="lzw", predictor=True, photometric="rgb", metadata=None,
            resolution=(20_000, 20_000), resolutionunit="CENTIMETER",
        )  # fmt: skip
        return path

    def golden(self, sample: Path) -> dict[str, Golden]:
        names, colors = ["Red", "Green", "Blue"], ["FF0000", "00FF00", "0000FF"]
        pixels = self.data.transpose(2, 0, 1)
        return {"": Golden(pixels, "cyx", {"y": 0.5, "x": 0.5}, "micrometer", names, colors, rgb=True)}

    def test_pillow_reads_the_same(self, sample: Path, source: Source) -> None:
        with Picture.open(sample) as picture:
            np.testing.assert_array_equal(source.root.array("0").read_all(), np.asarray(picture).transpose(2, 0, 1))

    def test_only_tiles_that_are_touched_are_read(self, sample: Path, source: Source) -> None:
        with tifffile.TiffFile(sample) as tif:
            offset = tif.pages.first.dataoffsets[-1]
        os.truncate(sample, offset)
        again = open_source(sample)
        array = again.root.array("0")
        np.testing.assert_array_equal(array.read(Box((1, 0, 0), (2, 64, 210))), self.data[:64, :, 1][None])
        with pytest.raises(Damaged, match="ends too early"):
            array.read(Box((0, 149, 209), (1, 150, 210)))
        again.close()


class TestPlanarRgba(FormatTests):
    format_name = "tiff"
    data = noise((4, 40, 50), "uint16")

    @pytest.fixture
    def sample(self, tmp_path: Path) -> Path:
        path = tmp_path / "planar.tif"
        tifffile.imwrite(
            path, self.data, planarconfig="separate", photometric="rgb", extrasamples=["unassalpha"],
            compression="zlib", rowsperstrip=7, metadata=None,
        )  # fmt: skip
        return path

    def golden(self, sample: Path) -> dict[str, Golden]:
        return {"": Golden(self.data, "cyx", channels=["Red", "Green", "Blue", "Alpha"], rgb=True)}


class TestStrips(FormatTests):
    format_name = "tiff"
    data = noise((90, 130), "float32")

    @pytest.fixture
    def sample(self, tmp_path: Path) -> Path:
        path = tmp_path / "strips.tif"
        tifffile.imwrite(
            path, self.data, rowsperstrip=16, compression="zstd", predictor=True, byteorder=">", metadata=None
        )
        return path

    def golden(self, sample: Path) -> dict[str, Golden]:
        return {"": Golden(self.data, "yx")}


class TestBigTiffStack(FormatTests):
    format_name = "tiff"
    raw_key = "tifffile"
    data = noise((5, 6, 64, 80), "int16")

    @pytest.fixture
    def sample(self, tmp_path: Path) -> Path:
        path = tmp_path / "big.btf"
        about = {"axes": "TZYX", "PhysicalSizeX": 0.2, "PhysicalSizeY": 0.3, "PhysicalSizeZ": 1.5, "TimeIncrement": 4.0}
        tifffile.imwrite(path, self.data, bigtiff=True, metadata=about)
        return path

    def golden(self, sample: Path) -> dict[str, Golden]:
        return {"": Golden(self.data, "tzyx", {"t": 4.0, "z": 1.5, "y": 0.3, "x": 0.2}, "micrometer")}


class TestManyPages(FormatTests):
    """More pages than are read when a file is opened."""

    format_name = "tiff"
    data = noise((100, 16, 18), "uint8")

    @pytest.fixture
    def sample(self, tmp_path: Path) -> Path:
        path = tmp_path / "many.tif"
        with tifffile.TiffWriter(path) as writer:
            for plane in self.data:
                writer.write(plane, metadata=None, compression="lzw")
        return path

    def golden(self, sample: Path) -> dict[str, Golden]:
        return {"": Golden(self.data, "iyx")}


class TestSubIfdPyramid(FormatTests):
    format_name = "tiff"
    data = noise((120, 160), "uint16")

    @pytest.fixture
    def sample(self, tmp_path: Path) -> Path:
        path = tmp_path / "pyramid.tif"
        with tifffile.TiffWriter(path) as writer:
            writer.write(self.data, subifds=2, tile=(32, 32))
            writer.write(self.data[::2, ::2], subfiletype=1, tile=(32, 32))
            writer.write(self.data[::4, ::4], subfiletype=1, tile=(32, 32))
        return path

    def golden(self, sample: Path) -> dict[str, Golden]:
        return {"": Golden(self.data, "yx", levels=3)}

    def test_levels_hold_what_was_written(self, source: Source) -> None:
        for level in (1, 2):
            step = 2**level
            np.testing.assert_array_equal(source.root.array(str(level)).read_all(), self.data[::step, ::step])


class TestSeveralSeries(FormatTests):
    format_name = "tiff"
    first, second = noise((3, 20, 30), "uint8"), noise((50, 40), "float64")

    @pytest.fixture
    def sample(self, tmp_path: Path) -> Path:
        path = tmp_path / "series.tif"
        with tifffile.TiffWriter(path) as writer:
            writer.write(self.first, photometric="minisblack", metadata={"axes": "CYX"})
            writer.write(self.second, metadata={"axes": "YX"}, compression="deflate", predictor=True)
        return path

    def golden(self, sample: Path) -> dict[str, Golden]:
        return {"0": Golden(self.first, "cyx"), "1": Golden(self.second, "yx")}


@pytest.mark.parametrize("compression", [None, "lzw", "zlib", "zstd", "packbits", "lzma", "jpeg2000", "webp", "png"])
@pytest.mark.parametrize("tile", [None, (32, 48)])
def test_lossless_compressions(tmp_path: Path, compression: str | None, tile: tuple[int, int] | None) -> None:
    data = noise((70, 90, 3), "uint8")
    path = tmp_path / "a.tif"
    options = {"compressionargs": {"lossless": True}} if compression == "webp" else {}
    options = {"compressionargs": {"reversible": True}} if compression == "jpeg2000" else options
    tifffile.imwrite(path, data, compression=compression, tile=tile, photometric="rgb", metadata=None, **options)
    np.testing.assert_array_equal(whole(path), data.transpose(2, 0, 1))


@pytest.mark.parametrize("tile", [None, (32, 48)])
def test_jpeg_is_what_another_reader_decodes(tmp_path: Path, tile: tuple[int, int] | None) -> None:
    data = np.linspace(0, 255, 64 * 96 * 3).reshape(64, 96, 3).astype(np.uint8)
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, data, compression="jpeg", tile=tile, photometric="rgb", metadata=None)
    found = whole(path).transpose(1, 2, 0)
    with Picture.open(path) as picture:
        other = np.asarray(picture.convert("RGB")).astype(int)
    assert np.abs(found.astype(int) - other).max() <= 3  # two decoders may round differently
    assert np.abs(found.astype(int) - data).max() < 40


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("dtype", ["u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f2", "f4", "f8"])
@pytest.mark.parametrize("compression", [None, "zlib"])
def test_every_number_type(tmp_path: Path, dtype: str, order: str, compression: str | None) -> None:
    data = noise((33, 41), dtype)
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, data, byteorder=order, compression=compression, metadata=None)
    found = whole(path)
    assert found.dtype == np.dtype(dtype)
    np.testing.assert_array_equal(found, data)


def test_one_bit_becomes_bytes_of_0_and_1(tmp_path: Path) -> None:
    data = noise((21, 37), "uint8") > 127
    path = tmp_path / "bits.tif"
    tifffile.imwrite(path, data, photometric="minisblack", metadata=None)
    found = whole(path)
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, data)
    Picture.fromarray(data).save(tmp_path / "fax.tif", compression="group4")
    again = whole(tmp_path / "fax.tif")
    with Picture.open(tmp_path / "fax.tif") as picture:
        np.testing.assert_array_equal(again, np.asarray(picture))


def test_a_palette_becomes_red_green_and_blue(tmp_path: Path) -> None:
    path = tmp_path / "palette.tif"
    picture = Picture.fromarray(noise((20, 30, 3), "uint8")).quantize(16)
    picture.save(path)
    source = open_source(path)
    np.testing.assert_array_equal(
        source.root.array("0").read_all(), np.asarray(picture.convert("RGB")).transpose(2, 0, 1)
    )
    part = source.root.array("0").read(Box((1, 3, 4), (3, 9, 11)))
    np.testing.assert_array_equal(part, np.asarray(picture.convert("RGB")).transpose(2, 0, 1)[1:3, 3:9, 4:11])
    assert source.root.attrs["coverslip"]["rgb"] is True
    source.close()


def test_a_palette_that_is_a_ramp_is_a_colour(tmp_path: Path) -> None:
    data = noise((20, 30), "uint8")
    table = np.zeros((3, 256), np.uint16)
    table[1] = np.arange(256) * 257
    path = tmp_path / "green.tif"
    tifffile.imwrite(path, data, photometric="palette", colormap=table, metadata=None)
    source = open_source(path)
    np.testing.assert_array_equal(source.root.array("0").read_all(), data)
    assert [c["color"] for c in source.root.attrs["ome"]["omero"]["channels"]] == ["00FF00"]
    source.close()


def test_dots_per_inch_of_a_printer_are_no_pixel_size(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", noise((9, 9)), resolution=(300, 300), resolutionunit="INCH", metadata=None)
    tifffile.imwrite(
        tmp_path / "b.tif", noise((9, 9)), resolution=(50_800, 25_400), resolutionunit="INCH", metadata=None
    )
    for name, expected in (("a.tif", (1.0, None)), ("b.tif", (0.5, "micrometer"))):
        source = open_source(tmp_path / name)
        assert scale(source.root)["x"] == expected
        source.close()


def test_empty_tiles_are_zeros(tmp_path: Path) -> None:
    tile = noise((32, 32))
    path = tmp_path / "sparse.tif"
    tiles = iter([tile, None, None, tile])
    tifffile.imwrite(path, tiles, shape=(64, 64), dtype="uint16", tile=(32, 32), compression="zlib", metadata=None)
    expected = np.zeros((64, 64), np.uint16)
    expected[:32, :32] = expected[32:, 32:] = tile
    np.testing.assert_array_equal(whole(path), expected)
