"""How a server does: how long answers took of late, and what failed last."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

RECENT = 1000
"""Answers whose time is kept."""
BROKEN = 500
"""Statuses from here on are failures of the server or of the data, not mistakes of who asks."""


@dataclass(frozen=True)
class Failure:
    """An answer that was an error.

    Attributes
    ----------
    time_s
        When, in seconds since 1970.
    status
        HTTP status.
    code, message
        As the client was told.
    path
        What was asked for, without its query.
    """

    time_s: float
    status: int
    code: str
    message: str
    path: str


class Diagnostics:
    """Notes of every answer; all of it happens on one thread."""

    def __init__(self) -> None:
        self.started_s = time.time()
        self._begun = time.monotonic()
        self._seconds: deque[float] = deque(maxlen=RECENT)
        self._count = 0
        self._refused = 0
        self._broken = 0
        self.last_failure: Failure | None = None

    @property
    def uptime_s(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self._begun

    def note(self, seconds: float, status: int) -> None:
        """One answer: how long it took until it began, and its status."""
        self._seconds.append(seconds)
        self._count += 1
        self._refused += 400 <= status < BROKEN
        self._broken += status >= BROKEN

    def failed(self, status: int, code: str, message: str, path: str) -> None:
        """Keep a failure as the last one."""
        self.last_failure = Failure(time.time(), status, code, message, path)

    def told(self) -> dict[str, Any]:
        """Numbers of requests, and the milliseconds that half and 95 of 100 of the recent ones took at most."""
        ordered = sorted(self._seconds)
        return {
            "count": self._count,
            "refused": self._refused,
            "failed": self._broken,
            "recent": len(ordered),
            "latency_ms": {"p50": _share(ordered, 0.5), "p95": _share(ordered, 0.95)},
        }


def _share(ordered: Sequence[float], share: float) -> float | None:
    """The value that this share of all is at most, in milliseconds; None of none."""
    return round(ordered[min(int(len(ordered) * share), len(ordered) - 1)] * 1000, 3) if ordered else None
