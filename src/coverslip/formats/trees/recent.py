"""What was decoded last, kept within a byte budget, made once for all threads that ask at the same time."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from itertools import count
from typing import Generic, TypeVar

from coverslip.core.idle import KEEPERS

Value = TypeVar("Value")

_numbers = count()


def new_key() -> int:
    """A number that nothing else in this process uses: the first part of a key of `Recent`."""
    return next(_numbers)


class Recent(Generic[Value]):
    """A least-recently-used store; safe from any thread.

    Parameters
    ----------
    budget
        Sizes of what is kept add up to at most this.
    size
        The size of one value.
    """

    def __init__(self, budget: int, size: Callable[[Value], int]) -> None:
        self._budget = budget
        self._size = size
        self._lock = threading.Lock()
        self._kept: OrderedDict[Hashable, Value] = OrderedDict()
        self._making: dict[Hashable, Future[Value]] = {}
        self._held = 0
        self.used_s = 0.0
        KEEPERS.add(self)

    def let_go(self) -> None:
        """Keep nothing of what is kept now."""
        with self._lock:
            self._kept.clear()
            self._held, self.used_s = 0, 0.0

    def get(self, key: Hashable, make: Callable[[], Value]) -> Value:
        """The value of ``key``; ``make`` is called when it is not kept, and its error is everybody's who waits."""
        with self._lock:
            self.used_s = time.monotonic()
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
            waiting = self._making.get(key)
            if waiting is None:
                mine = self._making[key] = Future()
        if waiting is not None:
            return waiting.result()
        return self._make(key, make, mine)

    def forget(self, first: int) -> None:
        """Drop what is kept under keys that are tuples beginning with this number."""
        with self._lock:
            for key in [k for k in self._kept if isinstance(k, tuple) and k[0] == first]:
                self._held -= self._size(self._kept.pop(key))

    def _make(self, key: Hashable, make: Callable[[], Value], mine: Future[Value]) -> Value:
        try:
            value = make()
        except BaseException as error:
            with self._lock:
                del self._making[key]
            mine.set_exception(error)
            raise
        size = self._size(value)
        with self._lock:
            del self._making[key]
            if size <= self._budget:
                self._kept[key] = value
                self._held += size
            while self._held > self._budget:
                _, old = self._kept.popitem(last=False)
                self._held -= self._size(old)
        mine.set_result(value)
        return value
