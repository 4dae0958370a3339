"""What a notebook and the viewers of one server say to each other: commands to the viewers, and what happened in them.

The notebook's side is used from any thread. Viewers ask again and again for the commands after the last one they know;
a viewer that comes late is told what still holds.
"""

from __future__ import annotations

import asyncio
import secrets
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from coverslip.core.errors import BadRequest, NotFound

ORIGINS = "An origin is written https://example.org:8888."
Listener = Callable[["Event"], None]


@dataclass(frozen=True)
class Command:
    """Something viewers are to do.

    Attributes
    ----------
    number
        Of the command; they grow.
    what
        ``{"do": …}`` and its arguments, as JSON can hold them.
    about
        What it says something of (``color``, ``highlight b``); a later command of the same replaces it.
    lasting
        Whether a viewer that comes later has to do it too.
    cells
        A set of cells that goes with it: bit i of byte i >> 3 is cell i.
    """

    number: int
    what: dict[str, Any]
    about: str
    lasting: bool
    cells: bytes | None = None


@dataclass(frozen=True)
class Event:
    """Something that happened in a viewer.

    Attributes
    ----------
    kind
        ``ready``, ``selection``, ``hover``, ``click``, ``session`` or ``problem``.
    told
        What is known of it.
    body
        Cells, as bits or as uint32 numbers (``told["form"]``), of a selection.
    """

    kind: str
    told: dict[str, Any] = field(default_factory=dict)
    body: bytes = b""


class Dialogue:
    """The dialogue of one server.

    Attributes
    ----------
    instance
        Tells this server from another that may be found under its address.
    knock
        Who shows this comes from a page that the notebook sent, and may show the viewer in a frame. It opens no data.
    origins
        Web origins of such pages.
    met
        Set while some page or viewer has found the server.
    """

    def __init__(self) -> None:
        self.instance = secrets.token_hex(16)
        self.knock = secrets.token_hex(16)
        self.met = threading.Event()
        self.origins: frozenset[str] = frozenset()
        self.ended = False
        self._lock = threading.Lock()
        self._commands: list[Command] = []
        self._last = 0
        self._listeners: list[Listener] = []
        self._waiting: list[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = []

    def embed(self, origin: str) -> None:
        """Let pages of an origin show the viewer in a frame.

        Raises
        ------
        BadRequest
            When it is none: it will stand in a header.
        """
        try:
            parts = urlsplit(origin)
        except ValueError as error:  # an address in brackets that is none
            raise BadRequest("That is no web origin", ORIGINS, "bad_origin") from error
        plain = f"{parts.scheme}://{parts.netloc}"
        harmless = all(c.isalnum() or c in ".-:[]" for c in parts.netloc) and parts.netloc.isascii()
        if parts.scheme not in ("http", "https") or not parts.netloc or plain != origin or not harmless:
            raise BadRequest("That is no web origin", ORIGINS, "bad_origin")
        self.origins |= {origin.lower()}

    def listen(self, listener: Listener) -> None:
        """Call with every event, in whichever thread it comes."""
        self._listeners.append(listener)

    def tell(
        self, what: dict[str, Any], about: str = "", cells: bytes | None = None, lasting: bool = True, ends: str = ""
    ) -> int:
        """Have all viewers do something; the command's number.

        Parameters
        ----------
        what, about, cells, lasting
            As in `Command`.
        ends
            What commands before it said no longer holds where ``about`` begins with this.
        """
        with self._lock:
            self._last += 1
            kept = [
                c
                for c in self._commands
                if not (about and c.about == about) and not (ends and c.about.startswith(ends))
            ]
            self._commands = [*kept, Command(self._last, what, about, lasting, cells)]
            self._wake()
            return self._last

    def end(self) -> None:
        """Have all viewers stop asking."""
        with self._lock:
            self.ended = True
            self._wake()

    def begin(self) -> None:
        """Answer again after `end`."""
        self.ended = False

    def happened(self, event: Event) -> None:
        """Tell the notebook what happened."""
        for listener in tuple(self._listeners):
            listener(event)

    def after(self, number: int | None) -> tuple[int, list[Command]]:
        """The last command's number, and the commands after one; for None, those that still hold."""
        with self._lock:
            return self._last, [c for c in self._commands if (c.lasting if number is None else c.number > number)]

    def cells_of(self, number: int) -> bytes:
        """The cells of a command.

        Raises
        ------
        NotFound
            When it no longer holds.
        """
        with self._lock:
            for command in self._commands:
                if command.number == number and command.cells is not None:
                    return command.cells
        raise NotFound("That command no longer holds", "Ask for the commands again.", "command_not_found")

    async def wait(self, number: int, seconds: float) -> None:
        """Wait until there is a command after one, or the end; not longer than some seconds."""
        own = (asyncio.get_running_loop(), asyncio.Event())
        with self._lock:
            if self._last > number or self.ended:
                return
            self._waiting.append(own)
        try:
            with suppress(TimeoutError):
                await asyncio.wait_for(own[1].wait(), seconds)
        finally:
            with self._lock:
                self._waiting.remove(own)

    def _wake(self) -> None:
        for loop, event in self._waiting:
            with suppress(RuntimeError):  # its server has ended meanwhile
                loop.call_soon_threadsafe(event.set)
