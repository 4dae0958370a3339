"""Errors as people see them in a tab."""

from __future__ import annotations

import asyncio

import pytest
from starlette.requests import Request
from starlette.responses import Response

from coverslip.core.errors import Forbidden, NotFound
from coverslip.fronts.errors import answering

NAVIGATES = (b"sec-fetch-mode", b"navigate")


async def failing(error: Exception) -> Response:
    raise error


def answer(error: Exception, *headers: tuple[bytes, bytes], method: str = "GET", root: str = "") -> Response:
    scope = {"type": "http", "method": method, "path": "/x", "root_path": root, "headers": list(headers)}

    async def receive() -> dict[str, object]:
        await asyncio.sleep(60)
        return {"type": "http.disconnect"}

    return asyncio.run(answering(Request(scope, receive), failing(error)))


def test_a_wrong_address_in_a_tab_is_a_page_with_a_way_on() -> None:
    found = answer(NotFound("Not found: <b>x</b>", "dataset_identity.json lists them."), NAVIGATES, root="/lab")
    text = bytes(found.body).decode()
    assert (found.status_code, found.media_type) == (404, "text/html")
    assert "Not found: &lt;b&gt;x&lt;/b&gt;." in text
    assert 'href="/lab/"' in text
    assert "dataset_identity" not in text


@pytest.mark.parametrize("headers", [(), ((b"sec-fetch-mode", b"cors"),), ((b"accept", b"text/html"),)])
def test_programs_are_answered_as_ever(headers: tuple[tuple[bytes, bytes], ...]) -> None:
    found = answer(NotFound("Not found: x", "See there."), *headers)
    assert (found.status_code, found.media_type) == (404, "application/json")
    assert b"See there." in bytes(found.body)


def test_only_what_was_opened_is_a_page() -> None:
    assert answer(Forbidden("No"), NAVIGATES, method="POST").media_type == "application/json"
    assert answer(Forbidden("No"), NAVIGATES).status_code == 403
    assert answer(ZeroDivisionError("x"), NAVIGATES).media_type == "application/json"
