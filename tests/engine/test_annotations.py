"""Annotations: kept, revised, limited, found again after a move, and pruned only when their image is gone."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path

import pytest

from coverslip.core import patience
from coverslip.core.errors import BadRequest, Forbidden, TooLarge, Unreadable
from coverslip.core.patience import Patience
from coverslip.engine import annotations
from coverslip.engine.annotation import Annotation, Place
from coverslip.engine.annotations import Annotations, Find
from disks import network_disk

LONG_S = 60
POINT = '{"point":{"x":3,"y":4}}'


def shape(id: str = "", set_name: str = "cells", rev: int = 0, **more: object) -> Annotation:
    return Annotation(id, set_name, "a", POINT, rev=rev, **more)  # type: ignore[arg-type]


def offers(*places: Place) -> Find:
    ids = {(place.place, place.field): place.array_id for place in places}
    return lambda place, field: ids.get((place, field))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "state" / "annotations.sqlite"


@pytest.fixture
def kept(file: Path) -> Annotations:
    return Annotations(file)


@pytest.fixture
def image(tmp_path: Path) -> Place:
    path = tmp_path / "liver.tif"
    path.write_bytes(b"II")
    return Place(str(path), "", "liver-1a2b", "file:///data/liver.tif", path.stat().st_ino)


def test_what_is_put_is_read_by_another_server(kept: Annotations, image: Place, file: Path) -> None:
    given = shape(plane={0: 3, 1: 2}, props_json='{"k":1}', drawn_against=b"\0v1")
    (stored,), conflicts = kept.put(image, [given])
    assert not conflicts
    (read,) = Annotations(file).read(image)
    assert read == stored
    assert (read.plane, read.props_json, read.drawn_against) == ({0: 3, 1: 2}, '{"k":1}', b"\0v1")
    assert (read.rev, read.array_id, len(read.roi_id)) == (1, "liver-1a2b", 36)
    assert read.created_ms == read.updated_ms > 0
    assert file.stat().st_mode & 0o077 == 0


def test_a_change_raises_rev_and_keeps_the_first_time(kept: Annotations, image: Place) -> None:
    (first,), _ = kept.put(image, [shape()])
    (second,), _ = kept.put(image, [shape(first.roi_id, "nuclei")])
    assert (second.rev, second.created_ms, second.set_name) == (2, first.created_ms, "nuclei")
    assert kept.sets(image) == {"nuclei": 1}


def test_a_stale_rev_is_left_out_and_the_rest_lands(kept: Annotations, image: Place) -> None:
    (first,), _ = kept.put(image, [shape()])
    stored, conflicts = kept.put(image, [shape(first.roi_id, rev=7), shape("new")], check_rev=True)
    assert [one.roi_id for one in stored] == ["new"]
    assert conflicts == [(first.roi_id, 1)]
    _, conflicts = kept.put(image, [shape("lost", rev=3)], check_rev=True)
    assert conflicts == [("lost", 0)]
    (again,), _ = kept.put(image, [shape(first.roi_id, rev=1)], check_rev=True)
    assert again.rev == 2


def test_the_limit_takes_the_whole_batch_or_nothing(file: Path, image: Place) -> None:
    kept = Annotations(file, most=3)
    kept.put(image, [shape(), shape()])
    with pytest.raises(TooLarge, match="would have 4"):
        kept.put(image, [shape("x"), shape("y")])
    assert len(kept.read(image)) == 2
    kept.put(image, [shape("x")])


def test_reserved_sets_are_read_and_never_written(kept: Annotations, image: Place, file: Path) -> None:
    with pytest.raises(Forbidden, match="server's own"):
        kept.put(image, [shape(set_name="@auto")])
    kept.put(image, [shape("mine"), shape("theirs")])
    with sqlite3.connect(file) as db:
        db.execute("UPDATE rois SET set_name = '@auto' WHERE roi_id = 'theirs'")
    db.close()
    assert [one.roi_id for one in kept.read(image)] == ["mine"]
    assert [one.roi_id for one in kept.read(image, "@auto")] == ["theirs"]
    assert kept.sets(image) == {"@auto": 1, "cells": 1}
    with pytest.raises(Forbidden):
        kept.put(image, [shape("theirs")])
    with pytest.raises(Forbidden):
        kept.delete(image, set_name="@auto")
    assert kept.delete(image) == ["mine"]
    assert kept.sets(image) == {"@auto": 1}


def test_delete_by_id_by_set_and_all(kept: Annotations, image: Place) -> None:
    kept.put(image, [shape("a"), shape("b", "other"), shape("c"), shape("d", "third")])
    assert kept.delete(image, ["a", "nobody"]) == ["a"]
    assert kept.delete(image, ["b"], "cells") == []
    assert kept.delete(image, set_name="other") == ["b"]
    assert kept.delete(image) == ["c", "d"]
    assert kept.read(image) == []


def test_an_id_of_another_image_is_refused(kept: Annotations, image: Place) -> None:
    kept.put(image, [shape("a")])
    other = Place("/elsewhere/kidney.tif", "", "kidney")
    with pytest.raises(BadRequest, match="another image"):
        kept.put(other, [shape("a")])
    assert kept.delete(other, ["a"]) == []
    with pytest.raises(BadRequest, match="twice"):
        kept.put(image, [shape("b"), shape("b")])


def test_the_same_id_of_another_file_has_none_of_them(kept: Annotations, image: Place, tmp_path: Path) -> None:
    kept.put(image, [shape("a")])
    namesake = Place(str(tmp_path / "elsewhere" / "liver.tif"), "", image.array_id)
    assert kept.read(namesake) == []
    assert [one.roi_id for one in kept.everything(offers(namesake))] == []
    assert [one.array_id for one in kept.everything(offers(image))] == [image.array_id]


def test_a_renamed_file_keeps_its_annotations(kept: Annotations, image: Place, tmp_path: Path) -> None:
    kept.put(image, [shape("a")])
    moved = Path(image.place).rename(tmp_path / "liver-final.tif")
    now = Place(str(moved), "", image.array_id, image.url, moved.stat().st_ino)
    assert [one.roi_id for one in kept.read(now)] == ["a"]
    kept.put(now, [shape("b")])
    assert [one.roi_id for one in kept.everything(offers(now))] == ["a", "b"]


def test_prune_takes_only_what_is_gone_long_enough(kept: Annotations, image: Place, file: Path) -> None:
    gone = Place("/mnt/usb/gone.czi", "Scene 1", "gone/Scene 1", "file:///usb/gone.czi")
    kept.put(image, [shape("a")])
    kept.put(gone, [shape("b"), shape("c")])
    assert kept.prune(1, offers(image), apply=True) == ([], 0)
    [report], deleted = kept.prune(0, offers(image), apply=False)
    assert (report.array_id, report.url, report.count, deleted) == ("gone/Scene 1", "file:///usb/gone.czi", 2, 0)
    assert kept.prune(0, offers(image, gone), apply=True) == ([], 0)
    # Nobody offers the first image any more, but its file is there.
    (report,), deleted = kept.prune(0, offers(), apply=True)
    assert (report.array_id, deleted) == ("gone/Scene 1", 2)
    Path(image.place).unlink()
    (report,), deleted = kept.prune(0, offers(), apply=True)
    assert (report.array_id, deleted) == (image.array_id, 1)
    with pytest.raises(BadRequest):
        kept.prune(-1, offers(), apply=False)


def test_looking_counts_as_seen(kept: Annotations, file: Path) -> None:
    there = Place("s3://bucket/image.zarr", "", "image")
    kept.put(there, [shape("a")])
    with sqlite3.connect(file) as db:
        db.execute("UPDATE tensors SET seen_ms = 1000")
    db.close()
    kept.look(offers(there))
    assert kept.prune(1, offers(), apply=True) == ([], 0)


def test_many_writers_at_once(file: Path, image: Place) -> None:
    servers = [Annotations(file) for _ in range(4)]
    failed: list[BaseException] = []

    def work(server: Annotations) -> None:
        try:
            for _ in range(5):
                server.put(image, [shape()])
        except BaseException as error:  # noqa: BLE001  (told by the test)
            failed.append(error)

    threads = [threading.Thread(target=work, args=(server,)) for server in servers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed
    assert len(servers[0].read(image)) == 20


def test_a_killed_process_loses_nothing_it_confirmed(file: Path, image: Place) -> None:
    program = f"""
