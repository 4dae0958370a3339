"""The catalog as ``/api/sources`` and ``/api/catalog`` tell it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec
from starlette.datastructures import QueryParams

from coverslip.core.errors import NotFound
from coverslip.engine.catalog import Catalog
from coverslip.engine.store import Row
from coverslip.fronts.tensors.select import integer

COUNTED = ("cells", "network")


@dataclass(frozen=True)
class Listing:
    """Which rows of the catalog are wanted."""

    search: str
    kind: str
    status: str
    sort: str
    limit: int | None
    offset: int


def wanted(query: QueryParams) -> Listing:
    """From a query string."""
    return Listing(
        query.get("search", "")[:500],
        query.get("kind", ""),
        query.get("status", ""),
        query.get("sort", "name"),
        integer(query["limit"], "limit") if "limit" in query else None,
        integer(query.get("offset", "0"), "offset"),
    )


def listed(catalog: Catalog, want: Listing) -> tuple[list[dict[str, Any]], int]:
    """Rows, and how many there are in all."""
    rows, total = catalog.entries(
        search=want.search, kind=want.kind, status=want.status, sort=want.sort, limit=want.limit, offset=want.offset
    )
    told = catalog.metadata_of([row.id for row in rows if row.kind in COUNTED])
    return [source(row, told.get(row.id)) for row in rows], total


def one(catalog: Catalog, id: str) -> dict[str, Any]:
    """One source."""
    try:
        row = catalog.get(id)
        return source(row, catalog.metadata(id) if row.kind in COUNTED else None)
    except NotFound:
        raise NotFound(f"Source not found: {id[:200]}", "GET /api/sources lists them.", "source_not_found") from None


def counts(total: int, returned: int, truncated: bool = False) -> dict[str, str]:
    """The headers that tell how much of the catalog an answer holds."""
    return {
        "X-Total-Sources": str(total),
        "X-Returned-Sources": str(returned),
        "X-Truncated": "true" if truncated or returned < total else "false",
    }


def facts(kind: str, metadata: str | None) -> dict[str, int] | None:
    """How much a source of cells or neurons holds; None where that is not known."""
    told = json_object(metadata)
    if kind == "cells":
        found: dict[str, Any] = {"cells": told.get("n_cells"), "genes": told.get("n_genes")}
    else:
        found = {"neurons": _sum(told.get("populations")), "connections": _sum(told.get("projections"))}
    return found if all(isinstance(n, int) for n in found.values()) else None


def json_object(text: str | None) -> dict[str, Any]:
    """The object of a JSON text; an empty one where it is none."""
    found = msgspec.json.decode(text) if text else None
    return found if isinstance(found, dict) else {}


def _sum(counts: Any) -> int | None:
    if not isinstance(counts, dict) or not all(isinstance(n, int) for n in counts.values()):
        return None
    return sum(counts.values())


def source(row: Row, metadata: str | None = None) -> dict[str, Any]:
    """One row; its metadata, where it is of a kind whose things are counted."""
    return {
        "source_id": row.id,
        "name": row.name,
        "source_url": row.url,
        "source_type": row.format,
        "kind": row.kind,
        "status": row.status,
        "version": row.version,
        "size_bytes": row.size,
        "modified": row.modified_s,
        "indexed_at": row.indexed_s,
        "error": row.error,
        "metadata_json": None,
        "tensors": row.tensors,
        "facts": facts(row.kind, metadata) if metadata else None,
    }
