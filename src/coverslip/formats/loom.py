"""Loom: genes × cells in HDF5, with attributes of both.

Columns of text and numbers become ``obs`` and ``var``; tables of numbers, and pairs of columns that are coordinates by
their names (``_X`` and ``_Y``, ``_tSNE1`` and ``_tSNE2``), become embeddings; ``col_graphs`` the graph of cells.

Source: Loom file format specification 3.0.0 (and 2.0.1), http://linnarssonlab.org/loompy/format.
"""

from __future__ import annotations

import html
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from coverslip.core.errors import CoverslipError, Damaged
from coverslip.core.format import Format
from coverslip.core.node import Array, Group, Node, Source
from coverslip.core.ranges import Ranges

CELL_NAMES = ("CellID", "obs_names", "cell_names", "barcode")
GENE_NAMES = ("Gene", "var_names", "gene_names", "GeneName", "Accession")
GRAPHS = ("connectivities", "KNN", "MKNN")
PAIR = re.compile(r"_?(tsne|umap|pca|pc|phate|lda|diffmap)[_-]?([123])", re.IGNORECASE)
PLANE = {"_X": 1, "_Y": 2, "_Z": 3}
MEMBERS = ("matrix", "row_attrs", "col_attrs")


class Loom:
    """Cells in Loom."""

    name = "loom"
    expects = "Loom file (.loom)"
    kind = "cells"
    rank = -1  # it is HDF5, too

    def claims(self, path: Path, head: bytes) -> bool:
        """By the suffix: a damaged ``.loom`` must be called damaged, not unknown."""
        return path.suffix.lower() == ".loom" and path.is_file()

    def open(self, path: Path | Ranges) -> Source:
        """Open the file and see that it is Loom.

        Raises
        ------
        Damaged
            When it is not, or is truncated.
        """
        from coverslip.formats.trees.hdf5 import open_hdf5

        source = open_hdf5(path)
        try:
            missing = [name for name in MEMBERS if name not in source.root]
            if missing:
                raise Damaged(f"The file is no Loom: it has no {missing[0]!r}", "Write it again with loompy.")
            source.root = loom_tree(source.root)
        except CoverslipError:
            source.close()
            raise
        return source

    def open_ranges(self, file: Ranges) -> Source:
        """The same for a file elsewhere, of which only what is needed is read."""
        return self.open(file)


def loom_tree(root: Group) -> Group:
    """A Loom file as AnnData's tree; reads no value."""
    from coverslip.core.tree import Rearranged
    from coverslip.formats.trees.anndata_parts import anndata_tree

    matrix = root.array("matrix")
    if len(matrix.spec.shape) != 2:
        raise Damaged(f"The matrix has the shape {matrix.spec.shape}", "Write the file again with loompy.")
    n_genes, n_cells = matrix.spec.shape
    layers, graphs = root.group("layers"), root.group("col_graphs")
    cells, tables = _attributes(root, "col_attrs", n_cells)
    genes, _ = _attributes(root, "row_attrs", n_genes)
    chosen = next((n for n in (*GRAPHS, *(graphs or ())) if graphs is not None and n in graphs), None)
    graph = graphs.group(chosen) if graphs is not None and chosen is not None else None

    def turned(holder: Group, name: str) -> Node:
        found = holder.array(name)
        if len(found.spec.shape) != 2:
            raise Damaged(f"{name!r} has the shape {found.spec.shape}", "Write the file again with loompy.")
        return Rearranged(found, (1, 0))

    return anndata_tree(
        _frame(cells, CELL_NAMES, n_cells),
        _frame(genes, GENE_NAMES, n_genes),
        partial(turned, root, "matrix"),
        layers={name: partial(turned, layers, name) for name in layers} if layers is not None else {},
        obsm={**tables, **_planes(cells)},
        obsp={"connectivities": partial(_graph, graph, n_cells)} if graph is not None else {},
    )


def _attributes(root: Group, name: str, count: int) -> tuple[dict[str, Array], dict[str, Array]]:
    """Columns, and tables of numbers."""
    held = root.group(name)
    columns: dict[str, Array] = {}
    tables: dict[str, Array] = {}
    for key in held if held is not None else ():
        node = held[key]  # type: ignore[index]
        if not isinstance(node, Array) or node.spec.dtype.kind not in "iufbO" or node.spec.shape[:1] != (count,):
            continue
        if len(node.spec.shape) == 1:
            columns[key] = _unescaped(node) if node.spec.text else node
        elif len(node.spec.shape) == 2 and node.spec.dtype.kind in "iuf":
            tables[key] = node
    return columns, tables


def _unescaped(array: Array) -> Array:
    """Text of which loompy wrote what is not ASCII as XML's character references."""
    from coverslip.core.made import MadeArray

    def make() -> Any:
        return np.array([html.unescape(v) if "&" in v else v for v in map(str, array.read_all())], object)

    return MadeArray(array.spec.shape, np.dtype(object), make)


def _frame(columns: dict[str, Array], names: tuple[str, ...], count: int) -> Group:
    from coverslip.formats.trees.anndata_parts import frame, numbered

    index = next((n for n in names if n in columns), None)
    rest = {name: column for name, column in columns.items() if name != index}
    return frame(columns[index] if index is not None else numbered(count, ""), rest)


def _planes(columns: dict[str, Array]) -> dict[str, Callable[[], Node]]:
    """Coordinates that are written as columns of their own."""
    found: dict[str, dict[int, Array]] = {}
    for name, column in columns.items():
        if column.spec.dtype.kind != "f":
            continue
        numbered = PAIR.fullmatch(name)
        if numbered is not None:
            found.setdefault(f"X_{numbered[1].lower()}", {})[int(numbered[2])] = column
        elif name in PLANE:
            found.setdefault("X_xy", {})[PLANE[name]] = column
    return {
        key: partial(_beside, [axes[i] for i in sorted(axes)])
        for key, axes in found.items()
        if sorted(axes) in ([1, 2], [1, 2, 3])
    }


def _beside(columns: list[Array]) -> Node:
    from coverslip.core.made import MadeArray

    shape = (columns[0].spec.shape[0], len(columns))
    return MadeArray(shape, np.float64, lambda: np.stack([c.read_all() for c in columns], 1))


def _graph(graph: Group, n: int) -> Node:
    """Pairs with weights, in any order, as a matrix compressed by row."""
    from coverslip.core.tree import MemoryArray
    from coverslip.formats.trees.anndata_parts import csr

    parts = [graph.array(name) for name in ("a", "b", "w")]
    fits = len({part.spec.shape for part in parts}) == 1 and len(parts[0].spec.shape) == 1
    kinds = zip(parts, ("iu", "iu", "iuf"), strict=True)
    if not fits or any(part.spec.dtype.kind not in known for part, known in kinds):
        raise Damaged("A graph of cells holds no pairs with weights", "Write it again with loompy.")
    a, b, w = (part.read_all() for part in parts)
    if a.size and (min(a.min(), b.min()) < 0 or a.max() >= n):
        raise Damaged("A graph of cells does not fit the file", "Write it again with loompy.")
    order = np.argsort(a, kind="stable")
    indptr: Any = np.concatenate([[0], np.cumsum(np.bincount(a.astype(np.int64), minlength=n))])
    return csr(MemoryArray(w[order]), MemoryArray(b[order].astype(np.int64)), MemoryArray(indptr), (n, n))


FORMAT: Format = Loom()
