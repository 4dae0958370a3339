"""Giving memory back to the system."""

from __future__ import annotations

import ctypes
from functools import cache
from typing import Any


@cache
def _trim() -> Any:
    try:
        return ctypes.CDLL(None).malloc_trim
    except (OSError, AttributeError, TypeError):  # macOS, Windows and musl have none
        return None


def give_back() -> None:
    """Return freed memory to the system: glibc keeps what many threads freed, several times what is in use.

    Source: malloc_trim(3).
    """
    trim = _trim()
    if trim is not None:
        trim(0)
