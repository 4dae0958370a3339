"""Networks of neurons: populations, what is known of their cells, and the connections between them.

Recognised by NeuroH5's layout: ``H5Types`` with ``Populations``, ``Projections`` or both. Lengths are in µm.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from coverslip.core.errors import CoverslipError, NotFound
from coverslip.core.node import Group
from coverslip.domains.populations import Attribute, Population, attributes, population_of, read_populations
from coverslip.domains.projection import Projection
from coverslip.engine.sidecar import Shelf

COORDINATES = "Generated Coordinates"
AXES = ("X Coordinate", "Y Coordinate", "Z Coordinate")
Pair = tuple[str, str]
"""Names of the populations of sources and destinations."""


def is_network(root: Group) -> bool:
    """Whether a tree holds a network."""
    return "H5Types" in root and ("Populations" in root or "Projections" in root)


class Network:
    """A network; constructing one reads its table of populations only.

    Parameters
    ----------
    root
        A tree in NeuroH5's layout. Its attribute ``neural_system`` may hold ``graph`` and ``mea``, the documents
        ``graph.json`` and ``mea.json``.
    shelf
        Where indexes are kept.

    Raises
    ------
    Damaged
        When the populations cannot be told.
    """

    def __init__(self, root: Group, shelf: Shelf | None = None) -> None:
        self._root = root
        self._shelf = shelf or Shelf()
        self.populations = read_populations(root)
        self.left_out: dict[str, str] = {}

    @cached_property
    def documents(self) -> Mapping[str, Any]:
        """``graph`` and ``mea`` as plain data, as far as there are such."""
        held = self._root.attrs.get("neural_system")
        return held if isinstance(held, Mapping) else {}

    @property
    def n_neurons(self) -> int:
        """Cells of all populations."""
        return sum(p.count for p in self.populations.values())

    @cached_property
    def gids(self) -> npt.NDArray[np.uint32]:
        """The gid of each row of the tables of all cells; ``(n_neurons,)``, ascending."""
        parts = [np.arange(p.start, p.stop, dtype=np.uint32) for p in self.populations.values()]
        return np.concatenate(parts) if parts else np.empty(0, np.uint32)

    def population(self, name: str) -> Population:
        """A population by its name.

        Raises
        ------
        NotFound
            When there is none.
        """
        found = self.populations.get(name)
        if found is None:
            there = ", ".join(self.populations)
            raise NotFound(f"There is no population {name!r}", f"There is {there}.", "population_not_found")
        return found

    def cell(self, gid: int) -> tuple[Population, int]:
        """The population of a cell, and its number in it.

        Raises
        ------
        NotFound
            When no cell has this gid.
        """
        population = population_of(self.populations, gid)
        return population, gid - population.start

    # -- cells -------------------------------------------------------------------------------------------------------

    @cached_property
    def attributes(self) -> dict[str, dict[str, Attribute]]:
        """Attributes of cells by population, then by ``namespace/name``."""
        return {
            name: {a.key: a for a in attributes(self._root, population)}
            for name, population in self.populations.items()
        }

    @cached_property
    def coordinate_namespace(self) -> str:
        """The namespace of the attributes that say where cells are."""
        graph = self.documents.get("graph")
        config = graph.get("architecture", {}) if isinstance(graph, Mapping) else {}
        config = config.get("config", {}) if isinstance(config, Mapping) else {}
        named = config.get("coordinate_namespace") if isinstance(config, Mapping) else None
        held = [a.namespace for of_one in self.attributes.values() for a in of_one.values() if a.name == AXES[0]]
        return str(named) if named in held else COORDINATES if COORDINATES in held or not held else held[0]

    @cached_property
    def coordinates(self) -> npt.NDArray[np.float32]:
        """Where each cell is, in µm, float32 ``(n_neurons, 3)``; NaN where that is not known."""
        out = np.full((self.n_neurons, 3), np.nan, np.float32)
        for name, population in self.populations.items():
            for axis, label in enumerate(AXES):
                attribute = self.attributes[name].get(f"{self.coordinate_namespace}/{label}")
                if attribute is not None:
                    out[population.rows, axis] = attribute.one_each()
        return out

    @property
    def bounds(self) -> npt.NDArray[np.float32] | None:
        """The corners of the box that holds every cell, in µm, ``(2, 3)``; None when nobody knows where they are."""
        held = self.coordinates[np.isfinite(self.coordinates).all(axis=1)]
        return np.stack([held.min(axis=0), held.max(axis=0)]) if len(held) else None

    def inside(self, low: npt.ArrayLike, high: npt.ArrayLike) -> npt.NDArray[np.intp]:
        """Rows of the cells in a box, borders included.

        Parameters
        ----------
        low, high
            Its corners in µm, ``(3,)``.
        """
        with np.errstate(invalid="ignore"):
            held = (self.coordinates >= np.asarray(low)) & (self.coordinates <= np.asarray(high))
        return np.flatnonzero(held.all(axis=1))

    # -- connections -------------------------------------------------------------------------------------------------

    @cached_property
    def projections(self) -> dict[Pair, Projection]:
        """Every projection that can be read, by its populations (source, destination), in a stable order.

        What cannot be read is in `left_out`, with the reason.
        """
        found = {}
        for pair, group in sorted(self._stored(), key=lambda item: item[0]):
            name = ">".join(pair)
            try:
                pre, post = self.population(pair[0]), self.population(pair[1])
                found[pair] = Projection(group, pre, post, self._shelf.sub(name))
            except CoverslipError as error:
                self.left_out[name] = error.message
        return found

    def _stored(self) -> Iterator[tuple[Pair, Group]]:
        destinations = self._root.group("Projections")
        for post in destinations or ():
            sources = destinations.group(post) if destinations is not None else None
            for pre in sources or ():
                group = sources.group(pre) if sources is not None else None
                if group is not None:
                    yield (pre, post), group

    def projection(self, pre: str, post: str) -> Projection:
        """A projection.

        Raises
        ------
        NotFound
            When there is none, with those there are.
        """
        found = self.projections.get((pre, post))
        if found is None:
            there = ", ".join(p.name for p in self.projections.values()) or "none"
            raise NotFound(f"There is no projection {pre}>{post}", f"There is {there}.", "projection_not_found")
        return found

    @cached_property
    def n_edges(self) -> int:
        """Connections of all projections."""
        return sum(p.n_edges for p in self.projections.values())
