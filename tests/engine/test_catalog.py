"""The list of sources: what a row says, how it is found, kept on disk, and opened."""

from __future__ import annotations

import os
import sqlite3
import stat
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path

import msgspec
import psutil
import pytest

from catalog_files import QUICK, ToySource, asked, catalog, open_source, paths, recognise, row, statuses, toy, within
from coverslip.core.errors import BadRequest, CoverslipError, NotFound, Unreadable, UnsafeLink
from coverslip.core.node import Source
from coverslip.engine import store as stores
from coverslip.engine.catalog import Catalog
from coverslip.engine.places import Root
from coverslip.engine.store import Store
from fuzz import many

KEPT = replace(QUICK, persist=True)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("COVERSLIP_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache" / "catalog"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    toy(tmp_path / "data" / "liver.toy", "DAPI", "GFP")
    toy(tmp_path / "data" / "plate 7" / "A01_s1.toy", "Cy5")
    toy(tmp_path / "data" / "store.toys" / "toy.txt", "actin")
    return tmp_path / "data"


@pytest.fixture
def made(data: Path) -> Iterator[Catalog]:
    with closing(catalog(data)) as made:
        made.start()
        assert made.wait_idle(10)
        yield made


def names(made: Catalog, **wanted: object) -> list[str]:
    return [r.name for r in made.entries(**wanted)[0]]  # type: ignore[arg-type]


def test_a_row_says_all_that_is_known(made: Catalog, data: Path) -> None:
    liver = row(made, "liver.toy")
    assert (liver.status, liver.format, liver.kind, liver.folder) == ("ready", "toy", "images", False)
    assert liver.size == (data / "liver.toy").stat().st_size
    assert liver.modified_s == 1e9
    assert liver.error is None
    assert liver.indexed_s == pytest.approx(time.time(), abs=60)
    assert liver.url == "file:///data/liver.toy"
    assert row(made, "A01_s1.toy").url == "file:///data/plate%207/A01_s1.toy"
    assert [t["array_id"] for t in liver.tensors or ()] == [liver.id, f"{liver.id}/scene 1"]
    assert (liver.tensors or [])[0]["shape"] == [2, 4, 5]
    assert msgspec.json.decode(made.metadata(liver.id) or "") == {"made by": {"stain": ["DAPI"]}}
    store = row(made, "store.toys")
    assert store.folder
    assert store.size == (data / "store.toys" / "toy.txt").stat().st_size


def test_ids_are_readable_unique_and_the_same_for_everyone(made: Catalog, data: Path, tmp_path: Path) -> None:
    toy(data / "plate 8" / "A01_s1.toy")
    within(5, lambda: len(paths(made)) == 4)
    ids = {r.path: r.id for r in made.entries()[0]}
    assert len(set(ids.values())) == 4
    assert all(
        set(id) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") for id in ids.values()
    )
    assert ids["liver.toy"].startswith("liver-")
    moved = tmp_path / "elsewhere" / "data"
    moved.parent.mkdir()
    data.rename(moved)
    with closing(catalog(moved)) as other:
        other.start()
        assert other.wait_idle(10)
        assert {r.path: r.id for r in other.entries()[0]} == ids


def test_roots_that_are_one_source_are_called_by_their_stem(tmp_path: Path) -> None:
    files = [toy(tmp_path / name) for name in ("pbmc.toy", "other/pbmc.toy", "a b.toy")]
    toy(tmp_path / "my.store" / "toy.txt")
    with closing(catalog(*files, tmp_path / "my.store")) as made:
        made.start()
        assert sorted(r.id for r in made.entries()[0]) == ["a_b", "my", "pbmc", "pbmc-2"]
        assert {r.name for r in made.entries()[0]} == {"a b", "my", "pbmc"}
        assert made.open("pbmc").file_name == "pbmc.toy"


def test_a_root_that_is_no_data_is_an_error_at_once(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no data")
    with pytest.raises(CoverslipError, match="no known format"):
        catalog(tmp_path / "notes.txt")
    with pytest.raises(NotFound):
        catalog(tmp_path / "nothing.toy")


def test_pages_orders_and_filters(tmp_path: Path) -> None:
    for i in range(25):
        os.utime(toy(tmp_path / f"f{i:02}.toy", *["word"] * (i + 1)), (1e9 + i, 1e9 + i))
    (tmp_path / "bad.toy").write_text("half")
    os.utime(tmp_path / "bad.toy", (1e9, 1e9))
    with closing(catalog(tmp_path)) as made:
        made.start()
        assert made.wait_idle(20)
        rows, total = made.entries(limit=10, offset=20)
        assert (len(rows), total) == (6, 26)
        assert names(made)[:2] == ["bad.toy", "f00.toy"]
        assert names(made, sort="-name", limit=2) == ["f24.toy", "f23.toy"]
        assert names(made, sort="-size", limit=1) == ["f24.toy"]
        assert names(made, sort="-modified", limit=1) == ["f24.toy"]
        assert names(made, status="failed") == ["bad.toy"]
        assert names(made, kind="cells") == []
        assert made.entries(kind="images", status="ready", limit=0) == ([], 25)
        with pytest.raises(BadRequest, match="Cannot sort"):
            made.entries(sort="name; DROP TABLE sources")
        counts = made.counts()
        assert (counts["sources"], counts["failed"], counts["by_kind"]) == (26, 1, {"images": 26})
        assert (counts["scanned"], counts["scanning"], counts["roots"]) == (True, False, [tmp_path.name])


@pytest.mark.parametrize(
    ("search", "found"),
    [
        ("liver", ["liver.toy"]), ("LIV", ["liver.toy"]), ("ver.t", ["liver.toy"]), ("plate", ["A01_s1.toy"]),
        ("plate A01", ["A01_s1.toy"]), ("plate liver", []), ("GFP", ["liver.toy"]), ("dap", ["liver.toy"]),
        ("stain actin", ["store.toys"]), ("toy", ["A01_s1.toy", "liver.toy", "store.toys"]), ("100%", []),
        ("_", ["A01_s1.toy"]), ('"', []), ("* OR (", []), ("\ud800", []), ("nothing", []), ("NEAR(a b)", []),
    ],
)  # fmt: skip
def test_search(made: Catalog, search: str, found: list[str]) -> None:
    assert names(made, search=search) == found


def test_search_without_fts5(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stores, "WORDS", "CREATE VIRTUAL TABLE words USING no_such_module (name)")
    with closing(catalog(data)) as made:
        made.start()
        assert made.wait_idle(10)
        assert names(made, search="GF liv") == ["liver.toy"]
        assert names(made, search="100%") == []


def test_the_revision_grows_with_every_change_and_only_then(made: Catalog, data: Path) -> None:
    before = made.revision
    time.sleep(0.5)
    assert made.revision == before
    toy(data / "new.toy")
    within(3, lambda: made.revision > before)


def test_damaged_files_are_listed_with_the_reason_and_without_paths(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "half.toy").write_text("TOY half of")
    os.utime(tmp_path / "data" / "half.toy", (1e9, 1e9))
    toy(tmp_path / "data" / "closed.toy")
    with closing(catalog(tmp_path / "data")) as made:
        made.start()
        assert made.wait_idle(10)
        half, closed = row(made, "half.toy"), row(made, "closed.toy")
        assert half.error == {"code": "damaged", "message": "half.toy ends too early", "hint": "Copy it again."}
        assert (closed.status, closed.code) == ("failed", "unreadable")
        assert str(tmp_path) not in f"{half}{closed}"
        with pytest.raises(CoverslipError) as raised:
            made.open(half.id).source()
        assert raised.value.message == "half.toy ends too early"


def test_a_library_that_breaks_makes_a_failed_row(tmp_path: Path) -> None:
    toy(tmp_path / "a.toy")
    toy(tmp_path / "b.toy")

    def odd(path: Path) -> Source:
        if path.name == "a.toy":
            raise IndexError("list index out of range")
        return open_source(path)

    with closing(Catalog([Root.at(tmp_path)], recognise, odd, lambda s: 1 / 0, QUICK)) as made:  # type: ignore[arg-type,return-value]
        made.start()
        assert made.wait_idle(10)
        assert statuses(made) == {"a.toy": "failed", "b.toy": "failed"}
        assert "IndexError" in (row(made, "a.toy").message or "")
        assert ToySource.open_now == 0, "a source that could not be described is closed too"


def test_an_unknown_id_is_not_found(made: Catalog) -> None:
    for ask in (made.get, made.open, made.metadata):
        with pytest.raises(NotFound, match="Source not found: nope"):
            ask("nope")
    assert "nope" not in made


def test_opening_gives_entries_whose_views_are_kept(made: Catalog, data: Path) -> None:
    class Seen:
        def __init__(self, source: Source) -> None:
            self.words = source.words  # type: ignore[attr-defined]

    liver = row(made, "liver.toy")
    entry = made.open(liver.id)
    view, etag = entry.view(Seen)
    assert view.words == ["DAPI", "GFP"]
    assert entry.view(Seen)[0] is view
    assert etag == liver.version
    toy(data / "liver.toy", "BFP")
    assert made.open(liver.id).view(Seen)[0].words == ["BFP"]
    within(4, lambda: row(made, "liver.toy").version == made.open(liver.id).view(Seen)[1])


def test_what_became_a_link_to_elsewhere_is_not_opened(made: Catalog, data: Path, tmp_path: Path) -> None:
    liver = row(made, "liver.toy")
    secret = toy(tmp_path / "secret.toy", "secret")
    (data / "liver.toy").unlink()
    (data / "liver.toy").symlink_to(secret)
    with pytest.raises((UnsafeLink, NotFound)):
        made.open(liver.id).source()


def test_things_in_memory_are_offered_too(data: Path) -> None:
    made = catalog(data)
    with closing(made):
        assert (
            made.add("AnnData", "in-memory", "images", lambda: open_source(data / "liver.toy"), id="anndata")
            == "anndata"
        )
        assert made.add("AnnData", "in-memory", "images", lambda: open_source(data / "liver.toy")) == "AnnData"
        made.start()
        assert made.wait_idle(10)
        memory = made.get("anndata")
        assert (memory.status, memory.url, memory.name) == ("ready", "memory:///anndata", "AnnData")
        assert made.open("anndata").source().root.attrs


def test_things_may_be_added_and_removed_while_it_runs(made: Catalog, data: Path) -> None:
    id = made.add("Remote", "toy", "images", lambda: open_source(data / "liver.toy"))
    within(3, lambda: made.get(id).status == "ready")
    made.remove(id)
    assert id not in made
    made.remove(row(made, "liver.toy").id)
    assert "liver.toy" in paths(made), "what is on disk is not ours to remove"


def test_ten_thousand_files_hold_no_more_than_a_few_open(tmp_path: Path) -> None:
    count = many(10_000)
    before = psutil.Process().num_fds()
    ToySource.most_open = 0
    for i in range(count):
        toy(tmp_path / f"{i % 100:02}" / f"{i}.toy")
    most = 0
    with closing(catalog(tmp_path, options=replace(QUICK, persist=False), most_open=16)) as made:
        made.start()
        deadline = time.monotonic() + 120
        while made.counts()["by_status"].get("ready", 0) < count:
            most = max(most, psutil.Process().num_fds())
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert most - before < 60
        assert ToySource.most_open <= 2
        started = time.perf_counter()
        rows, total = made.entries(limit=200, offset=count // 2, sort="-modified")
        assert time.perf_counter() - started < 0.25
        assert (len(rows), total) == (200, count)
        ToySource.most_open = 0
        for found in made.entries(limit=400)[0]:
            made.open(found.id).source()
        assert ToySource.most_open <= 16 + 16 + 2, "those used last, those that wait, and the one being opened"
        assert psutil.Process().num_fds() - before < 100
    assert ToySource.open_now == 0


def test_a_source_that_is_read_is_not_closed_under_its_reader(tmp_path: Path) -> None:
    class View:
        def __init__(self, source: Source) -> None:
            self.file = source._file  # type: ignore[attr-defined]

    for i in range(60):
        toy(tmp_path / f"{i}.toy")
    with closing(catalog(tmp_path, most_open=4)) as made:
        made.start()
        assert made.wait_idle(10)
        first, *others = made.entries()[0]
        view, _ = made.open(first.id).view(View)
        for other in others:
            made.open(other.id).source()
        assert not made.open(first.id).is_open or not view.file.closed
        view.file.seek(0)
        assert view.file.read(3) == "TOY"
        file = view.file
        del view
        for other in others:
            made.open(other.id).source()
        assert file.closed, "nobody holds it any more"


# --- kept on disk ---------------------------------------------------------------------------------------------------


def restarted(data: Path, **more: object) -> Catalog:
    return catalog(data, options=KEPT, **more)


def kept(data: Path) -> dict[str, str]:
    with closing(restarted(data)) as made:
        made.start()
        assert made.wait_idle(10)
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
        assert made.wait_idle(10)
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
        assert made.wait_idle(10)
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
        assert made.wait_idle(10)
        before = row(made, "store.toys").version
    toy(data / "store.toys" / "deep" / "er" / "chunk", "two three")
    with closing(restarted(data)) as made:
        made.start()
        within(5, lambda: row(made, "store.toys").version != before)


def test_another_edition_reads_everything_anew(data: Path, cache: Path) -> None:
    kept(data)
    with closing(restarted(data, edition="2")) as made:
        made.start()
        assert made.wait_idle(10)
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
        assert made.wait_idle(10)
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
        assert made.wait_idle(10)
        ids = {r.path: r.id for r in made.entries()[0]}
        good = Store.put
        broken = made._rows.store

        def put(self: Store, *rows: object) -> None:
            if self is broken:
                raise sqlite3.OperationalError(message)
            good(self, *rows)  # type: ignore[arg-type]

        monkeypatch.setattr(Store, "put", put)
        toy(data / "new.toy")
        within(5, lambda: len(paths(made)) == 4)
        assert made.wait_idle(10)
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
            assert made.wait_idle(10)
        assert paths(one)
        assert {r.id for r in one.entries()[0]} == {r.id for r in two.entries()[0]}
        toy(data / "new.toy")
        (data / "liver.toy").unlink()
        for made in (one, two):
            within(
                5,
                lambda made=made: sorted(r.name for r in made.entries()[0]) == ["A01_s1.toy", "new.toy", "store.toys"],
            )
            within(5, lambda made=made: row(made, "new.toy").status == "ready")
        one.close()
        toy(data / "later.toy")
        within(5, lambda: "later.toy" in statuses(two))
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
            assert made.wait_idle(10)
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


@pytest.mark.parametrize(("links", "words"), [(1, "1 link leads outside"), (2, "2 links lead outside")])
def test_what_is_left_out_is_said_in_words(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, links: int, words: str
) -> None:
    folder = tmp_path / "offered"
    folder.mkdir()
    for i in range(links):
        (folder / f"link{i}").symlink_to(toy(tmp_path / f"out{i}.toy"))
    with closing(catalog(folder)) as made:
        made.start()
        assert made.wait_idle(10)
    assert [r.getMessage()[: len(words)] for r in caplog.records] == [words]
