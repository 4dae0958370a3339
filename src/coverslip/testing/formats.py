"""The tests that every image format passes: subclass, say what the file holds, get the tests.

::

    class TestTiff(FormatTests):
        format_name = "tiff"

        @pytest.fixture
        def sample(self, tmp_path):
            path = tmp_path / "a.tif"
            tifffile.imwrite(path, data)
            return path

        def golden(self, sample):
            return {"": Golden(data, "zyx", steps={"y": 0.5, "x": 0.5}, unit="micrometer")}
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import random
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import pytest

from coverslip.core.errors import CoverslipError
from coverslip.core.node import Array, Group, Source
from coverslip.core.spec import Box
from coverslip.formats import open_source, recognise
from coverslip.testing.files import FileTests, assert_one_line, bytes_read, copied, files_of, handles, wait_for_handles

BOXES, THREADS = 24, 8
LARGE_BYTES = 400_000
FLOOR_BYTES = 200_000
"""What libraries read of the smallest file."""
OPENING_SHARE, CHUNKS_A_PIXEL = 0.25, 4
HEAD_BYTES = 8192


@dataclass(frozen=True)
class Golden:
    """What one image must be, computed by another reader or by whoever wrote the file.

    Attributes
    ----------
    pixels
        All of level 0.
    axes
        Names of its axes, one letter each.
    steps
        Pixel sizes by axis; axes left out are not looked at.
    unit
        Unit of the space axes in ``steps``.
    channels
        Labels of the channels.
    colors
        Colours of the channels, ``RRGGBB``.
    levels
        How many levels the file stores.
    rgb
        Whether the channels are one picture's red, green and blue.
    """

    pixels: npt.NDArray[Any]
    axes: str
    steps: dict[str, float] = field(default_factory=dict)
    unit: str | None = None
    channels: Sequence[str] = ()
    colors: Sequence[str] = ()
    levels: int = 1
    rgb: bool = False


class FormatTests(FileTests):
    """Subclass, and give ``format_name``, the fixture ``sample`` and ``golden``."""

    format_name: ClassVar[str]
    can_be_truncated: ClassVar[bool] = True
    """Whether the first half of the file alone (of a folder's largest file) must be refused."""
    reads_whole_once: ClassVar[bool] = False
    """Whether the first read must go through the whole file (a gzip stream's checksum is at its end)."""
    raw_key: ClassVar[str | None] = None
    """A key that the file's own metadata must hold."""

    @pytest.fixture
    def sample(self, tmp_path: Path) -> Path:
        """A file or folder of the format."""
        raise NotImplementedError

    def golden(self, sample: Path) -> dict[str, Golden]:
        """What each image of the sample must be, by its path in the tree; ``""`` for the only one."""
        raise NotImplementedError

    @pytest.fixture
    def source(self, sample: Path) -> Iterator[Source]:
        """The sample, opened."""
        source = open_source(sample)
        yield source
        source.close()

    def image(self, source: Source, path: str) -> Group:
        """One image of a source."""
        node: Any = source.root
        for part in filter(None, path.split("/")):
            node = node[part]
        assert isinstance(node, Group)
        return node

    def level(self, source: Source, path: str, level: int = 0) -> Array:
        """One level of one image."""
        return self.image(source, path).array(str(level))

    def _levels(self, source: Source, path: str) -> list[Array]:
        image = self.image(source, path)
        return [image.array(d["path"]) for d in image.attrs["ome"]["multiscales"][0]["datasets"]]

    def test_is_recognised(self, sample: Path) -> None:
        """The file is claimed by its format, and no format before it."""
        assert recognise(sample).name == self.format_name

    def test_every_image_is_there(self, sample: Path, source: Source) -> None:
        """Shapes, dtypes and native byte order of every image."""
        for path, golden in self.golden(sample).items():
            spec = self.level(source, path).spec
            assert spec.shape == golden.pixels.shape, path
            assert spec.dtype == golden.pixels.dtype.newbyteorder("="), path
            assert spec.chunks is None or len(spec.chunks) == len(spec.shape)

    def test_axes_and_pixel_sizes(
        self, sample: Path, source: Source, record_property: Callable[[str, object], None]
    ) -> None:
        """Names of axes, steps and units."""
        for path, golden in self.golden(sample).items():
            scale = self.image(source, path).attrs["ome"]["multiscales"][0]
            assert "".join(a["name"] for a in scale["axes"]) == golden.axes
            steps = scale["datasets"][0]["coordinateTransformations"][0]["scale"]
            for axis, step in golden.steps.items():
                at = golden.axes.index(axis)
                assert steps[at] == pytest.approx(step, rel=1e-6), axis
                if golden.unit and scale["axes"][at].get("type") == "space":
                    assert scale["axes"][at]["unit"] == golden.unit
                    record_property("shows", "units")

    def test_channels(self, sample: Path, source: Source, record_property: Callable[[str, object], None]) -> None:
        """Names and colours of channels."""
        for path, golden in self.golden(sample).items():
            attrs = self.image(source, path).attrs
            channels = attrs["ome"].get("omero", {}).get("channels", [])
            if golden.channels:
                assert [c["label"] for c in channels] == list(golden.channels)
                record_property("shows", "channels")
            if golden.colors:
                assert [c.get("color") for c in channels] == list(golden.colors)
            assert attrs.get("coverslip", {}).get("rgb", False) == golden.rgb

    def test_levels(self, sample: Path, source: Source, record_property: Callable[[str, object], None]) -> None:
        """The stored pyramid is there, each level smaller than the one before."""
        for path, golden in self.golden(sample).items():
            group = self.image(source, path)
            names = [d["path"] for d in group.attrs["ome"]["multiscales"][0]["datasets"]]
            assert len(names) == golden.levels
            shapes = [group.array(name).spec.shape for name in names]
            for fine, coarse in pairwise(shapes):
                assert all(b <= a for a, b in zip(fine, coarse, strict=True))
                assert coarse != fine
            for name, shape in zip(names, shapes, strict=True):
                assert group.array(name).read_all().shape == shape
            if golden.levels > 1:
                record_property("shows", "pyramid")

    def test_whole_image(self, sample: Path, source: Source) -> None:
        """Every pixel, in the native dtype."""
        for path, golden in self.golden(sample).items():
            found = self.level(source, path).read_all()
            assert found.dtype == golden.pixels.dtype.newbyteorder("=")
            np.testing.assert_array_equal(found, golden.pixels, err_msg=path)

    def test_any_box(self, sample: Path, source: Source) -> None:
        """Boxes of every shape, empty ones too."""
        for path, golden in self.golden(sample).items():
            array = self.level(source, path)
            for box in _boxes(golden.pixels.shape):
                found = array.read(box)
                assert found.shape == box.shape
                np.testing.assert_array_equal(found, golden.pixels[box.slices], err_msg=f"{path} {box}")

    def test_many_threads(self, sample: Path, source: Source) -> None:
        """The same from eight threads at once."""
        golden = self.golden(sample)
        jobs = [(path, box) for path, image in golden.items() for box in _boxes(image.pixels.shape)]
        random.Random(7).shuffle(jobs)
        with ThreadPoolExecutor(THREADS) as pool:
            found = list(pool.map(lambda job: self.level(source, job[0]).read(job[1]), jobs))
        for (path, box), pixels in zip(jobs, found, strict=True):
            np.testing.assert_array_equal(pixels, golden[path].pixels[box.slices], err_msg=f"{path} {box}")

    def test_opening_is_cheap(self, sample: Path) -> None:
        """Opening holds no pixels: its arrays are read when asked."""
        source = open_source(sample)
        try:
            for path, golden in self.golden(sample).items():
                array = self.level(source, path)
                empty = array.read(Box((0,) * golden.pixels.ndim, (0,) * golden.pixels.ndim))
                assert empty.shape == (0,) * golden.pixels.ndim
        finally:
            source.close()

    @pytest.mark.skipif(sys.platform != "linux", reason="counts bytes through /proc")
    def test_opening_and_a_pixel_read_little(
        self, sample: Path, tmp_path_factory: pytest.TempPathFactory, record_property: Callable[[str, object], None]
    ) -> None:
        """Of a file large enough to tell, opening reads a small part, and one pixel no more than a few chunks."""
        files = files_of(sample)
        total = sum(file.stat().st_size for file in files)
        if total < LARGE_BYTES:
            pytest.skip("too small to tell")
        self._load_libraries(sample, tmp_path_factory.mktemp("other"))
        before = bytes_read()
        source = open_source(sample)
        try:
            opened = bytes_read() - before
            assert opened <= max(total * OPENING_SHARE, len(files) * HEAD_BYTES, FLOOR_BYTES), (
                f"{opened:,} of {total:,} bytes"
            )
            path, golden = next(iter(self.golden(sample).items()))
            array = self.level(source, path)
            chunk = math.prod(array.spec.chunks or array.spec.shape) * array.spec.dtype.itemsize
            if not self.reads_whole_once and (array.spec.chunks is None or chunk * 8 < total):
                last = Box(tuple(n - 1 for n in golden.pixels.shape), golden.pixels.shape)
                before = bytes_read()
                array.read(last)
                read = bytes_read() - before
                assert read <= max(chunk * CHUNKS_A_PIXEL * bool(array.spec.chunks), FLOOR_BYTES), f"{read:,} bytes"
                record_property("shows", "lazy")
        finally:
            source.close()

    def _load_libraries(self, sample: Path, folder: Path) -> None:
        """Libraries are loaded by the first read; of a copy, so that nothing of the sample is remembered."""
        copy = copied(sample, folder)
        with contextlib.suppress(CoverslipError):  # one file of several that belong together
            source = open_source(copy)
            try:
                array = self.level(source, next(iter(self.golden(sample))))
                array.read(Box((0,) * len(array.spec.shape), (1,) * len(array.spec.shape)))
            finally:
                source.close()

    def test_metadata_is_plain_and_private(self, sample: Path, source: Source) -> None:
        """Attributes are JSON, and none of them tells where on this machine the file lies."""
        for path in self.golden(sample):
            text = json.dumps(dict(self.image(source, path).attrs))
            assert str(sample.parent) not in text
            if self.raw_key:
                assert self.raw_key in json.dumps(self.image(source, path).attrs["coverslip"]["raw"])

    @pytest.mark.skipif(sys.platform != "linux", reason="counts open files through /proc")
    def test_closing_gives_files_back(self, sample: Path) -> None:
        """No file handle is left after close, even after reading."""
        open_source(sample).close()  # libraries may open files of their own the first time
        before = handles(sample)
        source = open_source(sample)
        for path in self.golden(sample):
            self.level(source, path).read_all()
        source.close()
        wait_for_handles(sample, before)

    def test_a_truncated_file_is_refused(self, sample: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
        """Half a file gives one clear error, on opening or on reading, and never wrong pixels."""
        if not self.can_be_truncated:
            pytest.skip("not told by a format of this kind")
        golden = self.golden(sample)
        half = copied(sample, tmp_path_factory.mktemp("half"))
        cut = max(files_of(half), key=lambda file: file.stat().st_size)
        os.truncate(cut, cut.stat().st_size // 2)
        try:
            source = open_source(half)
        except CoverslipError as error:
            assert_one_line(error)
            return
        try:
            with pytest.raises(CoverslipError) as caught:
                _ = [level.read_all() for path in golden for level in self._levels(source, path)]
            assert_one_line(caught.value)
        finally:
            source.close()


def _boxes(shape: tuple[int, ...]) -> list[Box]:
    rng = random.Random(len(shape) * 1000 + sum(shape))
    boxes = [Box((0,) * len(shape), (0,) * len(shape)), Box(tuple(n - 1 for n in shape), shape)]
    for _ in range(BOXES):
        ends = [sorted((rng.randint(0, n), rng.randint(0, n))) for n in shape]
        boxes.append(Box(tuple(a for a, _ in ends), tuple(b for _, b in ends)))
    for axis, n in enumerate(shape):  # one plane across each axis
        at = rng.randrange(n)
        start = tuple(at if i == axis else 0 for i in range(len(shape)))
        boxes.append(Box(start, tuple(at + 1 if i == axis else m for i, m in enumerate(shape))))
    return boxes
