"""Which HTTP status an error becomes, for every front that speaks HTTP."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable

from starlette.requests import Request
from starlette.responses import Response

from coverslip.core import errors
from coverslip.fronts.guard import problem

LOG = logging.getLogger("coverslip.http")
CLIENT_GONE = 499

STATUS: dict[type[errors.CoverslipError], int] = {
    errors.NotFound: 404,
    errors.Ambiguous: 409,
    errors.BadRequest: 400,
    errors.Forbidden: 403,
    errors.UnsafeLink: 403,
    errors.TooLarge: 413,
    errors.TimedOut: 408,
    errors.Unsupported: 422,
    errors.UnknownFormat: 422,
    errors.Damaged: 502,
    errors.Unreadable: 502,
    errors.Stopped: 503,
}
BY_CODE = {"bad_selection": 422, "not_a_picture": 422}


async def answering(request: Request, work: Awaitable[Response]) -> Response:
    """The answer of ``work``, an error as every front tells it; ended when the client goes away."""
    task = asyncio.ensure_future(work)
    gone = asyncio.create_task(_disconnected(request))
    try:
        await asyncio.wait({task, gone}, return_when=asyncio.FIRST_COMPLETED)
        return task.result() if task.done() else Response(status_code=CLIENT_GONE)
    except Exception as error:  # noqa: BLE001  (every one becomes an answer)
        return error_response(error)
    finally:
        for running in (task, gone):
            running.cancel()


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def error_response(error: Exception) -> Response:
    """An answer for any error; what we did not foresee is logged and told without its details."""
    if isinstance(error, errors.CoverslipError):
        status = BY_CODE.get(error.name) or next((STATUS[c] for c in type(error).__mro__ if c in STATUS), 500)
        return problem(status, error.name, error.message, error.hint)
    LOG.error("unforeseen error", exc_info=error)
    return problem(
        500, "internal", "Something went wrong in the server", "Run it with --verbose and report what it prints."
    )
