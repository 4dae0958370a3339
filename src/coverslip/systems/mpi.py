"""Systems read with NeuroH5 under MPI; every process gets all of it.

Source: NeuroH5's Python module (https://github.com/iraikov/neuroh5).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from coverslip.core.errors import NotFound
from coverslip.domains.networks import Pair
from coverslip.domains.populations import Population
from coverslip.systems.readers import Connections, Ragged

NAMESPACES = ("Synapses", "Connections")


class NeuroH5Reader:
    """Reads with NeuroH5.

    Parameters
    ----------
    cells, connections
        The files.
    comm
        Who reads together; all processes when None.
    """

    backend = "neuroh5"

    def __init__(self, cells: Path, connections: Path, comm: Any = None) -> None:
        from mpi4py import MPI

        self._cells, self._connections = str(cells), str(connections)
        self._comm = MPI.COMM_WORLD if comm is None else comm

    @cached_property
    def populations(self) -> Mapping[str, Population]:
        """See `coverslip.systems.readers.Reader`."""
        from neuroh5.io import read_population_ranges

        spans, _ = read_population_ranges(self._cells, self._comm)
        found: dict[str, Population] = {}
        offset = 0
        for name, (start, count) in sorted(spans.items(), key=lambda item: item[1]):
            found[name] = Population(name, -1, int(start), int(count), offset)
            offset += int(count)
        return found

    def attribute_names(self) -> dict[str, dict[str, list[str]]]:
        """See `coverslip.systems.readers.Reader`."""
        from neuroh5.io import read_cell_attribute_info, read_population_names

        names = read_population_names(self._cells, self._comm)
        info = read_cell_attribute_info(self._cells, names, comm=self._comm)
        return {name: {space: sorted(held) for space, held in info.get(name, {}).items()} for name in self.populations}

    def ragged(self, population: str, namespace: str, name: str) -> Ragged | None:
        """See `coverslip.systems.readers.Reader`."""
        if name not in self.attribute_names().get(population, {}).get(namespace, []):
            return None
        from neuroh5.io import scatter_read_cell_attributes

        held = scatter_read_cell_attributes(
            self._cells, population, namespaces=[namespace], mask={name}, return_type="dict", comm=self._comm, io_size=1
        )
        mine = [(int(gid), values[name]) for gid, values in held[namespace]]
        cells = sorted((cell for part in self._comm.allgather(mine) for cell in part), key=lambda cell: cell[0])
        lengths = [len(values) for _, values in cells]
        return Ragged(
            np.array([gid for gid, _ in cells], np.int64),
            np.concatenate(([0], np.cumsum(lengths, dtype=np.int64))),
            np.concatenate([values for _, values in cells]) if cells else np.empty(0),
        )

    def pairs(self) -> list[Pair]:
        """See `coverslip.systems.readers.Reader`."""
        from neuroh5.io import read_projection_names

        return sorted((str(pre), str(post)) for pre, post in read_projection_names(self._connections, self._comm))

    def connections(self, pre: str, post: str, attributes: Sequence[str] | None = ()) -> Connections:
        """See `coverslip.systems.readers.Reader`; of attributes, those of ``Synapses`` and ``Connections``."""
        if (pre, post) not in self.pairs():
            there = ", ".join(">".join(pair) for pair in self.pairs()) or "none"
            raise NotFound(f"There is no projection {pre}>{post}", f"There is {there}.", "projection_not_found")
        from neuroh5.io import scatter_read_graph

        spaces = NAMESPACES if attributes is None else sorted({name.partition("/")[0] for name in attributes})
        graph, info = scatter_read_graph(
            self._connections, comm=self._comm, io_size=1, projections=[(pre, post)], namespaces=list(spaces)
        )
        mine = list(graph[post][pre])
        rows = sorted((row for part in self._comm.allgather(mine) for row in part), key=lambda row: row[0])
        places: dict[str, dict[str, int]] = info.get(post, {}).get(pre, {})
        known = {f"{space}/{name}": (space, at) for space, held in places.items() for name, at in held.items()}
        wanted = list(known) if attributes is None else [name for name in attributes if rows]
        missing = [name for name in wanted if name not in known]
        if missing:
            raise NotFound(f"{pre}>{post} has no attribute {missing[0]!r}", f"There is {', '.join(known) or 'none'}.")
        target, origin = self.populations[post], self.populations[pre]
        counts = np.zeros(target.count, np.int64)
        for gid, (sources, _) in rows:
            counts[int(gid) - target.start] += len(sources)
        return Connections(
            np.concatenate(([0], np.cumsum(counts))),
            _joined([sources - np.uint32(origin.start) for _, (sources, _) in rows], np.uint32),
            {name: _joined([held[known[name][0]][known[name][1]] for _, (_, held) in rows]) for name in wanted},
        )

    def fresh(self) -> bool:
        """See `coverslip.systems.readers.Reader`; nothing is kept open."""
        return True

    def close(self) -> None:
        """See `coverslip.systems.readers.Reader`."""


def _joined(parts: list[Any], dtype: Any = np.float32) -> Any:
    return np.concatenate(parts) if parts else np.empty(0, dtype)
