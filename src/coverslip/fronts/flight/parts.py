"""The parts of this front, one a line: each adds what it answers to the registry."""

from __future__ import annotations

from coverslip.fronts.flight.chunks import chunks
from coverslip.fronts.flight.desk import Part
from coverslip.fronts.flight.health import health
from coverslip.fronts.flight.sql import sql
from coverslip.fronts.flight.tree import tree

PARTS: tuple[Part, ...] = (
    health,
    tree,
    sql,
    chunks,
)
