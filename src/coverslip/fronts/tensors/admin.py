"""What who runs a server asks of it: how it does, what it was started with, what lies in the offered folders."""

from __future__ import annotations

import os
import platform
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any, Protocol

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from coverslip.core.errors import BadRequest, Forbidden, Invalid, TooLarge
from coverslip.engine.cache import ByteCache
from coverslip.engine.catalog import Catalog
from coverslip.engine.diagnostics import BROKEN, Diagnostics
from coverslip.engine.read import Reader
from coverslip.fronts.errors import CLIENT_GONE, answering, error_response
from coverslip.fronts.http import matches, to_json
from coverslip.fronts.tensors.body import body_of, object_in
from coverslip.fronts.tensors.browse import listing
from coverslip.fronts.tokens import client_of, not_done, problem

CONFIG, DIAGNOSTICS, STATUS, BROWSE = "api/config", "api/diagnostics", "api/admin/status", "api/admin/browse"
PATHS = frozenset({CONFIG, DIAGNOSTICS, STATUS, BROWSE})
NOTED = ("api/", "zarr/")
"""What answers about data begin with."""
PATIENCE_S = 1.0
"""Between two looks at the diagnostics by one client."""
MOST_CLIENTS = 1000
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096
NO_FILE = "Start it with --config FILE to change its configuration here."


class Configuration(Protocol):
    """The configuration file of a server."""

    name: str

    @property
    def writable(self) -> bool:
        """Whether it may be written."""

    @property
    def etag(self) -> str:
        """Differs whenever its text does."""

    def shown(self) -> dict[str, Any]:
        """What it says, without its secrets."""

    def save(self, given: Mapping[str, Any]) -> bool:
        """Write what it shall say; whether that is other than what it said when the server began."""


class AdminFront:
    """Answers ``/api/diagnostics``, ``/api/config`` and ``/api/admin/…``.

    Parameters
    ----------
    catalog, reader
        What is on offer, and threads to look at it.
    diagnostics, caches
        What is told of answers, and of those that are kept.
    configuration
        The file that the server was started with, or None.
    effective, schema
        What the server runs with, and what a file may say.
    version
        Ours.
    """

    def __init__(
        self,
        catalog: Catalog,
        reader: Reader,
        diagnostics: Diagnostics,
        caches: Sequence[ByteCache[Any]],
        configuration: Configuration | None,
        effective: Mapping[str, Any],
        schema: Callable[[], Mapping[str, Any]],
        version: str,
    ) -> None:
        self._catalog = catalog
        self._reader = reader
        self._diagnostics = diagnostics
        self._caches = caches
        self._configuration = configuration
        self._effective = effective
        self._schema = schema
        self._version = version
        self._looked: OrderedDict[str, float] = OrderedDict()

    def has(self, path: str) -> bool:
        """Whether a path, relative to the root, is ours."""
        return path in PATHS

    def takes(self, path: str) -> bool:
        """Whether at a path more is done than read."""
        return path == CONFIG

    async def __call__(self, request: Request, path: str) -> Response:
        """Answer one request."""
        if request.method not in ("GET", "HEAD") and not (path == CONFIG and request.method == "PUT"):
            return not_done("GET, HEAD, PUT" if path == CONFIG else "GET, HEAD")
        try:
            content = await _sent(request) if request.method == "PUT" else {}
        except (TooLarge, BadRequest) as error:
            return error_response(error)
        except ClientDisconnect:
            return Response(status_code=CLIENT_GONE)
        return await answering(request, self._answer(request, path, content))

    async def _answer(self, request: Request, path: str, content: dict[str, Any]) -> Response:
        match path:
            case "api/diagnostics":
                return self._told_diagnostics(request)
            case "api/config":
                _check_same_origin(request)
                return await (self._save(request, content) if request.method == "PUT" else self._config(request))
            case "api/admin/status":
                return _json(request, await self._reader.run("status", lambda stop: self._status(), "quick"))
        where = request.query_params.get("path", "")
        roots = self._catalog.roots
        return _json(request, await self._reader.run(("browse", where), lambda stop: listing(roots, where), "query"))

    # -- how it does -------------------------------------------------------------------------------------------------

    def _told_diagnostics(self, request: Request) -> Response:
        now, client = time.monotonic(), client_of(request.scope)
        wait_s = self._looked.get(client, -PATIENCE_S) + PATIENCE_S - now
        if wait_s > 0:
            hint = "Ask once a second at most."
            return problem(429, "too_often", "The diagnostics were asked for a moment ago", hint, {"Retry-After": "1"})
        self._looked[client] = now
        self._looked.move_to_end(client)
        if len(self._looked) > MOST_CLIENTS:
            self._looked.popitem(last=False)
        last = self._diagnostics.last_failure
        failure = last and {
            "time": _stamp(last.time_s),
            "status": last.status,
            "code": last.code,
            "message": last.message,
            "path": last.path,
        }
        return _json(
            request,
            {
                "timestamp": _stamp(time.time()),
                "uptime_seconds": round(self._diagnostics.uptime_s, 3),
                "requests": self._diagnostics.told(),
                "cache": self._told_cache(),
                "last_error": failure,
            },
        )

    def _told_cache(self) -> dict[str, Any]:
        hits, misses = sum(c.hits for c in self._caches), sum(c.misses for c in self._caches)
        return {
            "hits": hits,
            "misses": misses,
            "hit_rate": round(hits / (hits + misses), 4) if hits + misses else None,
            "entries": sum(c.count for c in self._caches),
            "bytes": sum(c.nbytes for c in self._caches),
        }

    def _status(self) -> dict[str, Any]:
        return {
            "status": "ok",
            "service": "coverslip",
            "version": self._version,
            "pid": os.getpid(),
            "python": platform.python_version(),
            "platform": platform.system(),
            "started_at": _stamp(self._diagnostics.started_s),
            "uptime_seconds": round(self._diagnostics.uptime_s, 3),
            "memory_bytes": memory_bytes(),
            "config": self._configuration.name if self._configuration is not None else None,
            "server": self._effective["server"],
            "catalog": self._catalog.counts(),
        }

    # -- what it was started with ------------------------------------------------------------------------------------

    async def _config(self, request: Request) -> Response:
        told, etag = await self._reader.run("config", lambda stop: self._shown(), "quick")
        headers = {"ETag": f'"{etag}"', "Cache-Control": "no-store"}
        if matches(request.headers.get("if-none-match"), {headers["ETag"]}):
            return Response(status_code=304, headers=headers)
        return _json(request, told, headers)

    def _shown(self) -> tuple[dict[str, Any], str]:
        file = self._configuration
        told = {
            "config": file.shown() if file is not None else {},
            "effective": self._effective,
            "schema": self._schema(),
            "path": file.name if file is not None else None,
            "writable": file is not None and file.writable,
        }
        return told, file.etag if file is not None else sha256(to_json(self._effective)).hexdigest()[:32]

    async def _save(self, request: Request, content: dict[str, Any]) -> Response:
        file = self._configuration
        if file is None:
            raise Forbidden("This server was started without a configuration file", NO_FILE, "no_config_file")
        if not file.writable:
            hint = "Make it, and its folder, writable for who runs the server."
            raise Forbidden(f"{file.name} may not be written", hint, "not_writable")
        known = request.headers.get("if-match")
        wanted = content["config"] if content.keys() == {"config"} and isinstance(content["config"], dict) else content

        def save() -> bool:
            if known is not None and not matches(known, {f'"{file.etag}"'}):
                raise BadRequest(f"{file.name} was changed meanwhile", "GET /api/config again.", "changed_meanwhile")
            return file.save(wanted)

        try:  # never shared: two that say the same are two
            restart = await self._reader.run(("save", object()), lambda stop: save(), "quick")
        except Invalid as error:
            return _refused(error)
        return _json(request, {"saved": True, "restart_required": restart, "path": file.name})


