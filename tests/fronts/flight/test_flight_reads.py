"""Reading over Arrow Flight, byte by byte, against zarr-python and numpy."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from biopb.tensor.descriptor_pb2 import TensorDescriptor
from biopb.tensor.ticket_pb2 import TensorTicket
from flight_reading import QUICK, Reader, serving, tickets
from pyarrow import flight

from coverslip.fronts.flight.options import FlightOptions
from zarr_files import axes, datasets, pixels, pyramid, write_array, write_image

CELLS = pixels((5, 300, 410), "uint16")
LEVELS = pyramid(pixels((3, 1100, 900), "uint16", 4), 3)
ODD = pixels((2, 1, 60, 70), "uint16", 9)
SMALL = FlightOptions(small_bytes=50_000, chunk_bytes=100_000)
KINDS = ["|b1", "|u1", "<i2", ">i2", ">u4", "<f2", ">f8", "<c8", ">c16", "<i8"]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("read") / "data"
    folder.mkdir()
    one = [{"axes": axes("zyx"), "datasets": datasets(1, [2.0, 0.5, 0.5])}]
    write_image(folder / "cells.zarr", [CELLS], {"multiscales": one}, chunks=(1, 128, 128))
    many = [{"axes": axes("zyx", None), "datasets": datasets(3, [1.0, 1.0, 1.0])}]
    labelled = write_image(folder / "levels.zarr", LEVELS, {"multiscales": many}, chunks=(1, 256, 256))
    write_image(labelled / "labels" / "nuclei", [LEVELS[0] % 7], {"multiscales": many[:1] and [
        {"axes": axes("zyx", None), "datasets": datasets(1, [1.0, 1.0, 1.0])}], "image-label": {}})  # fmt: skip
    labels = labelled / "labels" / "zarr.json"
    labels.write_text(
        json.dumps({"zarr_format": 3, "node_type": "group", "attributes": {"ome": {"labels": ["nuclei"]}}})
    )
    with h5py.File(folder / "kinds.h5", "w") as file:
        for kind in KINDS:
            values = pixels((7, 9), "uint8") % 2 if kind == "|b1" else pixels((7, 9), "uint8")
            file[f"all/{np.dtype(kind).name}{'-big' if kind[0] == '>' else ''}"] = values.astype(kind)
        file["text"] = ["a", "b"]
        file["table"] = np.zeros(3, [("x", "f4"), ("y", "i4")])
    write_array(folder / "plain.zarr", ODD, 2, chunks=(1, 1, 32, 32))
    return folder


@pytest.fixture(scope="module")
def reader(data: Path) -> Iterator[Reader]:
    with serving(data) as found:
        yield found


@pytest.fixture(scope="module")
def finely(data: Path) -> Iterator[Reader]:
    """A server that cuts even these small images into many chunks."""
    with serving(data, options=SMALL) as found:
        yield found


def refused(call: Any, *arguments: Any, **more: Any) -> flight.FlightError:
    with pytest.raises(flight.FlightError) as caught:
        call(*arguments, **more)
    assert "Traceback" not in str(caught.value)
    return caught.value


def code(error: flight.FlightError) -> str:
    return str(json.loads(error.extra_info)["code"])


# -- what a tensor is --------------------------------------------------------------------------------------------------


def test_a_descriptor_tells_what_was_asked_for_and_no_more(reader: Reader) -> None:
    id = reader.id("cells")
    bare = reader.describe(id)
    assert (bare.array_id, list(bare.dim_labels), list(bare.shape), bare.dtype) == (
        id,
        list("zyx"),
        [5, 300, 410],
        "<u2",
    )
    assert (list(bare.physical_scale), list(bare.physical_unit)) == ([2.0, 0.5, 0.5], ["micrometer"] * 3)
    assert (bare.metadata_json, list(bare.pyramid), bare.ticket_stub) == ("", [], b"")
    assert not bare.HasField("is_resident")
    assert len(bare.content_version) == 8
    assert not reader.plan(id, fields=()).endpoints
    full = reader.describe(id, "metadata_json", "pyramid", "is_resident")
    told = json.loads(full.metadata_json)
    assert (told["type"], told["dim_label"]) == ("ome-zarr", ["z", "y", "x"])
    assert "multiscales" in json.dumps(told["metadata"])
    assert full.is_resident


def test_a_plan_carries_its_request(reader: Reader) -> None:
    info = reader.plan(reader.id("cells"), [0, 0, 0], [1, 5, 5], scale=(1, 2, 2), how="nearest")
    from biopb.tensor.descriptor_pb2 import TensorReadOption

    asked = TensorReadOption.FromString(info.app_metadata)
    assert (list(asked.slice_hint.stop), list(asked.scale_hint), asked.reduction_method) == (
        [1, 5, 5],
        [1, 2, 2],
        "nearest",
    )


def test_scales_without_a_unit_are_unknown(reader: Reader) -> None:
    assert list(reader.describe(reader.id("levels")).physical_scale) == []


def test_pyramids_hold_stored_levels_and_made_ones(reader: Reader) -> None:
    found = reader.describe(reader.id("levels"), "pyramid").pyramid
    assert [(list(p.scale_hint), p.native) for p in found] == [([1, 1, 1], True), ([1, 2, 2], True), ([1, 4, 4], True)]
    assert [list(p.shape) for p in found] == [list(level.shape) for level in LEVELS]
    for level, told in zip(LEVELS, found, strict=True):
        read = reader.read(reader.id("levels"), scale=tuple(told.scale_hint), how=told.reduction_method)
        assert np.array_equal(read, level)


def test_every_source_and_tensor_of_it_can_be_named(reader: Reader) -> None:
    assert reader.describe(f"{reader.id('plain')}").shape == [2, 1, 60, 70]
    labels = f"{reader.id('levels')}/@labels/nuclei"
    assert reader.describe(labels).array_id == labels
    assert np.array_equal(reader.read(labels), LEVELS[0] % 7)
    halved = reader.read(labels, scale=(1, 2, 2), how="area")  # numbers of objects have no mean
    assert np.array_equal(halved, (LEVELS[0] % 7)[:, ::2, ::2])
    for wrong in ("nothing", f"{reader.id('cells')}/nothing", "", f"{reader.id('kinds')}/table", "a\0b", "../x"):
        assert code(refused(reader.plan, wrong)) == "NOT_FOUND"


def test_a_source_alone_is_its_first_tensor(reader: Reader) -> None:
    told = reader.describe(reader.id("kinds"))
    assert told.array_id.startswith(f"{reader.id('kinds')}/all/")


# -- pixels ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_numbers_of_every_kind_arrive_as_they_are_stored(reader: Reader, data: Path, kind: str) -> None:
    name = f"all/{np.dtype(kind).name}{'-big' if kind[0] == '>' else ''}"
    with h5py.File(data / "kinds.h5") as file:
        expected = file[name][:]
    found = reader.read(f"{reader.id('kinds')}/{name}", [1, 0], [7, 8])
    assert found.dtype.newbyteorder("=") == expected.dtype.newbyteorder("=")
    assert np.array_equal(found, expected[1:7, :8])


def test_a_small_slice_is_one_exact_chunk(reader: Reader) -> None:
    info = reader.plan(reader.id("cells"), [1, 30, 50], [2, 286, 306])
    assert len(info.endpoints) == 1
    told = TensorDescriptor.FromString(info.descriptor.command)
    assert (list(told.slice_hint.start), list(told.slice_hint.stop)) == ([1, 30, 50], [2, 286, 306])
    assert np.array_equal(reader.chunk(tickets(info)[0]), CELLS[1:2, 30:286, 50:306])


BOXES = [
    None,
    ([0, 0, 0], [5, 300, 410]),
    ([1, 7, 9], [5, 299, 401]),
    ([4, 299, 409], [5, 300, 410]),
    ([0, 0, 0], [0, 3, 3]),
]


@pytest.mark.parametrize("box", BOXES)
@pytest.mark.parametrize("fields", [("endpoints",), ("endpoints", "ticket_stub")])
def test_many_chunks_are_the_whole(finely: Reader, box: Any, fields: tuple[str, ...]) -> None:
    start, stop = box or ([0, 0, 0], [5, 300, 410])
    found = finely.read(finely.id("cells"), *(box or ()), fields=fields)
    assert np.array_equal(found, CELLS[tuple(slice(a, b) for a, b in zip(start, stop, strict=True))])


@pytest.mark.parametrize("how", ["nearest", "stride", "decimate"])
@pytest.mark.parametrize("scale", [(1, 2, 2), (2, 3, 5), (5, 300, 410), (9, 1, 1)])
def test_nearest_keeps_the_first_of_each_block(finely: Reader, how: str, scale: tuple[int, ...]) -> None:
    found = finely.read(finely.id("cells"), scale=scale, how=how)
    assert np.array_equal(found, CELLS[tuple(slice(None, None, s) for s in scale)])


@pytest.mark.parametrize("how", ["", "area", "mean"])
@pytest.mark.parametrize("scale", [(1, 2, 2), (2, 3, 5), (1, 1, 410)])
def test_area_is_the_mean_of_each_block(finely: Reader, how: str, scale: tuple[int, ...]) -> None:
    found = finely.read(finely.id("cells"), scale=scale, how=how).astype(float)
    blocks = [
        CELLS[tuple(slice(i * s, (i + 1) * s) for i, s in zip(at, scale, strict=True))]
        for at in np.ndindex(found.shape)
    ]
    means = np.array([block.mean() for block in blocks]).reshape(found.shape)
    assert np.abs(found - means).max() <= 1.0 + len(scale) * 0.5  # rounded along one axis after the other


def test_scaled_slices_lie_on_the_grid_of_the_whole(reader: Reader) -> None:
    id, scale = reader.id("cells"), (1, 4, 4)
    whole = reader.read(id, scale=scale, how="nearest")
    info = reader.plan(id, [0, 5, 6], [2, 99, 101], scale=scale, how="nearest")
    told = TensorDescriptor.FromString(info.descriptor.command)
    assert (list(told.slice_hint.start), list(told.slice_hint.stop)) == ([0, 4, 4], [2, 100, 104])
    assert np.array_equal(reader.chunk(tickets(info)[0]), whole[0:2, 1:25, 1:26])


def test_chunks_of_a_plan_end_where_stored_ones_do(finely: Reader) -> None:
    info = finely.plan(finely.id("levels"), [0, 100, 0], [3, 1100, 900])
    from biopb.tensor.ticket_pb2 import ChunkBounds

    starts = {int(ChunkBounds.FromString(e.app_metadata).start[1]) for e in info.endpoints}
    assert {(at + 100) % 256 for at in starts - {0}} == {0}


# -- what is refused ---------------------------------------------------------------------------------------------------

WRONG = [
    (([0, 0], [1, 1]), {}, "Slice hint dimensionality mismatch: expected 3, got 2"),
    (([0, -1, 0], [1, 1, 1]), {}, "Slice bounds must be non-negative on axis 1"),
    (([0, 0, 5], [1, 1, 4]), {}, "Slice start must be <= stop on axis 2"),
    (([0, 0, 0], [6, 1, 1]), {}, "Slice stop exceeds tensor shape on axis 0"),
    ((), {"scale": (1, 0, 1)}, "Scale hint must be positive on axis 1"),
    ((), {"scale": (2, 2)}, "Scale hint dimensionality mismatch: expected 3, got 2"),
    ((), {"scale": (1, 2, 2), "how": "magic"}, "Unknown reduction method: magic"),
    ((), {"scale": (1, 2, 2), "how": "precompute"}, "There is no precomputed level"),
    ((), {"fields": ("endpoints", "secrets")}, "Unknown field mask path: secrets"),
]


@pytest.mark.parametrize(("box", "more", "message"), WRONG)
def test_requests_that_do_not_fit_are_told_why(reader: Reader, box: Any, more: Any, message: str) -> None:
    error = refused(reader.plan, reader.id("cells"), *box, **more)
    assert str(error).startswith(message)
    assert code(error) == "INVALID_ARGUMENT"


def test_garbage_is_answered_and_harms_nothing(reader: Reader) -> None:
    random = np.random.default_rng(1)
    good = tickets(reader.plan(reader.id("cells"), fields=("endpoints",)))[0]
    sealed = tickets(reader.plan(reader.id("cells")))[0]
    tried = 0
    for ticket in (good, sealed):
        for length in (*range(0, len(ticket), 3), len(ticket) - 1):
            tried += _read_or_refused(reader, ticket[:length])
        for _ in range(150):
            broken = bytearray(ticket)
            broken[random.integers(len(broken))] = random.integers(256)
            tried += _read_or_refused(reader, bytes(broken))
    for command in (b"", b"\xff" * 40, bytes(2 << 20)):
        refused(reader.connection.get_flight_info, flight.FlightDescriptor.for_command(command))
        tried += _read_or_refused(reader, command)
    assert tried > 100
    assert np.array_equal(reader.read(reader.id("cells")), CELLS)


def _read_or_refused(reader: Reader, ticket: bytes) -> int:
    try:
        found = reader.chunk(ticket)
    except flight.FlightError as error:
        return 1 if "Traceback" not in str(error) else -10_000
    assert found.nbytes <= CELLS.nbytes  # another chunk of what this client may read anyway
    return 0


def test_unknown_actions_are_refused_in_the_expected_words(reader: Reader) -> None:
    error = refused(reader.action, "chunk_locate", b"x")
    assert str(error).startswith("Unknown action: chunk_locate")
    assert isinstance(error, flight.FlightServerError)


def test_what_changed_on_disk_is_another_version(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    one = {"multiscales": [{"axes": axes("yx"), "datasets": datasets(1, [1.0, 1.0])}]}
    write_image(folder / "a.zarr", [np.zeros((50, 60), "u2")], one)
    with serving(folder) as reader:
        id = reader.id("a")
        old, ticket = reader.describe(id).content_version, tickets(reader.plan(id))[0]
        shutil.rmtree(folder / "a.zarr")
        write_image(folder / "a.zarr", [np.ones((50, 60), "u2")], one)
        os.utime(folder / "a.zarr" / "zarr.json", (time.time() + 5, time.time() + 5))
        end = time.monotonic() + 30
        while reader.describe(id).content_version == old and time.monotonic() < end:
            time.sleep(0.05)
        assert "changed since this read was planned" in str(refused(reader.chunk, ticket))
        assert (settled(reader, id) == 1).all()


def settled(reader: Reader, id: str) -> Any:
    """What a source holds; each step of a change may be noticed by itself, between a plan and its chunks."""
    end = time.monotonic() + 30
    while True:
        try:
            return reader.read(id)
        except flight.FlightServerError as error:
            if "changed since this read was planned" not in str(error) or time.monotonic() > end:
                raise


def test_a_source_nobody_looked_at_is_opened_and_a_damaged_one_says_why(tmp_path: Path) -> None:
    np.save(tmp_path / "good.npy", CELLS)
    (tmp_path / "bad.npy").write_bytes((tmp_path / "good.npy").read_bytes()[:1000])
    with serving(tmp_path, wait=False) as reader:
        end = time.monotonic() + 30
        while len(reader.catalog) < 2 and time.monotonic() < end:
            time.sleep(0.02)
        assert np.array_equal(reader.read(reader.id("good")), CELLS)
        assert reader.catalog.wait_idle(30)
        time.sleep(QUICK.settle_s)
        error = refused(reader.plan, reader.id("bad"))
        assert code(error) == "DATA_LOSS"
        assert str(tmp_path) not in str(error)
        row = reader.query(f"SELECT * FROM sources WHERE source_id = '{reader.id('bad')}'").to_pylist()[0]
        assert not row["is_resolved"]
        assert row["tensors"] is None


def test_decoded_chunks_of_slow_arrays_are_kept(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from coverslip.core.spec import Box
    from coverslip.core.stop import NEVER
    from coverslip.fronts.flight import slow

    monkeypatch.setattr(slow, "SLOW_MBPS", float("inf"))
    with serving(data) as reader:
        tensor = reader.front._desk.tensors.find(reader.id("cells"))
        kept = slow.SlowArrays(1 << 20)
        rate = kept._rate(tensor.array_id)
        for _ in range(slow.FEW):
            rate.add(1000, 1.0)
        for box in (
            Box((0, 100, 100), (2, 200, 300)),
            Box((1, 0, 0), (2, 300, 410)),
            Box((0, 128, 128), (1, 256, 256)),
        ):
            assert np.array_equal(kept.read(tensor, tensor.array, box, NEVER), CELLS[box.slices])
            again = kept.hits
            assert np.array_equal(kept.read(tensor, tensor.array, box, NEVER), CELLS[box.slices])
            assert kept.hits > again
        assert kept.stats()["total_bytes"] <= 1 << 20
        assert kept.rates()[0]["samples"] >= slow.FEW


def test_tickets_are_of_one_kind_each(reader: Reader) -> None:
    info = reader.plan(reader.id("cells"))
    arms = {TensorTicket.FromString(t).WhichOneof("payload") for t in tickets(info)}
    assert arms == {"chunk_ref"}
    assert all(len(e.ticket.ticket) < 12 for e in info.endpoints)
