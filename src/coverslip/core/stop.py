"""Asking long work to end."""

from __future__ import annotations

import threading

from coverslip.core.errors import Stopped


class Stop:
    """A flag that long work looks at between blocks, so that nobody's request keeps a core busy."""

    def __init__(self) -> None:
        self._event = threading.Event()

    def set(self) -> None:
        """Ask the work to end."""
        self._event.set()

    def check(self) -> None:
        """Raise `Stopped` once the work was asked to end."""
        if self._event.is_set():
            raise Stopped("Nobody waits for this any more")


NEVER = Stop()
"""For callers that always want the answer."""
