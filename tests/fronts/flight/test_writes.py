"""Writing over Arrow Flight, byte by byte: who may, what is refused and in which words; hostile clients."""

from __future__ import annotations

import json
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import zarr
from biopb.image.annotation_pb2 import RoiDeleteResult, RoiPruneRequest, RoiPruneResult, RoiPutResult
from biopb.tensor.descriptor_pb2 import (
    AddSourceRequest,
    AddSourceResult,
    AddSourceStreamMessage,
    FlightRequest,
    RemoveSourceRequest,
    RemoveSourceResult,
    ResolveStreamMessage,
    SliceHint,
    TensorDescriptor,
    TensorReadOption,
    UploadStatus,
)
from biopb.tensor.ticket_pb2 import PutCommand, RoiDelete, RoiPut, RoiRead, SetUploadStatus, TensorTicket
from pyarrow import flight

from coverslip.app import catalog_of
from coverslip.core.errors import Damaged
from coverslip.domains.images import Images
from coverslip.engine.annotations import Annotations
from coverslip.engine.options import CatalogOptions
from coverslip.formats import recognise
from coverslip.fronts.flight import roi_rows
from coverslip.fronts.flight.front import FlightFront
from coverslip.fronts.flight.options import FlightOptions
from coverslip.fronts.flight.registry import Call
from coverslip.fronts.flight.sources import beats
from coverslip.fronts.flight.writing import Writing
from coverslip.settings import Settings
from coverslip.writable import recall, root_at, uploads_of
from disks import small_disk

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


# --- uploads ----------------------------------------------------------------------------------------------------------


def test_a_server_that_is_not_writable_says_so(serve: Serve) -> None:
    client = serve(writable=False).client()
    for attempt in (
        lambda: client.declare("zarr://scratch/@fields/a"),
        lambda: client.move("scratch/@fields/a", "READY"),
        lambda: client.chunk(b"", PIXELS),
    ):
        with pytest.raises(flight.FlightUnauthenticatedError, match="Server not in write mode"):
            attempt()


def test_nothing_is_written_without_the_token(serve: Serve) -> None:
    served = serve()
    ticket = plan_of(served.client(), "scratch/@fields/a")[0]
    attempts: list[Callable[[Client], object]] = [
        lambda c: c.declare("zarr://scratch/@fields/b"),
        lambda c: c.move("scratch/@fields/a", "DISCARDED"),
        lambda c: c.chunk(ticket, PIXELS[:2, :, :30]),
        lambda c: c.rois(liver(served), [{"set_name": "s", "geometry": POINT}]),
        lambda c: c.action("roi_prune", RoiPruneRequest(apply=True)),
        lambda c: c.action("add_source", AddSourceRequest(url=str(served.data))),
        lambda c: c.action("remove_source", RemoveSourceRequest(root_url="dnd:///x")),
        lambda c: c.action("resolve", b"liver"),
        lambda c: c.get(TensorTicket(roi_read=RoiRead(array_id=liver(served))).SerializeToString()),
    ]
    for client in (served.client(None), served.client("wrong")):
        for attempt in attempts:
            with pytest.raises(flight.FlightUnauthenticatedError, match="Invalid or missing Bearer token"):
                attempt(client)
    assert served.client().described("scratch/@fields/a", "upload_status").upload_status.uploaded_chunks == 0


def plan_of(client: Client, name: str) -> list[bytes]:
    client.declare(f"zarr://{name}")
    return [e.ticket.ticket for e in client.plan(name).endpoints]


