"""Reading storage that may not answer: by threads that can be left behind, so that every call is answered."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from contextlib import suppress
from typing import Any, TypeVar

from coverslip.core.errors import Stopped
from coverslip.core.patience import HANGS, hanging
from coverslip.engine.lanes import Lane
from coverslip.engine.storage import STORAGE, Storage

T = TypeVar("T")
THREADS = 16
"""Reads of such storage at once; those that wait without an end are replaced by others."""
LOOK_S = 0.1


class _Work:
    def __init__(self) -> None:
        self.done = threading.Event()
        self.result: Any = None
        self.error: BaseException | None = None


class Far:
    """What is read of network disks, by threads of its own.

    Parameters
    ----------
    lane
        These threads; None makes some.
    storage
        Told who waits for what; that of the lane.
    """

    def __init__(self, lane: Lane | None = None, storage: Storage = STORAGE) -> None:
        self._lane = lane or Lane(THREADS, "coverslip-flight-far")
        self._storage = storage
        self._closed = False

    def do(
        self, place: Hashable, work: Callable[[], T], client: Hashable = None, look: Callable[[], None] = lambda: None
    ) -> T:
        """What ``work`` finds at a place.

        Parameters
        ----------
        place
            `coverslip.engine.storage.place_of`.
        work
            It may go on after this has returned: it must use nothing that ends with the call.
        client
            For whom; clients take turns.
        look
            Called every so often meanwhile, in this thread; what it raises is raised.

        Raises
        ------
        Unreadable
            When the storage does not answer.
        Stopped
            When the server ends.
        """
        doing = _Work()

        def run() -> None:
            try:
                self._storage.visit(place)
                doing.result = work()
            except BaseException as failure:  # noqa: BLE001  (handed to whoever waits)
                if getattr(failure, "name", "") == HANGS:
                    self._storage.visit(None)  # coming back from there is no answer of it
                doing.error = failure
            doing.done.set()

        def lost() -> None:
            doing.error = hanging()
            doing.done.set()

        with suppress(RuntimeError):  # it was closed
            self._lane.submit(run, client, lost)
        while not doing.done.wait(LOOK_S):
            look()
            if self._closed:
                raise Stopped("The server is ending")
        if doing.error is not None:
            raise doing.error
        found: T = doing.result
        return found

    def close(self) -> None:
        """Begin nothing new, and wait for nothing."""
        self._closed = True
        self._lane.close()
