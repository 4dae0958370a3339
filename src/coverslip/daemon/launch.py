"""Starting the server in the background, and ending it."""

from __future__ import annotations

import contextlib
import json
import os
import select
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from coverslip.core.errors import CoverslipError, Unsupported
from coverslip.daemon.flags import Flags
from coverslip.daemon.identity import Identity
from coverslip.daemon.journal import open_log
from coverslip.daemon.places import Places

PATIENCE_S = 60.0
GONE_S = 5.0
FOLDERS = ("COVERSLIP_STATE_DIR", "COVERSLIP_CACHE_DIR")
"""Variables whose paths start at the folder the command was given in."""


class TooSlow(CoverslipError):
    """A server that runs and does not answer yet."""

    code = "too_slow"


def launch(flags: Flags, places: Places) -> Iterator[dict[str, Any]]:
    """Start the server process; gives what it says until it is ready, as `voice.Pipe` sends it, or ends.

    Raises
    ------
    TooSlow
        When it says nothing for long.
    CoverslipError
        When no process can be started.
    """
    if os.name != "posix":
        raise Unsupported("A server in the background needs Linux or macOS", "Add --foreground.")
    folders = {name: str(Path(os.environ[name]).absolute()) for name in FOLDERS if os.environ.get(name)}
    with open_log(places.log) as log:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "coverslip.daemon"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            start_new_session=True,
            cwd="/",
            env={**os.environ, **folders},
        )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield from _heard(process.stdin, process.stdout, flags)
    except KeyboardInterrupt:
        process.terminate()
        raise
    finally:
        process.stdout.close()
        with contextlib.suppress(subprocess.TimeoutExpired):  # one that ended is waited for
            process.wait(0)
        process.returncode = 0  # one that serves goes on without us


def _heard(ears: IO[bytes], voice: IO[bytes], flags: Flags) -> Iterator[dict[str, Any]]:
    with contextlib.suppress(BrokenPipeError), ears:
        ears.write(flags.dumped().encode())
    waiting, end = b"", time.monotonic() + PATIENCE_S
    while select.select([voice], [], [], max(0.0, end - time.monotonic()))[0]:
        part, end = os.read(voice.fileno(), 1 << 16), time.monotonic() + PATIENCE_S
        *lines, waiting = (waiting + part).split(b"\n")
        for line in lines:
            yield json.loads(line)
        if not part:  # it is ready, or it ended
            return
    raise TooSlow(f"it does not answer after {PATIENCE_S:.0f}s")


def last_line(log: Path) -> str:
    """The last line of a log, without its time and level; empty when there is none."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - 8192))
            lines = file.read().decode(errors="replace").splitlines()
    except OSError:
        return ""
    return next((line.strip() for line in reversed(lines) if line.strip()), "")


def end(identity: Identity, within: float) -> bool:
    """End a server: asked first, then killed; whether it ended when asked."""
    identity.ask_to_end()
    if identity.ended(within):
        return True
    identity.kill()
    identity.ended(GONE_S)
    return False
