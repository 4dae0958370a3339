"""Several data sets of cells in one source: the modalities of a MuData, the tables of a SpatialData store.

A MuData as a whole is a data set, too: its cells, the coordinates and columns of each modality placed where its cells
are, and each modality's matrices beside each other.

Source: mudata documentation, "MuData specification" (``mod``, ``obsmap``: 1-based positions, 0 = not measured).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property, partial
from typing import Any

import numpy as np
import numpy.typing as npt

from coverslip.core.errors import Damaged
from coverslip.core.node import Array, Group, Node
from coverslip.core.spec import ArraySpec, Box
from coverslip.core.tree import MemoryArray, MemoryGroup
from coverslip.domains.anndata import names_in
from coverslip.domains.tissue import cells_root, holds_cells, tables

MODALITIES = "mod"


def is_mudata(root: Group) -> bool:
    """Whether a tree holds modalities."""
    return str(root.attrs.get("encoding-type", "")).lower() == "mudata" or MODALITIES in root


def data_sets(root: Group) -> dict[str, Callable[[], Group]]:
    """The data sets of a source by their path in it; ``""`` is the one to show first."""
    if is_mudata(root):
        names = modalities(root)
        return {"": partial(whole, root), **{f"{MODALITIES}/{n}": partial(modality, root, n) for n in names}}
    found: dict[str, Callable[[], Group]] = {"": partial(cells_root, root)}
    if not holds_cells(root):
        several = list(tables(root))
        if len(several) > 1:
            found |= {path: partial(_itself, table) for path, table in several}
    return found


def _itself(group: Group) -> Group:
    return group


def modalities(root: Group) -> list[str]:
    """Names of the modalities, in the file's order."""
    held = root.group(MODALITIES)
    if held is None:
        raise Damaged("There are no modalities here", "Write the file again with MuData.write.")
    order = held.attrs.get("mod-order")
    names = [n for n in order if n in held] if isinstance(order, list) else []
    return names + [n for n in held if n not in names]


def modality(root: Group, name: str) -> Group:
    """One modality as a tree of its own."""
    held = root.group(MODALITIES)
    found = held.group(name) if held is not None else None
    if found is None:
        raise Damaged(f"The modality {name!r} is missing", "Write the file again with MuData.write.")
    return found


def whole(root: Group) -> Group:
    """Everything as one tree: ``obs`` and ``obsm`` of the whole and of each modality (``rna:X_pca``), and ``mod``."""
    if "obs" not in root:
        raise Damaged("There is no obs of the whole", "Write the file again with MuData.write.")
    parts = {name: modality(root, name) for name in modalities(root)}
    at = {name: _positions(root, name) for name in parts}
    obs, obsm = root["obs"], root.group("obsm")
    nodes: dict[str, Any] = {name: partial(root.__getitem__, name) for name in ("obsp", "uns") if name in root}
    nodes["obs"] = partial(_frame, obs, parts, at)
    held: dict[str, Any] = {}
    if obsm is not None:
        held |= {name: partial(obsm.__getitem__, name) for name in obsm if name not in parts}
    for name, part in parts.items():
        own = part.group("obsm")
        if own is not None:
            held |= {f"{name}:{key}": partial(_placed, own, key, at[name]) for key in own}
    nodes["obsm"] = MemoryGroup(held)
    nodes[MODALITIES] = MemoryGroup({name: partial(_matrices, part, at[name]) for name, part in parts.items()})
    return MemoryGroup(nodes, {"encoding-type": "anndata"})


class Places(Array):
    """Where each cell of the whole is in a modality, from 0; -1 = not measured."""

    def __init__(self, stored: Array) -> None:
        self._stored = stored
        self.attrs = {}

    @property
    def spec(self) -> ArraySpec:
        """One number for each cell of the whole."""
        return ArraySpec(self._stored.spec.shape[:1], np.dtype(np.int64))

    @cached_property
    def values(self) -> npt.NDArray[np.int64]:
        """All of them, read once."""
        return self._stored.read_all().astype(np.int64).reshape(-1) - 1

    def read(self, box: Box) -> npt.NDArray[Any]:
        """Some of them."""
        return self.values[box.slices]


def _positions(root: Group, name: str) -> Places:
    held = root.group("obsmap")
    if held is None or name not in held:
        raise Damaged(f"obsmap of {name!r} is missing", "Write the file again with mudata 0.2 or later.")
    stored = held.array(name)
    shape = stored.spec.shape
    if stored.spec.dtype.kind not in "iub" or not shape or shape[1:] not in ((), (1,)):
        raise Damaged(f"obsmap of {name!r} holds no numbers of cells", "Write the file again with mudata.")
    return Places(stored)


