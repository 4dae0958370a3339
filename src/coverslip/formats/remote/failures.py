"""What goes wrong with remote objects, in coverslip's words: no address with a secret, no library's own text."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TypeVar

from coverslip.core.errors import CoverslipError, Damaged, NotFound, TimedOut, Unreadable, Unsupported

T = TypeVar("T")
STATUS = re.compile(r"status code: (\d{3})")
REGION = re.compile(r"<Region>([a-z0-9-]{1,40})</Region>")
NO_RANGES = "no_ranges"
DENIED = "access_denied"
UNREACHABLE = "unreachable"
CHANGED = "changed"


def changed(name: str) -> Damaged:
    """The error for an object that is another one than was opened."""
    return Damaged(f"{name} was changed while it was read", "Ask again.", CHANGED)


def missing(name: str) -> NotFound:
    """The error for an object that is not there."""
    return NotFound(f"There is nothing at {name}", "Check the spelling; names of objects are case-sensitive.")


def guarded(name: str, identity: str, work: Callable[[], T]) -> T:
    """The result of ``work``, whose failures are told as coverslip's.

    The library's errors hold whole addresses; not even as a cause are they kept.

    Parameters
    ----------
    name
        What is read, as it may be shown.
    identity
        The name of the profile that was used.
    """
    from obstore.exceptions import BaseError

    try:
        return work()
    except CoverslipError:
        raise
    except (BaseError, OSError, ValueError) as error:
        told = explained(error, name, identity)
    raise told


def explained(error: Exception, name: str, identity: str) -> CoverslipError:
    """The error to raise for one of obstore's."""
    text = str(error)
    kind = type(error).__name__
    status = int(found[1]) if (found := STATUS.search(text)) else 0
    if "NoSuchBucket" in text:
        return NotFound(f"The bucket of {name} does not exist", "Check its spelling, and the endpoint_url.")
    if region := REGION.search(text):
        return Unreadable(f"{name} is in another region", f"Give region = {region[1]!r} in the credentials profile.")
    if status in (301, 302, 303, 307, 308):
        return Unreadable(
            f"{name} is somewhere else, where coverslip does not follow", "Use the address it moved to, or its region."
        )
    if kind == "FileNotFoundError" or status in (404, 410):
        return missing(name)
    if kind in ("PermissionDeniedError", "UnauthenticatedError") or status in (400, 401, 403):
        hint = f"Used was the identity {identity!r}. Is its key right, and a signed address not too old?"
        return Unreadable(f"Access to {name} was denied", hint, DENIED)
    if kind in ("PreconditionError", "NotModifiedError"):
        return changed(name)
    if kind == "NotSupportedError" and "ange" in text:
        return Unsupported(f"The server of {name} sends whole files only", "It is copied instead.", NO_RANGES)
    if status == 416:
        return changed(name)
    return _unreachable(text, name, status)


def _unreachable(text: str, name: str, status: int) -> CoverslipError:
    if status:
        return Unreadable(f"The server of {name} answered with error {status}", "Try again later.", UNREACHABLE)
    if "kind: Timeout" in text or "timed out" in text:
        return TimedOut(f"The server of {name} did not answer in time", "Try again later.", UNREACHABLE)
    if "kind: Connect" in text or "kind: Request" in text:
        return Unreadable(
            f"The server of {name} cannot be reached", "Check the host name and the network.", UNREACHABLE
        )
    if "kind: Body" in text or "body error" in text or "kind: Interrupted" in text:
        return Unreadable(f"The connection to {name} broke", "Try again.", UNREACHABLE)
    return Unreadable(f"{name} cannot be read", "Check the address, the network and the keys.", UNREACHABLE)
