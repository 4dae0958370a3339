"""The list of sources on disk: a restart lists at once; two servers; disks and databases that fail."""

from __future__ import annotations

import sqlite3
import stat
import threading
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path

import catalog_lab
import pytest
from catalog_lab import names

from catalog_files import QUICK, ToySource, asked, catalog, open_source, paths, row, statuses, toy, within
from coverslip.core.errors import Unreadable
from coverslip.engine import store as stores
from coverslip.engine.catalog import Catalog
from coverslip.engine.store import Store

cache = catalog_lab.cache
data = catalog_lab.data
made = catalog_lab.made

KEPT = replace(QUICK, persist=True)


def restarted(data: Path, **more: object) -> Catalog:
    return catalog(data, options=KEPT, **more)


def kept(data: Path) -> dict[str, str]:
    with closing(restarted(data)) as made:
        made.start()
        assert made.wait_idle(60)
        return {r.path: r.id for r in made.entries()[0]}


def test_a_restart_lists_at_once_and_asks_nothing_again(data: Path, cache: Path) -> None:
    ids = kept(data)
    opened = ToySource.most_open = 0
    asked.clear()
    with closing(restarted(data)) as made:
        made.start()
        rows, total = made.entries()
        assert total == 3
        assert {r.path: r.id for r in rows} == ids
        assert all(r.status == "ready" and r.tensors for r in rows)
        assert made.metadata(rows[0].id)
        assert made.wait_idle(60)
        assert not {"liver.toy", "A01_s1.toy"} & set(asked)
        assert ToySource.most_open == opened
    assert stat.S_IMODE(cache.stat().st_mode) == 0o700
    assert [stat.S_IMODE(f.stat().st_mode) for f in cache.glob("*.sqlite")] == [0o600]


def test_a_restart_sees_what_changed_meanwhile(data: Path) -> None:
    ids = kept(data)
    toy(data / "liver.toy", "changed", "much")
    (data / "plate 7" / "A01_s1.toy").rename(data / "renamed.toy")
    toy(data / "new.toy")
    (data / "store.toys" / "toy.txt").unlink()
    with closing(restarted(data)) as made:
        made.start()
        assert made.wait_idle(60)
        assert sorted(paths(made)) == ["liver.toy", "new.toy", "renamed.toy"]
        assert (row(made, "liver.toy").tensors or [])[0]["shape"] == [2, 4, 5]
        assert names(made, search="much") == ["liver.toy"]
        assert row(made, "liver.toy").id == ids["liver.toy"]
        assert row(made, "renamed.toy").id == ids["plate 7/A01_s1.toy"], "renamed, and not changed"


def test_a_change_deep_in_a_folder_is_seen_after_a_restart(data: Path) -> None:
    toy(data / "store.toys" / "deep" / "er" / "chunk", "one")
    kept(data)
    with closing(restarted(data)) as made:
        made.start()
        assert made.wait_idle(60)
        before = row(made, "store.toys").version
    toy(data / "store.toys" / "deep" / "er" / "chunk", "two three")
    with closing(restarted(data)) as made:
        made.start()
        within(60, lambda: row(made, "store.toys").version != before)


def test_another_edition_reads_everything_anew(data: Path, cache: Path) -> None:
    kept(data)
    with closing(restarted(data, edition="2")) as made:
        made.start()
        assert made.wait_idle(60)
        assert len(paths(made)) == 3
    assert len(list(cache.glob("*.sqlite"))) == 2


