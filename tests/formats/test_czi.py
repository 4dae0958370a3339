"""CZI, written by Zeiss's own library; golden values are what was written, and once what ``czifile`` reads.

No real file of a microscope was to be had from a package registry. Pyramids and JPEG XR, which the library cannot
write, are made by editing the directory of a file it wrote, as the specification describes its entries.
"""

from __future__ import annotations

import struct
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import czifile
import imagecodecs
import numpy as np
import pytest
from pylibCZIrw import czi

from coverslip.core.errors import CoverslipError, Damaged, Unreadable, Unsupported
from coverslip.core.node import Group
from coverslip.core.spec import Box
from coverslip.formats import open_source
from coverslip.testing import FormatTests, Golden
from fuzz import rounds

RNG = np.random.default_rng(11)
ENTRY = struct.Struct("<2siqiiB5si")
UNCOMPRESSED, JPEG_XR = 0, 4


def noise(shape: tuple[int, ...], dtype: str = "uint16") -> np.ndarray:
    if dtype == "float32":
        return RNG.normal(size=shape).astype(dtype)
    return RNG.integers(0, np.iinfo(dtype).max, shape).astype(dtype)


def write(path: Path, planes: dict, compression: str | None = None, **meta) -> None:
    """``planes``: pixels by (scene, letters and numbers like "C0 T1", x, y)."""
    with czi.create_czi(str(path), compression_options=compression) as file:
        for (scene, plane, x, y), pixels in planes.items():
            at = {part[0]: int(part[1:]) for part in plane.split()}
            shaped = pixels if pixels.ndim == 3 else pixels[:, :, None]
            file.write(np.ascontiguousarray(shaped), location=(x, y), plane=at, scene=scene)
        file.write_metadata("test", **meta)


def set_xml(path: Path, before: str, after: str) -> None:
    with czi.edit_czi(str(path)) as editor, editor.edit_session() as builder:
        text = builder.get_xml()
        assert before in text, text
        builder.set_xml(text.replace(before, after, 1))


def edit_entries(path: Path, edit) -> None:
    """Call ``edit`` with each block's entry, a dict; what it changes is written to the directory and to the block."""
    data = bytearray(path.read_bytes())
    (directory,) = struct.unpack_from("<q", data, 84)
    (count,) = struct.unpack_from("<i", data, directory + 32)
    at = directory + 160
    for _ in range(count):
        _, _, position, _, compression, _, _, n = ENTRY.unpack_from(data, at)
        header = position + 32
        (size,) = struct.unpack_from("<q", data, header + 8)
        entry = {"compression": compression, "size": size, "dimensions": {}}
        for i in range(n):
            name, start, length, _, stored = struct.unpack_from("<4siifi", data, at + 32 + 20 * i)
            entry["dimensions"][name.strip(b"\0").decode()] = [start, length, stored]
        pixels_at = header + max(256, 16 + 32 + 20 * n) + struct.unpack_from("<i", data, header)[0]
        entry["pixels"] = bytes(data[pixels_at : pixels_at + size])
        edit(entry)
        data[pixels_at : pixels_at + len(entry["pixels"])] = entry["pixels"]
        struct.pack_into("<q", data, header + 8, entry["size"])
        for place in (at, header + 16):
            struct.pack_into("<i", data, place + 18, entry["compression"])
            for i, (start, length, stored) in enumerate(entry["dimensions"].values()):
                struct.pack_into("<ii", data, place + 32 + 20 * i + 4, start, length)
                struct.pack_into("<fi", data, place + 32 + 20 * i + 12, float(start), stored)
        at += 32 + 20 * n
    path.write_bytes(data)


def tiles(scene: int, plane: str, image: np.ndarray, size: int, left: int = 0, top: int = 0) -> dict:
    return {
        (scene, plane, left + x, top + y): image[y : y + size, x : x + size]
        for y in range(0, image.shape[0], size)
        for x in range(0, image.shape[1], size)
    }


def jpeg_xr(path: Path, image: np.ndarray) -> Path:
    coded = imagecodecs.jpegxr_encode(image)
    write(path, {(0, "C0", 0, 0): image})

    def compress(entry: dict) -> None:
        assert len(coded) < entry["size"]
        entry.update(compression=JPEG_XR, size=len(coded), pixels=coded)

    edit_entries(path, compress)
    return path


