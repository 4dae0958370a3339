"""Turns between clients of Arrow Flight: who is next, what is kept for whom, and who gives a place up."""

from __future__ import annotations

import gc
import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from coverslip.core.errors import Stopped
from coverslip.core.stop import Stop
from coverslip.fronts.flight.budget import Budget, client_of
from coverslip.fronts.flight.line import Line, Place
from coverslip.fronts.flight.once import Once
from coverslip.fronts.flight.registry import Call

PATIENCE_S = 60


def until(true: Callable[[], Any]) -> None:
    """Wait for a condition."""
    end = time.monotonic() + PATIENCE_S
    while not true():
        assert time.monotonic() < end
        time.sleep(0.005)


def caller(address: str, port: int = 1, gone: Callable[[], bool] = lambda: False) -> Call:
    return Call(True, f"ipv4:{address}:{port}", gone)


class Office:
    """Calls in threads of their own, whose turns end when they are told to, and the order in which they had them."""

    def __init__(self, budget: Budget) -> None:
        self.budget = budget
        self.order: list[str] = []
        self._ends: dict[str, threading.Event] = {}
        self._threads: list[threading.Thread] = []

    def ask(self, name: str, call: Call, size: int, waits: bool = True, decoding: bool = True) -> None:
        """Have somebody ask, who waits or has a turn when this returns."""
        end = self._ends[name] = threading.Event()
        before = self.budget.waiting

        def work() -> None:
            try:
                with self.budget.turn(size, call, decoding) as turn:
                    turn.decoded()
                    self.order.append(name)
                    assert end.wait(PATIENCE_S)
            except Stopped:
                self.order.append(f"{name} left")

        thread = threading.Thread(target=work)
        self._threads.append(thread)
        thread.start()
        until(lambda: self.budget.waiting > before if waits else name in self.order)

    def end(self, *names: str) -> None:
        """End turns, one after the other, each once it was given."""
        for name in names:
            until(lambda name=name: name in self.order)  # type: ignore[misc]
            self._ends[name].set()

    def close(self) -> None:
        for event in self._ends.values():
            event.set()
        for thread in self._threads:
            thread.join(PATIENCE_S)
        assert self.budget.held == 0
        assert self.budget.waiting == 0
        self.budget.close()


# -- the line ----------------------------------------------------------------------------------------------------------


def first(line: Line) -> Place:
    return next(line.order())


def test_the_smallest_share_is_next_of_bytes_or_of_threads() -> None:
    line = Line(100, 4)
    large, many, little = Place("a", "a1", 60), Place("b", "b1", 1), Place("c", "c1", 10)
    for place in (large, many, little):
        line.join(place)
        line.begin(place)
    for _ in range(3):
        more = Place("b", "b1", 1)
        line.join(more)
        line.begin(more)
    waiting = [Place(name, f"{name}1", 5) for name in "abc"]
    for place in waiting:
        line.join(place)
    assert [place.client for place in line.order()] == ["c", "a", "b"], "0.25, 0.6 and all the threads"
    line.decoded(many)
    line.decoded(little)
    line.decoded(more)
    assert [place.client for place in line.order()] == ["c", "b", "a"]


def test_connections_of_one_client_count_together_and_take_turns_among_themselves() -> None:
    line = Line(1000, 1000)
    for port in range(16):
        for _ in range(3):
            line.join(Place("many", f"many:{port}", 10))
    line.join(Place("one", "one:1", 10))
    line.join(Place("many", "many:99", 10))
    served = []
    for _ in range(18):
        place = first(line)
        line.begin(place)
        served.append(place.connection)
    assert served.index("one:1") == 1, "sixteen connections are no sixteen clients"
    assert len(set(served)) == 18, "each connection once before any has a second turn"


def test_nothing_is_kept_of_who_is_gone() -> None:
    line = Line(100, 4)
    places = [Place(f"client{i % 7}", f"connection{i}", 1) for i in range(50)]
    for place in places:
        line.join(place)
    for place in places[::2]:
        line.begin(place)
    for place in places[1::2]:
        assert line.leave(place)
        assert not line.leave(place)
    for place in places[::2]:
        line.end(place)
    assert not line._clients
    assert len(line) == 0


# -- turns -------------------------------------------------------------------------------------------------------------


