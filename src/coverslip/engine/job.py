"""Long work in a process of its own: its memory and its cores are not the server's, and it ends when the server does.

The process is told what to do by one line of JSON, and keeps its input open: when that ends, whoever started it is
gone. It answers lines of JSON: ``{"done": 3, "total": 7}``, and last ``{"ready": true}`` or ``{"error": "…"}``.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

ENDED = "The process was ended"


class Job:
    """One piece of work, begun when made.

    Parameters
    ----------
    command
        Python's arguments.
    task
        What to do.
    finished
        Called from a thread once it is over, with the reason why nothing came of it, or None.
    """

    def __init__(self, command: Sequence[str], task: dict[str, Any], finished: Callable[[str | None], None]) -> None:
        self.share = 0.0
        """How much of it is done, 0 to 1."""
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(
            # -P: else modules would be looked for in the working folder first, which may be somebody's data.
            [sys.executable, "-P", *command],
            stdin=pipe,
            stdout=pipe,
            stderr=subprocess.DEVNULL,
            encoding="utf-8",
            errors="replace",  # a library may print what it likes
        )
        assert self._process.stdin is not None
        with suppress(OSError):
            self._process.stdin.write(json.dumps(task) + "\n")
            self._process.stdin.flush()
        self._finished = finished
        self._thread = threading.Thread(target=self._listen, name="coverslip-job", daemon=True)
        self._thread.start()

    def _listen(self) -> None:
        assert self._process.stdout is not None
        error: str | None = ENDED
        for line in self._process.stdout:
            with suppress(ValueError, TypeError, KeyError, RecursionError):
                told = json.loads(line)
                if "done" in told:
                    self.share = min(float(told["done"]) / max(float(told["total"]), 1.0), 1.0)
                elif told.get("ready"):
                    error = None
                elif "error" in told:
                    error = str(told["error"])
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            with suppress(OSError):
                if stream is not None:
                    stream.close()
        self._finished(error)

    @property
    def pid(self) -> int:
        """The process's number."""
        return self._process.pid

    def close(self) -> None:
        """End it now."""
        self._process.kill()
        self._thread.join(5)
