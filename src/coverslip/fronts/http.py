"""HTTP answers made once and sent many times: conditional requests, ranges, compression.

Source: RFC 9110 sections 8.8.3 (ETag), 13 (conditional requests), 14 (ranges).
"""

from __future__ import annotations

import gzip
import re
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import msgspec
from starlette.responses import Response

T = TypeVar("T")
GZIP_LEVEL = 5
SMALLEST_GZIP_BYTES = 512
LONGEST_NUMBER = 1000
"""Digits of a byte position; Python refuses to read numbers several times longer."""
REVALIDATE = "private, no-cache"
"""Kept by the browser, and asked about again each time; the ETag makes that cheap."""


@dataclass(frozen=True)
class Body:
    """One answer's bytes, and the same compressed where that is worth it.

    Attributes
    ----------
    data
        What is sent; never copied.
    media_type
        ``Content-Type``.
    etag
        Strong validator without its quotes; differs whenever ``data`` does.
    gzipped
        ``data`` as a gzip stream, or None when it is sent as it is.
    """

    data: bytes | memoryview
    media_type: str
    etag: str
    gzipped: bytes | None = None

    @property
    def nbytes(self) -> int:
        """Bytes held."""
        return len(self.data) + len(self.gzipped or b"")


def to_json(value: Any) -> bytes:
    """Compact JSON; NaN and infinities become null."""
    return msgspec.json.encode(value)


def text_body(data: bytes, media_type: str, etag: str) -> Body:
    """A body that is also kept compressed, when that makes it smaller."""
    packed = gzip.compress(data, GZIP_LEVEL, mtime=0) if len(data) >= SMALLEST_GZIP_BYTES else None
    return Body(data, media_type, etag, packed if packed and len(packed) < len(data) else None)


def reply(
    method: str,
    headers: Mapping[str, str],
    body: Body,
    cache_control: str = REVALIDATE,
    further: Mapping[str, str] | None = None,
) -> Response:
    """The response to a ``GET`` or ``HEAD`` for ``body``: 200, 206, 304 or 416; with ``further`` headers."""
    packed = body.gzipped is not None and accepts_gzip(headers.get("accept-encoding", "")) and "range" not in headers
    tags = {f'"{body.etag}"', f'"{body.etag}-gzip"'} if body.gzipped is not None else {f'"{body.etag}"'}
    etag = f'"{body.etag}-gzip"' if packed else f'"{body.etag}"'
    out = {"ETag": etag, "Cache-Control": cache_control, "Accept-Ranges": "bytes", **(further or {})}
    if body.gzipped is not None:
        out["Vary"] = "Accept-Encoding"
    if matches(headers.get("if-none-match"), tags):
        return Response(status_code=304, headers=out)
    data: bytes | memoryview = body.gzipped if packed and body.gzipped is not None else body.data
    status = 200
    if packed:
        out["Content-Encoding"] = "gzip"
    span = requested_range(headers, etag, len(data)) if method == "GET" else None
    if span is not None:
        start, stop = span
        if start >= stop:
            return Response(status_code=416, headers={**out, "Content-Range": f"bytes */{len(data)}"})
        status, out["Content-Range"] = 206, f"bytes {start}-{stop - 1}/{len(data)}"
        data = memoryview(data)[start:stop]
    out["Content-Length"] = str(len(data))
    return Response(b"" if method == "HEAD" else data, status, out, body.media_type)


def accepts_gzip(header: str) -> bool:
    """Whether ``Accept-Encoding`` allows gzip."""
    for part in header.lower().split(","):
        name, _, parameters = part.partition(";")
        if name.strip() in ("gzip", "x-gzip", "*"):
            weight = re.search(r"q\s*=\s*([0-9.]+)", parameters)
            return weight is None or _number(weight[1]) > 0
    return False


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0


def matches(header: str | None, tags: set[str]) -> bool:
    """Whether ``If-None-Match`` names one of our tags (compared weakly, as the RFC asks)."""
    if header is None:
        return False
    given = {tag.strip().removeprefix("W/") for tag in header.split(",")}
    return "*" in given or not given.isdisjoint(tags)


def requested_range(headers: Mapping[str, str], etag: str, size: int) -> tuple[int, int] | None:
    """Start and stop of the one range asked for; an empty one (start ≥ stop) cannot be satisfied.

    None means the whole body: no range, several ranges, one we cannot read, or ``If-Range`` names another version.
    """
    found = re.fullmatch(r"\s*bytes\s*=\s*(\d*)\s*-\s*(\d*)\s*", headers.get("range", ""), re.ASCII | re.IGNORECASE)
    if found is None or found[0].strip().endswith("=-"):
        return None
    if "if-range" in headers and headers["if-range"].strip() != etag:
        return None
    if max(len(found[1]), len(found[2])) > LONGEST_NUMBER:
        return None
    first, last = (int(digits) if digits else None for digits in found.groups())
    if first is None:
        if last is None:
            return None
        return (max(size - last, 0), size) if last else (size, size)
    if last is None:
        return first, size
    return None if last < first else (first, min(last + 1, size))


async def begun(parts: AsyncIterator[T]) -> AsyncIterator[T]:
    """The same parts; the first one is there, so that what cannot be read is told with a status of its own."""
    first = [await anext(parts)]

    async def rest() -> AsyncIterator[T]:
        yield first.pop()  # a part left here would keep the whole piece in memory
        async for part in parts:
            yield part

    return rest()
