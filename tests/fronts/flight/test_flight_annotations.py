"""Annotations over Arrow Flight: put, read, deleted, and what is none."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import flight_writing
import pyarrow as pa
import pytest
from biopb.image.annotation_pb2 import RoiDeleteResult, RoiPruneRequest, RoiPruneResult
from biopb.tensor.ticket_pb2 import PutCommand, RoiDelete, RoiRead, TensorTicket
from flight_writing import POINT, Client, Serve, liver
from pyarrow import flight

from coverslip.fronts.flight import roi_rows

serve = flight_writing.serve


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
