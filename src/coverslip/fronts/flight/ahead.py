"""Small slices are read while their plan is still on its way: a client that plans one slice asks for it next.

Two calls of a client, ``GetFlightInfo`` and ``DoGet``, stand behind one slice. Between them nobody works: the answer
travels, the client parses it and asks again. Decoding fits into that time.

A client that only plans (a lazy array that may never be computed) would have it done in vain. So a client is believed
only after it did fetch what it had planned, and no longer once it did not.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Any

import numpy.typing as npt

from coverslip.core.idle import KEEPERS

Elements = npt.NDArray[Any]
THREADS = 2
"""So many are read at once; when that is not enough the machine is busy, and there is nothing to gain."""
MOST_PLANNED = 64
MOST_READ = 8
"""How many slices that were read wait for their client."""
LATE_S = 1.0
"""A slice that was not fetched by then was read in vain."""
BELIEVED = 2
"""Slices a client must have fetched right after their plan before it is believed."""
DOUBTED = -8
MOST_CLIENTS = 256


_Work = tuple[Future[Elements], Callable[[], Elements]]


@dataclass
class _Planned:
    client: str
    since_s: float
    reading: Future[Elements] | None


class Ahead:
    """Which slices were planned and not fetched yet; safe to use from any thread."""

    def __init__(self) -> None:
        self._planned: OrderedDict[bytes, _Planned] = OrderedDict()
        self._belief: OrderedDict[str, int] = OrderedDict()
        self._lock = threading.Lock()
        self._queue: SimpleQueue[_Work | None] = SimpleQueue()
        self._threads = 0
        self._closed = False
        self._busy = 0
        self.used_s = 0.0
        """When something was read last; 0 when nothing is held."""
        self.read = self.fetched = 0
        KEEPERS.add(self)

    def plan(self, key: bytes, client: str, read: Callable[[], Elements]) -> None:
        """A client was told of a slice; read it, if that client is believed to want it."""
        now = time.monotonic()
        with self._lock:
            self._forget(now)
            old = self._planned.pop(key, None)
            planned = _Planned(client, now, old.reading if old is not None else None)
            self._planned[key] = planned
            waiting = sum(p.reading is not None for p in self._planned.values())
            if planned.reading is not None or self._belief.get(client, 0) < BELIEVED:
                return
            if self._closed or self._busy >= THREADS or waiting >= MOST_READ:
                return
            if self._threads < THREADS:
                self._threads += 1
                threading.Thread(target=self._run, name="coverslip-flight-ahead", daemon=True).start()
            self._busy += 1
            self.read += 1
            self.used_s = now
            planned.reading = Future()
            self._queue.put((planned.reading, read))

    def take(self, key: bytes) -> Elements | None:
        """What was read for a slice, after waiting for its end if it has begun; None when it must be read now."""
        with self._lock:
            planned = self._planned.pop(key, None)
            if planned is None:
                return None
            belief = min(self._belief.pop(planned.client, 0) + 1, BELIEVED)
            self._belief[planned.client] = belief
            while len(self._belief) > MOST_CLIENTS:
                self._belief.popitem(last=False)
        reading = planned.reading
        if reading is None:
            return None
        if reading.cancel():
            with self._lock:
                self._busy -= 1
            return None
        if reading.exception() is not None:  # who reads it again is told why
            return None
        self.fetched += 1
        return reading.result()

    def let_go(self) -> None:
        """Hold nothing."""
        with self._lock:
            self._forget(time.monotonic(), 0.0)
            self.used_s = 0.0

    def close(self) -> None:
        """Read nothing any more."""
        with self._lock:
            self._closed = True
            for _ in range(self._threads):
                self._queue.put(None)

    def _run(self) -> None:
        while (work := self._queue.get()) is not None:
            reading, read = work
            if not reading.set_running_or_notify_cancel():
                continue
            try:
                reading.set_result(read())
            except Exception as error:  # noqa: BLE001  (told by whoever reads it again)
                reading.set_exception(error)
            finally:
                with self._lock:
                    self._busy -= 1

    def _forget(self, now: float, late_s: float = LATE_S) -> None:
        """Drop what nobody came for."""
        while self._planned:
            key, planned = next(iter(self._planned.items()))
            if len(self._planned) <= MOST_PLANNED and now - planned.since_s <= late_s:
                return
            del self._planned[key]
            if planned.reading is not None:
                self._belief[planned.client] = DOUBTED
                if planned.reading.cancel():
                    self._busy -= 1
