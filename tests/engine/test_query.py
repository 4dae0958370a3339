"""SQL over the list: what is answered, what is refused, and what is ended."""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from catalog_files import QUICK, catalog, row, toy, within
from coverslip.core.errors import BadRequest, TimedOut, Unsupported
from coverslip.engine.catalog import Catalog
from coverslip.engine.query import Query


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Catalog]:
    folder = tmp_path_factory.mktemp("query") / "data"
    for i in range(5):
        toy(folder / f"f{i}.toy", *["word"] * (i + 1))
    toy(folder / "half.toy").write_text("TOY half")
    with closing(catalog(folder, options=replace(QUICK, query_s=2.0, query_rows=1000, settle_s=0.1))) as made:
        made.start()
        assert made.wait_idle(20)
        yield made


def one(made: Catalog, sql: str) -> object:
    rows, truncated = made.query(sql)
    assert not truncated
    assert len(rows) == 1
    return next(iter(rows[0].values()))


def test_the_table_has_the_columns_that_clients_ask_for(made: Catalog) -> None:
    rows, _ = made.query("SELECT column_name, column_type FROM (DESCRIBE sources)")
    assert {r["column_name"]: r["column_type"] for r in rows} == {
        "source_id": "VARCHAR", "source_url": "VARCHAR", "source_type": "VARCHAR", "indexed_at": "DOUBLE",
        "metadata_json": "VARCHAR", "is_resolved": "BOOLEAN", "unresolved_reason": "VARCHAR",
        "unresolved_error": "VARCHAR", "name": "VARCHAR", "kind": "VARCHAR", "status": "VARCHAR",
        "size_bytes": "BIGINT", "modified": "DOUBLE", "version": "VARCHAR",
        "tensors": "STRUCT(array_id VARCHAR, dim_labels VARCHAR[], shape BIGINT[], chunk_shape BIGINT[], "
        "dtype VARCHAR)[]",
    }  # fmt: skip


def test_rows_are_those_of_the_list(made: Catalog) -> None:
    rows, truncated = made.query("SELECT * FROM sources ORDER BY name")
    assert not truncated
    assert [r["name"] for r in rows] == [r.name for r in made.entries()[0]]
    listed = row(made, "f2.toy")
    (found,) = [r for r in rows if r["name"] == "f2.toy"]
    assert found["source_id"] == listed.id
    assert found["is_resolved"] is True
    assert found["tensors"][0] == {
        "array_id": listed.id, "dim_labels": ["c", "y", "x"], "shape": [3, 4, 5], "chunk_shape": [1, 4, 5],
        "dtype": "<u2",
    }  # fmt: skip
    (half,) = [r for r in rows if r["name"] == "half.toy"]
    assert (half["is_resolved"], half["unresolved_reason"]) == (False, "damaged")
    assert half["unresolved_error"] == "half.toy ends too early"
    assert half["tensors"] is None


@pytest.mark.parametrize(
    ("sql", "answer"),
    [
        ("SELECT count(*) FROM sources", 6),
        ("select 1;", 1),
        ("WITH wide AS (SELECT * FROM sources WHERE len(tensors) > 1) SELECT count(*) FROM wide", 5),
        ("SELECT count(*) FROM sources, UNNEST(tensors) AS t(tensor) WHERE tensor.shape[1] > 2", 6),
        ("SELECT count(*) FROM sources a JOIN sources b USING (source_id)", 6),
        ("SELECT metadata_json->'made by'->>'$.stain[0]' FROM sources WHERE name = 'f0.toy'", "word"),
        ("FROM sources SELECT max(size_bytes) > 0", True),
        ("VALUES (1)", 1),
        ("SELECT 'a;b--c'", "a;b--c"),
        ("SELECT 170141183460469231731687303715884105727", 1.7014118346046923e38),
        ("SELECT DATE '2026-01-02'", "2026-01-02"),
        ("SELECT 'x'::BLOB", "78"),
        ("SELECT 1.5::DECIMAL(4,2)", 1.5),
        ("SELECT 'NaN'::DOUBLE", None),
        ("SELECT INTERVAL 3 DAY", "3 days, 0:00:00"),
        ("SELECT 1 LIMIT 1", 1),
    ],
)  # fmt: skip
def test_selects_are_answered(made: Catalog, sql: str, answer: object) -> None:
    assert one(made, sql) == answer


def test_columns_of_one_name_are_told_apart(made: Catalog) -> None:
    assert made.query("SELECT 1 AS a, 2 AS a, 3 AS a")[0] == [{"a": 1, "a_1": 2, "a_2": 3}]
    assert made.query("SELECT 1 WHERE false") == ([], False)


