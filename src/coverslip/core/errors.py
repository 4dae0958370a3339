"""Everything that can go wrong, as one small tree.

* CoverslipError
    * NotFound           a path, a source, a field, a gene that is not there
    * Ambiguous          a name that several things answer to
    * UnknownFormat      a file that no format recognises
    * Damaged            a file that claims a format and does not keep it
    * Unreadable         a file the system will not let us read
    * Unsupported        a valid file using something coverslip does not read
    * UnsafeLink         a link that leads outside the data that was offered
    * BadRequest         a request that cannot be understood
        * Invalid        a document of which some keys cannot be used
    * TooLarge           a request for more than one answer may hold
    * TimedOut           work that took longer than it may
    * Forbidden          a request that is not allowed here
    * BadUsage           options that contradict each other, or cannot be
    * DiskFull           something to be kept, and no room for it
    * CannotListen       an address or port that cannot be served on
    * Stopped            work nobody waits for any more
"""

from __future__ import annotations

from typing import ClassVar


class CoverslipError(Exception):
    """An error with a stable code and a next step.

    Parameters
    ----------
    message
        What is wrong, in one line, without a path that the reader did not give.
    hint
        What to do next, in one line.
    code
        Stable machine-readable name; the class's own when left out.
    """

    code: ClassVar[str] = "error"
    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, hint: str = "", code: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.name = code or self.code

    def __str__(self) -> str:
        stop = "" if not self.hint or self.message.endswith((".", "?", "!")) else "."
        text = f"{self.message}{stop} {self.hint}" if self.hint else self.message
        # What a client sent and what a file holds may stand in it, with lines of its own.
        return " ".join(text.splitlines())


class NotFound(CoverslipError):
    """A path, a source, a field or a gene that is not there."""

    code = "not_found"


class Ambiguous(CoverslipError):
    """A name that several things answer to."""

    code = "ambiguous"


class UnknownFormat(CoverslipError):
    """A file that no format recognises."""

    code = "unknown_format"


class Damaged(CoverslipError):
    """A file that claims a format and does not keep it: truncated, corrupt, inconsistent."""

    code = "damaged"


class Unreadable(CoverslipError):
    """A file the operating system will not let us read."""

    code = "unreadable"


class Unsupported(CoverslipError):
    """A valid file using something that coverslip does not read."""

    code = "unsupported"


class UnsafeLink(CoverslipError):
    """A link that leads outside the data that was offered."""

    code = "unsafe_link"


class BadRequest(CoverslipError):
    """A request that cannot be understood."""

    code = "bad_request"


class Invalid(BadRequest):
    """A document of which some keys cannot be used.

    Attributes
    ----------
    faults
        Each of the keys, and what is wrong with it.
    """

    code = "invalid"

    def __init__(self, faults: list[tuple[str, str]], hint: str = "") -> None:
        told = "; ".join(f"{place}: {what}" if place else what for place, what in faults)
        super().__init__(told, hint)
        self.faults = faults


class TooLarge(CoverslipError):
    """A request for more than one answer may hold."""

    code = "too_large"


class TimedOut(CoverslipError):
    """Work that took longer than it may."""

    code = "timed_out"


class Forbidden(CoverslipError):
    """A request that is not allowed here."""

    code = "forbidden"


class BadUsage(CoverslipError):
    """Options that contradict each other, or cannot be."""

    code = "bad_usage"
    exit_code = 2


class DiskFull(CoverslipError):
    """Something that is to be kept, and a disk without room for it."""

    code = "disk_full"


class CannotListen(CoverslipError):
    """An address or a port that cannot be served on."""

    code = "cannot_listen"


class Stopped(CoverslipError):
    """Work that nobody waits for any more."""

    code = "stopped"
