"""Which HTTP status an error becomes, for every front that speaks HTTP."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable

from starlette.requests import Request
from starlette.responses import Response

from coverslip.core import errors
from coverslip.fronts.people import is_person, page
from coverslip.fronts.tokens import problem

LOG = logging.getLogger("coverslip.http")
CLIENT_GONE = 499
WATCH_AFTER_S = 0.02

STATUS: dict[type[errors.CoverslipError], int] = {
    errors.NotFound: 404,
    errors.Ambiguous: 409,
    errors.Invalid: 422,
    errors.BadRequest: 400,
    errors.Forbidden: 403,
    errors.UnsafeLink: 403,
    errors.TooLarge: 413,
    errors.TimedOut: 408,
    errors.Unsupported: 422,
    errors.UnknownFormat: 422,
    errors.DiskFull: 507,
    errors.Damaged: 502,
    errors.Unreadable: 502,
    errors.Stopped: 503,
}
BY_CODE = {
    "bad_selection": 422,
    "not_a_picture": 422,
    "no_config_file": 409,
    "no_token": 409,
    "not_writable": 403,
    "changed_meanwhile": 412,
    "not_json": 415,
    "superseded": 404,
    "unavailable": 503,
    "busy": 503,
    "storage_hangs": 503,
    "job_running": 409,
    "job_failed": 409,
    "job_cancelled": 409,
    "no_such_file": 404,
}


async def answering(request: Request, work: Awaitable[Response]) -> Response:
    """The answer of ``work``, an error as every front tells it; ended when the client goes away."""
    loop, mine = asyncio.get_running_loop(), asyncio.current_task()
    watches: list[asyncio.Task[None]] = []
    gone = False

    async def watch() -> None:
        nonlocal gone
        while (await request.receive())["type"] != "http.disconnect":
            pass
        gone = True
        if mine is not None:
            mine.cancel()

    # Most answers are there before it is worth a task to see whether anybody still waits for them.
    later = loop.call_later(WATCH_AFTER_S, lambda: watches.append(loop.create_task(watch())))
    try:
        return await work
    except asyncio.CancelledError:
        if not gone or mine is None or mine.uncancel():
            raise
        return Response(status_code=CLIENT_GONE)
    except Exception as error:  # noqa: BLE001  (every one becomes an answer)
        answer = error_response(error)
        if isinstance(error, errors.CoverslipError) and is_person(request):
            return page(request, answer.status_code, error.message)
        return answer
    finally:
        later.cancel()
        for running in watches:
            running.cancel()


def error_response(error: Exception) -> Response:
    """An answer for any error; what we did not foresee is logged and told without its details."""
    if isinstance(error, errors.CoverslipError):
        status = BY_CODE.get(error.name) or next((STATUS[c] for c in type(error).__mro__ if c in STATUS), 500)
        return problem(status, error.name, error.message, error.hint)
    LOG.error("unforeseen error", exc_info=error)
    return problem(
        500, "internal", "Something went wrong in the server", "Run it with --verbose and report what it prints."
    )
