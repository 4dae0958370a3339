"""The JSON documents of a data set.

Source: cellucid's ``dataset_identity.json`` version 2 and ``compact_v1`` manifests; what coverslip adds is described in
``docs/reference/http-cells.md``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import numpy as np

from coverslip.core.errors import BadRequest, NotFound
from coverslip.core.node import Group
from coverslip.core.stop import Stop
from coverslip.domains.cells import Cells, Expression, as_category, code_dtype
from coverslip.domains.columns import Column, Continuous
from coverslip.domains.graph import undirected_edges
from coverslip.domains.groups import centroids

EAGER_EDGES = 2_000_000
"""Graphs with more stored values are not counted for the identity; connectivity_manifest.json counts them."""
CODE_NAMES = {1: "u8", 2: "u16", 4: "u32"}

MOST_NAMES = 1 << 16
"""Names of cells in one answer."""
MOST_DIGITS = 10

Json = dict[str, Any]


def identity(cells: Cells, id: str, name: str, kind: str, file_name: str, modified_s: float, stop: Stop) -> Json:
    """What there is in the data set."""
    fields = [_field_entry(i, field) for i, field in enumerate(cells.fields)]
    kinds = [field["kind"] for field in fields]
    graph = cells.graph
    edges = undirected_edges(graph, stop) if graph is not None and graph.n_stored <= EAGER_EDGES else None
    created = datetime.fromtimestamp(modified_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {
        "version": 2,
        "id": id,
        "name": name,
        "description": "Loaded directly from AnnData",
        "created_at": created,
        "cellucid_data_version": "anndata_adapter",
        "stats": {
            "n_cells": cells.n_cells,
            "n_genes": cells.n_genes,
            "n_obs_fields": len(fields),
            "n_categorical_fields": kinds.count("category"),
            "n_continuous_fields": kinds.count("continuous"),
            "has_connectivity": graph is not None,
            "n_edges": len(edges.sources) if edges is not None else 0 if graph is None else None,
        },
        "embeddings": _embeddings(cells),
        "obs_fields": fields,
        "unreadable_fields": [{"key": key, "message": message} for key, message in cells.unreadable.items()],
        "expression": _expressions(cells),
        "export_settings": {
            "compression": None,
            "var_quantization": None,
            "obs_continuous_quantization": None,
            "obs_categorical_dtype": "auto",
        },
        "source": {"type": "anndata_adapter", "format": kind, "path": file_name, "is_backed": kind != "in-memory"},
        "_anndata_adapter": True,
        **_vector_fields(cells),
    }


def _vector_fields(cells: Cells) -> Json:
    """The vector fields, when there are some."""
    fields: Json = {}
    for id, made in cells.vector_fields.items():
        there = sorted(made.arrows)
        fields[id] = {
            "label": made.label,
            "available_dimensions": there,
            "default_dimension": max(there),
            "files": {f"{d}d": f"vectors/{quote(id, safe='')}_{d}d.bin" for d in there},
            "basis": made.basis,
            "obsm_keys": {f"{d}d": made.arrows[d][0].key for d in there},
            "embeddings": {f"{d}d": made.arrows[d][1].key for d in there},
        }
    return {"vector_fields": {"default_field": next(iter(fields)), "fields": fields}} if fields else {}


def own_identity(root: Group) -> Json:
    """What an export says of itself (name, description, source), and files of it that are missing."""
    own = root.attrs.get("coverslip")
    own = own if isinstance(own, Mapping) else {}
    raw = own.get("raw")
    raw = raw if isinstance(raw, Mapping) else {}
    told = {
        key: raw[key] for key in ("name", "description", "created_at") if isinstance(raw.get(key), str) and raw[key]
    }
    return {**told, "incomplete": list(own.get("missing", ()))}


def missing_words(missing: Sequence[str]) -> str:
    """A sentence about files that are missing."""
    more = f" and {len(missing) - 3} more" if len(missing) > 3 else ""
    return f"Missing: {', '.join(missing[:3])}{more}"


def named_missing(message: str) -> list[str]:
    """The file that an error says is missing."""
    return [found[1]] if (found := re.search(r"(\S+) is missing", message)) else []


def _field_entry(index: int, field: Column) -> Json:
    entry: Json = {"key": field.key, "kind": field.kind}
    category = as_category(field)
    if category is not None:
        entry["n_categories"] = category.n_categories
    return {**entry, "index": index, "info": f"fields/{index}.json"}


def _embeddings(cells: Cells) -> Json:
    dimensions = list(cells.points)
    items = [
        {
            "id": e.key,
            "label": e.label,
            "width": e.width,
            "dimensions": e.dimensions,
            "default": e is cells.default_embedding,
            "axes": e.axes,
            "files": {f"{d}d": f"embeddings/{i}_{d}d.bin" for d in e.dimensions},
        }
        for i, e in enumerate(cells.embeddings)
    ]
    found: Json = {
        "available_dimensions": dimensions,
        "default_dimension": max(dimensions, default=None),
        "files": {f"{d}d": f"points_{d}d.bin" for d in dimensions},
        "items": items,
    }
    plain = next((d for d, e in cells.points.items() if e.key == "X_umap"), None)
    if plain is not None:
        found["umap_resolution"] = {
            "source_key": "X_umap", "action": "used_as", "dim": plain, "alias_key": f"X_umap_{plain}d",
        }  # fmt: skip
    return found


def _expressions(cells: Cells) -> Json:
    items = [
        {"id": e.id, "label": e.label, "n_genes": e.matrix.shape[1], "layout": e.matrix.layout, "genes": genes_url(e)}
        for e in cells.expressions.values()
    ]
    return {"default": items[0]["id"] if items else None, "items": items}


def genes_url(expression: Expression) -> str:
    """Where the gene names of a matrix are."""
    return f"genes.json?expression={quote(expression.id, safe='')}"


def obs_manifest(cells: Cells, stop: Stop) -> Json:
    """Every colourable column of ``obs``, in ``compact_v1``."""
    points = {d: embedding.points(range(d)) for d, embedding in cells.points.items()}
    continuous, categorical = [], []
    for field in cells.fields:
        stop.check()
        if isinstance(field, Continuous):
            low, high = finite_range(field.values())
            continuous.append([field.key, low if low is not None else 0.0, high if high is not None else 1.0])
            continue
        category = as_category(field)
        if category is None:
            continue
        codes = category.codes()
        options = cells.options
        centres = {
            str(d): centroids(
                p, codes, category.categories, options.centroid_min_points, options.centroid_outlier_quantile
            )
            for d, p in points.items()
        }
        dtype = code_dtype(category.n_categories)
        categorical.append([field.key, category.categories, dtype.name, int(np.iinfo(dtype).max), centres, 0.0, 1.0])
    schemas: Json = {}
    if continuous:
        schemas["continuous"] = {
            "pathPattern": "obs/{key}.values.f32", "ext": "f32", "dtype": "float32", "quantized": False,
        }  # fmt: skip
    if categorical:
        schemas["categorical"] = {
            "codesPathPattern": "obs/{key}.codes.{ext}", "outlierPathPattern": "obs/{key}.outliers.f32",
            "outlierExt": "f32", "outlierDtype": "float32", "outlierQuantized": False,
        }  # fmt: skip
    return {
        "_format": "compact_v1",
        "n_points": cells.n_cells,
        "centroid_outlier_quantile": cells.options.centroid_outlier_quantile,
        "latent_key": cells.latent_key,
        "compression": None,
        "_obsSchemas": schemas,
        "_continuousFields": continuous,
        "_categoricalFields": categorical,
    }


def var_manifest(cells: Cells, expression: Expression) -> Json:
    """Every gene id of a matrix, in ``compact_v1``."""
    return {
        "_format": "compact_v1",
        "n_points": cells.n_cells,
        "var_gene_id_column": cells.options.gene_id_column,
        "compression": None,
        "quantization": None,
        "_varSchema": {
            "kind": "continuous", "pathPattern": "var/{key}.values.f32", "ext": "f32", "dtype": "float32",
            "quantized": False,
        },
        "indexPathPattern": _values_url(expression),
        "fields": [[name] for name in expression.genes.names],
    }  # fmt: skip


def genes(expression: Expression) -> Json:
    """Names and symbols of a matrix's genes."""
    return {
        "expression": expression.id,
        "names": expression.genes.names,
        "symbols": expression.genes.symbols,
        "symbol_column": expression.genes.symbol_column,
        "values": _values_url(expression),
    }


