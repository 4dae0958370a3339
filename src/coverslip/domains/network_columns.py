"""What is known of each cell of a network, as columns to colour by: one value for each cell, of all populations."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from coverslip.core.errors import NotFound
from coverslip.core.stop import NEVER, Stop
from coverslip.domains.networks import Network
from coverslip.domains.populations import Attribute
from coverslip.domains.wiring import degrees

AnyArray = npt.NDArray[Any]
MOST_CATEGORIES = 64
WAYS = ("first", "mean", "sum", "count")
POPULATION, RECEIVED, SENT = "population", "in-degree", "out-degree"


@dataclass(frozen=True)
class Values:
    """A column that was read.

    Attributes
    ----------
    array
        float32 with NaN where nothing is known, or codes, uint8 or uint16, of which the largest means nothing is known.
    categories
        Names of the codes; None for numbers.
    """

    array: AnyArray
    categories: list[str] | None = None

    @property
    def span(self) -> tuple[float, float] | None:
        """Smallest and largest number; None when there is none."""
        known = self.array[np.isfinite(self.array)] if self.categories is None else self.array[:0]
        return (float(known.min()), float(known.max())) if len(known) else None


class Column:
    """One thing that is known of cells.

    Parameters
    ----------
    key
        ``namespace/name``, or ``population``, ``in-degree``, ``out-degree``.
    parts
        The attribute in each population that has it.
    """

    def __init__(self, key: str, parts: tuple[Attribute, ...] = ()) -> None:
        self.key = key
        self.parts = parts

    @property
    def single(self) -> bool:
        """Whether cells have one value at most; of several one is made."""
        return all(part.single for part in self.parts)

    @property
    def populations(self) -> list[str]:
        """Whose cells have it; empty for all."""
        return [part.population.name for part in self.parts]

    @property
    def dtype(self) -> str:
        """Of the values in the file."""
        return np.result_type(*(part.dtype for part in self.parts)).name if self.parts else "uint32"

    def read(self, network: Network, how: str = "first", stop: Stop = NEVER) -> Values:
        """Its values, in the order of gids; ``(n_neurons,)``.

        Parameters
        ----------
        how
            What becomes of several values of a cell: ``first``, ``mean``, ``sum`` or ``count``.
        """
        if self.key == POPULATION:
            lengths = [p.count for p in network.populations.values()]
            codes = np.repeat(np.arange(len(lengths)), lengths)
            return Values(codes.astype(_code_dtype(len(lengths))), list(network.populations))
        if not self.parts:
            found = degrees(network, list(network.projections.values()), stop)
            return Values((found.received if self.key == RECEIVED else found.sent).astype(np.float32))
        out = np.full(network.n_neurons, np.nan)
        for part in self.parts:
            stop.check()
            out[part.population.rows] = part.one_each(how)
        if self.single and all(part.dtype.kind in "iu" for part in self.parts):
            coded = _coded(out)
            if coded is not None:
                return coded
        return Values(out.astype(np.float32))


def _coded(values: AnyArray) -> Values | None:
    """Whole numbers as categories, when they are few."""
    known = np.isfinite(values)
    found, codes = np.unique(values[known], return_inverse=True)
    if not len(found) or len(found) > MOST_CATEGORIES:
        return None
    dtype = _code_dtype(len(found))
    out = np.full(len(values), np.iinfo(dtype).max, dtype)
    out[known] = codes
    return Values(out, [str(int(v)) for v in found])


def _code_dtype(n: int) -> type[np.uint8] | type[np.uint16]:
    return np.uint8 if n < 255 else np.uint16


def columns(network: Network) -> list[Column]:
    """Everything that is known of cells: their population, their degrees, and all attributes, in a stable order."""
    held: dict[str, list[Attribute]] = {}
    for of_one in network.attributes.values():
        for key, attribute in of_one.items():
            held.setdefault(key, []).append(attribute)
    own = [Column(key) for key in (POPULATION, RECEIVED, SENT)]
    return own + [Column(key, tuple(parts)) for key, parts in sorted(held.items())]


def column(network: Network, number: int) -> Column:
    """A column by its number.

    Raises
    ------
    NotFound
        When there is none.
    """
    found = columns(network)
    if not 0 <= number < len(found):
        raise NotFound(f"There is no column {number}", f"There are {len(found)}.", "column_not_found")
    return found[number]
