"""Threads that clients have in turns, and that storage which does not answer cannot use up."""

from __future__ import annotations

import threading
import time
from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Hashable
from contextlib import suppress
from dataclasses import dataclass, field

from coverslip.core.beats import beats
from coverslip.core.errors import Unreadable
from coverslip.engine.storage import STORAGE, Storage

Work = Callable[[], None]
SPARE = 2
"""Threads beyond those of a lane, for clients of whom nothing is being done while others have all threads."""
STILL_S = 1.0
"""Work that used no processor time for so long waits for something; another thread does meanwhile what is left."""
FAR_STILL_S = 0.25
"""The same where it waits for storage that may hang."""
HANGS_S = 5.0
"""After so long, when nobody came back from the same storage, that storage hangs."""
MOST_STILL = 64
"""So many threads are replaced at once, at most."""
LEAST_CPU_S = 0.001
BUSY = "busy"


@dataclass(eq=False)
class Worker:
    """One thread and what it does."""

    thread: threading.Thread | None = None
    client: Hashable = None
    busy: bool = False
    still: bool = False
    since_s: float = 0.0
    """When it was last seen to do something."""
    cpu_s: float = 0.0
    beats: list[int] = field(default_factory=lambda: [0])
    heard: int = 0
    """Signs of life of another process that it waits for, as they were when it was seen."""
    visits: list[Hashable] = field(default_factory=lambda: [None])
    held: list[Hashable] = field(default_factory=list)
    """The storage that was told to hold it."""
    lost: Work | None = None


