"""ND2: one real file of a confocal (see ``scripts/pypi_file.py``), and flavours written here.

The real file's golden values are those of ``nd2reader`` 3.3.1, which shares no code with the library used. What it does
not have (positions, colour, compression, missing frames, the JPEG 2000 kind of before NIS-Elements 3) was written here
in the layout the ``nd2`` library reads; nothing can write real ones. Their golden values are what was written, and the
library's own array must be the same.
"""

from __future__ import annotations

import hashlib
import random
import shutil
import struct
import tracemalloc
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import imagecodecs
import nd2
import numpy as np
import pytest
from pypi_file import pypi_file

from coverslip.core.errors import CoverslipError, Damaged, Unsupported
from coverslip.core.spec import Box
from coverslip.formats import open_source
from coverslip.testing import FormatTests, Golden
from fuzz import rounds

RNG = np.random.default_rng(8)
REAL_SHA256 = "689919135433077f7152ff6e37394fcac71cc02d8708eeddd600528d160ecc65"
"""Of all pixels as little-endian uint16 in the order t c z y x, read by nd2reader."""
CHUNK = 0x0ABECEDA


def xml(name: str, value: Any) -> str:
    """A value in the vendor's XML."""
    if isinstance(value, Mapping):
        inside = "".join(xml(key, inner) for key, inner in value.items())
        return f'<{name} runtype="CLxListVariant">{inside}</{name}>'
    kind = {bool: "bool", int: "lx_int32", float: "double", str: "CLxStringW"}[type(value)]
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return f'<{name} runtype="{kind}" value="{text}"/>'


def variant(value: Mapping) -> bytes:
    return f'<?xml version="1.0" encoding="UTF-8"?><variant version="1.0">{xml("no_name", value)}</variant>'.encode()


def write_nd2(
    path: Path, frames: np.ndarray, loops: list[dict], channels: list[tuple[str, int]], samples: int = 1,
    pitch: int = 0, zipped: bool = False, missing: tuple[int, ...] = (),
    compression: int | None = None, tail: bytes = b"",
) -> None:  # fmt: skip
    """``frames``: shape (n, height, width, components). ``channels``: names and colours (0xBBGGRR)."""
    n, height, width, components = frames.shape
    row = width * components * frames.itemsize
    attributes = {
        "uiWidth": width, "uiHeight": height, "uiWidthBytes": pitch or row, "uiComp": components,
        "uiBpcInMemory": 8 * frames.itemsize, "uiBpcSignificant": 8 * frames.itemsize, "uiSequenceCount": n,
        "eCompression": compression if compression is not None else 0 if zipped else 2,
    }  # fmt: skip
    planes = {
        f"a{i}": {
            "sDescription": name, "uiColor": color, "uiCompCount": samples, "pFluorescentProbe": {"m_sName": "probe"},
        }
        for i, (name, color) in enumerate(channels)
    }  # fmt: skip
    metadata = {
        "dCalibration": 0.5, "bCalibrated": True,
        "sPicturePlanes": {"uiCount": len(channels), "sPlaneNew": planes},
    }  # fmt: skip
    experiment: dict = {}
    for loop in reversed(loops):
        experiment = {**loop, **({"ppNextLevelEx": {"i0000000000": experiment}} if experiment else {})}
    chunks: dict[bytes, bytes] = {}
    for i in range(n):
        if i not in missing:
            rows = np.zeros((height, pitch or row), np.uint8)
            rows[:, :row] = np.ascontiguousarray(frames[i]).view(np.uint8).reshape(height, row)
            data = zlib.compress(rows.tobytes() + tail) if zipped else rows.tobytes()
            chunks[b"ImageDataSeq|%d!" % i] = struct.pack("<d", float(i)) + data
    chunks[b"ImageAttributes!"] = variant(attributes)
    chunks[b"ImageMetadataSeq|0!"] = variant(metadata)
    if experiment:
        chunks[b"ImageMetadata!"] = variant(experiment)
    write_chunks(path, chunks)


