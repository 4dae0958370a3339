"""``/api/shares`` makes links to one source, lists them and takes them back; ``/api/admin/token`` changes the token.

See ``docs/reference/access.md``.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Protocol

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from coverslip.core.errors import Ambiguous, BadRequest, BadUsage, NotFound, TooLarge
from coverslip.engine.access import AUTO, check_token, made_token
from coverslip.engine.keys import Keys
from coverslip.engine.links import Note
from coverslip.engine.read import Reader
from coverslip.fronts.errors import CLIENT_GONE, answering, error_response
from coverslip.fronts.http import to_json
from coverslip.fronts.tensors.body import body_of
from coverslip.fronts.tokens import not_done

SHARES, TOKEN = "api/shares", "api/admin/token"
SHARE_S = 7 * 86400.0
METHODS = {SHARES: ("POST", "GET", "HEAD"), TOKEN: ("POST",)}
ONE = ("DELETE",)
MADE = "Leave it out to have one made."
LOG = logging.getLogger("coverslip.access")
FEW = 20
MOST_S = 1e12
LAST_S = 253_402_300_799.0
"""The end of the year 9999, the last of which dates tell."""


class Offer(Protocol):
    """What can be shared; a `Catalog`, and whatever else tells as much."""

    def __contains__(self, id: object) -> bool:
        """Whether there is a source of this id."""

    def entries(self, search: str = "") -> tuple[Sequence[Any], int]:
        """Sources that are found by a word, with ``id``, ``name`` and ``path``, and how many."""

    def where(self, id: str) -> tuple[str, Any]:
        """Where a source is, and what is listed of it."""


class AccessFront:
    """Answers ``/api/shares`` and ``/api/admin/token``; who may ask is decided before.

    Parameters
    ----------
    keys
        What opens the server.
    offer, reader
        What can be shared, and threads to look it up.
    page
        Whether this server has a page that takes a link's secret from behind the ``#`` of its address.
    """

    def __init__(self, keys: Keys, offer: Offer, reader: Reader, page: bool = True) -> None:
        self._keys, self._offer, self._reader, self._page = keys, offer, reader, page

    def has(self, path: str) -> bool:
        """Whether a path, relative to the root, is ours."""
        return path in METHODS or self.takes(path)

    def takes(self, path: str) -> bool:
        """Whether a path is a link's, which can be deleted."""
        return path.startswith(f"{SHARES}/")

    async def __call__(self, request: Request, path: str) -> Response:
        """Answer one request."""
        methods = METHODS.get(path, ONE)
        if request.method not in methods:
            return not_done(", ".join(methods))
        if request.method == "DELETE":
            return await answering(request, self._revoke(path.removeprefix(f"{SHARES}/")))
        if request.method != "POST":
            return await answering(request, self._list(request))
        try:
            content = await body_of(request)
        except TooLarge as error:
            return error_response(error)
        except ClientDisconnect:
            return Response(status_code=CLIENT_GONE)
        work = self._share(content) if path == SHARES else self._rotate(content)
        return await answering(request, work)

    async def _share(self, content: dict[str, Any]) -> Response:
        _check_fields(content, "source", "expires_s", "label")
        wanted, for_s = content.get("source"), number(content, "expires_s", SHARE_S)
        if not isinstance(wanted, str) or not wanted:
            raise BadRequest("The body names no source", 'Send {"source": "ID", "expires_s": 604800}.')
        label = text(content, "label", "Write for whom the link is, or leave it out.") or ""
        self._keys.require()
        id, where, name = await self._reader.run(("shared", wanted), lambda stop: self._found(wanted), "quick")
        made = await asyncio.to_thread(self._keys.share, id, where, for_s, label, name)
        LOG.info("a link to %s was made: %s", id, made.id)
        page = {"fragment": f"#share={made.secret}"} if self._page else {}
        return _told({
            "id": made.id, "source": id, "label": label, "token": made.secret, **page,
            "expires": _date(made.ends_s), "expires_s": made.ends_s,
        })  # fmt: skip

    async def _list(self, request: Request) -> Response:
        self._keys.require()
        # Under a name of its own: who asks after a link was taken back is not told what somebody else asked before.
        notes = await self._reader.run(object(), lambda stop: self._keys.shares(), "quick")
        answer = _told({"shares": [_listed(note) for note in notes]})
        return answer if request.method == "GET" else Response(b"", 200, answer.headers)

    async def _revoke(self, id: str) -> Response:
        self._keys.require()
        note = await asyncio.to_thread(self._keys.revoke, id)
        LOG.info("a link to %s was taken back: %s", note.source, note.id)
        return _told(_listed(note))

    def _found(self, wanted: str) -> tuple[str, str, str]:
        """The id of the source that a person means, by its id or its name, where it is, and its name."""
        id = wanted
        if wanted not in self._offer:
            found = self._offer.entries(search=wanted)[0]
            rows = [row for row in found if wanted in (row.name, row.path, row.name.rpartition(".")[0])]
            if not rows:
                raise NotFound(f"Source not found: {wanted[:200]}", "GET /api/sources lists them.", "source_not_found")
            if len(rows) > 1:
                ids = ", ".join(row.id for row in rows[:FEW])
                raise Ambiguous(f"{len(rows)} sources are called {wanted[:200]}", f"Name one by its id: {ids}.")
            id = rows[0].id
        where, row = self._offer.where(id)
        return id, where, row.name

    async def _rotate(self, content: dict[str, Any]) -> Response:
        _check_fields(content, "token", "read_token", "grace_s")
        token = text(content, "token", MADE) or made_token()
        read = text(content, "read_token", MADE) or (AUTO if self._keys.read_token is not None else None)
        read_token = made_token() if read == AUTO else read
        for one in (token, *([read_token] if read_token is not None else [])):
            try:
                check_token(one)
            except BadUsage as error:
                raise BadRequest(error.message, error.hint, error.name) from error
        grace_s = number(content, "grace_s", 0.0)
        await asyncio.to_thread(self._keys.rotate, token, read_token, grace_s)
        return _told({"token": token, "read_token": read_token, "grace_s": grace_s})


def text(content: dict[str, Any], name: str, hint: str) -> str | None:
    """A text of the body, or None where it is left out.

    Raises
    ------
    BadRequest
        When it is something else.
    """
    value = content.get(name)
    if value is not None and not isinstance(value, str):
        raise BadRequest(f"{name} is a text", hint)
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
    return float(max(min(value, MOST_S), -MOST_S))  # a whole number of JSON may have any number of digits


def _listed(note: Note) -> dict[str, Any]:
    """What is told of a link; its secret is known to nobody but who has it."""
    return {
        "id": note.id, "source": note.source, "name": note.name, "label": note.label,
        "made": _date(note.made_s), "made_s": note.made_s, "expires": _date(note.ends_s), "expires_s": note.ends_s,
        "revoked": _date(note.revoked_s), "revoked_s": note.revoked_s,
    }  # fmt: skip


def _check_fields(content: dict[str, Any], *known: str) -> None:
    """Refuse what is misspelt: a link must not last for a week because nobody read until when it was wanted."""
    for name in content:
        if name not in known:
            raise BadRequest(f"There is no field {name[:40]!r}", f"There is {', '.join(known)}.")


def _date(at_s: float | None) -> str | None:
    if at_s is None:
        return None
    return datetime.fromtimestamp(min(max(at_s, 0.0), LAST_S), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _told(content: dict[str, Any]) -> Response:
    return Response(to_json(content), 200, {"Cache-Control": "no-store"}, "application/json")
