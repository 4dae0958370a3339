"""10x Genomics' feature-barcode matrices in HDF5: Cell Ranger 3 and later, and 2 and earlier (one group per genome).

Source: 10x Genomics, "Feature-barcode matrices (HDF5 format)", Cell Ranger 8; the same of Cell Ranger 2.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from coverslip.core.errors import CoverslipError, Damaged
from coverslip.core.format import Format
from coverslip.core.node import Array, Group, Source
from coverslip.core.ranges import Ranges

SIGNATURE = b"\x89HDF\r\n\x1a\n"
SUFFIXES = (".h5", ".hdf5")
PARTS = ("barcodes", "data", "indices", "indptr", "shape")
RENAMED = {"id": "gene_ids", "feature_type": "feature_types"}
"""Columns of features under the names that scanpy gives them."""


class TenXMatrix:
    """Cells as Cell Ranger writes them; genes are named by their symbols."""

    name = "10x-h5"
    expects = "10x Genomics feature-barcode matrix (.h5)"
    kind = "cells"
    rank = -1  # it is HDF5, too

    def claims(self, path: Path, head: bytes) -> bool:
        """By what is at the root of the file."""
        if path.suffix.lower() not in SUFFIXES or not head.startswith(SIGNATURE):
            return False
        from coverslip.formats.trees.hdf5 import open_hdf5

        try:
            source = open_hdf5(path)
        except CoverslipError:
            return False  # another format tells what is damaged
        try:
            return bool(matrices(source.root))
        except CoverslipError:
            return False
        finally:
            source.close()

    def open(self, path: Path | Ranges) -> Source:
        """Open the file; reads no count.

        Raises
        ------
        Damaged
            When it is truncated, or holds no such matrix.
        """
        from coverslip.formats.trees.hdf5 import open_hdf5

        source = open_hdf5(path)
        try:
            source.root = tenx_tree(source.root)
        except CoverslipError:
            source.close()
            raise
        return source

    def open_ranges(self, file: Ranges) -> Source:
        """The same for a file elsewhere, of which only what is needed is read."""
        return self.open(file)


def matrices(root: Group) -> dict[str, Group]:
    """Groups at the root that are such matrices, by name: ``matrix``, or genomes."""
    names = ["matrix"] if "matrix" in root else list(root)[:64]
    held = {name: root.group(name) for name in names}
    return {name: group for name, group in held.items() if group is not None and all(p in group for p in PARTS)}


def tenx_tree(root: Group) -> Group:
    """One AnnData tree, or a table for each genome."""
    from coverslip.core.tree import MemoryGroup

    found = matrices(root)
    if not found:
        raise Damaged("The file holds no feature-barcode matrix", "It needs a group 'matrix'; copy the file again.")
    trees = {name: _tree(group) for name, group in found.items()}
    if len(trees) == 1:
        return next(iter(trees.values()))
    return MemoryGroup({"tables": MemoryGroup(trees)})


def _tree(group: Group) -> Group:
    from coverslip.formats.trees.anndata_parts import anndata_tree, csr, frame

    told = group.array("shape")
    if told.spec.shape != (2,) or told.spec.dtype.kind not in "iu":
        raise Damaged("The matrix does not say its shape", "Write the file again with Cell Ranger.")
    n_genes, n_cells = (int(n) for n in told.read_all())
    features = group.group("features")
    names: Any
    if features is not None:
        names = features.array("name")
        columns = {RENAMED.get(n, n): partial(features.__getitem__, n) for n in features if _fits(features, n, n_genes)}
        columns.pop("name", None)
    else:
        names = group.array("gene_names")
        columns = {"gene_ids": partial(group.__getitem__, "genes")}
    barcodes = group.array("barcodes")
    if barcodes.spec.shape != (n_cells,) or names.spec.shape != (n_genes,):
        raise Damaged("The matrix has not as many cells or genes as it says", "Write the file again with Cell Ranger.")
    parts = [group.array(name) for name in ("data", "indices", "indptr")]
    # Features × barcodes compressed by barcode is cells × genes compressed by cell.
    x = csr(parts[0], parts[1], parts[2], (n_cells, n_genes))
    return anndata_tree(frame(barcodes, {}), frame(names, columns), x)


def _fits(group: Group, name: str, count: int) -> bool:
    node = group[name]
    return isinstance(node, Array) and node.spec.shape == (count,) and not name.startswith("_")


FORMAT: Format = TenXMatrix()