def test_an_upload_from_begin_to_end(serve: Serve) -> None:
    served = serve()
    client = served.client()
    granted = client.declare("zarr://scratch/@fields/mine")
    assert granted.array_id == "scratch/@fields/mine"
    assert list(granted.chunk_shape) == [2, 40, 30]
    assert 86_000 < granted.ttl_seconds <= 86_400
    plan = client.plan(granted.array_id)
    assert len(plan.endpoints) == 6
    part = client.plan(granted.array_id, slice_hint=SliceHint(start=[3, 5, 31], stop=[4, 6, 32]))
    told = TensorDescriptor.FromString(part.descriptor.command)
    assert (list(told.slice_hint.start), list(told.slice_hint.stop)) == ([2, 0, 30], [4, 40, 50])
    with pytest.raises(flight.FlightUnavailableError, match="still being uploaded") as early:
        client.get(plan.endpoints[0].ticket.ticket)
    assert "unresolved" not in str(early.value)
    client.chunk(part.endpoints[0].ticket.ticket, PIXELS[2:4, :, 30:])
    at = plan.endpoints[3].ticket.ticket
    assert client.described(granted.array_id, "upload_status").upload_status.uploaded_chunks == 1
    client.chunk(at, PIXELS[2:4, :, 30:])
    assert client.move(granted.array_id, "READY") == UploadStatus(state="READY", expected_chunks=6, uploaded_chunks=1)
    (row,) = client.get(at).to_pylist()
    assert np.array_equal(np.frombuffer(row["data"], row["dtype"]).reshape(row["shape"]), PIXELS[2:4, :, 30:])
    assert served.catalog.get("scratch").tensors[0]["array_id"] == granted.array_id


def test_what_is_over_is_refused_in_the_expected_words(serve: Serve) -> None:
    client = serve().client()
    done, gone = plan_of(client, "scratch/@fields/done"), plan_of(client, "scratch/@fields/gone")
    client.move("scratch/@fields/done", "READY")
    client.move("scratch/@fields/gone", "DISCARDED", "no more")
    with pytest.raises(flight.FlightCancelledError) as sealed:
        client.chunk(done[0], PIXELS[:2, :, :30])
    assert words(sealed) == {
        "reason": "upload_sealed", "state": "READY", "source_id": "scratch/@fields/done", "detail": "",
    }  # fmt: skip
    for attempt in (
        lambda: client.chunk(gone[0], PIXELS[:2, :, :30]),
        lambda: client.move("scratch/@fields/gone", "READY"),
    ):
        with pytest.raises(flight.FlightCancelledError) as over:
            attempt()
        assert words(over) == {
            "reason": "upload_discarded", "state": "DISCARDED", "source_id": "scratch/@fields/gone",
            "detail": "no more",
        }  # fmt: skip
    with pytest.raises(flight.FlightServerError, match="There is READY and DISCARDED"):
        client.move("scratch/@fields/done", "PENDING")
    with pytest.raises(flight.FlightServerError) as nobody:
        client.move("scratch/@fields/nobody", "READY")
    assert words(nobody)["code"] == "NOT_FOUND"
    assert client.move("scratch/@fields/nobody", "DISCARDED") == UploadStatus()


def test_chunks_that_do_not_fit(serve: Serve) -> None:
    served = serve()
    client = served.client()
    tickets = plan_of(client, "scratch/@fields/a")
    good = PIXELS[:2, :, :30]
    scaled = client.plan("scratch/@fields/a", scale_hint=[1, 2, 2]).endpoints[0].ticket.ticket
    image = client.plan(liver(served)).endpoints[0].ticket.ticket
    cut = TensorTicket.FromString(tickets[0]).chunk_id
    for ticket, values, text in (
        (tickets[0], good[:1], "not the chunk"),
        (tickets[0], good.astype(np.float32), "Convert them first"),
        (tickets[0], pa.array(["a", "b"]), "object|no numbers|Convert them"),
        (tickets[0], pa.array([1, None], pa.uint16()), "without nulls"),
        (scaled, good, "full resolution"),
        (image, PIXELS, "is no upload"),
        (b"", good, "no ticket of this server"),
        (b"\xff\xff", good, "TensorTicket"),
        (TensorTicket(chunk_id=cut[:-3]).SerializeToString(), good, "no ticket of this server"),
        (TensorTicket(chunk_id=cut[:-1] + b"\x99").SerializeToString(), good, "does not have"),
        (TensorTicket(roi_read=RoiRead(array_id="x")).SerializeToString(), good, "no ticket of this server"),
    ):
        with pytest.raises(flight.FlightServerError, match=text):
            client.chunk(ticket, values)
    with pytest.raises(flight.FlightServerError, match="one column"):
        client.put(PutCommand(chunk_ticket=tickets[0]), pa.table({"a": [1], "b": [2]}))
    client.move("scratch/@fields/a", "DISCARDED")
    assert client.described("scratch/@fields/a", "upload_status").upload_status.uploaded_chunks == 0


