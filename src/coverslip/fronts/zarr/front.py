"""Every image of every format as OME-Zarr 0.5 over HTTP, for clients that read Zarr by its address."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from urllib.parse import unquote

from starlette.requests import Request
from starlette.responses import Response

from coverslip.core.errors import NotFound
from coverslip.core.node import Source
from coverslip.core.stop import Stop
from coverslip.domains.images import Images
from coverslip.engine.cache import ByteCache
from coverslip.engine.catalog import Catalog
from coverslip.engine.read import Reader
from coverslip.fronts.errors import answering
from coverslip.fronts.http import REVALIDATE, Body, reply, requested_range, text_body, to_json
from coverslip.fronts.zarr.chunks import made, parse, stored
from coverslip.fronts.zarr.documents import document

PREFIX = "zarr/"
DOCUMENT = "zarr.json"
OCTETS = "application/octet-stream"


@dataclass(frozen=True)
class Part:
    """Some bytes of a stored chunk."""

    data: bytes
    span: tuple[int, int]
    size: int
    etag: str

    def response(self) -> Response:
        """206."""
        first, end = self.span
        headers = {
            "ETag": f'"{self.etag}"',
            "Cache-Control": REVALIDATE,
            "Accept-Ranges": "bytes",
            "Content-Range": f"bytes {first}-{end - 1}/{self.size}",
        }
        return Response(self.data, 206, headers, OCTETS)


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
        return await answering(request, self._answer(request, unquote(path.removeprefix(PREFIX))))

    async def _answer(self, request: Request, path: str) -> Response:
        source, _, key = path.partition("/")
        name = key.rpartition("/")[2]
        if name != DOCUMENT and parse(key) is None:
            # Clients probe for older versions of the format (.zgroup); that is no reason to open a file.
            raise NotFound(f"There is no {key[:200]!r} here", "This is Zarr v3: zarr.json.", "key_not_found")
        headers = request.headers
        part = headers.get("range", ""), headers.get("if-range", "")

        def work(stop: Stop) -> Body | Part:
            return self._find(source, key, headers, stop)

        found = await self._reader.run(f"zarr {path} {part}", work)
        if isinstance(found, Part):
            return found.response()
        return reply(request.method, headers, found)

    def _find(self, source: str, key: str, headers: Mapping[str, str], stop: Stop) -> Body | Part:
        images, version = self._catalog.open(source).view(self._images_of)
        etag = f"{version}-{sha256(f'zarr {self._version} {key}'.encode()).hexdigest()[:12]}"
        chosen = parse(key)
        if chosen is None:
            return self._document(images, key, etag)
        path, level, index = chosen
        image = images[path]
        if level >= len(image.levels):
            raise NotFound(f"There is no level {level}", "zarr.json tells the levels.", "chunk_not_found")
        stop.check()
        array = image.levels[level].array
        raw = stored(array, index)
        if raw is None:
            return Body(made(array, index), OCTETS, etag)
        chunks, size = raw
        span = requested_range(headers, f'"{etag}"', size)
        if span is not None and span[0] < span[1]:  # a few kilobytes of a shard of gigabytes
            data = chunks.stored_chunk(index, *span)
            return Part(data or b"", span, size, etag)
        return Body(chunks.stored_chunk(index) or b"", OCTETS, etag)

    def _document(self, images: Images, key: str, etag: str) -> Body:
        kept = self._cache.get(etag)
        if kept is None:
            content = document(images, key.removesuffix(DOCUMENT).strip("/"))
            kept = text_body(to_json(content), "application/json", etag)
            self._cache.put(etag, kept)
        return kept
