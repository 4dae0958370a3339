"""What is missing or slow in a data set of cells."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from coverslip.core.ability import Packed
from coverslip.core.errors import CoverslipError
from coverslip.core.node import Array, Group, Node
from coverslip.domains.cells import Cells, Expression, as_category
from coverslip.domains.columns import Category, Continuous, Text
from coverslip.domains.export.names import safe_name
from coverslip.domains.findings import Finding, Weight
from coverslip.domains.gene_indexes import LEAST_ITEMS
from coverslip.domains.matrix import BLOCK_ITEMS, Csr, Dense

MANY_CATEGORIES = 1000
"""More than a legend can show."""
LEAST_ROWS, LARGE_ITEMS = 10_000, 10_000_000
"""What is smaller is quick and small anyway."""
CELLS_OF_NAMES = 5_000_000
MOST_SHOWN = 3


def check_cells(root: Group, cells: Cells) -> Iterator[Finding]:
    """Everything worth knowing of a data set; reads columns, coordinates and names, and little of the matrices."""
    yield from _missing_files(root)
    yield from _encoding(root)
    yield from _embeddings(cells)
    yield from _columns(cells)
    yield from _wide_numbers(root)
    yield from _colors(root, cells)
    yield from _names(cells)
    yield from _matrices(root, cells)
    if cells.graph is None:
        yield Finding(
            "note", "no_graph", "obsp/connectivities", "There is no graph of neighbours, so no edges can be drawn.",
            "scanpy.pp.neighbors makes one.",
        )  # fmt: skip
    if cells.latent is None and not cells.latent_key:
        yield Finding(
            "note",
            "no_latent",
            "obsm",
            "There is no space to measure outliers in.",
            "scanpy.pp.pca makes obsm['X_pca'].",
        )


def _missing_files(root: Group) -> Iterator[Finding]:
    own = root.attrs.get("coverslip")
    missing = list(own.get("missing", ())) if isinstance(own, Mapping) else []
    if missing:
        more = f" and {len(missing) - MOST_SHOWN:,} more" if len(missing) > MOST_SHOWN else ""
        yield Finding(
            "broken", "incomplete", missing[0], f"Files are missing: {', '.join(missing[:MOST_SHOWN])}{more}.",
            "Write the export again (coverslip prepare), or copy the missing files.",
        )  # fmt: skip


def _encoding(root: Group) -> Iterator[Finding]:
    frame = root["obs"] if "obs" in root else None
    if isinstance(frame, Array):
        said = "This was written by anndata before 0.7."
    elif isinstance(frame, Group) and "__categories" in frame:
        said = "This was written by anndata 0.7."
    else:
        return
    yield Finding("note", "old_encoding", "obs", said, "It is read; anndata.read_h5ad(…).write_h5ad(…) renews it.")


# -- what is drawn -----------------------------------------------------------------------------------------------------


def _embeddings(cells: Cells) -> Iterator[Finding]:
    if not cells.points:
        yield Finding(
            "broken", "no_embedding", "obsm", "There are no coordinates, so nothing can be drawn.",
            "scanpy.tl.umap makes obsm['X_umap'].",
        )  # fmt: skip
    shown = {id(e) for e in cells.points.values()}
    for embedding in cells.embeddings:
        if embedding.width > 3 and id(embedding) not in shown:
            continue
        where = f"obsm/{embedding.key}"
        finite = np.isfinite(embedding.coordinates(range(min(embedding.width, 3)))).all(axis=1)
        lost = int(finite.size - finite.sum())
        if lost and lost == finite.size:
            weight: Weight = "broken" if id(embedding) in shown else "note"
            yield Finding(
                weight, "no_coordinates", where, f"No cell has coordinates in {embedding.key}.", "Compute it again."
            )
        elif lost:
            yield Finding(
                "note", "cells_without_coordinates", where,
                f"{lost:,} of {finite.size:,} cells have no coordinates in {embedding.key}; they are not drawn.",
                "Leave these cells out, or compute the embedding for all.",
            )  # fmt: skip


def _columns(cells: Cells) -> Iterator[Finding]:
    for key, why in cells.unreadable.items():
        yield Finding("broken", "unreadable_column", f"obs/{key}", f"The column {key!r} cannot be read: {why}.",
                      "Write it as text, numbers or categories.")  # fmt: skip
    for column in cells.fields:
        where = f"obs/{column.key}"
        if isinstance(column, Continuous):
            yield from _numbers(column, where)
            continue
        category = as_category(column)
        if category is None:
            yield Finding(
                "note", "identifiers", where, f"{column.key!r} has a text of its own for nearly every cell;"
                " it cannot colour cells.", "Drop it, or keep it as the index.",
            )  # fmt: skip
            continue
        yield from _categories(category, where, isinstance(column, Text))


def _numbers(column: Continuous, where: str) -> Iterator[Finding]:
    missing = int((~np.isfinite(column.values())).sum())
    if missing and missing == column.n_rows:
        yield Finding("note", "empty_column", where, f"{column.key!r} has no value at all.", "Drop it.")


def _categories(category: Category, where: str, text: bool) -> Iterator[Finding]:
    n = category.n_categories
    if text:
        yield Finding(
            "slow", "object_column", where,
            f"{category.key!r} is stored as a text for each cell, which is large and slow to read.",
            f"adata.obs[{category.key!r}] = adata.obs[{category.key!r}].astype('category')",
        )  # fmt: skip
    if n > MANY_CATEGORIES:
        yield Finding(
            "slow", "many_categories", where,
            f"{category.key!r} has {n:,} categories: no legend can show them, and their centres take long.",
            "Group them, or store them as text if they are identifiers.",
        )  # fmt: skip
        return
    codes = category.codes()
    counts = np.bincount(codes[codes >= 0], minlength=n)
    empty = int((counts == 0).sum())
    if empty and n:
        yield Finding(
            "note", "empty_categories", where, f"{empty:,} of the {n:,} categories of {category.key!r} have no cell.",
            f"adata.obs[{category.key!r}] = adata.obs[{category.key!r}].cat.remove_unused_categories()",
        )  # fmt: skip


def _wide_numbers(root: Group) -> Iterator[Finding]:
    """Numbers kept with twice the precision that is ever shown."""
    frame = root.group("obs")
    wide = [name for name in frame or () if isinstance(frame, Group) and _is_float64(frame, name)]
    if wide:
        yield Finding(
            "slow", "float64_columns", "obs",
            f"Columns are float64 ({', '.join(wide[:MOST_SHOWN])}{', …' if len(wide) > MOST_SHOWN else ''});"
            " float32 is what is shown.",
            "astype('float32') halves them.",
        )  # fmt: skip


def _is_float64(frame: Group, name: str) -> bool:
    try:
        node: Node = frame[name]
    except CoverslipError:
        return False
    return isinstance(node, Array) and node.spec.dtype == np.float64 and node.spec.shape[:1] >= (LEAST_ROWS,)


def _colors(root: Group, cells: Cells) -> Iterator[Finding]:
    uns = root.group("uns")
    for column in cells.fields:
        category = column if isinstance(column, Category) else None
        if category is None or uns is None or f"{column.key}_colors" not in uns:
            continue
        if category.colors is None:
            yield Finding(
                "note", "colors_do_not_fit", f"uns/{column.key}_colors",
                f"The colours of {column.key!r} are not one for each of its {category.n_categories:,} categories.",
                f"del adata.uns['{column.key}_colors'], or plot it with scanpy once.",
            )  # fmt: skip


def _names(cells: Cells) -> Iterator[Finding]:
    for expression in cells.expressions.values():
        names = expression.genes.names
        twice = [name for name, count in Counter(names).items() if count > 1]
        where = f"{expression.id} genes"
        if twice:
            yield Finding(
                "note", "duplicate_genes", where,
                f"{len(twice):,} names of genes are there more than once ({', '.join(twice[:MOST_SHOWN])}).",
                "adata.var_names_make_unique()",
            )  # fmt: skip
        alike = [safe for safe, count in Counter(map(safe_name, set(names))).items() if count > 1]
        if alike:
            yield Finding(
                "note", "names_alike", where,
                f"cellucid's clients cannot tell some genes apart ({', '.join(alike[:MOST_SHOWN])}); coverslip can.",
            )  # fmt: skip
        break
    if cells.n_cells <= CELLS_OF_NAMES:
        names = cells.cell_names(0, cells.n_cells)
        twice_n = len(names) - len(set(names))
        if twice_n:
            yield Finding(
                "note", "duplicate_cells", "obs", f"{twice_n:,} cells have a name that another one has, too.",
                "adata.obs_names_make_unique()",
            )  # fmt: skip


# -- matrices ----------------------------------------------------------------------------------------------------------


def _matrices(root: Group, cells: Cells) -> Iterator[Finding]:
    if not cells.expressions:
        yield Finding("note", "no_genes", "X", "There is no matrix, so no gene can be shown.", "Keep adata.X.")
        return
    for expression in cells.expressions.values():
        yield from _layout(root, expression)
    if len(cells.expressions) == 1 and "X" in cells.expressions:
        yield Finding(
            "note", "no_raw", "raw", "There is one matrix only: neither raw nor layers.",
            "Keep counts in adata.layers['counts'] before normalising, if statistics are to use them.",
        )  # fmt: skip


def _layout(root: Group, expression: Expression) -> Iterator[Finding]:
    matrix, where = expression.matrix, expression.id
    bulk = matrix.bulk
    if bulk is not None and bulk.scan_items >= LEAST_ITEMS:
        packing = _packing(root, where)
        how = "by cell" if not isinstance(bulk, Dense) else "with all genes of a cell together"
        packed = f", {packing}-compressed" if packing else ""
        yield Finding(
            "slow", "by_cell", where,
            f"{expression.label} is stored {how}{packed}: a gene means looking at {bulk.scan_items:,} values, about"
            f" {_scan_seconds(expression):.1f} s here, until its gene index is made in the background.",
            "coverslip prepare writes a folder in which every gene is read at once; so does adata.X = adata.X.tocsc().",
        )  # fmt: skip
    stored = _values_node(root, where)
    if stored is not None and stored.spec.dtype == np.float64 and stored.spec.shape[0] >= LARGE_ITEMS:
        size = int(np.prod(stored.spec.shape)) * 4 / 1e6
        yield Finding(
            "slow", "float64_matrix", where, f"{expression.label} is float64; float32 is what is shown.",
            f"astype('float32') saves {size:,.0f} MB.",
        )  # fmt: skip


def _scan_seconds(expression: Expression) -> float:
    """How long one gene takes without an index, judged by the first values."""
    bulk = expression.matrix.bulk
    start = time.perf_counter()
    if isinstance(bulk, Csr):
        items = min(BLOCK_ITEMS, bulk.n_stored)
        np.flatnonzero(bulk.genes_of(0, items) == 0)
    else:
        assert isinstance(bulk, Dense)
        rows = max(1, min(bulk.shape[0], BLOCK_ITEMS // max(bulk.shape[1], 1)))
        bulk.rows(0, rows)
        items = rows * bulk.shape[1]
    return (time.perf_counter() - start) * bulk.scan_items / max(items, 1)


def _node(root: Group, where: str) -> Node | None:
    """The matrix as it is stored."""
    try:
        if where.startswith("layer:"):
            layers = root.group("layers")
            return layers[where.removeprefix("layer:")] if layers is not None else None
        if where == "raw":
            raw = root.group("raw")
            return raw["X"] if raw is not None and "X" in raw else None
        return root["X"] if where == "X" and "X" in root else None
    except CoverslipError:
        return None


def _values_node(root: Group, where: str) -> Array | None:
    node = _node(root, where)
    if isinstance(node, Group):
        return node.array("data") if "data" in node else None
    return node


def _packing(root: Group, where: str) -> str | None:
    """How the values are compressed in the file, where it tells."""
    node: Any = _values_node(root, where)
    return node.packing if isinstance(node, Packed) else None
