"""Which HTTP status an error becomes."""

from __future__ import annotations

import logging

from starlette.responses import Response

from coverslip.core import errors
from coverslip.fronts.guard import problem

LOG = logging.getLogger("coverslip.http")

STATUS: dict[type[errors.CoverslipError], int] = {
    errors.NotFound: 404,
    errors.Ambiguous: 409,
    errors.BadRequest: 400,
    errors.Forbidden: 403,
    errors.UnsafeLink: 403,
    errors.Unsupported: 422,
    errors.UnknownFormat: 422,
    errors.Damaged: 502,
    errors.Unreadable: 502,
    errors.Stopped: 503,
}


def error_response(error: Exception) -> Response:
    """An answer for any error; what we did not foresee is logged and told without its details."""
    if isinstance(error, errors.CoverslipError):
        return problem(STATUS.get(type(error), 500), error.name, error.message, error.hint)
    LOG.error("unforeseen error", exc_info=error)
    return problem(
        500, "internal", "Something went wrong in the server", "Run it with --verbose and report what it prints."
    )
