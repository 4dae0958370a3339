"""biopb's own client writes to a server: run in an environment that has ``biopb[tensor]``; prints JSON.

``biopb_writes.py URL SOURCE PIXELS.npy TOKEN`` with SOURCE the id of an image ``(z, y, x)`` whose pixels are PIXELS.
"""

import json
import sys

import dask.array as da
import numpy as np
from biopb.image import ROI, Point, Polygon, Rectangle, RoiAnnotation
from biopb.tensor import TensorFlightClient
from biopb.tensor.ticket_pb2 import ChunkBounds

url, source, pixels, token = sys.argv[1:]
client = TensorFlightClient(url, token=token or None)
volume = np.load(pixels)
found = {}


def refusal(work):
    """The words of an error that has to come."""
    try:
        work()
    except Exception as error:  # noqa: BLE001  (its words are what is looked at)
        return f"{type(error).__name__}: {error}"
    raise AssertionError("nothing was refused")


def whole_array():
    desc = client.setup_array_upload("zarr://scratch/@fields/numpy", volume, dim_labels=["z", "y", "x"])
    status = client.upload_array(desc, volume)
    assert status["state"] == "READY", status
    assert status["expected_chunks"] == status["uploaded_chunks"] == 1
    assert np.array_equal(client.get_array(desc.array_id), volume)
    assert 0 < desc.ttl_seconds <= 86400
    rows = client.query("SELECT tensors FROM sources WHERE source_id = 'scratch'", format="records")
    assert "scratch/@fields/numpy" in [t["array_id"] for t in rows[0]["tensors"]]


def dask_array():
    lazy = da.from_array(volume, chunks=(2, 128, 200))
    desc = client.setup_array_upload(f"zarr://{source}/@fields/filtered", lazy, dim_labels=["z", "y", "x"])
    assert list(desc.chunk_shape) == [2, 128, 200]
    assert not desc.HasField("ttl_seconds")
    status = client.upload_array(desc, 65535 - lazy)
    assert status["uploaded_chunks"] == status["expected_chunks"] == 18
    assert np.array_equal(client.get_tensor(desc.array_id).compute(), 65535 - volume)
    assert np.array_equal(client.get_tensor(source).compute().squeeze(), volume)
    found["scale"] = client.get_physical_scale(desc.array_id)


def pieces():
    desc = client.setup_array_upload(
        "cache://scratch/@fields/pieces", volume, chunk_shape=(1, 150, 421), dim_labels=["z", "y", "x"]
    )
    assert client.get_upload_status(desc.array_id)["state"] == "PENDING"
    found["pending_read"] = refusal(lambda: client.get_array(desc.array_id))
    found["taken"] = refusal(lambda: client.setup_array_upload("zarr://scratch/@fields/pieces", volume))
    bounds = ChunkBounds(start=[3, 150, 0], stop=[4, 300, 421])
    for _ in range(2):
        client.upload_chunk(desc, bounds, volume[3:4, 150:300])
    found["no_chunk"] = refusal(
        lambda: client.upload_chunk(desc, ChunkBounds(start=[0, 0, 0], stop=[1, 10, 421]), volume[:1, :10])
    )
    status = client.upload_array(desc, volume, (slice(0, 1), slice(10, 20), slice(None)))
    assert (status["state"], status["uploaded_chunks"], status["expected_chunks"]) == ("PENDING", 2, 8), status
    assert client.set_upload_status(desc, "READY")["state"] == "READY"
    expected = np.zeros_like(volume)
    expected[3, 150:], expected[0, :150] = volume[3, 150:], volume[0, :150]
    assert np.array_equal(client.get_array(desc.array_id), expected)
    found["sealed"] = refusal(lambda: client.upload_chunk(desc, bounds, volume[3:4, 150:300]))


