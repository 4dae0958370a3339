"""Requests handed on to HSDS's service node, and its answers back: as a stream, of one HTTP connection for many.

HSDS knows one user, whose password nobody else has. Who shows the password of this server is that user; everybody
else is anonymous and only reads.
"""

from __future__ import annotations

import asyncio
import base64
import hmac
import json
import re
from collections import deque
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import suppress
from pathlib import Path
from urllib.parse import unquote, unquote_plus

import httptools
from starlette.datastructures import Headers
from starlette.types import Message, Receive, Scope, Send

from coverslip.fronts.tokens import path_of, problem, raw_path_of, tokens_shown
from coverslip.hsds.store import BUCKET

NAMES = frozenset({"", "about", "domains", "acls", "groups", "datasets", "datatypes"})
"""First parts of paths that are handed on: HSDS's ``/info`` and ``/metrics`` tell of the machine."""
CONNECTION = ("connection", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade", "expect", "content-length")
WHO = ("host", "origin", "authorization", "proxy-authorization", "cookie", "x-biopb-token", "x-forwarded-for")
HOP = frozenset((*CONNECTION, *WHO, "x-hdf-bucket", "accept-encoding"))
"""Headers that end here."""
OWN = ("connection", "keep-alive", "transfer-encoding", "server", "date", "access-control-")
DOMAIN = ("domain", "host")
"""What a query may call a domain."""
PIECE = 1 << 18
MOST_IDLE = 32
PATIENCE_S = 300
SHORT = re.compile(r"/[^/]/?")
"""A folder that HSDS takes for too short a name; with the name of its bucket before it, it does not."""


class Lost(Exception):
    """The connection ended before its answer did."""


class Connection:
    """One connection to the service node, and the parser of its answers."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self.begin()

    def begin(self) -> None:
        """Expect a new answer."""
        self._parser = httptools.HttpResponseParser(self)
        self.headers: list[tuple[bytes, bytes]] = []
        self.started = self.ended = self._kept = False
        self.pieces: deque[bytes] = deque()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Called by the parser."""
        self.headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        """Called by the parser."""
        self.started = True
        self._kept = bool(self._parser.should_keep_alive())  # it knows now, and not at the end

    def on_body(self, body: bytes) -> None:
        """Called by the parser."""
        self.pieces.append(body)

    def on_message_complete(self) -> None:
        """Called by the parser."""
        self.ended = True

    @property
    def status(self) -> int:
        """Of the answer."""
        status: int = self._parser.get_status_code()
        return status

    @property
    def reusable(self) -> bool:
        """Whether another request may follow."""
        return self.ended and self._kept

    async def more(self) -> None:
        """Read on.

        Raises
        ------
        Lost
            When nothing comes any more.
        """
        try:
            data = await asyncio.wait_for(self.reader.read(PIECE), PATIENCE_S)
            if data:
                self._parser.feed_data(data)
        except (OSError, TimeoutError, httptools.HttpParserError) as error:
            raise Lost from error
        if not data:
            raise Lost

    def close(self) -> None:
        """End it."""
        self.writer.close()


class Relay:
    """ASGI application in front of HSDS.

    Parameters
    ----------
    socket
        Of the service node.
    user
        HSDS's user and password.
    credentials
        What a visitor shows, any of it, to be that user.
    """

    def __init__(self, socket: Path, user: tuple[str, str], credentials: Callable[[], Collection[str]]) -> None:
        self._socket, self._credentials = socket, credentials
        self._basic = b"Basic " + base64.b64encode(":".join(user).encode())
        self._idle: deque[Connection] = deque()

    def has(self, path: str) -> bool:
        """Whether this path is HSDS's."""
        return path.partition("/")[0] in NAMES

    async def close(self) -> None:
        """End all connections."""
        while self._idle:
            self._idle.pop().close()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand on one request."""
        if not self.has(path_of(scope)):
            missing = problem(404, "not_found", "There is nothing here", "GET /systems is on the port after HSDS's.")
            await missing(scope, receive, send)
            return
        if leads_out(scope):
            await problem(400, "bad_domain", "That is no path of a domain", "It begins with a slash.")(
                scope, receive, send
            )
            return
        await _Exchange(self, scope, receive, send).run()

    def head_of(self, scope: Scope, length: int | None, chunked: bool) -> bytes:
        """The first line and the headers as HSDS gets them, before a body of that length or of chunks, if any."""
        headers = Headers(scope=scope)
        method = "GET" if scope["method"] == "HEAD" else scope["method"]
        target = b"/" + raw_path_of(scope).encode("latin-1") + _query(scope["query_string"])
        lines = [method.encode() + b" " + target + b" HTTP/1.1", b"host: localhost"]
        lines += [name + b": " + value for name, value in headers.raw if name.decode("latin-1") not in HOP]
        if self._known(tokens_shown(scope, headers)):
            lines.append(b"authorization: " + self._basic)
        if length is not None:
            lines.append(b"content-length: %d" % length)
        elif chunked:
            lines.append(b"transfer-encoding: chunked")
        return b"\r\n".join(lines) + b"\r\n\r\n"

    def _known(self, shown: list[str]) -> bool:
        given = [one.encode("utf-8", "replace") for one in shown]
        return any(hmac.compare_digest(one, right.encode()) for right in self._credentials() for one in given)

    async def connection(self) -> tuple[Connection, bool]:
        """A connection, and whether it was used before."""
        while self._idle:
            idle = self._idle.pop()
            if not idle.reader.at_eof():
                idle.begin()
                return idle, True
            idle.close()
        try:
            reader, writer = await asyncio.open_unix_connection(str(self._socket), limit=2 * PIECE)
        except OSError as error:
            raise Lost from error
        return Connection(reader, writer), False

    def give_back(self, connection: Connection) -> None:
        """Keep it for the next request."""
        if connection.reusable and len(self._idle) < MOST_IDLE:
            self._idle.append(connection)
        else:
            connection.close()


class _Exchange:
    """One request and its answer."""

    def __init__(self, relay: Relay, scope: Scope, receive: Receive, send: Send) -> None:
        self._relay, self._scope, self._receive, self._send = relay, scope, receive, send
        self._told = False

    async def run(self) -> None:
        try:
            connection = await self._answered()
            try:
                await self._pass_on(connection)
            except BaseException:
                connection.close()
                raise
            self._relay.give_back(connection)
        except Lost:
            if self._told:
                raise ConnectionError("HSDS ended in the middle of an answer") from None
            busy = problem(
                503, "hsds_away", "HSDS does not answer", "It is started again; ask once more.", {"Retry-After": "3"}
            )
            await busy(self._scope, self._receive, self._send)

    async def _answered(self) -> Connection:
        """Send the request; the connection on which its answer begins."""
        headers = Headers(scope=self._scope)
        given = headers.get("content-length", "")
        length = int(given) if given.isascii() and given.isdigit() else None
        # What has neither has no body (RFC 9112, 6.3); told of one that is empty, HSDS may take it for broken JSON.
        chunked = length is None and "transfer-encoding" in headers
        body = chunked or bool(length)
        head = self._relay.head_of(self._scope, length, chunked)
        while True:
            connection, used = await self._relay.connection()
            try:
                connection.writer.write(head)
                if body:
                    async for piece in self._body(chunked):
                        connection.writer.write(piece)
                        await connection.writer.drain()
                while not connection.started:
                    await connection.more()
                return connection
            except (Lost, OSError) as error:
                connection.close()
                if not used or body:  # an idle connection may just have been ended; a body cannot be had twice
                    raise Lost from error
            except BaseException:  # the server ends
                connection.close()
                raise

    async def _body(self, chunked: bool) -> AsyncIterator[bytes]:
        while True:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise Lost
            piece = message.get("body", b"")
            if piece:
                yield b"%x\r\n%b\r\n" % (len(piece), piece) if chunked else piece
            if not message.get("more_body"):
                break
        if chunked:
            yield b"0\r\n\r\n"

    async def _pass_on(self, connection: Connection) -> None:
        if path_of(self._scope) == "about":
            await self._about(connection)
            return
        await self._start(connection.status, _kept(connection.headers))
        head = self._scope["method"] == "HEAD"
        while True:
            while connection.pieces:
                piece = connection.pieces.popleft()
                if not head:
                    await self._send({"type": "http.response.body", "body": piece, "more_body": True})
            if connection.ended:
                break
            await connection.more()
        await self._send({"type": "http.response.body", "body": b""})

    async def _about(self, connection: Connection) -> None:
        """Without the paths of sockets."""
        while not connection.ended:
            await connection.more()
        text = b"".join(connection.pieces)
        with suppress(ValueError):
            told = json.loads(text)
            if isinstance(told, dict) and "dn_urls" in told:
                text = json.dumps(told | {"dn_urls": told.get("dn_ids", [])}).encode()
        headers = [(n, v) for n, v in _kept(connection.headers) if n != b"content-length"]
        await self._start(connection.status, [*headers, (b"content-length", str(len(text)).encode())])
        await self._send({"type": "http.response.body", "body": b"" if self._scope["method"] == "HEAD" else text})

    async def _start(self, status: int, headers: list[tuple[bytes, bytes]]) -> None:
        self._told = True
        message: Message = {"type": "http.response.start", "status": status, "headers": headers}
        await self._send(message)


def _kept(headers: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    return [(name, value) for name, value in headers if not name.decode("latin-1").startswith(OWN)]


def leads_out(scope: Scope) -> bool:
    """Whether a domain of a request names another bucket, which to HSDS is another folder, or leads upwards."""
    query = scope["query_string"].decode("latin-1").split("&")
    named = [part.partition("=") for part in query]
    values = [unquote_plus(value) for name, _, value in named if unquote_plus(name) in DOMAIN]
    values += [value for name, value in Headers(scope=scope).items() if name == "x-hdf-domain"]
    return any(
        not value.startswith(("/", f"{BUCKET}/"))
        or not {"..", "."}.isdisjoint(re.split(r"[/\\]", value))
        or "\0" in value
        for value in values
        if value
    )


def _query(raw: bytes) -> bytes:
    """The query as HSDS gets it: there is one bucket; no token; a folder of one letter with its bucket before it."""
    kept = []
    for part in raw.decode("latin-1").split("&") if raw else []:
        name, _, value = part.partition("=")
        if unquote_plus(name) in ("bucket", "token"):
            continue
        if unquote_plus(name) == "domain" and SHORT.fullmatch(domain := unquote(value)):
            part = f"domain={BUCKET}{domain}"
        kept.append(part)
    return b"?" + "&".join(kept).encode("latin-1") if kept else b""
