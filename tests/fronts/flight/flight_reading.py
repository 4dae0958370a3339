"""A Flight server in this process, and calls as the stock client makes them, by its own message classes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from biopb.tensor.descriptor_pb2 import FlightRequest, SliceHint, TensorDescriptor, TensorReadOption
from biopb.tensor.ticket_pb2 import ChunkBounds, ChunkRef, TensorTicket, TicketStub
from pyarrow import flight

from coverslip.app import catalog_of
from coverslip.core.node import Source
from coverslip.domains.images import Images
from coverslip.engine.catalog import Catalog
from coverslip.engine.options import CatalogOptions
from coverslip.engine.sidecar import Shelf
from coverslip.fronts.flight.front import FlightFront
from coverslip.fronts.flight.options import FlightOptions

TOKEN = "a-token-of-sixteen-letters"
PATIENCE_S = 60
QUICK = replace(CatalogOptions(), settle_s=0.5)


def images_of(source: Source) -> Images:
    return Images(source, Shelf())


@dataclass
class Reader:
    """A client of one server."""

    front: FlightFront
    catalog: Catalog
    connection: Any
    token: str | None = None

    @property
    def options(self) -> Any:
        headers = [(b"authorization", f"Bearer {self.token}".encode())] if self.token else []
        return flight.FlightCallOptions(headers=headers)

    def id(self, name: str) -> str:
        """The id of the source of this name."""
        return next(row.id for row in self.catalog.entries()[0] if row.id.rpartition("-")[0] == name)

    def plan(
        self,
        array_id: str,
        start: list[int] | None = None,
        stop: list[int] | None = None,
        scale: tuple[int, ...] = (),
        how: str = "",
        fields: tuple[str, ...] = ("endpoints", "ticket_stub"),
    ) -> Any:
        option = TensorReadOption(array_id=array_id, scale_hint=scale, reduction_method=how)
        if start is not None:
            option.slice_hint.CopyFrom(SliceHint(start=start, stop=stop))
        option.fields.paths.extend(fields)
        command = FlightRequest(tensor_read=option).SerializeToString()
        return self.connection.get_flight_info(flight.FlightDescriptor.for_command(command), self.options)

    def describe(self, array_id: str, *fields: str) -> TensorDescriptor:
        return TensorDescriptor.FromString(self.plan(array_id, fields=fields).descriptor.command)

    def chunk(self, ticket: bytes) -> npt.NDArray[Any]:
        """The elements of one chunk, decoded as the client does."""
        (batch,) = self.connection.do_get(flight.Ticket(ticket), self.options).read_all().to_batches()
        assert batch.schema.names[:3] == ["data", "shape", "dtype"]
        assert batch.num_rows == 1
        dtype, shape = np.dtype(batch.column("dtype")[0].as_py()), tuple(batch.column("shape").to_pylist()[0])
        return np.frombuffer(batch.column("data")[0].as_py(), dtype).reshape(shape)

    def read(self, array_id: str, *selection: Any, **more: Any) -> npt.NDArray[Any]:
        """All chunks of a plan put together by their bounds."""
        info = self.plan(array_id, *selection, **more)
        told = TensorDescriptor.FromString(info.descriptor.command)
        assert info.schema.metadata == {b"chunk_wire_protocol": b"2", b"flight_protocol": b"3"}
        out = np.full(tuple(told.shape), 77, np.dtype(told.dtype))
        seen = np.zeros(out.shape, np.uint8)
        for ticket, endpoint in zip(tickets(info), info.endpoints, strict=True):
            bounds = ChunkBounds.FromString(endpoint.app_metadata)
            where = tuple(slice(a, b) for a, b in zip(bounds.start, bounds.stop, strict=True))
            out[where] = self.chunk(ticket)
            seen[where] += 1
        assert (seen == 1).all()
        return out

    def query(self, sql: str) -> pa.Table:
        ticket = TensorTicket()
        ticket.catalog_query.sql = sql
        return self.connection.do_get(flight.Ticket(ticket.SerializeToString()), self.options).read_all()

    def action(self, name: str, body: bytes = b"") -> list[bytes]:
        return [r.body.to_pybytes() for r in self.connection.do_action(flight.Action(name, body), self.options)]


def tickets(info: Any) -> list[bytes]:
    """What the client sends for each chunk: of a sealed plan identity, index and grant, one after the other."""
    told = TensorDescriptor.FromString(info.descriptor.command)
    if not told.ticket_stub:
        return [endpoint.ticket.ticket for endpoint in info.endpoints]
    stub = TensorTicket.FromString(told.ticket_stub).chunk_ref.stub
    parts = (TicketStub(identity=stub.identity), TicketStub(grant=stub.grant))
    key, grant = (TensorTicket(chunk_ref=ChunkRef(stub=part)).SerializeToString() for part in parts)
    return [key + endpoint.ticket.ticket + grant for endpoint in info.endpoints]


@contextmanager
def serving(
    *data: Path, token: str | None = None, options: FlightOptions | None = None, wait: bool = True, **more: Any
) -> Iterator[Reader]:
    """A server of some paths, and a client that shows its token."""
    catalog = catalog_of(list(data), catalog=QUICK)
    catalog.start()
    front = FlightFront(catalog, images_of, "1", "127.0.0.1", 0, token, options, **more)
    try:
        assert not wait or catalog.wait_idle(PATIENCE_S)
        front.start()
        with flight.connect(front.url, disable_server_verification=True) as connection:
            yield Reader(front, catalog, connection, token)
    finally:
        front.close()
        catalog.close()
