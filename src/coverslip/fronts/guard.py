"""The gate in front of every front: host names, origins, tokens, and the headers that keep browsers honest."""

from __future__ import annotations

from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qsl, quote, urlencode

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from coverslip.engine.access import Access
from coverslip.fronts.http import to_json

COOKIE = "coverslip_token"
METHODS = "GET, HEAD, OPTIONS"
POSTED = "api/"
"""Below this, questions may be asked with POST; they change nothing."""
OPEN = frozenset({"livez", "readyz", "healthz"})
"""What a supervisor asks without a token; it tells nothing of the data."""
AS_SENT = "%!$&'()*+,;=:@"
"""Left alone in a piece of an address that is percent-encoded already."""
LOCKED = "Invalid or missing token"
LOCKED_CODE = 4001
"""With it a WebSocket is closed that shows no token."""
EXPOSED = (
    "Content-Length, Content-Range, ETag, X-Shape, X-Dtype, X-Dim-Labels, X-Total-Sources, X-Returned-Sources, "
    "X-Truncated, X-Image-Width, X-Image-Height, X-Percentile-Lo-Value, X-Percentile-Hi-Value"
)
POLICY = (
    "default-src 'self'; img-src 'self' data: blob:; style-src 'self' 'unsafe-inline'; worker-src 'self' blob:; "
    "object-src 'none'; base-uri 'none'; form-action 'self'; "
    "frame-ancestors 'self' http://localhost:* http://127.0.0.1:*"
)
FIXED_HEADERS = tuple(
    (name.lower().encode(), value.encode())
    for name, value in {
        "X-Content-Type-Options": "nosniff",
        "Content-Security-Policy": POLICY,
        "Referrer-Policy": "no-referrer",
        "Access-Control-Allow-Methods": f"{METHODS}, POST",
        "Access-Control-Allow-Headers": "Authorization, Content-Type, Range, X-Biopb-Token",
        "Access-Control-Expose-Headers": EXPOSED,
        "Vary": "Origin",
    }.items()
)