def test_declarations_that_cannot_be(serve: Serve) -> None:
    served = serve()
    client, image = served.client(), liver(served)
    for name, more in (
        ("zarr://scratch/plain", {}),
        ("zarr://scratch/@fields/../../etc", {}),
        ("zarr://nobody/@fields/a", {}),
        ("zarr://scratch/@fields/a", {"dtype": ">u2"}),
        ("zarr://scratch/@fields/a", {"shape": (6, 0, 50)}),
        ("zarr://scratch/@fields/a", {"dim_labels": "yx"}),
        ("zarr://scratch/@fields/a", {"dim_labels": "yyx"}),
        ("zarr://scratch/@fields/a", {"metadata_json": '{"a": 1}'}),
        ("zarr://scratch/@fields/a", {"ttl_seconds": 0}),
        ("zarr://scratch/@fields/a", {"shape": (1 << 40, 1 << 30, 2), "chunk_shape": ()}),
        (f"zarr://{image}/@labels/a", {}),
        (f"zarr://{image}/@labels/a", {"dtype": "<i4"}),
        (f"zarr://{image}/@labels/a", {"dtype": "<u4", "shape": (6, 40, 51)}),
        (f"zarr://{image}/@labels/a", {"dtype": "<u4", "dim_labels": "xyz"}),
        (f"zarr://{image}/@labels/a", {"dtype": "<u4", "metadata_json": '{"multiscales": []}'}),
        ("zarr://scratch/@labels/a", {"dtype": "<u4"}),
    ):
        if name.endswith("@labels/a") and not more:
            continue
        with pytest.raises(flight.FlightServerError) as refused:
            client.declare(name, **more)
        assert words(refused)["code"] in ("INVALID_ARGUMENT", "NOT_FOUND"), name
        assert str(served.data) not in str(refused.value)
    with pytest.raises(flight.FlightServerError, match="TensorDescriptor"):
        client.action("add_tensor", b"\xff\xfe")
    assert not list((served.data / "uploads" / ".uploads" / "pending").iterdir())


def test_fields_and_labels_take_over_what_their_image_knows(serve: Serve) -> None:
    served = serve()
    client, image = served.client(), liver(served)
    field = client.declare(f"zarr://{image}/@fields/mean", shape=PIXELS.shape, dim_labels=[])
    assert list(field.dim_labels) == ["z", "y", "x"]
    assert list(field.physical_scale) == [2.0, 0.5, 0.5]
    assert not field.HasField("ttl_seconds")
    label = client.declare(
        f"zarr://{image}/@labels/cells", dtype="<u4", dim_labels=[], metadata_json='{"image-label": {"version": "0.5"}}'
    )
    for name in (field.array_id, label.array_id):
        client.move(name, "READY")
    images, _ = served.catalog.open(image).view(Images)
    assert images.paths == ("", "@fields/mean")
    assert images[""].labels == ("labels/cells",)
    assert [t["array_id"] for t in served.catalog.get(image).tensors] == [image, f"{image}/@fields/mean"]
    client.move(label.array_id, "DISCARDED")
    assert served.catalog.open(image).view(Images)[0][""].labels == ()


