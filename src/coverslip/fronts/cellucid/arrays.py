"""The binary bodies of a data set: headerless little-endian arrays."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from coverslip.core.errors import BadRequest, NotFound
from coverslip.core.stop import Stop
from coverslip.domains.cells import Cells, Expression, as_category, code_dtype, unique_match
from coverslip.domains.columns import Column, Continuous
from coverslip.domains.drawing_order import as_drawn
from coverslip.domains.genes import Genes
from coverslip.domains.graph import undirected_edges, weights
from coverslip.domains.groups import outlier_quantiles
from coverslip.fronts.cellucid.manifests import CODE_NAMES
from coverslip.fronts.cellucid.paths import Wanted, safe_name

AnyArray = npt.NDArray[Any]
Sanitised = dict[str, list[str]]
ORDERS = ("drawn",)
"""Orders of cells other than the file's."""
MAX_COLUMNS_TEXT = 64
MOST_GENES_TEXT = 16384
MOST_SEVERAL_BYTES = 256 << 20


def in_order(values: AnyArray, wanted: Wanted, order: str | None, stop: Stop) -> AnyArray:
    """An array of one item a cell, as in the file or as its cells are drawn."""
    if order is None:
        return values
    if order not in ORDERS:
        raise BadRequest(f"order={order[:MAX_COLUMNS_TEXT]} is not known", "Write drawn, or leave it out.")
    if wanted.kind in ("several", "edges"):
        raise BadRequest("These are no values of single cells in a row", "Leave order out.")
    return as_drawn(values, stop)


def points(cells: Cells, wanted: Wanted, query: dict[str, str], stop: Stop) -> AnyArray:
    """The default embedding in 1, 2 or 3 dimensions."""
    embedding = cells.points.get(wanted.dimensions)
    if embedding is None:
        there = ", ".join(map(str, cells.points)) or "none"
        raise NotFound("Points data not available", f"Dimensions on offer: {there}.", "points_not_found")
    return embedding.points(range(wanted.dimensions))


def embedding(cells: Cells, wanted: Wanted, query: dict[str, str], stop: Stop) -> AnyArray:
    """Any embedding; ``columns`` picks its axes, ``coordinates=stored`` leaves them as they are in the file."""
    if not 0 <= wanted.number < len(cells.embeddings):
        raise NotFound(
            f"There is no embedding {wanted.number}", f"There are {len(cells.embeddings)}.", "embedding_not_found"
        )
    columns = _columns(query.get("columns"), wanted.dimensions)
    chosen = cells.embeddings[wanted.number]
    coordinates = query.get("coordinates", "scaled")
    if coordinates not in ("scaled", "stored"):
        raise BadRequest(f"coordinates={coordinates[:MAX_COLUMNS_TEXT]} is not known", "Write scaled or stored.")
    return chosen.coordinates(columns) if coordinates == "stored" else chosen.points(columns)


def _columns(text: str | None, dimensions: int) -> list[int]:
    if text is None:
        return list(range(dimensions))
    parts = text[:MAX_COLUMNS_TEXT].split(",")
    if len(parts) != dimensions or not all(p.isascii() and p.isdigit() for p in parts):
        raise BadRequest(f"columns={text[:MAX_COLUMNS_TEXT]} does not name {dimensions} columns", "Write columns=0,1.")
    return [int(p) for p in parts]


def obs(cells: Cells, wanted: Wanted, query: dict[str, str], stop: Stop) -> AnyArray:
    """A column of ``obs``: its values, codes or outlier quantiles."""
    name = wanted.name
    column = cells.field(
        wanted.number
        if not name
        else _by_name(name, cells.find_field, lambda: _sanitised([f.key for f in cells.fields]))
    )
    result = _column_part(cells, column, wanted.part)
    extension = CODE_NAMES[result.dtype.itemsize] if wanted.part == "codes" else "f32"
    if wanted.extension != extension:
        raise NotFound(
            f"{column.key} has no {wanted.part}.{wanted.extension}",
            f"Ask for {wanted.part}.{extension}.",
            "wrong_extension",
        )
    return result


