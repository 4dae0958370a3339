"""What is kept in memory because it may be used again, known in one place, so that it can be let go of."""

from __future__ import annotations

import time
from typing import Protocol
from weakref import WeakSet


class Keeper(Protocol):
    """Keeps something that can be had again.

    Attributes
    ----------
    used_s
        When it was used last, as `time.monotonic` counts; 0 while nothing is kept.
    """

    used_s: float

    def let_go(self) -> None:
        """Keep nothing, until it is used again; safe to call from any thread, while it is used too."""


KEEPERS: WeakSet[Keeper] = WeakSet()
"""Everybody who keeps something; who is gone keeps nothing."""


class Asked:
    """When somebody asked for something last; what is kept of it is freed memory that the system has not got back."""

    def __init__(self) -> None:
        self.used_s = 0.0
        KEEPERS.add(self)

    def now(self) -> None:
        """Somebody asks."""
        self.used_s = time.monotonic()

    def let_go(self) -> None:
        """As `Keeper.let_go`."""
        self.used_s = 0.0


ASKED = Asked()
