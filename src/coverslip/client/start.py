"""Starting a server on this machine when none answers there: `coverslip server start`, waited for."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable

from coverslip.client.address import Address
from coverslip.client.errors import CannotConnect, NotAnswering
from coverslip.client.model import Health
from coverslip.core.errors import NotFound

COMMAND = "coverslip"
BUDGET_S = 60.0
FIRST_WAIT_S = 0.1
LONGEST_WAIT_S = 5.0


def can_start(address: Address) -> bool:
    """Whether the offer makes sense: the address is this machine, and the command is on ``PATH``."""
    return address.local and shutil.which(COMMAND) is not None


def asks() -> bool:
    """Whether there is somebody at a terminal who can be asked."""
    return sys.stdin is not None and sys.stdin.isatty() and sys.stderr.isatty()


def agreed(address: Address) -> bool:
    """Ask at the terminal."""
    print(f"No server answers at {address}. Start one on this machine now? [Y/n] ", end="", file=sys.stderr, flush=True)
    try:
        answer = input()
    except EOFError:
        return False
    return answer.strip().lower() in ("", "y", "yes")


def start_server(address: Address) -> None:
    """Run ``coverslip server start``.

    Raises
    ------
    NotFound
        When the command is not on ``PATH``.
    CannotConnect
        When it fails.
    """
    command = shutil.which(COMMAND)
    if command is None:
        raise NotFound(f"{COMMAND} is not on PATH", "Install it, or name a server that runs.", "no_command")
    # A file: a notebook has no real standard error, and a pipe might be held open by the server that goes on.
    with tempfile.TemporaryFile("w+", errors="replace") as said:
        done = subprocess.run(
            [command, "server", "start"], stdin=subprocess.DEVNULL, stdout=said, stderr=said, check=False
        )
        said.seek(0)
        print(said.read(), end="", file=sys.stderr)
    if done.returncode:
        raise CannotConnect(
            f"`{COMMAND} server start` failed (exit {done.returncode})",
            f"See the console and the server's log: {COMMAND} server logs.",
            "start_failed",
        )


def wait_until_serving(health: Callable[[], Health], budget_s: float = BUDGET_S, told: bool = True) -> Health:
    """Ask until the server serves; refused connections and ``STARTING`` are waited out.

    Parameters
    ----------
    health
        Asks once.
    budget_s
        How long in all.
    told
        Whether a server that does not answer at all is waited for too.

    Raises
    ------
    CannotConnect
        When it is not ready in time, or is none.
    """
    end, wait = time.monotonic() + budget_s, FIRST_WAIT_S
    while True:
        why = "it still looks through its folders"
        try:
            found = health()
            if found.serving:
                return found
        except NotAnswering as error:
            if not told:
                raise
            why = error.message
        if time.monotonic() + wait > end:
            raise CannotConnect(f"The coverslip server did not become ready in {budget_s:.0f}s", why, "not_ready")
        time.sleep(wait)
        wait = min(wait * 2, LONGEST_WAIT_S)
