"""The file server beside an HDF5 server: names of neural systems, and their JSON files.

``GET /systems``, ``GET /files/{system}/{file}``: in the words of livn's companion server.
"""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256

from starlette.requests import Request
from starlette.responses import Response

from coverslip.engine.read import Reader
from coverslip.engine.systems import Systems
from coverslip.fronts.errors import answering
from coverslip.fronts.http import Body, reply, text_body, to_json

LIST, FILES = "systems", "files/"
JSON = "application/json"


class SystemsFront:
    """Answers ``/systems`` and ``/files/…``.

    Parameters
    ----------
    systems
        What is on offer.
    reader
        Threads to read in.
    taken
        Whether the first part of a path is something else's, whose answers come first.
    """

    def __init__(self, systems: Systems, reader: Reader, taken: Callable[[str], bool] = lambda _: False) -> None:
        self._systems = systems
        self._reader = reader
        self._taken = taken

    def has(self, path: str) -> bool:
        """Whether a path, relative to the root, is ours."""
        ours = path == LIST or path.startswith(FILES)
        return ours and not self._taken(path.partition("/")[0])

    async def __call__(self, request: Request, path: str) -> Response:
        """Answer one request."""
        return await answering(request, self._answer(request, path))

    async def _answer(self, request: Request, path: str) -> Response:
        body = await self._reader.run(("systems", path), lambda stop: self._made(path), "quick")
        return reply(request.method, request.headers, body)

    def _made(self, path: str) -> Body:
        if path == LIST:
            data = to_json(self._systems.names())
            return text_body(data, JSON, sha256(data).hexdigest()[:32])
        system, _, file = path.removeprefix(FILES).partition("/")
        data, etag = self._systems.file(system, file)
        return text_body(data, JSON, etag)
