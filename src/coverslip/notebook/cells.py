"""Sets of cells as notebooks have them (numbers, masks) and as they travel (bits, numbers)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from coverslip.core.errors import BadRequest

Numbers = NDArray[np.intp]


class BadCells(BadRequest, ValueError):
    """No set of cells of this data."""

    code = "bad_cells"


def numbers_of(cells: Any, n: int) -> Numbers:
    """The numbers of some cells, in order, each once.

    Parameters
    ----------
    cells
        Numbers from 0, or a boolean for each of the cells (a numpy array, a list, a pandas column).
    n
        How many cells there are.

    Raises
    ------
    BadCells
        When they are something else, or beyond the last cell.
    """
    given = np.asarray(cells)
    if given.dtype == object and given.size:
        given = np.array(given.tolist())
    if given.dtype == bool:
        if given.shape != (n,):
            raise BadCells(f"The mask has the shape {given.shape}", f"There are {n:,} cells: it has to be ({n},).")
        return np.flatnonzero(given)
    if given.size == 0:
        return np.empty(0, np.intp)
    if given.dtype.kind not in "iu" or given.ndim > 1:
        hint = "Give numbers of cells, or a boolean for each; adata.obs_names.get_indexer(names) finds the numbers."
        raise BadCells(f"{given.dtype} of shape {given.shape} are no cells", hint)
    given = np.unique(given.reshape(-1))
    if given[0] < 0 or given[-1] >= n:
        wrong = given[0] if given[0] < 0 else given[-1]
        raise BadCells(f"There is no cell {wrong}", f"Cells are numbered 0 to {n - 1:,}.")
    return given.astype(np.intp)


def to_bits(numbers: Numbers, n: int) -> bytes:
    """Cells as bits: bit i of byte i >> 3 is cell i; ``ceil(n / 8)`` bytes."""
    inside = np.zeros(n, bool)
    inside[numbers] = True
    return np.packbits(inside, bitorder="little").tobytes()


def from_event(form: str, n: int, body: bytes) -> Numbers:
    """The cells of a selection, in order.

    Raises
    ------
    BadCells
        When there are more or fewer bytes than there have to be, or cells beyond the last.
    """
    if form == "bits":
        if len(body) != (n + 7) // 8:
            raise BadCells(f"{len(body)} bytes are not the bits of {n} cells", "The viewer is of another version.")
        return np.flatnonzero(np.unpackbits(np.frombuffer(body, np.uint8), bitorder="little", count=n))
    if len(body) % 4:
        raise BadCells(f"{len(body)} bytes are no uint32 numbers", "The viewer is of another version.")
    return numbers_of(np.frombuffer(body, "<u4"), n)
