"""The other side of `coverslip.engine.job`: the process that does one piece of work for a server."""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

from coverslip.core.errors import CoverslipError

TELL_S = 0.1
Told = Callable[[int, int], None]
"""Takes how much is done, and of how much."""


def do(
    work: Callable[[dict[str, Any], Told], None],
    nice: int,
    unwritable: str,
    abandoned: Callable[[dict[str, Any]], None] = lambda task: None,
    failed: Callable[[dict[str, Any], CoverslipError], None] = lambda task, error: None,
) -> None:
    """Do what the first line of the input says, tell how far it is, and end the process.

    Parameters
    ----------
    work
        Takes the task, and whom to tell.
    nice
        How far below others the process ranks.
    unwritable
        What a failure of the disk is called.
    abandoned
        Called when the server has gone; the process ends after it.
    failed
        Called with the reason, when nothing comes of it.
    """
    task = json.loads(sys.stdin.readline())
    if hasattr(os, "nice"):
        os.nice(nice)
    threading.Thread(target=_end_with_the_server, args=(lambda: abandoned(task),), daemon=True).start()
    try:
        work(task, _Teller())
    except CoverslipError as error:
        failed(task, error)
        _say({"error": error.message})
    except OSError as error:
        _say({"error": f"{unwritable}: {error.strerror}"})
    else:
        _say({"ready": True})
    os._exit(0)  # the thread that waits for the input would be waited for


class _Teller:
    """Says how far it is, not more often than anybody looks; the end always."""

    def __init__(self) -> None:
        self._next = 0.0

    def __call__(self, done: int, total: int) -> None:
        if time.monotonic() >= self._next or done >= total:
            self._next = time.monotonic() + TELL_S
            _say({"done": done, "total": total})


def _say(told: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(told) + "\n")
    sys.stdout.flush()


def _end_with_the_server(abandoned: Callable[[], None]) -> None:
    """Leave when our input ends: nobody waits for us any more."""
    sys.stdin.read()
    abandoned()
    os._exit(1)
