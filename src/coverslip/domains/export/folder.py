"""One data set as a folder: a file for each gene, column, embedding and graph, and manifests that tell of them.

Nothing larger than a few columns is in memory at once; matrices that are stored by cell go through a gene index in the
folder itself, which is removed again.

Source: ``dataset_identity.json`` version 2 and manifests ``compact_v1`` of cellucid 0.0.9. What coverslip knows beyond
that (real names, symbols, colours, names of cells, weights, further embeddings) stands beside it under ``coverslip``,
where cellucid does not look.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from coverslip.core.stop import Stop
from coverslip.domains.cells import as_category, code_dtype
from coverslip.domains.columns import Category, Column, Continuous, Float32
from coverslip.domains.export.files import Files
from coverslip.domains.export.genes import Told, by_gene, finished
from coverslip.domains.export.names import safe_name
from coverslip.domains.export.options import CODES
from coverslip.domains.export.plan import Plan
from coverslip.domains.export.quantise import quantised
from coverslip.domains.graph import undirected_edges, weights
from coverslip.domains.groups import centroids, outlier_quantiles

Json = dict[str, Any]
EXTENSIONS = {"uint8": "u8", "uint16": "u16", "uint32": "u32", "float32": "f32"}
MOST_WORKERS = 4
NAMES_AT_ONCE = 1 << 16
IDENTITY = "dataset_identity.json"


class Export:
    """Writes what was planned.

    Parameters
    ----------
    plan
        What is written.
    folder
        An empty folder.
    version
        Ours, told in the identity.
    told
        Called with what is being written, how much of it is done, and how much there is; from any thread.
    """

    def __init__(
        self, plan: Plan, folder: Path, version: str, told: Told = lambda *_: None, workers: int | None = None
    ) -> None:
        self._plan, self._cells, self._options = plan, plan.cells, plan.options
        self._files = Files(folder, plan.options.compression)
        self._version = version
        self._told = told
        self._workers = workers or min(os.cpu_count() or 1, MOST_WORKERS)
        self._stop = Stop()
        self._points: dict[int, Float32] = {}
        self._latent: Float32 | None = None

    def write(self) -> None:
        """All of it.

        Raises
        ------
        CoverslipError
            When something cannot be read.
        OSError
            When something cannot be written.
        """
        with ThreadPoolExecutor(self._workers, "coverslip-export") as pool:
            try:
                identity = self._identity()
                self._write_points(identity)
                edges = pool.submit(self._write_graph)
                columns = [pool.submit(self._column, *one) for one in self._columns()]
                self._write_obs(finished("columns", columns, self._told))
                self._latent = None
                genes = self._genes(pool)
                stats = edges.result()
                if self._plan.expression is not None:
                    self._write_var(genes)
                identity["stats"] |= stats
                self._write_cell_names(identity)
                self._files.document(IDENTITY, identity, indent=2)
            except BaseException:
                self._stop.set()
                pool.shutdown(wait=True, cancel_futures=True)
                raise

    # -- what it is -------------------------------------------------------------------------------------------------

    def _identity(self) -> Json:
        cells, options, plan = self._cells, self._options, self._plan
        columns = [(plan.field_labels[i], cells.fields[number]) for i, number in enumerate(plan.fields)]
        listed: list[Json] = []
        for label, column in columns:
            category = None if isinstance(column, Continuous) else as_category(column)
            kind: Json = (
                {"kind": "category", "n_categories": category.n_categories} if category else {"kind": "continuous"}
            )
            listed.append({"key": label, **kind})
        kinds = [f["kind"] for f in listed]
        source = {"name": options.source_name, "url": options.source_url, "citation": options.source_citation}
        source = {key: value for key, value in source.items() if value}
        return {
            "version": 2,
            "id": plan.id,
            "name": plan.name,
            "description": options.dataset_description or "",
            "created_at": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "cellucid_data_version": f"coverslip {self._version}",
            "stats": {
                "n_cells": cells.n_cells, "n_genes": len(plan.genes), "n_obs_fields": len(listed),
                "n_categorical_fields": kinds.count("category"), "n_continuous_fields": kinds.count("continuous"),
                "has_connectivity": False, "n_edges": 0,
            },
            "embeddings": {},
            "obs_fields": listed,
            "export_settings": {
                "compression": options.compression, "var_quantization": options.var_quantization,
                "obs_continuous_quantization": options.obs_continuous_quantization,
                "obs_categorical_dtype": options.obs_categorical_dtype,
            },
            **({"source": source} if source else {}),
        }  # fmt: skip

    # -- coordinates ------------------------------------------------------------------------------------------------

    def _write_points(self, identity: Json) -> None:
        """The embeddings shown in 1, 2 and 3 dimensions, the others, and vectors over them."""
        cells = self._cells
        items: Json = {}
        files = {}
        for d, embedding in cells.points.items():
            self._told("coordinates", d - 1, 3)
            self._points[d] = embedding.points(range(d))
            files[f"{d}d"] = self._files.array(f"points_{d}d.bin", self._points[d], light=True)
        shown = {embedding.key: f"{d}d" for d, embedding in cells.points.items()}
        for number, embedding in enumerate(cells.embeddings):
            d = min(embedding.width, 3)
            item = {"label": embedding.label, "dimension": d, "source": {"key": embedding.key}}
            at = shown.get(embedding.key)
            if at is not None:
                items[embedding.key] = {**item, "dimension": int(at[0]), "file": files[at]}
            elif cells.latent is None or embedding.key != cells.latent.key:
                points = embedding.points(range(d))
                items[embedding.key] = {
                    **item,
                    "file": self._files.array(f"embeddings/{number}_{d}d.bin", points, light=True),
                }
        identity["embeddings"] = {
            "available_dimensions": list(files),
            "default_dimension": max(cells.points),
            "files": files,
            "coverslip": {"items": items, "defaults": {at: key for key, at in shown.items()}},
        }
        identity["embeddings"]["available_dimensions"] = sorted(cells.points)
        self._write_vectors(identity)

    def _write_vectors(self, identity: Json) -> None:
        fields: Json = {}
        for id, made in self._cells.vector_fields.items():
            there = {d: base for d, (_, base) in made.arrows.items() if self._cells.points.get(d) is base}
            files = {
                f"{d}d": self._files.array(f"vectors/{safe_name(id)}_{d}d.bin", made.vectors(d, range(d)), light=True)
                for d in sorted(there)
            }
            if files:
                fields[id] = {
                    "label": made.label, "available_dimensions": sorted(there), "default_dimension": max(there),
                    "files": files, "basis": made.basis,
                }  # fmt: skip
        if fields:
            identity["vector_fields"] = {"default_field": next(iter(fields)), "fields": fields}

    def _write_cell_names(self, identity: Json) -> None:
        cells = self._cells
        blocks = (cells.cell_names(a, a + NAMES_AT_ONCE) for a in range(0, cells.n_cells, NAMES_AT_ONCE))
        identity["coverslip"] = {"cell_names": self._files.names("obs_names.json", blocks)}

    # -- obs --------------------------------------------------------------------------------------------------------

    def _columns(self) -> Iterator[tuple[str, Column]]:
        for label, number in zip(self._plan.field_labels, self._plan.fields, strict=True):
            yield label, self._cells.fields[number]

    def _column(self, label: str, column: Column) -> list[Any]:
        """Write one column; its entry in the manifest."""
        self._stop.check()
        path = f"{self._options.obs_binary_dirname}/{safe_name(label)}"
        if isinstance(column, Continuous):
            return [label, *self._numbers(f"{path}.values", column.values(), self._options.obs_continuous_quantization)]
        category = as_category(column)
        assert category is not None
        codes = category.codes()
        dtype = self._code_dtype(category)
        narrow = codes.astype(dtype)
        narrow[codes < 0] = np.iinfo(dtype).max
        self._files.array(f"{path}.codes.{EXTENSIONS[dtype.name]}", narrow)
        outliers = self._outliers(category, codes)
        span = self._numbers(f"{path}.outliers", outliers, self._options.obs_continuous_quantization)
        options = self._cells.options
        centres = {
            str(d): centroids(
                points, codes, category.categories, options.centroid_min_points, options.centroid_outlier_quantile
            )
            for d, points in self._points.items()
        }
        return [label, category.categories, dtype.name, int(np.iinfo(dtype).max), centres, *span]

    def _code_dtype(self, category: Category) -> np.dtype[np.unsignedinteger[Any]]:
        asked = self._options.obs_categorical_dtype
        return np.dtype(asked) if asked in CODES else code_dtype(category.n_categories)

    def _outliers(self, category: Category, codes: np.ndarray[Any, Any]) -> Float32:
        cells = self._cells
        stored = cells.stored_outliers(category.key)
        if stored is not None:
            return stored
        if cells.latent is None:
            return np.full(cells.n_cells, np.nan, np.float32)
        if self._latent is None:
            self._latent = cells.latent.coordinates()
        return outlier_quantiles(self._latent, codes, category.n_categories, cells.options.centroid_min_points)

    def _numbers(self, path: str, values: Float32, bits: int | None) -> list[float]:
        """Write numbers, quantised or not; what the least and the largest code stand for."""
        if bits is None:
            self._files.array(f"{path}.f32", values)
            return []
        made = quantised(values, bits)
        self._files.array(f"{path}.u{bits}", made.codes)
        return [made.low, made.high]

    def _write_obs(self, entries: list[list[Any]]) -> None:
        options, columns = self._options, list(self._columns())
        folder = options.obs_binary_dirname
        number = _number_schema(options.obs_continuous_quantization)
        continuous = [e for e, (_, c) in zip(entries, columns, strict=True) if isinstance(c, Continuous)]
        categorical = [e for e, (_, c) in zip(entries, columns, strict=True) if not isinstance(c, Continuous)]
        schemas: Json = {}
        if continuous:
            path = self._files.name(f"{folder}/{{key}}.values.{number['ext']}")
            schemas["continuous"] = {"pathPattern": path, **number}
        if categorical:
            schemas["categorical"] = {
                "codesPathPattern": self._files.name(f"{folder}/{{key}}.codes.{{ext}}"),
                "outlierPathPattern": self._files.name(f"{folder}/{{key}}.outliers.{number['ext']}"),
                "outlierExt": number["ext"], "outlierDtype": number["dtype"], "outlierQuantized": number["quantized"],
            }  # fmt: skip
        found = [(label, as_category(c)) for label, c in columns if not isinstance(c, Continuous)]
        own: Json = {
            "names": {label: c.key for label, c in columns if label != c.key},
            "colors": {label: c.colors for label, c in found if c is not None and c.colors is not None},
            "ordered": [label for label, c in found if c is not None and c.ordered],
        }
        self._files.document(
            options.obs_manifest_filename,
            {
                "_format": "compact_v1", "n_points": self._cells.n_cells,
                "centroid_outlier_quantile": self._cells.options.centroid_outlier_quantile,
                "latent_key": self._cells.latent_key or None, "compression": options.compression,
                "_obsSchemas": schemas, "_continuousFields": continuous, "_categoricalFields": categorical,
                "coverslip": own,
            },
        )  # fmt: skip

    # -- genes ------------------------------------------------------------------------------------------------------

    def _genes(self, pool: ThreadPoolExecutor) -> list[list[float]]:
        """Write every gene; the range of each."""
        expression = self._plan.expression
        if expression is None or not self._plan.genes:
            return []
        folder = self._options.var_binary_dirname

        def one(label: str, gene: int) -> list[float]:
            values = expression.gene(gene, self._stop)
            return self._numbers(f"{folder}/{safe_name(label)}.values", values, self._options.var_quantization)

        both = zip(self._plan.gene_labels, self._plan.genes, strict=True)
        with by_gene(expression, self._files.folder, self._workers, self._stop, self._told):
            return finished("genes", [pool.submit(one, *pair) for pair in both], self._told)

    def _write_var(self, spans: Iterable[list[float]]) -> None:
        options, plan, expression = self._options, self._plan, self._plan.expression
        assert expression is not None
        genes = expression.genes
        schema = _number_schema(options.var_quantization)
        path = self._files.name(f"{options.var_binary_dirname}/{{key}}.values.{schema['ext']}")
        symbols = genes.symbols
        own: Json = {
            "expression": expression.id,
            "names": {
                label: genes.names[g]
                for label, g in zip(plan.gene_labels, plan.genes, strict=True)
                if label != genes.names[g]
            },
        }
        if symbols is not None:
            own |= {"symbols": [symbols[g] for g in plan.genes], "symbol_column": genes.symbol_column}
        fields = [[label, *span] for label, span in zip(plan.gene_labels, spans, strict=True)] if plan.genes else []
        self._files.document(
            options.var_manifest_filename,
            {
                "_format": "compact_v1", "n_points": self._cells.n_cells,
                "var_gene_id_column": self._cells.options.gene_id_column, "compression": options.compression,
                "quantization": options.var_quantization,
                "_varSchema": {"kind": "continuous", "pathPattern": path, **schema},
                "fields": fields, "coverslip": own,
            },
        )  # fmt: skip

    # -- the graph --------------------------------------------------------------------------------------------------

    def _write_graph(self) -> Json:
        graph, options = self._cells.graph, self._options
        if graph is None:
            return {}
        edges = undirected_edges(graph, self._stop)
        folder = options.connectivity_binary_dirname
        self._files.document(
            options.connectivity_manifest_filename,
            {
                "format": "edge_pairs", "n_cells": self._cells.n_cells, "n_edges": len(edges.sources),
                "max_neighbors": edges.max_neighbors, "index_bytes": edges.dtype.itemsize,
                "index_dtype": edges.dtype.name,
                "sourcesPath": self._files.array(f"{folder}/edges.src.bin", edges.sources, light=True),
                "destinationsPath": self._files.array(f"{folder}/edges.dst.bin", edges.targets, light=True),
                "weightsPath": self._files.array(
                    f"{folder}/edges.weights.f32.bin", weights(graph, edges, self._stop), light=True
                ),
                "weight_dtype": "float32", "compression": options.compression,
            },
        )  # fmt: skip
        return {"has_connectivity": True, "n_edges": len(edges.sources)}


def _number_schema(bits: int | None) -> Json:
    if bits is None:
        return {"ext": "f32", "dtype": "float32", "quantized": False}
    return {"ext": f"u{bits}", "dtype": f"uint{bits}", "quantized": True, "quantizationBits": bits}
