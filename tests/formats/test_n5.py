"""N5, written here by its specification: blocks of big-endian numbers behind a header, fastest axis first."""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
import struct
import zlib
from itertools import product
from pathlib import Path
from typing import Any, ClassVar

import numcodecs
import numpy as np
import pytest

from coverslip.core.errors import CoverslipError, Damaged, UnsafeLink, Unsupported
from coverslip.domains.images import Images
from coverslip.formats import formats, open_source
from coverslip.testing import FormatTests
from coverslip.testing.formats import Golden
from fuzz import rounds
from zarr_files import pixels, pyramid

CODECS: dict[str, tuple[dict[str, Any], Any]] = {
    "raw": ({"type": "raw"}, bytes),
    "gzip": ({"type": "gzip", "level": -1}, gzip.compress),
    "zlib": ({"type": "gzip", "level": -1, "useZlib": True}, zlib.compress),
    "bzip2": ({"type": "bzip2", "blockSize": 9}, bz2.compress),
    "xz": ({"type": "xz", "preset": 6}, lzma.compress),
    "zstd": ({"type": "zstd", "level": 3}, lambda b: numcodecs.Zstd(3).encode(b)),
    "blosc": (
        {"type": "blosc", "cname": "lz4", "clevel": 5, "shuffle": 1, "blocksize": 0, "nthreads": 1},
        lambda b: numcodecs.Blosc("lz4", 5, 1).encode(np.frombuffer(b, "u1")),
    ),
}


def write_attributes(path: Path, attributes: dict[str, Any]) -> Path:
    path.mkdir(parents=True, exist_ok=True)
    (path / "attributes.json").write_text(json.dumps(attributes))
    return path


