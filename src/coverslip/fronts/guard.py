"""The gate in front of every front: host names, origins, tokens, and the headers that keep browsers honest."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from urllib.parse import parse_qsl, quote, urlencode

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from coverslip.engine.access import Access
from coverslip.engine.failures import CODE, Failures, refusal
from coverslip.engine.rights import FULL, WIDTH, Right, widest
from coverslip.fronts.held import Held
from coverslip.fronts.prefixed import as_sent
from coverslip.fronts.scopes import RIGHT, SOCKET, refused, right_in
from coverslip.fronts.tokens import (
    LOCKED,
    LOCKED_STATUS,
    client_of,
    locked,
    path_of,
    problem,
    session_told,
    share_ended,
    token_of_query,
    token_posted,
    tokens_shown,
    told_refused,
)

COOKIE = "coverslip_token"
METHODS = "GET, HEAD, OPTIONS"
POSTED = "api/"
"""Below this, questions may be asked with POST; they change nothing."""
OPEN = frozenset({"livez", "readyz", "healthz"})
"""What a supervisor asks without a token; it tells nothing of the data."""
AS_SENT = "%!$&'()*+,;=:@"
"""Left alone in a piece of an address that is percent-encoded already."""
SESSION = "api/session"
"""Where a page exchanges the token for a cookie."""
ENCRYPTED = ("https", "wss")
LOCKED_SCOPE = "coverslip.locked"
"""In a request's scope: why the viewer's page is served without a token, ``missing`` or ``wrong``."""
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
        "Access-Control-Allow-Methods": f"{METHODS}, POST, DELETE",
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
    public
        Whether a path, relative to the root, is part of the viewer itself: the same in every installation and served
        without a token, so that the page can take the token out of its address or ask a person for it.
    failures
        Where wrong tokens are counted.
    speaks
        Whether at a path a protocol is spoken that has words of its own for other methods than GET: questions asked
        with POST, and refusals.
    look
        Looks whether a link was taken back by another server (`coverslip.fronts.held.looking`).
    meant
        What a path is called in the table of what may be asked, where that is not the path itself.
    """

    def __init__(
        self,
        app: ASGIApp,
        access: Access,
        port: int,
        public: Callable[[str], bool] = lambda _: False,
        failures: Failures | None = None,
        speaks: Callable[[str], bool] = lambda _: False,
        look: Callable[[str], Awaitable[None]] | None = None,
        meant: Callable[[str], str] = lambda path: path,
    ) -> None:
        self._app = app
        self._access = access
        self._public = public
        self._speaks = speaks
        self._look = look
        self._meant = meant
        self._failures = Failures() if failures is None else failures
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
        await self._look_after(self._shown(scope, headers))
        refusal = self._refuse(scope, headers)
        if refusal is None and path_of(scope) == SESSION:
            refusal = await self._session(scope, receive, headers)
        await (refusal or self._app)(scope, receive, guarded)

    async def _socket(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Look at the handshake of a WebSocket: browsers hold back none, whichever page asks."""
        headers = Headers(scope=scope)
        refusal = self._refuse_place(scope, headers)
        if refusal is None:
            await self._look_after(self._shown(scope, headers))
            refusal = self._check_token(scope, headers) or self._not_covered(scope, SOCKET)
        if refusal is None:
            await self._app(scope, *self._while_it_holds(right_in(scope), receive, send))
            return
        await receive()
        told_refused(scope, refusal.status_code)
        if refusal.status_code == LOCKED_STATUS:
            # Accepted first: a browser tells its page no code of a handshake that failed.
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
        if len(headers.getlist("host")) > 1 or not self._access.host_allowed(authority):
            return problem(
                421, "wrong_host", "This server does not answer to that host name", "Start it with --allow-host NAME."
            )
        origin = ", ".join(headers.getlist("origin")) if "origin" in headers else None
        if origin is not None and not self._access.origin_allowed(origin, authority, scope["scheme"] in ENCRYPTED):
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
        path = path_of(scope)
        if scope["method"] == "POST" and path.startswith(POSTED):
            if headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
                # A form of a foreign page can send text and forms without being asked first, JSON it cannot.
                return problem(415, "not_json", "A POST here carries JSON", "Send Content-Type: application/json.")
        elif scope["method"] not in ("GET", "HEAD") and not self._speaks(path):
            return problem(405, "method_not_allowed", "Data is only read here", "Use GET or HEAD.", {"Allow": METHODS})
        if path in OPEN or path == SESSION:
            return None
        return self._check_token(scope, headers) or self._not_covered(scope, scope["method"])

    def _not_covered(self, scope: Scope, method: str) -> Response | None:
        return refused(right_in(scope), method, self._meant(path_of(scope)))

    def _shown(self, scope: Scope, headers: Headers) -> list[str]:
        if not self._access.keys.needed:
            return []
        return [self._from_cookie(headers.get("cookie", "")), *tokens_shown(scope, headers)]

    async def _look_after(self, shown: list[str]) -> None:
        """Know of links that are shown whether they were taken back, maybe by another server of this user."""
        for one in shown:
            id = self._access.keys.link_of(one)
            if id is not None and self._look is not None and self._access.keys.links.stale(id):
                await self._look(id)

    def _check_token(self, scope: Scope, headers: Headers) -> Response | None:
        """Note what who asks may do; refuse who shows no token, or a wrong one, and one more guess of who guesses."""
        keys = self._access.keys
        known = keys.right_of_cookie(self._from_cookie(headers.get("cookie", ""))) if keys.needed else FULL
        shown = tokens_shown(scope, headers) if known is None or known.scope != "admin" else []
        if known is not None and not shown:
            scope[RIGHT] = known
            return None
        waits = self._waits(scope) if shown else None
        rights = {one: right for one in shown if waits is None and (right := keys.right_of(one)) is not None}
        best = widest(list(rights.values()))
        if waits is None and (best is None or best.scope != "admin"):  # who may read something may guess no more
            self._note(scope, [one for one in shown if one not in rights])
        if best is not None:
            scope[RIGHT] = best
            asked = token_of_query(scope) if scope["type"] == "http" else None
            return self._remember(scope, rights[asked]) if asked in rights else None
        if scope["type"] == "http" and self._public(path_of(scope)):
            scope[LOCKED_SCOPE] = "wrong" if shown else "missing"
            return None
        return waits or self._locked(shown)

    def _note(self, scope: Scope, wrong: list[str]) -> None:
        for one in wrong:
            if not self._access.keys.ended(one):
                self._failures.note(client_of(scope), one)

    def _locked(self, shown: list[str]) -> Response:
        return share_ended() if any(self._access.keys.ended(one) for one in shown) else locked()

    def _while_it_holds(self, right: Right, receive: Receive, send: Send) -> tuple[Receive, Send]:
        """A connection that ends with the right that opened it: it is as long as people want it."""
        keys = self._access.keys
        if not keys.needed:
            return receive, send

        async def look() -> None:
            if right.link and self._look is not None and keys.links.stale(right.link):
                await self._look(right.link)

        held = Held(lambda: keys.holds(right), look, receive, send, LOCKED_CODE, LOCKED)
        return held.receive, held.send

    def _waits(self, scope: Scope) -> Response | None:
        """The refusal of who showed too many wrong tokens."""
        wait_s = math.ceil(self._failures.wait_s(client_of(scope)))
        if not wait_s:
            return None
        return problem(429, CODE, *refusal(wait_s), {"Retry-After": str(wait_s)})

    async def _session(self, scope: Scope, receive: Receive, headers: Headers) -> Response:
        """``POST {"token"}`` gives the cookie for it; ``GET`` tells whether one is needed, and what it opens."""
        keys = self._access.keys
        known = keys.right_of_cookie(self._from_cookie(headers.get("cookie", ""))) if keys.needed else FULL
        if scope["method"] != "POST":
            return session_told(keys.needed, known)
        shown = await token_posted(receive)
        if shown is None:
            return problem(400, "bad_request", "A token is posted as JSON", 'Send {"token": "…"}.')
        if not keys.needed:
            return session_told(False, known)
        if waits := self._waits(scope):
            return waits
        await self._look_after([shown])
        right = keys.right_of(shown)
        if right is None:
            self._note(scope, [shown])
            return self._locked([shown])
        if known is not None and WIDTH[known.scope] > WIDTH[right.scope]:
            return session_told(True, known)  # who may do more and follows a link goes on to be who they are
        response = session_told(True, right)
        self._give_cookie(response, scope, right)
        return response

    def _give_cookie(self, response: Response, scope: Scope, right: Right) -> None:
        encrypted = scope["scheme"] in ENCRYPTED
        path = as_sent(scope) + "/"  # other servers may live beside this one behind one name
        value = self._access.keys.cookie(right)
        response.set_cookie(self._cookie, value, path=path, httponly=True, samesite="strict", secure=encrypted)

    def _remember(self, scope: Scope, right: Right) -> Response:
        """Turn a token in the URL into a cookie, and take it out of the address bar."""
        query = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
        rest = urlencode([(name, value) for name, value in query if name != "token"])
        # Relative, so that it holds behind a path prefix too; never a path that a browser could take for a host.
        last = scope.get("raw_path", scope["path"].encode()).rpartition(b"/")[2]
        target = "./" + quote(last, safe=AS_SENT) + (f"?{rest}" if rest else "")
        response = Response(status_code=303, headers={"Location": target, "Cache-Control": "no-store"})
        self._give_cookie(response, scope, right)
        return response

    def _from_cookie(self, header: str) -> str:
        # Of several of one name that of the longest path comes first (RFC 6265, 5.4): the one given behind this prefix.
        pairs = (pair.strip().partition("=") for pair in header.split(";"))
        return next((value.strip('"') for name, _, value in pairs if name == self._cookie), "")

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