async def _sent(request: Request) -> dict[str, Any]:
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise BadRequest("A PUT here carries JSON", "Send Content-Type: application/json.", "not_json")
    content = await body_of(request)
    if not content:
        raise BadRequest("The body is no configuration", "Send what GET /api/config tells as config, changed.")
    return content


def _check_same_origin(request: Request) -> None:
    """Refuse pages that may read the data and nothing more."""
    origin = request.headers.get("origin")
    if origin is not None and origin.partition("://")[2].lower() != request.headers.get("host", "").lower():
        raise Forbidden("The configuration is for this server's own page", "Open it at the server.", "wrong_origin")


def _refused(error: Invalid) -> Response:
    told = [{"path": place, "message": what} for place, what in error.faults]
    about = {"code": error.name, "message": error.message, "hint": error.hint}
    data = to_json({"detail": "This configuration cannot be used", "errors": told, "error": about})
    return Response(data, 422, {"Cache-Control": "no-store"}, "application/json")


def _json(request: Request, value: Any, headers: Mapping[str, str] | None = None) -> Response:
    data = to_json(value)
    told = {"Cache-Control": "no-store", **(headers or {}), "Content-Length": str(len(data))}
    return Response(b"" if request.method == "HEAD" else data, headers=told, media_type="application/json")


def note(diagnostics: Diagnostics, path: str, seconds: float, response: Response) -> None:
    """Keep how long an answer about data took until it began, and what failed."""
    if not path.startswith(NOTED) or path in PATHS:
        return
    status = response.status_code
    diagnostics.note(seconds, status)
    if status >= BROKEN or status == 408:
        told = (object_in(bytes(response.body)) or {}).get("error")
        about = told if isinstance(told, dict) else {}
        diagnostics.failed(status, str(about.get("code", "")), str(about.get("message", "")), f"/{path[:200]}")


def _stamp(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def memory_bytes() -> int | None:
    """What the process holds of the machine's memory; None where the system does not tell."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE_BYTES
    except (OSError, IndexError, ValueError):
        return None
