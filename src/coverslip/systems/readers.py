"""What reads a system: one of three back ends, which give the same values.

| back end | when |
|---|---|
| ``h5pyd`` | ``LIVN_HSDS`` is set |
| ``neuroh5`` | neuroh5 and mpi4py are installed |
| ``local`` | always |
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from coverslip.core.errors import BadRequest, Unsupported
from coverslip.domains.networks import Network, Pair
from coverslip.domains.populations import Population
from coverslip.systems.connection import VARIABLE, Connection

AnyArray = npt.NDArray[Any]
BACKENDS = ("h5pyd", "neuroh5", "local")
INSTALL = "pip install 'coverslip[systems]'"


@dataclass(frozen=True)
class Ragged:
    """Any number of values for each of some cells.

    Attributes
    ----------
    gids
        The cells that have any, int64 ``(n,)``.
    pointer
        Where the values of each begin, and the end; int64 ``(n + 1,)``.
    values
        ``(m,)``; those of cell ``gids[i]`` are ``values[pointer[i]:pointer[i + 1]]``.
    """

    gids: AnyArray
    pointer: AnyArray
    values: AnyArray

    def __len__(self) -> int:
        return len(self.gids)

    def __getitem__(self, i: int) -> AnyArray:
        if not -len(self) <= i < len(self):
            raise IndexError(i)
        return self.values[self.pointer[i % len(self)] : self.pointer[i % len(self) + 1]]

    @property
    def lengths(self) -> AnyArray:
        """How many values each cell has; int64 ``(n,)``."""
        return np.diff(self.pointer)


@dataclass(frozen=True)
class Connections:
    """All connections of a projection, by destination.

    Attributes
    ----------
    pointer
        Where each destination's connections begin; int64 ``(cells of post + 1,)``.
    sources
        Cells of ``pre``, numbered from its start; uint32 ``(n_edges,)``.
    attributes
        ``(n_edges,)`` each, by ``namespace/name``.
    """

    pointer: AnyArray
    sources: AnyArray
    attributes: Mapping[str, AnyArray]


class Reader(Protocol):
    """What a back end does."""

    backend: str

    @property
    def populations(self) -> Mapping[str, Population]:
        """By name, in the order of gids."""

    def attribute_names(self) -> dict[str, dict[str, list[str]]]:
        """Names of cells' attributes by population and namespace."""

    def ragged(self, population: str, namespace: str, name: str) -> Ragged | None:
        """An attribute of a population's cells; None when it has none of this name."""

    def pairs(self) -> list[Pair]:
        """Sources and destinations of every projection."""

    def connections(self, pre: str, post: str, attributes: Sequence[str] | None = ()) -> Connections:
        """A projection with some of its attributes (None: all); `NotFound` names those there are."""

    def fresh(self) -> bool:
        """Whether what was opened is still what is there."""

    def close(self) -> None:
        """Let go of the files."""


class TreeReader:
    """Reads a tree: of files on this disk, or on a server.

    Parameters
    ----------
    network
        Found in the tree.
    backend
        Its name.
    fresh, close
        See `Reader`.
    """

    def __init__(self, network: Network, backend: str, fresh: Callable[[], bool], close: Callable[[], None]) -> None:
        self.backend = backend
        self.network = network
        self.fresh = fresh
        self.close = close

    @property
    def populations(self) -> Mapping[str, Population]:
        """See `Reader`."""
        return self.network.populations

    def attribute_names(self) -> dict[str, dict[str, list[str]]]:
        """See `Reader`."""
        found: dict[str, dict[str, list[str]]] = {}
        for population, attributes in self.network.attributes.items():
            namespaces = found.setdefault(population, {})
            for attribute in attributes.values():
                namespaces.setdefault(attribute.namespace, []).append(attribute.name)
        return {p: {space: sorted(names) for space, names in spaces.items()} for p, spaces in found.items()}

    def ragged(self, population: str, namespace: str, name: str) -> Ragged | None:
        """See `Reader`."""
        attribute = self.network.attributes[population].get(f"{namespace}/{name}")
        if attribute is None:
            return None
        gids = attribute.cells + attribute.population.start
        return Ragged(gids, attribute.pointer, attribute.values())

    def pairs(self) -> list[Pair]:
        """See `Reader`."""
        return list(self.network.projections)

    def connections(self, pre: str, post: str, attributes: Sequence[str] | None = ()) -> Connections:
        """See `Reader`."""
        projection = self.network.projection(pre, post)
        pointer, sources, order = projection.csr()
        wanted = list(projection.attributes) if attributes is None else attributes
        values = {}
        for name in wanted:
            held = projection.attributes.get(name)
            if held is None:
                projection.values(name, np.empty(0, np.int64))  # says which there are
                continue
            values[name] = held.read_all()[order]
        return Connections(pointer, sources, values)


def choose(asked: str | None, connection: Connection | None) -> str:
    """Which back end reads a system.

    Parameters
    ----------
    asked
        A back end that the caller insists on.
    connection
        The server of ``LIVN_HSDS``.

    Raises
    ------
    BadRequest, Unsupported
        When the one asked for does not exist, is not configured, or is not installed. A configured server is never
        passed over in silence.
    """
    if asked is not None and asked not in BACKENDS:
        raise BadRequest(f"There is no back end {asked!r}", f"There is {', '.join(BACKENDS)}.")
    if asked == "h5pyd" and connection is None:
        raise BadRequest("No HDF5 server is configured", f"Set {VARIABLE}.", "bad_configuration")
    if asked == "h5pyd" or (asked is None and connection is not None):
        if find_spec("h5pyd") is None:
            raise Unsupported("Reading from an HDF5 server needs h5pyd", f"{INSTALL}, or unset {VARIABLE}.")
        return "h5pyd"
    has_mpi = find_spec("neuroh5") is not None and find_spec("mpi4py") is not None
    if asked == "neuroh5" and not has_mpi:
        raise Unsupported("This back end needs neuroh5 and mpi4py", "See https://github.com/iraikov/neuroh5.")
    return "neuroh5" if asked != "local" and has_mpi else "local"
