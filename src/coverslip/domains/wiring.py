"""How a network is connected, in figures: degrees, distances, counts, and a share of its connections to draw."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from coverslip.core.stop import NEVER, Stop
from coverslip.domains.networks import Network
from coverslip.domains.projection import Projection

AnyArray = npt.NDArray[Any]
GOLDEN = (5**0.5 - 1) / 2
EXACT_PAIRS = 1 << 22
"""Up to this many pairs of cells all are looked at; of more, a sample of `SAMPLED_PAIRS`."""
SAMPLED_PAIRS = 1 << 21
BLOCK_PAIRS = 1 << 18
"""How many distances are looked at together: few enough to stay in the processor's cache."""


@dataclass(frozen=True)
class Degrees:
    """Connections of each cell; uint32 ``(n_neurons,)`` each, in the order of gids."""

    received: AnyArray
    sent: AnyArray


def degrees(network: Network, projections: Sequence[Projection], stop: Stop = NEVER) -> Degrees:
    """Connections that each cell receives and sends, of some projections together."""
    received, sent = (np.zeros(network.n_neurons, np.uint32) for _ in range(2))
    for projection in projections:
        received[projection.post.rows] += projection.in_degrees.astype(np.uint32)
        sent[projection.pre.rows] += projection.out_degrees(stop).astype(np.uint32)
    return Degrees(received, sent)


@dataclass(frozen=True)
class Histogram:
    """How many cells have how many connections.

    Attributes
    ----------
    edges
        Limits of the bins; ``(bins + 1,)``.
    counts
        Cells in each bin by population; int64 ``(bins,)``.
    """

    edges: AnyArray
    counts: dict[str, AnyArray]


