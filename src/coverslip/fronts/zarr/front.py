"""Every image of every format as OME-Zarr 0.5 over HTTP, for clients that read Zarr by its address."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from functools import partial
from hashlib import sha256

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from coverslip.core.ability import RawChunks
from coverslip.core.errors import Damaged, NotFound
from coverslip.core.node import Source
from coverslip.core.stop import Stop
from coverslip.domains.images import Images
from coverslip.engine.cache import ByteCache
from coverslip.engine.catalog import Catalog
from coverslip.engine.read import SHORT_S, Reader
from coverslip.fronts.errors import answering
from coverslip.fronts.http import REVALIDATE, Body, begun, matches, reply, requested_range, text_body, to_json
from coverslip.fronts.zarr.chunks import made, parse, stored
from coverslip.fronts.zarr.documents import document

PREFIX = "zarr/"
DOCUMENT = "zarr.json"
OCTETS = "application/octet-stream"
SMALL_BYTES = 1 << 20
"""A stored chunk up to this size is read whole, whatever part of it is asked for."""
PIECE_BYTES = 8 << 20
"""How much of a stored chunk is read and sent at once."""


@dataclass(frozen=True, eq=False)
class Stored:
    """A large chunk as it is stored: a shard may have gigabytes, of which clients mostly want some kilobytes."""

    chunks: RawChunks
    index: tuple[int, ...]
    size: int
    etag: str
    images: Images
    """Held while the chunk is read, so that its source stays open."""

    def read(self, span: tuple[int, int], stop: Stop) -> bytes:
        """Some of the stored bytes."""
        stop.check()
        data = self.chunks.stored_chunk(self.index, *span)
        if data is None or len(data) != span[1] - span[0]:
            raise Damaged("A chunk changed while it was read", "Try again.")
        return data


class ZarrFront:
    """Answers ``/zarr/{source_id}/…``.

    Parameters
    ----------
    catalog
        What is on offer.
    reader, cache
        Threads to read in, and where metadata is kept.
    images_of
        Finds the images of a source.
    version
        Ours, part of every ETag.
    """

    def __init__(
        self,
        catalog: Catalog,
        reader: Reader,
        cache: ByteCache[Body],
        images_of: Callable[[Source], Images],
        version: str,
    ) -> None:
        self._catalog = catalog
        self._reader = reader
        self._cache = cache
        self._images_of = images_of
        self._version = version

    def has(self, path: str) -> bool:
        """Whether a path, relative to the root, is ours."""
        return path.startswith(PREFIX)

    async def __call__(self, request: Request, path: str) -> Response:
        """Answer one request for a key."""
        return await answering(request, self._answer(request, path.removeprefix(PREFIX)))

    async def _answer(self, request: Request, path: str) -> Response:
        source, _, key = path.partition("/")
        name = key.rpartition("/")[2]
        if name != DOCUMENT and parse(key) is None:
            # Clients probe for older versions of the format (.zgroup); that is no reason to open a file.
            raise NotFound(f"There is no {key[:200]!r} here", "This is Zarr v3: zarr.json.", "key_not_found")
        found = await self._reader.run(
            ("zarr", source, key), lambda stop: self._find(source, key, stop), within_s=SHORT_S
        )
        if isinstance(found, Stored):
            return await self._stored(request, found)
        return reply(request.method, request.headers, found)

    async def _stored(self, request: Request, found: Stored) -> Response:
        headers = {"ETag": f'"{found.etag}"', "Cache-Control": REVALIDATE, "Accept-Ranges": "bytes"}
        if matches(request.headers.get("if-none-match"), {headers["ETag"]}):
            return Response(status_code=304, headers=headers)
        asked = requested_range(request.headers, headers["ETag"], found.size) if request.method == "GET" else None
        first, end = asked or (0, found.size)
        if asked is not None and first >= end:
            return Response(status_code=416, headers={**headers, "Content-Range": f"bytes */{found.size}"})
        if asked is not None:
            headers["Content-Range"] = f"bytes {first}-{end - 1}/{found.size}"
        headers["Content-Length"] = str(end - first)
        status = 200 if asked is None else 206
        if request.method == "HEAD":
            return Response(status_code=status, headers=headers, media_type=OCTETS)
        parts = self._parts(found, first, end)
        if end - first <= PIECE_BYTES:
            return Response(await anext(parts), status, headers, OCTETS)
        return StreamingResponse(await begun(parts), status, headers, OCTETS)

    async def _parts(self, found: Stored, first: int, end: int) -> AsyncIterator[bytes]:
        for start in range(first, max(end, first + 1), PIECE_BYTES):
            work = partial(found.read, (start, min(start + PIECE_BYTES, end)))
            yield await self._reader.run((found, start, end), work)

    def _find(self, source: str, key: str, stop: Stop) -> Body | Stored:
        images, version = self._catalog.open(source).view(self._images_of)
        etag = f"{version}-{sha256(f'zarr {self._version} {key}'.encode()).hexdigest()[:12]}"
        chosen = parse(key)
        if chosen is None:
            return self._document(images, key, etag)
        path, level, index = chosen
        image = images[path]
        if level >= len(image.levels):
            raise NotFound(f"There is no level {level}", "zarr.json tells the levels.", "chunk_not_found")
        array = image.levels[level].array
        raw = stored(array, index)
        if raw is None:
            return Body(made(array, index, stop), OCTETS, etag)
        chunks, size = raw
        large = Stored(chunks, index, size, etag, images)
        return large if size > SMALL_BYTES else Body(large.read((0, size), stop), OCTETS, etag)

    def _document(self, images: Images, key: str, etag: str) -> Body:
        kept = self._cache.get(etag)
        if kept is None:
            content = document(images, key.removesuffix(DOCUMENT).strip("/"))
            kept = text_body(to_json(content), "application/json", etag)
            self._cache.put(etag, kept)
        return kept
