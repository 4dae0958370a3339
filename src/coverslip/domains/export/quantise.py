"""Numbers as codes of 8 or 16 bits, rounded to the nearest.

Source: the codes of cellucid's ``compact_v1``: 0 to 254 (65,534) from the least to the largest finite value, 255
(65,535) for what is missing. cellucid 0.0.9 cuts off where coverslip rounds, so its error is up to a whole step.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from coverslip.domains.columns import Float32

BLOCK = 1 << 15
"""Values turned into codes at once: as many as stay in a core's cache."""
BITS = (8, 16)


@dataclass(frozen=True)
class Codes:
    """Quantised numbers.

    Attributes
    ----------
    codes
        uint8 or uint16, as long as the numbers.
    low, high
        What the codes 0 and the largest but one stand for.
    """

    codes: npt.NDArray[Any]
    low: float
    high: float


def quantised(values: Float32, bits: int) -> Codes:
    """Numbers as codes; the error is half a step at most, a step being ``(high - low) / (2**bits - 2)``.

    Parameters
    ----------
    values
        float32 ``(n,)``; NaN and infinite ones are missing.
    bits
        8 or 16.
    """
    there = np.flatnonzero(values != 0)  # NaN is one of them
    if 3 * there.size > values.size:
        return _all(values, bits)
    some = values[there]
    if there.size < values.size:
        some = np.concatenate((some, np.zeros(1, np.float32)))  # the least or the largest value may be 0
    found = _all(some, bits)
    if there.size == values.size:
        return found
    codes = np.full(values.size, found.codes[-1])
    codes[there] = found.codes[:-1]
    return Codes(codes, found.low, found.high)


def _all(values: Float32, bits: int) -> Codes:
    most = (1 << bits) - 2
    finite = np.isfinite(values)
    whole = bool(finite.all())
    low, high = span(values if whole else values[finite])
    scale = most / (high - low)
    codes = np.empty(values.size, np.uint8 if bits == 8 else np.uint16)
    for a in range(0, values.size, BLOCK):
        block = values[a : a + BLOCK].astype(np.float64)
        if not whole:
            block[~finite[a : a + BLOCK]] = low
        block -= low
        block *= scale
        np.rint(block, out=block)
        np.clip(block, 0, most, out=block)
        codes[a : a + BLOCK] = block
    if not whole:
        codes[~finite] = most + 1
    return Codes(codes, low, high)


def span(finite: Float32) -> tuple[float, float]:
    """The least and the largest value; 0 and 1 where there is none, and never twice the same."""
    if not finite.size:
        return 0.0, 1.0
    low, high = float(finite.min()), float(finite.max())
    return low, high if high > low else low + max(1.0, abs(low))
