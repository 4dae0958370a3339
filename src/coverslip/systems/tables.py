"""Tables of cells, made of the attributes that files hold."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from coverslip.domains.networks import AXES, COORDINATES
from coverslip.systems.readers import Reader


def coordinate_table(reader: Reader, population: str) -> npt.NDArray[np.float64]:
    """Gid, x, y and z (µm) of the cells of a population, by gid; float64 ``(n, 4)``."""
    space = COORDINATES
    if (x := reader.ragged(population, space, AXES[0])) is None:
        spaces = reader.attribute_names().get(population, {})
        space = next((name for name, held in spaces.items() if AXES[0] in held), "")
        x = reader.ragged(population, space, AXES[0])
    if x is None:
        return np.zeros((0, 4))
    columns = [x, *(reader.ragged(population, space, axis) for axis in AXES[1:])]
    held = x.lengths > 0
    out = np.full((int(held.sum()), 4), np.nan)
    out[:, 0] = x.gids[held]
    out = out[out[:, 0].argsort(kind="stable")]
    for axis, column in enumerate(columns, 1):
        if column is not None:
            has = column.lengths > 0
            rows = np.searchsorted(out[:, 0], column.gids[has])
            rows = np.minimum(rows, max(len(out) - 1, 0))
            match = out[rows, 0] == column.gids[has] if len(out) else np.zeros(0, bool)
            out[rows[match], axis] = column.values[column.pointer[:-1][has][match]]
    return out
