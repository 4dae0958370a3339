"""How a starting server speaks to the command that started it: JSON lines through a pipe that ends with the process."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from typing import Any, Protocol

from coverslip.core.errors import CoverslipError


class Voice(Protocol):
    """Says how far a start is."""

    def note(self, text: str) -> None:
        """Something to know, in one line."""

    def token_made(self, token: str) -> None:
        """A token was made up."""

    def already(self, pid: int) -> None:
        """Another process is the server."""

    def failed(self, error: CoverslipError) -> None:
        """It cannot start."""

    def ready(self, told: dict[str, Any]) -> None:
        """It answers."""


class Pipe:
    """The voice of a server in the background, until it is ready.

    Parameters
    ----------
    descriptor
        The pipe's end; taken over.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def note(self, text: str) -> None:
        """As `Voice.note`."""
        self._say({"note": text})

    def token_made(self, token: str) -> None:
        """As `Voice.token_made`."""
        self._say({"token": token})

    def already(self, pid: int) -> None:
        """As `Voice.already`."""
        self._say({"already": pid})

    def failed(self, error: CoverslipError) -> None:
        """As `Voice.failed`."""
        told = {"message": error.message, "hint": error.hint, "code": error.name, "exit_code": error.exit_code}
        self._say({"failed": told})

    def ready(self, told: dict[str, Any]) -> None:
        """As `Voice.ready`; nothing is said afterwards."""
        self._say({"ready": told})
        with suppress(OSError):
            os.close(self._descriptor)

    def _say(self, what: dict[str, Any]) -> None:
        with suppress(OSError):  # nobody listens any more
            os.write(self._descriptor, f"{json.dumps(what)}\n".encode())
