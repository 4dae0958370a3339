"""Connections that last: one ends when the right that opened it does, even when nobody says anything."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

from starlette.types import Message, Receive, Send

from coverslip.core.errors import CoverslipError
from coverslip.engine.links import Links
from coverslip.engine.read import Reader

LOOK_S = 1.0
"""How often somebody looks whether the right still holds."""
PATIENCE_S = 2.0
"""For so long it is waited for a folder that does not answer; then what was known last counts."""


def looking(links: Links, reader: Reader) -> Callable[[str], Awaitable[None]]:
    """Look after a link (`Links.look`) in a thread of a reader."""

    async def look(id: str) -> None:
        with suppress(TimeoutError, CoverslipError):
            await asyncio.wait_for(reader.run(("link", id), lambda stop: links.look(id), "quick"), PATIENCE_S)

    return look


class Held:
    """One connection, as what speaks on it is given it.

    Parameters
    ----------
    holds
        Whether its right still holds.
    look
        Brings up to date what ``holds`` knows.
    receive, send
        The connection's own.
    code, reason
        With which it is closed.
    """

    def __init__(
        self,
        holds: Callable[[], bool],
        look: Callable[[], Awaitable[None]],
        receive: Receive,
        send: Send,
        code: int,
        reason: str,
    ) -> None:
        self._holds, self._look = holds, look
        self._receive, self._send = receive, send
        self._close: Message = {"type": "websocket.close", "code": code, "reason": reason}
        self._ended = False

    async def receive(self) -> Message:
        """What the client says next; that it left, when its right ended."""
        coming = asyncio.ensure_future(self._receive())
        try:
            while True:
                await asyncio.wait((coming,), timeout=LOOK_S)
                if not (coming.done() and coming.result()["type"] == "websocket.disconnect"):
                    await self._look()
                    if not self._holds():
                        await self._end()
                        return {"type": "websocket.disconnect", "code": self._close["code"]}
                if coming.done():
                    return coming.result()
        finally:
            coming.cancel()

    async def send(self, message: Message) -> None:
        """Tell the client something, while its right holds."""
        if self._ended:
            return
        if not self._holds():
            await self._end()
            return
        self._ended = message["type"] == "websocket.close"
        await self._send(message)

    async def _end(self) -> None:
        if not self._ended:
            self._ended = True
            await self._send(self._close)
