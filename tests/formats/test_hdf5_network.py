"""HDF5 files on network disks: the same bytes, and an error where the disk does not answer."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from coverslip.core.errors import Damaged, Unreadable
from coverslip.core.node import Array
from coverslip.core.patience import HANGS, Patience
from coverslip.formats.trees import hdf5, hdf5_open
from coverslip.formats.trees.hdf5 import open_hdf5
from disks import network_disk

LONG_S = 20


@pytest.fixture
def nas(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is taken for a network disk."""
    folder = tmp_path / "nas"
    folder.mkdir()
    network_disk(folder, monkeypatch)
    return folder


@pytest.fixture
def file(nas: Path) -> Path:
    draw = np.random.default_rng(1)
    with h5py.File(nas / "a.h5", "w") as out:
        for i in range(30):
            group = out.create_group(f"g{i}")
            group.attrs["long"] = "x" * 500
            group["small"] = draw.normal(size=50)
        out.create_dataset("packed", data=draw.normal(size=(300, 40)), chunks=(64, 8), compression="gzip")
        out["plain"] = draw.normal(size=(5000, 20))
        out["text"] = np.array(["one", "two"], h5py.string_dtype())
    return nas / "a.h5"


def values(path: Path) -> dict[str, Any]:
    source = open_hdf5(path)
    try:
        names = ["packed", "plain", "text"]
        found = {name: np.asarray(read(source.root[name])) for name in names}
        found |= {f"g{i}": read(source.root[f"g{i}"]["small"]) for i in range(30)}  # type: ignore[index]
        return found
    finally:
        source.close()


def read(node: Any) -> Any:
    assert isinstance(node, Array)
    return node.read_all()


def test_equal_values(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    own = hdf5_open.Patient._read

    def noted(self: hdf5_open.Patient, size: int, at: int) -> bytes:
        asked.append(size)
        return own(self, size, at)

    monkeypatch.setattr(hdf5_open.Patient, "_read", noted)
    found = values(file)
    assert asked, "the file was opened as one on a network disk is"
    assert len(asked) < 60, "blocks are kept"
    with h5py.File(file) as h5:
        for name, array in found.items():
            node = h5[name]
            wanted = node["small"][()] if isinstance(node, h5py.Group) else node[()]
            if name == "text":
                wanted = np.array([text.decode() for text in wanted], object)
            np.testing.assert_array_equal(array, wanted)


@pytest.mark.parametrize("keep", [100, 2000, 30_000])
def test_a_truncated_file_is_damaged(file: Path, keep: int) -> None:
    os.truncate(file, keep)
    with pytest.raises(Damaged):
        open_hdf5(file)


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """Open, the disk answers; closed, it does not."""
    opened = threading.Event()
    opened.set()

    def slowly(what: Callable[..., Any], *asked: Any) -> Any:
        read = partial(what, *asked)

        def slow() -> Any:
            opened.wait(LONG_S)
            return read()

        return slow

    monkeypatch.setattr(hdf5_open, "partial", slowly)
    patient = Patience(0.2)
    monkeypatch.setattr(hdf5, "PATIENCE", patient)
    monkeypatch.setattr(hdf5_open, "PATIENCE", patient)
    yield opened
    opened.set()


def test_a_disk_that_hangs_stops_nobody_else(
    file: Path, tmp_path: Path, gate: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    """HDF5's lock is given back, and what was asked can be asked again."""
    monkeypatch.setattr(hdf5_open, "MOST_BLOCKS", 0)  # every read is one of the disk's
    with h5py.File(tmp_path / "local.h5", "w") as out:
        out["x"] = [1, 2, 3]
    source = open_hdf5(file)
    gate.clear()
    began = threading.Event()
    ticks: list[float] = []

    def beat() -> None:
        began.set()
        while not gate.is_set():
            ticks.append(time.monotonic())
            time.sleep(0.001)

    threading.Thread(target=beat).start()
    assert began.wait(LONG_S)
    before = len(ticks)
    with pytest.raises(Unreadable, match="does not answer") as told:
        read(source.root["g7"]["small"])  # type: ignore[index]
    assert told.value.name == HANGS
    assert len(ticks) > before, "Python went on meanwhile"
    local = open_hdf5(tmp_path / "local.h5")
    assert read(local.root["x"]).tolist() == [1, 2, 3]
    local.close()
    gate.set()
    end = time.monotonic() + LONG_S
    while True:
        try:
            again = read(source.root["g7"]["small"])  # type: ignore[index]
            break
        except Unreadable:
            assert time.monotonic() < end
            time.sleep(0.01)
    source.close()
    with h5py.File(file) as h5:
        np.testing.assert_array_equal(again, h5["g7/small"][()])


def test_a_disk_that_hangs_while_a_file_is_opened(file: Path, gate: threading.Event) -> None:
    gate.clear()
    with pytest.raises(Unreadable) as told:
        open_hdf5(file)
    assert told.value.name == HANGS
