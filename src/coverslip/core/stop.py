"""Asking long work to end."""

from __future__ import annotations

import math
import threading
import time

from coverslip.core.errors import Stopped


class Overdue(Exception):
    """Work that took longer than it may where it runs; it is begun again where it may take longer."""


class Stop:
    """A flag that long work looks at between blocks, so that nobody's request keeps a core busy.

    Parameters
    ----------
    within_s
        How long the work may take from now on before `check` raises `Overdue`.
    """

    def __init__(self, within_s: float = math.inf) -> None:
        self._event = threading.Event()
        self.allow(within_s)

    def allow(self, seconds: float) -> None:
        """Let the work take this long from now on."""
        self._within = seconds
        self._end = time.monotonic() + seconds

    @property
    def within_s(self) -> float:
        """How long the work was allowed to take."""
        return self._within

    def set(self) -> None:
        """Ask the work to end."""
        self._event.set()

    def check(self) -> None:
        """Raise `Stopped` once the work was asked to end, `Overdue` once it took too long."""
        if self._event.is_set():
            raise Stopped("Nobody waits for this any more")
        if time.monotonic() > self._end:
            raise Overdue


NEVER = Stop()
"""For callers that always want the answer."""
