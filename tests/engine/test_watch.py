"""The list stays true while files come, change and go."""

from __future__ import annotations

import logging
import os
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from catalog_files import QUICK, catalog, names_on_disk, paths, row, statuses, toy, within
from coverslip.engine import places, survey, watch
from coverslip.engine.catalog import Catalog
from coverslip.engine.found import Key
from coverslip.engine.options import CatalogOptions
from coverslip.engine.places import Root
from coverslip.engine.watch import inner_folders
from fuzz import many

PATIENCE_S = 60.0
"""A change shows in a fraction of a second; a machine with other things to do may take this long."""


@pytest.fixture
def data(tmp_path: Path) -> Path:
    toy(tmp_path / "data" / "a.toy")
    toy(tmp_path / "data" / "sub" / "b.toy")
    toy(tmp_path / "data" / "s.toys" / "toy.txt")
    return tmp_path / "data"


@pytest.fixture
def made(data: Path) -> Iterator[Catalog]:
    with closing(catalog(data)) as made:
        made.start()
        assert made.wait_idle(60)
        assert made.watching
        yield made


def test_a_new_file_shows_as_live_and_then_as_ready(data: Path) -> None:
    with closing(catalog(data, options=CatalogOptions(persist=False))) as made:  # as it is run
        made.start()
        assert made.wait_idle(60)
        toy(data / "new.toy", old=False)
        within(PATIENCE_S, lambda: "new.toy" in statuses(made))
        assert row(made, "new.toy").status == "live"
        within(PATIENCE_S, lambda: row(made, "new.toy").status == "ready")
        assert row(made, "new.toy").tensors


def test_files_in_new_folders_show(made: Catalog, data: Path) -> None:
    toy(data / "x" / "y" / "z" / "new.toy")
    within(PATIENCE_S, lambda: "x/y/z/new.toy" in paths(made))
    toy(data / "x" / "y" / "later.toy")
    within(PATIENCE_S, lambda: "x/y/later.toy" in paths(made))
    shutil.copytree(data / "x", data / "copy")
    within(PATIENCE_S, lambda: {"copy/y/z/new.toy", "copy/y/later.toy"} <= set(paths(made)))


def test_a_deleted_file_and_a_deleted_folder_go(made: Catalog, data: Path) -> None:
    gone = row(made, "a.toy").id
    made.open(gone).source()
    (data / "a.toy").unlink()
    within(PATIENCE_S, lambda: "a.toy" not in paths(made))
    assert gone not in made
    shutil.rmtree(data / "sub")
    within(PATIENCE_S, lambda: paths(made) == ["s.toys"])


def test_an_edit_in_place_is_another_version(made: Catalog, data: Path) -> None:
    before = row(made, "a.toy")
    toy(data / "a.toy", "DAPI", "GFP", "Cy5", old=False)
    within(PATIENCE_S, lambda: row(made, "a.toy").version != before.version)
    within(PATIENCE_S, lambda: (row(made, "a.toy").tensors or [{}])[0].get("shape") == [3, 4, 5])
    assert row(made, "a.toy").id == before.id
    content = (data / "a.toy").read_text()
    with (data / "a.toy").open("r+") as file:  # the same size, one byte
        file.write(content.replace("GFP", "BFP"))
    within(PATIENCE_S, lambda: made.entries(search="BFP")[1] == 1)


def test_renames_keep_the_id(made: Catalog, data: Path) -> None:
    ids = {r.path: r.id for r in made.entries()[0]}
    (data / "a.toy").rename(data / "renamed.toy")
    within(PATIENCE_S, lambda: "renamed.toy" in paths(made))
    assert row(made, "renamed.toy").id == ids["a.toy"]
    assert row(made, "renamed.toy").status == "ready"
    assert made.open(ids["a.toy"]).name == "renamed.toy"
    (data / "sub").rename(data / "moved")
    within(PATIENCE_S, lambda: "moved/b.toy" in paths(made))
    (data / "s.toys").rename(data / "t.toys")
    within(PATIENCE_S, lambda: "t.toys" in paths(made))
    assert {r.id for r in made.entries()[0]} == set(ids.values())
    toy(data / "moved" / "more.toy")
    within(PATIENCE_S, lambda: "moved/more.toy" in paths(made))
    assert made.open(ids["sub/b.toy"]).source().root