import sys
from pathlib import Path
from coverslip.engine.annotations import *
kept = Annotations(Path({str(file)!r}))
place = Place({image.place!r}, "", {image.array_id!r})
while True:
    (one,), _ = kept.put(place, [Annotation("", "s", "", {POINT!r})])
    print(one.roi_id, flush=True)
"""
    process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    told = [process.stdout.readline().strip() for _ in range(10)]
    process.kill()
    told += process.stdout.read().split()[:-1]
    process.wait()
    process.stdout.close()
    there = {one.roi_id for one in Annotations(file).read(image)}
    assert set(told) <= there


def test_a_damaged_file_is_left_as_it_is(file: Path, image: Place) -> None:
    file.parent.mkdir()
    file.write_bytes(b"not a database" * 1000)
    with pytest.raises(Unreadable, match="cannot be read or kept"):
        Annotations(file).read(image)
    assert file.read_bytes().startswith(b"not a database")


def test_what_cannot_be_written_down_is_let_go(
    image: Place, file: Path, kept: Annotations, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a network disk who reads keeps others from writing; it must not keep them from it for ever."""
    monkeypatch.setattr(annotations, "BUSY_S", 0.01)
    monkeypatch.setattr(annotations, "is_remote", lambda kind: True)
    kept.put(image, [shape("first")])
    with closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("BEGIN")
        other.execute("SELECT count(*) FROM rois").fetchall()
        with pytest.raises(Unreadable, match="locked"):
            kept.put(image, [shape("second")])
        other.execute("COMMIT")
    kept.put(image, [shape("third")])
    assert [one.roi_id for one in kept.read(image)] == ["first", "third"]
    kept.close()


def test_images_on_a_disk_that_hangs_are_there(
    kept: Annotations, image: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever asks about others does not wait for it, either: it is asked while the database is locked."""
    kept.put(image, [shape("one")])
    opened = threading.Event()
    network_disk(tmp_path, monkeypatch)
    monkeypatch.setattr(patience, "PATIENCE", Patience(0.05))
    monkeypatch.setattr(annotations.os.path, "lexists", lambda place: opened.wait(LONG_S) and False)
    try:
        assert kept.prune(0, offers(), apply=True) == ([], 0)
    finally:
        opened.set()
    assert [one.roi_id for one in kept.read(image)] == ["one"]
    kept.close()
