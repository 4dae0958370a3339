"""The answers about one network."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from coverslip.core.errors import TooLarge
from coverslip.core.finite import is_finite
from coverslip.core.stop import Stop
from coverslip.domains import network_columns, wiring
from coverslip.domains.networks import Network
from coverslip.domains.projection import Incidence, Projection
from coverslip.fronts.networks import asked
from coverslip.fronts.networks.table import table

MOST_POPULATIONS = 1000
Query = Mapping[str, str]
AnyArray = npt.NDArray[Any]


def about(network: Network, name: str) -> dict[str, Any]:
    """What there is in a network; reads no cell and no connection."""
    listed = list(network.projections.values())
    graph = network.documents.get("graph")
    return {
        "name": name,
        "unit": "micrometer",
        "neurons": network.n_neurons,
        "edges": network.n_edges,
        "bounds": None if network.bounds is None else network.bounds.astype(float).tolist(),
        "populations": [
            {"name": p.name, "number": p.number, "start": p.start, "count": p.count, "offset": p.offset}
            for p in network.populations.values()
        ],
        "projections": [
            {
                "index": number,
                "name": p.name,
                "source": p.pre.name,
                "destination": p.post.name,
                "type": synapse_type(graph, p),
                "edges": p.n_edges,
                "attributes": [{"name": key, "dtype": array.spec.dtype.name} for key, array in p.attributes.items()],
                "indexed": p.indexed,
            }
            for number, p in enumerate(listed)
        ],
        "left_out": network.left_out,
        "layers": layers(graph),
        "electrodes": electrodes(network.documents.get("mea")),
        "columns": [
            {"index": i, "key": c.key, "populations": c.populations, "dtype": c.dtype, "single": c.single}
            for i, c in enumerate(network_columns.columns(network))
        ],
    }


def synapse_type(graph: Any, projection: Projection) -> str | None:
    """``excitatory`` or ``inhibitory``, where the documents tell."""
    try:
        held = next(iter(graph["connections"].values()))
        found = held["config"]["synapses"][projection.post.name][projection.pre.name]["type"]
    except (TypeError, KeyError, AttributeError, StopIteration):
        return None
    return found if isinstance(found, str) else None


def layers(graph: Any) -> dict[str, list[list[float]]]:
    """Two corners of each layer, in µm, where the documents tell."""
    try:
        extents = graph["architecture"]["config"]["layer_extents"]
        boxes = {str(name): np.asarray(box, float).reshape(2, 3).tolist() for name, box in extents.items()}
    except (TypeError, KeyError, AttributeError, ValueError, OverflowError):
        return {}
    return boxes


def electrodes(mea: Any) -> dict[str, Any] | None:
    """Number, x, y and z (µm) of each electrode, and how far they reach; None when there are none."""
    try:
        places = np.asarray(mea["electrode_coordinates"], float).reshape(-1, 4)
    except (TypeError, KeyError, ValueError, OverflowError):
        return None
    reach = {name: value for name in ("input_radius", "output_radius") if _is_length(value := mea.get(name))}
    return {"coordinates": places.tolist(), **reach}


def _is_length(value: Any) -> bool:
    return is_finite(value)


def coordinates(network: Network) -> bytes:
    """x, y and z of every cell, in the order of gids; float32 ``(n, 3)``."""
    return network.coordinates.astype("<f4", copy=False).tobytes()


def column(network: Network, number: int, query: Query, stop: Stop) -> dict[str, Any]:
    """What a column holds."""
    found = network_columns.column(network, number)
    values = found.read(network, asked.way(query), stop)
    span = values.span
    return {
        "index": number,
        "key": found.key,
        "populations": found.populations,
        "single": found.single,
        "kind": "number" if values.categories is None else "category",
        "dtype": values.array.dtype.name,
        "categories": values.categories,
        "min": span[0] if span else None,
        "max": span[1] if span else None,
    }


def column_values(network: Network, number: int, query: Query, stop: Stop) -> bytes:
    """A column's values."""
    values = network_columns.column(network, number).read(network, asked.way(query), stop).array
    return values.astype(values.dtype.newbyteorder("<"), copy=False).tobytes()


def incidence(network: Network, gid: int, inputs: bool, query: Query, stop: Stop) -> bytes:
    """The cells that one cell is connected to: where its inputs come from, or where its outputs lead."""
    population, cell = network.cell(gid)
    chosen = [
        (number, p) for number, p in asked.projections(query, network) if (p.post if inputs else p.pre) is population
    ]
    names = asked.attributes(query, network)
    found = [(p, number, p.inputs(cell) if inputs else p.outputs(cell, stop)) for number, p in chosen]
    others = [p.pre if inputs else p.post for p, _, _ in found]
    gids = [i.cells.astype(np.uint32) + np.uint32(o.start) for (_, _, i), o in zip(found, others, strict=True)]
    columns = {
        "gid": _joined(gids, np.uint32),
        "projection": _joined([np.full(len(i.cells), n, np.uint32) for _, n, i in found], np.uint32),
    }
    for name in names:
        columns[name] = _joined([_values(p, name, cell, i, inputs) for p, _, i in found], np.float32)
    return table(columns, gid=gid, direction="inputs" if inputs else "outputs")