def test_a_change_inside_a_folder_is_another_version(made: Catalog, data: Path) -> None:
    before = row(made, "s.toys")
    entry = made.open(before.id)
    etag = entry.view(lambda source: [source])[1]
    toy(data / "s.toys" / "0" / "0.0", "chunk")
    within(PATIENCE_S, lambda: row(made, "s.toys").version != before.version)
    within(PATIENCE_S, lambda: row(made, "s.toys").status == "ready")
    after = row(made, "s.toys")
    assert entry.view(lambda source: [source])[1] == after.version != etag
    toy(data / "s.toys" / "0" / "0.0", "knuhc")  # same size and time: only the system's word for it
    within(PATIENCE_S, lambda: row(made, "s.toys").version != after.version)
    assert paths(made) == ["a.toy", "s.toys", "sub/b.toy"]


def test_a_change_inside_a_folder_that_is_new_is_another_version(made: Catalog, data: Path) -> None:
    toy(data / "new.toys" / "0" / "0.0", "chunk")
    toy(data / "new.toys" / "toy.txt")
    within(PATIENCE_S, lambda: "new.toys" in paths(made) and row(made, "new.toys").status == "ready")
    assert made.wait_idle(60)
    time.sleep(1.5)
    before = row(made, "new.toys").version
    toy(data / "new.toys" / "0" / "0.0", "knuhc")
    within(PATIENCE_S, lambda: row(made, "new.toys").version != before)


def test_a_file_is_live_while_it_is_written_and_never_failed(data: Path) -> None:
    seen: set[str] = set()
    done = threading.Event()

    def write() -> None:
        with (data / "slow.toy").open("w") as file:
            for part in ("TOY ", "DAPI ", "GFP ", "Cy5 ", "TRITC ", "Alexa ", "END"):
                file.write(part)
                file.flush()
                time.sleep(0.25)
        done.set()

    with closing(catalog(data)) as made:
        made.start()
        assert made.wait_idle(60)
        threading.Thread(target=write).start()
        within(PATIENCE_S, lambda: "slow.toy" in statuses(made))
        while not done.is_set():
            seen.add(statuses(made)["slow.toy"])
            time.sleep(0.01)
        within(PATIENCE_S, lambda: statuses(made)["slow.toy"] == "ready")
        assert seen == {"live"}
        assert (row(made, "slow.toy").tensors or [{}])[0]["shape"] == [5, 4, 5]


def test_a_file_that_stays_half_written_fails_in_the_end_and_recovers(made: Catalog, data: Path) -> None:
    (data / "half.toy").write_text("TOY half")
    within(PATIENCE_S, lambda: statuses(made).get("half.toy") == "live")
    within(PATIENCE_S + QUICK.settle_s, lambda: statuses(made)["half.toy"] == "failed")
    assert row(made, "half.toy").code == "damaged"
    with (data / "half.toy").open("a") as file:
        file.write(" END")
    within(PATIENCE_S, lambda: statuses(made)["half.toy"] == "ready")
    assert row(made, "half.toy").error is None


def test_what_is_written_all_the_time_can_be_read_meanwhile(data: Path) -> None:
    stop = threading.Event()

    def append() -> None:
        n = 0
        while not stop.wait(0.1):
            n += 1
            (data / "run.toy.part").write_text(f"TOY {'frame ' * n}END")
            (data / "run.toy.part").replace(data / "run.toy")

    with closing(catalog(data)) as made:
        made.start()
        assert made.wait_idle(60)
        writer = threading.Thread(target=append)
        writer.start()
        try:
            within(60, lambda: statuses(made).get("run.toy") == "live" and row(made, "run.toy").tensors)
            first = (row(made, "run.toy").tensors or [{}])[0]["shape"]
            within(60, lambda: (row(made, "run.toy").tensors or [{}])[0]["shape"] > first)
        finally:
            stop.set()
            writer.join()
        within(PATIENCE_S, lambda: statuses(made)["run.toy"] == "ready")


def test_hidden_and_unknown_files_show_nothing(made: Catalog, data: Path) -> None:
    before = made.revision
    toy(data / ".hidden.toy")
    toy(data / ".git" / "x.toy")
    (data / "notes.txt").write_text("x")
    (data / "notes.txt").write_text("y")
    time.sleep(0.8)
    assert made.revision == before
    (data / "notes.txt").rename(data / "notes.toy")
    within(PATIENCE_S, lambda: "notes.toy" in paths(made))


def test_another_name_takes_over_when_the_first_is_deleted(made: Catalog, data: Path) -> None:
    os.link(data / "a.toy", data / "z.toy")
    time.sleep(0.5)
    assert "z.toy" not in paths(made)
    (data / "a.toy").unlink()
    within(PATIENCE_S, lambda: "z.toy" in paths(made))


