"""A writable Flight server in this process, and a client that writes by the protocol's own messages."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import zarr
from biopb.image.annotation_pb2 import RoiPutResult
from biopb.tensor.descriptor_pb2 import (
    FlightRequest,
    TensorDescriptor,
    TensorReadOption,
    UploadStatus,
)
from biopb.tensor.ticket_pb2 import PutCommand, RoiPut, SetUploadStatus
from pyarrow import flight

from coverslip.app import catalog_of
from coverslip.domains.images import Images
from coverslip.engine.annotations import Annotations
from coverslip.engine.options import CatalogOptions
from coverslip.formats import recognise
from coverslip.fronts.flight import roi_rows
from coverslip.fronts.flight.front import FlightFront
from coverslip.fronts.flight.options import FlightOptions
from coverslip.fronts.flight.writing import Writing
from coverslip.settings import Settings
from coverslip.writable import root_at, uploads_of

TOKEN = "secret-of-the-lab"
PIXELS = np.arange(6 * 40 * 50, dtype=np.uint16).reshape(6, 40, 50)
POINT = '{"point": {"x": 3.5, "y": 4}}'


@dataclass
class Served:
    """A server in this process, and what its clients do."""

    front: FlightFront
    data: Path
    catalog: Any
    uploads: Any

    def end(self) -> None:
        self.front.close()
        self.catalog.close()
        if self.uploads is not None:
            self.uploads.close()

    def client(self, token: str | None = TOKEN) -> Client:
        return Client(flight.connect(self.front.url), token)


@dataclass
class Client:
    connection: Any
    token: str | None

    @property
    def options(self) -> Any:
        headers = [(b"authorization", f"Bearer {self.token}".encode())] if self.token else []
        return flight.FlightCallOptions(headers=headers)

    def action(self, name: str, body: bytes | Any) -> list[bytes]:
        data = body if isinstance(body, bytes) else body.SerializeToString()
        return [r.body.to_pybytes() for r in self.connection.do_action(flight.Action(name, data), self.options)]

    def plan(self, array_id: str, fields: tuple[str, ...] = ("endpoints",), **option: Any) -> Any:
        asked = TensorReadOption(array_id=array_id, **option)
        asked.fields.paths.extend(fields)
        command = FlightRequest(tensor_read=asked).SerializeToString()
        return self.connection.get_flight_info(flight.FlightDescriptor.for_command(command), self.options)

    def described(self, array_id: str, *fields: str) -> TensorDescriptor:
        return TensorDescriptor.FromString(self.plan(array_id, fields).descriptor.command)

    def put(self, command: PutCommand, table: pa.Table) -> bytes:
        descriptor = flight.FlightDescriptor.for_command(command.SerializeToString())
        writer, reader = self.connection.do_put(descriptor, table.schema, self.options)
        with writer:
            if table.num_rows:
                writer.write_table(table)
            writer.done_writing()
            reply = reader.read()
        return reply.to_pybytes() if reply is not None else b""

    def chunk(self, ticket: bytes, values: Any, name: str = "data") -> None:
        array = values if isinstance(values, pa.Array) else pa.array(np.asarray(values).ravel())
        self.put(PutCommand(chunk_ticket=ticket), pa.table({name: array}))

    def get(self, ticket: bytes) -> pa.Table:
        return self.connection.do_get(flight.Ticket(ticket), self.options).read_all()

    def declare(self, name: str, **more: Any) -> TensorDescriptor:
        given = {"shape": PIXELS.shape, "dtype": "<u2", "chunk_shape": (2, 40, 30), "dim_labels": "zyx", **more}
        (found,) = self.action("add_tensor", TensorDescriptor(array_id=name, **given))
        return TensorDescriptor.FromString(found)

    def move(self, name: str, state: str, reason: str = "") -> UploadStatus:
        asked = SetUploadStatus(array_id=name, state=UploadStatus.State.Value(state), reason=reason)
        return UploadStatus.FromString(self.action("set_upload_status", asked)[0])

    def rois(self, array_id: str, rows: list[dict[str, Any]], check_rev: bool = False) -> RoiPutResult:
        schema = pa.schema(
            [roi_rows.SCHEMA.field(name) for name in (rows[0] if rows else {"geometry": 0, "set_name": 0})]
        )
        command = PutCommand(roi_put=RoiPut(array_id=array_id, check_rev=check_rev))
        return RoiPutResult.FromString(self.put(command, pa.Table.from_pylist(rows, schema)))


Serve = Callable[..., Served]


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """Starts servers of a folder with the image ``liver``."""
    running: list[Served] = []

    def begin(writable: bool = True, adding: bool = False, place: Path | None = None, persist: bool = False) -> Served:
        data = tmp_path / "data"
        data.mkdir(exist_ok=True)
        if not (data / "liver.zarr").exists():
            write_image(data / "liver.zarr")
        options = CatalogOptions(persist=persist, quiet_s=0.05, settle_s=0.2)
        catalog = catalog_of([data], catalog=options)
        uploads = uploads_of(Settings(write_dir=(place or data / "uploads") if writable else None), catalog)
        catalog.start()
        assert catalog.wait_idle(20)
        kept = Annotations(tmp_path / "annotations.sqlite")
        writing = Writing(kept, recognise, uploads, root_at if adding else None)
        front = FlightFront(
            catalog, Images, "1", "127.0.0.1", 0, TOKEN, FlightOptions(writable=writable), further=(writing,)
        )
        front.start()
        served = Served(front, data, catalog, uploads)
        running.append(served)
        return served

    yield begin
    for served in running:
        served.end()


def write_image(path: Path) -> None:
    group = zarr.open_group(path, mode="w", zarr_format=3)
    group.create_array("0", data=PIXELS)
    axes = [{"name": name, "type": "space", "unit": "micrometer"} for name in "zyx"]
    scale = [{"type": "scale", "scale": [2.0, 0.5, 0.5]}]
    levels = [{"path": "0", "coordinateTransformations": scale}]
    ome: Any = {"version": "0.5", "multiscales": [{"axes": axes, "datasets": levels}]}
    group.attrs["ome"] = ome


def liver(served: Served) -> str:
    (row,) = [r for r in served.catalog.entries()[0] if r.name == "liver.zarr"]
    return str(row.id)


def words(error: pytest.ExceptionInfo[Any]) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(bytes(error.value.extra_info))
    return told
