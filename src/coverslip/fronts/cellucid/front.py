"""Data sets of cells over HTTP, in the words of cellucid's first generation."""

from __future__ import annotations

import gzip
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

import numpy as np
from starlette.requests import Request
from starlette.responses import Response

from coverslip.core.errors import CoverslipError, NotFound, Unreadable
from coverslip.core.node import Source
from coverslip.core.stop import Stop
from coverslip.domains.cells import Cells, Options
from coverslip.domains.tissue import cells_root, tissues
from coverslip.engine.cache import ByteCache
from coverslip.engine.catalog import Catalog
from coverslip.engine.library import Entry
from coverslip.engine.read import Reader
from coverslip.engine.store import Row
from coverslip.fronts.cellucid import arrays, manifests
from coverslip.fronts.cellucid.paths import Wanted, parse
from coverslip.fronts.errors import answering
from coverslip.fronts.http import Body, reply, text_body, to_json

GZIP_FILE_LEVEL = 1
"""Coordinates and expression hardly compress; the least effort keeps the server free."""

TRIES = 3
CELLS = "cells"
PARAMETERS = ("columns", "coordinates", "expression", "start", "stop")
"""What a query may say; the rest of it changes nothing and is no part of a key."""

ARRAYS: dict[str, Callable[[Cells, Wanted, dict[str, str], Stop], Any]] = {
    "points": arrays.points,
    "embedding": arrays.embedding,
    "obs": arrays.obs,
    "gene": arrays.gene,
    "edges": arrays.edges,
}


