"""Roots on network disks that do not answer: at the start, and while their sources are looked at."""

from __future__ import annotations

import gc
import os
import threading
import warnings
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from catalog_files import QUICK, describe, open_source, recognise, statuses, toy, within
from coverslip.core import patience
from coverslip.core.errors import Unreadable
from coverslip.core.node import Source
from coverslip.core.patience import HANGS, Patience
from coverslip.engine import indexer, places
from coverslip.engine.catalog import Catalog
from coverslip.engine.files import Files
from coverslip.engine.found import Seen
from coverslip.engine.places import Root
from coverslip.engine.reach import Reach
from coverslip.engine.scan import Tree
from coverslip.engine.storage import MOST_HELD, STORAGE, place_of
from coverslip.engine.systems import Systems
from coverslip.fronts.tensors.browse import listing
from disks import network_disk

LONG_S = 30


@pytest.fixture
def nas(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is taken for a network disk, which may take a tenth of a second to answer."""
    folder = tmp_path / "nas"
    folder.mkdir()
    network_disk(folder, monkeypatch)
    return folder


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    """Open, the disk answers."""
    opened = threading.Event()
    yield opened
    opened.set()


def test_a_root_that_hangs_is_told_at_the_start(
    nas: Path, gate: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patience, "PATIENCE", Patience(0.1))
    monkeypatch.setattr(places, "check_there", lambda *_: gate.wait(LONG_S))
    with pytest.raises(Unreadable, match="does not answer") as told:
        Root.at(nas)
    assert told.value.name == HANGS


def test_a_source_that_hangs_keeps_no_other_from_being_listed(
    nas: Path, tmp_path: Path, gate: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is looked at again, once its disk answers."""
    monkeypatch.setattr(indexer, "LONGEST_S", 0.2)
    near = tmp_path / "near"
    toy(nas / "far.toy", "far")
    toy(near / "near.toy", "near")
    hung = threading.Event()

    def opening(path: Path) -> Source:
        if nas in path.parents:
            hung.set()
            gate.wait(LONG_S)
        return open_source(path)

    roots = [Root.at(nas), Root.at(near)]
    with closing(Catalog(roots, recognise, opening, describe, replace(QUICK, persist=False))) as made:
        made.start()
        assert hung.wait(LONG_S)
        within(LONG_S, lambda: statuses(made).get("near.toy") == "ready")
        toy(near / "later.toy", "later")
        made.look_at(near / "later.toy")
        within(LONG_S, lambda: statuses(made).get("later.toy") == "ready")
        assert statuses(made)["far.toy"] == "pending"
        gate.set()
        within(LONG_S, lambda: statuses(made).get("far.toy") == "ready")


def test_what_a_library_was_told_of_a_disk_is_no_word_about_the_file(
    nas: Path, gate: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    """HDF5 was given an error because its disk hung: the source waits, it is not damaged."""
    monkeypatch.setattr(indexer, "LONGEST_S", 0.2)
    toy(nas / "far.toy", "far")
    tries = 0

    def opening(path: Path) -> Source:
        nonlocal tries
        tries += 1
        if not gate.is_set():
            raise patience.hanging()
        return open_source(path)

    with closing(Catalog([Root.at(nas)], recognise, opening, describe, replace(QUICK, persist=False))) as made:
        made.start()
        within(LONG_S, lambda: tries > 1)
        assert statuses(made)["far.toy"] == "pending"
        gate.set()
        within(LONG_S, lambda: statuses(made).get("far.toy") == "ready")


@pytest.mark.parametrize("what", ["path", "top", "names", "folder", "json", "offered", "entries"])
def test_whatever_asks_a_disk_says_first_which_one_it_is(nas: Path, monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    """A thread that hangs before it said so would be replaced for ever, and nobody told."""
    root, near = Root.at(nas), Root.at(nas.parent, "near")
    files, systems = Files([root], lambda head: True, open_source), Systems([root])
    asking = {
        "path": lambda: files.find("/a.h5"),
        "top": lambda: files.find("/"),
        "names": systems.names,
        "folder": lambda: systems.folder("one"),
        "json": lambda: systems.file("one", "a.json"),
        "offered": lambda: listing([near, root], ""),
        "entries": lambda: listing([near, root], "nas"),
    }
    place = place_of(nas)
    asked, real = list[str](), os.stat
    monkeypatch.setattr(os, "stat", lambda path, **options: asked.append(str(path)) or real(path, **options))
    for _ in range(MOST_HELD):
        STORAGE.hold(place)
    try:
        with pytest.raises(Unreadable, match="does not answer"):
            asking[what]()
    finally:
        for _ in range(MOST_HELD):
            STORAGE.give_back(place)
    assert not [path for path in asked if path.startswith(str(nas))]


def test_folders_that_are_looked_into_are_closed(tmp_path: Path) -> None:
    """A root on another device than before is looked into, to see whether it is the empty place of a disk."""

    class Told:
        def device(self, root: Root) -> int | None:
            return root.path.stat().st_dev + 1

        def reached(self, root: Root, device: int) -> None:
            pass

        missing = reached

    (tmp_path / "a.toy").touch()
    root = Root.at(tmp_path)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        assert Reach(Told()).there(root, Tree(root, [root], recognise, Seen()))  # type: ignore[arg-type]
        gc.collect()
    assert not [one for one in told if one.category is ResourceWarning]
