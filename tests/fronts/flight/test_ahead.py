"""Small slices that are read while their plan is on its way."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from concurrent.futures import wait
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flight_reading import serving, tickets
from pyarrow import flight

from coverslip.fronts.flight import ahead, chunks
from coverslip.fronts.flight.ahead import BELIEVED, MOST_PLANNED, THREADS, Ahead
from zarr_files import pixels

PATIENCE_S = 60
CELLS = pixels((4, 200, 300), "uint16")
ONE = np.arange(3)


@pytest.fixture
def made() -> Iterator[Ahead]:
    made: Ahead = Steady()
    yield made
    made.close()


def never() -> Any:
    raise AssertionError("read in vain")


class Steady(Ahead):
    """Who asks waits until what was begun is done, so that nothing depends on who is faster."""

    def take(self, key: bytes) -> Any:
        planned = self._planned.get(key)
        if planned is not None and planned.reading is not None:
            wait([planned.reading], PATIENCE_S)
        end = time.monotonic() + PATIENCE_S
        while self._busy and time.monotonic() < end:
            time.sleep(0.001)
        return super().take(key)


def believe(made: Ahead, client: str = "a") -> None:
    """Show that this client fetches what it planned."""
    for number in range(BELIEVED):
        made.plan(b"first %d" % number, client, never)
        assert made.take(b"first %d" % number) is None


def test_a_client_is_believed_once_it_fetched_what_it_planned(made: Ahead) -> None:
    believe(made)
    made.plan(b"key", "b", never)  # another client
    assert made.read == 0
    made.plan(b"slice", "a", lambda: ONE)
    assert made.read == 1
    assert made.take(b"slice") is ONE
    assert made.take(b"slice") is None  # once
    assert made.fetched == 1


def test_who_only_plans_is_believed_no_more(made: Ahead, monkeypatch: pytest.MonkeyPatch) -> None:
    believe(made)
    made.plan(b"slice", "a", lambda: ONE)
    monkeypatch.setattr(ahead, "LATE_S", -1.0)
    monkeypatch.setattr(Ahead._forget, "__defaults__", (-1.0,))
    made.plan(b"other", "a", never)
    assert (made.read, made.take(b"slice")) == (1, None)
    monkeypatch.undo()
    made.plan(b"third", "a", never)
    assert made.take(b"third") is None


def test_what_could_not_be_read_is_left_to_who_asks(made: Ahead) -> None:
    believe(made)
    made.plan(b"slice", "a", never)
    assert made.take(b"slice") is None
    made.plan(b"next", "a", lambda: ONE)
    assert made.take(b"next") is ONE


def test_a_busy_machine_reads_nothing_ahead(made: Ahead) -> None:
    believe(made)
    go = threading.Event()

    def slow() -> Any:
        assert go.wait(PATIENCE_S)
        return ONE

    for number in range(THREADS):
        made.plan(b"slow %d" % number, "a", slow)
    made.plan(b"one more", "a", never)
    assert made.read == THREADS
    go.set()
    assert made.take(b"one more") is None
    assert [made.take(b"slow %d" % number) is ONE for number in range(THREADS)] == [True] * THREADS


def test_who_comes_before_it_has_begun_reads_for_himself() -> None:
    made = Ahead()
    believe(made)
    made._threads = THREADS  # none of which ever runs
    made.plan(b"slice", "a", never)
    assert made.take(b"slice") is None
    assert made._busy == 0


def test_plans_and_slices_are_not_kept_without_end(made: Ahead) -> None:
    for number in range(10 * MOST_PLANNED):
        made.plan(b"%d" % number, "a", never)
    assert len(made._planned) <= MOST_PLANNED + 1
    for number in range(1000):
        made.plan(b"%d" % number, f"client {number}", never)
        made.take(b"%d" % number)
    assert len(made._belief) <= ahead.MOST_CLIENTS
    believe(made)
    made.plan(b"slice", "a", lambda: ONE)
    assert made.used_s > 0
    made.let_go()
    assert (len(made._planned), made.used_s) == (0, 0.0)


def test_after_the_end_nothing_is_read(made: Ahead) -> None:
    believe(made)
    made.close()
    made.plan(b"slice", "a", never)
    assert made.read == 0


# -- through the server ------------------------------------------------------------------------------------------------


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[Ahead]:
    """The ones that servers made."""
    found: list[Ahead] = []

    class Seen(Steady):
        def __init__(self) -> None:
            super().__init__()
            found.append(self)

    monkeypatch.setattr(chunks, "Ahead", Seen)
    return found


def test_slices_read_ahead_are_those_that_were_asked_for(tmp_path: Path, seen: list[Ahead]) -> None:
    np.save(tmp_path / "cells.npy", CELLS)
    with serving(tmp_path) as reader:
        id, random = reader.id("cells"), np.random.default_rng(0)
        for _ in range(20):
            low = [int(random.integers(0, n - 1)) for n in CELLS.shape]
            high = [int(random.integers(a + 1, n + 1)) for a, n in zip(low, CELLS.shape, strict=True)]
            box = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
            assert np.array_equal(reader.read(id, low, high), CELLS[box])
            scaled = reader.read(id, low, high, scale=(1, 2, 2), how="nearest")
            assert scaled.size
        assert seen[0].read > 0
        assert seen[0].fetched > 0


def test_a_large_read_and_one_of_many_chunks_are_not_read_ahead(tmp_path: Path, seen: list[Ahead]) -> None:
    np.save(tmp_path / "large.npy", np.zeros((4, 600, 600), "u2"))
    with serving(tmp_path) as reader:
        id = reader.id("large")
        for _ in range(2 * BELIEVED):
            reader.read(id)
        assert not seen[0]._planned


def test_a_file_that_changed_after_its_plan_is_not_told_from_memory(tmp_path: Path, seen: list[Ahead]) -> None:
    path = tmp_path / "cells.npy"
    np.save(path, CELLS)
    with serving(tmp_path) as reader:
        id = reader.id("cells")
        for _ in range(2 * BELIEVED):
            reader.read(id, [0, 0, 0], [1, 5, 5])
        before = seen[0].read
        ticket = tickets(reader.plan(id, [1, 0, 0], [2, 5, 5]))[0]
        assert seen[0].read == before + 1
        np.save(path, CELLS + 1)
        os.utime(path, (time.time() + 5, time.time() + 5))
        with pytest.raises(flight.FlightError, match="changed since this read was planned"):
            reader.chunk(ticket)
        assert np.array_equal(reader.read(id, [1, 0, 0], [2, 5, 5]), (CELLS + 1)[1:2, :5, :5])
