"""Batches of Arrow whose parts lie where there is nothing: refused before any of it is read."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from biopb.image.annotation_pb2 import RoiPutResult
from biopb.tensor.ticket_pb2 import PutCommand, RoiPut, RoiRead, TensorTicket
from flight_reading import Reader, serving
from pyarrow import flight

from coverslip.core.errors import BadRequest
from coverslip.engine.annotations import Annotations
from coverslip.formats import recognise
from coverslip.fronts.flight.registry import Call
from coverslip.fronts.flight.writing import Writing

POINT = '{"point": {"x": 3.5, "y": 4}}'
FAR = 1 << 29


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reader]:
    folder = tmp_path_factory.mktemp("incoming")
    (folder / "lab").mkdir()
    np.save(folder / "lab" / "one.npy", np.zeros((3, 20, 30), "u2"))
    with serving(folder / "lab", further=(Writing(Annotations(folder / "kept.sqlite"), recognise),)) as found:
        yield found


def put(reader: Reader, batch: pa.RecordBatch) -> RoiPutResult:
    writer, replies = reader.connection.do_put(flight.FlightDescriptor.for_command(command(reader)), batch.schema)
    with writer:
        writer.write_batch(batch)
        writer.done_writing()
        return RoiPutResult.FromString(replies.read().to_pybytes())


def command(reader: Reader) -> bytes:
    return PutCommand(roi_put=RoiPut(array_id=reader.id("one"))).SerializeToString()


def rows(**columns: Any) -> pa.RecordBatch:
    given = {"set_name": pa.array(["s"]), "geometry": pa.array([POINT]), **columns}
    return pa.RecordBatch.from_arrays(list(given.values()), list(given))


LABEL = "a" * 77
PLACES = np.array([0, len(LABEL)], "i4").tobytes()
WRONG: dict[str, tuple[bytes, bytes]] = {
    "text beyond the end": (PLACES, np.array([0, FAR], "i4").tobytes()),
    "text far behind": (PLACES, np.array([FAR, FAR + 8], "i4").tobytes()),
    "text before the beginning": (PLACES, np.array([-FAR, 8], "i4").tobytes()),
    "a little beyond": (PLACES, np.array([0, 900], "i4").tobytes()),
    "text that runs backwards": (PLACES, np.array([8, 4], "i4").tobytes()),
    "no UTF-8": (LABEL.encode(), b"\xff" * len(LABEL)),
    "cut short": (LABEL.encode(), b""),
}


BYTES = "drawn_against_version"
"""What is kept of a row as it comes: 256 bytes of the server's memory could be had this way once."""


@pytest.mark.parametrize(("column", "what"), [*(("label", what) for what in sorted(WRONG)), (BYTES, "a little beyond")])
def test_parts_that_lie_where_there_is_nothing(reader: Reader, column: str, what: str) -> None:
    """Written here byte by byte: a client with pyarrow would not send them."""
    values = pa.array([LABEL]) if column == "label" else pa.array([LABEL.encode()])
    sink, batch = pa.BufferOutputStream(), rows(**{column: values})
    with pa.ipc.new_stream(sink, batch.schema) as stream:
        stream.write_batch(batch)
    data, (before, after) = sink.getvalue().to_pybytes(), WRONG[what]
    head, found, tail = data.rpartition(before)  # in the body, and not in what tells of it
    assert found
    chunks = (SimpleNamespace(data=one) for one in pa.ipc.open_stream(head + after + tail))
    _, work = reader.front.registry.puts["roi_put"]
    with pytest.raises(BadRequest, match="no whole stream of Arrow"):
        work(PutCommand.FromString(command(reader)), chunks, None, Call(True, "", lambda: False))
    ticket = TensorTicket(roi_read=RoiRead(array_id=reader.id("one"))).SerializeToString()
    assert reader.connection.do_get(flight.Ticket(ticket)).read_all().num_rows == 0


TYPES = {
    "set_name": (pa.array([5]), "no string"),
    "label": (pa.array([["a"]]), "no string"),
    "plane": (pa.array([["a"]]), "no map"),
    "rev": (pa.array(["a"]), "no int64"),
    "drawn_against_version": (pa.array(["a"]), "no binary"),
}


@pytest.mark.parametrize("column", sorted(TYPES))
def test_columns_of_other_types(reader: Reader, column: str) -> None:
    values, told = TYPES[column]
    with pytest.raises(flight.FlightServerError, match=told):
        put(reader, rows(**{column: values}))


@pytest.mark.parametrize("plane", [[(0, -1)], [(-1, 0)], [(0, 3)], [(3, 0)]])
def test_planes_that_are_outside_of_the_image(reader: Reader, plane: list[tuple[int, int]]) -> None:
    """One below 0 was kept once, and no annotation of the server could be listed from then on."""
    with pytest.raises(flight.FlightServerError, match="outside"):
        put(reader, rows(plane=pa.array([plane], pa.map_(pa.int32(), pa.int32()))))


def test_what_is_long_and_has_several_lines_is_told_in_a_short_one(reader: Reader) -> None:
    label = "β\n" * 400
    with pytest.raises(flight.FlightServerError, match="outside") as told:
        put(reader, rows(label=pa.array([label]), plane=pa.array([[(9, 9)]], pa.map_(pa.int32(), pa.int32()))))
    assert "\n" not in str(told.value).partition(". gRPC")[0]


def test_types_that_hold_the_same(reader: Reader) -> None:
    label = pa.array(["a"]).dictionary_encode()
    found = put(reader, rows(label=label, set_name=pa.array(["s"], pa.large_utf8()), rev=pa.array([None], pa.null())))
    assert [one.label for one in found.stored] == ["a"]
