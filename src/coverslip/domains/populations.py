"""Populations of neurons and what is known of each cell, in NeuroH5's layout.

Cells of a population are numbered one after the other from its start; that number is a cell's *gid*. An attribute holds
any number of values for each cell: those of the ``i``-th listed cell are ``value[pointer[i]:pointer[i + 1]]``.

Source: NeuroH5 (https://github.com/iraikov/neuroh5): ``H5Types``, ``Populations``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from coverslip.core.errors import Damaged, NotFound, TooLarge, Unsupported
from coverslip.core.node import Array, Group

AnyArray = npt.NDArray[Any]
WRITE_AGAIN = "The file was not written completely; write it again."
FIELDS = ("Start", "Count", "Population")
MOST_CELLS = 1 << 26
"""Networks of more cells are refused: a table of them would not fit, and a damaged file may claim any number."""
MOST_VALUES = 1 << 28
"""Of more values nothing is computed for each cell."""
LAST_GID = 1 << 32


@dataclass(frozen=True, slots=True)
class Population:
    """Cells of one kind.

    Attributes
    ----------
    name
        As the file's enumeration has it.
    number
        Its number in that enumeration.
    start, count
        Its gids: ``start`` to ``start + count``.
    offset
        Its first row in tables of all cells, which are in the order of gids.
    """

    name: str
    number: int
    start: int
    count: int
    offset: int = 0

    @property
    def stop(self) -> int:
        """The gid after its last one."""
        return self.start + self.count

    @property
    def rows(self) -> slice:
        """Its rows in tables of all cells."""
        return slice(self.offset, self.offset + self.count)


def read_populations(root: Group) -> dict[str, Population]:
    """The populations by name, in the order of their gids.

    A row of the table says by a *number* which population it is of; the names are in the enumeration that is the
    number's type. (Reading the names off the groups below ``Populations``, which are in alphabetical order, gives cells
    to the wrong population.)

    Raises
    ------
    Damaged
        When there is no such table, its numbers have no names, or its ranges overlap.
    Unsupported
        When there are too many cells.
    """
    types = root.group("H5Types")
    if types is None:
        raise Damaged("The types of a neural system (H5Types) are missing", WRITE_AGAIN)
    table = types.array("Populations")
    dtype = table.spec.dtype
    if dtype.names is None or any(name not in dtype.names for name in FIELDS) or len(table.spec.shape) != 1:
        raise Damaged("H5Types/Populations is no table of Start, Count and Population", WRITE_AGAIN)
    names = enumeration(dtype, "Population")
    if not names:
        raise Damaged("The numbers of H5Types/Populations have no names", "They are an enumeration in NeuroH5's files.")
    if table.spec.shape[0] > 1 << 16:  # more than the enumeration has numbers
        raise Damaged("H5Types/Populations has too many rows", WRITE_AGAIN)
    rows = np.sort(table.read_all(), order=["Start", "Count"])
    found: dict[str, Population] = {}
    offset, last = 0, 0
    for row in rows:
        start, count, number = (int(row[field]) for field in FIELDS)
        name = names.get(number)
        if name is None:
            raise Damaged(f"Population {number} has no name in H5Types", WRITE_AGAIN)
        if name in found or start < last or start + count > LAST_GID:
            raise Damaged(f"The range of population {name!r} overlaps another's or is too long", WRITE_AGAIN)
        found[name] = Population(name, number, start, count, offset)
        offset, last = offset + count, start + count
    if offset > MOST_CELLS:
        raise Unsupported(f"This network has {offset:,} cells", f"coverslip reads up to {MOST_CELLS:,}.")
    return found


def enumeration(dtype: np.dtype[Any], field: str) -> dict[int, str]:
    """The names of an enumeration's values; empty when the field is a plain number."""
    fields: Mapping[str, Any] = dtype.fields or {}
    metadata = fields[field][0].metadata if field in fields else None
    members = (metadata or {}).get("enum") or {}
    return {int(value): str(name) for name, value in members.items()}


