"""Chunks by the tickets of Arrow Flight, over HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from biopb.tensor.descriptor_pb2 import FlightRequest, TensorReadOption
from biopb.tensor.ticket_pb2 import TensorTicket
from pyarrow import flight
from starlette.testclient import TestClient

from coverslip.app import catalog_of, create_app
from coverslip.settings import Settings

TOKEN = "sesame-sesame-sesame"
PIXELS = np.random.default_rng(0).integers(0, 60000, (3, 200, 300), np.uint16)


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[TestClient, Any]]:
    """HTTP and Flight of one server."""
    tifffile.imwrite(tmp_path / "three.ome.tif", PIXELS, metadata={"axes": "ZYX"})
    tifffile.imwrite(tmp_path / "swapped.tif", PIXELS[0].astype(">u2"), byteorder=">")
    catalog = catalog_of([tmp_path / "three.ome.tif", tmp_path / "swapped.tif"])
    app = create_app(catalog, Settings(token=TOKEN, flight_port=0), 8765)
    headers = {"authorization": f"Bearer {TOKEN}"}
    with TestClient(app, base_url="http://127.0.0.1:8765", headers=headers) as client:
        assert catalog.wait_idle(60)
        front = app.state.flight
        early = client.get("/api/sources/three.ome/ticket/00")
        assert early.status_code == 503, "Flight is started once HTTP answers"
        for path, status in {"livez": 200, "healthz": 200, "readyz": 503}.items():
            told = client.get(f"/{path}")
            assert (told.status_code, told.json()["status"]) == (status, "ok" if path == "livez" else "degraded")
        front.start()
        assert client.get("/readyz").status_code == 200
        assert client.get("/healthz").json()["ready"] is True
        connection = flight.connect(f"grpc://127.0.0.1:{front.port}")
        yield client, connection
        connection.close()
        front.close()


def tickets(connection: Any, array_id: str, *fields: str) -> list[bytes]:
    option = TensorReadOption(array_id=array_id)
    option.fields.paths.extend(("endpoints", *fields))
    command = FlightRequest(tensor_read=option).SerializeToString()
    options = flight.FlightCallOptions(headers=[(b"authorization", f"Bearer {TOKEN}".encode())])
    info = connection.get_flight_info(flight.FlightDescriptor.for_command(command), options)
    return [endpoint.ticket.ticket for endpoint in info.endpoints]


def test_a_ticket_gives_its_chunk(served: tuple[TestClient, Any]) -> None:
    client, connection = served
    found = []
    for ticket in tickets(connection, "three.ome"):
        answer = client.get(f"/api/sources/three.ome/ticket/{ticket.hex()}")
        assert answer.status_code == 200, answer.text
        shape = [int(n) for n in answer.headers["X-Shape"].split(",")]
        found.append(np.frombuffer(answer.content, answer.headers["X-Dtype"]).reshape(shape).squeeze())
        again = client.get(
            f"/api/sources/three.ome/ticket/{ticket.hex()}", headers={"if-none-match": answer.headers["etag"]}
        )
        assert again.status_code == 304
    assert sum(part.sum(dtype=np.int64) for part in found) == PIXELS.sum(dtype=np.int64)
    if len(found) == 1:
        np.testing.assert_array_equal(found[0], PIXELS)


def test_bytes_are_little_endian(served: tuple[TestClient, Any]) -> None:
    client, connection = served
    (ticket,) = tickets(connection, "swapped")
    answer = client.get(f"/api/sources/swapped/ticket/{ticket.hex()}")
    assert answer.headers["X-Dtype"] == "uint16"
    np.testing.assert_array_equal(np.frombuffer(answer.content, "<u2"), PIXELS[0].reshape(-1))


def test_what_is_no_ticket(served: tuple[TestClient, Any]) -> None:
    client, connection = served
    good = tickets(connection, "three.ome")[0]
    query = TensorTicket()
    query.catalog_query.sql = "SELECT 1"
    for source, ticket, status in (
        ("three.ome", "xyz", 400),
        ("three.ome", "", 400),
        ("three.ome", "ff" * 40, 400),
        ("three.ome", query.SerializeToString().hex(), 400),
        ("three.ome", good[:-1].hex(), 400),
        ("swapped", good.hex(), 404),
    ):
        answer = client.get(f"/api/sources/{source}/ticket/{ticket}")
        assert answer.status_code == status, (ticket[:20], answer.text)
    assert client.get(f"/api/sources/three.ome/ticket/{good.hex()}", headers={"authorization": ""}).status_code == 401


def test_a_ticket_of_a_file_that_changed(served: tuple[TestClient, Any], tmp_path: Path) -> None:
    client, connection = served
    ticket = tickets(connection, "three.ome")[0]
    tifffile.imwrite(tmp_path / "three.ome.tif", PIXELS + 1, metadata={"axes": "ZYX"})
    answer = client.get(f"/api/sources/three.ome/ticket/{ticket.hex()}")
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "superseded")


def test_without_flight(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "x.tif", PIXELS[0])
    app = create_app(catalog_of(tmp_path / "x.tif"), Settings(), 8765)
    with TestClient(app, base_url="http://127.0.0.1:8765") as client:
        answer = client.get("/api/sources/x/ticket/00")
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "no_flight")
