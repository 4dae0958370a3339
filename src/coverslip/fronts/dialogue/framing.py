"""Which pages may show the viewer in a frame, and how such a page finds this server among others."""

from __future__ import annotations

import re

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from coverslip.engine.dialogue import Dialogue
from coverslip.fronts.http import to_json
from coverslip.fronts.tokens import path_of, problem

INSTANCE = "api/instance"
"""What a notebook's page asks before it shows the token to whoever answers at an address."""
ANCESTORS = re.compile(rb"frame-ancestors [^;]*")
POLICY = b"content-security-policy"


class Framing:
    """ASGI middleware of a notebook's server, before the gate.

    The pages of the notebook's origin may show the viewer in a frame, no others; of data they may read nothing that
    others may not. ``api/instance`` needs no token: it tells a number that says nothing but which server this is.

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
            await self._tell(Headers(scope=scope).get("origin"))(scope, receive, send)
        else:
            await self._app(scope, receive, self._framed(send))

    def _tell(self, origin: str | None) -> Response:
        headers = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", "Vary": "Origin"}
        if origin is not None:
            if origin.lower() not in self._dialogue.origins:
                return problem(403, "wrong_origin", "A page of another origin asked", "Ask from the notebook.")
            headers["Access-Control-Allow-Origin"] = origin
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
