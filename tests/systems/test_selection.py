"""Choosing some of a system's cells."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from coverslip.core.errors import BadRequest
from coverslip.systems.selection import select

RANGES = {"A": (0, 60), "B": (60, 30), "C": (90, 10)}
PLACES = np.random.default_rng(1).random((100, 3)) * 100


def places(name: str) -> np.ndarray:
    start, count = RANGES[name]
    return np.column_stack([np.arange(start, start + count), PLACES[start : start + count]])


def chosen(spec: Any, **options: Any) -> dict[str, list[int]]:
    found = select(RANGES, spec, options.pop("populations", list(RANGES)), places, **options)
    assert found is not None
    return {name: gids.tolist() for name, gids in found.items()}


def test_all() -> None:
    assert select(RANGES, None, list(RANGES), places) is None


def test_numbers_and_shares() -> None:
    assert {n: len(g) for n, g in chosen(10).items()} == {"A": 6, "B": 3, "C": 1}
    assert chosen(10)["B"] == [60, 61, 62]
    assert {n: len(g) for n, g in chosen(0.5).items()} == {"A": 30, "B": 15, "C": 5}
    assert {n: len(g) for n, g in chosen(0.001).items()} == {"A": 1, "B": 1, "C": 1}
    assert chosen(0.0) == {}
    assert {n: len(g) for n, g in chosen(2.0).items()} == {"A": 60, "B": 30, "C": 10}
    assert {n: len(g) for n, g in chosen(10_000).items()} == {"A": 60, "B": 30, "C": 10}
    assert chosen({"A": 2, "B": 0.1, "C": [99, 91], "D": 4}) == {"A": [0, 1], "B": [60, 61, 62], "C": [91, 99]}
    assert chosen(6, populations=["B", "C", "D"]) == {"B": [60, 61, 62, 63], "C": [90, 91]}


def test_random_ones() -> None:
    first, again, other = chosen(20, method="random"), chosen(20, method="random"), chosen(20, method="random", seed=5)
    assert first == again != other
    for name, gids in first.items():
        start, count = RANGES[name]
        assert gids == sorted(set(gids))
        assert start <= gids[0]
        assert gids[-1] < start + count


def test_patches() -> None:
    low, high = PLACES[:, :2].min(axis=0), PLACES[:, :2].max(axis=0)
    for share in (0.25, 0.5):
        half = (high - low) * np.sqrt(share) / 2
        inside = (np.abs(PLACES[:, :2] - (low + high) / 2) <= half).all(axis=1)
        assert (
            sorted(g for gids in chosen(share, method="patch").values() for g in gids)
            == np.flatnonzero(inside).tolist()
        )
    assert sum(map(len, chosen(1.0, method="patch").values())) == 100
    assert chosen(0.0, method="patch") == chosen(0, method="patch") == {}
    nearest = np.argsort(((PLACES[:, :2] - (low + high) / 2) ** 2).sum(axis=1))[:7]
    assert sorted(g for gids in chosen(7, method="patch").values() for g in gids) == sorted(nearest.tolist())
    box = chosen(None, method="patch", bounds=[[80, 10], [20, 40]])
    inside = ((PLACES[:, :2] >= [20, 10]) & (PLACES[:, :2] <= [80, 40])).all(axis=1)
    assert sorted(g for gids in box.values() for g in gids) == np.flatnonzero(inside).tolist()
    assert chosen({"A": [3, 1]}, method="patch") == {"A": [1, 3]}


@pytest.mark.parametrize(
    ("spec", "options"),
    [
        (3, {"method": "nearest"}),
        ({"A": 3}, {"method": "patch"}),
        (3, {"bounds": [[0, 0], [1, 1]]}),
        (None, {"method": "patch", "bounds": [1, 2, 3]}),
        ("text", {}),
        (True, {}),
        ([1, 2], {}),
    ],
)
def test_what_makes_no_sense(spec: Any, options: dict[str, Any]) -> None:
    with pytest.raises(BadRequest) as caught:
        chosen(spec, **options)
    assert caught.value.hint


def test_nothing_to_choose_from() -> None:
    assert select({}, 5, [], places) == {}
    assert select({}, 5, [], places, method="patch") == {}
