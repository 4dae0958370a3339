"""Who reads how much at once: clients take turns, and those that take nothing hold no more than a bounded part."""

from __future__ import annotations

import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy.typing as npt

from coverslip.engine.memory import give_back
from coverslip.fronts.flight.errors import Unavailable
from coverslip.fronts.flight.guesses import address_of
from coverslip.fronts.flight.line import Line, Place
from coverslip.fronts.flight.registry import Call

LOOK_S = 0.1
STUCK = 0.5
"""Share of the time others wait after which a client that takes nothing is hung up on."""
QUIET_S = 1.0
"""How long after the last large chunk its memory goes back to the system."""
MORE = 3
"""One part in so many is kept beside the bytes in flight, for clients of whom nothing is on its way."""
SPARE = 2
"""So many reads of theirs are decoded beside those of others."""


def client_of(call: Call) -> str:
    """Who one client is among several (`coverslip.fronts.flight.line`)."""
    return call.client or address_of(call.peer)


class Turn(Place):
    """The right to hold some bytes, given back when the array that holds them is gone."""

    def __init__(self, budget: Budget, size: int, call: Call, decoding: bool) -> None:
        super().__init__(client_of(call), call.peer, size, decoding)
        self._budget = budget
        self.granted = threading.Event()
        self.pool: Pool | None = None
        """What it was given; None while it waits, and when it is over."""
        self.since_s = 0.0
        """When what it is for was read and began its way to the client; 0 before."""
        self.kept = False

    def decoded(self) -> None:
        """Let others decode: this is read, or somebody else reads it."""
        self._budget.decoded(self)

    def keep(self, holder: npt.NDArray[Any]) -> None:
        """End the turn when nobody holds this very object any more; its views hold the memory, and not it."""
        self.since_s = time.monotonic()
        self.kept = True
        ended = weakref.finalize(holder, self._budget.give_back, self)
        ended.atexit = False
        self.decoded()


@dataclass(eq=False)
class Pool:
    """Bytes and threads that may be had, and what was given of them."""

    bytes: int
    reads: int
    held: int = 0
    decoding: int = 0

    def holds(self, size: int) -> bool:
        """Whether so many bytes more fit; what is larger than everything goes alone."""
        return not self.held or self.held + size <= self.bytes

    def fits(self, place: Place) -> bool:
        """Whether a read may go on."""
        return self.holds(place.size) and not (place.decoding and self.decoding >= self.reads)