def test_a_full_disk_is_told_and_nothing_is_half_shown(serve: Serve, tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk") as place:
        served = serve(place=place)
        client = served.client()
        noise = np.random.default_rng(0).integers(0, 1 << 16, (8, 300, 300), dtype=np.uint16)
        name = client.declare("zarr://scratch/@fields/a", shape=noise.shape, chunk_shape=(1, 300, 300)).array_id

        def fill() -> None:
            for number, endpoint in enumerate(client.plan(name).endpoints):
                client.chunk(endpoint.ticket.ticket, noise[number])

        with pytest.raises(flight.FlightServerError, match="Free some space") as full:
            fill()
        assert words(full) == {"code": "RESOURCE_EXHAUSTED", "reason": "disk_full"}
        assert str(place) not in str(full.value)
        assert client.described(name, "upload_status").upload_status.state == UploadStatus.PENDING
        assert served.catalog.get("scratch").tensors == []
        client.move(name, "DISCARDED")
        assert client.plan(liver(served)).endpoints
        served.end()


def test_what_was_published_just_before_the_end_is_listed_after_it(serve: Serve) -> None:
    first = serve(persist=True)
    image = liver(first)
    first.uploads.changed = lambda source: None  # killed between the rename and the list
    for name in (f"{image}/@fields/a", "scratch/@fields/b"):
        first.client().declare(f"zarr://{name}")
        first.client().move(name, "READY")
    first.end()
    second = serve(persist=True)
    assert [t["array_id"] for t in second.catalog.get(image).tensors] == [image]
    recall(second.catalog, second.uploads)
    end = time.monotonic() + 10
    while len(second.catalog.get(image).tensors) < 2 and time.monotonic() < end:
        time.sleep(0.02)
    assert [t["array_id"] for t in second.catalog.get(image).tensors] == [image, f"{image}/@fields/a"]
    assert second.client().plan("scratch/@fields/b").endpoints


# --- annotations ------------------------------------------------------------------------------------------------------


def test_rows_that_are_no_annotations(serve: Serve) -> None:
    served = serve()
    client, image = served.client(), liver(served)
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"geometry": "nonsense"}, "no biopb.image.ROI"),
        ({"geometry": "{}"}, "has no shape"),
        ({"geometry": "[" * 5000}, "no biopb.image.ROI"),
        ({"geometry": '{"mask": {}}'}, "is a mask"),
        ({"geometry": '{"mesh": {}}'}, "is a mesh"),
        ({"geometry": '{"point": {"x": "NaN"}}'}, "no number"),
        ({"geometry": '{"rectangle": {"topLeft": {"y": "Infinity"}}}'}, "no number"),
        ({"geometry": '{"polygon": {"points": [{}, {}]}}'}, "needs 3"),
        ({"geometry": '{"text": {"at": {}}}'}, "empty text"),
        ({"geometry": '{"polyline": {"points": [{}], "width": -1}}'}, "below 0"),
        ({"geometry": POINT, "set_name": "@auto"}, "server's own"),
        ({"geometry": POINT, "array_id": "other"}, "is of other"),
        ({"geometry": POINT, "plane": [(3, 0)]}, "outside"),
        ({"geometry": POINT, "plane": [(0, 6)]}, "outside"),
        ({"geometry": POINT, "props_json": "{"}, "no JSON"),
        ({"geometry": POINT, "label": "a" * 1001}, "may have"),
    ]
    for row, text in wrong:
        with pytest.raises(flight.FlightError, match=text):
            client.rois(image, [{"set_name": "s", **row}])
    with pytest.raises(flight.FlightServerError, match="lack geometry"):
        client.rois(image, [{"set_name": "s", "label": "a"}])
    with pytest.raises(flight.FlightServerError, match="More than 5,000 rows"):
        client.rois(image, [{"set_name": "s", "geometry": POINT}] * 5001)
    with pytest.raises(flight.FlightServerError, match="Source not found"):
        client.rois("nobody", [{"set_name": "s", "geometry": POINT}])
    assert read_rois(client, image).num_rows == 0


