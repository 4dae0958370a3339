"""Signs of life of work that another process does: who waits for it uses no processor time, and does not hang."""

from __future__ import annotations

import threading

_own = threading.local()


def beats() -> list[int]:
    """How many there were in this thread: a list of one number, that others may look at."""
    counted: list[int] | None = getattr(_own, "beats", None)
    if counted is None:
        counted = _own.beats = [0]
    return counted


def beat() -> None:
    """What this thread waits for goes on."""
    beats()[0] += 1