class Budget:
    """Bytes in flight and reads that are decoded, had in turns (`Line`); safe to use from any thread.

    Parameters
    ----------
    most
        How many bytes there may be; a read that is larger than that goes alone. A client of whom nothing is on its
        way need not wait for others to take theirs: a third more (`MORE`) is kept for such.
    wait_s
        How long to wait for a turn since the same connection had one.
    hang_up
        Ends the connection of a client, named as `Call.peer`; called for one that takes nothing while others wait.
    threads
        How many reads are decoded at once, and `SPARE` more for such clients.
    """

    def __init__(
        self, most: int, wait_s: float, hang_up: Callable[[str], None] = lambda peer: None, threads: int = 4
    ) -> None:
        self._wait_s = wait_s
        self._hang_up = hang_up
        self._main, self._spare = Pool(most, threads), Pool(most // MORE, SPARE)
        self._line = Line(most, threads)
        self._turns: dict[Turn, None] = {}
        self._come: deque[Turn] = deque()
        self._over: deque[Turn] = deque()
        self._settling = False
        self._busy_s = 0.0
        self._closed = False
        self._room = threading.Condition()  # its lock may be taken twice: memory is collected at any moment
        threading.Thread(target=self._tidy, name="coverslip-flight-tidy", daemon=True).start()

    @property
    def held(self) -> int:
        """Bytes in flight now."""
        return self._main.held + self._spare.held

    @property
    def waiting(self) -> int:
        """Reads that wait for their turn."""
        return len(self._line)

    @contextmanager
    def turn(self, size: int, call: Call, decoding: bool = True) -> Iterator[Turn]:
        """Wait until it is this read's turn.

        Parameters
        ----------
        size
            Bytes.
        call
            Whose it is.
        decoding
            Whether it will use the processor; False for what waits for another machine.

        Raises
        ------
        Unavailable
            When there was none for too long.
        Stopped
            When the client has gone.
        """
        turn = Turn(self, size, call, decoding)
        self._come.append(turn)
        self._settle()
        try:
            if not turn.granted.is_set():
                self._wait(turn, call)
            yield turn
        finally:
            if not turn.kept:
                self.give_back(turn)

    def give_back(self, turn: Turn) -> None:
        """Let others have their turn."""
        self._over.append(turn)
        self._settle()

    def decoded(self, turn: Turn) -> None:
        """Let others decode."""
        with self._room:
            if turn.pool is not None and turn.decoding:
                turn.pool.decoding -= 1
                self._line.decoded(turn)
        self._settle()

    def close(self) -> None:
        """Let go of the thread."""
        with self._room:
            self._closed = True
            self._room.notify_all()

    def _wait(self, turn: Turn, call: Call) -> None:
        began, stop = time.monotonic(), call.stop()
        while not turn.granted.wait(LOOK_S):
            stop.check()
            with self._room:
                if turn.pool is not None:
                    return
                waited = time.monotonic() - max(began, self._line.served_s(turn))
            if waited > self._wait_s:
                raise Unavailable("The server is busy: other clients take their data too slowly", "Try again later.")
            if waited > self._wait_s * STUCK:
                self._drop()

    # --- who is next --------------------------------------------------------------------------------------------------

    def _settle(self) -> None:
        """Take back what is over, and give it to who is next.

        Only here anything is changed that is looked through: the memory of a chunk may be collected, and its turn
        given back, in the middle of it and by the same thread.
        """
        with self._room:
            if self._settling:
                return
            self._settling = True
            try:
                more = True
                while more:
                    while self._come:
                        self._line.join(self._come.popleft())
                    while self._over:
                        self._end(self._over.popleft())
                    self._give()
                    more = bool(self._over)
            finally:
                self._settling = False

    def _end(self, turn: Turn) -> None:
        pool, turn.pool = turn.pool, None
        if pool is None:
            self._line.leave(turn)
            return
        pool.held -= turn.size
        pool.decoding -= turn.decoding
        del self._turns[turn]
        self._line.end(turn)
        self._busy_s = time.monotonic()
        if not self.held:
            self._room.notify_all()

    def _give(self) -> None:
        while (found := self._next()) is not None:
            turn, pool = found
            turn.pool = pool
            pool.held += turn.size
            pool.decoding += turn.decoding
            self._line.begin(turn)
            self._turns[turn] = None
            turn.granted.set()

    def _next(self) -> tuple[Turn, Pool] | None:
        """Who may go on now, and with what.

        Nobody who comes after it takes the bytes that a large read waits for, or it would wait for ever.
        """
        full = False
        for turn in self._line.order():
            assert isinstance(turn, Turn)
            if not full and self._main.fits(turn):
                return turn, self._main
            if self._line.newcomer(turn) and turn.size <= self._spare.bytes and self._spare.fits(turn):
                return turn, self._spare
            full = full or not self._main.holds(turn.size)
        return None

    def _drop(self) -> None:
        """Hang up on the client that has taken longest, if that is long: its memory comes back when its call ends."""
        late = time.monotonic() - self._wait_s * STUCK
        with self._room:
            turn = next((turn for turn in self._turns if 0 < turn.since_s < late), None)
            if turn is None:
                return
            turn.since_s = 0.0
        self._hang_up(turn.connection)

    def _tidy(self) -> None:
        """Give memory back to the system when nothing was in flight for a while."""
        while True:
            with self._room:
                self._room.wait_for(lambda: self._closed or (self._busy_s and not self.held))
                if self._closed:
                    return
                left = self._busy_s + QUIET_S - time.monotonic()
                if left <= 0:
                    self._busy_s = 0.0
            if left > 0:
                time.sleep(left)
            else:
                give_back()