class Lane:
    """Work done by a bounded number of threads, for one client after the other.

    A client with hundreds of requests waits for itself: each turn goes to the next client who has something waiting,
    and one of whom nothing is being done need not wait for the work of others to end (`SPARE`).

    Parameters
    ----------
    most
        How many pieces of work are done at once.
    name
        Of the threads.
    spare
        How many more, for clients of whom nothing is done.
    still_s, hangs_s
        After how long without any processor time a thread is replaced; and its storage is asked no more.
    storage
        Told who waits for what.
    """

    def __init__(
        self,
        most: int,
        name: str,
        spare: int = SPARE,
        still_s: float = STILL_S,
        hangs_s: float = HANGS_S,
        storage: Storage = STORAGE,
    ) -> None:
        self._most, self._name, self._spare = most, name, spare
        self._still_s, self._hangs_s, self._storage = still_s, hangs_s, storage
        self._waiting: OrderedDict[Hashable, deque[tuple[Work, Work | None]]] = OrderedDict()
        self._workers: set[Worker] = set()
        self._running: Counter[Hashable] = Counter()
        self._busy = self._still = self._idle = 0
        self._room = threading.Condition(threading.Lock())
        self._closed = self._watched = False
        self._at_work = threading.Event()

    def submit(self, work: Work, client: Hashable = None, lost: Work | None = None) -> None:
        """Have work done, that raises nothing, in turn with that of other clients.

        Parameters
        ----------
        work, client
            What is done, and for whom.
        lost
            Called when it waits for storage that hangs, and may never come back; quick.

        Raises
        ------
        RuntimeError
            When the lane is closed.
        Unreadable
            When it has no thread yet, and the system starts none.
        """
        with self._room:
            if self._closed:
                raise RuntimeError("the lane is closed")
            self._waiting.setdefault(client, deque()).append((work, lost))
            self._staff()
            if not self._workers:
                self._waiting.clear()
                raise Unreadable("The server can start no thread", "It has as many as it may; ask again.", BUSY)

    def close(self) -> None:
        """Nothing new begins; what runs is not waited for."""
        with self._room:
            self._closed = True
            self._waiting.clear()
            self._room.notify_all()
            self._at_work.set()

    @property
    def still(self) -> int:
        """How many threads wait without an end."""
        return self._still

    # --- with the lock ------------------------------------------------------------------------------------------------

    def _turn(self) -> tuple[Hashable] | None:
        """Whose turn it is, as a tuple of one; None when nobody's is."""
        doing = self._busy - self._still
        if doing < self._most:
            return next(((client,) for client in self._waiting), None)
        if doing < self._most + self._spare:
            return next(((client,) for client in self._waiting if not self._running[client]), None)
        return None

    def _take(self, worker: Worker) -> Work | None:
        turn = self._turn()
        if turn is None:
            return None
        (client,) = turn
        queue = self._waiting[client]
        work, worker.lost = queue.popleft()
        if queue:
            self._waiting.move_to_end(client)
        else:
            del self._waiting[client]
        worker.client, worker.busy, worker.still = client, True, False
        self._running[client] += 1
        self._busy += 1
        if not self._at_work.is_set():
            self._at_work.set()
        return work

    def _staff(self) -> None:
        """See that somebody does what may be done now."""
        if not self._waiting or self._turn() is None:
            return
        if self._idle:
            self._room.notify()
        elif len(self._workers) - self._still < self._most + self._spare:
            with suppress(RuntimeError):  # so many threads as a container may have: those that there are do it later
                self._hire()

    def _hire(self) -> None:
        if not self._watched:
            threading.Thread(target=self._watch, name=f"{self._name}-watch", daemon=True).start()
            self._watched = True
        worker = Worker()
        worker.thread = threading.Thread(target=self._work, args=(worker,), name=self._name, daemon=True)
        worker.thread.start()
        self._workers.add(worker)

    def _done(self, worker: Worker) -> None:
        self._busy -= 1
        left = self._running[worker.client] - 1
        if left:
            self._running[worker.client] = left
        else:
            del self._running[worker.client]
        if worker.still:
            self._still -= 1
        if worker.visits[0] is not None:
            self._storage.leave(worker.visits)
        if worker.held:
            for place in worker.held:
                self._storage.give_back(place)
            worker.held.clear()
        worker.client, worker.busy, worker.still, worker.lost = None, False, False, None

    def _next(self, worker: Worker) -> Work | None:
        """What is to be done next; None when this thread is not needed any more."""
        self._idle += 1
        try:
            while True:
                if self._closed or len(self._workers) - self._still > self._most + self._spare:
                    self._workers.discard(worker)
                    return None
                if (work := self._take(worker)) is not None:
                    return work
                self._room.wait()
        finally:
            self._idle -= 1

    # --- threads ------------------------------------------------------------------------------------------------------

    def _work(self, worker: Worker) -> None:
        worker.visits, worker.beats = self._storage.enter(), beats()
        while True:
            with self._room:
                work = self._next(worker)
                if work is None:
                    return
                worker.since_s, worker.cpu_s = time.monotonic(), time.thread_time()
                if self._waiting:
                    self._staff()
            try:
                work()
            finally:
                del work  # what it holds is not held until the next
                with self._room:
                    self._done(worker)

    def _watch(self) -> None:
        """Look for threads that do not come back, while there is work."""
        while self._at_work.wait():
            time.sleep(min(self._still_s, FAR_STILL_S) / 2)
            with self._room:
                if self._closed:
                    return
                if not self._busy:
                    self._at_work.clear()
                now = time.monotonic()
                for worker in self._workers:
                    if worker.busy:
                        self._look(worker, now)
                self._staff()

    def _look(self, worker: Worker, now: float) -> None:
        cpu_s = cpu_of(worker.thread)
        if cpu_s - worker.cpu_s > LEAST_CPU_S or worker.heard != worker.beats[0]:
            worker.cpu_s, worker.since_s, worker.heard = cpu_s, now, worker.beats[0]
            return
        waited, place = now - worker.since_s, worker.visits[0]
        enough = self._still_s if place is None else min(self._still_s, FAR_STILL_S)
        if waited >= enough and not worker.still and self._still < MOST_STILL:
            worker.still = True
            self._still += 1
        if place is not None and waited >= self._hangs_s and not worker.held and self._silent(place, worker):
            worker.held.append(place)
            self._storage.hold(place)
            if worker.lost is not None:
                worker.lost()

    def _silent(self, place: Hashable, worker: Worker) -> bool:
        return self._storage.silent(place, worker.since_s)


def cpu_of(thread: threading.Thread | None) -> float:
    """Seconds of processor time that a running thread has used; 0 where the system does not tell."""
    clock = getattr(time, "pthread_getcpuclockid", None)
    if clock is None or thread is None or thread.ident is None:
        return 0.0
    return time.clock_gettime(clock(thread.ident))
