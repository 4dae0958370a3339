"""Leica images, from files written here as Leica's description and the two open readers have them.

No real file could be had: no package in a registry holds one, and LAS X writes none for us. Golden values are what
was written; where ``liffile`` puts an array together itself, its array must be the same.
"""

from __future__ import annotations

import io
import random
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from xml.sax.saxutils import quoteattr

import liffile
import numpy as np
import pytest

from coverslip.core.errors import CoverslipError, Damaged, Unsupported
from coverslip.core.node import Array, Group
from coverslip.core.spec import Box
from coverslip.formats import open_source
from coverslip.testing import FormatTests, Golden
from fuzz import rounds

RNG = np.random.default_rng(5)
IDS = {"x": 1, "y": 2, "z": 3, "t": 4, "w": 5, "a": 6, "v": 9, "m": 10}


@dataclass
class Scan:
    """One image to write: its bytes, and the lines of its description."""

    name: str
    data: bytes
    dimensions: Sequence[tuple[str, int, int, float, str]]  # letter, count, bytes, length, unit
    channels: Sequence[tuple[int, int, int, int, str, str]]  # kind, bits, tag, bytes, colour table, dye
    inside: list[Scan] = field(default_factory=list)
    size: int | None = None

    def xml(self, number: int) -> str:
        dims = "".join(
            f'<DimensionDescription DimID="{IDS[d]}" NumberOfElements="{n}" Origin="0" Length="{length}" Unit="{unit}"'
            f' BitInc="0" BytesInc="{inc}"/>'
            for d, n, inc, length, unit in self.dimensions
        )
        chans = "".join(
            f'<ChannelDescription DataType="{kind}" ChannelTag="{tag}" Resolution="{bits}" NameOfMeasuredQuantity=""'
            f' Min="0" Max="255" Unit="" LUTName={quoteattr(lut)} IsLUTInverted="0" BytesInc="{inc}" BitInc="0">'
            f"<ChannelProperty><Key>DyeName</Key><Value>{dye}</Value></ChannelProperty></ChannelDescription>"
            for kind, bits, tag, inc, lut, dye in self.channels
        )
        return (
            f'<Data><Image TextDescription=""><ImageDescription><Channels>{chans}</Channels>'
            f"<Dimensions>{dims}</Dimensions></ImageDescription>"
            f'<TimeStampList NumberOfTimeStamps="1">1d5</TimeStampList>'
            f'<Attachment Name="HardwareSetting" Application="LAS X" Path="C:\\Users\\me\\a.xml"/></Image></Data>'
            f'<Memory Size="{len(self.data)}" MemoryBlockID="MemBlock_{number}"/>'
        )


def element(scan: Scan, order: list[Scan]) -> str:
    body = ""
    if scan.channels:
        body = scan.xml(len(order))
        order.append(scan)
    inside = "".join(element(s, order) for s in scan.inside)
    return f'<Element Name={quoteattr(scan.name)} UniqueID="id">{body}<Children>{inside}</Children></Element>'


def text(words: str) -> bytes:
    return words.encode("utf-16-le")


def chunk(words: str) -> bytes:
    coded = text(words)
    return struct.pack("<IIBI", 0x70, len(coded) + 5, 0x2A, len(words)) + coded


def write_lif(path: Path, scans: Sequence[Scan], version: int = 2) -> None:
    order: list[Scan] = []
    body = "".join(element(s, order) for s in scans)
    data = f'<LMSDataContainerHeader Version="{version}"><Element Name="project"><Children>{body}</Children></Element>'
    parts = [chunk(f"{data}</LMSDataContainerHeader>")]
    for number, scan in enumerate(order):
        name = f"MemBlock_{number}"
        size = len(scan.data) if scan.size is None else scan.size
        head = struct.pack("<BQB" if version == 2 else "<BIB", 0x2A, size, 0x2A)
        parts += [struct.pack("<II", 0x70, 0), head, struct.pack("<I", len(name)), text(name), scan.data]
    path.write_bytes(b"".join(parts))


def write_lof(path: Path, scan: Scan) -> None:
    xml = f'<LMSDataContainerHeader Version="2"><Element Name={quoteattr(scan.name)}>{scan.xml(0)}</Element>'
    head = chunk("LMS_Object_File") + struct.pack("<BIBI", 0x2A, 2, 0x2A, 0)
    block = struct.pack("<BQ", 0x2A, len(scan.data)) + scan.data
    path.write_bytes(head + block + chunk(f"{xml}</LMSDataContainerHeader>"))


