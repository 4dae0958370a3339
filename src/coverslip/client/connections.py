"""Connections over HTTP that stay open: as many as there are threads asking, each for one request after another."""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection, RemoteDisconnected
from typing import Any

from coverslip import __version__
from coverslip.client.address import Target
from coverslip.client.errors import CannotConnect, Changed, NotAnswering, WrongToken
from coverslip.client.tls import Trust, presented, reason, speaks_tls, tls_scheme, wrong_certificate
from coverslip.core import errors

CONNECT_S = 10.0
PATIENCE_S = 60.0
"""How long a server may say nothing."""
TRIES = 3
GONE = (RemoteDisconnected, ConnectionError, BrokenPipeError)
BY_STATUS: dict[int, type[errors.CoverslipError]] = {
    400: errors.BadRequest, 403: errors.Forbidden, 404: errors.NotFound, 408: errors.TimedOut, 409: errors.Ambiguous,
    413: errors.TooLarge, 421: CannotConnect, 422: errors.BadRequest,
}  # fmt: skip
WORSE = {408, 429, 502, 503, 504}


class Connections:
    """Sends requests to one server.

    Parameters
    ----------
    target
        The server and its token.
    trust
        Which certificates are taken.
    """

    def __init__(self, target: Target, trust: Trust) -> None:
        self._target = target
        self._trust = trust
        self._idle: list[HTTPConnection] = []
        self._busy: set[HTTPConnection] = set()
        self._lock = threading.Lock()
        self._closings = 0
        self._context: ssl.SSLContext | None = None
        self._headers = {"Accept-Encoding": "identity", "User-Agent": f"coverslip/{__version__}"}
        if target.token:
            self._headers["Authorization"] = f"Bearer {target.token}"

    def json(self, path: str, content: Any = None) -> tuple[Any, HTTPResponse]:
        """The decoded answer to GET, or to POST of ``content``, and its headers."""
        for left in reversed(range(TRIES)):
            try:
                with self.send(path, content) as response:
                    return json.loads(response.read()), response
            except (HTTPException, *GONE) as error:
                if not left:
                    raise self._broken(error) from error
            except (ValueError, RecursionError) as error:
                raise self._no_server() from error
        raise AssertionError

    def into(self, path: str, out: memoryview) -> None:
        """Fill ``out`` with the answer.

        Raises
        ------
        CoverslipError
            With the server's reason, or that the answer was cut short.
        """
        closings = self._closings
        for left in reversed(range(TRIES)):
            try:
                with self.send(path) as response:
                    _fill(response, out)
                    return
            except (HTTPException, ValueError, *GONE) as error:  # ValueError: closed while it is read
                if closings != self._closings:
                    raise errors.Stopped("The read was stopped") from error
                if not left:
                    raise self._broken(error) from error

    @contextmanager
    def send(self, path: str, content: Any = None) -> Iterator[HTTPResponse]:
        """One answer with status 200; its connection is kept once all of it was read."""
        connection, response = self._ask(path, content)
        try:
            if response.status != 200:
                raise self._refused(response)
            yield response
        except BaseException:
            self._drop(connection)
            raise
        self._keep(connection, response)

    def close(self) -> None:
        """Close all of them; what is being read ends with an error."""
        with self._lock:
            found = [*self._idle, *self._busy]
            self._idle.clear()
            self._closings += 1
        for connection in found:
            with suppress(OSError):
                if connection.sock is not None:
                    connection.sock.shutdown(2)
        for connection in found:
            connection.close()

    def __del__(self) -> None:
        """Images may outlive their client, and nobody closes what the last of them used."""
        for connection in getattr(self, "_idle", ()):
            connection.close()

    # -- one request -------------------------------------------------------------------------------------------------

    def _ask(self, path: str, content: Any) -> tuple[HTTPConnection, HTTPResponse]:
        method, body, headers = "GET", None, self._headers
        if content is not None:
            method, body = "POST", json.dumps(content).encode()
            headers = {**headers, "Content-Type": "application/json"}
        while True:
            connection, used = self._take()
            try:
                connection.request(method, f"{self._target.address.path}/{path}", body, headers)
                return connection, connection.getresponse()
            except GONE as error:
                self._drop(connection)
                if not used:  # an old connection may have been closed by the server; a new one tells the truth
                    raise self._broken(error) from error
            except (HTTPException, OSError) as error:
                self._drop(connection)
                raise self._broken(error) from error
            except BaseException:
                self._drop(connection)
                raise

    def _take(self) -> tuple[HTTPConnection, bool]:
        with self._lock:
            if self._idle:
                connection = self._idle.pop()
                self._busy.add(connection)
                return connection, True
        connection = self._opened()
        with self._lock:
            self._busy.add(connection)
        return connection, False

    def _opened(self) -> HTTPConnection:
        address = self._target.address
        if not address.tls:
            connection = HTTPConnection(address.host, address.port, timeout=CONNECT_S)
            try:
                connection.connect()
            except OSError as error:
                raise self._unreachable(error) from error
            connection.sock.settimeout(PATIENCE_S)
            return connection
        self._context = self._context or self._trust.context()
        secured = HTTPSConnection(address.host, address.port, timeout=CONNECT_S, context=self._context)
        try:
            secured.connect()
        except ssl.SSLCertVerificationError as error:
            raise wrong_certificate(address, presented(address), self._trust) from error
        except ssl.SSLError as error:
            presented(address)  # tells whether it speaks TLS at all
            raise CannotConnect(f"No secure connection to {address}: {error.reason}", "", "tls") from error
        except OSError as error:
            raise self._unreachable(error) from error
        certificate = secured.sock.getpeercert(binary_form=True)
        if not self._trust.matches(certificate):
            secured.close()
            raise wrong_certificate(address, certificate or b"", self._trust)
        secured.sock.settimeout(PATIENCE_S)
        return secured

    def _keep(self, connection: HTTPConnection, response: HTTPResponse) -> None:
        whole = response.isclosed() and not response.will_close
        with self._lock:
            self._busy.discard(connection)
            if whole:
                self._idle.append(connection)
        if not whole:
            connection.close()

    def _drop(self, connection: HTTPConnection) -> None:
        with self._lock:
            self._busy.discard(connection)
        connection.close()

    # -- what went wrong ---------------------------------------------------------------------------------------------

    def _unreachable(self, error: OSError) -> CannotConnect:
        address = self._target.address
        return NotAnswering(f"No server answers at {address}: {reason(error)}", "Is it running? Check host and port.")

    def _broken(self, error: Exception) -> CannotConnect:
        address = self._target.address
        if isinstance(error, CannotConnect):
            return error
        if not address.tls and speaks_tls(address):
            return CannotConnect(f"The server at {address} speaks TLS", f"Use {tls_scheme(address)}.", "tls_needed")
        if isinstance(error, GONE):
            return NotAnswering(f"The server at {address} broke the connection", "Does it still run? Try again.")
        if isinstance(error, OSError):
            return self._unreachable(error)
        return self._no_server()

    def _no_server(self) -> CannotConnect:
        address = self._target.address
        other = f"grpc://{address.authority}" if not address.tls else f"grpcs://{address.authority}"
        return CannotConnect(
            f"What answers at {address} is no coverslip over HTTP",
            f"Check the port; for Arrow Flight the address is {other}.",
            "not_coverslip",
        )

    def _refused(self, response: HTTPResponse) -> Exception:
        address, status = self._target.address, response.status
        try:
            told = json.loads(response.read(1 << 16))
            error = told.get("error") or {}
            code, message, hint = error.get("code") or "", error.get("message") or "", error.get("hint") or ""
            message = message or str(told.get("detail") or "")
        except (ValueError, AttributeError, RecursionError, HTTPException):
            code, message, hint = "", "", ""
        if status == 401:
            return wrong_token(self._target)
        if 300 <= status < 400:
            return CannotConnect(f"{address} sends on to {response.getheader('Location')}", "Use that address.")
        if code == "superseded":
            return changed()
        if status in (404, 405) and not code:
            return self._no_server()
        if not message:
            return CannotConnect(f"The server at {address} answers with status {status}", "", f"status_{status}")
        return BY_STATUS.get(status, errors.CoverslipError)(message, hint, code or None)


def _fill(response: HTTPResponse, out: memoryview) -> None:
    length = response.length
    if length is not None and length != out.nbytes:
        raise errors.Damaged(f"The server sent {length:,} bytes, not {out.nbytes:,}", "Is it of the same version?")
    at = 0
    while at < out.nbytes:
        got = response.readinto(out[at:])
        if not got:
            raise ConnectionResetError
        at += got


def changed() -> Changed:
    """The error for a file that was replaced while it is read."""
    return Changed("The file has changed since it was opened", 'Open it again: client["…"].')


def wrong_token(target: Target) -> WrongToken:
    """The error for a token that is missing or not taken."""
    if target.token:
        return WrongToken(
            f"The server at {target.address} does not take the token", "Check it; a restart may change it."
        )
    return WrongToken(
        f"The server at {target.address} asks for a token", "Pass it, or set COVERSLIP_TOKEN or BIOPB_TENSOR_TOKEN."
    )
