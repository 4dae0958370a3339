"""Storage that does not answer: a network disk whose server is away keeps everybody who asks, for hours.

Nobody can take a thread back that the system holds. What can be done is to see it, to ask no more of that storage, and
to work for everybody else with other threads (`coverslip.engine.lanes`).
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Hashable
from pathlib import Path

from coverslip.core.mounts import network_mount
from coverslip.core.patience import hanging

MOST_HELD = 3
"""So many threads are given to storage that does not answer; who asks after them is told so at once."""


class Storage:
    """Which threads wait for which storage without an end; safe to use from any thread.

    Parameters
    ----------
    most_held
        How many may wait for one before it is asked no more.
    """

    def __init__(self, most_held: int = MOST_HELD) -> None:
        self._most_held = most_held
        self._held: Counter[Hashable] = Counter()
        self._answered: dict[Hashable, float] = {}
        self._here = threading.local()
        self._lock = threading.Lock()

    def visit(self, place: Hashable) -> None:
        """From now on this thread reads what lies at a place (`place_of`); None: nowhere that can hang.

        Raises
        ------
        Unreadable
            When that place holds others for long.
        """
        visits = getattr(self._here, "visits", None)
        if visits is not None:
            visits[0] = place
        if place is not None and self._held[place] >= self._most_held:
            self.visit(None)  # it did not answer
            raise hanging()

    def enter(self) -> list[Hashable]:
        """This thread is one whose work is watched; the list holds the place it reads at now."""
        visits: list[Hashable] = [None]
        self._here.visits = visits
        return visits

    def leave(self, visits: list[Hashable]) -> None:
        """The work came back, and what it read at answered."""
        if visits[0] is not None:
            self._answered[visits[0]] = time.monotonic()
            visits[0] = None

    def silent(self, place: Hashable, since_s: float) -> bool:
        """Whether nobody has come back from a place since then."""
        return self._answered.get(place, -1.0) < since_s

    def hold(self, place: Hashable) -> None:
        """A thread waits at a place without an end."""
        with self._lock:
            self._held[place] += 1

    def give_back(self, place: Hashable) -> None:
        """It came back."""
        with self._lock:
            self._held[place] -= 1
            self._held = +self._held

    def held(self) -> int:
        """How many threads wait without an end."""
        return sum(self._held.values())


STORAGE = Storage()
"""Of this process: its disks are the same for all of its servers."""


def place_of(path: Path | None) -> Hashable:
    """Where a path lies that may hang; None for a local disk, or what is no path. The storage itself is not asked."""
    return network_mount(path) if path is not None else None
