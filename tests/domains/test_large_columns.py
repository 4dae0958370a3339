"""Points and codes of many cells: what is done the fast way is what NumPy says the plain way."""

from __future__ import annotations

import numpy as np
import pytest

from coverslip.core.tree import MemoryArray
from coverslip.domains.columns import Category
from coverslip.domains.embedding import WIDE_ROWS, normalise


@pytest.mark.parametrize("n", [1, 2, WIDE_ROWS - 1, WIDE_ROWS, WIDE_ROWS + 1, 3 * WIDE_ROWS + 7])
@pytest.mark.parametrize("width", [1, 2, 3])
def test_points_are_centred_and_scaled_however_many_there_are(n: int, width: int) -> None:
    stored = np.random.default_rng(n).normal(5, 20, (n, width)).astype(np.float32)
    stored[-1] = 1000  # what decides may be in the last row, which no wide row holds
    low, high = stored.min(axis=0).astype(np.float64), stored.max(axis=0)
    span = float((high - low).max()) or 2.0
    wanted = stored - ((low + high) / 2).astype(np.float32)
    wanted *= np.float32(2 / span)
    np.testing.assert_array_equal(normalise(stored.copy()), wanted)


def test_cells_without_coordinates_move_no_other_cell() -> None:
    stored = np.random.default_rng(0).normal(size=(2 * WIDE_ROWS + 3, 2)).astype(np.float32)
    with_holes = np.insert(stored, [0, WIDE_ROWS, len(stored)], np.float32(np.nan), axis=0)
    with_holes[0, 1] = np.inf
    found = normalise(with_holes)
    lost = np.isnan(found).all(axis=1)
    np.testing.assert_array_equal(np.flatnonzero(lost), [0, WIDE_ROWS + 1, len(found) - 1])
    np.testing.assert_array_equal(found[~lost], normalise(stored))


@pytest.mark.parametrize("dtype", ["i1", "i2", ">i4", "i8", "u1", "u8", "f8", "?"])
def test_codes_of_any_type(dtype: str) -> None:
    odd = {"i1": [-1, -128, 3, 127], "i8": [-1, 3, 1 << 40, 1 << 32], "u8": [3, 1 << 63]}.get(dtype, [])
    odd += [-1, 3, 200] if dtype in ("i2", ">i4") else []
    stored = np.array([0, 1, 1, *odd], dtype)
    column = Category("kind", MemoryArray(stored), MemoryArray(np.array(["a", "b", "c"], object)))
    wanted = [code if 0 <= code < 3 else -1 for code in stored.astype(object)]
    assert column.codes().tolist() == [int(code) for code in wanted]
    assert column.codes().dtype == np.int32
    narrow = column.codes_as(np.dtype(np.uint8), 255)
    assert narrow.tolist() == [255 if code == -1 else int(code) for code in wanted]
    assert (narrow.dtype, stored.tolist()[:3]) == (np.uint8, [0, 1, 1])


def test_masked_codes_are_missing() -> None:
    mask = MemoryArray(np.array([False, True, False]))
    column = Category("kind", MemoryArray(np.zeros(3, np.int8)), MemoryArray(np.array(["a"], object)), mask=mask)
    assert column.codes().tolist() == [0, -1, 0]
    assert column.codes_as(np.dtype(np.uint16), 65535).tolist() == [0, 65535, 0]
