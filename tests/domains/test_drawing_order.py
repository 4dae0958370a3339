"""The order in which cells are drawn."""

from __future__ import annotations

import math

import numpy as np
import pytest

from coverslip.core.stop import Stop
from coverslip.domains import drawing_order


@pytest.mark.parametrize("n", [0, 1, 2, 3, 4, 10, 700, 4096, 100_003, 1_000_000])
def test_every_cell_has_one_place(n: int) -> None:
    drawn = drawing_order.as_drawn(np.arange(n), Stop())
    np.testing.assert_array_equal(np.sort(drawn), np.arange(n))
    if n > 2:
        assert math.gcd(drawing_order.step_of(n), n) == 1
        assert drawn[0] == 0
        assert drawn[1] == drawing_order.step_of(n)


def test_blocks_make_no_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.arange(2_000.0).reshape(1_000, 2)
    whole = drawing_order.as_drawn(values, Stop())
    monkeypatch.setattr(drawing_order, "BLOCK", 17)
    np.testing.assert_array_equal(drawing_order.as_drawn(values, Stop()), whole)
    np.testing.assert_array_equal(whole[3], values[3 * drawing_order.step_of(1_000) % 1_000])


def test_a_prefix_is_an_even_sample() -> None:
    """Of a file sorted by group, a hundredth of the cells holds every group in its share."""
    groups = np.repeat([0, 1, 2], [50_000, 900_000, 50_000])
    first = drawing_order.as_drawn(groups, Stop())[:10_000]
    np.testing.assert_allclose(np.bincount(first) / 10_000, [0.05, 0.9, 0.05], atol=0.002)
