"""NDTiff folders written with the format's own library, and read again with it."""

from __future__ import annotations

import shutil
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_tiff import noise

from coverslip.core.errors import CoverslipError, Damaged, UnsafeLink
from coverslip.core.node import Source
from coverslip.core.spec import Box
from coverslip.formats import open_source
from coverslip.testing import FormatTests, Golden

ndtiff = pytest.importorskip("ndtiff.ndtiff_dataset")
writer = pytest.importorskip("ndtiff.ndtiff_file")


def write(
    folder: Path, planes: dict[tuple[tuple[str, Any], ...], np.ndarray[Any, Any]], summary: dict[str, Any]
) -> Path:
    """An NDTiff data set of these planes by their axes, in two files."""
    index = b""
    half = (len(planes) + 1) // 2
    for part, name in enumerate(("NDTiffStack.tif", "NDTiffStack_1.tif")):
        chosen = list(planes.items())[part * half : (part + 1) * half]
        if not chosen:
            continue
        file = writer.SingleNDTiffWriter(str(folder), name, summary)
        for axes, plane in chosen:
            entry = file.write_image(frozenset(axes), plane, {"PixelSizeUm": 0.3, "axes": dict(axes)})
            index += entry.as_byte_buffer().getvalue()
        file.finished_writing()
        file.reader.close()
    (folder / "NDTiff.index").write_bytes(index)
    return folder


SUMMARY = {"PixelSize_um": 0.65, "z-step_um": 2.0, "GridPixelOverlapX": 4, "GridPixelOverlapY": 6}


class TestNdTiff(FormatTests):
    format_name = "ndtiff"
    raw_key = "z-step_um"
    data = noise((2, 3, 4, 30, 40))

    @pytest.fixture
    def sample(self, tmp_path: Path) -> Path:
        planes = {
            (("time", t), ("channel", f"dye {c}"), ("z", z - 1)): self.data[t, c, z] for t, c, z in np.ndindex(2, 3, 4)
        }
        return write(tmp_path / "acq", planes, SUMMARY)

    def golden(self, sample: Path) -> dict[str, Golden]:
        steps = {"z": 2.0, "y": 0.65, "x": 0.65}
        return {"": Golden(self.data, "tczyx", steps, "micrometer", ["dye 0", "dye 1", "dye 2"])}

    def test_its_own_library_reads_the_same(self, sample: Path, source: Source) -> None:
        dataset = ndtiff.NDTiffDataset(str(sample))
        found = source.root.array("0").read(Box((1, 2, 3, 0, 0), (2, 3, 4, 30, 40)))
        np.testing.assert_array_equal(found[0, 0, 0], dataset.read_image(time=1, channel="dye 2", z=2))
        dataset.close()


class TestPositions(FormatTests):
    format_name = "ndtiff"
    data = noise((3, 2, 20, 24))

    @pytest.fixture
    def sample(self, tmp_path: Path) -> Path:
        planes = {(("position", p), ("time", t)): self.data[p, t] for p, t in np.ndindex(3, 2)}
        return write(tmp_path / "acq", planes, {})

    def golden(self, sample: Path) -> dict[str, Golden]:
        return {str(p): Golden(self.data[p], "tyx", {"x": 0.3}, "micrometer") for p in range(3)}


