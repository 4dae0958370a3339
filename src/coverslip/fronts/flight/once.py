"""Equal reads that are asked for while one of them is under way share what it finds."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from typing import Any

import numpy.typing as npt

from coverslip.core.errors import Stopped
from coverslip.core.stop import Stop

LOOK_S = 0.1


class _Reading:
    def __init__(self) -> None:
        self.done = threading.Event()
        self.found: npt.NDArray[Any] | None = None
        self.error: BaseException | None = None


class Once:
    """Reads under way; safe to use from any thread."""

    def __init__(self) -> None:
        self._under_way: dict[Hashable, _Reading] = {}
        self._lock = threading.Lock()

    def read(
        self, key: Hashable, work: Callable[[], npt.NDArray[Any]], stop: Stop, follow: Callable[[], None]
    ) -> npt.NDArray[Any]:
        """What ``work`` finds, or what another who asked for the same finds.

        Each does it in its own thread, for its own client: when that one leaves, another begins anew.

        Parameters
        ----------
        key
            Equal for reads that find the same, and for no others.
        work
            Raises `Stopped` when the client has gone.
        stop
            Of this client.
        follow
            Called when another does it.
        """
        while True:
            with self._lock:
                reading = self._under_way.get(key)
                mine = reading is None
                if reading is None:
                    reading = self._under_way[key] = _Reading()
            if mine:
                return self._lead(key, reading, work)
            follow()
            while not reading.done.wait(LOOK_S):
                stop.check()
            if reading.found is not None:
                return reading.found
            if not isinstance(reading.error, Stopped):
                assert reading.error is not None
                raise reading.error

    def _lead(self, key: Hashable, reading: _Reading, work: Callable[[], npt.NDArray[Any]]) -> npt.NDArray[Any]:
        try:
            found = reading.found = work()
        except BaseException as failure:
            reading.error = failure
            raise
        finally:
            with self._lock:
                del self._under_way[key]
            reading.done.set()
        return found
