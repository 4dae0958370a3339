"""What can go wrong between a client and a server.

* CannotConnect      a server that cannot be talked to
    * NotAnswering       nothing listens there, or it went away
    * WrongToken         it asks for a token, or for another one
    * TooOld             it speaks another version of the protocol
* Changed            a file that is not what it was when it was opened
"""

from __future__ import annotations

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


class Changed(CoverslipError):
    """A file that is not what it was when it was opened."""

    code = "superseded"
