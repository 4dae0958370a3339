"""Errors as HSDS tells them: one line of text."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable

from starlette.requests import Request
from starlette.responses import Response

from coverslip.core import errors
from coverslip.core.patience import HANGS
from coverslip.engine.files import BEING_WRITTEN
from coverslip.fronts.errors import answering, error_response

RETRY_S = 2
STATUS: dict[type[errors.CoverslipError], int] = {
    errors.NotFound: 404,
    errors.BadRequest: 400,
    errors.Forbidden: 403,
    errors.UnsafeLink: 403,
    errors.TooLarge: 413,
    errors.Unsupported: 501,
    errors.Damaged: 422,
    errors.Unreadable: 403,
    errors.Stopped: 503,
}
BY_CODE = {BEING_WRITTEN: 503, HANGS: 503, "gone": 410, "read_only": 405}


def refusal(error: errors.CoverslipError) -> Response:
    """The answer for an error."""
    status = BY_CODE.get(error.name) or next((STATUS[c] for c in type(error).__mro__ if c in STATUS), 500)
    headers = {"Cache-Control": "no-store"}
    if status == 503:
        headers["Retry-After"] = str(RETRY_S)
    if status == 405:
        headers["Allow"] = "GET, HEAD, OPTIONS"
    text = f"{status}: {error}".replace("\r", " ").replace("\n", " ")
    return Response(text.encode("utf-8", "replace"), status, headers, "text/plain; charset=utf-8")


async def told(request: Request, work: Awaitable[Response]) -> Response:
    """The answer of ``work``, errors as text; ended when the client goes away."""

    async def answered() -> Response:
        try:
            return await work
        except errors.CoverslipError as error:
            return refusal(error)
        except asyncio.CancelledError:
            raise
        except Exception as error:  # noqa: BLE001  (every one becomes an answer)
            seen = error_response(error)
            text = f"{seen.status_code}: Internal Server Error"
            return Response(text, seen.status_code, {"Cache-Control": "no-store"}, "text/plain; charset=utf-8")

    return await answering(request, answered())
