"""What a token for reading and a link to one source open over Arrow Flight: everything to read, and nothing."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from biopb.tensor.ticket_pb2 import ChunkRef, PutCommand, RoiDelete, RoiPut, RoiRead, TensorTicket
from flight_reading import Reader, tickets
from pyarrow import flight

from coverslip.app import catalog_of
from coverslip.domains.images import Images
from coverslip.engine.annotations import Annotations
from coverslip.engine.keys import Keys
from coverslip.engine.options import CatalogOptions
from coverslip.formats import recognise
from coverslip.fronts.flight.front import FlightFront
from coverslip.fronts.flight.options import FlightOptions
from coverslip.fronts.flight.writing import Writing
from coverslip.fronts.scopes import CODE, FLIGHT_CHANGES, FLIGHT_READS
from coverslip.settings import Settings
from coverslip.writable import root_at, uploads_of

TOKEN, READ, OTHER = "open-sesame-open-sesame", "only-reading-only-reading", "another-sesame-another"
PIXELS = np.arange(3 * 40 * 50, dtype=np.uint16).reshape(3, 40, 50)
PATIENCE_S = 60
Show = Callable[[str], Reader]


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[FlightFront, Keys, Show]]:
    """A server that may be written to, and clients that show a token."""
    folder = tmp_path / "data"
    folder.mkdir()
    tifffile.imwrite(folder / "liver.tif", PIXELS, metadata={"axes": "ZYX"}, photometric="minisblack")
    catalog = catalog_of(folder, catalog=CatalogOptions(persist=False, quiet_s=0.05, settle_s=0.2))
    uploads = uploads_of(Settings(write_dir=tmp_path / "uploads"), catalog)
    catalog.start()
    assert catalog.wait_idle(PATIENCE_S)
    keys = Keys(TOKEN, READ)
    writing = Writing(Annotations(tmp_path / "annotations.sqlite"), recognise, uploads, root_at)
    front = FlightFront(
        catalog, Images, "1", "127.0.0.1", 0, TOKEN, FlightOptions(writable=True), further=(writing,), keys=keys
    )
    front.start()
    connections: list[Any] = []

    def show(token: str) -> Reader:
        connections.append(flight.connect(front.url))
        return Reader(front, catalog, connections[-1], token)

    yield front, keys, show
    for connection in connections:
        connection.close()
    front.close()
    catalog.close()
    if uploads is not None:
        uploads.close()


def attempts(front: FlightFront, client: Reader) -> dict[str, Callable[[], Any]]:
    """One call of everything that is answered, by its name on the wire."""
    puts = {
        "chunk_ticket": PutCommand(chunk_ticket=b"x"),
        "roi_put": PutCommand(roi_put=RoiPut(array_id="x")),
        "roi_delete": PutCommand(roi_delete=RoiDelete(array_id="x")),
    }
    query = TensorTicket()
    query.catalog_query.sql = "SELECT 1"
    gets = {
        "catalog_query": query,
        "chunk_id": TensorTicket(chunk_id=b"x"),
        "chunk_ref": TensorTicket(chunk_ref=ChunkRef()),
        "roi_read": TensorTicket(roi_read=RoiRead(array_id="x")),
    }

    def put(command: PutCommand) -> None:
        descriptor = flight.FlightDescriptor.for_command(command.SerializeToString())
        writer, reader = client.connection.do_put(descriptor, flight_schema(), client.options)
        with writer:
            writer.done_writing()
            reader.read()

    def get(ticket: TensorTicket) -> Any:
        return client.connection.do_get(flight.Ticket(ticket.SerializeToString()), client.options).read_all()

    made: dict[str, Callable[[], Any]] = {
        name: lambda name=name: client.action(name) for name in front.registry.actions
    }
    made |= {name: lambda ticket=gets[name]: get(ticket) for name in front.registry.reads}
    return made | {name: lambda command=puts[name]: put(command) for name in front.registry.puts}


def flight_schema() -> Any:
    import pyarrow as pa

    return pa.schema([("data", pa.uint16())])


def refusal_of(attempt: Callable[[], Any]) -> tuple[type[Exception], str] | None:
    """Which error an attempt ends with, and its reason; None for none."""
    try:
        attempt()
    except flight.FlightError as error:
        about = json.loads(bytes(error.extra_info)) if error.extra_info else {}
        return type(error), about.get("reason", "")
    return None


def test_everything_that_is_answered_stands_in_one_of_the_two_tables(served: tuple[FlightFront, Keys, Show]) -> None:
    front, _, show = served
    names = {*front.registry.actions, *front.registry.reads, *front.registry.puts}
    assert names == FLIGHT_READS | FLIGHT_CHANGES.keys()
    assert not FLIGHT_READS & FLIGHT_CHANGES.keys()
    assert set(front.registry.puts) <= FLIGHT_CHANGES.keys()
    assert {name for name, (gate, _) in front.registry.actions.items() if gate == "write"} <= FLIGHT_CHANGES.keys()
    assert attempts(front, show(TOKEN)).keys() == names


def test_a_token_for_reading_reads_everything_and_changes_nothing(served: tuple[FlightFront, Keys, Show]) -> None:
    front, _, show = served
    for name, attempt in attempts(front, show(READ)).items():
        refused = refusal_of(attempt)
        assert (refused == (flight.FlightUnauthorizedError, CODE)) == (name in FLIGHT_CHANGES), (name, refused)
    for name, attempt in attempts(front, show(TOKEN)).items():
        refused = refusal_of(attempt)
        assert refused is None or refused[1] != CODE, name
    client = show(READ)
    np.testing.assert_array_equal(client.read(client.id("liver")), PIXELS)
    assert client.id("liver") in client.query("SELECT source_id FROM sources").column("source_id").to_pylist()
    assert len(list(client.connection.list_flights(b"", client.options))) > 0
    with pytest.raises(flight.FlightUnauthorizedError, match="An image is uploaded here: this token is for reading"):
        client.action("add_tensor")


def test_what_nobody_has_decided_on_is_refused(served: tuple[FlightFront, Keys, Show]) -> None:
    front, _, show = served
    front.registry.action("something_new", lambda body, call: iter([b"done"]))
    assert show(TOKEN).action("something_new") == [b"done"]
    assert refusal_of(lambda: show(READ).action("something_new")) == (flight.FlightUnauthorizedError, CODE)


def test_a_link_opens_nothing_here(served: tuple[FlightFront, Keys, Show]) -> None:
    front, keys, show = served
    admin = show(TOKEN)
    id = admin.id("liver")
    link, _, link_id = keys.share(id, admin.catalog.where(id)[0], 60)
    for name, attempt in attempts(front, show(link)).items():
        refused = refusal_of(attempt)
        if name != "health":  # open to anybody
            assert refused is not None
            assert refused[0] is flight.FlightUnauthenticatedError, (name, refused)
    with pytest.raises(flight.FlightUnauthenticatedError):
        show(link).plan(id)
    with pytest.raises(flight.FlightUnauthenticatedError):
        list(admin.connection.list_flights(b"", show(link).options))
    for cookie in (keys.session, keys.cookie(keys.right_of(link) or pytest.fail("a link"))):
        with pytest.raises(flight.FlightUnauthenticatedError):
            show(cookie).plan(id)
    keys.revoke(link_id)
    with pytest.raises(flight.FlightUnauthenticatedError):
        show(link).plan(id)


def test_another_token_ends_the_old_one_and_its_tickets(served: tuple[FlightFront, Keys, Show]) -> None:
    _, keys, show = served
    old, reading = show(TOKEN), show(READ)
    id = old.id("liver")
    ticket = tickets(old.plan(id))[0]
    nobody = show("")
    before = nobody.chunk(ticket)
    keys.rotate(OTHER, None)
    for client in (old, reading):
        with pytest.raises(flight.FlightUnauthenticatedError):
            client.plan(id)
    with pytest.raises(flight.FlightUnauthenticatedError):
        nobody.chunk(ticket)
    new = show(OTHER)
    np.testing.assert_array_equal(nobody.chunk(tickets(new.plan(id))[0]), before)


def test_for_a_while_tickets_of_both_hold(served: tuple[FlightFront, Keys, Show]) -> None:
    _, keys, show = served
    old, nobody = show(TOKEN), show("")
    id = old.id("liver")
    ticket = tickets(old.plan(id))[0]
    keys.rotate(OTHER, None, grace_s=600)
    for one in (ticket, tickets(old.plan(id))[0], tickets(show(OTHER).plan(id))[0]):
        assert nobody.chunk(one).dtype == PIXELS.dtype
