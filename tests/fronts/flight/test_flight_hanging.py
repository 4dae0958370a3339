"""Arrow Flight and network disks that do not answer: every call is answered, and nobody else notices."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flight_reading import QUICK, Reader, images_of, tickets
from pyarrow import flight

from coverslip.app import catalog_of
from coverslip.core.errors import Unreadable
from coverslip.core.node import Array, Source
from coverslip.core.patience import hanging
from coverslip.core.spec import Box
from coverslip.core.stop import Stop
from coverslip.domains.images import Images
from coverslip.engine.lanes import Lane
from coverslip.engine.storage import Storage
from coverslip.fronts.flight import slow
from coverslip.fronts.flight.far import Far
from coverslip.fronts.flight.front import FlightFront
from coverslip.fronts.flight.options import FlightOptions
from disks import network_disk

PATIENCE_S = 60
NEAR = np.random.default_rng(0).integers(0, 60_000, (4, 1000, 700), dtype=np.uint16)
FAR = NEAR[:, :900].copy()
SMALL = FlightOptions(small_bytes=100_000, chunk_bytes=1_300_000)


@dataclass
class Disk:
    """A network disk, which answers or does not, and a server of it."""

    reader: Reader
    answers: threading.Event
    lane: Lane
    storage: Storage

    def hang(self) -> None:
        self.answers.clear()
        self.lane._hangs_s = 0.05

    def go_on(self) -> None:
        self.lane._hangs_s = PATIENCE_S
        self.answers.set()
        until(lambda: not self.storage.held())


def until(true: Callable[[], Any]) -> None:
    end = time.monotonic() + PATIENCE_S
    while not true():
        assert time.monotonic() < end
        time.sleep(0.005)


@pytest.fixture
def disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Disk]:
    nas, near = tmp_path / "nas", tmp_path / "near"
    for folder, name, data in ((near, "near", NEAR), (nas, "far", FAR)):
        folder.mkdir()
        np.save(folder / f"{name}.npy", data)
    network_disk(nas, monkeypatch)
    answers = threading.Event()
    answers.set()
    read = slow.read

    def slowly(array: Array, box: Box, stop: Stop) -> Any:
        if array.spec.shape == FAR.shape:
            answers.wait(PATIENCE_S)
        return read(array, box, stop)

    monkeypatch.setattr(slow, "read", slowly)

    def images(source: Source) -> Images:
        found = images_of(source)
        if found[found.paths[0]].array.spec.shape == FAR.shape:
            answers.wait(PATIENCE_S)
        return found

    catalog = catalog_of([near, nas], catalog=QUICK)
    catalog.start()
    front = FlightFront(catalog, images, "1", "127.0.0.1", 0, None, SMALL)
    storage = Storage()
    lane = Lane(4, "far", hangs_s=PATIENCE_S, storage=storage)
    front._desk.tensors.far = Far(lane, storage)
    try:
        assert catalog.wait_idle(PATIENCE_S)
        front.start()
        with flight.connect(front.url) as connection:
            yield Disk(Reader(front, catalog, connection), answers, lane, storage)
    finally:
        answers.set()
        front.close()
        catalog.close()


def refused(work: Callable[[], Any]) -> None:
    """It is told that the storage does not answer."""
    with pytest.raises(flight.FlightUnavailableError, match="does not answer") as told:
        work()
    assert json.loads(told.value.extra_info) == {"code": "UNAVAILABLE", "reason": "storage_hangs"}


def test_chunks_of_a_disk_that_hangs(disk: Disk) -> None:
    reader = disk.reader
    near, far = reader.id("near"), reader.id("far")
    large, light = tickets(reader.plan(far)), tickets(reader.plan(far, [0, 0, 0], [1, 50, 60]))
    assert len(large) > 1
    np.testing.assert_array_equal(reader.chunk(light[0]), FAR[:1, :50, :60])
    disk.hang()
    refused(lambda: reader.chunk(light[0]))
    refused(lambda: reader.chunk(large[0]))
    np.testing.assert_array_equal(reader.read(near), NEAR)
    refused(lambda: reader.chunk(large[1]))
    assert disk.storage.held() == 3
    for ticket in (light[0], large[0]):  # nothing more is given to it
        refused(lambda ticket=ticket: reader.chunk(ticket))  # type: ignore[misc]
    assert disk.storage.held() == 3
    np.testing.assert_array_equal(reader.read(near), NEAR)
    disk.go_on()
    np.testing.assert_array_equal(reader.read(far), FAR)
    budget = reader.front.registry.reads["chunk_ref"][1].__self__._budget  # type: ignore[attr-defined]
    until(lambda: not budget.held)


def test_a_plan_of_a_disk_that_hangs(disk: Disk) -> None:
    reader = disk.reader
    near, far = reader.id("near"), reader.id("far")
    disk.hang()
    refused(lambda: reader.plan(far))
    np.testing.assert_array_equal(reader.read(near), NEAR)
    disk.go_on()
    np.testing.assert_array_equal(reader.read(far), FAR)


def test_a_client_that_leaves_while_a_disk_hangs(disk: Disk) -> None:
    """What it waited for gives its bytes back, although the disk still does not answer."""
    reader = disk.reader
    ticket = tickets(reader.plan(reader.id("far")))[0]
    budget = reader.front.registry.reads["chunk_ref"][1].__self__._budget  # type: ignore[attr-defined]
    disk.answers.clear()
    with flight.connect(reader.front.url) as other:
        call = threading.Thread(target=_cut_off, args=(other, ticket))
        call.start()
        until(lambda: budget.held)
        reader.front.registry.hang_up(next(iter(budget._turns)).connection)
        call.join(PATIENCE_S)
    until(lambda: not budget.held)
    disk.go_on()
    np.testing.assert_array_equal(reader.read(reader.id("far")), FAR)


def _cut_off(connection: Any, ticket: bytes) -> None:
    with pytest.raises(flight.FlightError):
        connection.do_get(flight.Ticket(ticket)).read_all()


def test_a_server_that_ends_waits_for_no_disk(disk: Disk) -> None:
    reader = disk.reader
    ticket = tickets(reader.plan(reader.id("far")))[0]
    budget = reader.front.registry.reads["chunk_ref"][1].__self__._budget  # type: ignore[attr-defined]
    disk.answers.clear()
    told: list[Exception] = []

    def ask() -> None:
        try:
            reader.chunk(ticket)
        except flight.FlightError as error:
            told.append(error)

    call = threading.Thread(target=ask)
    call.start()
    until(lambda: budget.held)
    reader.front.close()
    call.join(PATIENCE_S)
    assert len(told) == 1


def test_a_disk_that_is_said_to_hang_has_not_answered() -> None:
    storage = Storage()
    lane = Lane(1, "test", spare=0, storage=storage)  # one thing after the other
    far = Far(lane, storage)

    def said() -> None:
        raise hanging()

    with closing(far):
        with pytest.raises(Unreadable, match="does not answer"):
            far.do("nas", said)
        far.do(None, bool)
        assert storage.silent("nas", 0.0)
        far.do("nas", bool)
        far.do(None, bool)
        assert not storage.silent("nas", 0.0)
