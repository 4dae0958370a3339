"""Which process is meant by a number that another may have by now."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")
BOOT = PROC / "sys" / "kernel" / "random" / "boot_id"
LOOK_S = 0.02
DEAD = "ZXx"


@dataclass(frozen=True)
class Identity:
    """A process for certain.

    Attributes
    ----------
    pid
        Its number, which the system gives to another process after its end.
    started
        When it started, in a form that no process of another boot or of the same number shares.
    """

    pid: int
    started: str

    @classmethod
    def own(cls) -> Identity:
        """This process."""
        return cls(os.getpid(), _started(os.getpid()) or "unknown")

    @property
    def alive(self) -> bool:
        """Whether it still runs. One that ended and that nobody has waited for (a zombie) does not."""
        return self.pid > 0 and _started(self.pid) == self.started

    @property
    def boot(self) -> str:
        """Which boot of which machine it belongs to; empty where the system does not tell."""
        return self.started.rpartition(":")[0]

    def ask_to_end(self) -> None:
        """Send SIGTERM."""
        self._send(signal.SIGTERM)

    def kill(self) -> None:
        """End it, and the processes it started where it leads a session of its own."""
        with suppress(ProcessLookupError, PermissionError):
            if self.alive and os.getsid(self.pid) == self.pid:
                os.killpg(self.pid, signal.SIGKILL)
        self._send(signal.SIGKILL)

    def _send(self, what: signal.Signals) -> None:
        if self.alive:
            with suppress(ProcessLookupError):
                os.kill(self.pid, what)

    def ended(self, within: float) -> bool:
        """Whether it ends within so many seconds."""
        end = time.monotonic() + within
        while self.alive:
            if time.monotonic() >= end:
                return False
            time.sleep(LOOK_S)
        return True


def this_boot() -> str:
    """This boot of this machine; empty where the system does not tell."""
    try:
        return BOOT.read_text().strip()
    except OSError:
        return ""


def _started(pid: int) -> str | None:
    """When a process started; None when there is none, or only its remains."""
    if not PROC.is_dir():
        return _started_by_ps(pid)
    try:
        # The name in brackets is the process's own choice, so it may hold anything.
        fields = (PROC / str(pid) / "stat").read_text(errors="replace").rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in DEAD else f"{this_boot()}:{fields[19]}"


def _started_by_ps(pid: int) -> str | None:
    told = subprocess.run(["ps", "-o", "stat=,lstart=", "-p", str(pid)], capture_output=True, text=True, check=False)
    state, _, started = told.stdout.strip().partition(" ")
    return f":{started.strip()}" if started and state[0] not in DEAD else None