class Attribute:
    """One attribute of the cells of one population.

    Parameters
    ----------
    group
        Holds ``Cell Index``, ``Attribute Pointer`` and ``Attribute Value``.
    population
        Whose.
    namespace, name
        What it is called.
    """

    def __init__(self, group: Group, population: Population, namespace: str, name: str) -> None:
        self.population = population
        self.namespace = namespace
        self.name = name
        self._cells = group.array("Cell Index")
        self._pointer = group.array("Attribute Pointer") if "Attribute Pointer" in group else None
        self._values = group.array("Attribute Value")

    @property
    def key(self) -> str:
        """``namespace/name``."""
        return f"{self.namespace}/{self.name}"

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the values."""
        return self._values.spec.dtype

    @property
    def n_values(self) -> int:
        """How many values all cells have together."""
        return self._values.spec.shape[0]

    @property
    def single(self) -> bool:
        """Whether every cell that is listed has exactly one value, as far as the sizes tell."""
        return self._values.spec.shape == self._cells.spec.shape

    @cached_property
    def cells(self) -> AnyArray:
        """The cells that have it, relative to the population's start; int64 ``(n,)``."""
        if self._cells.spec.shape[0] > self.population.count:
            raise Damaged(f"{self.key} has more cells than {self.population.name}", WRITE_AGAIN)
        cells = self._cells.read_all().astype(np.int64)
        if len(cells) and not 0 <= int(cells.min()) <= int(cells.max()) < self.population.count:
            raise Damaged(f"{self.key} names cells that {self.population.name} does not have", WRITE_AGAIN)
        return cells

    @cached_property
    def pointer(self) -> AnyArray:
        """Where each listed cell's values begin, and the end; int64 ``(n + 1,)``."""
        if self._pointer is None:
            pointer = np.arange(len(self.cells) + 1, dtype=np.int64)
        else:
            spec = self._pointer.spec
            if spec.shape != (len(self.cells) + 1,) or spec.dtype.kind not in "iu":
                raise Damaged(f"The pointers of {self.key} of {self.population.name} are wrong", WRITE_AGAIN)
            pointer = self._pointer.read_all().astype(np.int64)
        fits = len(pointer) == len(self.cells) + 1 and pointer[0] >= 0 and pointer[-1] <= self.n_values
        if not fits or (np.diff(pointer) < 0).any():
            raise Damaged(f"The pointers of {self.key} of {self.population.name} are wrong", WRITE_AGAIN)
        return pointer

    def values(self) -> AnyArray:
        """All values, in the order of `cells`."""
        return self._values.read_all()

    def of(self, cell: int) -> AnyArray:
        """The values of one cell, numbered from the population's start; empty when it has none."""
        places = np.flatnonzero(self.cells == cell)
        if not len(places):
            return np.empty(0, self.dtype)
        first = int(places[0])
        return self._values.read_rows(int(self.pointer[first]), int(self.pointer[first + 1]))

    def one_each(self, how: str = "first") -> AnyArray:
        """One number for each cell of the population, NaN where there is none; float64 ``(count,)``.

        Parameters
        ----------
        how
            Which, where a cell has several: ``first``, ``mean``, ``sum``, or ``count`` (then 0 where there is none).
        """
        lengths = np.diff(self.pointer)
        out = np.full(self.population.count, 0.0 if how == "count" else np.nan)
        if how == "count":
            out[self.cells] = lengths
            return out
        if self.n_values > MOST_VALUES:
            raise TooLarge(f"{self.key} has {self.n_values:,} values", f"At most {MOST_VALUES:,} are looked at.")
        values = self.values().astype(np.float64)
        held = lengths > 0
        cells, starts = self.cells[held], self.pointer[:-1][held]
        if not len(cells):
            return out
        if how == "first":
            out[cells] = values[starts]
            return out
        # Each by itself: in running sums one NaN, or one that is infinite, would reach all cells after its own.
        with np.errstate(over="ignore", invalid="ignore"):
            totals = np.add.reduceat(values[: self.pointer[-1]], starts)
        out[cells] = totals / lengths[held] if how == "mean" else totals
        return out


def attributes(root: Group, population: Population) -> Iterator[Attribute]:
    """Every attribute of a population that keeps the layout."""
    groups = root.group("Populations")
    group = groups.group(population.name) if groups is not None else None
    for namespace in group or ():
        members = group.group(namespace) if group is not None else None
        for name in members or ():
            held = members.group(name) if members is not None else None
            if held is not None and _is_attribute(held):
                yield Attribute(held, population, namespace, name)


def _is_attribute(group: Group) -> bool:
    for name in ("Cell Index", "Attribute Value"):
        node = group[name] if name in group else None
        if not isinstance(node, Array) or len(node.spec.shape) != 1 or node.spec.dtype.kind not in "iuf":
            return False
    return True


def population_of(populations: dict[str, Population], gid: int) -> Population:
    """The population that a cell is in.

    Raises
    ------
    NotFound
        When no cell has this gid.
    """
    for population in populations.values():
        if population.start <= gid < population.stop:
            return population
    last = max((p.stop for p in populations.values()), default=0)
    raise NotFound(f"There is no neuron {gid}", f"They are numbered up to {last - 1}.", "neuron_not_found")
