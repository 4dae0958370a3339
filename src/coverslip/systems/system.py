"""One neural system."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from coverslip.core.errors import BadRequest, Damaged, NotFound
from coverslip.domains.populations import Population
from coverslip.systems.described import Described
from coverslip.systems.matrices import connectivity, projection_matrix, rows_of
from coverslip.systems.readers import Ragged
from coverslip.systems.selection import Gids, select
from coverslip.systems.tables import coordinate_table

SYNAPSES = "Synapse Attributes"
SYNAPSE_ATTRIBUTES = ("syn_ids", "syn_locs", "syn_secs", "syn_layers", "syn_types", "swc_types")
Edge = tuple[int, tuple[npt.NDArray[np.uint32], dict[str, dict[str, npt.NDArray[Any]]]]]


@dataclass(frozen=True)
class CellsMetaData:
    """What is known of the cells of a system.

    Attributes
    ----------
    population_names
        In alphabetical order.
    population_ranges
        First gid and number of cells of each population.
    cell_attribute_info
        Names of attributes by population and namespace.
    """

    population_names: list[str]
    population_ranges: dict[str, tuple[int, int]]
    cell_attribute_info: dict[str, dict[str, list[str]]]

    def has(self, population: str, attribute: str) -> bool:
        """Whether a population has a namespace of attributes."""
        return attribute in self.cell_attribute_info.get(population, {})

    def population_count(self, population: str) -> int:
        """How many cells a population has."""
        return self.population_ranges[population][1]

    def cell_count(self) -> int:
        """How many cells there are."""
        return sum(count for _, count in self.population_ranges.values())


class System(Described):
    """A neural system; constructing one reads no cell.

    Parameters
    ----------
    uri
        Its folder (``cells.h5`` and ``connections.h5``, or ``graph.h5``; ``graph.json``, ``mea.json``), or a lone
        NeuroH5 file. Where ``LIVN_HSDS`` names a server, the path only says which system is meant: what follows a
        folder ``graphs``, else its last part.
    comm
        MPI processes that read together, with the back end ``neuroh5``.
    backend
        ``h5pyd``, ``neuroh5`` or ``local``; chosen as told in `coverslip.systems.readers` when None.

    Raises
    ------
    CoverslipError
        When there is no such system here, or the configuration is wrong. A server that is configured and fails is an
        error, too; other data is never read in its place.

    Notes
    -----
    What is read is kept. When the files or ``LIVN_HSDS`` change, it is read anew.
    """

    @property
    def cells_meta_data(self) -> CellsMetaData:
        """Populations and the names of their attributes."""
        found: CellsMetaData = self._handle.keep(
            "meta",
            lambda: CellsMetaData(self.populations, self.population_ranges, self._handle.reader().attribute_names()),
        )
        return found

    @property
    def populations(self) -> list[str]:
        """Names of the populations, in alphabetical order."""
        return sorted(self._handle.reader().populations)

    @property
    def population_ranges(self) -> dict[str, tuple[int, int]]:
        """First gid and number of cells of each population, in the order of gids."""
        return {name: (p.start, p.count) for name, p in self._handle.reader().populations.items()}

    def population_count(self, population: str) -> int:
        """How many cells a population has."""
        return self._population(population).count

    def _population(self, name: str) -> Population:
        populations = self._handle.reader().populations
        if name not in populations:
            raise NotFound(f"There is no population {name!r}", f"There is {', '.join(sorted(populations))}.")
        return populations[name]

    @property
    def num_neurons(self) -> int:
        """How many cells there are."""
        return sum(p.count for p in self._handle.reader().populations.values())

    def summary(self) -> dict[str, Any]:
        """``num_neurons``, ``num_projections`` (connections of all projections) and ``population_counts``."""
        reader = self._handle.reader()
        edges = self._handle.keep(
            "edges", lambda: sum(len(reader.connections(*pair).sources) for pair in reader.pairs())
        )
        return {
            "num_neurons": self.num_neurons,
            "num_projections": edges,
            "population_counts": {name: self.population_count(name) for name in self.populations},
        }

    # -- cells -------------------------------------------------------------------------------------------------------

    @property
    def gids(self) -> npt.NDArray[np.int64]:
        """The gid of every cell whose place is known, ascending; int64 ``(n,)``."""
        found: npt.NDArray[np.int64] = self.neuron_coordinates[:, 0].astype(np.int64)
        return found

    @property
    def neuron_coordinates(self) -> npt.NDArray[np.float64]:
        """Gid, x, y and z (µm) of every cell, by gid; float64 ``(n, 4)``."""
        tables = [self.coordinate_array(name) for name in self.populations]
        stacked = np.vstack(tables) if tables else np.zeros((0, 4))
        found: npt.NDArray[np.float64] = stacked[stacked[:, 0].argsort(kind="stable")]
        return found

    def coordinate_array(self, population: str) -> npt.NDArray[np.float64]:
        """Gid, x, y and z (µm) of the cells of a population, by gid; float64 ``(n, 4)``, a copy."""
        self._population(population)
        found: npt.NDArray[np.float64] = self._handle.keep(
            ("at", population), lambda: coordinate_table(self._handle.reader(), population)
        )
        return found.copy()

    def coordinates(self, population: str) -> Iterator[tuple[int, tuple[float, float, float]]]:
        """Gid and place (x, y, z in µm) of each cell of a population, by gid."""
        for gid, x, y, z in self.coordinate_array(population).tolist():
            yield int(gid), (x, y, z)

    @property
    def bounding_box(self) -> npt.NDArray[np.float64]:
        """Lowest and highest corner in µm, float64 ``(2, 3)``: of the layers it was made with, else of its cells."""
        extents = self._handle.config("architecture").get("layer_extents") if self._handle.has_graph() else None
        if isinstance(extents, Mapping) and extents:
            try:
                boxes = np.array([np.asarray(box, np.float64).reshape(2, 3) for box in extents.values()])
            except (ValueError, TypeError) as error:
                raise Damaged("layer_extents in graph.json are no boxes", "Write the system again.") from error
            return np.stack([boxes[:, 0].min(axis=0), boxes[:, 1].max(axis=0)])
        places = self.neuron_coordinates[:, 1:]
        if not len(places):
            raise NotFound("Nobody knows where the cells are", "The file holds no coordinates.")
        return np.stack([np.nanmin(places, axis=0), np.nanmax(places, axis=0)])

    @property
    def center_point(self) -> npt.NDArray[np.float64]:
        """The middle of the bounding box, in µm; float64 ``(3,)``."""
        found: npt.NDArray[np.float64] = self.bounding_box.mean(axis=0)
        return found

    def attribute(self, population: str, namespace: str, name: str) -> Ragged:
        """An attribute of the cells of a population.

        Raises
        ------
        NotFound
            When it has none of this name.
        """
        self._population(population)
        found = self._handle.reader().ragged(population, namespace, name)
        if found is None:
            spaces = self.cells_meta_data.cell_attribute_info.get(population, {})
            there = ", ".join(f"{space}/{held}" for space, names in spaces.items() for held in names) or "nothing"
            raise NotFound(f"{population} has no {namespace}/{name}", f"There is {there}.", "attribute_not_found")
        return found

    def synapses(
        self, population: str, node_allocation: set[int] | None = None
    ) -> Iterator[tuple[int, dict[str, npt.NDArray[Any]]]]:
        """Gid and synapses (``syn_ids``, ``syn_locs``, …; one array of each) of the cells of a population, by gid.

        Parameters
        ----------
        node_allocation
            Only these gids.
        """
        self._population(population)
        held = {name: self._handle.reader().ragged(population, SYNAPSES, name) for name in SYNAPSE_ATTRIBUTES}
        columns = {name: column for name, column in held.items() if column is not None}
        first = next(iter(columns.values()), None)
        if first is None:
            return
        for place in np.argsort(first.gids, kind="stable"):
            gid = int(first.gids[place])
            if node_allocation is None or gid in node_allocation:
                yield gid, {name: column[int(place)] for name, column in columns.items()}

    # -- connections -------------------------------------------------------------------------------------------------

    def projections(self, pre: str, post: str) -> Iterator[Edge]:
        """The connections of each cell of ``post`` that has any, by gid.

        Yields
        ------
        post_gid
            The destination.
        (pre_gids, attributes)
            Gids of the sources, uint32, and attributes of the connections by namespace and name
            (``["Connections"]["distance"]`` in µm).
        """
        spans = self._population(post), self._population(pre)
        held = self._handle.reader().connections(pre, post, None)
        sources = held.sources.astype(np.uint32) + np.uint32(spans[1].start)
        spaces: dict[str, dict[str, npt.NDArray[Any]]] = {}
        for key, values in held.attributes.items():
            space, _, name = key.partition("/")
            spaces.setdefault(space, {})[name] = values
        for cell in np.flatnonzero(np.diff(held.pointer)):
            part = slice(int(held.pointer[cell]), int(held.pointer[cell + 1]))
            mine = {space: {name: values[part] for name, values in names.items()} for space, names in spaces.items()}
            yield int(cell) + spans[0].start, (sources[part], mine)

    def projection_array(self, pre: str, post: str) -> list[Edge]:
        """`projections` as a list."""
        return list(self.projections(pre, post))

    def projection_pairs(self) -> list[tuple[str, str]]:
        """Sources and destinations of every projection that is stored."""
        return self._handle.reader().pairs()

    def projection_matrix(self, pre: str, post: str, values: str | None = None, format: str = "csr") -> Any:
        """All connections of a projection as a SciPy sparse array, without a loop in Python.

        Parameters
        ----------
        pre, post
            Populations of sources and destinations.
        values
            An attribute of the connections (``Connections/distance``, in µm) to be its elements; 1 each when None.
        format
            ``csr`` (one cell's inputs are a row) or ``csc`` (one cell's outputs are a column).

        Returns
        -------
        scipy.sparse.csr_array or csc_array
            ``(cells of post, cells of pre)``, cells numbered from their population's start. Several connections of the
            same two cells are several elements; ``sum_duplicates()`` adds them up.

        Raises
        ------
        NotFound
            When there is no such projection or attribute, with those there are.
        """
        self._population(post), self._population(pre)
        return projection_matrix(self._handle.reader(), pre, post, values, format)

    def connectivity_matrix(
        self,
        weights: Mapping[str, float] | None = None,
        seed: int | None = None,
        gids: npt.ArrayLike | None = None,
        dense: bool = False,
    ) -> Any:
        """Which cell acts on which, and how.

        Parameters
        ----------
        weights
            Of projections by ``POST_PRE``; 1 where left out. Those of inhibitory ones are made negative.
        seed
            Multiply every connection by a random number between 0 and 1, the same as livn draws with this seed.
        gids
            Only these cells, in this order.
        dense
            A numpy array in place of a sparse one.

        Returns
        -------
        scipy.sparse.csr_array or numpy.ndarray
            float32 ``(n, n)``; element ``[i, j]`` is what cell ``i`` does to cell ``j``. Cells are in the order of
            their gids; several connections of two cells are added up.
        """
        spec = self.connections_config.get("synapses") or {} if self._handle.has_graph() else {}
        matrix = connectivity(self._handle.reader(), spec, weights or {}, seed)
        if gids is not None:
            wanted = rows_of(self._handle.reader(), np.asarray(gids, np.int64))
            matrix = matrix[wanted][:, wanted]
        return matrix.toarray() if dense else matrix

    # -- parts of it -------------------------------------------------------------------------------------------------

    def selection(
        self,
        spec: Any,
        populations: Sequence[str] | None = None,
        seed: int | None = 123,
        method: str = "first",
        bounds: Any = None,
    ) -> Gids | None:
        """Some of the cells.

        Parameters
        ----------
        spec
            A number of cells, shared out by the populations' sizes; a share of each population between 0 and 1 (of the
            area, for patches); a dict of numbers, shares or lists of gids by population; the name of a stored
            selection; None for all.
        populations
            Which may be chosen from; all when None.
        seed
            Of ``random``.
        method
            ``first`` cells, ``random`` ones, or those of a ``patch`` around the middle (x and y).
        bounds
            Two corners ``[[x0, y0], [x1, y1]]`` of a patch, in µm.

        Returns
        -------
        dict or None
            Gids by population, int64, ascending; None for all.
        """
        if isinstance(spec, str):
            if bounds is not None or method != "first":
                raise BadRequest("A stored selection says which cells it means", "Leave out method and bounds.")
            spec = self.selection_document(spec).get("gids")
            if not isinstance(spec, Mapping) or not spec:
                raise Damaged("The stored selection names no gids", "Write it again.")
        names = self.populations if populations is None else populations
        return select(self.population_ranges, spec, names, self.coordinate_array, seed, method, bounds)