def write_chunks(path: Path, chunks: Mapping[bytes, bytes]) -> None:
    with path.open("wb") as file:
        signature = b"ND2 FILE SIGNATURE CHUNK NAME01!"
        file.write(struct.pack("<IIQ", CHUNK, 32, 64) + signature + b"Ver2.1".ljust(64, b"\0"))
        table = b""
        for name, data in chunks.items():
            table += name + struct.pack("<QQ", file.tell(), len(data))
            room = 4072 if name.startswith(b"ImageDataSeq") else len(name)
            file.write(struct.pack("<IIQ", CHUNK, room, len(data)) + name.ljust(room, b"\0") + data)
        at = file.tell()
        end = b"ND2 CHUNK MAP SIGNATURE 0000001!" + struct.pack("<Q", at)
        signature = b"ND2 FILEMAP SIGNATURE NAME 0001!"
        file.write(struct.pack("<IIQ", CHUNK, 32, len(table) + len(end)) + signature + table + end)


def time_loop(count: int, period_ms: float) -> dict:
    return {"eType": 1, "uLoopPars": {"uiCount": count, "dStart": 0.0, "dPeriod": period_ms, "dDuration": 0.0}}


def position_loop(names: list[str]) -> dict:
    points = {f"i{i:010}": {"dPosX": float(i), "dPosY": 0.0, "pPosName": name} for i, name in enumerate(names)}
    return {"eType": 2, "uLoopPars": {"bUseZ": False, "Points": points}}


def depth_loop(count: int, step: float) -> dict:
    return {"eType": 4, "uLoopPars": {"uiCount": count, "dZStep": step}}


class TestReal(FormatTests):
    """A real file; see the note on its golden values above."""

    format_name = "nd2"
    raw_key = "attributes"

    @pytest.fixture
    def sample(self, tmp_path: Path) -> Path:
        return Path(shutil.copy(pypi_file("cluster.nd2"), tmp_path))

    def golden(self, sample: Path) -> dict[str, Golden]:
        pixels = nd2.imread(sample).transpose(0, 2, 1, 3, 4)
        assert hashlib.sha256(pixels.astype("<u2").tobytes()).hexdigest() == REAL_SHA256
        steps = {"x": 0.16780898323268245, "y": 0.16780898323268245, "z": 0.5}
        names, colors = ("5-FAM/pH 9.0", "FM 4-64/2% CHAPS"), ("78E90F", "FE0100")
        return {"": Golden(pixels, "tczyx", steps, "micrometer", names, colors)}


class TestPositions(FormatTests):
    """Stage positions between time and depth are separate images, by their names."""

    format_name = "nd2"
    data = RNG.integers(0, 4096, (2, 3, 4, 13, 17, 2)).astype("<u2")

    @pytest.fixture
    def sample(self, tmp_path: Path) -> Path:
        path = tmp_path / "positions.nd2"
        loops = [time_loop(2, 1500.0), position_loop(["A/1", "", "A/1"]), depth_loop(4, 0.3)]
        write_nd2(path, self.data.reshape(24, 13, 17, 2), loops, [("DAPI", 0xFF0000), ("Cy5", 0x0000FF)])
        return path

    def golden(self, sample: Path) -> dict[str, Golden]:
        np.testing.assert_array_equal(nd2.imread(sample), self.data.transpose(0, 1, 2, 5, 3, 4))
        steps = {"x": 0.5, "y": 0.5, "z": 0.3, "t": 1.5}
        return {
            name: Golden(
                self.data[:, i].transpose(0, 4, 1, 2, 3),
                "tczyx",
                steps,
                "micrometer",
                ("DAPI", "Cy5"),
                ("0000FF", "FF0000"),
            )
            for i, name in enumerate(("A 1", "1", "A 1 (2)"))
        }


class TestColour(FormatTests):
    """Colour, stored blue first, in rows filled up to four bytes."""

    format_name = "nd2"
    data = RNG.integers(0, 255, (3, 21, 19, 3)).astype("u1")

    @pytest.fixture
    def sample(self, tmp_path: Path) -> Path:
        path = tmp_path / "colour.nd2"
        write_nd2(path, self.data[..., ::-1], [depth_loop(3, 1.0)], [("Brightfield", 0)], samples=3, pitch=60)
        return path

    def golden(self, sample: Path) -> dict[str, Golden]:
        names = ("Red", "Green", "Blue")
        return {"": Golden(self.data.transpose(3, 0, 1, 2), "czyx", {"x": 0.5}, "micrometer", names, rgb=True)}


