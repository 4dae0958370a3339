"""The kNN graph of cells as undirected pairs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from coverslip.core.stop import NEVER, Stop
from coverslip.domains.matrix import Csr

BLOCK_ITEMS = 1 << 22


@dataclass(frozen=True)
class Edges:
    """Undirected pairs ``source < target``, sorted by both, each once.

    Attributes
    ----------
    sources, targets
        ``(n_edges,)``, of the smallest unsigned type that holds every cell number.
    max_neighbors
        The largest number of neighbours of any cell.
    """

    sources: npt.NDArray[np.unsignedinteger]
    targets: npt.NDArray[np.unsignedinteger]
    max_neighbors: int

    @property
    def dtype(self) -> np.dtype[np.unsignedinteger]:
        """Type of both arrays."""
        return self.sources.dtype


def undirected_edges(graph: Csr, stop: Stop = NEVER) -> Edges:
    """Pairs of a graph, whichever of its two directions is stored; loops are left out."""
    n = graph.shape[0]
    keys = []
    for first, last in _blocks(graph):
        stop.check()
        a, b = graph.entries(first, last)
        low, high = np.minimum(a, b), np.maximum(a, b)
        keys.append(_distinct((low * n + high)[low != high]))
    key = _distinct(np.concatenate(keys)) if keys else np.empty(0, np.int64)
    sources, targets = np.divmod(key, n) if n else (key, key)
    degree = np.bincount(sources, minlength=n) + np.bincount(targets, minlength=n)
    dtype = np.min_scalar_type(max(n, 1)) if n > 255 else np.dtype(np.uint16)
    return Edges(sources.astype(dtype), targets.astype(dtype), int(degree.max(initial=0)))


def _distinct(keys: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Each once, in order; by sorting, which for many distinct ones is several times as fast as numpy's ``unique``."""
    keys.sort()
    first = np.ones(keys.size, bool)
    np.not_equal(keys[1:], keys[:-1], out=first[1:])
    return keys[first]


def weights(graph: Csr, edges: Edges, stop: Stop = NEVER) -> npt.NDArray[np.float32]:
    """The weight of each pair, float32 ``(n_edges,)``: the larger one where both directions are stored."""
    n = graph.shape[0]
    keys = edges.sources.astype(np.int64) * n + edges.targets
    found = np.full(keys.size, -np.inf)
    for first, last in _blocks(graph):
        stop.check()
        a, b = graph.entries(first, last)
        key = np.minimum(a, b) * n + np.maximum(a, b)
        kept = a != b
        np.maximum.at(found, np.searchsorted(keys, key[kept]), graph.values(first, last)[kept])
    with np.errstate(over="ignore"):  # a weight beyond float32 is an infinite one
        return found.astype(np.float32)


def _blocks(graph: Csr) -> Iterator[tuple[int, int]]:
    """Ranges of rows that hold about `BLOCK_ITEMS` values each."""
    n = graph.shape[0]
    step = max(1, int(n * BLOCK_ITEMS / max(graph.n_stored, 1)))
    return ((first, min(first + step, n)) for first in range(0, n, step))