def read_rois(client: Client, array_id: str, set_name: str = "") -> pa.Table:
    return client.get(TensorTicket(roi_read=RoiRead(array_id=array_id, set_name=set_name)).SerializeToString())


def test_annotations_are_put_read_listed_and_deleted(serve: Serve) -> None:
    served = serve(writable=False)
    client, image = served.client(), liver(served)
    put = client.rois(image, [{"set_name": n, "geometry": POINT, "plane": [(0, 5)]} for n in ("a", "b", "a")])
    assert [one.rev for one in put.stored] == [1, 1, 1]
    table = read_rois(client, image, "a")
    assert table.schema.remove_metadata() == roi_rows.SCHEMA
    assert table.schema.metadata[b"truncated"] == b"False"
    assert json.loads(table.schema.metadata[b"sets"]) == [
        {"set_name": "a", "count": 2, "reserved": False}, {"set_name": "b", "count": 1, "reserved": False},
    ]  # fmt: skip
    assert json.loads(table.to_pylist()[0]["geometry"]) == {"point": {"x": 3.5, "y": 4.0}}
    assert table.to_pylist()[0]["plane"] == [(0, 5)]
    sql = TensorTicket()
    sql.catalog_query.sql = "SELECT set_name, plane[0] AS z FROM rois WHERE array_id = '" + image + "' ORDER BY 1"
    assert client.get(sql.SerializeToString())["set_name"].to_pylist() == ["a", "a", "b"]
    ids = pa.table({"roi_id": [put.stored[0].roi_id, "nobody"]})
    deleted = client.put(PutCommand(roi_delete=RoiDelete(array_id=image)), ids)
    assert list(RoiDeleteResult.FromString(deleted).deleted) == [put.stored[0].roi_id]
    everything = client.put(
        PutCommand(roi_delete=RoiDelete(array_id=image)), pa.table({"roi_id": pa.array([], pa.string())})
    )
    assert len(RoiDeleteResult.FromString(everything).deleted) == 2


def test_annotations_that_cannot_be_had(serve: Serve, tmp_path: Path) -> None:
    served = serve()
    (tmp_path / "annotations.sqlite").write_bytes(b"no database" * 1000)
    attempts: list[Callable[[], object]] = [
        lambda: read_rois(served.client(), liver(served)),
        lambda: served.client().rois(liver(served), [{"set_name": "s", "geometry": POINT}]),
    ]
    for attempt in attempts:
        with pytest.raises(flight.FlightUnavailableError, match="cannot be read or kept") as refused:
            attempt()
        assert str(tmp_path) not in str(refused.value)


def test_a_sealed_plan_lets_its_holder_read_annotations(serve: Serve) -> None:
    served = serve()
    client, image = served.client(), liver(served)
    client.rois(image, [{"set_name": "a", "geometry": POINT}])
    field = client.declare("zarr://scratch/@fields/other").array_id
    ticket = client.described(image, "endpoints", "ticket_stub").roi_ticket
    assert not client.described(image, "endpoints").roi_ticket
    nobody = served.client(None)
    narrowed = ticket + TensorTicket(roi_read=RoiRead(set_name="a")).SerializeToString()
    assert nobody.get(ticket).num_rows == nobody.get(narrowed).num_rows == 1
    changes: list[Callable[[Any], object]] = [
        lambda read: setattr(read, "array_id", field),
        lambda read: setattr(read.grant, "expires_at", read.grant.expires_at + 1),
        lambda read: setattr(read.grant, "content_version", b"other"),
        lambda read: setattr(read.grant, "seal", bytes(16)),
        lambda read: setattr(read.grant, "seal", b"short"),
        lambda read: read.ClearField("grant"),
    ]
    for change in changes:
        forged = TensorTicket.FromString(ticket)
        change(forged.roi_read)
        with pytest.raises(flight.FlightUnauthenticatedError, match=r"seal is invalid|Bearer token"):
            nobody.get(forged.SerializeToString())
    with pytest.raises(flight.FlightUnauthenticatedError):
        nobody.rois(image, [{"set_name": "a", "geometry": POINT}])


