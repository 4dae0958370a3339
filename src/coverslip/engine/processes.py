"""Whether a process runs that left something behind."""

from __future__ import annotations

import os

CAN_ASK = os.name == "posix"
"""Elsewhere a signal of 0 is no question."""


def runs(number: str) -> bool:
    """Whether a process of this machine has that number; of another user's too.

    Parameters
    ----------
    number
        As it is written in a name; what is no number is no process.
    """
    if not number.isdecimal():
        return False
    try:
        os.kill(int(number), 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:
        return True
    return True
