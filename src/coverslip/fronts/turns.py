"""Who is one client among several: they take turns (`coverslip.engine.read.CLIENT`)."""

from __future__ import annotations

from collections.abc import Hashable

from starlette.types import Scope

from coverslip.fronts.tokens import client_of

MOST_AGENT = 200
AGENT = b"user-agent"


def asker(scope: Scope) -> Hashable:
    """The program that asks: its address, and its name where several on one machine or behind one proxy ask."""
    agent = next((value for name, value in scope.get("headers", ()) if name == AGENT), b"")
    return client_of(scope), agent[:MOST_AGENT]
