"""Giving memory back to the system."""

from __future__ import annotations

import ctypes
import sys
from contextlib import suppress
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

    So does Arrow.

    Source: malloc_trim(3), ``pyarrow.MemoryPool.release_unused``.
    """
    if "pyarrow" in sys.modules:
        with suppress(AttributeError):  # it is being imported
            sys.modules["pyarrow"].default_memory_pool().release_unused()
    trim = _trim()
    if trim is not None:
        trim(0)


M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_ARENA_MAX = -1, -3, -8
ARENAS = 2
LARGE_BYTES = 32 << 20
"""The most that glibc takes as a threshold; blocks up to it are used again without being given to the system."""


def large_blocks() -> None:
    """Prepare for many threads that make and free blocks of some megabytes.

    By itself glibc gives each thread a heap of its own, which keeps what it freed: several times what is in use; or
    gives every block back to the system, which fills it with zeros for the next one.

    Source: mallopt(3).
    """
    try:
        tune = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError, TypeError):  # macOS, Windows and musl have none
        return
    tune(M_ARENA_MAX, ARENAS)
    tune(M_MMAP_THRESHOLD, LARGE_BYTES)
    tune(M_TRIM_THRESHOLD, 2 * LARGE_BYTES)