def test_annotations_of_a_field_go_with_it(serve: Serve) -> None:
    client = serve().client()
    name = client.declare("zarr://scratch/@fields/x").array_id
    client.move(name, "READY")
    client.rois(name, [{"set_name": "a", "geometry": POINT}])
    client.move(name, "DISCARDED")
    report = RoiPruneResult.FromString(client.action("roi_prune", RoiPruneRequest(unseen_days=0))[0])
    assert [(one.array_id, one.count) for one in report.unseen] == [(name, 1)]
    done = RoiPruneResult.FromString(client.action("roi_prune", RoiPruneRequest(unseen_days=0, apply=True))[0])
    assert done.deleted == 1
    with pytest.raises(flight.FlightServerError, match="make no sense"):
        client.action("roi_prune", RoiPruneRequest(unseen_days=-3))


# --- sources ----------------------------------------------------------------------------------------------------------


def add(client: Client, url: str) -> AddSourceResult:
    messages = [AddSourceStreamMessage.FromString(m) for m in client.action("add_source", AddSourceRequest(url=url))]
    assert all(m.WhichOneof("payload") == "progress" for m in messages[:-1])
    return messages[-1].result


def test_resolve_gives_the_row(serve: Serve) -> None:
    served = serve()
    messages = [ResolveStreamMessage.FromString(m) for m in served.client().action("resolve", liver(served).encode())]
    assert [m.WhichOneof("payload") for m in messages] == ["source_row"]
    (row,) = pa.ipc.open_stream(messages[0].source_row).read_all().to_pylist()
    assert (row["source_id"], row["is_resolved"], row["tensors"][0]["shape"]) == (liver(served), True, [6, 40, 50])
    for id in (b"nobody", b"", b"\xff\xfe"):
        with pytest.raises(flight.FlightServerError) as refused:
            served.client().action("resolve", id)
        assert words(refused) == {"code": "NOT_FOUND", "reason": "unknown_source"}


def test_who_waits_hears_that_work_goes_on() -> None:
    call = Call(True, "", lambda: False)
    free = threading.Event()
    heard = []
    for elapsed in beats(lambda: free.wait(5), call, every_s=0.02):
        heard.append(elapsed)
        if len(heard) == 3:
            free.set()
    assert heard == sorted(heard)

    def fail() -> None:
        raise Damaged("It is cut short")

    with pytest.raises(Damaged):
        list(beats(fail, call))
    gone = Call(True, "", lambda: True)
    assert list(beats(lambda: free.wait(0.1), gone, every_s=0.01)) in ([], [pytest.approx(0.01, abs=1)])


def test_what_is_offered_is_looked_at_again(serve: Serve) -> None:
    served = serve()
    client, image = served.client(), liver(served)
    again = add(client, str(served.data / "liver.zarr"))
    assert (list(again.already_present), list(again.refreshed), list(again.added)) == ([image], [image], [])
    np.save(served.data / "new.npy", PIXELS)
    (served.data / "notes.xyz").write_text("hello")
    found = add(client, (served.data / "new.npy").as_uri())
    present = {*found.added, *found.already_present}
    assert len(present) == 1
    assert next(iter(present)) in served.catalog
    failed = add(client, str(served.data / "notes.xyz"))
    assert [f.path for f in failed.failed] == [str(served.data / "notes.xyz")]
    whole = add(client, str(served.data))
    assert {image, *present} <= set(whole.refreshed)
    (served.data / "new.npy").unlink()
    lost = add(client, str(served.data / "new.npy"))
    assert not lost.refreshed
    assert next(iter(present)) not in served.catalog


