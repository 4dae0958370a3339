"""The catalog as ``/api/sources`` and ``/api/catalog`` tell it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from starlette.datastructures import QueryParams

from coverslip.core.errors import NotFound
from coverslip.engine.catalog import Catalog
from coverslip.engine.store import Row
from coverslip.fronts.tensors.select import integer


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
    return [source(row) for row in rows], total


def one(catalog: Catalog, id: str) -> dict[str, Any]:
    """One source."""
    try:
        return source(catalog.get(id))
    except NotFound:
        raise NotFound(f"Source not found: {id[:200]}", "GET /api/sources lists them.", "source_not_found") from None


def counts(total: int, returned: int, truncated: bool = False) -> dict[str, str]:
    """The headers that tell how much of the catalog an answer holds."""
    return {
        "X-Total-Sources": str(total),
        "X-Returned-Sources": str(returned),
        "X-Truncated": "true" if truncated or returned < total else "false",
    }


def source(row: Row) -> dict[str, Any]:
    """One row."""
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
    }
