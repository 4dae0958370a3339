"""Which pages may show the viewer in a frame, and how such a page finds this server among others."""

from __future__ import annotations

import hmac
import re
from contextlib import suppress

from starlette.datastructures import Headers, QueryParams
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from coverslip.core.errors import BadRequest
from coverslip.engine.dialogue import Dialogue
from coverslip.fronts.http import to_json
from coverslip.fronts.tokens import path_of, problem

INSTANCE = "api/instance"
"""What a notebook's page asks before it shows the token to whoever answers at an address."""
ANCESTORS = re.compile(rb"frame-ancestors [^;]*")
POLICY = b"content-security-policy"


class Framing:
    """ASGI middleware of a notebook's server, before the gate.

    Pages that the notebook sent may show the viewer in a frame, no others; of data they may read nothing that others
    may not. ``api/instance`` needs no token: it tells a number that says nothing but which server this is. A page of
    another origin has to knock (``?knock=``) with what the notebook gave it.

    Parameters
    ----------
    app
        The application behind it.
    dialogue
        Whose origins and instance these are.
    """

    def __init__(self, app: ASGIApp, dialogue: Dialogue) -> None:
        self._app = app
        self._dialogue = dialogue

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or hand on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
        elif path_of(scope) == INSTANCE and scope["method"] in ("GET", "HEAD"):
            knock = QueryParams(scope["query_string"]).get("knock", "")
            await self._tell(Headers(scope=scope).get("origin"), knock)(scope, receive, send)
        else:
            await self._app(scope, receive, self._framed(send))

    def _tell(self, origin: str | None, knock: str) -> Response:
        headers = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", "Vary": "Origin"}
        known = hmac.compare_digest(knock.encode("utf-8", "replace"), self._dialogue.knock.encode())
        if origin is not None:
            if known:
                with suppress(BadRequest):  # a page without an address
                    self._dialogue.embed(origin)
            if origin.lower() not in self._dialogue.origins:
                return problem(403, "wrong_origin", "A page of another origin asked", "Ask from the notebook.")
            headers["Access-Control-Allow-Origin"] = origin
        if known:
            self._dialogue.met.set()
        return Response(to_json({"instance": self._dialogue.instance}), 200, headers, "application/json")

    def _framed(self, send: Send) -> Send:
        allowed = " ".join(["frame-ancestors 'self'", *sorted(self._dialogue.origins)]).encode("ascii")

        async def framed(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [
                    (name, ANCESTORS.sub(lambda _: allowed, value) if name == POLICY else value)
                    for name, value in message.get("headers", ())
                ]
            await send(message)

        return framed