def test_a_folder_becomes_a_source_when_its_marker_is_written(made: Catalog, data: Path) -> None:
    toy(data / "sub" / "toy.txt")
    within(PATIENCE_S, lambda: paths(made) == ["a.toy", "s.toys", "sub"])
    (data / "sub" / "toy.txt").unlink()
    within(PATIENCE_S, lambda: paths(made) == ["a.toy", "s.toys", "sub/b.toy"])


def test_a_set_grows_and_shrinks(made: Catalog, data: Path) -> None:
    toy(data / "x_1.part", "one")
    within(PATIENCE_S, lambda: "x_1.part" in paths(made))
    id = row(made, "x_1.part").id
    toy(data / "x_2.part", "two")
    within(PATIENCE_S, lambda: len(row(made, "x_1.part").members) == 2)
    assert "x_2.part" not in paths(made)
    before = row(made, "x_1.part").version
    toy(data / "x_2.part", "another", "one")
    within(PATIENCE_S, lambda: row(made, "x_1.part").version != before)
    (data / "x_2.part").unlink()
    within(PATIENCE_S, lambda: row(made, "x_1.part").members == ())
    assert row(made, "x_1.part").id == id


def test_a_root_that_goes_keeps_its_rows_and_says_so(made: Catalog, data: Path, tmp_path: Path) -> None:
    ids = {r.path: r.id for r in made.entries()[0]}
    data.rename(tmp_path / "unplugged")
    within(PATIENCE_S + 1, lambda: set(statuses(made).values()) == {"failed"})
    assert {r.path: r.id for r in made.entries()[0]} == ids
    assert row(made, "a.toy").code == "root_missing"
    (tmp_path / "unplugged").rename(data)
    within(PATIENCE_S + 1, lambda: set(statuses(made).values()) == {"ready"})
    assert {r.path: r.id for r in made.entries()[0]} == ids
    toy(data / "later.toy")
    within(PATIENCE_S, lambda: "later.toy" in paths(made))
    shutil.rmtree(data)
    within(PATIENCE_S + 1, lambda: set(statuses(made).values()) == {"failed"})
    toy(data / "anew.toy")
    within(PATIENCE_S + 1, lambda: paths(made) == ["anew.toy"])


