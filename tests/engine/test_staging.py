"""Folders that appear whole or not at all."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from coverslip.engine import staging
from coverslip.engine.staging import publish, staged


def write(target: Path, text: str, replace: bool = False) -> None:
    with staged(target) as place:
        (place / "inner").mkdir()
        (place / "inner" / "file").write_text(text)
        publish(place, target, replace)


def test_it_appears_whole(tmp_path: Path) -> None:
    target = tmp_path / "new" / "out"
    write(target, "one")
    assert (target / "inner" / "file").read_text() == "one"
    assert list(target.parent.iterdir()) == [target]


@pytest.mark.parametrize("at_once", [True, False])
def test_it_is_replaced_as_a_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at_once: bool) -> None:
    """By one call of the system, or where it has none."""
    if not at_once:
        monkeypatch.setattr(staging, "_exchanged", lambda one, other: False)
    target = tmp_path / "out"
    write(target, "one")
    (target / "old").touch()
    with pytest.raises(FileExistsError):
        write(target, "two")
    assert (target / "inner" / "file").read_text() == "one"
    write(target, "two", replace=True)
    assert (target / "inner" / "file").read_text() == "two"
    assert not (target / "old").exists()
    assert list(tmp_path.iterdir()) == [target]


def test_nothing_is_left_of_what_failed(tmp_path: Path) -> None:
    def interrupted() -> None:
        with staged(tmp_path / "out") as place:
            (place / "file").touch()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert list(tmp_path.iterdir()) == []


def dead() -> int:
    """The number of a process that is over."""
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    return process.pid


def test_what_killed_programs_left_is_removed(tmp_path: Path) -> None:
    """Of the same folder and of this machine; others may be at work."""
    gone, alive = dead(), os.getppid()
    left = tmp_path / f".out.part-{staging.HERE}-{gone}-ab"
    others = [
        tmp_path / f".out.part-{staging.HERE}-{alive}-ab",
        tmp_path / f".out.part-00000000-{gone}-ab",
        tmp_path / f".out2.part-{staging.HERE}-{gone}-ab",
        tmp_path / ".out.mine-a-b-c",
    ]
    for folder in (left, *others):
        folder.mkdir()
    write(tmp_path / "out", "x")
    assert not left.exists()
    assert all(folder.exists() for folder in others)


def test_what_was_moved_away_is_put_back(tmp_path: Path) -> None:
    """Killed between its two steps, where the system cannot exchange folders."""
    old = tmp_path / f".out.old-{staging.HERE}-{dead()}-ab"
    old.mkdir()
    (old / "file").touch()
    staging.sweep(tmp_path / "out")
    assert (tmp_path / "out" / "file").exists()