class TestResolutions(FormatTests):
    """Tiles of a grid at three resolutions, laid side by side without their overlap."""

    format_name = "ndtiff"
    full = noise((2, 96, 108))
    can_be_truncated = False

    @pytest.fixture
    def sample(self, tmp_path: Path) -> Path:
        folder = tmp_path / "grid"
        folder.mkdir()
        self._level(folder / "Full resolution", self.full, (32, 36), (6, 4))
        self._level(folder / "Downsampled_x2", self.full[:, ::2, ::2], (32, 36), (0, 0))
        self._level(folder / "Downsampled_x4", self.full[:, ::4, ::4], (32, 36), (0, 0))
        return folder

    def _level(
        self, folder: Path, image: np.ndarray[Any, Any], tile: tuple[int, int], overlap: tuple[int, int]
    ) -> None:
        planes = {}
        rows, columns = -(-image.shape[1] // tile[0]), -(-image.shape[2] // tile[1])
        for z, row, column in np.ndindex(2, rows, columns):
            part = image[z, row * tile[0] : (row + 1) * tile[0], column * tile[1] : (column + 1) * tile[1]]
            stored = np.full((tile[0] + overlap[0], tile[1] + overlap[1]), 7, np.uint16)
            down, across = overlap[0] // 2, overlap[1] // 2
            stored[down : down + part.shape[0], across : across + part.shape[1]] = part
            planes[(("row", row), ("column", column), ("z", z))] = stored
        write(folder, planes, SUMMARY)

    def golden(self, sample: Path) -> dict[str, Golden]:
        return {"": Golden(self.full, "zyx", {"z": 2.0, "x": 0.65}, "micrometer", levels=3)}

    def test_levels_hold_what_was_written(self, source: Source) -> None:
        for level in (1, 2):
            step = 2**level
            np.testing.assert_array_equal(source.root.array(str(level)).read_all(), self.full[:, ::step, ::step])

    def test_tiles_that_were_not_acquired_are_zeros(self, tmp_path: Path) -> None:
        tile = noise((16, 16))
        planes = {(("row", 0), ("column", 0)): tile, (("row", 1), ("column", 2)): tile}
        source = open_source(write(tmp_path / "gaps", planes, {"GridPixelOverlapX": 0, "GridPixelOverlapY": 0}))
        expected = np.zeros((32, 48), np.uint16)
        expected[:16, :16] = expected[16:, 32:] = tile
        np.testing.assert_array_equal(source.root.array("0").read_all(), expected)
        source.close()


class TestLarge(FormatTests):
    """Opening reads the index and a few tags; a pixel reads its rows."""

    format_name = "ndtiff"
    data = noise((24, 256, 256))

    @pytest.fixture
    def sample(self, tmp_path: Path) -> Path:
        return write(tmp_path / "acq", {(("time", t),): plane for t, plane in enumerate(self.data)}, SUMMARY)

    def golden(self, sample: Path) -> dict[str, Golden]:
        return {"": Golden(self.data, "tyx", {"x": 0.65}, "micrometer")}


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """A data set of two planes."""
    return write(tmp_path / "acq", {(("time", t),): noise((10, 12)) for t in range(2)}, {})


def test_a_missing_data_file_is_named(small: Path) -> None:
    (small / "NDTiffStack_1.tif").unlink()
    source = open_source(small)
    with pytest.raises(Damaged, match=r"NDTiffStack_1\.tif"):
        source.root.array("0").read_all()
    source.close()
    (small / "NDTiffStack.tif").unlink()
    with pytest.raises(Damaged, match=r"NDTiffStack\.tif"):
        open_source(small)


def test_a_truncated_data_file_is_an_error(small: Path) -> None:
    for file in small.glob("*.tif"):
        with file.open("r+b") as handle:
            handle.truncate(300)
    source = open_source(small)
    with pytest.raises(Damaged, match="ends too early"):
        source.root.array("0").read_all()
    source.close()


def test_an_index_that_is_still_written_shows_what_is_there(small: Path) -> None:
    index = small / "NDTiff.index"
    data = index.read_bytes()
    for cut in range(len(data)):
        index.write_bytes(data[:cut])
        try:
            source = open_source(small)
        except CoverslipError as error:
            assert "\n" not in str(error)  # noqa: PT017
            continue
        assert source.root.array("0").spec.shape == (1, 10, 12)
        source.close()


def test_names_that_leave_the_folder_are_refused(small: Path) -> None:
    shutil.copy(next(small.glob("*.tif")), small.parent / "secret.tif")
    axes, name = b'{"time": 0}', b"../secret.tif"
    entry = struct.pack("<I", len(axes)) + axes + struct.pack("<I", len(name)) + name
    (small / "NDTiff.index").write_bytes(entry + struct.pack("<8I", 0, 12, 10, 1, 0, 0, 0, 0))
    with pytest.raises(UnsafeLink):
        open_source(small)


def test_a_tile_of_colour(tmp_path: Path) -> None:
    data = noise((10, 12, 3), "uint8")
    folder = tmp_path / "rgb"
    folder.mkdir()
    (folder / "a.tif").write_bytes(b"\0" * 64 + data.tobytes())
    axes, name = b'{"time": 0}', b"a.tif"
    entry = struct.pack("<I", len(axes)) + axes + struct.pack("<I", len(name)) + name
    (folder / "NDTiff.index").write_bytes(entry + struct.pack("<8I", 64, 12, 10, 2, 0, 0, 0, 0))
    source = open_source(folder)
    np.testing.assert_array_equal(source.root.array("0").read_all()[0], data.transpose(2, 0, 1))
    assert source.root.attrs["coverslip"]["rgb"] is True
    source.close()
