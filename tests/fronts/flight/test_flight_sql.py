"""SQL and the tree of folders over Flight; what is answered without a database is what DuckDB answers."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from flight_reading import QUICK, Reader, images_of, serving
from pyarrow import flight

from coverslip.app import catalog_of
from coverslip.fronts.flight.front import FlightFront

PLACES = ("b/one.npy", "b/inner/deep/two.npy", "a/three.npy", "it's.npy")
COLUMNS = "source_id, source_url, source_type, is_resolved, tensors"
SIMPLE = [
    "SELECT 1 FROM sources LIMIT 0",
    "SELECT 1 FROM sources",
    "SELECT * FROM sources",
    "select source_id from sources limit 2",
    f"SELECT {COLUMNS} FROM sources",
    f"SELECT {COLUMNS}, unresolved_reason FROM sources",
    "SELECT len(tensors) AS tensor_count FROM sources WHERE source_id='{id}'",
    "SELECT is_resolved, tensors FROM sources WHERE source_id = '{id}'",
    "SELECT is_resolved, metadata_json FROM sources WHERE source_id = '{id}' ",
    "SELECT source_id FROM sources WHERE source_id = 'no''one'",
    "SELECT len(tensors) AS n FROM sources WHERE source_id = 'nobody'",
]
OTHER = [
    "SELECT source_id, source_id FROM sources",
    "SELECT nothing FROM sources",
    "SELECT DISTINCT source_type FROM sources",
    "SELECT source_id FROM sources ORDER BY 1",
    "SELECT source_id FROM sources; DROP TABLE sources",
    "SELECT count(*) AS n, source_type FROM sources GROUP BY source_type",
]


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reader]:
    folder = tmp_path_factory.mktemp("sql") / "lab"
    for place in PLACES:
        (folder / place).parent.mkdir(parents=True, exist_ok=True)
        np.save(folder / place, np.zeros((3, 20, 30), "u2"))
    with serving(folder) as found:
        yield found


def tables(reader: Reader) -> Any:
    return reader.front.registry.reads["catalog_query"][1].__self__  # type: ignore[attr-defined]


@pytest.mark.parametrize("sql", SIMPLE)
def test_simple_questions_are_answered_as_the_database_does(reader: Reader, sql: str) -> None:
    sql = sql.replace("{id}", reader.id("one"))
    quick, total = tables(reader).simple(sql)
    slow, count = tables(reader).asked(sql)
    assert quick.schema.names == slow.schema.names
    assert [_plain(t) for t in quick.schema.types] == [_plain(t) for t in slow.schema.types]
    assert sorted(map(repr, quick.to_pylist())) == sorted(map(repr, slow.to_pylist())) or "limit 2" in sql
    assert (quick.num_rows, total) == (slow.num_rows, count)
    assert reader.query(sql).num_rows == quick.num_rows


def _plain(kind: pa.DataType) -> str:
    """A type without the names that lists give their elements."""
    return (
        str(kind).replace("item:", "").replace("l:", "").replace("element:", "").replace("child:", "").replace(" ", "")
    )


@pytest.mark.parametrize("sql", OTHER)
def test_other_questions_go_to_the_database(reader: Reader, sql: str) -> None:
    assert tables(reader).simple(sql) is None


def test_a_result_tells_how_much_of_it_there_is(reader: Reader) -> None:
    found = reader.query("SELECT s.source_id, r.range AS i FROM sources s, range(10) r WHERE i < 3 ORDER BY i")
    assert found.schema.metadata == {b"returned_rows": b"12", b"total_rows": b"12", b"truncated": b"False"}
    assert found.schema.types[1] == pa.int64()


def test_the_rows_of_an_answer_are_capped(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.zeros((2, 2)))
    catalog = catalog_of([tmp_path], catalog=replace(QUICK, query_rows=1500))
    catalog.start()
    front = FlightFront(catalog, images_of, "1", "127.0.0.1", 0, None)
    front.start()
    try:
        with flight.connect(front.url) as connection:
            found = Reader(front, catalog, connection).query("SELECT * FROM range(4000)")
        assert found.schema.metadata == {b"returned_rows": b"1500", b"total_rows": b"4000", b"truncated": b"True"}
        assert found["range"].to_pylist() == list(range(1500))
    finally:
        front.close()
        catalog.close()


BAD = [
    ("", "no SQL"),
    ("SELEC 1", "syntax error"),
    ("INSERT INTO sources (source_id) VALUES ('x')", "Only one SELECT"),
    ("SELECT 1; SELECT 2", "Only one SELECT"),
    ("SELECT * FROM read_text('/etc/passwd')", "disabled"),
    ("SELECT * FROM '/etc/passwd'", "passwd"),
    ("SELECT * FROM nobody", "nobody"),
]


@pytest.mark.parametrize(("sql", "message"), BAD)
def test_what_is_no_question_about_the_tables_is_refused(reader: Reader, sql: str, message: str) -> None:
    with pytest.raises(flight.FlightError, match=message) as caught:
        reader.query(sql)
    assert json.loads(caught.value.extra_info)["code"] == "INVALID_ARGUMENT"


def test_a_question_that_takes_too_long_is_ended(tmp_path: Path) -> None:
    catalog = catalog_of([tmp_path], catalog=replace(QUICK, query_s=0.5))
    catalog.start()
    front = FlightFront(catalog, images_of, "1", "127.0.0.1", 0, None)
    front.start()
    try:
        with flight.connect(front.url) as connection, pytest.raises(flight.FlightTimedOutError):
            Reader(front, catalog, connection).query("SELECT count(*) FROM range(200000) a, range(600000) b")
    finally:
        front.close()
        catalog.close()


def test_tables_are_listed_with_their_columns(reader: Reader) -> None:
    info = reader.connection.get_flight_info(flight.FlightDescriptor.for_path("sources"), reader.options)
    wanted = {"source_id", "source_url", "source_type", "indexed_at", "metadata_json", "is_resolved"}
    assert wanted | {"unresolved_reason", "unresolved_error", "tensors"} <= set(info.schema.names)
    assert [i.descriptor.path for i in reader.connection.list_flights()] == [[b"sources"], [b"decode_rates"], [b"rois"]]
    rows = reader.connection.do_get(info.endpoints[0].ticket).read_all()
    assert (rows.num_rows, rows.schema.names) == (len(PLACES), info.schema.names)
    with pytest.raises(flight.FlightError, match="Table not found: nothing"):
        reader.connection.get_flight_info(flight.FlightDescriptor.for_path("nothing"))


def test_rates_of_decoding_are_a_table(reader: Reader) -> None:
    reader.read(reader.id("one"))
    end = time.monotonic() + 10
    rows: list[Any] = []
    while not rows and time.monotonic() < end:
        rows = reader.query("SELECT * FROM decode_rates WHERE samples > 0").to_pylist()
    assert rows[0]["array_id"].startswith(reader.id("one"))
    assert rows[0]["mbps"] > 0
    assert reader.query("SELECT count(*) AS n FROM rois").to_pylist() == [{"n": 0}]


def children(reader: Reader, key: str = "", limit: int = 2000) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(
        reader.action("catalog_children", json.dumps({"key": key, "limit": limit}).encode())[0]
    )
    return found


def test_folders_are_walked_one_at_a_time(reader: Reader) -> None:
    top = children(reader)
    assert [f["name"] for f in top["folders"]] == ["lab"]
    lab = children(reader, top["folders"][0]["key"])
    assert [f["name"] for f in lab["folders"]] == ["a", "b"]
    assert lab["sources"] == [{"name": "it's.npy", "source_id": reader.id("it_s")}]
    b = children(reader, lab["folders"][1]["key"])
    assert b["folders"] == [{"name": "inner/deep", "key": "lab/b/inner/deep"}]
    assert children(reader, "lab/b/inner/deep")["sources"][0]["name"] == "two.npy"
    cut = children(reader, "lab", 2)
    assert (len(cut["folders"]), cut["sources"], cut["truncated"]) == (2, [], True)
    assert not lab["truncated"]


@pytest.mark.parametrize(
    "body", [b"no json", b"[]", b'{"limit": 0}', b'{"key": 7}', b'{"limit": true}', b'{"key": "\xff"}']
)
def test_a_question_about_folders_is_checked(reader: Reader, body: bytes) -> None:
    with pytest.raises(flight.FlightError) as caught:
        reader.action("catalog_children", body)
    assert json.loads(caught.value.extra_info)["code"] == "INVALID_ARGUMENT"


def test_a_folder_that_is_not_there_is_told(reader: Reader) -> None:
    with pytest.raises(flight.FlightError, match="Folder not found: lab/nothing"):
        children(reader, "lab/nothing")


def test_the_memory_of_slow_arrays_tells_its_figures(reader: Reader) -> None:
    told = json.loads(reader.action("cache_stats")[0])
    assert told["max_bytes"] > 0
    assert {"total_entries", "total_bytes", "hits", "misses", "evictions", "pool_stats"} <= set(told)
