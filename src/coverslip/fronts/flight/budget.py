"""How many bytes are read or on their way to clients at once: clients that take nothing hold no more than that."""

from __future__ import annotations

import threading
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy.typing as npt

from coverslip.engine.memory import give_back
from coverslip.fronts.flight.errors import Unavailable
from coverslip.fronts.flight.registry import Call

LOOK_S = 0.1
STUCK = 0.5
"""Share of the time others wait after which a client that takes nothing is hung up on."""
QUIET_S = 1.0
"""How long after the last large chunk its memory goes back to the system."""


class Turn:
    """The right to hold some bytes, given back when the array that holds them is gone."""

    def __init__(self, budget: Budget, size: int, peer: str) -> None:
        self._budget = budget
        self.size = size
        self.peer = peer
        self.since_s = 0.0
        """When what it is for was read and began its way to the client; 0 before."""
        self.kept = False

    def keep(self, holder: npt.NDArray[Any]) -> None:
        """End the turn when nobody holds this very object any more; its views hold the memory, and not it."""
        self.since_s = time.monotonic()
        self.kept = True
        ended = weakref.finalize(holder, self._budget.give_back, self)
        ended.atexit = False


class Budget:
    """Bytes in flight; safe to use from any thread.

    Parameters
    ----------
    most
        How many there may be; a read that is larger than that goes alone.
    wait_s
        How long to wait for a turn.
    hang_up
        Ends the connection of a client, named as `Call.peer`; called for one that takes nothing while others wait.
    """

    def __init__(self, most: int, wait_s: float, hang_up: Callable[[str], None] = lambda peer: None) -> None:
        self._most = most
        self._wait_s = wait_s
        self._hang_up = hang_up
        self._turns: dict[Turn, None] = {}
        self._held = 0
        self._busy_s = 0.0
        self._closed = False
        self._room = threading.Condition()
        threading.Thread(target=self._tidy, name="coverslip-flight-tidy", daemon=True).start()

    @property
    def held(self) -> int:
        """Bytes in flight now."""
        return self._held

    @contextmanager
    def turn(self, size: int, call: Call) -> Iterator[Turn]:
        """Wait until there is room.

        Raises
        ------
        Unavailable
            When there was none for too long.
        Stopped
            When the client has gone.
        """
        began = time.monotonic()
        stop, turn = call.stop(), Turn(self, size, call.peer)
        with self._room:
            while self._held and self._held + size > self._most:
                stop.check()
                waited = time.monotonic() - began
                if waited > self._wait_s:
                    raise Unavailable(
                        "The server is busy: other clients take their data too slowly", "Try again later."
                    )
                if waited > self._wait_s * STUCK:
                    self._drop()
                self._room.wait(LOOK_S)
            self._held += size
            self._turns[turn] = None
        try:
            yield turn
        finally:
            if not turn.kept:
                self.give_back(turn)

    def give_back(self, turn: Turn) -> None:
        """Let others have their turn."""
        with self._room:
            if turn in self._turns:
                del self._turns[turn]
                self._held -= turn.size
            self._busy_s = time.monotonic()
            self._room.notify_all()

    def _drop(self) -> None:
        """Hang up on the client that has taken longest, if that is long: its memory comes back when its call ends."""
        late = time.monotonic() - self._wait_s * STUCK
        turn = next((turn for turn in self._turns if 0 < turn.since_s < late), None)
        if turn is not None:
            turn.since_s = 0.0
            self._hang_up(turn.peer)

    def close(self) -> None:
        """Let go of the thread."""
        with self._room:
            self._closed = True
            self._room.notify_all()

    def _tidy(self) -> None:
        """Give memory back to the system when nothing was in flight for a while."""
        while True:
            with self._room:
                self._room.wait_for(lambda: self._closed or (self._busy_s and not self._held))
                if self._closed:
                    return
                left = self._busy_s + QUIET_S - time.monotonic()
                if left <= 0:
                    self._busy_s = 0.0
            if left > 0:
                time.sleep(left)
            else:
                give_back()
