"""Pieces of AnnData's encoding for formats that hold the same in other words."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from coverslip.core.made import MadeArray
from coverslip.core.node import Array, Attrs, Group, Node
from coverslip.core.tree import MemoryArray, MemoryGroup

Members = Mapping[str, Node | Callable[[], Node]]


def frame(index: Array, columns: Members) -> Group:
    """A data frame: an index and named columns."""
    name = "_index"
    while name in columns:
        name = "_" + name
    attrs = {"encoding-type": "dataframe", "encoding-version": "0.2.0", "_index": name, "column-order": list(columns)}
    return MemoryGroup({**columns, name: index}, attrs)


def numbered(count: int, start: str) -> Array:
    """Names where a file gives none."""

    def make() -> Any:
        names = np.arange(count).astype(str).astype(object)
        return start + names if start else names

    return MadeArray((count,), np.dtype(object), make)


def categorical(codes: Array, categories: Sequence[str], ordered: bool = False) -> Group:
    """A column of categories."""
    attrs = {"encoding-type": "categorical", "ordered": ordered}
    return MemoryGroup({"codes": codes, "categories": MemoryArray(list(categories))}, attrs)


def csr(data: Array, indices: Array, indptr: Array, shape: tuple[int, int]) -> Group:
    """A sparse matrix compressed by row."""
    parts = {"data": data, "indices": indices, "indptr": indptr}
    return MemoryGroup(parts, {"encoding-type": "csr_matrix", "shape": list(shape)})


def anndata_tree(
    obs: Group,
    var: Group | Callable[[], Node],
    x: Node | Callable[[], Node] | None = None,
    own: Attrs | None = None,
    **others: Members | None,
) -> Group:
    """The whole tree; ``others`` are ``obsm``, ``layers``, ``obsp`` and ``uns``, left out where they are empty."""
    members: dict[str, Any] = {"obs": obs, "var": var}
    if x is not None:
        members["X"] = x
    members |= {name: MemoryGroup(held) for name, held in others.items() if held}
    return MemoryGroup(members, {"encoding-type": "anndata", **({"coverslip": own} if own else {})})