class TestSeveralColours(FormatTests):
    """Two colour channels: a picture of each."""

    format_name = "nd2"
    data = RNG.integers(0, 255, (2, 11, 12, 2, 3)).astype("u1")

    @pytest.fixture
    def sample(self, tmp_path: Path) -> Path:
        path = tmp_path / "two.nd2"
        frames = self.data[..., ::-1].reshape(2, 11, 12, 6)
        write_nd2(path, frames, [time_loop(2, 10.0)], [("Left", 0), ("Right", 0)], samples=3)
        return path

    def golden(self, sample: Path) -> dict[str, Golden]:
        pixels = self.data.transpose(3, 0, 4, 1, 2)
        return {f"two {name}": Golden(pixels[i], "tcyx", rgb=True) for i, name in enumerate(("Left", "Right"))}


class TestCompressed(FormatTests):
    """Frames compressed without loss; 32 bit floating point."""

    format_name = "nd2"
    data = RNG.normal(size=(4, 23, 31, 1)).astype("<f4")

    @pytest.fixture
    def sample(self, tmp_path: Path) -> Path:
        path = tmp_path / "zipped.nd2"
        write_nd2(path, self.data, [time_loop(4, 100.0)], [("GFP", 0x00FF00)], zipped=True)
        return path

    def golden(self, sample: Path) -> dict[str, Golden]:
        np.testing.assert_array_equal(nd2.imread(sample), self.data[..., 0])
        return {"": Golden(self.data[:, None, :, :, 0], "tcyx", {"t": 0.1}, channels=("GFP",), colors=("00FF00",))}


class TestStopped(FormatTests):
    """An experiment stopped before its end: the frames that were never taken are zero."""

    format_name = "nd2"
    data = RNG.integers(0, 4096, (6, 9, 10, 1)).astype("<u2")

    @pytest.fixture
    def sample(self, tmp_path: Path) -> Path:
        path = tmp_path / "stopped.nd2"
        loops = [time_loop(3, 100.0), depth_loop(2, 1.0)]
        write_nd2(path, self.data, loops, [("GFP", 0x00FF00)], missing=(2, 4, 5))
        return path

    def golden(self, sample: Path) -> dict[str, Golden]:
        pixels = self.data[..., 0].copy()
        pixels[[2, 4, 5]] = 0
        np.testing.assert_array_equal(nd2.imread(sample).reshape(pixels.shape), pixels)
        return {"": Golden(pixels.reshape(3, 1, 2, 9, 10), "tczyx")}


class TestUnexplained(FormatTests):
    """Frames of which nothing says what they are frames of."""

    format_name = "nd2"
    data = RNG.integers(0, 255, (5, 9, 10, 1)).astype("u1")

    @pytest.fixture
    def sample(self, tmp_path: Path) -> Path:
        path = tmp_path / "frames.nd2"
        write_nd2(path, self.data, [], [("GFP", 0x00FF00)])
        return path

    def golden(self, sample: Path) -> dict[str, Golden]:
        return {"": Golden(self.data[:, None, :, :, 0], "lcyx")}