def degree_histogram(network: Network, values: AnyArray, names: Sequence[str], bins: int) -> Histogram:
    """The cells of some populations by their degree; bins are whole numbers wide."""
    parts = {name: values[network.populations[name].rows] for name in names}
    most = max((int(part.max(initial=0)) for part in parts.values()), default=0)
    width = max(1, -(-(most + 1) // bins))
    edges = np.arange(0, most + width + 1, width)
    return Histogram(edges, {name: np.histogram(part, edges)[0] for name, part in parts.items()})


@dataclass(frozen=True)
class Sample:
    """Some connections; uint32 ``(n,)`` each.

    Attributes
    ----------
    sources, destinations
        Gids.
    projections
        Number of each connection's projection.
    """

    sources: AnyArray
    destinations: AnyArray
    projections: AnyArray


def sample(projections: Sequence[Projection], most: int, stop: Stop = NEVER) -> Sample:
    """At most about ``most`` connections, evenly from every projection.

    The same ones each time; those of a smaller sample are among those of a larger one.
    """
    total = sum(p.n_edges for p in projections)
    share = min(1.0, most / total) if total else 0.0
    parts: list[tuple[AnyArray, AnyArray, AnyArray]] = []
    for number, projection in enumerate(projections):
        edges = _spread(projection.n_edges, share) + int(projection.table[1][0])
        sources = [_from_block(first, block, edges) for first, block in projection.blocks(stop)] if len(edges) else []
        cells = np.concatenate(sources) if sources else np.empty(0, np.uint32)
        parts.append(
            (
                cells.astype(np.uint32) + np.uint32(projection.pre.start),
                projection.destinations_of(edges) + np.uint32(projection.post.start),
                np.full(len(edges), number, np.uint32),
            )
        )
    columns = zip(*parts, strict=True) if parts else ([], [], [])
    return Sample(*(np.concatenate(column) if column else np.empty(0, np.uint32) for column in columns))


def _spread(count: int, share: float) -> AnyArray:
    """Numbers below ``count``, ascending, evenly spread; a smaller share is a part of a larger one."""
    if share >= 1:
        return np.arange(count, dtype=np.int64)
    wanted = np.arange(1, int(np.ceil(count * share)) + 1, dtype=np.float64)
    return np.unique((np.mod(wanted * GOLDEN, 1.0) * count).astype(np.int64))


def _from_block(first: int, block: AnyArray, edges: AnyArray) -> AnyArray:
    low, high = np.searchsorted(edges, (first, first + len(block)))
    found: AnyArray = block[edges[low:high] - first]
    return found


@dataclass(frozen=True)
class ByDistance:
    """How likely two cells are connected, by how far apart they are.

    Attributes
    ----------
    edges
        Limits of the bins in µm; ``(bins + 1,)``.
    connections
        Connections in each bin; int64 ``(bins,)``.
    pairs
        Pairs of cells in each bin; float64 ``(bins,)``, an estimate when ``sampled``.
    sampled
        Whether a sample of the pairs was looked at.
    """

    edges: AnyArray
    connections: AnyArray
    pairs: AnyArray
    sampled: bool

    @property
    def probability(self) -> AnyArray:
        """Connections for each pair, NaN where there is no pair; float64 ``(bins,)``."""
        with np.errstate(invalid="ignore", divide="ignore"):
            found: AnyArray = np.where(self.pairs > 0, self.connections / self.pairs, np.nan)
        return found


def by_distance(
    network: Network, projection: Projection, bins: int, reach: float | None = None, stop: Stop = NEVER
) -> ByDistance:
    """Connections of a projection by the distance of their cells (straight, in µm).

    Parameters
    ----------
    reach
        The largest distance; that of the network's farthest corners when None.
    """
    bounds = network.bounds
    far = float(np.linalg.norm(bounds[1].astype(float) - bounds[0])) if bounds is not None else 0.0
    edges = np.linspace(0.0, reach or far or 1.0, bins + 1)
    pre, post = (network.coordinates[p.rows] for p in (projection.pre, projection.post))
    connections = np.zeros(bins, np.int64)
    for first, sources in projection.blocks(stop):
        destinations = projection.destinations_of(np.arange(first, first + len(sources)))
        for at in range(0, len(sources), BLOCK_PAIRS):
            part = slice(at, at + BLOCK_PAIRS)
            connections += _count(post[destinations[part]] - pre[sources[part]], edges)
    pairs, sampled = _pairs(pre, post, edges, stop)
    if projection.pre is projection.post:
        pairs[0] = max(pairs[0] - projection.pre.count, 0)  # a cell and itself are no pair
    return ByDistance(edges, connections, pairs, sampled)


def _pairs(pre: AnyArray, post: AnyArray, edges: AnyArray, stop: Stop) -> tuple[AnyArray, bool]:
    total = len(pre) * len(post)
    found = np.zeros(len(edges) - 1, np.float64)
    if not total:
        return found, False
    if total > EXACT_PAIRS:
        rng = np.random.default_rng(0)
        for _ in range(0, SAMPLED_PAIRS, BLOCK_PAIRS):
            stop.check()
            a, b = (cells[rng.integers(0, len(cells), BLOCK_PAIRS)] for cells in (pre, post))
            found += _count(a - b, edges)
        return found * (total / SAMPLED_PAIRS), True
    step = max(1, BLOCK_PAIRS // len(pre))
    for first in range(0, len(post), step):
        stop.check()
        found += _count((post[first : first + step, None] - pre[None]).reshape(-1, 3), edges)
    return found, False


def _count(apart: AnyArray, edges: AnyArray) -> AnyArray:
    """How many of some distances, given by axis, are in each of equally wide bins; those beyond all are in none."""
    bins, reach = len(edges) - 1, edges[-1]
    with np.errstate(over="ignore", invalid="ignore"):
        distance = np.sqrt(np.einsum("ij,ij->i", apart, apart))
    distance = distance[np.isfinite(distance) & (distance <= float(reach))]
    found = np.minimum((distance * (bins / reach)).astype(np.int32), bins - 1)
    return np.bincount(found, minlength=bins)


def binned_matrix(
    network: Network, projections: Sequence[Projection], bins: int, stop: Stop = NEVER
) -> tuple[AnyArray, AnyArray]:
    """How many connections lead from which cells to which, a number of neighbouring gids together.

    Returns
    -------
    counts
        uint32 ``(bins, bins)``: sources × destinations.
    edges
        Limits of the bins, in rows of tables of all cells; int64 ``(bins + 1,)``.
    """
    bins = max(1, min(bins, network.n_neurons))
    edges = np.linspace(0, network.n_neurons, bins + 1).astype(np.int64)
    counts = np.zeros(bins * bins, np.int64)
    for projection in projections:
        pre = _bins_of(projection.pre.rows, edges)
        post = _bins_of(projection.post.rows, edges)
        for first, sources in projection.blocks(stop):
            destinations = projection.destinations_of(np.arange(first, first + len(sources)))
            counts += np.bincount(pre[sources] * bins + post[destinations], minlength=bins * bins)
    return np.minimum(counts, np.iinfo(np.uint32).max).astype(np.uint32).reshape(bins, bins), edges


def _bins_of(rows: slice, edges: AnyArray) -> AnyArray:
    found: AnyArray = np.searchsorted(edges, np.arange(rows.start, rows.stop), side="right") - 1
    return found
