"""Numbers of documents that others wrote."""

from __future__ import annotations

from sys import float_info
from typing import Any, TypeGuard


def is_finite(value: Any) -> TypeGuard[int | float]:
    """Whether it is a number that float64 holds: no truth value, NaN, infinity or integer of 400 digits."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) <= float_info.max
