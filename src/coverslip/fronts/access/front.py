"""``POST /api/shares`` makes a link to one source, ``POST /api/admin/token`` asks for another token from now on.

See ``docs/reference/access.md``.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from coverslip.core.errors import Ambiguous, BadRequest, BadUsage, NotFound, TooLarge
from coverslip.engine.access import AUTO, check_token, made_token
from coverslip.engine.catalog import Catalog
from coverslip.engine.keys import Keys
from coverslip.engine.read import Reader
from coverslip.fronts.errors import CLIENT_GONE, answering, error_response
from coverslip.fronts.http import to_json
from coverslip.fronts.tensors.body import body_of
from coverslip.fronts.tokens import not_done

SHARES, TOKEN = "api/shares", "api/admin/token"
SHARE_S = 7 * 86400.0
FEW = 20


class AccessFront:
    """Answers ``/api/shares`` and ``/api/admin/token``; who may ask is decided before.

    Parameters
    ----------
    keys
        What opens the server.
    catalog, reader
        What can be shared, and threads to look it up.
    """

    def __init__(self, keys: Keys, catalog: Catalog, reader: Reader) -> None:
        self._keys, self._catalog, self._reader = keys, catalog, reader

    def has(self, path: str) -> bool:
        """Whether a path, relative to the root, is ours."""
        return path in (SHARES, TOKEN)

    async def __call__(self, request: Request, path: str) -> Response:
        """Answer one request."""
        if request.method != "POST":
            return not_done("POST")
        try:
            content = await body_of(request)
        except TooLarge as error:
            return error_response(error)
        except ClientDisconnect:
            return Response(status_code=CLIENT_GONE)
        work = self._share(content) if path == SHARES else self._rotate(content)
        return await answering(request, work)

    async def _share(self, content: dict[str, Any]) -> Response:
        wanted, for_s = content.get("source"), number(content, "expires_s", SHARE_S)
        if not isinstance(wanted, str) or not wanted:
            raise BadRequest("The body names no source", 'Send {"source": "ID", "expires_s": 604800}.')
        self._keys.require()
        id, where = await self._reader.run(("shared", wanted), lambda stop: self._found(wanted), "quick")
        secret, ends_s = self._keys.share(id, where, for_s)
        return _told({
            "source": id, "token": secret, "fragment": f"#share={secret}",
            "expires": datetime.fromtimestamp(ends_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"), "expires_s": ends_s,
        })  # fmt: skip

    def _found(self, wanted: str) -> tuple[str, str]:
        """The id of the source that a person means, by its id or its name, and where it is."""
        id = wanted
        if wanted not in self._catalog:
            found = self._catalog.entries(search=wanted)[0]
            rows = [row for row in found if wanted in (row.name, row.path, row.name.rpartition(".")[0])]
            if not rows:
                raise NotFound(f"Source not found: {wanted[:200]}", "GET /api/sources lists them.", "source_not_found")
            if len(rows) > 1:
                ids = ", ".join(row.id for row in rows[:FEW])
                raise Ambiguous(f"{len(rows)} sources are called {wanted[:200]}", f"Name one by its id: {ids}.")
            id = rows[0].id
        return id, self._catalog.where(id)[0]

    async def _rotate(self, content: dict[str, Any]) -> Response:
        token = text(content, "token") or made_token()
        read = text(content, "read_token") or (AUTO if self._keys.read_token is not None else None)
        read_token = made_token() if read == AUTO else read
        for one in (token, *([read_token] if read_token is not None else [])):
            try:
                check_token(one)
            except BadUsage as error:
                raise BadRequest(error.message, error.hint, error.name) from error
        grace_s = number(content, "grace_s", 0.0)
        await asyncio.to_thread(self._keys.rotate, token, read_token, grace_s)
        return _told({"token": token, "read_token": read_token, "grace_s": grace_s})


def text(content: dict[str, Any], name: str) -> str | None:
    """A text of the body, or None where it is left out.

    Raises
    ------
    BadRequest
        When it is something else.
    """
    value = content.get(name)
    if value is not None and not isinstance(value, str):
        raise BadRequest(f"{name} is a text", "Leave it out to have one made.")
    return value


def number(content: dict[str, Any], name: str, default: float) -> float:
    """A number of the body.

    Raises
    ------
    BadRequest
        When it is something else.
    """
    value = content.get(name, default)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise BadRequest(f"{name} is a number of seconds", f'Write {{"{name}": {default:g}}}.')
    return float(min(value, 1e12))


def _told(content: dict[str, Any]) -> Response:
    return Response(to_json(content), 200, {"Cache-Control": "no-store"}, "application/json")
