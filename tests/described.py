"""The OpenAPI description as a judge of answers: whatever a test of a front is answered must be described."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from coverslip.fronts.openapi.document import document

HOLDS_SLASHES = {"array_id", "dataset", "image", "chunk", "file", "attribute", "field", "gene", "vector_field"}
METHODS = ("get", "put", "post", "delete")
GATE = {303, 405, 499}
"""Of any path: a token taken out of its address, a method that nothing has, a client that has gone."""
PROVOKED = {500}
"""Only where a test breaks something on purpose; that none comes unasked is looked at elsewhere."""


@lru_cache(maxsize=1)
def whole() -> dict[str, Any]:
    """The description of a server with a notebook."""
    return document("test", notebook=True)


def pattern(path: str) -> re.Pattern[str]:
    """What addresses a path of the description stands for; one slash more at the end means the same."""
    parts = re.split(r"\{(\w+)\}", path.rstrip("/"))
    text = "".join(
        re.escape(part) if i % 2 == 0 else (".+" if part in HOLDS_SLASHES else "[^/]+") for i, part in enumerate(parts)
    )
    return re.compile(f"{text}/?")


@lru_cache(maxsize=1)
def patterns() -> list[tuple[re.Pattern[str], str]]:
    """Patterns and their paths; those without parameters first, then those with more text."""
    listed = sorted(whole()["paths"], key=lambda path: (path.count("{"), "{dataset}" in path, -len(path)))
    return [(pattern(path), path) for path in listed]


def operations_at(path: str, method: str) -> list[tuple[str, dict[str, Any]]]:
    """The operations that an address may mean, the likeliest first."""
    method = {"HEAD": "get"}.get(method, method.lower())
    found = [template for known, template in patterns() if known.fullmatch(path)]
    return [(t, whole()["paths"][t][method]) for t in found if method in whole()["paths"][t]]


def response_of(operation: dict[str, Any], status: int) -> dict[str, Any] | None:
    """What is said of a status."""
    found = operation["responses"].get(str(status))
    while found is not None and "$ref" in found:
        found = whole()["components"]["responses"][found["$ref"].rpartition("/")[2]]
    return found


def fault(method: str, path: str, status: int, media: str) -> str | None:
    """What is wrong with an answer as the description has it; None when nothing is."""
    found = operations_at(path, method)
    if status in GATE | PROVOKED:
        return None
    if not found:
        return None if status >= 400 else f"{method} {path} is answered {status}, and is not described"
    told = [(template, response) for template, one in found if (response := response_of(one, status)) is not None]
    if not told:
        return f"{method} {path} ({found[0][0]}) is answered {status}, which is not described"
    if method == "HEAD" or status in (204, 304, 416):
        return None
    types = {known for _, response in told for known in response.get("content", {})}
    if media.partition(";")[0].strip() not in types:
        return f"{method} {path} ({told[0][0]}) is answered {status} as {media!r}, not one of {sorted(types)}"
    return None


class Judge:
    """ASGI middleware that raises when an answer is not described.

    Parameters
    ----------
    app
        The application.
    others
        Whether a path, relative to the root, is described elsewhere (the viewer's files).
    """

    def __init__(self, app: ASGIApp, others: Any) -> None:
        self._app = app
        self._others = others

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] == "OPTIONS":
            await self._app(scope, receive, send)
            return
        path = scope["path"].removeprefix(scope.get("root_path", ""))
        told: list[str] = []

        async def watched(message: Message) -> None:
            if message["type"] == "http.response.start":
                media = dict(message["headers"]).get(b"content-type", b"").decode()
                wrong = fault(scope["method"], path, message["status"], media)
                if wrong is not None:
                    told.append(wrong)
            await send(message)

        await self._app(scope, receive, watched)
        if told and not self._others(path.lstrip("/")):
            raise AssertionError(told[0])