class Guard:
    """ASGI middleware that lets through what `Access` allows.

    Parameters
    ----------
    app
        The application behind it.
    access
        The rules.
    port
        The server's port: cookies are shared between ports, so its name carries it.
    """

    def __init__(self, app: ASGIApp, access: Access, port: int) -> None:
        self._app = app
        self._access = access
        self._cookie = f"{COOKIE}_{port}"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or hand on."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] == "websocket":
            await self._socket(scope, receive, send)
            return
        headers = Headers(scope=scope)
        origin = headers.get("origin")
        guarded = self._with_headers(send, origin if self._foreign(origin, headers) else None)
        refusal = self._refuse(scope, headers)
        await (refusal or self._app)(scope, receive, guarded)

    async def _socket(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Look at the handshake of a WebSocket: browsers hold back none, whichever page asks."""
        headers = Headers(scope=scope)
        refusal = self._refuse_place(scope, headers)
        locked = self._access.token is not None and not self._token_shown(scope, headers)
        if refusal is None and not locked:
            await self._app(scope, receive, send)
            return
        await receive()
        if refusal is None:  # accepted first: a browser tells its page no code of a handshake that failed
            await send({"type": "websocket.accept"})
            await send({"type": "websocket.close", "code": LOCKED_CODE, "reason": LOCKED})
        elif "websocket.http.response" in scope.get("extensions", {}):
            await refusal(scope, receive, send)
        else:
            await send({"type": "websocket.close", "code": 1008})

    def _foreign(self, origin: str | None, headers: Headers) -> bool:
        return origin is not None and origin.lower() in self._access.origins

    def _refuse_place(self, scope: Scope, headers: Headers) -> Response | None:
        """Refuse a name that is not ours, and a page that is not ours."""
        authority = headers.get("host", "")
        if not self._access.host_allowed(authority):
            return problem(
                421, "wrong_host", "This server does not answer to that host name", "Start it with --allow-host NAME."
            )
        origin = headers.get("origin")
        if origin is not None and not self._access.origin_allowed(origin, authority):
            return problem(
                403, "wrong_origin", "A page of another origin asked", "Start the server with --allow-origin URL."
            )
        return None

    def _refuse(self, scope: Scope, headers: Headers) -> Response | None:
        refusal = self._refuse_place(scope, headers)
        if refusal is not None:
            return refusal
        if scope["method"] == "OPTIONS":
            return Response(status_code=204, headers={"Allow": METHODS})
        path = scope["path"].removeprefix(scope.get("root_path", "")).lstrip("/")
        if scope["method"] == "POST" and path.startswith(POSTED):
            if headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
                # A form of a foreign page can send text and forms without being asked first, JSON it cannot.
                return problem(415, "not_json", "A POST here carries JSON", "Send Content-Type: application/json.")
        elif scope["method"] not in ("GET", "HEAD"):
            return problem(405, "method_not_allowed", "Data is only read here", "Use GET or HEAD.", {"Allow": METHODS})
        if path in OPEN or self._access.token is None:
            return None
        return self._check_token(scope, headers)

    def _check_token(self, scope: Scope, headers: Headers) -> Response | None:
        query = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
        shown = next((value for name, value in query if name == "token"), None)
        if shown is not None and self._access.token_matches(shown):
            return self._remember(scope, query, shown)
        if self._token_shown(scope, headers):
            return None
        return problem(401, "token_needed", LOCKED, "Open the whole URL that the server printed.")

    def _token_shown(self, scope: Scope, headers: Headers) -> bool:
        """Whether a request shows the token, in any of the places where it may."""
        kind, _, value = headers.get("authorization", "").partition(" ")
        shown = [value.strip() if kind.lower() == "bearer" else "", headers.get("x-biopb-token", "")]
        shown.append(self._from_cookie(headers.get("cookie", "")))
        if scope["type"] == "websocket":  # browsers let a page set no header of it
            query = parse_qsl(scope["query_string"].decode("latin-1"))
            shown += [value for name, value in query if name == "token"]
        return any(self._access.token_matches(one) for one in shown)

    def _remember(self, scope: Scope, query: list[tuple[str, str]], token: str) -> Response | None:
        """Turn a token in the URL into a cookie, and take it out of the address bar."""
        rest = urlencode([(name, value) for name, value in query if name != "token"])
        # Relative, so that it holds behind a path prefix too; never a path that a browser could take for a host.
        last = scope.get("raw_path", scope["path"].encode()).rpartition(b"/")[2]
        target = "./" + quote(last, safe=AS_SENT) + (f"?{rest}" if rest else "")
        response = Response(status_code=303, headers={"Location": target, "Cache-Control": "no-store"})
        response.set_cookie(self._cookie, token, httponly=True, samesite="strict", secure=scope["scheme"] == "https")
        return response

    def _from_cookie(self, header: str) -> str:
        try:
            morsel = SimpleCookie(header).get(self._cookie)
        except CookieError:
            return ""
        return morsel.value if morsel is not None else ""

    def _with_headers(self, send: Send, foreign_origin: str | None) -> Send:
        added = FIXED_HEADERS
        if foreign_origin:
            own = (b"access-control-allow-origin", foreign_origin.encode("latin-1"))
            added = (*added, (b"cross-origin-resource-policy", b"cross-origin"), own)
        else:
            added = (*added, (b"cross-origin-resource-policy", b"same-origin"))

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), *added]
            await send(message)

        return guarded


def problem(status: int, code: str, message: str, hint: str, headers: dict[str, str] | None = None) -> Response:
    """An error as every front tells it: ``{"error": {"code", "message", "hint"}, "detail"}``."""
    content = to_json({"error": {"code": code, "message": message, "hint": hint}, "detail": message})
    return Response(content, status, {"Cache-Control": "no-store", **(headers or {})}, "application/json")
