"""``/api/openapi.json``: what the server answers, for programs."""

from __future__ import annotations

from hashlib import sha256

from starlette.requests import Request
from starlette.responses import Response

from coverslip.engine.read import Reader
from coverslip.fronts.errors import answering
from coverslip.fronts.http import Body, reply, text_body, to_json
from coverslip.fronts.tokens import not_done

PATH = "api/openapi.json"


class OpenApiFront:
    """Answers ``/api/openapi.json``.

    Parameters
    ----------
    reader
        Threads to make it in.
    version
        Ours.
    notebook
        Whether the server talks with a notebook.
    """

    def __init__(self, reader: Reader, version: str, notebook: bool = False) -> None:
        self._reader = reader
        self._version = version
        self._notebook = notebook

    def has(self, path: str) -> bool:
        """Whether a path, relative to the root, is ours."""
        return path == PATH

    async def __call__(self, request: Request, path: str) -> Response:
        """Answer one request."""
        if request.method not in ("GET", "HEAD"):
            return not_done("GET, HEAD")
        return await answering(request, self._answer(request))

    async def _answer(self, request: Request) -> Response:
        root = request.scope.get("root_path", "").rstrip("/")
        body = await self._reader.run(("openapi", root), lambda stop: self._made(root), "quick")
        return reply(request.method, request.headers, body)

    def _made(self, root: str) -> Body:
        from coverslip.fronts.openapi.document import document

        data = to_json(document(self._version, root, self._notebook))
        return text_body(data, "application/json", sha256(data).hexdigest()[:32])
