"""The path prefix behind which a proxy offers this server (``/user/name/proxy/8765``), taken off or left on."""

from __future__ import annotations

import re
from urllib.parse import quote, unquote

from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from coverslip.core.errors import BadUsage
from coverslip.fronts.forwarded import Proxies, last, values

PREFIX = b"x-forwarded-prefix"
MOST_CHARACTERS = 1024
NO_PIECE = re.compile(r"\.{0,2}|.*[\x00-\x1f\x7f\\;?#].*", re.DOTALL)
"""What no piece of a prefix may be: nothing, a way up, or what means something in a header or an address."""
UNESCAPED = "!$&'()*+,=:@~"
SENT = "coverslip.prefix"
"""In a request's scope: the prefix with its escapes."""


def prefix_of(given: str) -> str | None:
    """A prefix without the slash at its end and with its escapes resolved; empty for none, None when it is not one."""
    text = unquote(given.strip(), errors="surrogateescape").rstrip("/")
    if not text:
        return ""
    pieces = text.split("/")
    if pieces[0] or len(text) > MOST_CHARACTERS or any(NO_PIECE.fullmatch(piece) for piece in pieces[1:]):
        return None
    return text


def checked(given: str | None) -> str:
    """The prefix that a person named, without the slash at its end.

    Raises
    ------
    BadUsage
        When it is none.
    """
    found = prefix_of(given or "")
    if found is None:
        hint = "Write the path as the browser sees it, from the first slash on: --root-path /lab/coverslip."
        raise BadUsage(f"{given} is not a path prefix", hint, "bad_prefix")
    return (given or "").strip().rstrip("/") if found else ""


def escaped(path: str) -> str:
    """A path as it stands in an address; escapes that are there stay."""
    return quote(path, safe=f"/%{UNESCAPED}", errors="surrogateescape")


def raw_of(scope: Scope) -> str:
    """The path of a request with its escapes."""
    raw: bytes = scope.get("raw_path") or quote(scope["path"], safe=f"/{UNESCAPED}").encode("latin-1")
    return raw.decode("latin-1").partition("?")[0]


def as_sent(scope: Scope) -> str:
    """The prefix of a request as its client writes it: cookies and links are compared letter by letter, escapes too."""
    found: str = scope.get(SENT, scope.get("root_path", ""))
    return found


class Prefixed:
    """ASGI middleware that tells the application its ``root_path``.

    A proxy may take the prefix off or leave it on: an address that begins with it is taken to have it on, any other
    to have lost it. Of ``X-Forwarded-Prefix`` the last value is taken; it comes before what was named at the start,
    and means nothing from whom is not trusted.

    Parameters
    ----------
    app
        The application behind it.
    root_path
        The prefix that was named at the start.
    trusted
        Addresses and networks of proxies whose ``X-Forwarded-Prefix`` is believed.
    """

    def __init__(self, app: ASGIApp, root_path: str = "", trusted: tuple[str, ...] = ()) -> None:
        self._app = app
        self._root = root_path.rstrip("/")
        self._proxies = Proxies(trusted)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand on, below the prefix."""
        if scope["type"] not in ("http", "websocket") or not (told := self._told(scope)):
            await self._app(scope, receive, send)
            return
        if scope["type"] == "http" and scope["path"] == prefix_of(told):
            await self._slash(scope)(scope, receive, send)
            return
        await self._app(below(scope, told), receive, send)

    def _told(self, scope: Scope) -> str:
        client = scope.get("client")
        if client and self._proxies.trust(client[0]) and (told := last(values(scope, PREFIX))) and prefix_of(told):
            return told.rstrip("/")
        return self._root

    def _slash(self, scope: Scope) -> Response:
        """To the page's own folder, where its relative addresses hold."""
        query = scope["query_string"].decode("latin-1")
        place = "./" + raw_of(scope).rpartition("/")[2] + "/" + (f"?{query}" if query else "")
        return Response(status_code=307, headers={"Location": place, "Cache-Control": "no-store"})


def below(scope: Scope, told: str) -> Scope:
    """A request's scope with the prefix as its root, and at the beginning of both of its paths.

    Parameters
    ----------
    scope
        Of a request whose path may begin with the prefix, or may have lost it.
    told
        The prefix as somebody wrote it, with or without escapes.
    """
    prefix, sent = prefix_of(told) or "", escaped(told)
    pieces = raw_of(scope).split("/")[1:]
    above = prefix.split("/")[1:]
    if len(pieces) > len(above) and [unquote(p, errors="surrogateescape") for p in pieces[: len(above)]] == above:
        sent, pieces = "/" + "/".join(pieces[: len(above)]), pieces[len(above) :]
    rest = "/" + "/".join(pieces)
    return {
        **scope,
        "root_path": prefix,
        SENT: sent,
        "path": prefix + unquote(rest),
        "raw_path": (sent + rest).encode("latin-1"),
    }
