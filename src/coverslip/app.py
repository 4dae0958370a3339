"""The composition root: settings and sources in, one ASGI application out."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from coverslip import __version__
from coverslip.engine.access import Access, is_loopback
from coverslip.engine.cache import ByteCache
from coverslip.engine.library import Library
from coverslip.engine.read import Reader
from coverslip.formats import open_source, recognise
from coverslip.fronts.cellucid.front import CellsFront
from coverslip.fronts.guard import Guard
from coverslip.fronts.http import Body
from coverslip.fronts.viewer.front import ViewerFront
from coverslip.settings import Settings


def library_of(data: Any) -> Library:
    """What can be served of ``data``: a path, several of them, or an AnnData object.

    Raises
    ------
    CoverslipError
        When a path is missing or of no known format.
    """
    library = Library()
    items = data if isinstance(data, Sequence) and not isinstance(data, str) else [data]
    for item in items:
        if isinstance(item, (str, Path)):
            path = Path(item)
            library.add(path.stem, recognise(path).name, partial(open_source, path), file_name=path.name)
        else:
            from coverslip.formats.trees.anndata_memory import AnnDataSource

            library.add("AnnData", "in-memory", partial(AnnDataSource, item), id="anndata")
    return library


def with_token(settings: Settings) -> Settings:
    """The settings with a token, made up where the address can be reached from elsewhere and none was given."""
    if settings.token or is_loopback(settings.host):
        return settings
    return replace(settings, token=secrets.token_urlsafe(24))


def viewer_built() -> bool:
    """Whether this installation has a viewer; a checkout has none before ``make build``."""
    return ViewerFront().built


def create_app(library: Library, settings: Settings, port: int) -> Starlette:
    """The application that serves ``library`` on ``port``; opens every source once to see that it can be served.

    Raises
    ------
    CoverslipError
        When a source cannot be opened.
    """
    reader = Reader(settings.read_threads)
    cache: ByteCache[Body] = ByteCache(settings.cache_bytes)
    cells = CellsFront(library, reader, cache, settings.cells, __version__, (settings.host, port))
    cells.check()
    viewer = ViewerFront()

    async def answer(request: Request) -> Response:
        path = request.scope["path"].removeprefix(request.scope.get("root_path", "")).lstrip("/")
        return await viewer(request, path) if viewer.has(path) else await cells(request)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        yield
        reader.close()
        library.close()

    access = Access.create(settings.host, settings.token, settings.allow_hosts, settings.allow_origins)
    routes = [Route("/{path:path}", answer, methods=["GET", "HEAD"])]
    return Starlette(routes=routes, middleware=[Middleware(Guard, access=access, port=port)], lifespan=lifespan)
