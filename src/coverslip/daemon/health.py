"""Asking the running server how it is, with the standard library."""

from __future__ import annotations

import json
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import Any
from urllib.parse import urlsplit

from coverslip.daemon.places import Places
from coverslip.daemon.record import Record, token_of

PATIENCE_S = 2.0
STRANGER_S = 0.5


def counts(record: Record, places: Places) -> dict[str, Any] | None:
    """What ``GET /api/catalog`` of the running server tells; None when it does not answer."""
    token = token_of(places)
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    try:
        connection = _connection(record)
        try:
            connection.request("GET", "/api/catalog", headers=headers)
            answer = connection.getresponse()
            told = json.loads(answer.read()) if answer.status == 200 else None
        finally:
            connection.close()
    except (OSError, HTTPException, ValueError, RecursionError):
        return None
    return told if isinstance(told, dict) else None


def answers_as_coverslip(host: str, port: int) -> bool:
    """Whether a coverslip server answers HTTP there."""
    connection = HTTPConnection(host, port, timeout=STRANGER_S)
    try:
        connection.request("GET", "/healthz")
        told = json.loads(connection.getresponse().read(4096))
        return isinstance(told, dict) and told.get("service") == "coverslip"
    except (OSError, HTTPException, ValueError, RecursionError):
        return False
    finally:
        connection.close()


def _connection(record: Record) -> HTTPConnection:
    parts = urlsplit(record.http)
    if parts.scheme != "https":
        return HTTPConnection(parts.hostname or "", parts.port, timeout=PATIENCE_S)
    import ssl

    # Its own certificate and no other: the token goes to nobody else.
    context = ssl.create_default_context(cafile=record.certificate)
    context.check_hostname = False
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    return HTTPSConnection(parts.hostname or "", parts.port, timeout=PATIENCE_S, context=context)
