"""What whoever asks may do, and how that is written in links and cookies: sealed, so that nobody makes one up."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import math
import struct
from dataclasses import dataclass, field
from typing import Literal

Scope = Literal["admin", "read", "share"]
WIDTH: dict[Scope, int] = {"share": 0, "read": 1, "admin": 2}
SEAL_BYTES = 24
PLACE_BYTES = 8
ID_BYTES = 8
LINK, COOKIE = "s2.", "c2."
"""What a link's seal begins with, and the cookie's that is made of it: neither can be shown in place of the other."""
MOST_LINK = 1024
HEAD = struct.Struct(">Q8s8s")
"""When it ends, the place of its source, its id; the id of the source follows."""


@dataclass(frozen=True, slots=True)
class Right:
    """What whoever asks may do.

    Attributes
    ----------
    scope
        ``admin``: everything; ``read``: read what is offered and change nothing; ``share``: read one source, and not
        know of any other.
    source
        Its id, of ``share``.
    place
        Tells the file that was shared from another one that has its id later.
    ends_s
        Until when, in seconds since 1970.
    ring
        Which tokens it came from (`Keys.holds`).
    link
        The id of the link that gave it.
    """

    scope: Scope
    source: str = ""
    place: bytes = b""
    ends_s: float = math.inf
    ring: int = 0
    link: str = ""

    @property
    def who(self) -> str:
        """Tells those apart who may not end each other's work."""
        return f"{self.scope} {self.source}"


FULL = Right("admin")


@dataclass(frozen=True)
class Ring:
    """The tokens of a server at one time."""

    number: int
    token: str = field(repr=False)
    read_token: str | None = field(repr=False)
    key: bytes = field(repr=False)
    until_s: float = math.inf

    @property
    def tokens(self) -> tuple[tuple[Scope, str], ...]:
        """Both, with what they open."""
        return (("admin", self.token), *((("read", self.read_token),) if self.read_token is not None else ()))

    def cookie(self, token: str) -> str:
        """What a browser keeps instead of a token."""
        return hmac.new(self.key, token.encode(), hashlib.sha256).hexdigest()

    def sealed(self, text: str) -> str:
        """A text with its seal, of this server and of this token."""
        own = hmac.digest(self.key, b"coverslip share 1\0" + self.token.encode(), "sha256")
        return f"{text}.{_written(hmac.digest(own, text.encode(), 'sha256')[:SEAL_BYTES])}"

    def place(self, where: str) -> bytes:
        """A place, so that nobody reads it from a link."""
        own = hmac.digest(self.key, b"coverslip place 1\0" + self.token.encode(), "sha256")
        return hmac.digest(own, where.encode("utf-8", "surrogateescape"), "sha256")[:PLACE_BYTES]

    @property
    def mark(self) -> str:
        """Tells the token that opens everything from others, and tells nothing of it."""
        return hmac.digest(self.key, b"coverslip links 1\0" + self.token.encode(), "sha256")[:ID_BYTES].hex()


def widest(rights: list[Right]) -> Right | None:
    """The one that opens most."""
    return max(rights, key=lambda right: WIDTH[right.scope], default=None)


def packed(right: Right) -> str:
    """A link's right as a text, to be sealed."""
    head = HEAD.pack(int(right.ends_s), right.place, bytes.fromhex(right.link))
    return _written(head + right.source.encode("utf-8", "surrogateescape"))


def unpacked(text: str, ring: Ring) -> Right | None:
    """The right that a sealed text holds; None when it holds none."""
    try:
        data = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
        ends_s, place, id = HEAD.unpack_from(data)
        source = data[HEAD.size :].decode("utf-8", "surrogateescape")
    except (binascii.Error, struct.error, UnicodeDecodeError):
        return None
    return Right("share", source, place, min(float(ends_s), ring.until_s), ring.number, id.hex())


def link_id(shown: str) -> str | None:
    """The id of the link in an address or a secret that somebody pasted; None when it is none. Nothing is checked."""
    secret = shown.strip().rpartition("share=")[2]
    parts = secret.split(".")
    if not secret.startswith(LINK) or len(parts) != 3 or len(secret) > MOST_LINK:
        return None
    try:
        data = base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4))
        return str(HEAD.unpack_from(data)[2].hex())
    except (ValueError, struct.error):
        return None


def _written(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
