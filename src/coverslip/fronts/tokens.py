"""Tokens in requests: where one may be shown, and what is said without it."""

from __future__ import annotations

import base64
import logging
import re
from typing import Any
from urllib.parse import parse_qsl

import msgspec
from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import Receive, Scope

from coverslip.engine.rights import Right
from coverslip.fronts.http import to_json

LOG = logging.getLogger("coverslip.access")
LOCKED = "Invalid or missing token"
LOCKED_STATUS = 401
SESSION_BYTES = 4096
NUMBERS = re.compile(r"[0-9]{1,3}(,[0-9]{1,3})+")


def path_of(scope: Scope) -> str:
    """The path of a request, relative to the root."""
    path: str = scope["path"].removeprefix(scope.get("root_path", "")).lstrip("/")
    return path


def raw_path_of(scope: Scope) -> str:
    """The same as it stands in the address, with its escapes."""
    raw: bytes = scope.get("raw_path") or scope["path"].encode()
    pieces = raw.decode("latin-1").partition("?")[0].split("/")
    return "/".join(pieces[1 + scope.get("root_path", "").count("/") :]).lstrip("/")


def client_of(scope: Scope) -> str:
    """The address a request came from."""
    client = scope.get("client")
    return client[0] if client else ""


def token_of_query(scope: Scope) -> str | None:
    """The first ``token`` of a URL."""
    query = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
    return next((value for name, value in query if name == "token"), None)


def tokens_shown(scope: Scope, headers: Headers) -> list[str]:
    """The tokens of a request, in any of the places where one may be; that of its URL comes last."""
    kind, _, value = spelled(headers.get("authorization", "")).partition(" ")
    own = value.strip() if kind.lower() == "bearer" else password_of(value) if kind.lower() == "basic" else ""
    shown = [own, headers.get("x-biopb-token", "")]
    return [one for one in [*shown, token_of_query(scope)] if one]


def spelled(header: str) -> str:
    """A header as it was meant: bytes, as h5pyd 1.0.0 writes it, a browser's Python sends as numbers or as ``b'…'``."""
    if header[:2] in ("b'", 'b"'):
        return header[2:].rstrip("'\"")
    if NUMBERS.fullmatch(header):
        return "".join(chr(int(number)) for number in header.split(","))
    return header


def password_of(credentials: str) -> str:
    """The password of Basic credentials, whoever the user (RFC 7617); empty when they cannot be read."""
    try:
        return base64.b64decode(credentials.strip(), validate=True).decode("utf-8").partition(":")[2]
    except ValueError:  # binascii's and unicode's errors are of this kind
        return ""


async def token_posted(receive: Receive) -> str | None:
    """The token in a request's body; None when there is none."""
    body = b""
    while len(body) <= SESSION_BYTES:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body"):
            break
    try:
        return msgspec.json.decode(body, type=dict[str, str]).get("token") if len(body) <= SESSION_BYTES else None
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def session_told(needed: bool, right: Right | None) -> Response:
    """What ``api/session`` answers."""
    told: dict[str, Any] = {"token_needed": needed, "authenticated": right is not None}
    if needed and right is not None:
        told["scope"] = right.scope
        if right.scope == "share":
            told |= {"source": right.source, "ends": right.ends_s}
    return Response(to_json(told), 200, {"Cache-Control": "no-store"}, "application/json")


def locked() -> Response:
    """The refusal of a request without the right token."""
    hint = "Open the whole URL that the server printed."
    return problem(LOCKED_STATUS, "token_needed", LOCKED, hint, {"WWW-Authenticate": "Bearer"})


def share_ended() -> Response:
    """The refusal of a link whose time is over."""
    hint = "Ask who gave it to you for another."
    return problem(LOCKED_STATUS, "share_ended", "This link has ended", hint, {"WWW-Authenticate": "Bearer"})


def told_refused(scope: Scope, why: int | str) -> None:
    """Log, in one line, a WebSocket that was refused; its query may hold a token, so it is left out."""
    LOG.info("a WebSocket of %s to %s was refused: %s", client_of(scope) or "nobody", scope["path"][:200], why)


def problem(status: int, code: str, message: str, hint: str, headers: dict[str, str] | None = None) -> Response:
    """An error as every front tells it: ``{"error": {"code", "message", "hint"}, "detail"}``."""
    content = to_json({"error": {"code": code, "message": message, "hint": hint}, "detail": message})
    return Response(content, status, {"Cache-Control": "no-store", **(headers or {})}, "application/json")


def not_done(allowed: str) -> Response:
    """That a method is not answered at a path.

    Parameters
    ----------
    allowed
        Those that are, with commas between them.
    """
    return problem(405, "method_not_allowed", "This is not done here", f"Use {allowed}.", {"Allow": allowed})