def planes(data: np.ndarray, letters: str, lengths: dict[str, float]) -> list[tuple[str, int, int, float, str]]:
    """Dimensions of C-ordered data, without its channels."""
    found = []
    for letter, count, inc in zip(letters, data.shape, data.strides, strict=True):
        if letter != "c":
            found.append((letter, count, inc, lengths.get(letter, 0.0), "s" if letter == "t" else "m"))
    return found[::-1]


def liffile_array(path: Path, name: str, axes: str) -> np.ndarray:
    """What the library itself makes of an image, its axes in this order."""
    with liffile.LifFile(path) as file:
        image = file.images[name]
        letters = [d.lower() for d in image.dims]
        return image.asarray().transpose([letters.index(a) for a in axes])


class TestStack(FormatTests):
    """Time, depth and channels, as a confocal writes them, in folders."""

    format_name = "lif"
    raw_key = "HardwareSetting"
    data = RNG.integers(0, 4096, (2, 4, 3, 31, 43)).astype("<u2")

    @pytest.fixture
    def sample(self, tmp_path: Path) -> Path:
        path = tmp_path / "stack.lif"
        lengths = {"x": 42 * 2.5e-7, "y": 30 * 2.6e-7, "z": 3 * 1e-6, "t": 12.5}
        inc = self.data.strides[2]
        channels = [
            (0, 12, 0, 0, "Green", "Alexa 488"), (0, 12, 0, inc, "Red", ""), (0, 12, 0, 2 * inc, "#FF8000FF", ""),
        ]  # fmt: skip
        scan = Scan("Series/1", self.data.tobytes(), planes(self.data, "tzcyx", lengths), channels)
        other = Scan("Series/1", self.data[0, 0, 0].tobytes(), planes(self.data[0, 0, 0], "yx", {}), channels[:1])
        write_lif(path, [Scan("Folder", b"", [], [], [scan, other])])
        return path

    def golden(self, sample: Path) -> dict[str, Golden]:
        steps = {"x": 0.25, "y": 0.26, "z": 1.0, "t": 12.5}
        names, colors = ("Alexa 488", "Red", "#FF8000FF"), ("00FF00", "FF0000", "8000FF")
        first = Golden(self.data.transpose(0, 2, 1, 3, 4), "tczyx", steps, "micrometer", names, colors)
        return {"Folder Series 1": first, "Folder Series 1 (2)": Golden(self.data[0, 0, :1], "cyx")}

    def test_large_and_private_metadata_stay_away(self, sample: Path) -> None:
        source = open_source(sample)
        raw = str(source.root["Folder Series 1"].attrs["coverslip"]["raw"])
        assert "TimeStampList" not in raw
        assert "Users" not in raw
        source.close()


class TestStackByLibrary(FormatTests):
    """The same kind of file; golden values by ``liffile``."""

    format_name = "lif"
    data = RNG.integers(0, 255, (3, 2, 17, 29)).astype("u1")

    @pytest.fixture
    def sample(self, tmp_path: Path) -> Path:
        path = tmp_path / "library.lif"
        channels = [(0, 8, 0, c * self.data.strides[1], lut, "") for c, lut in enumerate(("Gray", "Gray"))]
        write_lif(path, [Scan("a", self.data.tobytes(), planes(self.data, "zcyx", {}), channels)], version=1)
        return path

    def golden(self, sample: Path) -> dict[str, Golden]:
        pixels = liffile_array(sample, "a", "czyx")
        return {"": Golden(pixels, "czyx", channels=("Channel 0", "Channel 1"), colors=("FFFFFF", "FFFFFF"))}


class TestColour(FormatTests):
    """A camera's colour picture, stored blue first, with rows filled up to a multiple of four bytes."""

    format_name = "lif"
    data = RNG.integers(0, 255, (2, 25, 23, 3)).astype("u1")

    @pytest.fixture
    def sample(self, tmp_path: Path) -> Path:
        padded = np.zeros((2, 25, 72), "u1")
        padded[:, :, :69] = self.data[..., ::-1].reshape(2, 25, 69)
        dims = [("x", 23, 3, 22e-6, "m"), ("y", 25, 72, 24e-6, "m"), ("t", 2, 72 * 25, 1.0, "s")]
        channels = [(0, 8, 3, 0, "Blue", ""), (0, 8, 2, 1, "Green", ""), (0, 8, 1, 2, "Red", "")]
        path = tmp_path / "colour.lif"
        write_lif(path, [Scan("picture", padded.tobytes(), dims, channels)])
        return path

    def golden(self, sample: Path) -> dict[str, Golden]:
        pixels = liffile_array(sample, "picture", "tsyx")
        np.testing.assert_array_equal(pixels, self.data.transpose(0, 3, 1, 2))
        names = ("Red", "Green", "Blue")
        return {"": Golden(pixels, "tcyx", {"x": 1.0, "y": 1.0}, "micrometer", names, rgb=True)}