def test_who_asks_for_little_goes_before_who_asks_for_much() -> None:
    """Twelve reads of one client wait; the two of another come later and go on first."""
    office = Office(Budget(100, PATIENCE_S, threads=100))
    office.ask("held", caller("10.0.0.1"), 90, waits=False)
    for i in range(12):
        office.ask(f"heavy{i}", caller("10.0.0.1", port=i), 50)
    for i in range(2):
        office.ask(f"light{i}", caller("10.0.0.2"), 50)
    office.end("held")
    until(lambda: len(office.order) == 3)
    one = next(name for name in office.order[1:] if name.startswith("heavy"))
    assert set(office.order[1:]) == {"light0", one}, "one of each, for both fit"
    office.end("light0")
    until(lambda: len(office.order) == 4)
    assert office.order[3] == "light1"
    office.end("light1", one)
    until(lambda: len(office.order) == 6)
    assert all(name.startswith("heavy") for name in office.order[4:])
    office.close()


def test_something_is_kept_for_who_has_nothing_under_way() -> None:
    office = Office(Budget(90, PATIENCE_S, threads=2))
    for i in range(2):
        office.ask(f"heavy{i}", caller("10.0.0.1"), 45, waits=False)
    office.ask("heavy2", caller("10.0.0.1"), 20)
    office.ask("light0", caller("10.0.0.2"), 30, waits=False)
    office.ask("light1", caller("10.0.0.2"), 10)
    office.ask("other", caller("10.0.0.3"), 10)
    assert office.order == ["heavy0", "heavy1", "light0"], "the third part that is kept is used up"
    office.end("light0")
    until(lambda: len(office.order) == 5)
    assert set(office.order[3:]) == {"light1", "other"}
    office.close()


def test_threads_are_had_in_turns_and_two_are_kept() -> None:
    budget = Budget(10**9, PATIENCE_S, threads=2)
    held = [budget.turn(1, caller("10.0.0.1", port=i)) for i in range(2)]
    turns = [one.__enter__() for one in held]
    office = Office(budget)
    office.ask("heavy", caller("10.0.0.1"), 1)
    for name in ("far0", "far1", "far2", "far3"):
        office.ask(name, caller("10.0.0.9"), 1, waits=False, decoding=False)
    office.ask("light", caller("10.0.0.2"), 1, waits=False)
    assert office.order == ["far0", "far1", "far2", "far3", "light"], "what waits for another machine needs none"
    turns[0].decoded()
    until(lambda: "heavy" in office.order)
    for one in held:
        one.__exit__(None, None, None)
    office.close()


def test_a_large_read_is_not_passed_for_ever() -> None:
    """What is free is kept together for who is next, although smaller reads would fit."""
    office = Office(Budget(90, PATIENCE_S, threads=100))
    office.ask("a", caller("10.0.0.1"), 60, waits=False)
    office.ask("b", caller("10.0.0.2"), 25, waits=False)
    office.ask("large", caller("10.0.0.3"), 88)
    office.ask("small", caller("10.0.0.1"), 5)
    office.ask("smaller", caller("10.0.0.1"), 3)
    office.ask("new", caller("10.0.0.4"), 5, waits=False)
    assert office.order == ["a", "b", "new"], "who has nothing under way takes nothing from it"
    office.end("b", "a")
    until(lambda: "small" in office.order)
    assert office.budget.waiting == 2, "it has had its turn, and would fit"
    office.end("small")
    until(lambda: "large" in office.order)
    office.close()


def test_a_client_that_leaves_gives_its_place_up() -> None:
    office = Office(Budget(100, PATIENCE_S, threads=100))
    left = threading.Event()
    office.ask("held", caller("10.0.0.1"), 100, waits=False)
    office.ask("gone", caller("10.0.0.2", gone=left.is_set), 100)
    office.ask("next", caller("10.0.0.3"), 100)
    left.set()
    until(lambda: "gone left" in office.order)
    assert office.budget.waiting == 1
    office.end("held")
    until(lambda: "next" in office.order)
    assert office.order == ["held", "gone left", "next"]
    office.close()


def test_memory_that_is_collected_amid_others_turns_is_given_back() -> None:
    """A chunk in a cycle is freed by whichever thread collects it, which may be at the budget itself."""
    budget, often = Budget(10**6, PATIENCE_S, threads=4), gc.get_threshold()
    gc.set_threshold(1, 1, 1)
    try:
        for i in range(100):
            with budget.turn(1000, caller("10.0.0.1", port=i % 5)) as turn:
                cycle: list[Any] = [np.zeros(10)]
                cycle.append(cycle)
                turn.keep(cycle[0])
            del cycle, turn
    finally:
        gc.set_threshold(*often)
    gc.collect()
    until(lambda: budget.held == 0)
    budget.close()