def _column_part(cells: Cells, column: Column, part: str) -> AnyArray:
    if isinstance(column, Continuous):
        if part != "values":
            raise NotFound(f"{column.key} holds numbers", "Ask for its values.f32.", "wrong_part")
        return column.values()
    category = as_category(column)
    if category is None or part == "values":
        raise NotFound(f"{column.key} holds no numbers", "Ask for its codes.", "wrong_part")
    if part == "codes":
        dtype = code_dtype(category.n_categories)
        return category.codes_as(dtype, np.iinfo(dtype).max)
    stored = cells.stored_outliers(column.key)
    if stored is not None:
        return stored
    if cells.latent is None:
        return np.full(cells.n_cells, np.nan, np.float32)
    latent = cells.latent.coordinates()
    return outlier_quantiles(latent, category.codes(), category.n_categories, cells.options.centroid_min_points)


def gene(cells: Cells, wanted: Wanted, query: dict[str, str], stop: Stop) -> AnyArray:
    """One gene in every cell."""
    expression = cells.expression(query.get("expression"))
    number = find_gene(expression, wanted.name) if wanted.name else wanted.number
    return expression.gene(number, stop)


def several(cells: Cells, wanted: Wanted, query: dict[str, str], stop: Stop) -> AnyArray:
    """Many genes at once, one after the other in the order asked for: float32 ``(n_genes, n_cells)``."""
    expression = cells.expression(query.get("expression"))
    text = query.get("genes", "")
    parts = text.split(",")
    if len(text) > MOST_GENES_TEXT or not all(p.isascii() and p.isdigit() and len(p) < 11 for p in parts):
        raise BadRequest("genes names no genes by number", "Write genes=0,17,4.")
    size = 4 * len(parts) * expression.matrix.shape[0]
    if size > MOST_SEVERAL_BYTES:
        most = MOST_SEVERAL_BYTES // max(4 * expression.matrix.shape[0], 1)
        raise BadRequest(f"{len(parts):,} genes of this data set are too many at once", f"Ask for {most:,} at most.")
    return expression.several([int(p) for p in parts], stop)


def find_gene(expression: Expression, name: str) -> int:
    """The gene of this name, else of this symbol, else the only one whose name the old clients would write so."""
    genes = expression.genes
    return _by_name(name, genes.find, lambda: _sanitised_genes(genes))


def _sanitised(names: list[str]) -> Sanitised:
    found: Sanitised = {}
    for name in dict.fromkeys(names):
        found.setdefault(safe_name(name), []).append(name)
    return found


# Sanitising 60,000 names takes longer than any answer, so it is done once for the sets last asked for.
@lru_cache(maxsize=4)
def _sanitised_genes(genes: Genes) -> Sanitised:
    return _sanitised(genes.names)


def _by_name(name: str, find: Callable[[str], int], sanitised: Callable[[], Sanitised]) -> int:
    """The exact name first; the sanitised form only where it can mean one thing."""
    try:
        return find(name)
    except NotFound:
        candidates = sanitised().get(name)
        if not candidates:
            raise
        return find(unique_match(candidates, name))


def edges(cells: Cells, wanted: Wanted, query: dict[str, str], stop: Stop) -> AnyArray:
    """One end of every edge of the kNN graph, or its weight."""
    if cells.graph is None:
        raise NotFound("No connectivity data", "scanpy.pp.neighbors makes a graph.", "no_connectivity")
    pairs = undirected_edges(cells.graph, stop)
    if wanted.part == "weights":
        return weights(cells.graph, pairs, stop)
    return pairs.sources if wanted.part == "src" else pairs.targets


def vectors(cells: Cells, wanted: Wanted, query: dict[str, str], stop: Stop) -> AnyArray:
    """A vector field in the units of the drawn points; ``columns`` picks its axes."""
    columns = _columns(query.get("columns"), wanted.dimensions)
    return cells.vector_field(wanted.name).vectors(wanted.dimensions, columns)