def _values_url(expression: Expression) -> str:
    return f"genes/{{index}}.values.f32?expression={quote(expression.id, safe='')}"


def field(cells: Cells, index: int) -> Json:
    """All that is needed to draw one column's legend."""
    column = cells.field(index)
    start: Json = {"index": index, "key": column.key, "kind": column.kind}
    if isinstance(column, Continuous):
        values = column.values()
        low, high = finite_range(values)
        missing = int(values.size - np.isfinite(values).sum())
        return {**start, "min": low, "max": high, "n_missing": missing, "values": f"fields/{index}.values.f32"}
    category = as_category(column)
    if category is None:
        return start
    codes = category.codes()
    counts = np.bincount(codes[codes >= 0], minlength=category.n_categories)
    dtype = code_dtype(category.n_categories)
    return {
        **start,
        "ordered": category.ordered,
        "categories": category.categories,
        "counts": counts.tolist(),
        "n_missing": int((codes < 0).sum()),
        "dtype": dtype.name,
        "missing": int(np.iinfo(dtype).max),
        "codes": f"fields/{index}.codes.{CODE_NAMES[dtype.itemsize]}",
        "colors": category.colors,
    }


def cell(cells: Cells, index: int) -> Json:
    """One cell: its name and every column's value."""
    name = cells.cell_name(index)
    return {"index": index, "name": name, "fields": {field.key: field.at(index) for field in cells.fields}}


