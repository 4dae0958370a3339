"""The kNN graph of cells as undirected pairs."""

from __future__ import annotations

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
    rows_per_block = max(1, int(n * BLOCK_ITEMS / max(graph.n_stored, 1)))
    for first in range(0, n, rows_per_block):
        stop.check()
        a, b = graph.entries(first, min(first + rows_per_block, n))
        low, high = np.minimum(a, b), np.maximum(a, b)
        keys.append(np.unique((low * n + high)[low != high]))
    key = np.unique(np.concatenate(keys)) if keys else np.empty(0, np.int64)
    sources, targets = np.divmod(key, n) if n else (key, key)
    degree = np.bincount(sources, minlength=n) + np.bincount(targets, minlength=n)
    dtype = np.min_scalar_type(max(n, 1)) if n > 255 else np.dtype(np.uint16)
    return Edges(sources.astype(dtype), targets.astype(dtype), int(degree.max(initial=0)))
