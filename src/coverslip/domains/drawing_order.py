"""The order in which cells are drawn: every prefix is an even sample of the file.

Place p holds cell (p · step) mod n, with a step near n / golden ratio that shares no factor with n. A client that
is sent arrays in this order can draw them while they arrive. The viewer does the same (``viewer/src/data/order.ts``).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from coverslip.core.stop import Stop

GOLDEN = 0.6180339887498949
BLOCK = 1 << 20
"""Places looked up at once: their numbers stay in the processor's cache."""


def step_of(n: int) -> int:
    """From the cell at one place to that at the next, of ``n`` cells."""
    if n < 3:
        return 1
    step = max(1, math.floor(n * GOLDEN + 0.5))
    while math.gcd(step, n) != 1:
        step += 1
    return step % n or 1


def as_drawn(values: npt.NDArray[Any], stop: Stop) -> npt.NDArray[Any]:
    """Items along the first axis, ``(n_cells, …)``, moved to the places of their cells."""
    n, step = len(values), step_of(len(values))
    out = np.empty(values.shape, values.dtype)
    for start in range(0, n, BLOCK):
        stop.check()
        places = np.arange(start, min(start + BLOCK, n), dtype=np.int64)
        np.take(values, places * step % n, axis=0, out=out[start : start + BLOCK])
    return out