def names(cells: Cells, start: str | None, stop: str | None) -> Json:
    """The names of the cells from ``start`` to before ``stop``, at most `MOST_NAMES` of them."""
    texts = (start or "0", stop or str(MOST_NAMES))
    if not all(t.isascii() and t.isdigit() and len(t) <= MOST_DIGITS for t in texts):
        raise BadRequest("start and stop are numbers of cells", "Write cells/names.json?start=0&stop=100.")
    first, last = (int(t) for t in texts)
    last = min(last, first + MOST_NAMES, cells.n_cells)
    return {"start": first, "names": cells.cell_names(first, max(first, last))}


def connectivity_manifest(cells: Cells, stop: Stop) -> Json:
    """The kNN graph's size and files."""
    if cells.graph is None:
        raise NotFound("No connectivity data", "scanpy.pp.neighbors makes a graph.", "no_connectivity")
    edges = undirected_edges(cells.graph, stop)
    return {
        "format": "edge_pairs",
        "n_cells": cells.n_cells,
        "n_edges": len(edges.sources),
        "max_neighbors": edges.max_neighbors,
        "index_bytes": edges.dtype.itemsize,
        "index_dtype": edges.dtype.name,
        "sourcesPath": "connectivity/edges.src.bin",
        "destinationsPath": "connectivity/edges.dst.bin",
        "weightsPath": "connectivity/edges.weights.f32.bin",
        "weight_dtype": "float32",
        "weight_bytes": 4,
        "compression": None,
    }


def finite_range(values: np.ndarray[Any, np.dtype[np.float32]]) -> tuple[float | None, float | None]:
    """Smallest and largest finite value; None when there is none."""
    finite = values[np.isfinite(values)]
    return (float(finite.min()), float(finite.max())) if finite.size else (None, None)
