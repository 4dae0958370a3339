"""A server over Arrow Flight: the tensor server's protocol, generations 2 and 3, with the message classes of ``biopb``.

Source: `docs/reference/flight.md`; chunk streams are of wire version 2.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pyarrow.flight as flight

from coverslip.client import flight_facts as facts
from coverslip.client.address import Address, Target
from coverslip.client.connections import changed
from coverslip.client.errors import CannotConnect, TooOld, understanding
from coverslip.client.flight_errors import told
from coverslip.client.model import Description, Entry, Health, Rows
from coverslip.client.tls import Trust
from coverslip.core.errors import Damaged, NotFound

if TYPE_CHECKING:
    import numpy.typing as npt
    from biopb.tensor.descriptor_pb2 import TensorDescriptor, TensorReadOption

    from coverslip.client.transport import Index

PROTOCOLS = frozenset({2, 3})
WIRE = b"2"
ASK_S = 30.0
"""How long a question about the catalog or an image may take."""
READ_S = 600.0
"""How long one chunk may take."""
COLUMNS = (
    "source_id", "source_url", "source_type", "is_resolved", "unresolved_reason", "tensors", "name", "kind", "status",
)  # fmt: skip
Chunk = tuple[bytes, tuple[int, ...], tuple[int, ...]]


class FlightTransport:
    """A server over Arrow Flight.

    Parameters
    ----------
    target
        The server and its token.
    trust
        Which certificates are taken.
    """

    def __init__(self, target: Target, trust: Trust) -> None:
        self._target = target
        self._trust = trust
        self._lock = threading.Lock()
        self._client: flight.FlightClient | None = None
        self._columns: str | None = None
        self._reading: set[Any] = set()
        headers = [(b"authorization", f"Bearer {target.token}".encode())] if target.token else []
        self._asking = flight.FlightCallOptions(timeout=ASK_S, headers=headers)
        self._fetching = flight.FlightCallOptions(timeout=READ_S, headers=headers)

    @property
    def address(self) -> Address:
        """Where the server is."""
        return self._target.address

    def health(self) -> Health:
        """As `Transport.health`."""
        with self._call() as client:
            answers = list(client.do_action(flight.Action("health", b""), options=self._asking))
        try:
            found = json.loads(answers[0].body.to_pybytes())
            protocol = int(found.get("protocol", 1))
        except (IndexError, ValueError, AttributeError, TypeError, OverflowError, RecursionError) as error:
            raise CannotConnect(
                f"What answers at {self.address} is no tensor server", "Check the port.", "not_coverslip"
            ) from error
        if protocol not in PROTOCOLS:
            known = " and ".join(map(str, sorted(PROTOCOLS)))
            raise TooOld(
                f"The server at {self.address} speaks protocol {protocol}; this client speaks {known}",
                "Upgrade the server." if protocol < min(PROTOCOLS) else "Upgrade coverslip here.",
            )
        scanning = bool(found.get("full_scan_in_progress"))
        return Health(found.get("status", "SERVING") == "SERVING", found.get("source_count"), scanning, found)

    def check_token(self) -> None:
        """As `Transport.check_token`."""
        self.table("SELECT 1 FROM sources LIMIT 0")

    def count(self, search: str = "") -> int:
        """As `Transport.count`."""
        found = self.table(f"SELECT count(*) AS n FROM sources{facts.where(search)}")  # noqa: S608  (quoted)
        return int(found.column("n")[0].as_py())

    def page(self, offset: int, limit: int, search: str = "") -> list[Entry]:
        """As `Transport.page`."""
        return self._entries(f"{facts.where(search)} ORDER BY source_id LIMIT {limit:d} OFFSET {offset:d}")

    def everything(self) -> list[Entry]:
        """As `Transport.everything`."""
        return self._entries(" ORDER BY source_id")

    def source(self, id: str) -> Entry | None:
        """As `Transport.source`."""
        return next(iter(self._entries(f" WHERE source_id = {facts.quoted(id)}")), None)

    def metadata(self, id: str) -> Any:
        """As `Transport.metadata`."""
        query = f"SELECT metadata_json FROM sources WHERE source_id = {facts.quoted(id)}"  # noqa: S608  (quoted)
        rows = self.table(query).to_pylist()
        if not rows:
            raise NotFound(f"Source not found: {id}", "List what there is: coverslip tensor query.")
        return facts.decoded(rows[0]["metadata_json"])

    def sql(self, query: str) -> Rows:
        """As `Transport.sql`."""
        table = self.table(query)
        rows = Rows(table.to_pylist(), table)
        about = table.schema.metadata or {}
        rows.truncated = about.get(b"truncated") == b"True"
        total = about.get(b"total_rows", b"")
        rows.total = int(total) if total.isdigit() else None
        return rows

    def describe(self, array_id: str) -> Description:
        """As `Transport.describe`."""
        return facts.described(self._compatible(facts.description_option(array_id)).descriptor.command)

    def read(
        self, image: Description, level: int, start: Index, stop: Index, out: npt.NDArray[Any] | None = None
    ) -> npt.NDArray[Any]:
        """As `Transport.read`."""
        import numpy as np

        shape = tuple(b - a for a, b in zip(start, stop, strict=True))
        if 0 in shape:
            return np.empty(shape, image.numpy_dtype) if out is None else out
        option = facts.box_option(image, level, start, stop)
        option.fields.paths.append("endpoints")
        found, chunks = self._plan(option)
        if found.HasField("content_version") and found.content_version.hex() != image.version:
            raise changed()
        with understanding():
            offset = facts.offset_in(found, option)
        if out is None and len(chunks) == 1 and not any(offset) and chunks[0][1:] == ((0,) * len(shape), shape):
            return self._chunk(chunks[0][0], shape, image.numpy_dtype)  # as it came, not to be written to
        whole = np.empty(shape, image.numpy_dtype) if out is None else out
        filled = 0
        for ticket, low, high in chunks:
            with understanding():
                into, of = facts.overlap(low, high, offset, shape)
            if any(s.start >= s.stop for s in into):
                continue
            pixels = self._chunk(ticket, tuple(b - a for a, b in zip(low, high, strict=True)), image.numpy_dtype)
            whole[into] = pixels[of]
            filled += pixels[of].size
        if filled != whole.size:
            raise Damaged(f"The server's plan covers {filled:,} of {whole.size:,} elements", "Report it to its makers.")
        return whole

    def info(self, option: TensorReadOption) -> flight.FlightInfo:
        """The server's plan of a read, as it comes."""
        from biopb.tensor.descriptor_pb2 import FlightRequest

        command = FlightRequest(tensor_read=option).SerializeToString()
        with self._call() as client:
            return client.get_flight_info(flight.FlightDescriptor.for_command(command), options=self._asking)

    def table(self, sql: str) -> Any:
        """The `pyarrow.Table` that answers a query."""
        with self._call() as client:
            return client.do_get(flight.Ticket(facts.catalog_ticket(sql)), options=self._asking).read_all()

    def action(self, name: str) -> Mapping[str, Any]:
        """The JSON that an action answers."""
        with self._call() as client:
            answers = list(client.do_action(flight.Action(name, b""), options=self._asking))
        found = facts.decoded(answers[0].body.to_pybytes()) if answers else {}
        return found if isinstance(found, Mapping) else {}

    def cancel(self) -> None:
        """As `Transport.cancel`."""
        with self._lock:
            reading = list(self._reading)
        for reader in reading:
            reader.cancel()

    def close(self) -> None:
        """As `Transport.close`."""
        self.cancel()
        with self._lock:
            client, self._client = self._client, None
        if client is not None:
            client.close()

    def _entries(self, rest: str) -> list[Entry]:
        """Rows of the catalog; columns that a server has or not are told by the server itself."""
        if self._columns is None:
            names = set(self._schema_names())
            self._columns = ", ".join(c for c in COLUMNS if not names or c in names)
        query = f"SELECT {self._columns} FROM sources{rest}"  # noqa: S608  (our own words)
        return facts.entries(self.table(query).to_pylist())

    def _schema_names(self) -> list[str]:
        with self._call() as client:
            info = client.get_flight_info(flight.FlightDescriptor.for_path("sources"), options=self._asking)
        return list(info.schema.names)

    # -- one call ----------------------------------------------------------------------------------------------------

    @contextmanager
    def _call(self) -> Iterator[flight.FlightClient]:
        """The connection; what goes wrong on it becomes one of our errors."""
        try:
            yield self._opened()
        except (flight.FlightError, OSError, ValueError, KeyError) as error:
            raise told(error, self._target, self._trust) from error

    def _opened(self) -> flight.FlightClient:
        with self._lock:
            if self._client is None:
                from coverslip.client.flight_errors import tls_options

                address = self._target.address
                options = tls_options(address, self._trust) if address.tls else {}
                self._client = flight.FlightClient(address.url, **options)
            return self._client

    def _compatible(self, option: TensorReadOption) -> flight.FlightInfo:
        """A plan whose chunks come as we read them."""
        info = self.info(option)
        if (info.schema.metadata or {}).get(b"chunk_wire_protocol") != WIRE:
            raise TooOld(f"The server at {self.address} sends chunks in another way", "Upgrade the server.")
        return info

    def _plan(self, option: TensorReadOption) -> tuple[TensorDescriptor, list[Chunk]]:
        from biopb.tensor.descriptor_pb2 import TensorDescriptor
        from biopb.tensor.ticket_pb2 import ChunkBounds, ChunkRef, TensorTicket, TicketStub

        info = self._compatible(option)
        found = facts.message(TensorDescriptor, info.descriptor.command)
        prefix = b""
        if found.ticket_stub:
            stub = facts.message(TensorTicket, found.ticket_stub).chunk_ref.stub
            shared = ChunkRef(stub=TicketStub(identity=stub.identity, grant=stub.grant))
            prefix = TensorTicket(chunk_ref=shared).SerializeToString()
        chunks = []
        for endpoint in info.endpoints:
            bounds = facts.message(ChunkBounds, endpoint.app_metadata)
            chunks.append((prefix + endpoint.ticket.ticket, tuple(bounds.start), tuple(bounds.stop)))
        return found, chunks

    def _chunk(self, ticket: bytes, shape: tuple[int, ...], dtype: Any) -> npt.NDArray[Any]:
        with self._call() as client:
            reader = client.do_get(flight.Ticket(ticket), options=self._fetching)
            with self._lock:
                self._reading.add(reader)
            try:
                batch = reader.read_chunk().data
            except StopIteration:
                raise Damaged("The server sent no chunk", "Does it still run? Try again.") from None
            finally:
                with self._lock:
                    self._reading.discard(reader)
        with understanding():
            found, kind, data = facts.chunk(batch)
        if found != shape or kind != dtype:
            raise Damaged("The server sent another chunk than it had planned", "Open the image again.")
        with understanding():
            pixels: npt.NDArray[Any] = data.reshape(shape)
        return pixels