@pytest.mark.parametrize("damage", ["garbage", "middle", "schema"])
def test_a_damaged_database_is_made_anew(
    data: Path, cache: Path, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    ids = kept(data)
    file = next(cache.glob("*.sqlite"))
    if damage == "garbage":
        file.write_bytes(b"this is no database" * 1000)
    elif damage == "middle":
        content = bytearray(file.read_bytes())
        content[5000:-100] = b"\xa5" * len(content[5000:-100])
        file.write_bytes(content)
    else:
        with closing(sqlite3.connect(file)) as db:
            db.execute("PRAGMA user_version = 99")
            db.commit()
    with closing(restarted(data)) as made:
        made.start()
        assert made.wait_idle(60)
        assert {r.path: r.id for r in made.entries()[0]} == ids
        assert set(statuses(made).values()) == {"ready"}
        assert names(made, search="GFP") == ["liver.toy"]
    assert len(caplog.records) == (0 if damage == "schema" else 1)
    assert kept(data) == ids


def test_a_folder_that_cannot_be_written_means_a_list_in_memory(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("COVERSLIP_CACHE_DIR", str(tmp_path / "file"))
    assert len(kept(data)) == 3
    assert [r.levelname for r in caplog.records] == ["WARNING"]


@pytest.mark.parametrize("message", ["database or disk is full", "database is locked", "disk I/O error"])
def test_a_database_that_fails_while_we_run_is_given_up(
    data: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, message: str
) -> None:
    with closing(restarted(data)) as made:
        made.start()
        assert made.wait_idle(60)
        ids = {r.path: r.id for r in made.entries()[0]}
        good = Store.put
        broken = made._rows.store

        def put(self: Store, *rows: object) -> None:
            if self is broken:
                raise sqlite3.OperationalError(message)
            good(self, *rows)  # type: ignore[arg-type]

        monkeypatch.setattr(Store, "put", put)
        toy(data / "new.toy")
        within(60, lambda: len(paths(made)) == 4)
        assert made.wait_idle(60)
        found = made.entries()[0]
        assert ids.items() <= {r.path: r.id for r in found}.items()
        assert all(r.status == "ready" and r.tensors for r in found)
        assert names(made, search="GFP") == ["liver.toy"]
    assert [message in r.getMessage() for r in caplog.records] == [True]


def test_two_servers_share_one_database(data: Path, cache: Path, caplog: pytest.LogCaptureFixture) -> None:
    with closing(restarted(data)) as one, closing(restarted(data)) as two:
        threads = [threading.Thread(target=made.start) for made in (one, two)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for made in (one, two):
            assert made.wait_idle(60)
        assert paths(one)
        assert {r.id for r in one.entries()[0]} == {r.id for r in two.entries()[0]}
        toy(data / "new.toy")
        (data / "liver.toy").unlink()
        for made in (one, two):
            within(
                5,
                lambda made=made: sorted(r.name for r in made.entries()[0]) == ["A01_s1.toy", "new.toy", "store.toys"],
            )
            within(60, lambda made=made: row(made, "new.toy").status == "ready")
        one.close()
        toy(data / "later.toy")
        within(60, lambda: "later.toy" in statuses(two))
    assert len(list(cache.glob("*.sqlite"))) == 1
    assert not caplog.records


def test_a_database_that_another_server_makes_this_moment_is_waited_for(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused = []

    class Wanted(sqlite3.Connection):
        def execute(self, sql: str, *more: object) -> sqlite3.Cursor:
            if sql.startswith("PRAGMA journal_mode") and len(refused) < 3:
                refused.append(sql)
                raise sqlite3.OperationalError("database is locked")
            return super().execute(sql, *more)  # type: ignore[arg-type]

    monkeypatch.setattr(stores.sqlite3, "connect", partial(sqlite3.connect, factory=Wanted))
    store = stores.open_store(tmp_path / "catalog.sqlite")
    store.close()
    assert len(refused) == 3
    assert not caplog.records


def test_a_catalog_may_be_started_again(data: Path) -> None:
    made = catalog(data)
    made.add("more", "in-memory", "images", lambda: open_source(data / "liver.toy"), id="more")
    for count in (4, 5):
        with closing(made):
            made.start()
            assert made.wait_idle(60)
            assert len(paths(made)) == count
            assert set(statuses(made).values()) == {"ready"}
        toy(data / "new.toy")


def test_a_closed_catalog_says_so(data: Path) -> None:
    made = catalog(data)
    made.start()
    made.close()
    made.close()
    with pytest.raises(Unreadable, match="closed"):
        made.entries()
