"""Threads that clients have in turns, and that storage which does not answer cannot use up."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count

import pytest

from coverslip.core.beats import beat, beats
from coverslip.core.errors import Unreadable
from coverslip.core.node import Source
from coverslip.core.patience import HANGS
from coverslip.core.stop import Overdue, Stop
from coverslip.core.tree import MemoryGroup
from coverslip.engine import lanes, library
from coverslip.engine.lanes import Lane, Worker
from coverslip.engine.library import Library
from coverslip.engine.read import Reader
from coverslip.engine.storage import STORAGE, Storage

LONG_S = 20


def within(what: Callable[[], bool]) -> None:
    end = time.monotonic() + LONG_S
    while not what():
        assert time.monotonic() < end
        time.sleep(0.005)


@contextmanager
def lane(
    most: int, spare: int = 0, still_s: float = 60.0, hangs_s: float = 60.0, storage: Storage = STORAGE
) -> Iterator[Lane]:
    made = Lane(most, "test", spare, still_s, hangs_s, storage)
    yield made
    made.close()


class Gate:
    """Work that waits until it is let go."""

    def __init__(self) -> None:
        self.begun = 0
        self.ended = 0
        self._open = threading.Event()

    def __call__(self) -> None:
        self.begun += 1
        self._open.wait(LONG_S)
        self.ended += 1

    def open(self) -> None:
        self._open.set()


def test_clients_take_turns() -> None:
    """One with 64 requests has its second turn after everybody else's first."""
    gate, order = Gate(), list[str]()
    with lane(1) as threads:
        threads.submit(gate, "heavy")
        within(lambda: gate.begun == 1)
        for i in range(64):
            threads.submit(lambda i=i: order.append(f"heavy {i}"), "heavy")  # type: ignore[misc]
        for i in range(3):
            threads.submit(lambda i=i: order.append(f"small {i}"), "small")  # type: ignore[misc]
        threads.submit(lambda: order.append("third"), "third")
        gate.open()
        within(lambda: len(order) == 68)
    assert order[:7] == ["heavy 0", "small 0", "third", "heavy 1", "small 1", "heavy 2", "small 2"]
    assert order[7:] == [f"heavy {i}" for i in range(3, 64)], "each client's own in the order they came"


def test_who_has_nothing_running_need_not_wait_for_others() -> None:
    heavy, done = Gate(), threading.Event()
    with lane(2, spare=1) as threads:
        for _ in range(5):
            threads.submit(heavy, "heavy")
        within(lambda: heavy.begun == 2)
        threads.submit(done.set, "small")
        assert done.wait(LONG_S)
        assert heavy.begun == 2, "who has all threads gets no more"
        heavy.open()
        within(lambda: heavy.ended == 5)


def test_threads_that_wait_without_an_end_are_replaced() -> None:
    stuck, done = Gate(), Gate()
    done.open()
    before = threading.active_count()
    with lane(2, still_s=0.05) as threads:
        for _ in range(6):
            threads.submit(stuck, "who looks at a dead disk")
        within(lambda: stuck.begun == 6)
        threads.submit(done, "another")
        within(lambda: done.ended == 1)
        stuck.open()
        within(lambda: stuck.ended == 6)
        within(lambda: threads.still == 0)
        within(lambda: threading.active_count() <= before + 3)  # two, and who looks after them
        threads.submit(done)
        within(lambda: done.ended == 2)


def test_threads_that_work_are_not_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    used = count()
    looked = threading.Event()

    def busy(_: object) -> float:
        if next(used) > 8:
            looked.set()
        return float(next(used))

    monkeypatch.setattr(lanes, "cpu_of", busy)
    long = Gate()
    with lane(1, still_s=0.01) as threads:
        for _ in range(2):
            threads.submit(long)
        assert looked.wait(LONG_S)
        assert (long.begun, threads.still) == (1, 0)
        long.open()