class TestStack(FormatTests):
    """Time, channels and depth in 16 bits, with names, colours and sizes."""

    format_name = "czi"
    raw_key = "ImageDocument"
    data = noise((2, 3, 4, 33, 47))

    @pytest.fixture
    def sample(self, tmp_path: Path) -> Path:
        path = tmp_path / "stack.czi"
        write(
            path,
            {(0, f"T{t} C{c} Z{z}", 0, 0): self.data[t, c, z] for t in range(2) for c in range(3) for z in range(4)},
            channel_names={0: "DAPI", 1: "GFP", 2: "mCherry"},
            scale_x=1.3e-7, scale_y=1.4e-7, scale_z=5e-7,
            display_settings={
                i: czi.ChannelDisplaySettingsDataClass(True, czi.TintingMode.Color, czi.Rgb8Color(*rgb), 0.1, 0.5)
                for i, rgb in enumerate([(0, 0, 255), (0, 255, 0), (255, 64, 0)])
            },
        )  # fmt: skip
        interval = "<T><Positions><Interval><Start>0</Start><Increment>2.5</Increment></Interval></Positions></T>"
        set_xml(path, "<Channels>", f"{interval}<Channels>")
        return path

    def golden(self, sample: Path) -> dict[str, Golden]:
        steps = {"x": 0.13, "y": 0.14, "z": 0.5, "t": 2.5}
        names, colors = ("DAPI", "GFP", "mCherry"), ("0000FF", "00FF00", "FF4000")
        return {"": Golden(self.data, "tczyx", steps, "micrometer", names, colors)}

    def test_another_reader_agrees(self, sample: Path) -> None:
        np.testing.assert_array_equal(czifile.imread(sample).squeeze(), self.data)

    def test_contrast_is_what_the_file_suggests(self, sample: Path) -> None:
        source = open_source(sample)
        window = source.root.attrs["ome"]["omero"]["channels"][1]["window"]
        assert (window["start"], window["end"]) == pytest.approx((6553.5, 32767.5))
        source.close()


class TestMosaic(FormatTests):
    """Tiles that start left of and above zero, compressed."""

    format_name = "czi"
    data = noise((2, 150, 190))

    @pytest.fixture
    def sample(self, tmp_path: Path) -> Path:
        path = tmp_path / "mosaic.czi"
        write(
            path,
            {k: v for c in range(2) for k, v in tiles(0, f"C{c}", self.data[c], 40, -57, -23).items()},
            "zstd1:ExplicitLevel=2;PreProcess=HiLoByteUnpack",
            scale_x=1e-6, scale_y=1e-6, scale_z=1e-6,
        )  # fmt: skip
        return path

    def golden(self, sample: Path) -> dict[str, Golden]:
        return {"": Golden(self.data, "cyx", {"x": 1.0, "y": 1.0}, "micrometer")}


class TestScenes(FormatTests):
    """Scenes of different sizes and with different numbers of channels are separate images, by their names."""

    format_name = "czi"
    first, second, third = noise((2, 30, 40), "uint8"), noise((1, 50, 20), "uint8"), noise((2, 8, 9), "uint8")

    @pytest.fixture
    def sample(self, tmp_path: Path) -> Path:
        path = tmp_path / "scenes.czi"
        planes = {}
        for number, image in enumerate((self.first, self.second, self.third)):
            planes |= {(number, f"C{c}", 1000 * number, 5): plane for c, plane in enumerate(image)}
        write(path, planes, "zstd0:ExplicitLevel=1")
        scenes = "".join(f'<Scene Index="{i}" Name="{name}"/>' for i, name in enumerate(("A1", "A1", "B/2")))
        set_xml(path, "<Channels>", f"<S><Scenes>{scenes}</Scenes></S><Channels>")
        return path

    def golden(self, sample: Path) -> dict[str, Golden]:
        return {
            "A1": Golden(self.first, "cyx"),
            "A1 (2)": Golden(self.second, "cyx"),
            "B 2": Golden(self.third, "cyx"),
        }


class TestColour(FormatTests):
    """Colour is stored blue first, and given as red, green, blue."""

    format_name = "czi"
    data = noise((3, 40, 60, 3), "uint8")

    @pytest.fixture
    def sample(self, tmp_path: Path) -> Path:
        path = tmp_path / "colour.czi"
        write(path, {(0, f"Z{z}", 0, 0): plane for z, plane in enumerate(self.data)})
        return path

    def golden(self, sample: Path) -> dict[str, Golden]:
        pixels = self.data[..., ::-1].transpose(3, 0, 1, 2)
        return {"": Golden(pixels, "czyx", channels=("Red", "Green", "Blue"), rgb=True)}


