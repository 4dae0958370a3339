"""What the parts of the Flight server share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from coverslip.engine.catalog import Catalog
from coverslip.fronts.flight.options import FlightOptions
from coverslip.fronts.flight.registry import Registry
from coverslip.fronts.flight.seals import Seals
from coverslip.fronts.flight.tensors import Tensors


@dataclass(frozen=True)
class Desk:
    """What a part is given.

    Attributes
    ----------
    catalog
        What is on offer.
    tensors
        Finds a tensor by its name.
    registry
        Where a part adds what it answers.
    seals
        Signs what may be read without the token.
    options
        Numbers and permissions.
    version
        Ours.
    """

    catalog: Catalog
    tensors: Tensors
    registry: Registry
    seals: Seals
    options: FlightOptions
    version: str


Part = Callable[[Desk], None]
"""Adds to the registry; called once, before the server listens."""
