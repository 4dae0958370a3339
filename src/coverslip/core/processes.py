"""Whether a process runs that left something behind."""

from __future__ import annotations

import os
import time
from pathlib import Path

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


def may_run(number: str, left: Path, longest_s: float) -> bool:
    """Whether the process that left something may still be at work on it.

    Parameters
    ----------
    number
        Of the process, as it is written in the name of what it left.
    left
        What it left; where processes cannot be asked, its last change tells.
    longest_s
        How long after that it is left alone, in seconds.

    Raises
    ------
    OSError
        When what it left is gone.
    """
    if number.isdecimal() and not CAN_ASK:
        return recent(left, longest_s)
    return runs(number)


def recent(left: Path, longest_s: float) -> bool:
    """Whether something was changed within so many seconds.

    Raises
    ------
    OSError
        When it is gone.
    """
    return time.time() - left.stat().st_mtime < longest_s