class Placed(Array):
    """Rows of a modality where the whole has them, and ``fill`` where it was not measured.

    Parameters
    ----------
    array
        Rows of the modality.
    at
        Where each row of the whole is in it.
    fill
        What stands where there is none; numbers become float64 when it is NaN.
    """

    def __init__(self, array: Array, at: Places, fill: Any) -> None:
        if not array.spec.shape:
            raise Damaged("A part of a modality holds one value for all its cells", "Write the file again with mudata.")
        self._array, self._at, self._fill = array, at, fill
        dtype = array.spec.dtype
        if isinstance(fill, float) and dtype.kind in "iu":
            dtype = np.dtype(np.float64)
        elif fill == -1 and dtype.kind == "u":
            dtype = np.dtype(np.int64)
        self._spec = ArraySpec((at.spec.shape[0], *array.spec.shape[1:]), dtype)
        self.attrs = array.attrs

    @property
    def spec(self) -> ArraySpec:
        """As many rows as the whole has cells."""
        return self._spec

    def read(self, box: Box) -> npt.NDArray[Any]:
        """The elements of ``box``; of the modality, the rows between the first and the last that are needed."""
        rows = self._at.values[box.start[0] : box.stop[0]]
        out = np.full(box.shape, self._fill, self._spec.dtype)
        there = rows >= 0
        if not there.any() or not out.size:
            return out
        first, last = int(rows[there].min()), int(rows[there].max()) + 1
        if last > self._array.spec.shape[0]:
            raise Damaged("obsmap points outside of its modality", "Write the file again.")
        block = self._array.read(Box((first, *box.start[1:]), (last, *box.stop[1:])))
        out[there] = block[rows[there] - first]
        return out


def _placed(holder: Group, key: str, at: Places) -> Node:
    node = holder[key]
    if isinstance(node, Array):
        return Placed(node, at, np.nan) if node.spec.dtype.kind in "iuf" else node
    parts = {name: partial(_placed, node, name, at) for name in node}
    return MemoryGroup(parts, node.attrs)


def _frame(node: Node, parts: Mapping[str, Group], at: Mapping[str, Places]) -> Node:
    """``obs`` of the whole with the columns of each modality that it does not have itself."""
    if not isinstance(node, Group):
        return node
    index = str(node.attrs.get("_index", "_index"))
    order = names_in(node.attrs.get("column-order"))
    nodes: dict[str, Any] = {name: partial(node.__getitem__, name) for name in (*order, index) if name in node}
    if "__categories" in node:
        nodes["__categories"] = partial(node.__getitem__, "__categories")
    for name, part in parts.items():
        own = part.group("obs")
        if own is None:
            continue
        for key in names_in(own.attrs.get("column-order")):
            full = f"{name}:{key}"
            if full not in nodes and key in own:
                order.append(full)
                nodes[full] = partial(_column, own, key, at[name])
    return MemoryGroup(nodes, {**node.attrs, "column-order": order, "_index": index})


def _column(frame: Group, key: str, at: Places) -> Node:
    """One column of a modality in AnnData's encoding."""
    node = frame[key]
    missing = partial(_missing, at)
    if isinstance(node, Array):
        if node.spec.dtype.kind in "iuf":
            return Placed(node, at, np.nan)
        kind = "nullable-boolean" if node.spec.dtype.kind == "b" else "nullable-string-array"
        filled = Placed(node, at, False if node.spec.dtype.kind == "b" else "")
        return MemoryGroup({"values": filled, "mask": missing}, {"encoding-type": kind})
    if "codes" in node:
        codes = Placed(node.array("codes"), at, -1)
        return MemoryGroup({"codes": codes, "categories": partial(node.__getitem__, "categories")}, node.attrs)
    values = node.array("values")
    fill: Any = "" if values.spec.text else False if values.spec.dtype.kind == "b" else 0
    mask: Any = Placed(node.array("mask"), at, True) if "mask" in node else missing
    return MemoryGroup({"values": Placed(values, at, fill), "mask": mask}, node.attrs)


def _missing(at: Places) -> Array:
    return MemoryArray(at.values < 0)


def _matrices(part: Group, at: Places) -> Group:
    """Matrices of a modality as they are, and where its cells are."""
    names = ("X", "layers", "raw", "var", "uns")
    held: dict[str, Any] = {name: partial(part.__getitem__, name) for name in names if name in part}
    return MemoryGroup({**held, "positions": at}, part.attrs)
