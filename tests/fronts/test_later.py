"""Fronts that are made for their first request."""

from __future__ import annotations

import asyncio
import json

from starlette.requests import Request
from starlette.responses import Response

from coverslip.engine.read import Reader
from coverslip.fronts.later import Later


class Told:
    """Says which path it was asked for."""

    async def __call__(self, request: Request, path: str) -> Response:
        return Response(path)


def request() -> Request:
    return Request({"type": "http", "method": "GET", "path": "/", "headers": []})


def test_it_is_made_by_the_first_request_and_once() -> None:
    made: list[Told] = []

    def make() -> Told:
        made.append(Told())
        return made[-1]

    async def ask() -> list[bytes | memoryview]:
        reader = Reader()
        front = Later(lambda path: path.startswith("a/"), make, reader)
        assert front.has("a/b")
        assert not front.has("b/a")
        assert front.made is None
        answers = await asyncio.gather(*(front(request(), f"a/{n}") for n in range(5)))
        assert front.made is made[0]
        answers.append(await front(request(), "a/5"))
        reader.close()
        return [answer.body for answer in answers]

    assert asyncio.run(ask()) == [b"a/0", b"a/1", b"a/2", b"a/3", b"a/4", b"a/5"]
    assert len(made) == 1


def test_what_could_not_be_made_is_told_and_tried_again() -> None:
    left = [OSError("too many open files")]

    def make() -> Told:
        if left:
            raise left.pop()
        return Told()

    async def ask() -> tuple[Response, Response]:
        reader = Reader()
        front = Later(lambda _: True, make, reader)
        answers = await front(request(), "a"), await front(request(), "b")
        reader.close()
        return answers

    failed, answered = asyncio.run(ask())
    assert failed.status_code == 500
    assert json.loads(bytes(failed.body))["error"]["code"] == "internal"
    assert (answered.status_code, answered.body) == (200, b"b")
