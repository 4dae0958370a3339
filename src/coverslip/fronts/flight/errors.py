"""Which Flight error an error becomes. pyarrow has no class for most codes of gRPC; clients read ``extra_info``."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar, cast

from coverslip.core import errors
from coverslip.core.patience import HANGS

LOG = logging.getLogger("coverslip.flight")
T = TypeVar("T")

CODES: dict[type[errors.CoverslipError], str] = {
    errors.NotFound: "NOT_FOUND",
    errors.BadRequest: "INVALID_ARGUMENT",
    errors.TooLarge: "INVALID_ARGUMENT",
    errors.Ambiguous: "INVALID_ARGUMENT",
    errors.Forbidden: "PERMISSION_DENIED",
    errors.UnsafeLink: "PERMISSION_DENIED",
    errors.UnknownFormat: "FAILED_PRECONDITION",
    errors.Unsupported: "UNIMPLEMENTED",
    errors.Damaged: "DATA_LOSS",
    errors.DiskFull: "RESOURCE_EXHAUSTED",
    errors.Unreadable: "FAILED_PRECONDITION",
    errors.TimedOut: "DEADLINE_EXCEEDED",
    errors.Stopped: "CANCELLED",
}
MOST_CHARACTERS = 500
"""Of a message: gRPC escapes what is not ASCII, and drops an error of more than 8 KiB."""
ABSENT = frozenset({"annotations_unavailable", "no_state", "busy", HANGS})
"""Codes of parts of the server, or storage, that cannot be had now."""


class Unauthenticated(errors.CoverslipError):
    """A call without the right token, or with a seal that does not hold."""

    code = "unauthenticated"


class Unavailable(errors.CoverslipError):
    """Something that is not there now: a source that is not resolved, a part of the server that is off."""

    code = "unavailable"


class Superseded(errors.CoverslipError):
    """A ticket of a source that changed since."""

    code = "superseded"


def flight_error(error: Exception) -> Exception:
    """The error as pyarrow sends it. What we did not foresee is logged and told without its details.

    Any other exception would reach the client with its traceback.
    """
    from pyarrow import flight

    if isinstance(error, flight.FlightError):
        return cast(Exception, error)
    if not isinstance(error, errors.CoverslipError):
        LOG.error("unforeseen error", exc_info=error)
        told = "Something went wrong in the server. Its log says what; please report it."
        return _made(flight.FlightInternalError, told, "INTERNAL", "internal")
    code = next((CODES[c] for c in type(error).__mro__ if c in CODES), "FAILED_PRECONDITION")
    if isinstance(error, Unauthenticated):
        return _made(flight.FlightUnauthenticatedError, str(error), "UNAUTHENTICATED", error.name)
    if isinstance(error, Unavailable) or error.name in ABSENT:
        return _made(flight.FlightUnavailableError, str(error), "UNAVAILABLE", error.name)
    if isinstance(error, errors.Stopped):
        return _made(flight.FlightCancelledError, str(error), code, error.name)
    if isinstance(error, errors.TimedOut):
        return _made(flight.FlightTimedOutError, str(error), code, error.name)
    if code == "PERMISSION_DENIED":
        return _made(flight.FlightUnauthorizedError, str(error), code, error.name)
    return _made(flight.FlightServerError, str(error), code, error.name)


def _made(kind: Callable[..., Exception], message: str, code: str, reason: str) -> Exception:
    message = message[:MOST_CHARACTERS].encode("utf-8", "replace").decode()  # names on disk need not be text
    return kind(message, extra_info=json.dumps({"code": code, "reason": reason}).encode())


@contextmanager
def told() -> Iterator[None]:
    """Every error that leaves this block is one that Flight sends well."""
    try:
        yield
    except Exception as error:  # noqa: BLE001  (every one becomes an answer)
        raise flight_error(error) from None


def telling(results: Iterator[T]) -> Iterator[T]:
    """The same results, errors between them told well."""
    with told():
        yield from results


def parsed(kind: Any, data: bytes, what: str) -> Any:
    """A message of protobuf.

    Raises
    ------
    BadRequest
        When the bytes are not one.
    """
    from google.protobuf.message import DecodeError

    try:
        return kind.FromString(data)
    except (DecodeError, ValueError) as error:
        hint = "Use the ticket or descriptor as the server gave it."
        raise errors.BadRequest(f"This is no {what}", hint, "malformed") from error
