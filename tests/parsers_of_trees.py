"""Trees of cells and networks of which members are not what a format says, in memory: what `parsers_of_structures` does
to files, at some ten times as many inputs a second.

The bytes say what is changed, four of them a step, as there. No bytes change nothing.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from copy import deepcopy
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np

from coverslip.core.errors import CoverslipError
from coverslip.core.node import Array, Group, Node
from coverslip.core.tree import MemoryArray, MemoryGroup
from coverslip.domains.modalities import data_sets, is_mudata
from coverslip.domains.networks import Network, is_network
from coverslip.formats import open_source
from explored import MOST_SETS, look_at_cells, look_at_network, look_at_tissues
from parsers import Parser
from parsers_of_structures import MOST_STEPS, NAMES, NUMBERS, SHAPES, STEP, file_of

TREES: dict[str, Parser] = {}
TEXTS = ("", "x", "a\nb", "csr_matrix", "dataframe", "categorical", "nullable-integer", "β", "9" * 5000)
VALUES: tuple[Any, ...] = (
    *NUMBERS, *TEXTS, None, True, [], [1], [6, 4], [-1, 4], [1 << 40, 4], [6.5, float("nan")], ["a", "b"], [["a"]],
    {}, {"a": 1}, [None],
)  # fmt: skip
KINDS = ("i1", "u8", ">i4", "f2", "f4", "f8", "c8", "S3", "V5", "?", "O", "U2")
ROWS = np.dtype([("_index", "O"), ("x", "f4"), ("n", [("m", "i2")])])


@dataclass
class Member:
    """A group (no values) or an array."""

    attrs: dict[str, Any]
    values: np.ndarray | None = None
    below: dict[str, Member] = field(default_factory=dict)

    def node(self) -> Node:
        """It as a tree."""
        if self.values is not None:
            return MemoryArray(self.values, self.attrs)
        return MemoryGroup({name: one.node() for name, one in self.below.items()}, self.attrs)


def remembered(node: Node) -> Member:
    """A tree with all that is in it."""
    attrs = json.loads(json.dumps(dict(node.attrs)))
    if isinstance(node, Array):
        return Member(attrs, np.array(node.read_all()))
    return Member(attrs, None, {name: remembered(node[name]) for name in node})


def _paths(member: Member, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    yield path
    for name, one in member.below.items():
        yield from _paths(one, (*path, name))


def _at(root: Member, path: tuple[str, ...]) -> Member:
    for name in path:
        root = root.below[name]
    return root


def _made(which: int, shape: tuple[int, ...]) -> np.ndarray:
    """An array of some kind."""
    kind = KINDS[which % (len(KINDS) + 1)] if which % (len(KINDS) + 1) < len(KINDS) else ROWS
    if kind == "O":
        return np.resize(np.array(["", "1", "cell", "β"], object), shape)
    made = np.zeros(shape, kind)
    if made.dtype.kind in "iuf" and made.size:
        made[...] = np.resize(np.arange(-2, 5), shape).astype(made.dtype)
    return made


def _other_values(values: np.ndarray, one: int, two: int) -> np.ndarray:
    found = values.copy()
    if found.dtype.kind not in "iuf" or not found.size:
        return found
    limits: Any = np.finfo(found.dtype) if found.dtype.kind == "f" else np.iinfo(found.dtype)
    ends = (0, 1, limits.max, limits.min, *((np.nan, np.inf) if found.dtype.kind == "f" else (5, 6)))
    found.reshape(-1)[one % found.size :] = ends[two % len(ends)]
    return found


def _step(root: Member, path: tuple[str, ...], act: int, one: int, two: int) -> None:
    """One step of a recipe."""
    member = _at(root, path)
    holder = _at(root, path[:-1]).below if path else {}
    name = path[-1] if path else ""
    shape = member.values.shape if member.values is not None and member.values.ndim else (6,)
    match act % 10:
        case 0:
            holder.pop(name, None)
        case 1:
            holder[name] = Member(member.attrs, _made(one, SHAPES[two % len(SHAPES)]))
        case 2:  # another type, as long as before
            holder[name] = Member(member.attrs, _made(one, shape))
        case 3 if member.values is not None:  # another number of elements
            member.values = np.resize(member.values, (max(shape[0] + one % 5 - 2, 0), *shape[1:]))
        case 4 if member.values is not None:
            member.values = _other_values(member.values, one, two)
        case 5:
            holder[name] = Member(member.attrs)
        case 6:  # another member in its place
            paths = list(_paths(root))
            holder[name] = deepcopy(_at(root, paths[(one << 8 | two) % len(paths)]))
        case 7:
            member.attrs[NAMES[one % len(NAMES)]] = VALUES[two % len(VALUES)]
        case 8 if member.attrs:
            member.attrs[sorted(member.attrs)[one % len(member.attrs)]] = VALUES[two % len(VALUES)]
        case 9 if member.attrs:
            del member.attrs[sorted(member.attrs)[one % len(member.attrs)]]


@cache
def _base(make: Callable[[], Path]) -> tuple[Member, list[tuple[str, ...]]]:
    """A tree as it should be, and its members."""
    source = open_source(make())
    try:
        root = remembered(source.root)
    finally:
        source.close()
    return root, list(_paths(root))


def tree(make: Callable[[], Path], data: bytes) -> object:
    """A tree with what the bytes say, and all that is shown of it."""
    whole, members = _base(make)
    root = deepcopy(whole)
    for at in range(0, min(len(data), STEP * MOST_STEPS), STEP):
        member, act, one, two = data[at : at + STEP].ljust(STEP, b"\0")
        with suppress(KeyError):  # what an earlier step took away
            _step(root, members[member % len(members)], act, one, two)
    return _looked_at(root.node())


def _looked_at(root: Node) -> object:
    assert isinstance(root, Group)
    if is_network(root):
        look_at_network(Network(root))
        return None
    sets = data_sets(root)
    seen = 0
    for made in list(sets.values())[:MOST_SETS]:
        with suppress(CoverslipError):
            look_at_cells(made())
            seen += 1
    if not is_mudata(root):
        look_at_tissues(root)
    return seen


TREES |= {
    f"{name}_tree": partial(tree, cache(partial(file_of, f"{name}_members")))
    for name in ("h5ad", "h5ad_old", "mudata", "neuroh5")
}