def _values(projection: Projection, name: str, cell: int, found: Incidence, inputs: bool) -> AnyArray:
    if name not in projection.attributes:
        return np.full(len(found.edges), np.nan, np.float32)
    if inputs:
        return projection.values(name, found.edges)
    return projection.output_values(name, cell, found.edges)


def _joined(parts: Sequence[AnyArray], dtype: Any) -> AnyArray:
    return np.concatenate(parts) if parts else np.empty(0, dtype)


def box(network: Network, query: Query) -> bytes:
    """The cells in a box, borders included."""
    low, high = asked.corner(query, "low"), asked.corner(query, "high")
    rows = network.inside(low, high)
    starts = np.array([p.offset for p in network.populations.values()])
    found = np.searchsorted(starts, rows, side="right") - 1 if len(starts) else rows
    # A population without cells begins where the next one does; the last of those is the one that has them.
    places = network.coordinates[rows]
    return table(
        {
            "gid": network.gids[rows],
            "population": found.astype(np.uint32),
            **{axis: places[:, i] for i, axis in enumerate("xyz")},
        }
    )


def degrees(network: Network, query: Query, stop: Stop) -> bytes:
    """How many connections each cell receives and sends, in the order of gids."""
    found = wiring.degrees(network, [p for _, p in asked.projections(query, network)], stop)
    return table({"in": found.received, "out": found.sent})


def histogram(network: Network, query: Query, stop: Stop) -> dict[str, Any]:
    """How many cells have how many connections."""
    chosen = [p for _, p in asked.projections(query, network)]
    bins = asked.count(query, "bins", 50, asked.MOST_BINS)
    found = wiring.degrees(network, chosen, stop)
    sides = {
        "in": (found.received, [p.post.name for p in chosen]),
        "out": (found.sent, [p.pre.name for p in chosen]),
    }
    answer = {}
    for side, (values, names) in sides.items():
        told = wiring.degree_histogram(network, values, list(dict.fromkeys(names)), bins)
        answer[side] = {
            "edges": told.edges.tolist(),
            "counts": {name: counts.tolist() for name, counts in told.counts.items()},
        }
    return answer


def edges(network: Network, query: Query, stop: Stop) -> bytes:
    """Some connections to draw; those of a smaller number are among those of a larger one."""
    most = asked.count(query, "limit", asked.DEFAULT_EDGES, asked.MOST_EDGES)
    chosen = asked.projections(query, network)
    found = wiring.sample([p for _, p in chosen], most, stop)
    numbers = np.array([number for number, _ in chosen], np.uint32)
    columns = {"source": found.sources, "destination": found.destinations, "projection": numbers[found.projections]}
    return table(columns, total=sum(p.n_edges for _, p in chosen))


def distances(network: Network, query: Query, stop: Stop) -> dict[str, Any]:
    """How likely cells are connected, by how far apart they are."""
    bins = asked.count(query, "bins", 40, asked.MOST_BINS)
    reach = asked.length(query, "reach")
    answer = []
    for number, projection in asked.projections(query, network):
        found = wiring.by_distance(network, projection, bins, reach, stop)
        answer.append(
            {
                "projection": number,
                "edges": found.edges.tolist(),
                "connections": found.connections.tolist(),
                "pairs": found.pairs.tolist(),
                "probability": [None if math.isnan(p) else p for p in found.probability.tolist()],
                "sampled": found.sampled,
            }
        )
    return {"unit": "micrometer", "projections": answer}


def matrix(network: Network) -> dict[str, Any]:
    """How many connections lead from which population to which, and how likely they are."""
    names = list(network.populations)
    if len(names) > MOST_POPULATIONS:
        raise TooLarge(f"There are {len(names):,} populations", f"A matrix has at most {MOST_POPULATIONS:,} rows.")
    counts = [[0] * len(names) for _ in names]
    for projection in network.projections.values():
        counts[names.index(projection.pre.name)][names.index(projection.post.name)] = projection.n_edges
    sizes = [p.count for p in network.populations.values()]
    share = [[c / (a * b) if a * b else None for c, b in zip(row, sizes, strict=True)]
             for row, a in zip(counts, sizes, strict=True)]  # fmt: skip
    return {"populations": names, "connections": counts, "probability": share}


def binned(network: Network, query: Query, stop: Stop) -> bytes:
    """How many connections lead from which cells to which, some neighbouring gids together: sources × destinations."""
    chosen = [p for _, p in asked.projections(query, network)]
    counts, limits = wiring.binned_matrix(network, chosen, asked.count(query, "bins", 128, asked.MOST_BINS), stop)
    return table({"connections": counts, "limits": limits.astype(np.uint32)})