class TestMosaicOfWavelengths(FormatTests):
    """Tiles and a wavelength scan are axes of their own, before the others; floating point."""

    format_name = "lif"
    data = RNG.normal(size=(3, 4, 11, 13)).astype("<f4")

    @pytest.fixture
    def sample(self, tmp_path: Path) -> Path:
        path = tmp_path / "mosaic.lif"
        dims = planes(self.data, "mwyx", {"w": 3 * 5e-9, "m": 2.0})
        write_lif(path, [Scan("scan", self.data.tobytes(), dims, [(1, 32, 0, 0, "", "")])])
        return path

    def golden(self, sample: Path) -> dict[str, Golden]:
        return {"": Golden(self.data[:, :, None], "mwcyx", {"w": 5.0})}


class TestUpright(FormatTests):
    """A scan of depth and width has depth for its rows; a line scanned in time has time."""

    format_name = "lif"
    depth, line = RNG.integers(0, 255, (21, 30)).astype("u1"), RNG.integers(0, 255, (40, 1, 30)).astype("u1")

    @pytest.fixture
    def sample(self, tmp_path: Path) -> Path:
        path = tmp_path / "upright.lif"
        channel = [(0, 8, 0, 0, "Gray", "")]
        scans = [
            Scan("xz", self.depth.tobytes(), planes(self.depth, "zx", {"z": 20 * 3e-7}), channel),
            Scan("xt", self.line.tobytes(), planes(self.line, "tyx", {"t": 39 * 0.5}), channel),
        ]
        write_lif(path, scans)
        return path

    def golden(self, sample: Path) -> dict[str, Golden]:
        return {
            "xz": Golden(self.depth[None], "cyx", {"y": 0.3}, "micrometer"),
            "xt": Golden(self.line[:, 0][None], "cyx", {"y": 0.5}, "second"),
        }


class TestOddOrder(FormatTests):
    """Columns further apart than rows, and channels of two types, which give two images."""

    format_name = "lif"
    small, large = RNG.integers(0, 255, (12, 15)).astype("u1"), RNG.integers(0, 9999, (2, 12, 15)).astype("<u2")

    @pytest.fixture
    def sample(self, tmp_path: Path) -> Path:
        # Every column: 12 rows of an 8 bit channel, and of two 16 bit channels side by side.
        column = np.zeros((15, 12, 6), "u1")
        column[:, :, 0] = self.small.T
        column[:, :, 2:] = np.ascontiguousarray(self.large.transpose(2, 1, 0)).view("u1").reshape(15, 12, 4)
        dims = [("y", 12, 6, 0.0, "m"), ("x", 15, 72, 0.0, "m")]
        channels = [(0, 8, 0, 0, "Red", ""), (0, 16, 0, 2, "Green", ""), (0, 16, 0, 4, "Blue", "")]
        path = tmp_path / "odd.lif"
        write_lif(path, [Scan("odd", column.tobytes(), dims, channels)])
        return path

    def golden(self, sample: Path) -> dict[str, Golden]:
        return {
            "odd uint8": Golden(self.small[None], "cyx", channels=("Red",)),
            "odd uint16": Golden(self.large, "cyx", channels=("Green", "Blue")),
        }


class TestLof(FormatTests):
    """A single image in a file of its own."""

    format_name = "lif"
    data = RNG.integers(0, 4096, (5, 14, 19)).astype("<u2")

    @pytest.fixture
    def sample(self, tmp_path: Path) -> Path:
        path = tmp_path / "one.lof"
        dims = planes(self.data, "zyx", {"z": 4e-6})
        write_lof(path, Scan("one", self.data.tobytes(), dims, [(0, 12, 0, 0, "Cyan", "")]))
        return path

    def golden(self, sample: Path) -> dict[str, Golden]:
        return {"": Golden(self.data[None], "czyx", {"z": 1.0}, "micrometer", ("Cyan",), ("00FFFF",))}


