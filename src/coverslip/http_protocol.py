"""HTTP/1.1 as uvicorn speaks it, with bounds for who sends the head of a request slowly, or without an end."""

from __future__ import annotations

import asyncio

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEAD_S = 30.0
"""For how long the head of a request may take; a connection that says nothing at first has as long."""
MOST_HEAD_BYTES = 1 << 16
TOO_LONG = b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"


class Bounded(HttpToolsProtocol):
    """One connection. Between requests uvicorn's own limit holds (``timeout_keep_alive``)."""

    _late: asyncio.TimerHandle | None = None
    """Set while the head of a request is waited for."""
    _head_bytes = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Somebody connected."""
        super().connection_made(transport)
        self._wait()

    def data_received(self, data: bytes) -> None:
        """Something came."""
        super().data_received(data)
        if self._late is None and (self.cycle is None or self.cycle.response_complete):
            self._wait()
        if self._late is not None:
            self._head_bytes += len(data)
            if self._head_bytes > MOST_HEAD_BYTES and not self.transport.is_closing():
                self.transport.write(TOO_LONG)
                self.transport.close()

    def on_headers_complete(self) -> None:
        """The head is whole."""
        self._enough()
        super().on_headers_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        """It is over."""
        self._enough()
        super().connection_lost(exc)

    def _wait(self) -> None:
        self._late, self._head_bytes = self.loop.call_later(HEAD_S, self._give_up), 0

    def _enough(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None

    def _give_up(self) -> None:
        self._late = None
        self.transport.close()
