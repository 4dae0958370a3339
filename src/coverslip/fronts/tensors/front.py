"""Images over HTTP: ``docs/reference/http-images.md``, in the shapes of the tensor server's web side."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Hashable
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

import msgspec
from starlette.datastructures import QueryParams
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response, StreamingResponse

from coverslip.core.errors import BadRequest, NotFound, TooLarge, Unreadable
from coverslip.core.node import Source
from coverslip.core.stop import Stop
from coverslip.domains.cells import Cells, Options
from coverslip.domains.images import Images
from coverslip.domains.render import FORMATS, encode
from coverslip.domains.thumbnails import cells_thumbnail, image_thumbnail, no_thumbnail
from coverslip.domains.tissue import cells_root
from coverslip.engine.cache import ByteCache
from coverslip.engine.catalog import Catalog
from coverslip.engine.memory import give_back
from coverslip.engine.read import SHORT_S, Lane, Reader
from coverslip.engine.sidecar import Shelf
from coverslip.fronts.errors import CLIENT_GONE, answering, error_response
from coverslip.fronts.http import REVALIDATE, Body, begun, matches, reply, text_body, to_json
from coverslip.fronts.tensors import answers, slices, sources
from coverslip.fronts.tensors.answers import Answer, split_id
from coverslip.fronts.tensors.body import body_of
from coverslip.fronts.tensors.select import integer, integers, picture_format
from coverslip.fronts.tensors.streams import AHEAD, FEW, Cut, check_size, cut, stream

FOREVER = "private, max-age=31536000, immutable"
WHOLE_BYTES = 4 << 20
"""Answers up to this size are made in one piece and kept."""
MOST_PIECE_BYTES = 64 << 20
"""Of raw pixels that are not streamed."""
TRIES = 3
"""How often an answer is made of a file that changes meanwhile."""
QUICK_ROWS = 500
"""Longer pages of the list are made beside, so that short questions are answered meanwhile."""
TRIM_S = 1.0
"""How long after the last large block its memory goes back to the system."""
PREFIX = "api/"
HEALTH = ("livez", "readyz", "healthz")
NO_PART = ("v", "token")
"""Parameters that change nothing of an answer's bytes."""
TICKET = "ticket/"
Chunk = Callable[[bytes, Stop], tuple[str, Any]]
Key = tuple[Hashable, ...]
"""What an answer is the answer to, beside the source: equal only for what has equal bytes."""