class TestLarge(FormatTests):
    """Opening reads the description only; a pixel reads its row."""

    format_name = "lif"
    data = RNG.integers(0, 4096, (3, 8, 2, 160, 200)).astype("<u2")

    @pytest.fixture
    def sample(self, tmp_path: Path) -> Path:
        path = tmp_path / "large.lif"
        inc = self.data.strides[2]
        channels = [(0, 12, 0, c * inc, lut, "") for c, lut in enumerate(("Green", "Red"))]
        write_lif(path, [Scan("large", self.data.tobytes(), planes(self.data, "tzcyx", {}), channels)])
        return path

    def golden(self, sample: Path) -> dict[str, Golden]:
        return {"": Golden(self.data.transpose(0, 2, 1, 3, 4), "tczyx", channels=("Green", "Red"))}


def one(path: Path, size: int | None = None, channels: Sequence = ((0, 8, 0, 0, "Gray", ""),)) -> Path:
    data = np.arange(12 * 10, dtype="u1").reshape(12, 10)
    write_lif(path, [Scan("a", data.tobytes(), planes(data, "yx", {}), channels, size=size)])
    return path


def test_an_image_whose_pixels_are_missing_hides_no_other(tmp_path: Path) -> None:
    data = np.arange(120, dtype="u1").reshape(12, 10)
    dims, channel = planes(data, "yx", {}), [(0, 8, 0, 0, "Gray", "")]
    empty = Scan("empty", b"", dims, channel)
    write_lif(tmp_path / "a.lif", [empty, Scan("full", data.tobytes(), dims, channel)])
    source = open_source(tmp_path / "a.lif")
    full, nothing = source.root["full"], source.root["empty"]
    assert isinstance(full, Group)
    assert isinstance(nothing, Group)
    np.testing.assert_array_equal(full.array("0").read_all()[0], data)
    with pytest.raises(Damaged, match="cut off"):
        nothing.array("0").read_all()
    source.close()


def test_a_block_longer_than_the_file(tmp_path: Path) -> None:
    with pytest.raises(Damaged):
        open_source(one(tmp_path / "a.lif", size=1 << 40))


@pytest.mark.parametrize("channel", [(0, 0, 0, 0, "", ""), (2, 8, 0, 0, "", ""), (1, 8, 0, 0, "", "")])
def test_channels_that_make_no_sense(tmp_path: Path, channel: tuple) -> None:
    with pytest.raises(Damaged, match="bits"):
        open_source(one(tmp_path / "a.lif", channels=(channel,)))


def test_no_images(tmp_path: Path) -> None:
    write_lif(tmp_path / "a.lif", [])
    with pytest.raises(Unsupported, match="no images"):
        open_source(tmp_path / "a.lif")


def test_entities_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.lif").write_bytes(chunk('<!DOCTYPE a [<!ENTITY b "c">]><LMSDataContainerHeader Version="2"/>'))
    with pytest.raises(Damaged, match="entities"):
        open_source(tmp_path / "a.lif")


def test_no_other_file_is_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A header may name files anywhere; releases of the library open them when they close their own."""
    secret = one(tmp_path / "secret.lif")
    inside = f'<Element Name="p"><Children><Reference File={quoteattr(str(secret))}/></Children></Element>'
    xml = f'<LMSDataContainerHeader Version="2">{inside}</LMSDataContainerHeader>'
    (tmp_path / "a.lif").write_bytes(chunk(xml))
    opened: list[str] = []
    original = io.open
    monkeypatch.setattr("builtins.open", lambda path, *a, **k: opened.append(str(path)) or original(path, *a, **k))
    with pytest.raises(Unsupported, match="no images"):
        open_source(tmp_path / "a.lif")
    assert str(secret) not in opened


def test_damaged_files_give_one_clear_error(tmp_path: Path) -> None:
    data = one(tmp_path / "a.lif").read_bytes()
    chance = random.Random(3)
    opened = 0
    for _ in rounds(400):
        bad = bytearray(data)
        for _ in range(chance.choice((1, 2, 20))):
            bad[chance.randrange(len(bad))] = chance.randrange(256)
        if chance.random() < 0.2:
            del bad[chance.randrange(len(bad)) :]
        (tmp_path / "bad.lif").write_bytes(bad)
        try:
            source = open_source(tmp_path / "bad.lif")
        except CoverslipError as error:
            assert "\n" not in str(error)  # noqa: PT017
            continue
        opened += 1
        try:
            for array in arrays(source.root):
                shape = array.spec.shape
                array.read(Box((0,) * len(shape), tuple(min(n, 64) for n in shape)))
        except CoverslipError:
            pass
        finally:
            source.close()
    assert opened > 20


def arrays(group: Group) -> list[Array]:
    found = []
    for name in group:
        node = group[name]
        found += [node] if isinstance(node, Array) else arrays(node)
    return found