def test_nothing_else_of_the_machine_can_be_added(serve: Serve, tmp_path: Path) -> None:
    served = serve()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    np.save(elsewhere / "secret.npy", PIXELS)
    (served.data / "link").symlink_to(elsewhere)
    refusals = set()
    for url in (
        str(elsewhere), str(elsewhere / "secret.npy"), "/nowhere/at/all", "/etc/passwd", f"file://{elsewhere}",
        f"{served.data}/../elsewhere", f"{served.data}/link", f"{served.data}2",
    ):  # fmt: skip
        with pytest.raises(flight.FlightError) as refused:
            add(served.client(), url)
        refusals.add(str(refused.value).split(". Detail")[0])
    assert len(refusals) == 1, "nobody learns what there is"
    for url in ("relative.npy", "", "s3://bucket/x", "http://169.254.169.254/latest", "file://other/x", "/a\0b"):
        with pytest.raises(flight.FlightError):
            add(served.client(), url)
    assert {r.name for r in served.catalog.entries()[0]} == {"liver.zarr", "scratch"}


def test_where_it_is_allowed_more_can_be_added_and_removed(serve: Serve, tmp_path: Path) -> None:
    served = serve(adding=True)
    client = served.client()
    elsewhere = tmp_path / "elsewhere"
    (elsewhere / "inner").mkdir(parents=True)
    for name in ("a.npy", "inner/b.npy"):
        np.save(elsewhere / name, PIXELS)
    (elsewhere / "notes.txt").write_text("nothing")
    found = add(client, str(elsewhere))
    assert len(found.added) == 2
    assert not found.failed
    rows = {id: served.catalog.get(id) for id in found.added}
    assert {row.url for row in rows.values()} == {"dnd:///elsewhere/a.npy", "dnd:///elsewhere/inner/b.npy"}
    for id in found.added:
        assert client.plan(id).endpoints
    assert sorted(add(client, str(elsewhere)).refreshed) == sorted(found.added)
    single = add(client, str(shutil.copy(elsewhere / "a.npy", tmp_path / "one.npy")))
    assert len(single.added) == 1
    wrong = add(client, str(shutil.copy(elsewhere / "notes.txt", tmp_path / "notes.txt")))
    assert "format coverslip does not know" in wrong.failed[0].reason
    with pytest.raises(flight.FlightServerError, match="Path not found"):
        add(client, "/nowhere/at/all")
    (body,) = client.action("remove_source", RemoveSourceRequest(root_url="dnd:///elsewhere"))
    assert sorted(RemoveSourceResult.FromString(body).removed) == sorted(found.added)
    assert not any(id in served.catalog for id in found.added)
    assert single.added[0] in served.catalog
    for url in ("dnd:///elsewhere", "dnd:///data", "file:///data", str(served.data), "dnd://"):
        with pytest.raises(flight.FlightServerError):
            client.action("remove_source", RemoveSourceRequest(root_url=url))
    assert liver(served) in served.catalog
    time.sleep(0.1)
    assert len(add(client, str(elsewhere)).added) == 2


def test_the_folder_of_uploads_cannot_be_added(serve: Serve, tmp_path: Path) -> None:
    place = tmp_path / "elsewhere" / "uploads"
    place.parent.mkdir()
    served = serve(adding=True, place=place)
    client = served.client()
    np.save(place.parent / "a.npy", PIXELS)
    client.declare("zarr://scratch/@fields/x")
    client.move("scratch/@fields/x", "READY")
    for path in (place, place / "scratch", place / "scratch" / "@fields" / "x"):
        assert "cannot be written to as well" in add(client, str(path)).failed[0].reason
    (added,) = add(client, str(place.parent)).added
    assert served.catalog.get(added).name == "a.npy"


def test_the_folder_of_uploads_is_not_listed_as_data(serve: Serve) -> None:
    served = serve()
    client = served.client()
    client.declare("zarr://scratch/@fields/x")
    client.move("scratch/@fields/x", "READY")
    add(client, str(served.data))
    assert served.catalog.wait_idle(20)
    assert {r.name for r in served.catalog.entries()[0]} == {"liver.zarr", "scratch"}
