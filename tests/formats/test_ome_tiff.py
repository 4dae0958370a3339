"""OME-TIFF: single files, sets, pyramids, scenes; golden values are what the writer was given."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from test_tiff import noise, scale

from coverslip.core.errors import CoverslipError, Damaged, UnsafeLink, Unsupported
from coverslip.core.format import Several
from coverslip.core.node import Source
from coverslip.core.spec import Box
from coverslip.formats import open_source
from coverslip.formats.tiff import FORMAT
from coverslip.formats.trees.ome_xml import parse, read_ome
from coverslip.testing import FormatTests, Golden

NAMESPACE = "http://www.openmicroscopy.org/Schemas/OME/2016-06"


def ome(body: str, uuid: str = "urn:uuid:one") -> str:
    """An OME-XML document."""
    return f'<?xml version="1.0" encoding="UTF-8"?><OME xmlns="{NAMESPACE}" UUID="{uuid}">{body}</OME>'


def pixels(shape: tuple[int, ...], order: str, blocks: str, more: str = "", name: str = "") -> str:
    """An Image element; ``shape`` is that of ``t c z y x``."""
    sizes = " ".join(f'Size{a}="{n}"' for a, n in zip("TCZYX", shape, strict=True))
    channels = "".join(f'<Channel ID="Channel:0:{c}" SamplesPerPixel="1"/>' for c in range(shape[1]))
    return (
        f'<Image ID="Image:0" Name="{name}"><Pixels ID="Pixels:0" DimensionOrder="{order}" Type="uint16" '
        f"{sizes} {more}>"
        f"{channels}{blocks}</Pixels></Image>"
    )


def write(path: Path, planes: Any, xml: str) -> None:
    """A TIFF file of these planes with this description."""
    with tifffile.TiffWriter(path) as writer:
        for i, plane in enumerate(planes):
            text = xml.encode() if i == 0 else None
            writer.write(plane, metadata=None, description=text, photometric="minisblack", compression="zlib")


class TestOme5D(FormatTests):
    format_name = "tiff"
    raw_key = "AcquisitionDate"
    data = noise((3, 2, 4, 33, 47))

    @pytest.fixture
    def sample(self, tmp_path: Path) -> Path:
        path = tmp_path / "five.ome.tif"
        about = {
            "axes": "TCZYX", "PhysicalSizeX": 650.0, "PhysicalSizeXUnit": "nm", "PhysicalSizeY": 0.7,
            "PhysicalSizeZ": 0.002, "PhysicalSizeZUnit": "mm", "TimeIncrement": 500.0, "TimeIncrementUnit": "ms",
            "Channel": {"Name": ["DAPI", "GFP"], "Color": [65535, 16711935]}, "AcquisitionDate": "2024-01-02T03:04:05",
        }  # fmt: skip
        tifffile.imwrite(path, self.data, metadata=about, tile=(16, 32), compression="zstd", photometric="minisblack")
        return path

    def golden(self, sample: Path) -> dict[str, Golden]:
        steps = {"t": 500.0, "z": 0.002, "y": 0.7, "x": 650.0}
        return {"": Golden(self.data, "tczyx", steps, None, ["DAPI", "GFP"], ["0000FF", "00FF00"])}

    def test_units_are_the_files(self, source: Source) -> None:
        units = {name: unit for name, (_, unit) in scale(source.root).items()}
        assert units == {"t": "millisecond", "c": None, "z": "millimeter", "y": "micrometer", "x": "nanometer"}


class TestOmePyramid(FormatTests):
    format_name = "tiff"
    data = noise((2, 1, 3, 128, 96), "uint8")

    @pytest.fixture
    def sample(self, tmp_path: Path) -> Path:
        path = tmp_path / "pyramid.ome.tif"
        with tifffile.TiffWriter(path, bigtiff=True) as writer:
            options: dict[str, Any] = {"tile": (32, 32), "photometric": "minisblack", "compression": "lzw"}
            writer.write(self.data, subifds=2, metadata={"axes": "TCZYX", "PhysicalSizeX": 0.5}, **options)
            writer.write(self.data[..., ::2, ::2], subfiletype=1, **options)
            writer.write(self.data[..., ::4, ::4], subfiletype=1, **options)
        return path

    def golden(self, sample: Path) -> dict[str, Golden]:
        return {"": Golden(self.data, "tczyx", {"x": 0.5}, "micrometer", levels=3)}

    def test_levels_hold_what_was_written(self, source: Source) -> None:
        for level in (1, 2):
            step = 2**level
            np.testing.assert_array_equal(source.root.array(str(level)).read_all(), self.data[..., ::step, ::step])


class TestOmeScenes(FormatTests):
    format_name = "tiff"
    raw_key = "PhysicalSizeX"
    first, second = noise((1, 2, 3, 20, 30)), noise((4, 1, 1, 40, 25), "float32")

    @pytest.fixture
    def sample(self, tmp_path: Path) -> Path:
        path = tmp_path / "scenes.ome.tif"
        with tifffile.TiffWriter(path) as writer:
            about = {"axes": "TCZYX", "PhysicalSizeX": 0.1}
            writer.write(self.first, photometric="minisblack", metadata={**about, "Name": "well A/1"})
            writer.write(self.second, photometric="minisblack", metadata={**about, "Name": "well A/1"})
        return path

    def golden(self, sample: Path) -> dict[str, Golden]:
        return {"well A 1": Golden(self.first, "tczyx"), "well A 1 (2)": Golden(self.second, "tczyx", {"x": 0.1})}


class TestOmeRgb(FormatTests):
    format_name = "tiff"
    data = noise((2, 30, 40, 3), "uint8")

    @pytest.fixture
    def sample(self, tmp_path: Path) -> Path:
        path = tmp_path / "rgb.ome.tif"
        tifffile.imwrite(
            path, self.data, metadata={"axes": "ZYXS"}, photometric="rgb", rowsperstrip=8, compression="zlib"
        )
        return path

    def golden(self, sample: Path) -> dict[str, Golden]:
        expected = self.data.transpose(3, 0, 1, 2)[None]
        return {"": Golden(expected, "tczyx", channels=["Red", "Green", "Blue"], rgb=True)}


class TestOmeSet(FormatTests):
    """One file for each time point, each with the whole metadata, the planes in another order than usual."""

    format_name = "tiff"
    data = noise((3, 2, 2, 20, 24))
    can_be_truncated = False

    @pytest.fixture
    def sample(self, tmp_path: Path) -> Path:
        return self.make(tmp_path)[1]

    def make(self, folder: Path) -> list[Path]:
        paths = [folder / f"set_T{t}.ome.tif" for t in range(3)]
        blocks = "".join(
            f'<TiffData FirstT="{t}" FirstC="{c}" FirstZ="{z}" IFD="{z * 2 + c}" PlaneCount="1">'
            f'<UUID FileName="set_T{t}.ome.tif">urn:uuid:{t}</UUID></TiffData>'
            for t in range(3) for c in range(2) for z in range(2)
        )  # fmt: skip
        body = pixels((3, 2, 2, 20, 24), "XYCZT", blocks, 'PhysicalSizeX="0.5" TimeIncrement="2"')
        for t, path in enumerate(paths):
            write(path, self.data[t].transpose(1, 0, 2, 3).reshape(4, 20, 24), ome(body, f"urn:uuid:{t}"))
        return paths

    def golden(self, sample: Path) -> dict[str, Golden]:
        return {"": Golden(self.data, "tczyx", {"x": 0.5, "t": 2.0}, "micrometer", ["", ""])}

    def test_members_are_all_files_of_the_set(self, tmp_path: Path) -> None:
        paths = self.make(tmp_path)
        tifffile.imwrite(tmp_path / "other.tif", self.data[0, 0, 0])
        assert isinstance(FORMAT, Several)
        for path in paths:
            assert list(FORMAT.members(path)) == paths
        assert list(FORMAT.members(tmp_path / "other.tif")) == [tmp_path / "other.tif"]

    def test_a_missing_file_is_named_when_its_planes_are_read(self, tmp_path: Path) -> None:
        paths = self.make(tmp_path)
        paths[2].rename(tmp_path / "away")
        source = open_source(paths[0])
        array = source.root.array("0")
        np.testing.assert_array_equal(array.read_rows(0, 2), self.data[:2])
        with pytest.raises(Damaged, match=r"set_T2\.ome\.tif, a file of this image, is missing"):
            array.read_rows(2, 3)
        (tmp_path / "away").rename(paths[2])
        np.testing.assert_array_equal(array.read_all(), self.data)
        source.close()

    def test_a_truncated_part_is_named(self, tmp_path: Path) -> None:
        paths = self.make(tmp_path)
        with paths[1].open("r+b") as file:
            file.truncate(paths[1].stat().st_size // 2)
        source = open_source(paths[0])
        with pytest.raises(Damaged, match=r"set_T1\.ome\.tif"):
            source.root.array("0").read_all()
        source.close()


class TestOmeCompanion(TestOmeSet):
    """The metadata in a file of its own; each TIFF file only tells its name."""

    def make(self, folder: Path) -> list[Path]:
        paths = super().make(folder)
        with tifffile.TiffFile(paths[0]) as tif:
            text = tif.ome_metadata
        assert text is not None
        (folder / "all.companion.ome").write_text(text)
        for t, path in enumerate(paths):
            only = ome('<BinaryOnly MetadataFile="all.companion.ome" UUID="urn:uuid:x"/>', f"urn:uuid:{t}")
            write(path, self.data[t].transpose(1, 0, 2, 3).reshape(4, 20, 24), only)
        return [folder / "all.companion.ome", *paths]

    def test_a_missing_file_is_named_when_its_planes_are_read(self, tmp_path: Path) -> None:
        paths = self.make(tmp_path)
        paths[0].unlink()
        with pytest.raises(Damaged, match=r"all\.companion\.ome"):
            open_source(paths[1])

    def test_the_companion_itself_can_be_opened(self, tmp_path: Path) -> None:
        source = open_source(self.make(tmp_path)[0])
        np.testing.assert_array_equal(source.root.array("0").read_all(), self.data)
        source.close()

    def test_a_truncated_part_is_named(self, tmp_path: Path) -> None:
        paths = self.make(tmp_path)
        with paths[1].open("r+b") as file:
            file.truncate(paths[1].stat().st_size // 2)
        source = open_source(paths[2])
        with pytest.raises(Damaged, match=r"set_T0\.ome\.tif"):
            source.root.array("0").read_all()
        source.close()


@pytest.mark.parametrize("order", ["XYZCT", "XYZTC", "XYCTZ", "XYCZT", "XYTCZ", "XYTZC"])
@pytest.mark.parametrize("blocks", ["", "<TiffData/>", '<TiffData IFD="0" PlaneCount="24"/>'])
def test_every_dimension_order(tmp_path: Path, order: str, blocks: str) -> None:
    data = noise((2, 3, 4, 8, 9))
    slow_first = [dict(zip("TCZ", range(3), strict=True))[a] for a in order[:1:-1]]
    path = tmp_path / "a.ome.tif"
    planes = data.transpose(*slow_first, 3, 4).reshape(24, 8, 9)
    write(path, planes, ome(pixels(data.shape, order, blocks)))
    source = open_source(path)
    np.testing.assert_array_equal(source.root.array("0").read_all(), data)
    source.close()


def test_tifffile_reads_the_same(tmp_path: Path) -> None:
    data = noise((2, 3, 4, 8, 9))
    path = tmp_path / "a.ome.tif"
    write(path, data.transpose(1, 0, 2, 3, 4).reshape(24, 8, 9), ome(pixels(data.shape, "XYZTC", "<TiffData/>")))
    source = open_source(path)
    other = tifffile.imread(path)  # axes c t z y x
    np.testing.assert_array_equal(source.root.array("0").read_all(), other.transpose(1, 0, 2, 3, 4))
    source.close()


def test_a_plane_nobody_mentions_is_an_error_not_zeros(tmp_path: Path) -> None:
    data = noise((1, 1, 3, 8, 9))
    path = tmp_path / "a.ome.tif"
    write(path, data[0, 0], ome(pixels((1, 1, 5, 8, 9), "XYZCT", '<TiffData IFD="0" PlaneCount="3"/>')))
    source = open_source(path)
    array = source.root.array("0")
    np.testing.assert_array_equal(array.read(Box((0,) * 5, (1, 1, 3, 8, 9))), data)
    with pytest.raises(Damaged, match="does not say where"):
        array.read_all()
    source.close()


def test_a_renamed_file_is_found_by_its_own_name(tmp_path: Path) -> None:
    data = noise((1, 1, 2, 8, 9))
    block = '<TiffData IFD="0" PlaneCount="2"><UUID FileName="before.ome.tif">urn:uuid:one</UUID></TiffData>'
    path = tmp_path / "after.ome.tif"
    write(path, data[0, 0], ome(pixels(data.shape, "XYZCT", block)))
    source = open_source(path)
    np.testing.assert_array_equal(source.root.array("0").read_all(), data)
    source.close()


@pytest.mark.parametrize(
    "name", ["../secret.tif", "/etc/passwd", "C:\\data\\a.tif", "sub/a.tif", "..", "\\\\host\\a.tif"]
)
def test_names_that_leave_the_folder_are_refused(tmp_path: Path, name: str) -> None:
    data = noise((1, 1, 1, 8, 9))
    write(tmp_path / "secret.tif", data[0, 0], "")
    folder = tmp_path / "in"
    folder.mkdir()
    block = f'<TiffData IFD="0" PlaneCount="1"><UUID FileName="{name}">urn:uuid:two</UUID></TiffData>'
    write(folder / "a.ome.tif", data[0, 0], ome(pixels(data.shape, "XYZCT", block)))
    with pytest.raises(UnsafeLink) as caught:
        open_source(folder / "a.ome.tif")
    assert "/etc" not in str(caught.value)
    assert list(FORMAT.members(folder / "a.ome.tif")) == [folder / "a.ome.tif"]  # type: ignore[attr-defined]
    write(folder / "b.ome.tif", data[0, 0], ome(f'<BinaryOnly MetadataFile="{name}" UUID="urn:uuid:x"/>'))
    with pytest.raises(UnsafeLink):
        open_source(folder / "b.ome.tif")


BOMB = (
    '<?xml version="1.0"?><!DOCTYPE lolz [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>'
    f'<OME xmlns="{NAMESPACE}">&b;</OME>'
)


@pytest.mark.parametrize(
    "text",
    [BOMB, f'<!DOCTYPE OME SYSTEM "file:///etc/passwd"><OME xmlns="{NAMESPACE}"></OME>', "<a>" * 100 + "</a>" * 100],
)
def test_hostile_xml_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(Unsupported, match="XML"):
        parse(text)
    if "OME" in text:
        write(tmp_path / "a.ome.tif", noise((1, 8, 8)), text)
        with pytest.raises(Unsupported, match="XML"):
            open_source(tmp_path / "a.ome.tif")


def test_hostile_xml_of_other_vendors_is_refused(tmp_path: Path) -> None:
    text = '<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "a">]><scn xmlns="http://www.leica-microsystems.com/scn">&a;</scn>'
    write(tmp_path / "a.scn", noise((1, 8, 8)), text)
    with pytest.raises(CoverslipError, match="XML"):
        open_source(tmp_path / "a.scn")


@pytest.mark.parametrize(
    ("attr", "value"), [("SizeX", "0"), ("SizeT", "x"), ("SizeZ", "99999999999"), ("DimensionOrder", "ZYXCT")]
)
def test_sizes_that_make_no_sense(tmp_path: Path, attr: str, value: str) -> None:
    data = noise((1, 1, 1, 8, 9))
    body = pixels(data.shape, "XYZCT", "<TiffData/>")
    before = body.split(f'{attr}="')[1].split('"')[0]
    write(tmp_path / "a.ome.tif", data[0, 0], ome(body.replace(f'{attr}="{before}"', f'{attr}="{value}"')))
    try:
        source = open_source(tmp_path / "a.ome.tif")
    except Damaged as error:
        assert "\n" not in str(error)  # noqa: PT017
    else:  # too many planes: the file's own pages are shown instead, and it is said why
        assert "ome_ignored" in str(source.root.attrs["coverslip"]["raw"])
        source.close()


def test_xml_that_speaks_of_other_pixels_is_not_believed(tmp_path: Path) -> None:
    data = noise((1, 1, 1, 8, 9))
    write(tmp_path / "a.ome.tif", data[0, 0], ome(pixels((1, 1, 1, 80, 90), "XYZCT", "<TiffData/>")))
    source = open_source(tmp_path / "a.ome.tif")
    np.testing.assert_array_equal(source.root.array("0").read_all(), data[0, 0, 0])
    assert "80 x 90" in str(source.root.attrs["coverslip"]["raw"])
    source.close()


@pytest.mark.parametrize("unit", ["µm".encode(), b"\xb5m", b"&#181;m"])
def test_a_micrometre_in_any_encoding(tmp_path: Path, unit: bytes) -> None:
    data = noise((1, 1, 1, 8, 9))
    body = pixels(data.shape, "XYZCT", "<TiffData/>", 'PhysicalSizeX="0.5" PhysicalSizeXUnit="UNIT"')
    path = tmp_path / "a.ome.tif"
    tifffile.imwrite(path, data[0, 0], metadata=None, description=ome(body).encode().replace(b"UNIT", unit))
    source = open_source(path)
    assert scale(source.root)["x"] == (0.5, "micrometer")
    source.close()


def test_xml_that_ends_early_hides_no_pixels(tmp_path: Path) -> None:
    data = noise((1, 1, 1, 8, 9))
    write(tmp_path / "a.ome.tif", data[0, 0], ome("<Image><Pixels"))
    source = open_source(tmp_path / "a.ome.tif")
    np.testing.assert_array_equal(source.root.array("0").read_all(), data[0, 0, 0])
    source.close()


def test_bits_become_bytes(tmp_path: Path) -> None:
    data = noise((1, 1, 2, 8, 9)) > 30_000
    path = tmp_path / "a.ome.tif"
    tifffile.imwrite(path, data, metadata={"axes": "TCZYX"}, photometric="minisblack")
    source = open_source(path)
    found = source.root.array("0").read_all()
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, data)
    source.close()


def test_raw_metadata_leaves_out_what_repeats_for_each_plane() -> None:
    blocks = '<TiffData IFD="0"/>' * 50 + '<Plane TheZ="0" TheT="0" TheC="0" DeltaT="1"/>' * 70
    raw = read_ome(ome(pixels((1, 1, 50, 8, 9), "XYZCT", blocks))).raw
    found = raw["OME"]["Image"]["Pixels"]
    assert found["_left_out"] == {"Plane": 70, "TiffData": 50}
    assert found["SizeZ"] == "50"


def test_colours_are_signed_numbers_of_red_green_blue_alpha(tmp_path: Path) -> None:
    from coverslip.formats.trees.ome_xml import color

    assert color("-16776961") == "FF0000"
    assert color("16711935") == "00FF00"
    assert color("65535") == "0000FF"
    assert color("-1") is None
    assert color("none") is None


class TestMicroManagerStack(FormatTests):
    """A Micro-Manager stack whose acquisition ended before OME-XML was written: only its own index is there."""

    format_name = "tiff"
    raw_key = "MicroManagerVersion"
    data = noise((2, 3, 16, 20))  # t z y x

    @pytest.fixture
    def sample(self, tmp_path: Path) -> Path:
        path = tmp_path / "cells_MMStack_Pos0.tif"
        summary = (
            b'{"MicroManagerVersion": "2.0", "Frames": 2, "Slices": 3, "Channels": 1, "Positions": 1,'
            b' "PixelSize_um": 0.65, "z-step_um": 2.0, "Interval_ms": 100, "ChNames": ["GFP"],'
            b' "TimeFirst": true, "SlicesFirst": true}'
        )
        start = 40 + len(summary) + (len(summary) % 2)
        body, entries, at = b"", [], start
        for index in range(6):
            size, following = 16 * 20 * 2, at + 162 + 16 * 20 * 2
            tags = [
                (256, 4, 1, 20), (257, 4, 1, 16), (258, 3, 1, 16), (259, 3, 1, 1), (262, 3, 1, 1),
                (273, 4, 1, at + 162), (277, 3, 1, 1), (278, 4, 1, 16), (279, 4, 1, size), (51123, 2, 9, at + 140),
            ]  # fmt: skip
            head = struct.pack("<H", len(tags)) + b"".join(struct.pack("<HHII", *t) for t in tags)
            head += struct.pack("<I", following if index < 5 else 0)
            body += (head.ljust(140, b"\0") + b'{"i": 1}').ljust(162, b"\0") + self.data.reshape(6, 16, 20)[
                index
            ].tobytes()
            entries.append((0, index % 3, index // 3, 0, at))
            at = following
        index_map = struct.pack("<II", 3453623, 6) + b"".join(struct.pack("<5I", *e) for e in entries)
        header = b"II*\0" + struct.pack("<I", start)
        header += struct.pack("<8I", 54773648, at, 483765892, 0, 99384722, 0, 2355492, len(summary))
        path.write_bytes((header + summary).ljust(start, b"\0") + body + index_map)
        return path

    def golden(self, sample: Path) -> dict[str, Golden]:
        return {"": Golden(self.data, "tzyx", {"t": 100.0, "z": 2.0, "y": 0.65, "x": 0.65}, "micrometer", ["GFP"])}