class ImagesFront:
    """Answers ``/api/…`` and the health checks.

    Parameters
    ----------
    catalog
        What is on offer.
    reader, cache
        Threads to read in, and where answers are kept.
    version
        Ours, part of every ETag.
    slice_bytes
        The largest slice that is answered.
    shelf
        Where levels that files do not store are kept.
    options
        How data sets of cells are read, for their thumbnails.
    dev
        Whether the server runs without a token, for development.
    """

    def __init__(
        self,
        catalog: Catalog,
        reader: Reader,
        cache: ByteCache[Answer],
        version: str,
        slice_bytes: int,
        shelf: Shelf,
        options: Options,
        dev: bool = False,
    ) -> None:
        self._catalog = catalog
        self._reader = reader
        self._cache = cache
        self._version = version
        self._cap = slice_bytes
        self._dev = dev
        self.chunk: Chunk | None = None
        """What a ticket of Arrow Flight stands for, as ``array_id`` and elements; None where Flight is not spoken."""
        self.listening: Callable[[], bool] = lambda: True
        """Whether every protocol that was asked for is spoken by now: Flight begins a moment after HTTP."""
        self._streams = 0
        self._trimming: asyncio.Future[None] | None = None

        def images_of(source: Source) -> Images:
            return Images(source, shelf.sub(f"{source.etag}-{source.generation:x}"))

        def cells_of(source: Source) -> Cells:
            return Cells(cells_root(source.root), options)

        self.images_of = images_of
        self._cells_of = cells_of

    def has(self, path: str) -> bool:
        """Whether a path, relative to the root, is ours."""
        return path.startswith(PREFIX) or path in HEALTH

    async def __call__(self, request: Request, path: str) -> Response:
        """Answer one request."""
        if path in HEALTH:
            return self._health(path)
        try:
            content = await body_of(request) if request.method == "POST" else {}
        except (TooLarge, ClientDisconnect) as error:
            return error_response(error) if isinstance(error, TooLarge) else Response(status_code=CLIENT_GONE)
        return await answering(request, self._answer(request, path.removeprefix(PREFIX), content))

    async def _answer(self, request: Request, path: str, content: dict[str, Any]) -> Response:
        what, _, rest = path.partition("/")
        method = request.method
        if method == "POST":
            match path:
                case "sources/query":
                    return await self._query(request, content)
                case "slice":
                    return await self._slice(request, content)
                case "render":
                    return await self._render(request, content)
            raise NotFound(f"Not found: POST /api/{path[:100]}", "There is slice, render and sources/query.")
        match what:
            case "sources":
                return await self._sources(request, rest)
            case "catalog":
                return _json(method, await self._reader.run("catalog", lambda stop: self._catalog.counts(), "quick"))
            case "tile_info" | "tile" | "statistics":
                return await self._about_image(request, what, rest)
            case "thumbnail":
                return await self._thumbnail(request, rest)
            case "block":
                return await self._block(request, rest)
        raise NotFound(f"Not found: /api/{path[:100]}", "docs/reference/http-images.md lists what there is.")

    # -- health ------------------------------------------------------------------------------------------------------

    def _health(self, path: str) -> Response:
        ready = path == "livez" or self.listening()
        about: dict[str, Any] = {
            "status": "ok" if ready else "degraded",
            "timestamp": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        }
        if path != "livez":
            about |= {
                "ready": ready,
                "dev_mode": self._dev,
                "service": "coverslip",
                "version": self._version,
                "backend_health": {"status": "SERVING" if ready else "NOT_SERVING"},
                "source_count": len(self._catalog),
            }
        status = 503 if path == "readyz" and not ready else 200
        return Response(to_json(about), status, {"Cache-Control": "no-store"}, "application/json")

    # -- the catalog -------------------------------------------------------------------------------------------------

    async def _sources(self, request: Request, rest: str) -> Response:
        if not rest:
            wanted = sources.wanted(request.query_params)
            lane: Lane = "quick" if wanted.limit is not None and wanted.limit <= QUICK_ROWS else "query"
            listed = await self._reader.run(wanted, lambda stop: self._listed(wanted), lane)
            return reply(request.method, request.headers, listed.body, further=listed.headers)
        id, _, part = rest.partition("/")
        if part.startswith(TICKET):
            return await self._ticket(request, id, part.removeprefix(TICKET))
        if part not in ("", "metadata"):
            raise NotFound(
                f"Not found: /api/sources/{rest[:100]}", "There is /api/sources/ID, its metadata and its ticket/HEX."
            )
        if not part:
            one = await self._reader.run(("source", id), lambda stop: sources.one(self._catalog, id), "quick")
            return _json(request.method, one)
        path = request.query_params.get("path", "")
        return await self._made(
            request,
            id,
            ("metadata", path),
            lambda images, etag, stop: _document(answers.metadata(images, path), etag),
        )

    def _listed(self, wanted: sources.Listing) -> Answer:
        """A page of the list; made once while nothing changes, because many pages are open and ask again and again."""
        key = f"sources {self._catalog.revision} {wanted}"
        kept = self._cache.get(key)
        if kept is None:
            rows, total = sources.listed(self._catalog, wanted)
            data = to_json(rows)
            # Not the revision: a page of a list that changed elsewhere is still the same page.
            body = text_body(data, "application/json", sha256(data).hexdigest()[:32])
            kept = Answer(body, sources.counts(total, len(rows)))
            self._cache.put(key, kept)
        return kept

    async def _ticket(self, request: Request, id: str, digits: str) -> Response:
        chunk = self.chunk
        if chunk is None:
            hint = "Start it with --flight, or ask for /api/block."
            raise NotFound("Tickets are of Arrow Flight, which this server does not speak", hint, "no_flight")
        try:
            ticket = bytes.fromhex(digits)
        except ValueError:
            raise BadRequest(
                "A ticket is written in hexadecimal digits", "See docs/reference/http-images.md."
            ) from None
        name, elements = await self._reader.run(("ticket", ticket), lambda stop: chunk(ticket, stop))
        if split_id(name)[0] != id:
            raise NotFound("This ticket is of another source", "The source's id is part of the address.")
        told = answers.raw(elements, sha256(ticket).hexdigest()[:32], ())
        headers = {header: told.headers[header] for header in ("X-Shape", "X-Dtype")}
        return reply(request.method, request.headers, told.body, FOREVER, headers)

    async def _query(self, request: Request, content: dict[str, Any]) -> Response:
        sql = content.get("sql")
        if not isinstance(sql, str) or not sql.strip():
            raise BadRequest("The body has no sql", 'Send {"sql": "SELECT …"}.')
        key = ("sql", self._catalog.revision, sql)
        data, count, truncated = await self._reader.run(key, lambda stop: self._rows(sql), "query")
        headers = sources.counts(len(self._catalog), count)
        headers["X-Truncated"] = "true" if truncated else "false"  # a query may want fewer rows than there are sources
        return Response(data, headers={"Cache-Control": "no-store", **headers}, media_type="application/json")

    def _rows(self, sql: str) -> tuple[bytes, int, bool]:
        rows, truncated = self._catalog.query(sql)
        return to_json(rows), len(rows), truncated

    # -- images ------------------------------------------------------------------------------------------------------

    async def _made(
        self, request: Request, source: str, key: Key, make: Callable[[Images, str, Stop], Answer]
    ) -> Response:
        """An answer from the images of a source, made once for each version of it."""
        expected = request.query_params.get("v")
        started = time.perf_counter()
        answer = await self._answer_of(source, key, make, expected)
        further = {**answer.headers, "Server-Timing": f"app;dur={(time.perf_counter() - started) * 1000:.1f}"}
        cache_control = FOREVER if expected is not None else REVALIDATE
        return reply(request.method, request.headers, answer.body, cache_control, further)

    async def _answer_of(
        self, source: str, key: Key, make: Callable[[Images, str, Stop], Answer], expected: str | None = None
    ) -> Answer:
        def work(stop: Stop) -> Answer:
            for _ in range(TRIES):
                images, version = self._opened(source, expected)
                etag = self._etag(version, key)
                kept = self._cache.get(etag)
                if kept is not None:
                    return kept
                made = make(images, etag, stop)
                if self._opened(source, expected)[1] == version:  # else parts of two versions may be in it
                    self._cache.put(etag, made)
                    return made
            raise Unreadable("The file is being written", "Try again when the writing is done.", "busy")

        return await self._reader.run((source, key, expected), work, within_s=SHORT_S)

    def _opened(self, source: str, expected: str | None) -> tuple[Images, str]:
        images, version = self._catalog.open(source).view(self.images_of)
        if expected is not None and expected != version:
            raise NotFound("This version of the file is gone", "Ask for /api/tile_info again.", "superseded")
        return images, version

    def _etag(self, version: str, key: Key) -> str:
        return f"{version}-{sha256(repr((self._version, key)).encode()).hexdigest()[:12]}"

    async def _about_image(self, request: Request, what: str, id: str) -> Response:
        source, path = split_id(id)
        query = request.query_params
        figures: dict[tuple[str, int | None], Any] = {}  # of channels that are done, when it is begun again

        def make(images: Images, etag: str, stop: Stop) -> Answer:
            image = answers.image_at(images, path)
            match what:
                case "tile":
                    return answers.tile(image, query, etag, stop)
                case "statistics":
                    return answers.figures(image, query, etag, stop, figures)
            version = etag.rpartition("-")[0]
            return _document(answers.tile_info(source, images, image, version), etag)

        return await self._made(request, source, (what, path, _canonical(query)), make)

    async def _thumbnail(self, request: Request, id: str) -> Response:
        source, path = split_id(id)
        query = request.query_params
        size = integer(query.get("size", "256"), "size", 16, 1024)
        form = picture_format(query.get("fmt", "webp"), tuple(FORMATS))
        kind = self._catalog.kind(source)

        def make(images: Images, etag: str, stop: Stop) -> Answer:
            if kind == "cells" and not path:
                cells, _ = self._catalog.open(source).view(self._cells_of)
                picture = cells_thumbnail(cells, size, stop)
            else:
                first = path or next(iter(images.paths), None)
                if first is None:
                    raise no_thumbnail("There is no image in this source")
                picture = image_thumbnail(images[first], size, stop)
            return Answer(Body(encode(picture, form), FORMATS[form], etag))

        return await self._made(request, source, ("thumbnail", path, size, form), make)

    # -- slices ------------------------------------------------------------------------------------------------------

    async def _block(self, request: Request, id: str) -> Response:
        query = request.query_params
        source, path = split_id(id)
        start, stop = integers(query.get("start", ""), "start"), integers(query.get("stop", ""), "stop")
        factors = integers(query.get("scale", ""), "scale")
        how, level = slices.reduction(query.get("reduce", "mean")), integer(query.get("level", "0"), "level")

        def find(images: Images) -> slices.Found:
            image = answers.image_at(images, path)
            return slices.Found(image, cut(image, start or None, stop or None, factors or None, how, level))

        return await self._send(request, source, ("block", path, _canonical(query)), find)

    async def _slice(self, request: Request, content: dict[str, Any]) -> Response:
        wanted = slices.Wanted.read(content)
        key = ("slice", msgspec.json.encode(content))
        return await self._send(
            request, wanted.source, key, lambda images: wanted.find(answers.image_at(images, wanted.path))
        )

    async def _send(self, request: Request, source: str, key: Key, find: Callable[[Images], slices.Found]) -> Response:
        expected = request.query_params.get("v")

        def look(stop: Stop) -> tuple[slices.Found, str, Images]:
            images, version = self._opened(source, expected)
            found = find(images)
            check_size(found.cut, self._cap)
            return found, version, images

        def make(images: Images, etag: str, stop: Stop) -> Answer:
            found = find(images)  # again: the file may have changed since it was looked at
            check_size(found.cut, self._cap)
            return answers.raw(found.cut.read(found.cut.box, stop), etag, found.image.dims)

        found, version, images = await self._reader.run(("look", source, key, expected), look)
        part: Cut = found.cut
        if part.nbytes <= WHOLE_BYTES:
            return await self._made(request, source, key, make)
        etag = self._etag(version, key)
        headers = {
            **answers.raw_headers(part.shape, part.array.spec.dtype, found.image.dims),
            "Cache-Control": FOREVER if expected is not None else REVALIDATE,
            "ETag": f'"{etag}"',
        }
        if matches(request.headers.get("if-none-match"), {headers["ETag"]}):
            return Response(status_code=304, headers=headers)
        headers |= {"Content-Type": answers.OCTETS, "Content-Length": str(part.nbytes)}
        if request.method == "HEAD":
            return Response(headers=headers)
        return StreamingResponse(await begun(self._stream(part, images)), headers=headers)

    async def _stream(self, part: Cut, images: Images) -> AsyncIterator[memoryview]:
        self._streams += 1
        try:
            ahead = AHEAD if self._streams <= FEW else 0
            async for data in stream(part, self._reader, images, ahead):
                yield data
        finally:
            self._streams -= 1
            if not self._streams:
                asyncio.get_running_loop().call_later(TRIM_S, self._trim)

    def _trim(self) -> None:
        if not self._streams:
            self._trimming = asyncio.ensure_future(self._reader.run("trim", lambda stop: give_back(), "slow"))

    async def _render(self, request: Request, content: dict[str, Any]) -> Response:
        wanted, rendering = slices.Wanted.read(content), slices.Rendering.read(content)
        if rendering.form == "raw":
            return await self._slice(request, content)
        return await self._made(request, wanted.source, *_rendered(wanted, rendering, content))

    async def rendered(self, content: dict[str, Any]) -> tuple[Answer, slices.Rendering]:
        """What ``POST /api/render`` answers, and how it was asked to be drawn; raw pixels in one piece.

        Raises
        ------
        CoverslipError
            When it cannot be made, or is too much for one piece.
        """
        wanted, rendering = slices.Wanted.read(content), slices.Rendering.read(content)
        if rendering.form != "raw":
            return await self._answer_of(wanted.source, *_rendered(wanted, rendering, content)), rendering

        def make(images: Images, etag: str, stop: Stop) -> Answer:
            found = wanted.find(answers.image_at(images, wanted.path))
            check_size(found.cut, min(self._cap, MOST_PIECE_BYTES))
            raw = answers.raw(found.cut.read(found.cut.box, stop), etag, found.image.dims)
            return Answer(raw.body, {**raw.headers, **slices.region_header(found)})

        return await self._answer_of(wanted.source, ("raw", msgspec.json.encode(content)), make), rendering


def _rendered(
    wanted: slices.Wanted, rendering: slices.Rendering, content: dict[str, Any]
) -> tuple[Key, Callable[[Images, str, Stop], Answer]]:
    def make(images: Images, etag: str, stop: Stop) -> Answer:
        return rendering.make(wanted.find(answers.image_at(images, wanted.path)), etag, stop)

    return ("render", msgspec.json.encode(content)), make


def _canonical(query: QueryParams) -> Key:
    """What is asked for, in one order; of a name that comes twice the order is kept, since the last one counts."""
    return tuple(sorted((item for item in query.multi_items() if item[0] not in NO_PART), key=lambda item: item[0]))


def _document(value: Any, etag: str) -> Answer:
    return Answer(text_body(to_json(value), "application/json", etag))


def _json(method: str, value: Any) -> Response:
    data = to_json(value)
    headers = {"Cache-Control": "no-store", "Content-Length": str(len(data))}
    return Response(b"" if method == "HEAD" else data, headers=headers, media_type="application/json")
