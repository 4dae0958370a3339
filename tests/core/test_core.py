"""Boxes, trees and the error tree."""

from __future__ import annotations

import re

import numpy as np
import pytest

from coverslip.core import errors
from coverslip.core.errors import CoverslipError, NotFound, Stopped
from coverslip.core.node import Array, Group
from coverslip.core.spec import Box
from coverslip.core.stop import NEVER, Stop
from coverslip.core.tree import MemoryArray, MemoryGroup


def test_the_drawn_error_tree_is_the_real_one() -> None:
    drawn = set(re.findall(r"\* (\w+)", errors.__doc__ or ""))
    real = {c.__name__ for c in vars(errors).values() if isinstance(c, type) and issubclass(c, CoverslipError)}
    assert drawn == real
    codes = [getattr(errors, name).code for name in real]
    assert len(set(codes)) == len(codes)


def test_an_error_reads_as_one_line() -> None:
    assert str(NotFound("There is no x", "Try y.")) == "There is no x. Try y."
    assert str(NotFound("Which x?", "Say it.")) == "Which x? Say it."
    assert NotFound("a", code="gene_not_found").name == "gene_not_found"


def test_boxes() -> None:
    box = Box.rows(2, 5, (10, 4))
    assert (box.shape, box.slices) == ((3, 4), (slice(2, 5), slice(0, 4)))
    assert Box.whole((3,)) == Box((0,), (3,))
    assert box.within((10, 4))
    for shape in ((4, 4), (10, 3), (10,)):
        assert not box.within(shape)
    assert not Box((-1,), (1,)).within((3,))


def test_memory_trees_make_nodes_when_asked() -> None:
    made = []

    def late() -> Array:
        made.append(1)
        return MemoryArray(np.arange(6).reshape(2, 3))

    group = MemoryGroup({"late": late, "text": MemoryArray(["a", "β"])}, {"k": 1})
    assert list(group) == ["late", "text"]
    assert made == []
    for _ in range(2):
        assert group.array("late").read(Box((0, 1), (2, 2))).tolist() == [[1], [4]]
    assert made == [1]
    assert group.array("text").spec.text
    assert group.group("late") is None
    with pytest.raises(NotFound):
        group["nope"]
    assert isinstance(group, Group)


def test_stopping() -> None:
    stop = Stop()
    stop.check()
    stop.set()
    with pytest.raises(Stopped):
        stop.check()
    NEVER.check()
