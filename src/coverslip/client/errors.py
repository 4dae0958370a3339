"""What can go wrong between a client and a server.

* CannotConnect      a server that cannot be talked to
    * NotAnswering       nothing listens there, or it went away
    * WrongToken         it asks for a token, or for another one
    * TooOld             it speaks another version of the protocol
    * NotUnderstood      it answers what no server of ours does
* Changed            a file that is not what it was when it was opened
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from coverslip.core.errors import CoverslipError


class CannotConnect(CoverslipError):
    """A server that cannot be talked to."""

    code = "cannot_connect"


class NotAnswering(CannotConnect):
    """Nothing listens there, or it went away."""

    code = "not_answering"


class WrongToken(CannotConnect):
    """The server asks for a token, or for another one."""

    code = "wrong_token"


class TooOld(CannotConnect):
    """The server speaks another version of the protocol."""

    code = "too_old"


class NotUnderstood(CannotConnect):
    """The server answers what no server of ours does."""

    code = "not_understood"


NONSENSE = (
    KeyError, TypeError, ValueError, AttributeError, IndexError, ArithmeticError, RecursionError,
    SyntaxError,  # numpy's, of what is no dtype
)  # fmt: skip


@contextmanager
def understanding() -> Iterator[None]:
    """Say that an answer makes no sense, whatever Python says of it.

    Raises
    ------
    NotUnderstood
        In place of what is raised inside.
    """
    try:
        yield
    except NONSENSE as error:
        raise NotUnderstood("The server's answer makes no sense", "Is it a server of images, and as new?") from error


class Changed(CoverslipError):
    """A file that is not what it was when it was opened."""

    code = "superseded"
