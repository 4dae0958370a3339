"""A notebook's dialogue with the viewers of its server, over HTTP; see ``docs/reference/notebook.md``."""

from __future__ import annotations

import re
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from coverslip.core.errors import BadRequest, CoverslipError, NotFound, TooLarge
from coverslip.engine.dialogue import Dialogue, Event
from coverslip.fronts.errors import error_response
from coverslip.fronts.http import to_json
from coverslip.fronts.tokens import not_done

PLACE = "api/dialogue/"
HOLD_S = 15.0
"""How long a viewer's question waits for a command; some proxies end what waits longer than 20 s."""
MOST_BYTES = 64 << 20
"""Of one event: the bits of half a billion cells."""
MOST_TEXT = 1 << 20
KINDS = ("ready", "selection", "hover", "click", "session", "problem")
FORMS = ("bits", "numbers")
NUMBER = re.compile(r"\d{1,15}")
UNKEPT = {"Cache-Control": "no-store"}


class DialogueFront:
    """Answers ``api/dialogue/…``.

    Parameters
    ----------
    dialogue
        The notebook's.
    """

    def __init__(self, dialogue: Dialogue) -> None:
        self._dialogue = dialogue

    @staticmethod
    def has(path: str) -> bool:
        """Whether a path is answered here."""
        return path.startswith(PLACE)

    async def __call__(self, request: Request, path: str) -> Response:
        """Commands, a command's cells, or an event."""
        try:
            return await self._answer(request, path.removeprefix(PLACE))
        except CoverslipError as error:
            return error_response(error)

    async def _answer(self, request: Request, what: str) -> Response:
        kind, _, rest = what.partition("/")
        if kind == "events" and rest not in KINDS:
            raise NotFound("There is no such event", f"There is {', '.join(KINDS)}.")
        if kind == "events":
            if request.method != "PUT":
                return not_done("PUT")
            return await self._event(request, rest)
        if request.method not in ("GET", "HEAD"):
            return not_done("GET")
        if what == "commands":
            return await self._commands(number_of(request, "after") if "after" in request.query_params else None)
        if kind == "cells" and NUMBER.fullmatch(rest):
            return Response(self._dialogue.cells_of(int(rest)), 200, UNKEPT, "application/octet-stream")
        raise NotFound("There is no such part of a dialogue", "There is commands, cells/N and events/KIND.")

    async def _commands(self, after: int | None) -> Response:
        if after is not None:  # who has just opened is told at once what holds
            await self._dialogue.wait(after, HOLD_S)
        last, commands = self._dialogue.after(after)
        told = [{"number": c.number, "cells": c.cells is not None, **c.what} for c in commands]
        return Response(
            to_json({"last": last, "commands": told, "ended": self._dialogue.ended}), 200, UNKEPT, "application/json"
        )

    async def _event(self, request: Request, kind: str) -> Response:
        body = await body_of(request, MOST_BYTES if kind in ("selection", "session") else MOST_TEXT)
        if kind == "selection":
            form = request.query_params.get("form")
            if form not in FORMS:
                raise BadRequest("A selection is bits or numbers", "Write ?form=bits&n=700.", "bad_event")
            told: dict[str, Any] = {"form": form, "n": number_of(request, "n")}
            event = Event(kind, told, body)
        else:
            event = Event(kind, document(body))
        self._dialogue.happened(event)
        return Response(status_code=204, headers=UNKEPT)


def document(body: bytes) -> dict[str, Any]:
    """A JSON object.

    Raises
    ------
    BadRequest
        When it is none.
    """
    try:
        return msgspec.json.decode(body, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadRequest("An event is a JSON object", "See docs/reference/notebook.md.", "bad_event") from error


def number_of(request: Request, name: str) -> int:
    """A whole number of the query; 0 when it is left out."""
    text = request.query_params.get(name, "0")
    if not NUMBER.fullmatch(text):
        raise BadRequest(f"{name} is a number", f"Write ?{name}=0.", "bad_event")
    return int(text)


async def body_of(request: Request, most: int) -> bytes:
    """What was sent.

    Raises
    ------
    TooLarge
        When it is more than may be.
    """
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size > most:
            raise TooLarge("That is too much for one event", f"At most {most >> 20} MiB.")
        parts.append(part)
    return b"".join(parts)
