"""Levels: their shapes, their pixels, and that tiles made once are made once."""

from __future__ import annotations

import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coverslip.core.errors import Stopped
from coverslip.core.node import Array
from coverslip.core.spec import ArraySpec, Box
from coverslip.core.stop import Stop
from coverslip.core.tree import MemoryArray
from coverslip.domains.pyramid import TILE, pyramid, read, reduce_by
from coverslip.engine.sidecar import Shelf, Sidecar


class Counting(Array):
    """An array that counts the elements read."""

    def __init__(self, values: np.ndarray[Any, Any]) -> None:
        self.values, self.attrs, self.read_elements = values, {}, 0

    @property
    def spec(self) -> ArraySpec:
        return ArraySpec(self.values.shape, self.values.dtype)

    def read(self, box: Box) -> np.ndarray[Any, Any]:
        part = self.values[box.slices]
        self.read_elements += part.size
        return part


def expected_mean(block: np.ndarray[Any, Any], factors: tuple[int, ...]) -> np.ndarray[Any, Any]:
    """Slow and plain: axis by axis, each result rounded as the dtype asks."""
    for axis, factor in enumerate(factors):
        parts = []
        for start in range(0, block.shape[axis], factor):
            part = np.take(block, range(start, min(start + factor, block.shape[axis])), axis)
            n = part.shape[axis]
            if block.dtype.kind == "f":
                parts.append(part.mean(axis, dtype=np.float64).astype(block.dtype))
            else:
                parts.append(((part.astype(object).sum(axis) + n // 2) // n).astype(block.dtype))
        block = np.stack(parts, axis)
    return block


@settings(max_examples=60, deadline=None)
@given(
    shape=st.tuples(*[st.integers(1, 9)] * 3),
    factors=st.tuples(*[st.integers(1, 4)] * 3),
    dtype=st.sampled_from(["u1", "u2", "u4", "u8", "i1", "i2", "i4", "i8", "f4", "f8"]),
    seed=st.integers(0, 9),
)
def test_means_of_any_block(shape: tuple[int, ...], factors: tuple[int, ...], dtype: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    kind = np.dtype(dtype)
    if kind.kind == "f":
        block = rng.normal(size=shape).astype(kind)
    else:
        info = np.iinfo(kind)
        block = rng.integers(info.min // 2, info.max // 2, shape, kind)
    found = reduce_by(block, factors)
    assert found.dtype == kind
    want = expected_mean(block, factors)
    assert found.shape == want.shape
    if kind.kind == "f":
        np.testing.assert_allclose(found, want, rtol=1e-5, atol=1e-6)
    else:
        np.testing.assert_array_equal(found, want)


def test_extreme_values_do_not_overflow() -> None:
    for dtype in ("u1", "u2", "u4", "i1", "i2", "i4"):
        top = np.iinfo(dtype).max
        assert reduce_by(np.full((4, 4), top, dtype), (2, 2)).tolist() == [[top, top], [top, top]]
        low = np.iinfo(dtype).min
        assert reduce_by(np.full((4, 4), low, dtype), (4, 4)).tolist() == [[low]]


def test_maximum_and_nearest() -> None:
    block = np.arange(20, dtype=np.uint8).reshape(4, 5)
    assert reduce_by(block, (2, 2), "max").tolist() == [[6, 8, 9], [16, 18, 19]]
    assert reduce_by(block, (2, 2), "nearest").tolist() == [[0, 2, 4], [10, 12, 14]]
    assert reduce_by(block > 6, (2, 2)).tolist() == [[False, True, True], [True, True, True]]


def test_levels_halve_until_one_tile_is_left() -> None:
    levels = pyramid([("0", Counting(np.zeros((3, 2100, 1500), np.uint16)))], False, Shelf())
    assert [level.array.spec.shape for level in levels] == [
        (3, 2100, 1500),
        (3, 1050, 750),
        (3, 525, 375),
        (3, 263, 188),
    ]
    assert levels[1].downsample == (1.0, 2.0, 2.0)
    assert [level.stored for level in levels] == ["0", None, None, None]


def test_stored_levels_are_used_where_they_fit() -> None:
    base = Counting(np.zeros((4096, 4096), np.uint8))
    quarter = Counting(np.full((1024, 1024), 9, np.uint8))
    levels = pyramid([("a", base), ("b", quarter)], False, Shelf())
    assert [level.stored for level in levels] == ["a", None, "b", None]
    assert levels[3].array.read(Box((0, 0), (1, 1))).tolist() == [[9]]
    assert base.read_elements == 0


def test_made_levels_are_means_of_level_0() -> None:
    rng = np.random.default_rng(1)
    values = rng.integers(0, 60000, (2, 1300, 1700), np.uint16)
    levels = pyramid([("0", MemoryArray(values))], False, Shelf())
    want = values
    for level in levels[1:]:
        want = reduce_by(want, (1, 2, 2))
        np.testing.assert_array_equal(level.array.read_all(), want)
        part = Box((1, 100, 90), (2, 301, 307))
        np.testing.assert_array_equal(level.array.read(part), want[part.slices])


def test_labels_keep_their_numbers() -> None:
    values = np.random.default_rng(2).integers(0, 5, (1100, 1100)).astype(np.uint32) * 1000
    coarse = pyramid([("0", MemoryArray(values))], True, Shelf())[1].array.read_all()
    np.testing.assert_array_equal(coarse, values[::2, ::2])


def test_a_tile_is_made_once_and_outlives_the_process(tmp_path: Path) -> None:
    values = np.random.default_rng(3).integers(0, 255, (2000, 2000), np.uint8)
    for run in range(2):  # the second run is another server over the same cache
        base = Counting(values)
        levels = pyramid([("0", base)], False, Shelf(Sidecar(tmp_path), ("etag",)))
        first = levels[2].array.read_all()
        assert (base.read_elements > 0) is (run == 0)
        np.testing.assert_array_equal(first, reduce_by(reduce_by(values, (2, 2)), (2, 2)))
    base = Counting(values)
    pyramid([("0", base)], False, Shelf(Sidecar(tmp_path), ("another version",)))[2].array.read_all()
    assert base.read_elements > 0


@pytest.mark.parametrize("harm", ["cut", "flip", "empty", "header"])
def test_a_damaged_tile_is_made_anew(tmp_path: Path, harm: str) -> None:
    values = np.random.default_rng(4).integers(0, 255, (1400, 1400), np.uint8)
    want = pyramid([("0", MemoryArray(values))], False, Shelf(Sidecar(tmp_path)))[1].array.read_all()
    files = [f for f in tmp_path.rglob("*") if f.is_file()]
    assert files
    for file in files:
        data = bytearray(file.read_bytes())
        if harm == "cut":
            data = data[: len(data) // 2]
        elif harm == "flip":
            data[len(data) // 2] ^= 1
        elif harm == "empty":
            data.clear()
        else:
            data[0] ^= 1
        file.write_bytes(data)
    found = pyramid([("0", MemoryArray(values))], False, Shelf(Sidecar(tmp_path)))[1].array.read_all()
    np.testing.assert_array_equal(found, want)


def test_the_cache_is_private_and_within_its_quota(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("coverslip.engine.sidecar.CHECK_EVERY_BYTES", 50_000)
    sidecar = Sidecar(tmp_path / "cache", quota_bytes=1_000_000)
    for number in range(60):
        Shelf(sidecar, (f"source {number}",)).put("0.0", memoryview(bytes(50_000)))
        os.utime(sidecar._path((f"source {number}",)), (number, number))
    held = sum(f.stat().st_size for f in tmp_path.rglob("*") if f.is_file())
    assert held <= 1_000_000
    again = Sidecar(tmp_path / "cache", quota_bytes=1_000_000)  # which holds nothing in memory yet
    assert Shelf(again, ("source 59",)).get("0.0", 50_000) is not None
    assert Shelf(again, ("source 0",)).get("0.0", 50_000) is None
    assert all(f.stat().st_mode & 0o077 == 0 for f in tmp_path.rglob("*") if f.is_file())


def test_a_cache_that_cannot_be_written_costs_nothing_but_time(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    values = np.arange(1200 * 1200, dtype=np.uint32).reshape(1200, 1200)
    levels = pyramid([("0", MemoryArray(values))], False, Shelf(Sidecar(blocked / "cache")))
    np.testing.assert_array_equal(levels[1].array.read_all(), reduce_by(values, (2, 2)))


def test_a_large_plane_is_made_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("coverslip.domains.pyramid.BLOCK_ELEMENTS", 10_000)
    values = np.random.default_rng(5).integers(0, 255, (1030, 1030), np.uint8)
    levels = pyramid([("0", MemoryArray(values))], False, Shelf())
    np.testing.assert_array_equal(levels[1].array.read_all(), reduce_by(values, (2, 2)))
    assert levels[-1].array.spec.shape[-1] <= TILE


class Endless(Array):
    """An image of 20 terabytes."""

    def __init__(self) -> None:
        self.attrs, self.reads = {}, 0

    @property
    def spec(self) -> ArraySpec:
        return ArraySpec((4_000_000, 5_000_000), np.dtype(np.uint8))

    def read(self, box: Box) -> np.ndarray[Any, Any]:
        self.reads += 1
        return np.zeros(box.shape, np.uint8)


def test_a_coarse_level_is_no_longer_made_when_nobody_waits() -> None:
    base, stop = Endless(), Stop()
    coarse = pyramid([("0", base)], False, Shelf())[-1].array
    threading.Timer(0.2, stop.set).start()
    with pytest.raises(Stopped):
        read(coarse, Box((0, 0), (1, 1)), stop)
    done = base.reads
    time.sleep(0.05)
    assert base.reads == done


def test_a_tile_that_many_want_at_once_is_made_once() -> None:
    class Slow(Counting):
        def read(self, box: Box) -> np.ndarray[Any, Any]:
            time.sleep(0.01)
            return super().read(box)

    values = np.random.default_rng(6).integers(0, 255, (2000, 2000), np.uint8)
    base = Slow(values)
    sidecar = Sidecar(Path("/proc/nowhere"))  # no disk: memory alone keeps it
    level = pyramid([("0", base)], False, Shelf(sidecar, ("etag",)))[2].array
    with ThreadPoolExecutor(8) as pool:
        parts = list(pool.map(lambda i: level.read(Box((i, 0), (i + 1, 500))), range(0, 400, 10)))
    assert base.read_elements == values.size
    np.testing.assert_array_equal(parts[1], reduce_by(reduce_by(values, (2, 2)), (2, 2))[10:11])
