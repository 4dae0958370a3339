"""``WS /ws/render``: pictures over one connection, for viewers that ask for the next before the last one came."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Any

from starlette.types import Receive, Scope, Send

from coverslip.core.errors import BadRequest, CoverslipError, TooLarge
from coverslip.fronts.errors import LOG
from coverslip.fronts.http import to_json
from coverslip.fronts.tensors.answers import Answer
from coverslip.fronts.tensors.body import MOST_BYTES, object_in
from coverslip.fronts.tensors.slices import REGION, Rendering
from coverslip.fronts.tokens import problem, told_refused

PATH = "ws/render"
HELP = 'Send {"action": "render", "params": {…}}; docs/reference/http-images.md lists the parameters.'
SUPERSEDED = {"message": "A newer request took its place", "code": "superseded"}
NOWHERE = 1008
MOST_WAITING = 256
"""Requests of one client that are held; those after them wait in the connection."""
Render = Callable[[dict[str, Any]], Awaitable[tuple[Answer, Rendering]]]


class RenderSocket:
    """One connection. Of several requests the newest is made; those it overtakes are told so.

    Every request is answered exactly once, and in the order they came: with ``render_start`` and the picture, or with
    ``error``. What is being made ends when it is overtaken and when the client leaves; what is being sent is sent.

    Parameters
    ----------
    render
        Makes a picture.
    """

    def __init__(self, render: Render) -> None:
        self._render = render
        self._requests: asyncio.Queue[dict[str, Any]] = asyncio.Queue(MOST_WAITING)
        self._making: asyncio.Task[list[dict[str, Any]]] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Speak until the client leaves."""
        await receive()
        await send({"type": "websocket.accept"})
        answering = asyncio.create_task(self._answer_all(send))
        listening = asyncio.create_task(self._listen(receive))
        try:
            await asyncio.wait((answering, listening), return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (answering, listening, self._making):
                if task is not None:
                    task.cancel()
            for task in (answering, listening):
                with suppress(asyncio.CancelledError, OSError):  # it left while something was on its way
                    await task

    async def _listen(self, receive: Receive) -> None:
        while (message := await receive())["type"] != "websocket.disconnect":
            await self._requests.put(request_in(message))
            if self._making is not None:
                self._making.cancel()

    async def _answer_all(self, send: Send) -> None:
        while True:
            request = await self._requests.get()
            messages = [text(failed(request, SUPERSEDED))]
            if self._requests.empty():
                self._making = asyncio.create_task(self._answer(request))
                await asyncio.wait([self._making])
                if not self._making.cancelled():
                    messages = self._making.result()
                self._making = None
            for message in messages:
                await send(message)

    async def _answer(self, request: dict[str, Any]) -> list[dict[str, Any]]:
        """The messages that answer one request."""
        try:
            if isinstance(error := request.get("error"), CoverslipError):
                raise error
            if request.get("action") != "render" or not isinstance(request.get("params"), dict):
                raise BadRequest("This is no request to render", HELP)
            answer, rendering = await self._render(request["params"])
        except CoverslipError as error:
            return [text(failed(request, {"message": error.message, "code": error.name, "hint": error.hint}))]
        except Exception as error:  # noqa: BLE001  (every one becomes an answer, as over HTTP)
            LOG.error("unforeseen error", exc_info=error)
            return [text(failed(request, {"message": "Something went wrong in the server", "code": "internal"}))]
        started = {"action": "render_start", **named(request), **described(answer, rendering)}
        return [text(started), {"type": "websocket.send", "bytes": bytes(answer.body.data)}]


async def sockets(path: str, scope: Scope, receive: Receive, send: Send, render: Render) -> None:
    """Speak at ``ws/render``; refuse what asks for a connection elsewhere."""
    if path == PATH:
        await RenderSocket(render)(scope, receive, send)
        return
    await receive()
    told_refused(scope, 404)
    if "websocket.http.response" in scope.get("extensions", {}):
        await problem(404, "not_found", "There is no WebSocket here", f"There is /{PATH}.")(scope, receive, send)
    else:
        await send({"type": "websocket.close", "code": NOWHERE})


def request_in(message: Mapping[str, Any]) -> dict[str, Any]:
    """The request that a message holds; with an ``error`` where it holds none."""
    data = message.get("text") or message.get("bytes") or b""
    if len(data) > MOST_BYTES:
        return {"error": TooLarge(f"The message is over {MOST_BYTES:,} bytes", HELP)}
    found = object_in(data)
    if found is None:
        return {"error": BadRequest("The message is no JSON object", HELP)}
    found.pop("error", None)
    return found


def named(request: dict[str, Any]) -> dict[str, Any]:
    """What a client calls its request, where it does."""
    return {"id": request["id"]} if isinstance(request.get("id"), (str, int)) else {}


def failed(request: dict[str, Any], told: dict[str, str]) -> dict[str, Any]:
    """The answer to a request that gets no picture."""
    return {"action": "error", **named(request), **told}


def text(content: dict[str, Any]) -> dict[str, Any]:
    """A message of JSON."""
    return {"type": "websocket.send", "text": to_json(content).decode()}


def described(answer: Answer, rendering: Rendering) -> dict[str, Any]:
    """What comes next: its size, format, contrast, and the box of the whole image that it shows."""
    headers = answer.headers
    region = [[int(n) for n in corner.split(",")] for corner in headers[REGION].split(":")]
    told: dict[str, Any] = {"format": rendering.form, "loaded_region": {"start": region[0], "stop": region[1]}}
    if rendering.form == "raw":
        shape = [int(n) for n in headers["X-Shape"].split(",")]
        size = {"width": shape[-1], "height": shape[-2] if len(shape) > 1 else 1}
        return {
            **size,
            **told,
            "shape": shape,
            "dtype": headers["X-Dtype"],
            "dim_labels": headers["X-Dim-Labels"].split(","),
        }
    return {
        "width": int(headers["X-Image-Width"]),
        "height": int(headers["X-Image-Height"]),
        **told,
        "percentile_lo": rendering.low,
        "percentile_hi": rendering.high,
        "percentile_lo_value": float(headers["X-Percentile-Lo-Value"]),
        "percentile_hi_value": float(headers["X-Percentile-Hi-Value"]),
    }