def write_n5(
    path: Path,
    data: np.ndarray[Any, Any],
    blocks: tuple[int, ...] | None = None,
    codec: str = "gzip",
    **attributes: Any,
) -> Path:
    """An array whose blocks lie in folders, the fastest axis outermost; blocks of zeros are not stored."""
    compression, compress = CODECS[codec]
    blocks = blocks or tuple(min(n, 8) for n in data.shape)
    meta = {"dimensions": data.shape[::-1], "blockSize": blocks[::-1], "dataType": data.dtype.name}
    write_attributes(path, {**meta, "compression": compression, **attributes})
    counts = [-(-n // b) for n, b in zip(data.shape, blocks, strict=True)]
    for index in product(*map(range, counts)):
        part = data[tuple(slice(i * b, (i + 1) * b) for i, b in zip(index, blocks, strict=True))]
        if not part.any():
            continue
        header = struct.pack(f">HH{part.ndim}I", 0, part.ndim, *part.shape[::-1])
        target = path.joinpath(*map(str, index[::-1]))
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(header + compress(part.astype(part.dtype.newbyteorder(">")).tobytes()))
    return path


class N5Tests(FormatTests):
    format_name = "n5"


@pytest.mark.parametrize("codec", list(CODECS))
@pytest.mark.parametrize("dtype", ["uint8", "int16", "uint32", "float32", "float64", "int64"])
def test_every_codec_and_dtype(tmp_path: Path, codec: str, dtype: str) -> None:
    data = pixels((5, 20, 30), dtype)
    data[:, 8:16, 8:16] = 0
    source = open_source(write_n5(tmp_path / "a.n5", data, codec=codec))
    np.testing.assert_array_equal(source.root.array("0").read_all(), data)
    source.close()


def test_a_small_block_that_unpacks_to_gigabytes_is_not_unpacked(tmp_path: Path) -> None:
    path = write_n5(tmp_path / "a.n5", pixels((8, 8), "uint16"), codec=next(c for c in CODECS if "blosc" in c))
    data = bytearray((path / "0" / "0").read_bytes())
    assert struct.unpack_from("<I", data, 12 + 4) == (128,)
    struct.pack_into("<I", data, 12 + 4, 2_000_000_000)
    (path / "0" / "0").write_bytes(data)
    source = open_source(path)
    with pytest.raises(Damaged, match="larger than it can be"):
        source.root.array("0").read_all()
    source.close()


class TestViewerPyramid(N5Tests):
    """As n5-viewer names sizes: fastest axis first."""

    data = pixels((10, 24, 32), "uint16")
    raw_key = "pixelResolution"

    @pytest.fixture
    def sample(self, tmp_path: Path) -> Path:
        path = write_attributes(tmp_path / "scan.n5", {"n5": "2.5.1"})
        for channel in (0, 1):
            resolution = {"dimensions": [0.2, 0.3, 1.5], "unit": "um"}
            group = write_attributes(path / f"c{channel}", {"multiScale": True, "pixelResolution": resolution})
            for level, data in enumerate(pyramid(self.data + channel, 3)):
                factors = {"downsamplingFactors": [2**level, 2**level, 1]} if level else {}
                write_n5(group / f"s{level}", data, **factors)
        return path

    def golden(self, sample: Path) -> dict[str, Golden]:
        steps = {"z": 1.5, "y": 0.3, "x": 0.2}
        return {f"c{c}": Golden(self.data + c, "zyx", steps, "micrometer", levels=3) for c in (0, 1)}

    def test_coarse_levels(self, source: Any) -> None:
        found = source.root["c0"].attrs["ome"]["multiscales"][0]["datasets"][2]["coordinateTransformations"]
        np.testing.assert_allclose(found[0]["scale"], [1.5, 1.2, 0.8])
        np.testing.assert_allclose(found[1]["translation"], [0, 0.45, 0.3])


class TestCosem(N5Tests):
    """As COSEM names sizes: in C order, with names, units and an origin; one image at the root."""

    data = pixels((6, 8, 9), "uint8")

    @pytest.fixture
    def sample(self, tmp_path: Path) -> Path:
        def transform(f: int) -> dict[str, Any]:
            scale = [5.0, 4.0 * f, 4.0 * f]
            shift = [100.0, 2.0 * (f - 1), 2.0 * (f - 1)]
            return {"transform": {"axes": ["z", "y", "x"], "scale": scale, "translate": shift, "units": ["nm"] * 3}}

        path = write_attributes(tmp_path / "em", {"n5": "2.0.0"})
        for level, data in enumerate(pyramid(self.data, 2)):
            write_n5(path / f"s{level}", data, **transform(2**level))
        return path

    def golden(self, sample: Path) -> dict[str, Golden]:
        return {"": Golden(self.data, "zyx", {"z": 5.0, "y": 4.0}, "nanometer", levels=2)}

    def test_the_origin(self, source: Any) -> None:
        found = source.root.attrs["ome"]["multiscales"][0]["datasets"][0]["coordinateTransformations"]
        assert found[1]["translation"] == [100.0, 0.0, 0.0]


class TestNamedAxes(N5Tests):
    """Neuroglancer's keys; ImageJ's order of axes, channels before slices."""

    data = pixels((2, 3, 4, 10, 12), "float32")

    @pytest.fixture
    def sample(self, tmp_path: Path) -> Path:
        names = {"axes": ["x", "y", "c", "z", "t"], "units": ["nm", "nm", "", "nm", "s"]}
        return write_n5(tmp_path / "a.n5", self.data, (1, 3, 4, 8, 8), resolution=[8.0, 9.0, 1.0, 40.0, 2.0], **names)

    def golden(self, sample: Path) -> dict[str, Golden]:
        steps = {"t": 2.0, "z": 40.0, "y": 9.0, "x": 8.0}
        return {"": Golden(self.data.transpose(0, 2, 1, 3, 4), "tczyx", steps, "nanometer")}


class TestBigDataViewer(N5Tests):
    """Setups and time points; and arrays beside them."""

    data: ClassVar = {f"setup{s}/timepoint{t}": pixels((3, 8, 8), "uint16", 2 * s + t) for s in (0, 1) for t in (0, 1)}
    plain = pixels((7, 5), "int32")

    @pytest.fixture
    def sample(self, tmp_path: Path) -> Path:
        path = write_attributes(tmp_path / "dataset.n5", {"n5": "2.0.0", "Bigdataviewer": {"version": "1"}})
        for name, data in self.data.items():
            for level, coarse in enumerate(pyramid(data, 2)):
                write_n5(path / name / f"s{level}", coarse)
        write_n5(path / "deep" / "table", self.plain)
        return path

    def golden(self, sample: Path) -> dict[str, Golden]:
        found = {name: Golden(data, "zyx", levels=2) for name, data in self.data.items()}
        return {**found, "deep/table": Golden(self.plain, "yx")}


class TestLarge(N5Tests):
    """Opening reads attributes only; a pixel reads one block."""

    data = pixels((32, 128, 256), "uint16")

    @pytest.fixture
    def sample(self, once: Any) -> Path:
        return once(lambda folder: write_n5(folder / "large.n5", self.data, (16, 64, 32)))

    def golden(self, sample: Path) -> dict[str, Golden]:
        return {"": Golden(self.data, "zyx")}


def test_n5_1_wrote_compression_elsewhere(tmp_path: Path) -> None:
    data = pixels((9, 9), "uint8")
    path = write_n5(tmp_path / "a.n5", data)
    meta = json.loads((path / "attributes.json").read_text())
    del meta["compression"]
    write_attributes(path, {**meta, "compressionType": "gzip"})
    source = open_source(path)
    np.testing.assert_array_equal(source.root.array("0").read_all(), data)
    source.close()


@pytest.mark.parametrize(
    "changes",
    [
        {"dimensions": [-1, 9]},
        {"dimensions": []},
        {"dimensions": "9"},
        {"blockSize": [0, 3]},
        {"blockSize": [3]},
        {"dimensions": [1 << 40, 1 << 40], "blockSize": [1 << 40, 1 << 20]},
        {"dataType": "object"},
        {"dataType": 5},
        {"compression": {"type": "lz4"}},
        {"compression": {"type": "gzip", "level": "x"}},
        {"compression": 7},
    ],
)
def test_metadata_that_makes_no_sense(tmp_path: Path, changes: dict[str, Any]) -> None:
    path = write_n5(tmp_path / "a.n5" / "x", pixels((9, 9), "uint8"))
    write_attributes(path, json.loads((path / "attributes.json").read_text()) | changes)
    write_n5(tmp_path / "a.n5" / "good", pixels((9, 9), "uint8"))
    with pytest.raises(CoverslipError) as caught:
        open_source(path)
    assert caught.value.hint
    assert str(tmp_path) not in str(caught.value)
    source = open_source(tmp_path / "a.n5")  # and hides nothing else
    assert Images(source).paths == ("good",)
    source.close()


@pytest.mark.parametrize("codec", list(CODECS))
def test_damaged_blocks_are_told(tmp_path: Path, codec: str) -> None:
    path = write_n5(tmp_path / "a.n5", pixels((16, 16), "uint16"), (16, 16), codec)
    block = path / "0" / "0"
    whole = block.read_bytes()
    rng = np.random.default_rng(1)
    told = 0
    for trial in rounds(40):
        broken = bytearray(whole)
        if trial % 2:
            broken[int(rng.integers(0, min(len(broken), 40)))] ^= int(rng.integers(1, 256))
        else:
            del broken[int(rng.integers(0, len(broken))) :]
        block.write_bytes(broken)
        source = open_source(path)
        try:
            assert source.root.array("0").read_all().shape == (16, 16)
        except (Damaged, Unsupported):  # zstd calls some damage unsupported
            told += 1
        source.close()
    assert told >= 15


def test_blocks_outside_the_folder_are_refused(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(bytes(100))
    path = write_n5(tmp_path / "a.n5", pixels((9, 9), "uint8"))
    (path / "0" / "0").unlink()
    (path / "0" / "0").symlink_to(tmp_path / "secret")
    source = open_source(path)
    with pytest.raises(UnsafeLink):
        source.root.array("0").read_all()
    source.close()


def test_folders_of_other_things_are_not_claimed(tmp_path: Path) -> None:
    path = write_attributes(tmp_path / "project", {"name": "x", "version": 2})
    form = next(f for f in formats() if f.name == "n5")
    assert not form.claims(path, b"")
    assert not form.claims(tmp_path, b"")
    assert not form.claims(path / "attributes.json", b"{")