def box(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I4s", 8 + len(data), kind) + data


def tree(name: str, value: Any) -> str:
    """A value in the older XML."""
    if isinstance(value, Mapping):
        return f"<{name}>{''.join(tree(k, v) for k, v in value.items())}</{name}>"
    kind = {bool: "bool", int: "lx_int32", float: "double", str: "CLxStringW"}[type(value)]
    return f'<{name} runtype="{kind}" value="{value}"/>'


class TestLegacy(FormatTests):
    """A file of before NIS-Elements 3: JPEG 2000 planes in boxes, and a map of them."""

    format_name = "nd2"
    data = RNG.integers(0, 4096, (2, 3, 2, 24, 20)).astype("<u2")

    @pytest.fixture
    def sample(self, tmp_path: Path) -> Path:
        channels = {f"i{i:05}": {"sOpticalConfigName": n, "uiColor": c, "uiCompCount": 1} for i, (n, c) in enumerate(
            [("TRITC", 0x0000FF), ("FITC", 0x00FF00)])}  # fmt: skip
        frame = {
            "dCalibration": 0.25, "bCalibrated": True,
            "sPicturePlanes": {"uiCount": 2, "uiCompCount": 2, "sPlane": channels},
        }  # fmt: skip
        loops = {
            "sLoopNo00": {"eType": 8, "uLoopPars": {"sPeriod": {"i00000": {
                "uiCount": 2, "dStart": 0.0, "dPeriod": 2000.0, "dDuration": 0.0}}}},
            "sLoopNo01": {"eType": 4, "uLoopPars": {
                "uiCount": 3, "dZHome": 0.0, "dZStep": 0.75, "dZLow": 0.0, "dZHigh": 2.25}},
        }  # fmt: skip
        boxes = [(b"jP  ", b"\r\n\x87\n"), (b"jp2h", box(b"ihdr", struct.pack(">iihBB", 24, 20, 2, 15, 7)))]
        for frames in self.data.reshape(6, 2, 24, 20):
            boxes += [(b"LUNK", imagecodecs.jpeg2k_encode(plane, level=0, reversible=True)) for plane in frames]
            boxes += [(b"VCAL", b"<a/>"), (b"VIMD", tree("variant", frame).encode())]
        boxes.append((b"AIM1", tree("variant", loops).encode()))
        data, table = b"", b""
        for kind, content in boxes:
            outer = kind if kind in (b"jP  ", b"jp2h") else b"uuid"
            table += struct.pack("<4s4sI", outer, kind, len(data)) + bytes(4)
            data += box(kind, content)
        table = len(boxes).to_bytes(4, "big") + table
        end = b"LABORATORY IMAGING ND BOX MAP 00" + struct.pack("<Q", len(table) + 40)
        path = tmp_path / "legacy.nd2"
        path.write_bytes(data + table + end)
        return path

    def golden(self, sample: Path) -> dict[str, Golden]:
        with nd2.ND2File(sample) as file:
            assert file.is_legacy
            np.testing.assert_array_equal(file.asarray(), self.data)
        steps = {"x": 0.25, "y": 0.25, "z": 0.75, "t": 2.0}
        names, colors = ("TRITC", "FITC"), ("FF0000", "00FF00")
        return {"": Golden(self.data.transpose(0, 2, 1, 3, 4), "tczyx", steps, "micrometer", names, colors)}


def small(path: Path, **options) -> Path:
    data = np.arange(2 * 8 * 9, dtype="<u2").reshape(2, 8, 9, 1)
    write_nd2(path, data, [time_loop(2, 1.0)], [("GFP", 0x00FF00)], **options)
    return path


def test_compression_with_loss_is_named(tmp_path: Path) -> None:
    with pytest.raises(Unsupported, match="loss"):
        open_source(small(tmp_path / "a.nd2", compression=1))


def test_a_file_of_another_kind(tmp_path: Path) -> None:
    (tmp_path / "a.nd2").write_bytes(b"GIF89a" + bytes(100))
    with pytest.raises(Damaged, match="not an ND2"):
        open_source(tmp_path / "a.nd2")


def test_a_compressed_frame_that_is_a_bomb(tmp_path: Path) -> None:
    """No more is inflated than a frame can hold."""
    source = open_source(small(tmp_path / "a.nd2", zipped=True, tail=bytes(80_000_000)))
    tracemalloc.start()
    pixels = source.root.array("0").read_all()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert pixels.ravel().tolist() == list(range(2 * 8 * 9))
    assert peak < 10_000_000
    source.close()


@pytest.mark.parametrize("zipped", [False, True])
def test_damaged_files_give_one_clear_error(tmp_path: Path, zipped: bool) -> None:
    data = small(tmp_path / "a.nd2", zipped=zipped).read_bytes()
    chance = random.Random(3)
    # Most of the file is the room left for names: aim at the rest.
    places = [i for i, byte in enumerate(data) if byte]
    opened = 0
    for _ in rounds(100):
        bad = bytearray(data)
        for _ in range(chance.choice((1, 2, 20))):
            bad[chance.choice(places)] = chance.randrange(256)
        if chance.random() < 0.2:
            del bad[chance.randrange(len(bad)) :]
        (tmp_path / "bad.nd2").write_bytes(bad)
        try:
            source = open_source(tmp_path / "bad.nd2")
        except CoverslipError as error:
            assert "\n" not in str(error)  # noqa: PT017
            continue
        opened += 1
        try:
            for name in [""] if "0" in source.root else list(source.root):
                array = (source.root[name] if name else source.root).array("0")  # type: ignore[union-attr]
                shape = array.spec.shape
                array.read(Box((0,) * len(shape), tuple(min(n, 64) for n in shape)))
        except CoverslipError:
            pass
        finally:
            source.close()
    assert opened > 7
