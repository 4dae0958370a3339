"""A line on the terminal that tells how far long work is; nothing where nobody sees it."""

from __future__ import annotations

import sys
import threading
import time

import click

from coverslip.cli.plain import plain

REDRAW_S = 0.1
WIDTH = 24
CLEAR = "\r\x1b[K"


class Bar:
    """Shown on stderr while it is entered, if that is a terminal."""

    def __init__(self) -> None:
        self._shown = sys.stderr.isatty()
        self._last = 0.0
        self._lock = threading.Lock()

    def told(self, what: str, done: int, total: int) -> None:
        """So much of something is done; may be called from any thread."""
        if not self._shown:
            return
        with self._lock:
            now = time.monotonic()
            if now - self._last < REDRAW_S and done < total:
                return
            self._last = now
            share = min(done / max(total, 1), 1.0)
            full = round(share * WIDTH)
            line = f"{CLEAR}{'█' * full}{'░' * (WIDTH - full)} {share:4.0%} {plain(what)}"
            click.echo(line, err=True, nl=False)

    def __enter__(self) -> Bar:
        return self

    def __exit__(self, *_: object) -> None:
        if self._shown:
            click.echo(CLEAR, err=True, nl=False)
