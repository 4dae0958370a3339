"""Data sets of cells over HTTP, in the words of cellucid's first generation."""

from __future__ import annotations

import gzip
import json
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any
from urllib.parse import quote

import numpy as np
from starlette.requests import Request
from starlette.responses import Response

from coverslip.core.errors import CoverslipError, NotFound, Unreadable
from coverslip.core.node import Source
from coverslip.core.stop import Stop
from coverslip.domains.cells import Cells, Options
from coverslip.domains.gene_indexes import GeneIndexes, Kept, Progress
from coverslip.domains.modalities import data_sets
from coverslip.domains.tissue import tissues
from coverslip.engine.cache import ByteCache
from coverslip.engine.catalog import Catalog
from coverslip.engine.library import Entry
from coverslip.engine.read import Reader
from coverslip.engine.store import Row
from coverslip.fronts.cellucid import arrays, manifests
from coverslip.fronts.cellucid.paths import Wanted, parse, part_of
from coverslip.fronts.errors import answering
from coverslip.fronts.http import Body, reply, text_body, to_json
from coverslip.fronts.tokens import raw_path_of

GZIP_FILE_LEVEL = 1
"""Coordinates and expression hardly compress; the least effort keeps the server free."""

TRIES = 3
MOST_FOUND, LONGEST_FOUND = 1000, 300
"""Paths that need not be looked for again, and how long such a path may be."""
CELLS = "cells"
INCOMPLETE = "incomplete"
PARAMETERS = ("columns", "coordinates", "expression", "start", "stop", "genes", "order")
"""What a query may say; the rest of it changes nothing and is no part of a key."""

ARRAYS: dict[str, Callable[[Cells, Wanted, dict[str, str], Stop], Any]] = {
    "points": arrays.points,
    "embedding": arrays.embedding,
    "obs": arrays.obs,
    "gene": arrays.gene,
    "several": arrays.several,
    "edges": arrays.edges,
    "vectors": arrays.vectors,
}


@dataclass(frozen=True)
class Asked:
    """One answer of one data set.

    Attributes
    ----------
    entry, part
        The source, and the data set's path in it (`data_sets`).
    wanted, path
        The answer, and how it was written.
    """

    entry: Entry
    part: str
    wanted: Wanted
    path: str

    @property
    def id(self) -> str:
        """The data set's, as ``_cellucid/datasets`` lists it."""
        return f"{self.entry.id}/{self.part}" if self.part else self.entry.id

    @property
    def name(self) -> str:
        """What a person calls the data set."""
        return part_name(self.entry.name, self.part)


def unstored(request: Request, data: bytes) -> Response:
    """A document that is another one the next time."""
    response = Response(data, headers={"Cache-Control": "no-store"}, media_type="application/json")
    if request.method == "HEAD":
        response.body = b""
    return response


def part_name(name: str, part: str) -> str:
    """What a person calls one data set of several in a source."""
    return f"{name}, {part.partition('/')[2]}" if part else name