def test_a_root_whose_disk_is_not_mounted_is_missing_and_not_empty(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COVERSLIP_CACHE_DIR", str(tmp_path / "cache"))
    kept = replace(QUICK, persist=True)
    with closing(catalog(data, options=kept)) as made:
        made.start()
        assert made.wait_idle(60)
        made._intake.reached(made.roots[0], 12345)  # it was on another device
    shutil.rmtree(data)
    data.mkdir()
    with closing(catalog(data, options=kept)) as made:
        made.start()
        assert made.wait_idle(60)
        assert [r.code for r in made.entries()[0]] == ["root_missing"] * 3


def test_a_root_that_is_a_file_is_followed_through_replacement_and_deletion(tmp_path: Path) -> None:
    file = toy(tmp_path / "one.toy", "DAPI")
    with closing(catalog(file)) as made:
        made.start()
        assert made.wait_idle(60)
        before = made.get("one").version
        toy(tmp_path / "next", "GFP", old=False).replace(file)
        within(PATIENCE_S, lambda: made.get("one").version != before and made.entries(search="GFP")[1])
        file.unlink()
        within(PATIENCE_S + 1, lambda: made.get("one").code == "root_missing")
        toy(file, "Cy5")
        within(PATIENCE_S + 1, lambda: made.get("one").status == "ready" and made.entries(search="Cy5")[1])
        toy(tmp_path / "other.toy")
        time.sleep(0.5)
        assert made.entries()[1] == 1, "only what was offered"


def test_network_disks_are_looked_at_every_so_often(
    data: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(places, "file_system", lambda path: "nfs4")
    listened: list[object] = []
    monkeypatch.setattr(watch, "_listen", listened.append)
    with closing(catalog(data, options=replace(QUICK, rescan_s=0.3))) as made:
        made.start()
        assert made.wait_idle(60)
        before = row(made, "s.toys").version
        toy(data / "new.toy")
        (data / "a.toy").unlink()
        within(60, lambda: paths(made) == ["new.toy", "s.toys", "sub/b.toy"])
        toy(data / "s.toys" / "deep" / "chunk")
        within(60, lambda: row(made, "s.toys").version != before)
        within(60, lambda: set(statuses(made).values()) == {"ready"})
        middle = row(made, "s.toys").version
        (data / "s.toys" / "deep" / "chunk").write_text("changed where a scan does not look")
        within(60, lambda: row(made, "s.toys").version != middle)
        assert not any(listened)
    assert not caplog.records


@pytest.mark.parametrize("error", [OSError(28, "OS file watch limit reached"), RuntimeError("no inotify")])
def test_without_watches_changes_are_looked_for(
    data: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, error: Exception
) -> None:
    def refuse(*_: object, **__: object) -> Iterator[object]:
        raise error
        yield

    monkeypatch.setattr(watch, "_changes", refuse)
    monkeypatch.setattr(survey, "FALLBACK_S", 0.3)
    with closing(catalog(data)) as made:
        made.start()
        assert made.wait_idle(60)
        assert not made.watching
        toy(data / "new.toy")
        (data / "a.toy").unlink()
        within(60, lambda: paths(made) == ["new.toy", "s.toys", "sub/b.toy"])
    assert [r.levelname for r in caplog.records] == ["WARNING"]


def test_a_watch_that_ends_is_replaced_by_looking(
    data: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    real = watch._listen

    def once(folders: dict[str, tuple[int, int]]) -> Iterator[object]:
        listening = real(folders)

        def failing() -> Iterator[object]:
            yield next(listening)
            listening.close()
            raise RuntimeError("the event queue is gone")

        return failing()

    monkeypatch.setattr(watch, "_listen", once)
    monkeypatch.setattr(survey, "FALLBACK_S", 0.3)
    with closing(catalog(data)) as made:
        made.start()
        within(60, lambda: not made.watching)
        toy(data / "new.toy")
        within(60, lambda: "new.toy" in paths(made))
    assert [r.levelname for r in caplog.records] == ["WARNING"]


def test_hundreds_of_files_at_once(made: Catalog, data: Path) -> None:
    for i in range(300):
        toy(data / f"dir{i % 30}" / f"{i}.toy")
    within(10, lambda: len(paths(made)) == 303)
    assert sorted(paths(made)) == sorted([*names_on_disk(data), "s.toys"])
    for i in range(30):
        shutil.rmtree(data / f"dir{i}")
    within(10, lambda: len(paths(made)) == 3)


def test_a_change_shows_soon_below_ten_thousand_others(tmp_path: Path) -> None:
    for i in range(many(10_000)):
        (tmp_path / f"{i}.txt").touch()
    toy(tmp_path / "0.toy")
    with closing(catalog(tmp_path)) as made:
        made.start()
        assert made.wait_idle(60)
        toy(tmp_path / "new.toy")
        within(PATIENCE_S, lambda: "new.toy" in paths(made))
        (tmp_path / "0.toy").unlink()
        within(PATIENCE_S, lambda: paths(made) == ["new.toy"])


def test_folders_of_a_folder_are_watched_up_to_a_limit(tmp_path: Path) -> None:
    for i in range(20):
        (tmp_path / str(i) / "deep").mkdir(parents=True)
    (tmp_path / "loop").symlink_to(tmp_path)
    assert len(inner_folders(str(tmp_path))) == 41
    assert len(inner_folders(str(tmp_path), 10)) == 10
    assert inner_folders(str(tmp_path / "nothing")) == {}


def test_links_do_not_widen_what_is_watched(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    outside = toy(tmp_path / "outside" / "x.toy")
    toy(tmp_path / "root" / "a.toy")
    (tmp_path / "root" / "escape").symlink_to(outside.parent)
    with closing(catalog(Root.at(tmp_path / "root"))) as made, caplog.at_level(logging.WARNING):
        made.start()
        assert made.wait_idle(60)
        folders = made._survey._folders()
        assert list(folders) == [str(tmp_path / "root")]
    assert ["outside" in r.getMessage() for r in caplog.records] == [True]


def test_a_watch_that_is_closed_while_it_begins_does_not_begin(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A catalog that ends in its first second would leave a thread, and what the system keeps for it."""
    made, begun, real = watch.Watch(lambda changes: None), list[watch.Heard](), watch._listen

    def closing_meanwhile(folders: dict[str, Key]) -> watch.Heard:
        begun.append(real(folders))
        made.close()
        return begun[-1]

    monkeypatch.setattr(watch, "_listen", closing_meanwhile)
    assert made.cover(inner_folders(str(data))) == []
    (heard,) = begun
    assert next(heard, None) is None, "nobody hears it any more"
