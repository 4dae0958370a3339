"""The viewer's files, from inside the package: nothing is ever fetched from elsewhere."""

from __future__ import annotations

import hashlib
import mimetypes
from importlib.resources import files
from importlib.resources.abc import Traversable

from starlette.requests import Request
from starlette.responses import Response

from coverslip.fronts.guard import LOCKED_SCOPE
from coverslip.fronts.http import REVALIDATE, Body, reply, text_body

FOREVER = "public, max-age=31536000, immutable"
"""For files whose name carries a digest of their content."""
TYPES = {
    ".js": "text/javascript",
    ".css": "text/css",
    ".html": "text/html",
    ".svg": "image/svg+xml",
    ".wasm": "application/wasm",
}
MISSING = """<!doctype html><html lang="en"><meta charset="utf-8"><title>coverslip: viewer UI unavailable</title>
<h1>Viewer UI unavailable</h1><p>This installation was made without its viewer. In the checkout, build it with
<code>make build</code>, or install a released wheel. The data is served all the same:
<a href="dataset_identity.json">dataset_identity.json</a>."""


class ViewerFront:
    """Answers the paths of the built viewer, and no others.

    Parameters
    ----------
    notebook
        Whether the page is to talk with a notebook.
    """

    def __init__(self, notebook: bool = False) -> None:
        self._marks = b" data-notebook" if notebook else b""
        folder = files("coverslip") / "_viewer"
        self._files = dict(_walk(folder, "")) if folder.is_dir() else {}
        self._bodies: dict[str, Body] = {}

    @property
    def built(self) -> bool:
        """Whether there is a viewer to serve."""
        return "index.html" in self._files

    def has(self, path: str) -> bool:
        """Whether a path is the viewer's; ``path`` is relative to the root."""
        return path in ("", "index.html") or path in self._files

    async def __call__(self, request: Request, path: str) -> Response:
        """One file, from memory after the first time."""
        path = path or "index.html"
        if path == "index.html" and not self.built:
            return Response(MISSING, 503, {"Cache-Control": "no-store"}, "text/html")
        why = request.scope.get(LOCKED_SCOPE)
        if path == "index.html" and (why is not None or self._marks):
            marks = self._marks + (b' data-locked="%s"' % why.encode() if why is not None else b"")
            page = self._files[path].read_bytes().replace(b"<html", b"<html" + marks, 1)
            return Response(page, 200, {"Cache-Control": "no-store"}, "text/html")
        body = self._bodies.get(path)
        if body is None:
            data = self._files[path].read_bytes()
            digest = hashlib.sha256(data).hexdigest()[:32]
            body = self._bodies[path] = text_body(data, _media_type(path), digest)
        return reply(request.method, request.headers, body, FOREVER if path.startswith("assets/") else REVALIDATE)


def _walk(folder: Traversable, prefix: str) -> list[tuple[str, Traversable]]:
    found = []
    for item in folder.iterdir():
        if item.is_dir():
            found += _walk(item, f"{prefix}{item.name}/")
        else:
            found.append((prefix + item.name, item))
    return found


def _media_type(path: str) -> str:
    suffix = path[path.rfind(".") :]
    return TYPES.get(suffix) or mimetypes.guess_type(path)[0] or "application/octet-stream"