def test_a_client_is_its_address_or_whom_its_proxy_speaks_for() -> None:
    assert client_of(caller("10.0.0.1", 1)) == client_of(caller("10.0.0.1", 2)) == "10.0.0.1"
    assert client_of(Call(True, "ipv4:10.0.0.1:5", lambda: False, client="192.0.2.7")) == "192.0.2.7"
    assert client_of(Call(True, "http", lambda: False)) == "http"


# -- equal reads -------------------------------------------------------------------------------------------------------


def test_equal_reads_under_way_are_done_once() -> None:
    once, begun, go = Once(), threading.Event(), threading.Event()
    done: list[int] = []
    follows: list[int] = []
    found: list[Any] = []

    def work() -> Any:
        done.append(1)
        begun.set()
        assert go.wait(PATIENCE_S)
        return np.arange(5)

    def ask() -> None:
        found.append(once.read("key", work, Stop(), lambda: follows.append(1)))

    threads = [threading.Thread(target=ask) for _ in range(5)]
    threads[0].start()
    assert begun.wait(PATIENCE_S)
    for thread in threads[1:]:
        thread.start()
    until(lambda: len(follows) == 4)
    go.set()
    for thread in threads:
        thread.join(PATIENCE_S)
    assert len(done) == 1
    assert all(one is found[0] for one in found)
    assert len(found) == 5
    assert once.read("key", lambda: np.zeros(1), Stop(), lambda: None).tolist() == [0], "nothing is kept"


def test_who_waits_for_a_client_that_leaves_begins_anew() -> None:
    once, begun, follows = Once(), threading.Event(), threading.Event()
    left = Stop()
    found: list[Any] = []

    def slowly() -> Any:
        begun.set()
        until(left._event.is_set)
        left.check()

    def lead() -> None:
        with pytest.raises(Stopped):
            once.read("key", slowly, left, lambda: None)

    def follow() -> None:
        found.append(once.read("key", lambda: np.ones(3), Stop(), follows.set))

    threads = [threading.Thread(target=lead)]
    threads[0].start()
    assert begun.wait(PATIENCE_S)
    threads.append(threading.Thread(target=follow))
    threads[1].start()
    assert follows.wait(PATIENCE_S)
    left.set()
    for thread in threads:
        thread.join(PATIENCE_S)
    assert found[0].tolist() == [1, 1, 1]


def test_an_error_is_that_of_everybody_who_waits() -> None:
    once, begun, go = Once(), threading.Event(), threading.Event()
    told: list[str] = []

    def fail() -> Any:
        begun.set()
        assert go.wait(PATIENCE_S)
        raise ValueError("damaged")

    def ask(follow: Callable[[], None]) -> None:
        with pytest.raises(ValueError, match="damaged"):
            once.read("key", fail, Stop(), follow)
        told.append("damaged")

    threads = [threading.Thread(target=ask, args=(go.set,)) for _ in range(2)]
    threads[0].start()
    assert begun.wait(PATIENCE_S)
    threads[1].start()
    for thread in threads:
        thread.join(PATIENCE_S)
    assert told == ["damaged", "damaged"]


def test_who_waits_for_another_and_leaves_is_let_go() -> None:
    once, begun, go = Once(), threading.Event(), threading.Event()

    def work() -> Any:
        begun.set()
        assert go.wait(PATIENCE_S)
        return np.ones(1)

    thread = threading.Thread(target=lambda: once.read("key", work, Stop(), lambda: None))
    thread.start()
    assert begun.wait(PATIENCE_S)
    gone = Stop()
    with pytest.raises(Stopped):
        once.read("key", work, gone, gone.set)
    go.set()
    thread.join(PATIENCE_S)


def test_connections_of_one_client_take_turns() -> None:
    line, order = Line(100, 4), list[str]()
    for connection in ("1", "1", "1", "2", "2"):
        line.join(Place("a", connection, 1, False))
    while len(line):
        place = next(line.order())
        order.append(place.connection)
        line.begin(place)
        line.end(place)
    assert order == ["1", "2", "1", "2", "1"]


def test_who_waits_is_told_when_the_connection_went_on_last() -> None:
    """By it, and not by the length of the line, is judged whether the server is too busy for it."""
    line = Line(100, 4)
    first, second, other = (Place("a", connection, 1) for connection in ("1", "1", "2"))
    for place in (first, second, other):
        line.join(place)
    before = time.monotonic()
    line.begin(first)
    assert line.served_s(second) >= before
    assert line.served_s(other) == 0