class CellsFront:
    """Answers every path of ``docs/reference/http-cells.md``.

    Parameters
    ----------
    catalog
        What is on offer; its sources of cells are the data sets.
    reader, cache
        Threads to read in, and where answers are kept.
    options
        How data sets are read.
    version
        Ours, part of every ETag: another version may write the same data differently.
    address
        Host and port, as ``_cellucid/info`` tells them.
    """

    def __init__(
        self,
        catalog: Catalog,
        reader: Reader,
        cache: ByteCache[Body],
        options: Options,
        version: str,
        address: tuple[str, int],
    ) -> None:
        self._catalog = catalog
        self._listed_at = -1
        self._rows: list[Row] = []
        self._reader = reader
        self._cache = cache
        self._version = version
        self._address = address

        def recognise(source: Source) -> Cells:
            return Cells(cells_root(source.root), options)

        self._recognise = recognise

    def _data_sets(self) -> list[Row]:
        """The sources of cells, in the order of their names."""
        revision = self._catalog.revision
        if revision != self._listed_at:
            self._rows = self._catalog.entries(kind=CELLS)[0]
            self._listed_at = revision
        return self._rows

    def _cells(self, entry: Entry) -> tuple[Cells, str]:
        return entry.view(self._recognise)

    async def __call__(self, request: Request) -> Response:
        """Answer one request, or stop working on it when its client goes away."""
        return await answering(request, self._answer(request))

    async def _answer(self, request: Request) -> Response:
        path = request.scope.get("raw_path", request.url.path.encode()).decode("latin-1")
        root = request.scope.get("root_path", "")
        path = path.removeprefix(root).lstrip("/")
        if path.startswith("_cellucid/"):
            return await self._about(request, path.removeprefix("_cellucid/"))
        entry, wanted, path = await self._reader.run(f"find {path}", lambda stop: self._wanted(path), lane="quick")
        started = time.perf_counter()
        body = await self._body(entry, wanted, path, dict(request.query_params))
        response = reply(request.method, request.headers, body)
        response.headers["Server-Timing"] = f"app;dur={(time.perf_counter() - started) * 1000:.1f}"
        return response

    def _wanted(self, path: str) -> tuple[Entry, Wanted, str]:
        """Which data set and which answer; a data set may be called like one of our folders (``cells.h5ad``)."""
        first, _, rest = path.partition("/")
        if rest and self._catalog.kind(first) == CELLS:
            with suppress(NotFound):
                return self._catalog.open(first), parse(rest), rest
        only = next(iter(self._data_sets()), None)
        if only is None:
            raise NotFound("No data set of cells is on offer", "GET /api/sources lists what is.", "dataset_not_found")
        return self._catalog.open(only.id), parse(path), path

    async def _body(self, entry: Entry, wanted: Wanted, path: str, query: dict[str, str]) -> Body:
        chosen: dict[str, str] = {name: value for name, value in sorted(query.items()) if name in PARAMETERS}
        for _ in range(TRIES):
            cells, etag = await self._open(entry)
            key = f"{entry.id} {etag} {path} {chosen}"
            ready = self._cache.get(key)
            if ready is not None:
                return ready
            tag = f"{etag}-{self._version}"
            work = partial(self._make, entry, cells, tag, wanted, chosen)
            made = await self._reader.run(key, work)
            if (await self._open(entry))[
                1
            ] == etag:  # else it changed under our hands: a strong ETag must not name a mixture
                self._cache.put(key, made)
                return made
        raise Unreadable(f"{entry.name} is being written", "Try again when the writing is done.")

    async def _open(self, entry: Entry) -> tuple[Cells, str]:
        return await self._reader.run(f"open {entry.id}", lambda stop: self._cells(entry), lane="quick")

    def _make(self, entry: Entry, cells: Cells, tag: str, wanted: Wanted, query: dict[str, str], stop: Stop) -> Body:
        if wanted.kind not in ARRAYS:
            return text_body(to_json(self._document(entry, cells, wanted, query, stop)), "application/json", tag)
        values = ARRAYS[wanted.kind](cells, wanted, query, stop)
        little = np.ascontiguousarray(values, dtype=values.dtype.newbyteorder("<"))
        data = memoryview(little.reshape(-1).view(np.uint8).data)
        if wanted.gzip:
            return Body(gzip.compress(data, GZIP_FILE_LEVEL, mtime=0), "application/gzip", f"{tag}-gz")
        return Body(data, "application/octet-stream", tag)

    def _document(self, entry: Entry, cells: Cells, wanted: Wanted, query: dict[str, str], stop: Stop) -> Any:
        match wanted.kind:
            case "identity":
                modified_s = entry.source().modified_s
                told = manifests.identity(cells, entry.id, entry.name, entry.kind, entry.file_name, modified_s, stop)
                return {**told, "tissue": self._tissue(entry)}
            case "obs_manifest":
                return manifests.obs_manifest(cells, stop)
            case "var_manifest":
                return manifests.var_manifest(cells, cells.expression(query.get("expression")))
            case "genes":
                return manifests.genes(cells.expression(query.get("expression")))
            case "field":
                return manifests.field(cells, wanted.number)
            case "cell":
                return manifests.cell(cells, wanted.number)
            case "names":
                return manifests.names(cells, query.get("start"), query.get("stop"))
            case _:
                return manifests.connectivity_manifest(cells, stop)

    def _tissue(self, entry: Entry) -> list[dict[str, Any]]:
        """Pictures under the cells: which image, and from coordinates to its columns and rows."""
        return [
            {
                "array_id": f"{entry.id}/{t.path}",
                "name": t.name,
                "embedding": t.embedding,
                "matrix": list(t.matrix),
                "spot": t.spot,
            }
            for t in tissues(entry.source().root)
        ]

    async def _about(self, request: Request, name: str) -> Response:
        """Who we are: ``health``, ``info`` and ``datasets``."""
        if name == "datasets":
            content: Any = await self._reader.run("about datasets", lambda stop: self._list(), lane="quick")
        elif name in ("health", "info"):
            content = await self._reader.run(f"about {name}", lambda stop: self._about_first(name), lane="quick")
        else:
            raise NotFound(f"Not found: _cellucid/{name[:100]}", "There is health, info and datasets.")
        data = to_json(content)
        response = Response(data, headers={"Cache-Control": "no-store"}, media_type="application/json")
        if request.method == "HEAD":
            response.body = b""
        return response

    def _list(self) -> dict[str, Any]:
        rows = self._data_sets()
        return {"datasets": [self._listed(row, alone=len(rows) == 1) for row in rows]}

    def _listed(self, row: Row, alone: bool) -> dict[str, str]:
        listed = {"id": row.id, "path": "/" if alone else f"/{row.id}/", "name": row.name, "status": "ok"}
        if row.error is not None:
            listed |= {"status": "error", "message": row.error["message"], "hint": row.error["hint"]}
        return listed

    def _about_first(self, name: str) -> dict[str, Any]:
        row = next(iter(self._data_sets()), None)
        first = self._catalog.open(row.id) if row is not None else None
        about: dict[str, Any] = {"type": "anndata", "version": self._version}
        if name == "health":
            about = {"status": "ok", **about}
        else:
            about |= {"host": self._address[0], "port": self._address[1]}
        if first is not None:
            about |= {"format": first.kind, "is_backed": first.kind != "in-memory"}
            try:
                cells, _ = self._cells(first)
                about |= {"n_cells": cells.n_cells, "n_genes": cells.n_genes}
            except CoverslipError:  # the server is well; what ails the file is told where the file is asked for
                about |= {"n_cells": None, "n_genes": None}
        return about
