"""The tables that SQL may ask for, and the columns and types they have on the wire."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

TENSOR = pa.struct(
    [
        ("array_id", pa.string()),
        ("dim_labels", pa.list_(pa.string())),
        ("shape", pa.list_(pa.int64())),
        ("chunk_shape", pa.list_(pa.int64())),
        ("dtype", pa.string()),
    ]
)
SCHEMAS: dict[str, pa.Schema] = {
    "sources": pa.schema(
        [
            ("source_id", pa.string()),
            ("source_url", pa.string()),
            ("source_type", pa.string()),
            ("indexed_at", pa.float64()),
            ("metadata_json", pa.string()),
            ("is_resolved", pa.bool_()),
            ("unresolved_reason", pa.string()),
            ("unresolved_error", pa.string()),
            ("name", pa.string()),
            ("kind", pa.string()),
            ("status", pa.string()),
            ("size_bytes", pa.int64()),
            ("modified", pa.float64()),
            ("version", pa.string()),
            ("tensors", pa.list_(TENSOR)),
        ]
    ),
    "decode_rates": pa.schema(
        [("array_id", pa.string()), ("mbps", pa.float64()), ("samples", pa.int64()), ("updated_at", pa.float64())]
    ),
    "rois": pa.schema(
        [
            ("roi_id", pa.string()),
            ("array_id", pa.string()),
            ("set_name", pa.string()),
            ("label", pa.string()),
            ("geometry", pa.string()),
            ("plane", pa.map_(pa.uint32(), pa.uint32())),
            ("props_json", pa.string()),
            ("drawn_against_version", pa.binary()),
            ("rev", pa.int64()),
            ("created_at_unix_ms", pa.int64()),
            ("updated_at_unix_ms", pa.int64()),
        ]
    ),
}


def table_of(rows: list[dict[str, Any]], schema: pa.Schema) -> pa.Table:
    """Rows as a table; keys that are no column are left out."""
    return pa.Table.from_pylist(rows, schema=schema)
