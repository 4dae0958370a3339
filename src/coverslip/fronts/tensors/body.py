"""JSON that a request carries."""

from __future__ import annotations

from typing import Any

import msgspec
from starlette.requests import Request

from coverslip.core.errors import TooLarge

MOST_BYTES = 1 << 20


async def body_of(request: Request) -> dict[str, Any]:
    """The JSON object of a request, or an empty one where it is none (told as what is missing in it).

    Raises
    ------
    TooLarge
        When it is more than a question is.
    """
    data = bytearray()
    async for part in request.stream():
        data += part
        if len(data) > MOST_BYTES:
            raise TooLarge(f"The body is over {MOST_BYTES:,} bytes", "A request is a few lines of JSON.")
    return object_in(bytes(data)) or {}


def object_in(data: bytes | str) -> dict[str, Any] | None:
    """The JSON object that a text is, or None."""
    try:
        content = msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return content if isinstance(content, dict) else None
