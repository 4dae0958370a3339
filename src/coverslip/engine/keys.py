"""What opens a server: its tokens, links to one source, cookies made of them. All can change while it serves."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import math
import secrets
import struct
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from coverslip.core.errors import BadRequest, Forbidden

Scope = Literal["admin", "read", "share"]
WIDTH: dict[Scope, int] = {"share": 0, "read": 1, "admin": 2}
KEY_BYTES = 32
SEAL_BYTES = 24
PLACE_BYTES = 8
LINK, COOKIE = "s1.", "c1."
"""What a link's seal begins with, and the cookie's that is made of it: neither can be shown in place of the other."""
MOST_LINK = 1024
MOST_RINGS = 4
HEAD = struct.Struct(">Q8s")
DAY_S = 86400.0
MOST_SHARE_S = 366 * DAY_S
MOST_GRACE_S = 7 * DAY_S
NO_TOKEN = "This server asks for no token"  # noqa: S105  (words)
CODE = "no_token"


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
    """

    scope: Scope
    source: str = ""
    place: bytes = b""
    ends_s: float = math.inf
    ring: int = 0

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


class Keys:
    """The tokens that a server asks for.

    Parameters
    ----------
    token
        Opens everything; None = nothing is asked for.
    read_token
        Opens everything to read.
    key
        Cookies and links are made with it; kept by who wants them to outlive the server.
    clock
        Seconds since 1970.
    """

    def __init__(
        self,
        token: str | None,
        read_token: str | None = None,
        key: bytes | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._key = key or secrets.token_bytes(KEY_BYTES)
        self._clock = clock
        self._lock = threading.Lock()
        self._rings: tuple[Ring, ...] = () if token is None else (Ring(0, token, read_token, self._key),)
        self._newest = tuple(ring.token for ring in self._rings)
        self.keepers: list[Callable[[str, str | None], None]] = []
        """Asked to keep new tokens before they count; one that raises stops the change."""

    @property
    def needed(self) -> bool:
        """Whether a token is asked for."""
        return bool(self._rings)

    @property
    def token(self) -> str | None:
        """The token that opens everything now."""
        return self._rings[0].token if self._rings else None

    @property
    def read_token(self) -> str | None:
        """The token that opens everything to read."""
        return self._rings[0].read_token if self._rings else None

    @property
    def tokens(self) -> tuple[str, ...]:
        """Every token that opens everything: the newest, then older ones whose time is not over."""
        return self._newest if len(self._rings) < 2 else tuple(ring.token for ring in self._live())

    @property
    def session(self) -> str:
        """What a browser keeps that showed the token."""
        return self.cookie(FULL)

    def _live(self) -> tuple[Ring, ...]:
        rings = self._rings
        if len(rings) < 2:
            return rings
        now = self._clock()
        return tuple(ring for ring in rings if ring.until_s > now)

    # --- who is that ------------------------------------------------------------------------------------------------

    def right_of(self, shown: str) -> Right | None:
        """What a token or a link opens; compared in constant time."""
        data, found = shown.encode("utf-8", "replace"), None
        for ring in self._live():
            for scope, token in ring.tokens:
                if hmac.compare_digest(data, token.encode()) and found is None:
                    found = Right(scope, ends_s=ring.until_s, ring=ring.number)
        return found or self._open(shown, LINK)

    def right_of_cookie(self, shown: str) -> Right | None:
        """What a browser's cookie opens; compared in constant time."""
        if not shown:
            return None
        data, found = shown.encode("utf-8", "replace"), None
        for ring in self._live():
            for scope, token in ring.tokens:
                if hmac.compare_digest(data, ring.cookie(token).encode()) and found is None:
                    found = Right(scope, ends_s=ring.until_s, ring=ring.number)
        return found or self._open(shown, COOKIE)

    def ended(self, shown: str) -> bool:
        """Whether this was a link of ours, and its time is over: nobody guessed it."""
        right = self._unsealed(shown, LINK)
        return right is not None and not self.holds(right)

    def holds(self, right: Right) -> bool:
        """Whether a right that was given still counts."""
        return right.ends_s > self._clock() and any(ring.number == right.ring for ring in self._live())

    def cookie(self, right: Right) -> str:
        """What a browser keeps that has this right; it cannot be shown in place of a token or a link."""
        ring = next((ring for ring in self._live() if ring.number == right.ring), None)
        if ring is None:
            return ""
        if right.scope == "share":
            return ring.sealed(COOKIE + _packed(right))
        return ring.cookie(dict(ring.tokens)[right.scope])

    def require(self) -> None:
        """See that a token is asked for.

        Raises
        ------
        Forbidden
            When everything is open anyway.
        """
        if not self.needed:
            raise Forbidden(NO_TOKEN, "Who reaches it sees everything; start it with --token.", CODE)

    # --- links ------------------------------------------------------------------------------------------------------

    def share(self, source: str, where: str, for_s: float) -> tuple[str, float]:
        """A link's secret that opens one source, and when it ends, in seconds since 1970.

        Parameters
        ----------
        source
            Its id.
        where
            Where it is (`Listing.where`): the link opens nothing else that has its id later.
        for_s
            For how long, in seconds.

        Raises
        ------
        Forbidden
            When no token is asked for, so that everything is open anyway.
        BadRequest
            When the time is none that a link may have.
        """
        self.require()
        rings = self._rings
        if not 1 <= for_s <= MOST_SHARE_S:  # NaN is not, either
            raise BadRequest(
                "A link opens for a second at least and a year at most", "Write 7d, 12h or 30m.", "bad_time"
            )
        ends_s = math.floor(self._clock() + for_s)
        right = Right("share", source, rings[0].place(where), ends_s)
        return rings[0].sealed(LINK + _packed(right)), ends_s

    def meant(self, right: Right, where: str) -> bool:
        """Whether a link was made for what is at this place."""
        return any(
            hmac.compare_digest(ring.place(where), right.place) for ring in self._live() if ring.number == right.ring
        )

    def _open(self, shown: str, kind: str) -> Right | None:
        right = self._unsealed(shown, kind)
        return right if right is not None and self.holds(right) else None

    def _unsealed(self, shown: str, kind: str) -> Right | None:
        if not shown.startswith(kind) or len(shown) > MOST_LINK or not shown.isascii():
            return None
        text = shown.rpartition(".")[0]
        for ring in self._live():
            if hmac.compare_digest(ring.sealed(text).encode(), shown.encode()):
                return _unpacked(text.removeprefix(kind), ring)
        return None

    # --- change -----------------------------------------------------------------------------------------------------

    def rotate(self, token: str, read_token: str | None, grace_s: float = 0.0) -> None:
        """Ask for other tokens from now on; older ones, their cookies and their links end, at once or after a while.

        Raises
        ------
        Forbidden
            When no token is asked for.
        BadRequest
            When the token is the one there is, or the time is none that may be.
        CoverslipError
            When they cannot be kept (`keepers`); then nothing changed.
        """
        with self._lock:
            self.require()
            if token in (ring.token for ring in self._rings) or token == read_token:
                raise BadRequest("That is no other token", "Leave it out to have one made.", "same_token")
            if not 0 <= grace_s <= MOST_GRACE_S:
                raise BadRequest("Older tokens may hold for a week at most", "Write 10m or 1h.", "bad_time")
            for keep in self.keepers:
                keep(token, read_token)
            until_s = self._clock() + grace_s
            older = (Ring(r.number, r.token, r.read_token, r.key, min(r.until_s, until_s)) for r in self._live())
            number = self._rings[0].number + 1
            kept = tuple(older) if grace_s else ()
            self._newest = (token,)
            self._rings = (Ring(number, token, read_token, self._key), *kept)[:MOST_RINGS]


def widest(rights: list[Right]) -> Right | None:
    """The one that opens most."""
    return max(rights, key=lambda right: WIDTH[right.scope], default=None)


def _packed(right: Right) -> str:
    return _written(HEAD.pack(int(right.ends_s), right.place) + right.source.encode("utf-8", "surrogateescape"))


def _unpacked(text: str, ring: Ring) -> Right | None:
    try:
        data = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
        ends_s, place = HEAD.unpack_from(data)
        source = data[HEAD.size :].decode("utf-8", "surrogateescape")
    except (binascii.Error, struct.error, UnicodeDecodeError):
        return None
    return Right("share", source, place, min(float(ends_s), ring.until_s), ring.number)


def _written(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
