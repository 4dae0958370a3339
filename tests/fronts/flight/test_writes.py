"""Uploads over Arrow Flight, byte by byte: who may, what is refused and in which words."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import flight_writing
import numpy as np
import pyarrow as pa
import pytest
from biopb.image.annotation_pb2 import RoiPruneRequest
from biopb.tensor.descriptor_pb2 import (
    AddSourceRequest,
    RemoveSourceRequest,
    SliceHint,
    TensorDescriptor,
    UploadStatus,
)
from biopb.tensor.ticket_pb2 import PutCommand, RoiRead, TensorTicket
from flight_writing import PIXELS, POINT, Client, Serve, liver, words
from pyarrow import flight

from coverslip.domains.images import Images
from coverslip.writable import recall
from disks import small_disk

serve = flight_writing.serve


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
