"""Connections as SciPy sparse arrays."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from coverslip.core.errors import BadRequest, NotFound, Unsupported
from coverslip.systems.readers import INSTALL, Reader

FORMATS = ("csr", "csc")


def projection_matrix(reader: Reader, pre: str, post: str, values: str | None, format: str) -> Any:
    """See `coverslip.systems.System.projection_matrix`."""
    if format not in FORMATS:
        raise BadRequest(f"There is no format {format!r}", f"There is {' and '.join(FORMATS)}.")
    sparse = scipy_sparse()
    shape = reader.populations[post].count, reader.populations[pre].count
    held = reader.connections(pre, post, (values,) if values else ())
    index = np.int32 if max(len(held.sources), *shape) < 1 << 31 else np.int64
    data = held.attributes[values] if values else np.ones(len(held.sources), np.float32)
    matrix = sparse.csr_array((data, held.sources.astype(index), held.pointer.astype(index)), shape=shape)
    return matrix if format == "csr" else matrix.tocsc()


def connectivity(reader: Reader, spec: Mapping[str, Any], weights: Mapping[str, float], seed: int | None) -> Any:
    """What each cell does to each other one; see `coverslip.systems.System.connectivity_matrix`.

    Parameters
    ----------
    spec
        How connections were made, by destination and source.
    """
    sparse = scipy_sparse()
    drawn = random.Random(seed) if seed is not None else None  # noqa: S311  (livn's numbers, not secrets)
    rows, columns, data = [], [], []
    for pre, post, kind in _signed(reader, spec):
        origin, target = reader.populations[pre], reader.populations[post]
        held = reader.connections(pre, post)
        weight = float(weights.get(f"{post}_{pre}", 1.0)) * (-1.0 if kind == "inhibitory" else 1.0)
        strength = [drawn.random() for _ in range(len(held.sources))] if drawn else np.ones(len(held.sources))
        rows.append(held.sources.astype(np.int64) + origin.offset)
        columns.append(np.repeat(np.arange(target.count), np.diff(held.pointer)) + target.offset)
        data.append((np.asarray(strength) * weight).astype(np.float32))
    n = sum(population.count for population in reader.populations.values())
    entries = [np.concatenate(parts) if parts else np.empty(0, np.int64) for parts in (rows, columns)]
    values = np.concatenate(data) if data else np.empty(0, np.float32)
    return sparse.coo_array((values, tuple(entries)), shape=(n, n), dtype=np.float32).tocsr()


def _signed(reader: Reader, spec: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Every stored projection and its kind, in the order of the document."""
    stored = reader.pairs()
    told = [(pre, post) for post, sources in spec.items() for pre in sources if (pre, post) in stored]
    rest = [pair for pair in stored if pair not in told]
    return [
        (pre, post, str(((spec.get(post) or {}).get(pre) or {}).get("type", "excitatory"))) for pre, post in told + rest
    ]


def rows_of(reader: Reader, gids: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Where cells are in tables of all cells.

    Raises
    ------
    NotFound
        When one of them does not exist.
    """
    out = np.full(gids.shape, -1, np.int64)
    for population in reader.populations.values():
        inside = (gids >= population.start) & (gids < population.stop)
        out[inside] = gids[inside] - population.start + population.offset
    if (out < 0).any():
        raise NotFound(f"There is no neuron {int(gids[out < 0][0])}", "See population_ranges.", "neuron_not_found")
    return out


def scipy_sparse() -> Any:
    """``scipy.sparse``, loaded when first needed."""
    try:
        from scipy import sparse
    except ImportError as error:
        raise Unsupported("Sparse matrices need SciPy", INSTALL) from error
    return sparse
