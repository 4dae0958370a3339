"""Asking a server for what only who may do everything gets, with the standard library."""

from __future__ import annotations

import json
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import Any
from urllib.parse import urlsplit

from coverslip.core.errors import BadUsage, CoverslipError

PATIENCE_S = 30.0
MOST_BYTES = 16 << 20


def post(
    base: str, path: str, token: str | None, content: dict[str, Any], certificate: str | None = None
) -> dict[str, Any]:
    """The answer to a question posted as JSON (`ask`)."""
    return ask("POST", base, path, token, content, certificate)


def ask(
    method: str, base: str, path: str, token: str | None, content: dict[str, Any] | None = None,
    certificate: str | None = None,
) -> dict[str, Any]:  # fmt: skip
    """The answer to a question.

    Parameters
    ----------
    method
        Of HTTP.
    base
        The server's address, with its path prefix.
    path
        Below it.
    token
        What it asks for.
    content
        What is sent as JSON, if anything.
    certificate
        A file of the only certificate that is trusted; None = those that the system trusts.

    Raises
    ------
    BadUsage
        When the address is none.
    CoverslipError
        What the server said, or that it does not answer.
    """
    try:
        parts = urlsplit(base)
        host, port = parts.hostname, parts.port
    except ValueError:  # brackets that hold no address, a port that is no number
        host, port = None, None
    if not host or parts.scheme not in ("http", "https"):
        raise BadUsage(f"{base} is no address of a server", "Write http://HOST:PORT.", "bad_address")
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    body = None if content is None else json.dumps(content)
    if body is not None:
        headers["Content-Type"] = "application/json"
    try:
        connection = _connection(parts.scheme, host, port, certificate)
        try:
            connection.request(method, f"{parts.path.rstrip('/')}/{path}", body, headers)
            answer = connection.getresponse()
            told = json.loads(answer.read(MOST_BYTES))
        finally:
            connection.close()
    except (OSError, HTTPException, ValueError, RecursionError) as error:
        hint = "Is it running? coverslip server status tells."
        raise CoverslipError(f"No coverslip server answers at {host}:{port}", hint, "offline") from error
    if answer.status == 200 and isinstance(told, dict):
        return told
    about = told.get("error") if isinstance(told, dict) else None
    about = about if isinstance(about, dict) else {}
    message = about.get("message") or f"The server answered {answer.status}"
    raise CoverslipError(str(message), str(about.get("hint", "")), str(about.get("code", "refused")))


def _connection(scheme: str, host: str, port: int | None, certificate: str | None) -> HTTPConnection:
    if scheme != "https":
        return HTTPConnection(host, port, timeout=PATIENCE_S)
    import ssl

    context = ssl.create_default_context(cafile=certificate)
    if certificate is not None:  # its own certificate and no other: the token goes to nobody else
        context.check_hostname = False
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    return HTTPSConnection(host, port, timeout=PATIENCE_S, context=context)