@dataclass(frozen=True)
class Recognise:
    """One data set of a source as cells; ``part`` is its path in the source (`data_sets`)."""

    part: str
    options: Options

    def __call__(self, source: Source) -> Cells:
        """The data set; `NotFound` when the source has no such part."""
        found = data_sets(source.root)
        if self.part not in found:
            hint = "/_cellucid/datasets lists the data sets."
            raise NotFound(f"There is no {self.part!r} in this source", hint, "dataset_not_found")
        return Cells(found[self.part](), self.options, source.etag)


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
    indexes
        Gene indexes; None makes and uses none.
    """

    def __init__(
        self,
        catalog: Catalog,
        reader: Reader,
        cache: ByteCache[Body],
        options: Options,
        version: str,
        address: tuple[str, int],
        indexes: GeneIndexes | None = None,
    ) -> None:
        self._catalog = catalog
        self._listed_at = -1
        self._found_at = -1
        self._found: dict[str, Asked] = {}
        self._kept: dict[str, tuple[str, dict[str, Any]]] = {}
        self._rows: list[Row] = []
        self._reader = reader
        self._cache = cache
        self._version = version
        self._address = address
        self._indexes = indexes

        self._options = options

    def _data_sets(self) -> list[Row]:
        """The sources of cells, in the order of their names."""
        revision = self._catalog.revision
        if revision != self._listed_at:
            self._rows = self._catalog.entries(kind=CELLS)[0]
            here = {row.id for row in self._rows}
            self._kept = {id: kept for id, kept in self._kept.items() if id in here}
            self._listed_at = revision
        return self._rows

    def _cells(self, entry: Entry, part: str = "") -> tuple[Cells, str]:
        """One data set of a source, and the source's version."""
        return entry.view(Recognise(part, self._options))

    async def __call__(self, request: Request) -> Response:
        """Answer one request, or stop working on it when its client goes away."""
        return await answering(request, self._answer(request))

    async def _answer(self, request: Request) -> Response:
        path = raw_path_of(request.scope)
        if path.startswith("_cellucid/"):
            return await self._about(request, path.removeprefix("_cellucid/"))
        found = await self._find(path)
        if found.wanted.kind == "gene_index":
            return await self._index_progress(request, found)
        started = time.perf_counter()
        body = await self._body(found, dict(request.query_params))
        response = reply(request.method, request.headers, body)
        response.headers["Server-Timing"] = f"app;dur={(time.perf_counter() - started) * 1000:.1f}"
        return response

    async def _find(self, path: str) -> Asked:
        """What a path asks for; told again without a thread, which costs as much as all else, while nothing changed."""
        revision = self._catalog.revision
        if revision != self._found_at:
            self._found, self._found_at = {}, revision
        known = self._found.get(path)
        if known is not None:
            return known
        found = await self._reader.run(f"find {path}", lambda stop: self._wanted(path), lane="quick")
        if self._found_at == revision == self._catalog.revision and len(path) < LONGEST_FOUND:
            if len(self._found) >= MOST_FOUND:
                self._found.clear()
            self._found[path] = found
        return found

    def _wanted(self, path: str) -> Asked:
        """Which data set and which answer; a data set may be called like one of our folders (``cells.h5ad``)."""
        first, _, rest = path.partition("/")
        if rest and self._catalog.kind(first) == CELLS:
            with suppress(NotFound):
                part, inner = part_of(rest)
                return Asked(self._catalog.open(first), part, parse(inner), inner)
        only = next(iter(self._data_sets()), None)
        if only is None:
            raise NotFound("No data set of cells is on offer", "GET /api/sources lists what is.", "dataset_not_found")
        part, inner = part_of(path)
        return Asked(self._catalog.open(only.id), part, parse(inner), inner)

    async def _body(self, asked: Asked, query: dict[str, str]) -> Body:
        entry = asked.entry
        chosen: dict[str, str] = {name: value for name, value in sorted(query.items()) if name in PARAMETERS}
        for _ in range(TRIES):
            cells, etag = await self._open(asked)
            key = f"{entry.id} {etag} {asked.part}/{asked.path} {chosen}"
            ready = self._cache.get(key)
            if ready is not None:
                return ready
            tag = f"{etag}-{self._version}"
            if asked.wanted.kind in ("gene", "several"):
                await self._index_soon(asked, cells, etag, chosen.get("expression"))
            work = partial(self._make, asked, cells, tag, chosen)
            made = await self._reader.run(key, work)
            _, now = await self._open(asked)
            if now == etag:  # else it changed under our hands: a strong ETag must not name a mixture
                self._cache.put(key, made)
                return made
        raise Unreadable(f"{entry.name} is being written", "Try again when the writing is done.")

    async def _index_progress(self, request: Request, asked: Asked) -> Response:
        """How far the gene index of a matrix is; asking begins it."""
        expression = request.query_params.get("expression")
        cells, etag = await self._open(asked)
        progress = await self._index_soon(asked, cells, etag, expression)
        told = {"expression": cells.expression(expression).id, **asdict(progress)}
        return unstored(request, to_json(told))

    async def _index_soon(self, asked: Asked, cells: Cells, etag: str, expression: str | None) -> Progress:
        """Have a matrix indexed in the background; genes are read from the index once it is there."""
        indexes = self._indexes
        if indexes is None:
            return Progress("off")

        def work(stop: Stop) -> Progress:
            return indexes.want(self._kept_at(asked, cells, etag), cells, expression)

        return await self._reader.run(("gene index", asked.id, etag, expression), work, lane="quick")

    def _kept_at(self, asked: Asked, cells: Cells, etag: str) -> Kept:
        place = self._catalog.place(asked.entry.id)
        return Kept(place[1] if place is not None else None, cells.etag, etag, asked.part, asked.name)

    async def data_set(self, prefix: str) -> tuple[Kept, Cells, Callable[[], bool]]:
        """The data set whose paths begin so (``<id>/``, empty for the first), and whether it is still what it was."""
        path = f"{prefix}dataset_identity.json"
        asked = await self._reader.run(f"find {path}", lambda stop: self._wanted(path), lane="quick")
        cells, etag = await self._open(asked)
        kept = await self._reader.run(
            ("kept", asked.id, etag), lambda stop: self._kept_at(asked, cells, etag), lane="quick"
        )
        return kept, cells, lambda: self._cells(asked.entry, asked.part)[1] == etag

    async def _open(self, asked: Asked) -> tuple[Cells, str]:
        key = f"open {asked.entry.id} {asked.part}"
        return await self._reader.run(key, lambda stop: self._cells(asked.entry, asked.part), lane="quick")

    def _make(self, asked: Asked, cells: Cells, tag: str, query: dict[str, str], stop: Stop) -> Body:
        wanted = asked.wanted
        asked.entry.visit()
        if wanted.kind not in ARRAYS:
            return text_body(to_json(self._document(asked, cells, query, stop)), "application/json", tag)
        found = ARRAYS[wanted.kind](cells, wanted, query, stop)
        values = arrays.in_order(found, wanted, query.get("order"), stop)
        little = np.ascontiguousarray(values, dtype=values.dtype.newbyteorder("<"))
        data = memoryview(little.reshape(-1).view(np.uint8).data)
        if wanted.gzip:
            return Body(gzip.compress(data, GZIP_FILE_LEVEL, mtime=0), "application/gzip", f"{tag}-gz")
        return Body(data, "application/octet-stream", tag)

    def _document(self, asked: Asked, cells: Cells, query: dict[str, str], stop: Stop) -> Any:
        entry, wanted = asked.entry, asked.wanted
        match wanted.kind:
            case "identity":
                source = entry.source()
                told = manifests.identity(
                    cells, asked.id, asked.name, entry.kind, entry.file_name, source.modified_s, stop
                )
                return {
                    **told,
                    **manifests.own_identity(source.root),
                    "tissue": [] if asked.part else self._tissue(entry),
                    "orders": list(arrays.ORDERS),
                }
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
            case "digest":
                return {"n": cells.n_cells, "digest": cells.digest(stop)}
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
        return unstored(request, to_json(content))

    def _list(self) -> dict[str, Any]:
        rows = self._data_sets()
        return {"datasets": [one for row in rows for one in self._listed(row, alone=len(rows) == 1)]}

    def _listed(self, row: Row, alone: bool) -> Iterator[dict[str, Any]]:
        """A source's data sets: one, or the whole and its parts; what is missing of it, or why it cannot be read."""
        listed: dict[str, Any] = {
            "id": row.id, "path": "/" if alone else f"/{row.id}/", "name": row.name, "status": "ok",
        }  # fmt: skip
        if row.error is not None:
            listed |= {"status": "error", "message": row.error["message"], "hint": row.error["hint"]}
            if row.error["code"] == INCOMPLETE:
                listed |= {"status": INCOMPLETE, "missing": manifests.named_missing(row.error["message"])}
            yield listed
            return
        told = self._told(row)
        if told.get("missing"):
            missing = [str(name) for name in told["missing"]]
            listed |= {"status": INCOMPLETE, "missing": missing, "message": manifests.missing_words(missing)}
            listed["hint"] = "What is there can be looked at; write the export again."
        yield {**listed, "name": str(told.get("name") or row.name)}
        for part in told.get("data_sets", ()):
            quoted = quote(part, safe="/")
            yield {
                "id": f"{row.id}/{part}",
                "path": f"/{row.id}/{quoted}/",
                "name": part_name(row.name, part),
                "status": "ok",
            }

    def _told(self, row: Row) -> dict[str, Any]:
        """What the catalog keeps of a source, of another version than was kept before."""
        known = self._kept.get(row.id)
        state = f"{row.version} {row.status} {row.indexed_s}"  # it is listed before it was opened, too
        if known is None or known[0] != state:
            try:
                found = json.loads(self._catalog.metadata(row.id) or "null")
            except (NotFound, ValueError):
                found = None
            known = self._kept[row.id] = (state, found if isinstance(found, dict) else {})
        return known[1]

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
