"""Reading off the event loop: in threads, once for all who ask, and ended when nobody waits."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, TypeVar

from coverslip.core.stop import Stop

T = TypeVar("T")


class _Flight:
    def __init__(self, future: asyncio.Future[Any], stop: Stop) -> None:
        self.future = future
        self.stop = stop
        self.waiters = 0


class Reader:
    """Runs readers in a bounded number of threads.

    Parameters
    ----------
    threads
        How many reads run at once. Questions that cost next to nothing have two threads of their own, so that however
        many slow reads there are, a server says that it is well.
    """

    def __init__(self, threads: int = 4) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="coverslip-read")
        self._quick = ThreadPoolExecutor(2, thread_name_prefix="coverslip-quick")
        self._flights: dict[str, _Flight] = {}

    async def run(self, key: str, work: Callable[[Stop], T], quick: bool = False) -> T:
        """The result of ``work``, which runs once for all who ask for ``key`` at the same time.

        When the last of them is cancelled (its client went away), the work is asked to stop.
        """
        flight = self._flights.get(key)
        if flight is None:
            stop = Stop()
            pool = self._quick if quick else self._pool
            future: asyncio.Future[Any] = asyncio.get_running_loop().run_in_executor(pool, work, stop)
            flight = self._flights[key] = _Flight(future, stop)
            future.add_done_callback(partial(self._landed, key, flight))
        flight.waiters += 1
        try:
            result: T = await asyncio.shield(flight.future)
            return result
        finally:
            flight.waiters -= 1
            if not flight.waiters and not flight.future.done():
                flight.stop.set()
                if self._flights.get(key) is flight:  # who asks from now on starts anew
                    del self._flights[key]

    def _landed(self, key: str, flight: _Flight, future: asyncio.Future[Any]) -> None:
        if self._flights.get(key) is flight:
            del self._flights[key]
        if not future.cancelled():
            future.exception()  # seen, so that an error nobody waits for is not reported as lost

    def close(self) -> None:
        """End: running work is asked to stop, nothing new starts."""
        for flight in self._flights.values():
            flight.stop.set()
        for pool in (self._pool, self._quick):
            pool.shutdown(wait=False, cancel_futures=True)
