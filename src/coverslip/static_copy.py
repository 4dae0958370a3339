"""A data set and its viewer as files that any web host serves, without a server of ours. Part of the composition root.

The files are the answers that our server gives, under the same names, with two exceptions: what a query would ask for
has a name of its own, and what is asked for each cell is kept in blocks. Arrays are gzip files whatever they are
called; the viewer looks at their first bytes, so that a host may inflate them or not.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

import numpy as np

from coverslip.core.errors import CoverslipError
from coverslip.core.stop import Stop
from coverslip.domains.columns import Continuous, Float32
from coverslip.domains.export.files import Files
from coverslip.domains.export.folder import EXTENSIONS, IDENTITY, MOST_WORKERS
from coverslip.domains.export.genes import Told, by_gene, finished
from coverslip.domains.export.plan import Plan
from coverslip.domains.export.quantise import quantised
from coverslip.fronts.cellucid import arrays, manifests
from coverslip.fronts.cellucid.paths import Wanted

LEVEL = 4
"""Of gzip, where none is asked for: a host without compression of its own is the common case."""
NAMES_AT_ONCE = 65_536
"""Names of cells in one file; the viewer asks for as many at once."""
CELLS_AT_ONCE = 4096
"""Cells whose values are in one file."""
MARK = b"data-copy"
"""Attribute of the page that tells the viewer that nobody answers questions here."""


class StaticCopy:
    """Writes what was planned with the viewer beside it; as `coverslip.domains.export.folder.Export`."""

    def __init__(
        self, plan: Plan, folder: Path, version: str, told: Told = lambda *_: None, workers: int | None = None
    ) -> None:
        self._plan, self._cells, self._options = plan, plan.cells, plan.options
        self._files = Files(folder, plan.options.compression or LEVEL, marked=False)
        self._version, self._told = version, told
        self._workers = workers or min(os.cpu_count() or 1, MOST_WORKERS)
        self._stop = Stop()

    def write(self) -> None:
        """All of it.

        Raises
        ------
        CoverslipError
            When something cannot be read, or this installation has no viewer.
        OSError
            When something cannot be written.
        """
        self._write_viewer()
        with ThreadPoolExecutor(self._workers, "coverslip-export") as pool:
            try:
                self._write_identity()
                graph = pool.submit(self._write_graph)
                finished("columns", [pool.submit(self._write_field, i) for i in self._plan.fields], self._told)
                finished("cells", [pool.submit(self._write_cells, a) for a in self._starts(CELLS_AT_ONCE)], self._told)
                finished("names", [pool.submit(self._write_names, a) for a in self._starts(NAMES_AT_ONCE)], self._told)
                self._write_genes(pool)
                graph.result()
            except BaseException:
                self._stop.set()
                pool.shutdown(wait=True, cancel_futures=True)
                raise

    def _starts(self, step: int) -> range:
        return range(0, self._cells.n_cells, step)

    def _write_viewer(self) -> None:
        folder = files("coverslip") / "_viewer"
        if not (folder / "index.html").is_file():
            raise CoverslipError(
                "This installation was made without its viewer",
                "Build it with make build, or install a released wheel.",
            )
        for name, item in _walk(folder, ""):
            data = item.read_bytes()
            if name == "index.html":
                data = data.replace(b"<html", b"<html " + MARK, 1)
            if not name.endswith(".sha256"):
                self._files.copy(name, data)
        self._files.copy(".nojekyll", b"")  # else some hosts leave out folders whose name begins with _

    def _write_identity(self) -> None:
        plan, cells, options = self._plan, self._cells, self._options
        told = manifests.identity(cells, plan.id, plan.name, "static", "", time.time(), self._stop)
        told |= {
            "static": True, "description": options.dataset_description or "", "tissue": [],
            "cellucid_data_version": f"coverslip {self._version}",
            "obs_fields": [told["obs_fields"][i] for i in plan.fields],
            "unreadable_fields": [], "orders": [],
        }  # fmt: skip
        source = {"name": options.source_name, "url": options.source_url, "citation": options.source_citation}
        told["source"] = {key: value for key, value in source.items() if value}
        told["stats"] |= {"n_genes": len(plan.genes), "n_obs_fields": len(plan.fields)}
        told["embeddings"]["items"] = [self._embedding(i, item) for i, item in enumerate(told["embeddings"]["items"])]
        told["embeddings"]["files"] = {}  # cellucid's clients read no copies; ours read the items
        for id, made in cells.vector_fields.items():
            for d in made.arrows:
                file = told["vector_fields"]["fields"][id]["files"][f"{d}d"]
                self._files.array(file.replace("%", "_"), made.vectors(d, range(d)), light=True)
                told["vector_fields"]["fields"][id]["files"][f"{d}d"] = file.replace("%", "_")
        expression = plan.expression
        told["expression"] = {"default": None, "items": []}
        if expression is not None and plan.genes:
            item = {"id": expression.id, "label": expression.label, "n_genes": len(plan.genes), "genes": "genes.json"}
            told["expression"] = {"default": expression.id, "items": [{**item, "layout": "csc"}]}
        self._files.document(IDENTITY, told)
        listed = {"id": plan.id, "path": "/", "name": plan.name, "status": "ok"}
        self._files.document("_cellucid/datasets", {"datasets": [listed]})
        self._files.document("cells/digest.json", {"n": cells.n_cells, "digest": cells.digest(self._stop)})

    def _embedding(self, number: int, item: dict[str, Any]) -> dict[str, Any]:
        """Write one embedding in as many dimensions as can be drawn; further columns stay behind."""
        embedding = self._cells.embeddings[number]
        for d in embedding.dimensions:
            self._files.array(item["files"][f"{d}d"], embedding.points(range(d)), light=True)
        return {**item, "width": max(embedding.dimensions), "axes": item["axes"][: max(embedding.dimensions)]}

    def _write_field(self, number: int) -> None:
        self._stop.check()
        told = manifests.field(self._cells, number)
        column = self._cells.field(number)
        if isinstance(column, Continuous):
            values = self._rounded(column.values(), self._options.obs_continuous_quantization)
            self._files.array(told["values"], values)
        else:
            wanted = Wanted("obs", number=number, part="codes", extension=EXTENSIONS[told["dtype"]])
            self._files.array(told["codes"], arrays.obs(self._cells, wanted, {}, self._stop))
        self._files.document(f"fields/{number}.json", told)

    def _rounded(self, values: Float32, bits: int | None) -> Float32:
        """Values that quantising leaves, as float32: as few different ones pack well."""
        if bits is None:
            return values
        made = quantised(values, bits)
        most = (1 << bits) - 2
        levels = (made.low + np.arange(most + 2) * ((made.high - made.low) / most)).astype(np.float32)
        levels[most + 1] = np.nan
        found: Float32 = levels[made.codes]
        return found

    def _write_cells(self, start: int) -> None:
        """What is told of each cell of a block when it is pointed at."""
        self._stop.check()
        stop = min(start + CELLS_AT_ONCE, self._cells.n_cells)
        names = self._cells.cell_names(start, stop)
        columns = {self._cells.fields[i].key: self._cells.fields[i].between(start, stop) for i in self._plan.fields}
        told = [
            {"index": start + i, "name": name, "fields": {key: values[i] for key, values in columns.items()}}
            for i, name in enumerate(names)
        ]
        self._files.packed_document(f"cells/at-{start}.json", told)

    def _write_names(self, start: int) -> None:
        names = self._cells.cell_names(start, start + NAMES_AT_ONCE)
        self._files.packed_document(f"cells/names-{start}.json", {"start": start, "names": names})

    def _write_genes(self, pool: ThreadPoolExecutor) -> None:
        expression, chosen = self._plan.expression, self._plan.genes
        if expression is None or not chosen:
            return
        genes = expression.genes
        symbols = genes.symbols

        def one(number: int, gene: int) -> None:
            values = self._rounded(expression.gene(gene, self._stop), self._options.var_quantization)
            self._files.array(f"genes/{number}.values.f32", values)

        self._files.document("genes.json", {
            "expression": expression.id, "names": [genes.names[g] for g in chosen],
            "symbols": None if symbols is None else [symbols[g] for g in chosen],
            "symbol_column": genes.symbol_column, "values": "genes/{index}.values.f32",
        })  # fmt: skip
        with by_gene(expression, self._files.folder, self._workers, self._stop, self._told):
            finished("genes", [pool.submit(one, i, gene) for i, gene in enumerate(chosen)], self._told)

    def _write_graph(self) -> None:
        if self._cells.graph is None:
            return
        told = manifests.connectivity_manifest(self._cells, self._stop)
        self._files.document("connectivity_manifest.json", told)
        for part, name in (("src", "sourcesPath"), ("dst", "destinationsPath"), ("weights", "weightsPath")):
            values = arrays.edges(self._cells, Wanted("edges", part=part), {}, self._stop)
            self._files.array(told[name], values, light=True)


def _walk(folder: Traversable, prefix: str) -> Iterator[tuple[str, Traversable]]:
    for item in folder.iterdir():
        if item.is_dir():
            yield from _walk(item, f"{prefix}{item.name}/")
        else:
            yield prefix + item.name, item
