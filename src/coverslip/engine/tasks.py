"""Long questions: computed once whoever asks, with progress and a way to cancel, and their answers kept for a while."""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Literal

from coverslip.core.errors import CoverslipError, NotFound, Stopped
from coverslip.core.stop import Stop

LOG = logging.getLogger("coverslip.tasks")
State = Literal["running", "done", "failed", "cancelled"]
Lane = Literal["long", "short"]
THREADS: dict[Lane, int] = {"long": 1, "short": 2}
"""How many of each are computed at a time."""
WAITS = "Waits for its turn"
MOST_KEPT = 64
MOST_BYTES = 256 << 20
MOST_RUNNING = 32
Files = Mapping[str, bytes]
"""An answer's files by name."""


class Busy(CoverslipError):
    """More questions than are answered at a time."""

    code = "busy"


class Task:
    """One question that is being answered, or was.

    Attributes
    ----------
    id, kind, name
        Which one, what it asks, and of which data set.
    state, progress, message
        How far it is: 0 to 1; what it does now, or why it failed.
    files
        The answer, once it is there.
    error
        Why there is none.
    stop
        Looked at by who answers.
    """

    def __init__(self, id: str, kind: str, name: str) -> None:
        self.id, self.kind, self.name = id, kind, name
        self.state: State = "running"
        self.progress = 0.0
        self.message: str | None = WAITS
        self.files: Files = {}
        self.error: CoverslipError | None = None
        self.stop = Stop()
        self.begun = False
        self._lock = threading.Lock()

    @property
    def nbytes(self) -> int:
        """Bytes of the answer."""
        return sum(map(len, self.files.values()))

    def tell(self, share: float, message: str | None = None) -> None:
        """How far it is; never less than before."""
        with self._lock:
            self.progress = max(self.progress, min(share, 1.0))
            self.message = message

    def end(self, state: State, files: Files | None = None, error: CoverslipError | None = None) -> bool:
        """It is over; whether it was not before."""
        with self._lock:
            if self.state != "running":
                return False
            self.files, self.error = files or {}, error
            self.message = error.message if error is not None else None
            self.progress = 1.0 if state == "done" else self.progress
            self.state = state
            return True


Work = Callable[[Task], Files]


class Tasks:
    """The questions of one server.

    Parameters
    ----------
    most_kept, most_bytes
        How many answers are kept in memory, and how large together; those used longest ago go first.
    most_running
        How many may be computed or wait; one more is refused.
    """

    def __init__(
        self, most_kept: int = MOST_KEPT, most_bytes: int = MOST_BYTES, most_running: int = MOST_RUNNING
    ) -> None:
        self._most_kept, self._most_bytes, self._most_running = most_kept, most_bytes, most_running
        self._tasks: OrderedDict[str, Task] = OrderedDict()
        self._lock = threading.Lock()
        self._pools = {lane: ThreadPoolExecutor(n, f"coverslip-task-{lane}") for lane, n in THREADS.items()}
        self._closed = False

    def known(self, id: str) -> Task | None:
        """The question of this id that is being answered or was; None where it must be asked anew."""
        with self._lock:
            task = self._tasks.get(id)
            if task is None or task.state in ("failed", "cancelled"):
                return None
            self._tasks.move_to_end(id)
            return task

    def ask(self, id: str, kind: str, name: str, work: Work, lane: Lane) -> Task:
        """Have a question answered, if nobody has already.

        Raises
        ------
        Busy
            When too many are waiting.
        """
        with self._lock:
            task = self._tasks.get(id)
            if task is not None and task.state in ("running", "done"):
                self._tasks.move_to_end(id)
                return task
            if self._closed or sum(t.state == "running" for t in self._tasks.values()) >= self._most_running:
                raise Busy(f"{self._most_running} questions wait already", "Ask again when some of them are answered.")
            task = self._tasks[id] = Task(id, kind, name)
            self._tasks.move_to_end(id)
            self._pools[lane].submit(self._answer, task, work)
            self._drop()
            return task

    def _answer(self, task: Task, work: Work) -> None:
        try:
            task.stop.check()
            task.begun = True
            task.tell(0.0)
            files = work(task)
            task.stop.check()
        except Stopped:
            task.end("cancelled")
        except CoverslipError as error:
            task.end("failed", error=error)
        except Exception:
            LOG.exception("unforeseen error")
            hint = "Run the server with --verbose and report what it prints."
            task.end("failed", error=CoverslipError("Something went wrong in the server", hint, "internal"))
        else:
            task.end("done", files)
            with self._lock:
                self._drop()

    def _drop(self) -> None:
        """Forget the answers used longest ago, as far as there are too many."""
        over = [task for task in self._tasks.values() if task.state != "running"]
        held = sum(task.nbytes for task in over)
        while len(over) > self._most_kept or (held > self._most_bytes and len(over) > 1):
            gone = over.pop(0)
            held -= gone.nbytes
            del self._tasks[gone.id]

    def get(self, id: str) -> Task:
        """The question of this id.

        Raises
        ------
        NotFound
            When there is none, or none any more.
        """
        with self._lock:
            if id not in self._tasks:
                raise NotFound("There is no such job", "Answers are kept for a while only: ask again.", "job_not_found")
            self._tasks.move_to_end(id)
            return self._tasks[id]

    def cancel(self, id: str) -> Task:
        """End a question, for everybody who waits for it; nothing happens to one that is over.

        Raises
        ------
        NotFound
            As of `get`.
        """
        task = self.get(id)
        task.stop.set()
        task.end("cancelled")
        return task

    @property
    def at_work(self) -> Task | None:
        """The question that was begun first of those that are being answered."""
        with self._lock:
            return next((t for t in self._tasks.values() if t.state == "running" and t.begun), None)

    def close(self) -> None:
        """End all of them; nothing new is begun."""
        with self._lock:
            self._closed = True
            tasks = list(self._tasks.values())
        for task in tasks:
            task.stop.set()
        for pool in self._pools.values():
            pool.shutdown(wait=True, cancel_futures=True)
        for task in tasks:
            task.end("cancelled")