class Threads:
    """As many threads as a container may have."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, most: int, name: str = "test") -> None:
        self.most, self._name, self._start = most, name, threading.Thread.start
        monkeypatch.setattr(threading.Thread, "start", lambda thread: self._begin(thread))

    def _begin(self, thread: threading.Thread) -> None:
        if thread.name.startswith(self._name):
            if not self.most:
                raise RuntimeError("can't start new thread")
            self.most -= 1
        self._start(thread)


def test_where_no_more_threads_are_to_be_had_those_that_there_are_do_everything(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    gate, done = Gate(), list[int]()
    limit = Threads(monkeypatch, 2)  # one that works, and who looks after it
    with lane(4) as threads:
        threads.submit(gate)
        within(lambda: gate.begun == 1)
        for i in range(8):
            threads.submit(lambda i=i: done.append(i))  # type: ignore[misc]
        assert not done
        gate.open()
        within(lambda: len(done) == 8)
        limit.most = 3
        gates = [Gate() for _ in range(4)]
        for each in gates:
            threads.submit(each)
        within(lambda: all(each.begun for each in gates))
        for each in gates:
            each.open()


def test_without_any_thread_who_asks_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    done = threading.Event()
    limit = Threads(monkeypatch, 0)
    with lane(2) as threads:
        for limit.most in (0, 1):  # none at all; none that works
            with pytest.raises(Unreadable, match="can start no thread") as told:
                threads.submit(lambda: pytest.fail("it was refused"))
            assert told.value.name == lanes.BUSY
        limit.most = 1
        threads.submit(done.set)
        assert done.wait(LONG_S)


def test_reads_without_a_thread_are_told_and_the_next_is_a_new_one(monkeypatch: pytest.MonkeyPatch) -> None:
    limit = Threads(monkeypatch, 0, "coverslip")

    def long(stop: Stop) -> None:
        raise Overdue

    async def ask() -> None:
        reader = Reader(1)
        for _ in range(2):
            with pytest.raises(Unreadable, match="can start no thread"):
                await reader.run("key", lambda stop: 1)
        limit.most = 2
        assert await reader.run("key", lambda stop: 1) == 1
        with pytest.raises(Unreadable, match="can start no thread"):  # it goes on in another lane
            await reader.run("key", long)
        assert reader.load() == {"begun": 0, "waiting": 0, "still": 0}
        reader.close()

    asyncio.run(asyncio.wait_for(ask(), LONG_S))


def test_processor_time_is_seen_from_outside() -> None:
    spinning, seen = threading.Event(), threading.Event()

    def spin() -> None:
        while not seen.is_set():
            spinning.set()

    thread = threading.Thread(target=spin)
    thread.start()
    assert spinning.wait(LONG_S)
    first = lanes.cpu_of(thread)
    try:
        within(lambda: lanes.cpu_of(thread) > first + 2 * lanes.LEAST_CPU_S)
    finally:
        seen.set()
        thread.join()


def test_storage_that_does_not_answer_is_asked_no_more() -> None:
    storage, gate = Storage(2), Gate()

    def read() -> None:
        storage.visit("nas")
        gate()

    lost = threading.Event()
    with lane(1, still_s=0.02, hangs_s=0.05, storage=storage) as threads:
        threads.submit(read, lost=lost.set)
        assert lost.wait(LONG_S), "who waits for it is told"
        within(lambda: storage.held() == 1)
        storage.visit("nas")
        threads.submit(read)
        within(lambda: storage.held() == 2)
        with pytest.raises(Unreadable, match="does not answer") as refused:
            storage.visit("nas")
        assert refused.value.name == HANGS
        storage.visit("another")
        storage.visit(None)
        gate.open()
        within(lambda: storage.held() == 0)
        storage.visit("nas")


def test_storage_that_answers_others_is_only_slow(monkeypatch: pytest.MonkeyPatch) -> None:
    storage, gate = Storage(1), Gate()
    looked = count()
    own = Lane._silent

    def silent(self: Lane, place: object, worker: lanes.Worker) -> bool:
        next(looked)
        return own(self, place, worker)

    monkeypatch.setattr(Lane, "_silent", silent)
    answered = threading.Event()

    def slow() -> None:
        storage.visit("nas")
        gate()

    def quick() -> None:
        storage.visit("nas")
        answered.set()

    with lane(2, still_s=0.1, hangs_s=0.1, storage=storage) as threads:
        threads.submit(slow)
        within(lambda: gate.begun == 1)
        threads.submit(quick)
        assert answered.wait(LONG_S)
        within(lambda: next(looked) > 4)
        assert storage.held() == 0
        gate.open()


class Hanging(Source):
    """A source whose disk can be made to hang."""

    def __init__(self, gate: Gate) -> None:
        self.root, self.etag, self.modified_s, self._gate = MemoryGroup({}), "x", 0.0, gate
        self.hangs = False

    def fresh(self) -> bool:
        if self.hangs:
            self._gate()
        return True


def test_a_source_that_hangs_holds_up_no_other_and_not_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    storage, gate = Storage(2), Gate()
    monkeypatch.setattr(library, "STORAGE", storage)
    monkeypatch.setattr(library, "LOOK_S", 0.02)
    offered = Library()
    source = Hanging(gate)
    bad, good = (offered.add(name, "k", lambda: source) for name in ("bad", "good"))
    bad.place = "nas"
    assert bad.source() is source
    source.hangs = True
    told, seen = list[Unreadable](), list[Source]()

    def ask() -> None:
        try:
            seen.append(bad.source())
        except Unreadable as error:
            told.append(error)

    with lane(4, still_s=0.02, hangs_s=0.05, storage=storage) as threads:
        for _ in range(6):
            threads.submit(ask)
        within(lambda: len(told) >= 4)  # one is held by the disk, one waited for it long enough to be taken for held
        assert gate.begun == 1
        within(lambda: len(told) == 5)
        source.hangs = False
        assert good.source() is source
        offered.close()  # returns
        gate.open()
        within(lambda: bool(seen))
        within(lambda: storage.held() == 0)


def test_who_hears_that_another_process_works_does_not_hang() -> None:
    """It uses no processor time of its own, and what it waits for says that it goes on."""
    storage, told = Storage(), list[str]()
    with lane(1, still_s=1.0, hangs_s=5.0, storage=storage) as made:
        worker = Worker(busy=True, visits=["nas"], lost=lambda: told.append("lost"))
        for now in range(0, 100, 4):
            worker.beats[0] += 1
            made._look(worker, float(now))
        assert told == []
        assert not worker.still
        made._look(worker, 98.0)
        assert worker.still
        assert told == []
        made._look(worker, 102.0)
        assert told == ["lost"]


def test_each_thread_hears_its_own() -> None:
    heard: list[int] = []

    def listen() -> None:
        beat()
        heard.append(beats()[0])

    before = beats()[0]
    threads = [threading.Thread(target=listen) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(LONG_S)
    assert heard == [1, 1, 1]
    assert beats()[0] == before