def given_up():
    desc = client.setup_array_upload("zarr://scratch/@fields/worse", volume)
    status = client.set_upload_status(desc, "DISCARDED", "the model diverged")
    assert (status["state"], status["reason"]) == ("DISCARDED", "the model diverged")
    found["discarded"] = refusal(lambda: client.upload_array(desc, volume))
    assert client.get_upload_status(desc.array_id)["reason"] == "the model diverged"
    assert client.set_upload_status("scratch/@fields/never", "DISCARDED")["state"] == "UNKNOWN"
    assert client.get_upload_status("scratch/@fields/never")["state"] == "UNKNOWN"
    assert client.get_upload_status(source)["state"] == "UNKNOWN"
    found["unknown_source"] = refusal(lambda: client.setup_array_upload("zarr://nobody/@fields/a", volume))


def labels():
    full = client.get_descriptor(source)
    shape = tuple(full.shape)
    cells = np.zeros(shape, np.uint32)
    cells[..., 10:60, 20:90] = 7
    name = f"{source}/@labels/cells"
    desc = client.setup_array_upload(f"zarr://{name}", cells, chunk_shape=(*(1,) * (len(shape) - 2), 100, 100))
    status = client.upload_array(desc, cells)
    assert (status["state"], desc.array_id) == ("READY", name)
    assert status["uploaded_chunks"] < status["expected_chunks"]
    assert np.array_equal(client.get_array(name), cells)
    found["signed_labels"] = refusal(
        lambda: client.setup_array_upload(f"zarr://{source}/@labels/signed", cells.astype(np.int32))
    )


def annotations():
    box = ROI(rectangle=Rectangle(top_left=Point(x=1, y=2), bottom_right=Point(x=30, y=40)))
    line = ROI(polygon=Polygon(points=[Point(x=0, y=0), Point(x=5, y=0), Point(x=5, y=5)]))
    version = client.get_descriptor(source).content_version
    put = client.put_rois(
        source,
        [
            RoiAnnotation(array_id=source, set_name="nuclei", label="a", roi=box, drawn_against_version=version),
            RoiAnnotation(array_id=source, set_name="vessels", roi=line, plane={0: 0}, props_json='{"score": 0.5}'),
        ],
    )
    assert [one.rev for one in put.stored] == [1, 1]
    listed = client.list_rois(source)
    assert sorted(one.set_name for one in listed.rois) == ["nuclei", "vessels"]
    assert [(s.set_name, s.count, s.reserved) for s in listed.sets] == [("nuclei", 1, False), ("vessels", 1, False)]
    assert list(client.list_rois(source, "nuclei").rois) == [put.stored[0]]
    assert put.stored[0].roi == box
    assert dict(put.stored[1].plane) == {0: 0}
    stale = RoiAnnotation(roi_id=put.stored[0].roi_id, array_id=source, set_name="nuclei", roi=line, rev=9)
    conflict = client.put_rois(source, [stale], check_rev=True)
    assert [(one.roi_id, one.stored_rev) for one in conflict.conflicts] == [(stale.roi_id, 1)]
    stale.rev = 1
    assert client.put_rois(source, [stale], check_rev=True).stored[0].rev == 2
    sql = "SELECT set_name, count(*) AS n FROM rois GROUP BY set_name ORDER BY set_name"
    found["roi_rows"] = client.query(sql, format="records")
    handle = client.get_tensor(source, output="pb")
    without = TensorFlightClient.list_rois_from_pb(handle)
    assert len(without.rois) == 2
    found["handle_token"] = handle.auth_token
    assert len(client.delete_rois(source, set_name="vessels").deleted) == 1
    found["reserved"] = refusal(lambda: client.put_rois(source, [RoiAnnotation(set_name="@auto", roi=box)]))
    found["unseen"] = len(client.prune_rois(0).unseen)
    found["no_image"] = refusal(lambda: client.list_rois("nobody"))


def sources():
    row = client.resolve_source(source)
    assert row["is_resolved"] is True
    assert row["source_id"] == source
    assert row["tensors"][0]["array_id"] == source
    found["resolve_unknown"] = refusal(lambda: client.resolve_source("nobody"))


whole_array()
dask_array()
pieces()
given_up()
labels()
annotations()
sources()
print(json.dumps(found))
