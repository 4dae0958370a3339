"""What can be said of groups of cells: where their centres lie, and which cells lie far out.

Source: the definitions of cellucid's ``compact_v1`` manifests.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from coverslip.domains.columns import Float32

Codes = npt.NDArray[np.int32]


def members(codes: Codes, n_groups: int) -> Iterator[tuple[int, npt.NDArray[np.int64]]]:
    """Each group's number and the cells in it, in file order; one sort for all groups."""
    order = np.argsort(codes, kind="stable")
    edges = np.searchsorted(codes[order], np.arange(n_groups + 1))
    for group in np.flatnonzero(np.diff(edges)):
        yield int(group), order[edges[group] : edges[group + 1]]


def centroids(points: Float32, codes: Codes, names: list[str], min_cells: int, quantile: float) -> list[dict[str, Any]]:
    """Each group's centre after its far cells were left out.

    Parameters
    ----------
    points
        ``(n_cells, d)``; cells with NaN are left out.
    codes
        ``(n_cells,)``; -1 = in no group.
    names
        The groups' names.
    min_cells
        Groups with fewer cells have no centre.
    quantile
        Cells farther from the first mean than this quantile are left out, while `min_cells` remain.
    """
    codes = np.where(np.isfinite(points).all(axis=1), codes, -1)
    found = []
    for group, cells in members(codes, len(names)):
        if cells.size < min_cells:
            continue
        own = points[cells].astype(np.float64)
        distance = np.linalg.norm(own - own.mean(axis=0), axis=1)
        near = own[distance <= np.quantile(distance, quantile)]
        if len(near) >= min_cells:
            own = near
        found.append({"category": names[group], "position": own.mean(axis=0).tolist(), "n_points": len(own)})
    return found


def outlier_quantiles(latent: Float32, codes: Codes, n_groups: int, min_cells: int) -> Float32:
    """How far out each cell lies in its group: rank of its distance to the group's mean, in (0, 1]; else NaN."""
    result = np.full(len(codes), np.nan, np.float32)
    codes = np.where(np.isfinite(latent).all(axis=1), codes, -1)
    for _, cells in members(codes, n_groups):
        if cells.size < min_cells:
            continue
        own = latent[cells].astype(np.float64)
        distance = np.linalg.norm(own - own.mean(axis=0), axis=1)
        result[cells] = np.searchsorted(np.sort(distance), distance, "right") / cells.size
    return result