@pytest.mark.parametrize(
    "sql",
    [
        "", ";", "SELEC 1", "SELECT 1; SELECT 2", "ATTACH ':memory:' AS other", "COPY sources TO '/tmp/x.csv'",
        "SET threads = 8", "RESET memory_limit", "PRAGMA database_list", "INSTALL httpfs", "LOAD httpfs",
        "CREATE TABLE mine (a INT)", "INSERT INTO sources (source_id) VALUES ('x')", "DELETE FROM sources",
        "UPDATE sources SET name = 'x'", "DROP TABLE sources", "EXPLAIN ANALYZE SELECT 1", "CALL pragma_version()",
        "EXPORT DATABASE '/tmp/x'", "CHECKPOINT", "BEGIN", "USE memory", "VACUUM", "PREPARE p AS SELECT 1",
        "WITH x AS (INSERT INTO sources (source_id) VALUES ('y') RETURNING *) SELECT * FROM x",
        "SELECT * FROM read_csv('/etc/passwd')", "SELECT * FROM '/etc/passwd'", "SELECT * FROM glob('/*')",
        "SELECT * FROM read_text('/etc/passwd')", "SELECT * FROM read_blob('/proc/self/environ')",
        "SELECT * FROM 'https://example.org/x.parquet'", "SELECT * FROM sqlite_scan('x', 'y')",
        "SELECT * FROM rows", "SELECT getenv('HOME')", "SELECT * FROM nothing", "SELECT nothing FROM sources",
        "SELECT * FROM duckdb_extensions()", "SELECT * FROM duckdb_secrets()",
        "SELECT $1", "SELECT 1 / 'a'", "SELECT \0", "x" * 200_000, "\ud800",
    ],
)  # fmt: skip
def test_all_else_is_refused_with_one_line(made: Catalog, sql: str) -> None:
    with pytest.raises(BadRequest) as raised:
        made.query(sql)
    assert "\n" not in raised.value.message
    assert str(Path.home()) not in raised.value.message
    assert one(made, "SELECT count(*) FROM sources") == 6, "and does no harm"


def test_settings_tell_nothing_of_this_machine(made: Catalog) -> None:
    rows, _ = made.query("SELECT * FROM duckdb_settings()")
    assert str(Path.home()) not in str(rows)
    assert str(Path.cwd()) not in str(rows)
    named = {r["name"]: r["value"] for r in rows}
    assert named["enable_external_access"] == "false"
    assert named["lock_configuration"] == "true"
    assert not named["temp_directory"]


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT count(*) FROM sources, range(200000) a, range(60000) b WHERE a.range * b.range % 7 = 3",
        "WITH RECURSIVE t(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM t) SELECT count(*) FROM t",
    ],
)
def test_a_query_that_takes_too_long_is_ended(made: Catalog, sql: str) -> None:
    started = time.monotonic()
    with pytest.raises(TimedOut):
        made.query(sql)
    assert 1.9 < time.monotonic() - started < 2.0 + 1.5 + 2
    started = time.monotonic()
    assert one(made, "SELECT count(*) FROM sources") == 6
    assert time.monotonic() - started < 5
    processes = psutil.Process().children()
    within(60, lambda: all(p.cpu_percent(0.2) < 50 for p in processes), "the work goes on")


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT len(range(2000000000))",
        "SELECT len(repeat('x', 4000000000))",
        "SELECT i, repeat('y', 100) FROM range(30000000) t(i) ORDER BY -i",
        "SELECT count(DISTINCT repeat(i::VARCHAR, 30)) FROM range(30000000) t(i)",
        "SELECT len(list(i)) FROM range(200000000) t(i)",
        "SELECT repeat('x', 10000000) FROM range(1000)",
    ],
)
def test_a_query_that_wants_too_much_memory_is_ended(made: Catalog, sql: str) -> None:
    ours = psutil.Process().memory_info().rss
    with pytest.raises((BadRequest, TimedOut)):
        made.query(sql)
    assert psutil.Process().memory_info().rss - ours < 200 << 20
    assert one(made, "SELECT count(*) FROM sources") == 6
    assert all(p.memory_info().rss < 1500 << 20 for p in psutil.Process().children())


def test_rows_are_capped(made: Catalog) -> None:
    rows, truncated = made.query("SELECT * FROM range(1001)")
    assert truncated
    assert len(rows) == 1000
    rows, truncated = made.query("SELECT range AS i FROM range(1000) ORDER BY i DESC")
    assert not truncated
    assert rows[0] == {"i": 999}


def test_an_answer_is_capped_in_bytes(made: Catalog) -> None:
    rows, truncated = made.query("SELECT repeat('x', 1000000) FROM range(100)")
    assert truncated
    assert len(rows) == 67


def test_the_list_is_read_anew_only_when_it_changed(tmp_path: Path) -> None:
    toy(tmp_path / "a.toy")
    with closing(catalog(tmp_path)) as made:
        made.start()
        assert made.wait_idle(60)
        loads = []
        snapshot = made.snapshot
        made.snapshot = lambda: (loads.append(1), snapshot())[1]  # type: ignore[method-assign]
        for _ in range(5):
            assert one(made, "SELECT count(*) FROM sources") == 1
        assert len(loads) == 1
        toy(tmp_path / "b.toy")
        within(60, lambda: one(made, "SELECT count(*) FROM sources") == 2)
        assert len(loads) <= 4


def test_the_process_ends_with_the_catalog_and_comes_back_when_it_was_ended(tmp_path: Path) -> None:
    toy(tmp_path / "a.toy")
    before = set(psutil.Process().children())
    with closing(catalog(tmp_path)) as made:
        made.start()
        assert made.wait_idle(60)
        assert not set(psutil.Process().children()) - before, "not started before somebody asks"
        assert one(made, "SELECT 1") == 1
        (process,) = set(psutil.Process().children()) - before
        process.kill()
        within(60, lambda: process.status() == psutil.STATUS_ZOMBIE)
        assert one(made, "SELECT 2") == 2
    assert not set(psutil.Process().children()) - before


def test_without_duckdb_the_command_to_install_it_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "duckdb" else real(name))
    with pytest.raises(Unsupported, match="pip install"):
        Query(QUICK).run("SELECT 1", 1, lambda: ([], {}))


def test_the_server_does_not_load_duckdb(made: Catalog) -> None:
    import subprocess
    import sys

    code = "import sys, coverslip.engine.catalog; print('duckdb' in sys.modules, 'watchfiles' in sys.modules)"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).split() == ["False", "False"]
