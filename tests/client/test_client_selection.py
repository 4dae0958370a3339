"""Which requests an index becomes: nothing is read twice or left out, whatever the grid."""

from __future__ import annotations

import math
import random
from typing import Any

import numpy as np
import pytest

from coverslip.client import selection
from coverslip.client.selection import pieces, select


def one(draw: random.Random, n: int) -> Any:
    """An index of one axis."""
    kind = draw.random()
    if kind < 0.25 and n:
        return draw.randrange(-n, n)
    if kind < 0.35:
        return slice(None)
    ends = [None, *range(-n - 2, n + 3)]
    return slice(draw.choice(ends), draw.choice(ends), draw.choice([None, 1, 2, 3, -1, -2, 7]))


def any_key(draw: random.Random, shape: tuple[int, ...]) -> tuple[Any, ...]:
    key = [one(draw, n) for n in shape[: draw.randrange(len(shape) + 1)]]
    axes = [i for i in range(len(key)) if shape[i]]
    if axes and draw.random() < 0.4:
        axis = draw.choice(axes)
        key[axis] = [draw.randrange(-shape[axis], shape[axis]) for _ in range(draw.randrange(5))]
    if draw.random() < 0.3:
        key.insert(draw.randrange(len(key) + 1), None)
    if draw.random() < 0.4:
        key.insert(draw.randrange(len(key) + 1), ...)
    return tuple(key)


@pytest.mark.parametrize("seed", range(4))
def test_any_index_is_numpys(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    draw = random.Random(seed)
    tried = 0
    for _ in range(500):
        shape = tuple(draw.randrange(12) for _ in range(draw.randrange(1, 5)))
        chunks = tuple(draw.randrange(1, 6) for _ in shape)
        values = np.arange(math.prod(shape)).reshape(shape)
        key = any_key(draw, shape)
        try:
            want = values[key]
        except IndexError:  # an integer on an axis without elements, after ``...``
            continue
        tried += 1
        monkeypatch.setattr(selection, "APART_BYTES", draw.choice([8, 1 << 16]))
        monkeypatch.setattr(selection, "LARGEST_PIECE_BYTES", draw.choice([8, 64, 1 << 16]))
        chosen = select(key, shape)
        found = np.full(chosen.shape, -1)
        for piece in pieces(chosen.picks, chunks, 8, draw.choice([1, 8, 64, 512, 1 << 20])):
            box = values[tuple(slice(a, b) for a, b in zip(piece.start, piece.stop, strict=True))]
            assert (found[piece.into] == -1).all(), "nothing is read twice"
            found[piece.into] = box if piece.all else box[piece.take]
        np.testing.assert_array_equal(found[chosen.view], want, err_msg=str((shape, key)))
    assert tried > 400


def test_pieces_of_a_box_follow_each_other_in_order() -> None:
    ranges = [range(1, 5), range(3), range(10, 300), range(7, 400)]
    at = 0
    strides = np.cumprod([1, 393, 290, 3])[::-1]
    for piece in pieces(ranges, (1, 3, 64, 100), 2, 40_000):
        assert int(np.dot([s.start for s in piece.into], strides)) == at
        at += math.prod(s.stop - s.start for s in piece.into)
    assert at == 4 * 3 * 290 * 393


def test_pieces_end_where_chunks_do() -> None:
    found = list(pieces([range(5, 100), range(1000)], (16, 1000), 1, 20_000))
    assert [piece.stop[0] for piece in found] == [16, 32, 48, 64, 80, 96, 100]
    large = list(pieces([range(100), range(1000)], (50, 1000), 1, 20_000))
    assert [piece.stop[0] for piece in large] == [50, 100], "a chunk is not cut in two"


def test_planes_far_apart_are_read_alone() -> None:
    every_tenth = [range(0, 100, 10), range(512), range(512)]
    assert [piece.start[0] for piece in pieces(every_tenth, (1, 512, 512), 2)] == list(range(0, 100, 10))
    assert all(piece.all for piece in pieces(every_tenth, (1, 512, 512), 2))
    small = list(pieces([range(0, 100, 10), range(8)], (1, 8), 1))
    assert len(small) == 1, "small ones are read with what lies between"
