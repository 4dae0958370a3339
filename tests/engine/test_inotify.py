"""Changes as Linux tells them, beside those of the library that is used on other systems."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from pathlib import Path

import pytest

if sys.platform != "linux":
    pytest.skip("inotify is Linux's", allow_module_level=True)

from coverslip.engine import inotify, watch
from coverslip.engine.inotify import changes
from coverslip.engine.watch import ADDED, DELETED, MODIFIED, Changes

WAIT_MS = 50
TRIES = 200
Listen = Callable[[list[str]], Generator[Changes, None, None]]


def ours(paths: list[str]) -> Generator[Changes, None, None]:
    return changes(paths, WAIT_MS, WAIT_MS, WAIT_MS)


@pytest.fixture(params=[ours, watch._elsewhere], ids=["inotify", "watchfiles"])
def listen(request: pytest.FixtureRequest) -> Listen:
    made: Listen = request.param
    return made


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "data"
    made.mkdir()
    (made / "a").write_text("a")
    return made


def heard(told: Iterator[Changes], path: Path) -> set[int]:
    """What happened to a path; waits until something did."""
    for _ in range(TRIES):
        found = {change for change, where in next(told) if where == str(path)}
        if found:
            return found
    raise AssertionError(f"nothing was heard of {path.name}")


def test_changes_have_one_name_whatever_hears_them(folder: Path, listen: Listen) -> None:
    with closing(listen([str(folder)])) as told:
        assert next(told) == set()
        (folder / "new").write_text("new")
        assert ADDED in heard(told, folder / "new")
        (folder / "mark").touch()
        heard(told, folder / "mark")
        (folder / "a").write_text("other")
        assert heard(told, folder / "a") == {MODIFIED}
        os.utime(folder / "a", (1, 1))
        assert heard(told, folder / "a") == {MODIFIED}
        (folder / "a").unlink()
        assert DELETED in heard(told, folder / "a")
        (folder / "new").rename(folder / "renamed")
        assert ADDED in heard(told, folder / "renamed") or DELETED in heard(told, folder / "new")


def test_reading_is_no_change(folder: Path) -> None:
    with closing(ours([str(folder)])) as told:
        next(told)
        for _ in range(20):
            (folder / "a").read_text()
            list(folder.iterdir())
        assert next(told) == set()
        (folder / "b").touch()
        assert {where for _, where in next(told)} == {str(folder / "b")}


def test_a_folder_that_goes_is_told_and_forgotten(folder: Path) -> None:
    inner = folder / "inner"
    inner.mkdir()
    with closing(ours([str(folder), str(inner)])) as told:
        next(told)
        inner.rmdir()
        found = next(told)
        assert (DELETED, str(inner)) in found
        inner.mkdir()
        heard(told, inner)
        (inner / "not watched").touch()
        assert next(told) == set()


def test_a_folder_that_is_moved_away_is_no_longer_heard(folder: Path, tmp_path: Path) -> None:
    inner = folder / "inner"
    inner.mkdir()
    with closing(ours([str(inner)])) as told:
        next(told)
        inner.rename(tmp_path / "elsewhere")
        assert heard(told, inner) == {DELETED}
        (tmp_path / "elsewhere" / "private").touch()
        assert next(told) == set()


def test_what_happens_at_once_is_told_at_once(folder: Path, tmp_path: Path) -> None:
    """One name for another: whoever looked between the two would find nothing."""
    inner, new = folder / "inner", tmp_path / "new"
    inner.mkdir()
    new.mkdir()
    with closing(changes([str(folder), str(inner)], WAIT_MS * TRIES, WAIT_MS * TRIES, 1000)) as told:
        next(told)
        found: list[Changes] = []
        listening = threading.Thread(target=lambda: found.append(next(told)))
        listening.start()
        inner.rename(tmp_path / "old")
        time.sleep(0.05)  # what was heard of the first is looked at meanwhile
        new.rename(inner)
        listening.join()
    assert {(ADDED, str(inner)), (DELETED, str(inner))} <= found[0]


def test_a_folder_of_two_names_is_told_by_both(folder: Path, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(folder)
    with closing(ours([str(folder), str(link)])) as told:
        next(told)
        (folder / "b").touch()
        found = next(told)
        assert {(ADDED, str(folder / "b")), (ADDED, str(link / "b"))} <= found


def test_what_is_gone_already_is_passed_over_unless_it_is_all(folder: Path, tmp_path: Path) -> None:
    with closing(ours([str(tmp_path / "gone"), str(folder)])) as told:
        next(told)
        (folder / "b").touch()
        assert heard(told, folder / "b")
    with pytest.raises(FileNotFoundError):
        next(ours([str(tmp_path / "gone")]))


def test_when_the_system_lost_count_everything_may_have_changed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with closing(ours([str(folder)])) as told:
        next(told)
        lost = inotify.flags.Q_OVERFLOW.to_bytes(4, "little")
        event = (-1).to_bytes(4, "little", signed=True) + lost + bytes(8)
        monkeypatch.setattr(inotify.INotify, "_readall", lambda self: event)
        assert (MODIFIED, str(folder)) in next(told)


def test_no_file_stays_open(folder: Path) -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(5):
        with closing(ours([str(folder)])) as told:
            next(told)
    assert len(list(Path("/proc/self/fd").iterdir())) == before
