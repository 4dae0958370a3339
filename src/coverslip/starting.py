"""A start in which nothing is thrown away.

Python looks for garbage again and again while modules are imported, through all that was imported so far, and finds
next to none: a tenth of the time in which a server starts. What lives as long as the server is then left out of every
later search, which would hold up whoever asks just then.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def start() -> Iterator[Callable[[], None]]:
    """Search for no garbage until what this gives is called; all that is there by then is taken to stay.

    For a process that is a server and nothing else: its memory is prepared for answers of some megabytes, too.
    """
    from coverslip.engine.memory import large_blocks  # kept out of --help

    large_blocks()
    collecting = gc.isenabled()
    gc.disable()

    def started() -> None:
        gc.freeze()
        if collecting:
            gc.enable()

    try:
        yield started
    finally:
        gc.unfreeze()
        if collecting:
            gc.enable()
