"""Where callbacks run: one after another, on a notebook's main thread between its cells, else on their own thread."""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable
from contextlib import suppress

Work = Callable[[], object]


class Turns:
    """A line of callbacks; made on the thread whose event loop is to run them, if there is one."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        with suppress(RuntimeError):
            self._loop = asyncio.get_running_loop()
        self._line: queue.SimpleQueue[Work | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._closed = False

    def take(self, work: Work) -> None:
        """Run soon."""
        if self._closed:
            return
        if self._loop is not None:
            with suppress(RuntimeError):  # it was closed
                self._loop.call_soon_threadsafe(work)
            return
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="coverslip-callbacks", daemon=True)
            self._thread.start()
        self._line.put(work)

    def close(self) -> None:
        """Run no more; what runs now finishes."""
        self._closed = True
        self._line.put(None)

    def _run(self) -> None:
        while (work := self._line.get()) is not None:
            work()
