"""Reading from storage that may not answer, for libraries that would hold everybody up meanwhile.

HDF5 reads with one lock held, its own and Python's: one file on a network disk whose server is away would stop the
whole process. Read here instead, by a thread that can be left behind, it ends in an error after a while.
"""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Callable, Hashable
from pathlib import Path
from typing import Any, TypeVar

from coverslip.core.errors import Unreadable
from coverslip.core.mounts import network_mount

T = TypeVar("T")

HANGS = "storage_hangs"
HANGS_S = 5.0
"""How long storage may take to answer one question."""


class Silent(OSError):
    """Storage did not answer."""


def hanging() -> Unreadable:
    """What is told of storage that does not answer."""
    hint = "Is its server there? Ask again in a while."
    return Unreadable("The storage that this lies on does not answer", hint, HANGS)


class _Reader:
    """A thread that does one thing after the other, or is left behind with it."""

    def __init__(self) -> None:
        self._asked, self.answered = threading.Semaphore(0), threading.Semaphore(0)
        self._work: Callable[[], Any] = lambda: None
        self._after: Callable[[], None] | None = None
        self._lock = threading.Lock()
        self.result: Any = None
        self.error: BaseException | None = None
        threading.Thread(target=self._run, name="coverslip-patience", daemon=True).start()

    def begin(self, work: Callable[[], Any]) -> None:
        self._work = work
        self._asked.release()

    def leave(self, after: Callable[[], None]) -> bool:
        """Wait for it no longer; ``after`` is called when it is done. False when it is done now."""
        with self._lock:
            if self.answered.acquire(blocking=False):
                return False
            self._after = after
            return True

    def _run(self) -> None:
        while True:
            self._asked.acquire()
            self.result, self.error = None, None
            try:
                self.result = self._work()
            except BaseException as failure:  # noqa: BLE001  (handed to whoever waits)
                self.error = failure
            self._work = lambda: None
            with self._lock:
                if self._after is None:
                    self.answered.release()
                    continue
            self._after()
            return


class Patience:
    """Does things in threads of its own and waits for each a limited time; safe to use from any thread.

    Parameters
    ----------
    hangs_s
        How long to wait.
    """

    def __init__(self, hangs_s: float = HANGS_S) -> None:
        self._hangs_s = hangs_s
        self._idle: deque[_Reader] = deque()
        self._silent: Counter[Hashable] = Counter()
        self._lock = threading.Lock()
        self._own = threading.local()

    def ask(self, place: Hashable, work: Callable[[], Any]) -> Any:
        """The result of ``work``, which reads at ``place``.

        Raises
        ------
        Silent
            When it takes too long; at once, while something that was asked there before has not come back.
        """
        if self._silent[place]:
            raise self._lost()
        try:
            reader = self._idle.pop()
        except IndexError:
            reader = _Reader()
        reader.begin(work)
        if not reader.answered.acquire(timeout=self._hangs_s):
            with self._lock:
                self._silent[place] += 1
            if reader.leave(lambda: self._back(place)):
                raise self._lost()
            self._back(place)
        result, error = reader.result, reader.error
        reader.result = reader.error = None
        self._idle.append(reader)
        if error is not None:
            raise error
        return result

    def lost(self) -> bool:
        """Whether this thread was told of silence since it was asked last."""
        was = getattr(self._own, "lost", False)
        self._own.lost = False
        return was

    def _lost(self) -> Silent:
        self._own.lost = True
        return Silent("The storage does not answer")

    def _back(self, place: Hashable) -> None:
        with self._lock:
            self._silent[place] -= 1
            self._silent = +self._silent


PATIENCE = Patience()
"""Of this process: its disks are the same for everybody."""


def patiently(path: Path, look: Callable[[], T]) -> T:
    """What is seen on disk at a path; not for ever, where it lies on a network disk.

    Raises
    ------
    Silent
        When that does not answer.
    """
    place = network_mount(path)
    if place is None:
        return look()
    found: T = PATIENCE.ask(place, look)
    return found
