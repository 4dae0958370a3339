"""The list of sources: what a row says, how it is found, and what is opened."""

from __future__ import annotations

import os
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import catalog_lab
import msgspec
import psutil
import pytest
from catalog_lab import names

from catalog_files import QUICK, ToySource, catalog, open_source, paths, recognise, row, statuses, toy, within
from coverslip.core.errors import BadRequest, CoverslipError, NotFound, UnsafeLink
from coverslip.core.node import Source
from coverslip.engine import store as stores
from coverslip.engine.catalog import Catalog
from coverslip.engine.places import Root
from fuzz import many

cache = catalog_lab.cache
data = catalog_lab.data
made = catalog_lab.made


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
    within(60, lambda: len(paths(made)) == 4)
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
        assert other.wait_idle(60)
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
        assert made.wait_idle(60)
        assert names(made, search="GF liv") == ["liver.toy"]
        assert names(made, search="100%") == []


def test_the_revision_grows_with_every_change_and_only_then(made: Catalog, data: Path) -> None:
    before = made.revision
    time.sleep(0.5)
    assert made.revision == before
    toy(data / "new.toy")
    within(60, lambda: made.revision > before)


def test_damaged_files_are_listed_with_the_reason_and_without_paths(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "half.toy").write_text("TOY half of")
    os.utime(tmp_path / "data" / "half.toy", (1e9, 1e9))
    toy(tmp_path / "data" / "closed.toy")
    with closing(catalog(tmp_path / "data")) as made:
        made.start()
        assert made.wait_idle(60)
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
        assert made.wait_idle(60)
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
    within(60, lambda: row(made, "liver.toy").version == made.open(liver.id).view(Seen)[1])


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
        assert made.wait_idle(60)
        memory = made.get("anndata")
        assert (memory.status, memory.url, memory.name) == ("ready", "memory:///anndata", "AnnData")
        assert made.open("anndata").source().root.attrs


def test_things_may_be_added_and_removed_while_it_runs(made: Catalog, data: Path) -> None:
    id = made.add("Remote", "toy", "images", lambda: open_source(data / "liver.toy"))
    within(60, lambda: made.get(id).status == "ready")
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
        assert made.wait_idle(60)
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
        assert made.wait_idle(60)
    assert [r.getMessage()[: len(words)] for r in caplog.records] == [words]
