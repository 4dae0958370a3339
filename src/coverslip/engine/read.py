"""Reading off the event loop: in threads, once for all who ask, in turns, and ended when nobody waits."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Hashable
from contextlib import suppress
from contextvars import ContextVar
from functools import partial
from typing import Any, Literal, TypeVar

from coverslip.core.errors import Unreadable
from coverslip.core.patience import HANGS, hanging
from coverslip.core.stop import Overdue, Stop
from coverslip.engine.lanes import STILL_S
from coverslip.engine.lanes import Lane as Threads
from coverslip.engine.storage import STORAGE

T = TypeVar("T")
Lane = Literal["read", "quick", "slow", "query"]
LANES: dict[Lane, int] = {"quick": 2, "slow": 2, "query": 2}
"""Threads beside those that read. Each lane has its own, so that however many slow reads there are, a server says that
it is well, lists what it has, and sends what takes a moment only."""
SHORT_S = 0.25
"""A read that takes longer goes on in the slow lane, if it says how far it is (`Stop.check`)."""
TURN_S = 4.0
"""A slow read gives way to others after this long, then after twice that, and so on; what it keeps is not lost."""
QUICK_STILL_S = 0.2
"""What is quick and waits for so long waits for a disk; others go on."""
CLIENT: ContextVar[Hashable] = ContextVar("client", default=None)
"""Who asks: clients take turns."""


class _Flight:
    def __init__(self, future: asyncio.Future[Any], stop: Stop) -> None:
        self.future = future
        self.stop = stop
        self.client = CLIENT.get()
        self.waiters = 0
        self.begun = False


class Reader:
    """Runs readers in a bounded number of threads, for one client (`CLIENT`) after the other.

    Parameters
    ----------
    threads
        How many reads run at once; the other lanes have threads of their own.
    """

    def __init__(self, threads: int = 4) -> None:
        lanes: dict[Lane, int] = {"read": threads, **LANES}
        self._lanes = {
            lane: Threads(n, f"coverslip-{lane}", still_s=QUICK_STILL_S if lane == "quick" else STILL_S)
            for lane, n in lanes.items()
        }
        self._flights: dict[Hashable, _Flight] = {}

    async def run(self, key: Hashable, work: Callable[[Stop], T], lane: Lane = "read", within_s: float = math.inf) -> T:
        """The result of ``work``, which runs once for all who ask for ``key`` at the same time.

        When the last of them is cancelled (its client went away), the work is asked to stop.

        Parameters
        ----------
        key
            Equal for requests that have the same answer, and for no others. It is held while the work runs: the
            ``id`` of an object that is gone may be another's by then, the object itself may not.
        work
            What is done; it may be begun again when it takes longer than ``within_s``.
        lane
            Which threads do it.
        within_s
            After how long it goes on in the slow lane.

        Raises
        ------
        Unreadable
            When there is no thread that could do it.
        """
        flight = self._flights.get(key)
        if flight is None:
            loop = asyncio.get_running_loop()
            flight = _Flight(loop.create_future(), Stop(within_s))
            self._submit(lane, key, flight, work, loop)
            self._flights[key] = flight
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

    def _submit(
        self, lane: Lane, key: Hashable, flight: _Flight, work: Callable[[Stop], Any], loop: asyncio.AbstractEventLoop
    ) -> None:
        def lost() -> None:
            with suppress(RuntimeError):  # the loop was closed
                loop.call_soon_threadsafe(self._landed, key, flight, None, hanging())

        self._lanes[lane].submit(partial(self._do, key, flight, work, loop), flight.client, lost)

    def _do(self, key: Hashable, flight: _Flight, work: Callable[[Stop], Any], loop: asyncio.AbstractEventLoop) -> None:
        result: Any = None
        error: BaseException | None = None
        flight.begun = True
        flight.stop.allow(flight.stop.within_s)  # from now on: waiting for a thread does not count
        try:
            flight.stop.check()  # everybody may have left while it waited for a thread
            result = work(flight.stop)
        except Overdue:
            flight.stop.allow(max(2 * flight.stop.within_s, TURN_S))
            try:
                self._submit("slow", key, flight, work, loop)
            except Unreadable as failure:
                error = failure
            except RuntimeError:  # the reader was closed
                return
            else:
                return
        except StopIteration as failure:  # no future takes one
            error = RuntimeError(repr(failure))
        except BaseException as failure:  # noqa: BLE001  (handed to whoever waits)
            error = failure
            if getattr(failure, "name", "") == HANGS:
                STORAGE.visit(None)  # coming back from there is no answer of it
        with suppress(RuntimeError):  # the loop was closed
            loop.call_soon_threadsafe(self._landed, key, flight, result, error)

    def _landed(self, key: Hashable, flight: _Flight, result: Any, error: BaseException | None) -> None:
        if self._flights.get(key) is flight:
            del self._flights[key]
        if flight.future.done():
            return
        if error is None:
            flight.future.set_result(result)
            return
        flight.future.set_exception(error)
        flight.future.exception()  # seen, so that an error nobody waits for is not reported as lost

    def load(self) -> dict[str, int]:
        """How many reads have begun (``begun``) and wait for a thread (``waiting``), and how many threads wait for
        something that does not come (``still``)."""
        flights = list(self._flights.values())
        begun = sum(flight.begun for flight in flights)
        still = sum(lane.still for lane in self._lanes.values())
        return {"begun": begun, "waiting": len(flights) - begun, "still": still}

    def close(self) -> None:
        """End: running work is asked to stop, nothing new starts."""
        for flight in self._flights.values():
            flight.stop.set()
            flight.future.cancel()
        for lane in self._lanes.values():
            lane.close()
