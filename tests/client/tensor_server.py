"""A tiny tensor server that is not ours: plans on a fixed grid, answers with more than was asked for."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.flight as flight
from biopb.tensor.descriptor_pb2 import FlightRequest, PyramidLevel, SliceHint, TensorDescriptor
from biopb.tensor.ticket_pb2 import ChunkBounds, TensorTicket

CHUNK = 40
ROWS = [{"source_id": "old-1", "source_url": "file:///x/old.czi", "source_type": "czi", "is_resolved": True}]


class TensorServer(flight.FlightServerBase):
    """Serves one array of two axes under the name ``old-1``."""

    def __init__(self, pixels: np.ndarray[Any, Any], health: dict[str, Any]) -> None:
        super().__init__("grpc://127.0.0.1:0")
        self.pixels = pixels
        self.health = health
        self.wire = b"2"
        self.lie = ""

    def do_action(self, context: Any, action: Any) -> Iterator[bytes]:
        if action.type != "health":
            raise flight.FlightServerError(f"Unknown action: {action.type}")
        yield json.dumps(self.health).encode()

    def get_flight_info(self, context: Any, descriptor: Any) -> Any:
        if descriptor.path:
            return flight.FlightInfo(table([]).schema, descriptor, [], -1, -1)
        asked = FlightRequest.FromString(descriptor.command).tensor_read
        if asked.array_id != "old-1":
            extra = b'{"code": "NOT_FOUND"}'
            raise flight.FlightServerError(f"Source not found: {asked.array_id}", extra_info=extra)
        scale = list(asked.scale_hint) or [1, 1]
        low, high = [0, 0], list(self.pixels.shape)
        if asked.HasField("slice_hint"):  # snapped outward, as the reference does
            grid = [CHUNK * s for s in scale]
            low = [a // g * g for a, g in zip(asked.slice_hint.start, grid, strict=True)]
            high = [
                min(-(-b // g) * g, n) for b, g, n in zip(asked.slice_hint.stop, grid, self.pixels.shape, strict=True)
            ]
        shape = [-(-(b - a) // s) for a, b, s in zip(low, high, scale, strict=True)]
        told = TensorDescriptor(
            array_id="old-1", dim_labels=["y", "x"], shape=shape, chunk_shape=[CHUNK, CHUNK],
            dtype=self.pixels.dtype.str, slice_hint=SliceHint(start=low, stop=high),
            physical_scale=[0.25, 0.5], physical_unit=["µm", "µm"], metadata_json=json.dumps(METADATA),
        )  # fmt: skip
        told.pyramid.append(PyramidLevel(scale_hint=[1, 1], shape=self.pixels.shape))
        coarse = [-(-n // 2) for n in self.pixels.shape]
        told.pyramid.append(PyramidLevel(scale_hint=[2, 2], shape=coarse, reduction_method="nearest"))
        endpoints = []
        if "endpoints" in asked.fields.paths:
            for y in range(0, shape[0], CHUNK):
                for x in range(0, shape[1], CHUNK):
                    stop = [min(y + CHUNK, shape[0]), min(x + CHUNK, shape[1])]
                    about = json.dumps([low, scale, [y, x], stop]).encode()
                    ticket = TensorTicket(chunk_id=about).SerializeToString()
                    bounds = ChunkBounds(start=[y, x], stop=stop).SerializeToString()
                    endpoints.append(flight.FlightEndpoint(ticket, [], None, bounds))
        if self.lie == "missing":
            endpoints = endpoints[1:]
        schema = pa.schema([], {b"chunk_wire_protocol": self.wire})
        command = flight.FlightDescriptor.for_command(told.SerializeToString())
        return flight.FlightInfo(schema, command, endpoints, -1, -1)

    def do_get(self, context: Any, ticket: Any) -> Any:
        asked = TensorTicket.FromString(ticket.ticket)
        if asked.HasField("catalog_query"):
            return flight.RecordBatchStream(self.rows(asked.catalog_query.sql))
        low, scale, start, stop = json.loads(asked.chunk_id)
        part = self.pixels[low[0] :: scale[0], low[1] :: scale[1]][start[0] : stop[0], start[1] : stop[1]]
        if self.lie == "shape":
            part = part[:-1]
        columns = [pa.array([part.tobytes()], pa.binary()), pa.array([list(part.shape)]), pa.array([part.dtype.str])]
        return flight.RecordBatchStream(pa.table(columns, ["data", "shape", "dtype"]))

    def rows(self, sql: str) -> Any:
        if "unresolved_reason" in sql:
            raise flight.FlightServerError("Binder Error: no column unresolved_reason")
        if "count(*)" in sql:
            return pa.table({"n": [1]})
        if "metadata_json" in sql and "ILIKE" not in sql:
            return pa.table({"metadata_json": [json.dumps(METADATA["metadata"])]})
        named = "source_id = '" in sql and "'old-1'" not in sql
        rows = table([] if named else [{**ROWS[0], "tensors": [TENSOR | {"shape": list(self.pixels.shape)}]}])
        return rows.replace_schema_metadata({"returned_rows": "1", "total_rows": "9", "truncated": "True"})


TENSOR = {"array_id": "old-1", "dim_labels": ["y", "x"], "shape": [], "dtype": ">u2"}
METADATA = {
    "type": "czi",
    "dim_label": ["y", "x"],
    "metadata": {"images": [{"pixels": {"channels": [{"name": "Red", "color": -16776961}]}}]},
}


def table(rows: list[dict[str, Any]]) -> Any:
    tensors = pa.list_(
        pa.struct(
            [
                ("array_id", pa.string()),
                ("dim_labels", pa.list_(pa.string())),
                ("shape", pa.list_(pa.int64())),
                ("dtype", pa.string()),
            ]
        )
    )
    names = ("source_id", "source_url", "source_type")
    schema = pa.schema([*((n, pa.string()) for n in names), ("is_resolved", pa.bool_()), ("tensors", tensors)])
    return pa.Table.from_pylist(rows, schema)
