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
NO_PIECE = re.compile(r"\.{0,2}|.*[\x00-\x20\x7f\\;?#].*", re.DOTALL)
"""What no piece of a prefix may be: nothing, a way up, or what means something in a header or an address."""
UNESCAPED = "!$&'()*+,=:@~"


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
    """The prefix that a person named.

    Raises
    ------
    BadUsage
        When it is none.
    """
    found = prefix_of(given or "")
    if found is None:
        hint = "Write the path as the browser sees it, from the first slash on: --root-path /lab/coverslip."
        raise BadUsage(f"{given} is not a path prefix", hint, "bad_prefix")
    return found


def escaped(path: str) -> str:
    """A path as it stands in an address."""
    return quote(path, safe=f"/{UNESCAPED}", errors="surrogateescape")


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
        self._root = root_path
        self._proxies = Proxies(trusted)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand on, below the prefix."""
        if scope["type"] not in ("http", "websocket") or not (prefix := self._prefix(scope)):
            await self._app(scope, receive, send)
            return
        if scope["type"] == "http" and scope["path"] == prefix:
            await self._slash(scope)(scope, receive, send)
            return
        await self._app(below(scope, prefix), receive, send)

    def _prefix(self, scope: Scope) -> str:
        client = scope.get("client")
        if client and self._proxies.trust(client[0]) and (told := last(values(scope, PREFIX))):
            return prefix_of(told) or self._root
        return self._root

    def _slash(self, scope: Scope) -> Response:
        """To the page's own folder, where its relative addresses hold."""
        query = scope["query_string"].decode("latin-1")
        place = "./" + escaped(scope["path"].rpartition("/")[2]) + "/" + (f"?{query}" if query else "")
        return Response(status_code=307, headers={"Location": place, "Cache-Control": "no-store"})


def below(scope: Scope, prefix: str) -> Scope:
    """A request's scope with the prefix as its root, and at the beginning of both of its paths."""
    raw = scope.get("raw_path") or escaped(scope["path"]).encode("latin-1")
    pieces = raw.decode("latin-1").partition("?")[0].split("/")[1:]
    above = prefix.split("/")[1:]
    if len(pieces) > len(above) and [unquote(p, errors="surrogateescape") for p in pieces[: len(above)]] == above:
        pieces = pieces[len(above) :]
    rest = "/" + "/".join(pieces)
    path = prefix + unquote(rest)
    return {**scope, "root_path": prefix, "path": path, "raw_path": (escaped(prefix) + rest).encode("latin-1")}
