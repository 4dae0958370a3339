"""HTTP/1.1 as uvicorn speaks it, with bounds for who sends requests slowly, without an end, or all at once."""

from __future__ import annotations

import asyncio

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEAD_S = 30.0
"""For how long the head of a request may take; a connection that says nothing at first has as long."""
MOST_HEAD_BYTES = 1 << 16
BODY_S = 30.0
"""In so long a body ends, or brings `LEAST_BODY_BYTES`, while somebody here waits for it."""
LEAST_BODY_BYTES = 1 << 13
MOST_WAITING = 100
"""Requests that follow each other on one connection while the first of them is answered (RFC 9112, 9.3.2)."""
TOO_LONG = b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"


class Bounded(HttpToolsProtocol):
    """One connection. Between requests uvicorn's own limit holds (``timeout_keep_alive``)."""

    _late: asyncio.TimerHandle | None = None
    """Set while the head of a request is waited for."""
    _head_bytes = 0
    _slow: asyncio.TimerHandle | None = None
    """Set while a body is waited for."""
    _body_bytes = 0
    _unfinished = False
    """Whether the body of the request that came last is still to come."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Somebody connected."""
        super().connection_made(transport)
        self._wait()

    def data_received(self, data: bytes) -> None:
        """Something came."""
        super().data_received(data)
        if self.transport.get_protocol() is not self:  # a WebSocket now, which may be silent for as long as it likes
            return
        if self._late is None and (self.cycle is None or self.cycle.response_complete):
            self._wait()
        if self._late is not None:
            self._head_bytes += len(data)
            if self._head_bytes > MOST_HEAD_BYTES and not self.transport.is_closing():
                self.transport.write(TOO_LONG)
                self.transport.close()
        self._body_bytes += len(data)
        if self._unfinished and self._slow is None and not self.transport.is_closing():
            self._watch_body()

    def on_headers_complete(self) -> None:
        """The head is whole."""
        self._enough()
        if len(self.pipeline) >= MOST_WAITING:  # each costs sixty times its bytes; what is left of these is not begun
            self.transport.close()
            return
        self._unfinished = True
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """The body is whole."""
        self._unfinished = False
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """One answer is sent."""
        super().on_response_complete()
        if self.pipeline:  # uvicorn reads on for each answer, and what waits would only become more
            self.flow.pause_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        """It is over."""
        self._enough()
        self._unfinished = False
        if self._slow is not None:
            self._slow.cancel()
        super().connection_lost(exc)

    def _watch_body(self) -> None:
        self._slow, self._body_bytes = self.loop.call_later(BODY_S, self._look_at_body), 0

    def _look_at_body(self) -> None:
        self._slow = None
        if not self._unfinished or self.transport.is_closing():
            return
        if self._body_bytes < LEAST_BODY_BYTES and not self.flow.read_paused:  # else it is we who let it wait
            self.transport.close()
        else:
            self._watch_body()

    def _wait(self) -> None:
        self._late, self._head_bytes = self.loop.call_later(HEAD_S, self._give_up), 0

    def _enough(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None

    def _give_up(self) -> None:
        self._late = None
        self.transport.close()
