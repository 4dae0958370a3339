"""HDF5 files over the protocol of HSDS (the HDF REST API), straight from the files and only to read.

A domain is a file, a folder a folder; what clients ask to be changed is refused. Source: the HDF REST API;
hsds 1.0.2 and h5pyd 0.24 and 1.0 on the wire.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from coverslip.core.errors import BadRequest, Forbidden, NotFound
from coverslip.core.stop import Stop
from coverslip.engine.cache import ByteCache
from coverslip.engine.files import Files
from coverslip.engine.read import SHORT_S, Reader
from coverslip.fronts.hsds import PREFIX, has
from coverslip.fronts.hsds.answers import HSDS_VERSION, JSON_TYPE
from coverslip.fronts.hsds.documents import truth
from coverslip.fronts.hsds.errors import told
from coverslip.fronts.hsds.ids import KINDS
from coverslip.fronts.hsds.objects import Answers
from coverslip.fronts.hsds.read import (
    PIECE_BYTES,
    as_json,
    check_size,
    chosen_fields,
    matching,
    need_elements,
    streamed,
    wanted,
)
from coverslip.fronts.hsds.requests import OCTETS, Asked, asked_of
from coverslip.fronts.hsds.types import JSON
from coverslip.fronts.hsds.values import packed, to_json
from coverslip.fronts.http import Body, begun, reply, text_body

NAMES = ("", "about", "info", "domains", "acls", "groups", "datasets", "datatypes")


class HsdsFront:
    """Answers ``/hsds/…``, or everything that HSDS answers when it is mounted at the root.

    Parameters
    ----------
    files
        Which domains there are: a path is a folder or a file below the roots.
    reader, cache
        Threads to read in, and where descriptions are kept.
    most_bytes
        The largest answer.
    prefix
        Where it is mounted: ``hsds/``, or nothing.
    started_s
        When the server started, in seconds since 1970 (UTC); now where nothing is said.
    """

    def __init__(
        self,
        files: Files,
        reader: Reader,
        cache: ByteCache[Body],
        most_bytes: int,
        prefix: str = PREFIX,
        started_s: int | None = None,
    ) -> None:
        self._answers = Answers(files, cache, most_bytes)
        self._reader = reader
        self._most_bytes = most_bytes
        self._prefix = prefix
        self._started_s = int(time.time()) if started_s is None else started_s

    def has(self, path: str) -> bool:
        """Whether a path, relative to the root, is ours."""
        if not self._prefix:
            return path.partition("/")[0] in NAMES
        return has(path, self._prefix)

    async def __call__(self, request: Request, path: str) -> Response:
        """Answer one request."""
        return await told(request, self._answer(request))

    async def _answer(self, request: Request) -> Response:
        asked = await asked_of(request, self._prefix)
        name, *rest = asked.parts or ("",)
        posted = asked.method == "POST" and ((rest[1:] and rest[-1] in ("value", "links", "attributes")) or not name)
        if asked.method not in ("GET", "HEAD") and not posted:
            raise Forbidden("Data is only read here", "Write to the file itself.", "read_only")
        if name in ("about", "info"):
            return self._json(request, self._about(name))
        if name in KINDS and len(rest) == 2 and rest[1] == "value":
            return await self._value(request, asked, rest[0])
        work = self._works(asked)
        key = (
            "hsds",
            asked.method,
            asked.parts,
            str(request.url.query),
            asked.domain,
            asked.binary,
            asked.base,
            asked.body,
        )
        found = await self._reader.run(key, work, within_s=SHORT_S)
        return reply(request.method, request.headers, found)

    def _works(self, asked: Asked) -> Callable[[Stop], Body]:
        name, *rest = asked.parts or ("",)
        if not name:
            if asked.body:
                return lambda stop: self._answers.many_paths(asked)
            return lambda stop: self._answers.domain(asked, stop)
        if name == "domains" and not rest:
            return lambda stop: self._answers.domains(asked, stop)
        if name == "acls" and len(rest) < 2:
            return lambda stop: self._answers.acls(asked, *rest)
        if name not in KINDS:
            raise NotFound("Not Found")
        if not rest:
            return lambda stop: self._answers.collection(asked, name, stop)
        return lambda stop: self._answers.object(asked, name, rest, stop)

    # --- the server -----------------------------------------------------------------------------------------------

    def _about(self, name: str) -> JSON:
        found: JSON = {
            "start_time": self._started_s,
            "state": "READY",
            "hsds_version": HSDS_VERSION,
            "name": "coverslip",
            "greeting": "Welcome to coverslip!",
            "about": "HDF5 files in place, over the protocol of HSDS",
            "node_count": 1,
            "dn_urls": [],
            "dn_ids": [],
            "username": "anonymous",
            "isadmin": False,
        }
        return found if name == "about" else {**found, "node_type": "sn"}

    def _json(self, request: Request, content: JSON) -> Response:
        data = to_json(content)
        return Response(b"" if request.method == "HEAD" else data, 200, {"Cache-Control": "no-store"}, JSON_TYPE)

    # --- values ---------------------------------------------------------------------------------------------------

    async def _value(self, request: Request, asked: Asked, id: str) -> Response:
        def look(stop: Stop) -> Any:
            documents, _ = self._answers.documents(asked)
            found = wanted(documents, documents.target(id, asked.parts[0]), asked.query, asked.body, asked.media_type)
            check_size(found, self._most_bytes, not asked.binary)
            if not asked.binary:
                content = as_json(found, asked.query, self._most_bytes, stop)
                content["hrefs"] = self._answers.hrefs(
                    asked, self=f"datasets/{id}/value", home="", owner=f"datasets/{id}"
                )
                return text_body(to_json(content, truth(asked.query, "ignore_nan")), JSON_TYPE, "value")
            need_elements(found)
            if found.query is not None:
                rows, _ = matching(found, self._most_bytes, stop)
                return packed(chosen_fields(rows, found), found.type, documents.ids)
            return found if found.exact and found.nbytes > PIECE_BYTES else found.bytes(stop)

        if asked.parts[0] != "datasets":
            raise NotFound("Not Found")
        if asked.method == "POST" and not asked.body:
            raise BadRequest("POST Value with no body")
        key = ("hsds value", asked.parts, request.url.query, asked.domain, asked.media_type, asked.body, asked.binary)
        found = await self._reader.run(key, look, within_s=SHORT_S)
        headers = {"Cache-Control": "no-store"}
        if isinstance(found, Body):
            return reply(request.method, {**request.headers, "if-none-match": ""}, found, "no-store")
        if isinstance(found, (bytes, memoryview)):
            headers["Content-Length"] = str(len(found))
            return Response(b"" if request.method == "HEAD" else found, 200, headers, OCTETS)
        headers["Content-Length"] = str(found.nbytes)
        if request.method == "HEAD":
            return Response(b"", 200, headers, OCTETS)
        return StreamingResponse(await begun(streamed(found, self._reader)), 200, headers, OCTETS)
