"""Long questions: once whoever asks, cancelled, kept for a while, within bounds."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator

import pytest

from coverslip.core.errors import BadRequest, NotFound
from coverslip.engine.tasks import Busy, Files, Task, Tasks


@pytest.fixture
def tasks() -> Iterator[Tasks]:
    made = Tasks(most_kept=3, most_bytes=100, most_running=3)
    yield made
    made.close()


def over(task: Task) -> Task:
    """The task once it is over."""
    end = time.monotonic() + 30
    while task.state == "running":
        assert time.monotonic() < end
        time.sleep(0.005)
    return task


class Slow:
    """Work that lasts until it is let go, or asked to end."""

    def __init__(self) -> None:
        self.go = threading.Event()
        self.calls = 0

    def __call__(self, task: Task) -> Files:
        self.calls += 1
        task.tell(0.5, "half")
        while not self.go.wait(0.005):
            task.stop.check()
        return {"a": b"answer"}


def test_once_for_all_who_ask(tasks: Tasks) -> None:
    work = Slow()
    one = tasks.ask("x", "kind", "name", work, "short")
    assert tasks.ask("x", "kind", "name", work, "short") is one
    while one.message != "half":
        time.sleep(0.005)
    assert tasks.at_work is one
    one.tell(0.2)
    assert one.progress == 0.5
    work.go.set()
    assert (over(one).state, one.files, one.progress) == ("done", {"a": b"answer"}, 1.0)
    assert tasks.ask("x", "kind", "name", work, "short") is one
    assert work.calls == 1
    assert tasks.cancel("x").state == "done"
    assert tasks.at_work is None


def test_cancelled_and_asked_again(tasks: Tasks) -> None:
    work = Slow()
    one = tasks.ask("x", "kind", "name", work, "long")
    waiting = tasks.ask("y", "kind", "name", work, "long")
    assert tasks.cancel("y").state == "cancelled"
    assert tasks.cancel("x").state == "cancelled"
    assert tasks.known("x") is None
    work.go.set()
    again = tasks.ask("x", "kind", "name", work, "long")
    assert again is not one
    assert over(again).state == "done"
    assert waiting.state == "cancelled"


def test_too_many_are_refused(tasks: Tasks) -> None:
    work = Slow()
    for i in range(3):
        tasks.ask(str(i), "kind", "name", work, "short")
    with pytest.raises(Busy):
        tasks.ask("3", "kind", "name", work, "short")
    work.go.set()


def test_answers_used_longest_ago_go_first(tasks: Tasks) -> None:
    for id in "abc":
        over(tasks.ask(id, "kind", "name", lambda _: {"f": b"x" * 10}, "short"))
    tasks.get("a")
    over(tasks.ask("d", "kind", "name", lambda _: {"f": b"x" * 10}, "short"))
    time.sleep(0.05)
    with pytest.raises(NotFound):
        tasks.get("b")
    over(tasks.ask("e", "kind", "name", lambda _: {"f": b"x" * 90}, "short"))
    time.sleep(0.05)
    assert tasks.known("a") is None
    assert tasks.known("e") is not None


def test_failures_are_told(tasks: Tasks, caplog: pytest.LogCaptureFixture) -> None:
    def wrong(task: Task) -> Files:
        raise BadRequest("No such thing", "Ask for another.")

    def broken(task: Task) -> Files:
        raise ZeroDivisionError

    failed = over(tasks.ask("x", "kind", "name", wrong, "short"))
    assert (failed.state, failed.message) == ("failed", "No such thing")
    with caplog.at_level(logging.CRITICAL, "coverslip.tasks"):
        failed = over(tasks.ask("y", "kind", "name", broken, "short"))
    assert failed.error is not None
    assert (failed.state, failed.error.name) == ("failed", "internal")


def test_closing_ends_them() -> None:
    made = Tasks()
    running, waiting = (made.ask(id, "kind", "name", Slow(), "long") for id in "xy")
    made.close()
    assert (running.state, waiting.state) == ("cancelled", "cancelled")
    with pytest.raises(Busy):
        made.ask("z", "kind", "name", Slow(), "long")