class TestFloat(FormatTests):
    """32 bit floating point."""

    format_name = "czi"
    data = noise((1, 21, 34), "float32")

    @pytest.fixture
    def sample(self, tmp_path: Path) -> Path:
        path = tmp_path / "float.czi"
        write(path, {(0, "C0", 0, 0): self.data[0]})
        return path

    def golden(self, sample: Path) -> dict[str, Golden]:
        return {"": Golden(self.data, "cyx")}


class TestColourAndGray(FormatTests):
    """A scene with colour of 16 bits and fluorescence gives an image of each."""

    format_name = "czi"
    colour, gray = noise((20, 30, 3)), noise((2, 20, 30), "uint8")

    @pytest.fixture
    def sample(self, tmp_path: Path) -> Path:
        path = tmp_path / "both.czi"
        planes = {(0, "C0", 0, 0): self.gray[0], (0, "C1", 0, 0): self.colour, (0, "C2", 0, 0): self.gray[1]}
        write(path, planes, channel_names={0: "DAPI", 1: "H&E", 2: "GFP"})
        return path

    def golden(self, sample: Path) -> dict[str, Golden]:
        return {
            "both Gray8": Golden(self.gray, "cyx", channels=("DAPI", "GFP")),
            "both H&E": Golden(self.colour[..., ::-1].transpose(2, 0, 1), "cyx", rgb=True),
        }


class TestPyramid(FormatTests):
    """A mosaic with two further resolutions; the smaller blocks are given their place by editing the directory."""

    format_name = "czi"
    data = noise((2, 256, 320))

    @pytest.fixture
    def sample(self, tmp_path: Path) -> Path:
        path = tmp_path / "pyramid.czi"
        planes = {}
        for c in range(2):
            planes |= tiles(0, f"C{c}", self.data[c], 64, 100, 200)
            for ratio in (2, 4):
                planes |= tiles(0, f"C{c}", self.data[c, ::ratio, ::ratio], 64, 10_000 * ratio, 0)
        write(path, planes)

        def shrink(entry: dict) -> None:
            x, y = entry["dimensions"]["X"], entry["dimensions"]["Y"]
            ratio = x[0] // 10_000
            if ratio:
                x[:] = [100 + (x[0] - 10_000 * ratio) * ratio, x[1] * ratio, x[1]]
                y[:] = [200 + y[0] * ratio, y[1] * ratio, y[1]]

        edit_entries(path, shrink)
        return path

    def golden(self, sample: Path) -> dict[str, Golden]:
        return {"": Golden(self.data, "cyx", levels=3)}

    def test_levels_are_those_stored(self, sample: Path) -> None:
        source = open_source(sample)
        for level, ratio in enumerate((1, 2, 4)):
            array = source.root.array(str(level))
            whole = self.data[:, ::ratio, ::ratio]
            np.testing.assert_array_equal(array.read_all(), whole)
            box = Box((1, 13, 7), (2, 41, 60))
            np.testing.assert_array_equal(array.read(box), whole[box.slices])
        source.close()


class TestJpegXr(FormatTests):
    """JPEG XR without loss, put into a file that was written without compression."""

    format_name = "czi"
    data = np.add.outer(np.arange(64, dtype="uint16"), np.arange(80, dtype="uint16"))[None] * np.uint16(9)

    @pytest.fixture
    def sample(self, tmp_path: Path) -> Path:
        return jpeg_xr(tmp_path / "jxr.czi", self.data[0])

    def golden(self, sample: Path) -> dict[str, Golden]:
        return {"": Golden(self.data, "cyx")}


@pytest.fixture
def small(tmp_path: Path) -> Path:
    path = tmp_path / "small.czi"
    write(path, {(s, f"C{c}", 100 * s, 0): noise((32, 32)) for s in range(2) for c in range(2)}, "zstd1:")
    return path


def test_tiles_that_overlap_and_gaps_between_them(tmp_path: Path) -> None:
    under, over = np.full((20, 20), 3, "uint16"), np.full((20, 20), 7, "uint16")
    write(tmp_path / "a.czi", {(0, "C0", 0, 0): under, (0, "C0", 10, 0): over, (0, "C0", 50, 0): under})
    source = open_source(tmp_path / "a.czi")
    found = source.root.array("0").read_all()[0]
    assert found.shape == (20, 70)
    assert (found[:, :10] == 3).all()
    assert (found[:, 10:30] == 7).all()
    assert not found[:, 30:50].any()
    source.close()


