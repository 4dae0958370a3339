"""Answers kept ready, within a budget of bytes."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import Generic, Protocol, TypeVar


class Sized(Protocol):
    """Something that knows how many bytes it holds."""

    @property
    def nbytes(self) -> int:
        """Bytes held."""


T = TypeVar("T", bound=Sized)


class ByteCache(Generic[T]):
    """Least-recently-used values, at most ``budget_bytes`` of them; safe to use from any thread."""

    def __init__(self, budget_bytes: int) -> None:
        self._budget = budget_bytes
        self._held = 0
        self._values: OrderedDict[str, T] = OrderedDict()
        self._lock = threading.Lock()
        self.hits = self.misses = 0
        """How often a value that was asked for was there, and was not."""

    @property
    def nbytes(self) -> int:
        """Bytes held now."""
        return self._held

    @property
    def count(self) -> int:
        """Values held now."""
        return len(self._values)

    def get(self, key: str) -> T | None:
        """The value of ``key``, or None."""
        with self._lock:
            value = self._values.get(key)
            if value is None:
                self.misses += 1
            else:
                self.hits += 1
                self._values.move_to_end(key)
            return value

    def clear(self) -> None:
        """Keep nothing of what is kept now."""
        with self._lock:
            self._values.clear()
            self._held = 0

    def put(self, key: str, value: T) -> None:
        """Keep a value, dropping those unused longest; one larger than half the budget is not kept."""
        if value.nbytes > self._budget // 2:
            return
        with self._lock:
            old = self._values.pop(key, None)
            self._held += value.nbytes - (old.nbytes if old is not None else 0)
            self._values[key] = value
            while self._held > self._budget:
                self._held -= self._values.popitem(last=False)[1].nbytes