def test_closing_waits_for_who_still_reads(small: Path) -> None:
    source = open_source(small)
    image = source.root["0"]
    assert isinstance(image, Group)
    array = image.array("0")
    closed = threading.Event()

    def read(_: int) -> bool:
        try:
            array.read_all()
        except Unreadable:
            assert closed.is_set()
            return False
        return True

    with ThreadPoolExecutor(4) as pool:
        jobs = [pool.submit(read, i) for i in range(300)]
        closed.set()
        source.close()
        assert {job.result() for job in jobs} <= {True, False}
    with pytest.raises(Unreadable):
        array.read_all()


def test_entities_in_metadata_are_refused(small: Path) -> None:
    data = small.read_bytes()
    at = data.index(b"<ImageDocument>") + len(b"<ImageDocument>")
    bomb = b'<!DOCTYPE a [<!ENTITY b "c">]>'
    small.write_bytes(data[:at] + bomb + data[at + len(bomb) :])
    with pytest.raises(Damaged, match="entities"):
        open_source(small)


def test_an_unknown_compression_is_named(small: Path) -> None:
    edit_entries(small, lambda entry: entry.update(compression=99))
    with pytest.raises(Unsupported, match="99"):
        open_source(small)


def test_one_part_of_several_files_is_named(small: Path) -> None:
    data = bytearray(small.read_bytes())
    (directory,) = struct.unpack_from("<q", data, 84)
    struct.pack_into("<i", data, directory + 160 + 14, 1)
    small.write_bytes(data)
    with pytest.raises(Unsupported, match="part"):
        open_source(small)


FUZZ = """
import random, sys
from pathlib import Path
from coverslip.core.errors import CoverslipError
from coverslip.core.node import Array, Group
from coverslip.core.spec import Box
from coverslip.formats import open_source

def read(node):
    if isinstance(node, Array):
        shape = node.spec.shape
        return node.read(Box((0,) * len(shape), tuple(min(n, 300) for n in shape)))
    for name in node:
        read(node[name])

data, chance = Path(sys.argv[1]).read_bytes(), random.Random(int(sys.argv[2]))
target = Path(sys.argv[1]).with_name("fuzzed" + sys.argv[2] + ".czi")
good = bad = 0
for _ in range(int(sys.argv[3])):
    bytes_ = bytearray(data)
    if chance.random() < 0.1:
        del bytes_[chance.randrange(len(bytes_)):]
    else:
        end = chance.choice((2000, len(bytes_)))
        for _ in range(chance.choice((1, 1, 3, 20))):
            at = len(bytes_) - 1 - chance.randrange(3000) if chance.random() < 0.3 else chance.randrange(end)
            bytes_[at] = chance.randrange(256)
    target.write_bytes(bytes_)
    try:
        source = open_source(target)
    except CoverslipError as error:
        assert "\\n" not in str(error)
        bad += 1
        continue
    try:
        read(source.root)
        good += 1
    except CoverslipError:
        bad += 1
    finally:
        source.close()
print(good, bad)
"""


@pytest.fixture
def coded(tmp_path: Path) -> Path:
    return jpeg_xr(tmp_path / "coded.czi", TestJpegXr.data[0])


@pytest.mark.parametrize(("name", "seed"), [("small", 1), ("small", 2), ("coded", 3)])
def test_damaged_files_never_end_the_process(name: str, seed: int, request: pytest.FixtureRequest) -> None:
    """libCZI alone dies of about one in three hundred of these."""
    path = str(request.getfixturevalue(name))
    done = subprocess.run(
        [sys.executable, "-c", FUZZ, path, str(seed), str(len(rounds(130)))], capture_output=True, text=True
    )
    assert done.returncode == 0, (done.returncode, done.stderr[-2000:])
    good, bad = map(int, done.stdout.split())
    assert good > 15
    assert bad > 15


def test_a_file_without_its_directory(small: Path, tmp_path: Path) -> None:
    data = bytearray(small.read_bytes())
    struct.pack_into("<q", data, 84, 0)
    small.write_bytes(data)
    with pytest.raises(Damaged, match="never written"):
        open_source(small)


@pytest.mark.parametrize("length", [0, 4, 31, 60, 200, 600])
def test_a_file_that_ends_at_once(small: Path, length: int) -> None:
    small.write_bytes(small.read_bytes()[:length])
    with pytest.raises(CoverslipError):
        open_source(small)
