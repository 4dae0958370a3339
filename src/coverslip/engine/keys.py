"""What opens a server: its tokens, links to one source, cookies made of them. All can change while it serves."""

from __future__ import annotations

import hmac
import math
import secrets
import threading
import time
from collections.abc import Callable
from typing import NamedTuple

from msgspec.structs import replace

from coverslip.core.errors import BadRequest, Forbidden
from coverslip.engine.links import Links, Note, kept_links
from coverslip.engine.rights import COOKIE, FULL, ID_BYTES, LINK, MOST_LINK, Right, Ring, packed, unpacked
from coverslip.engine.secret import kept_key

KEY_BYTES = 32
MOST_RINGS = 4
MOST_LABEL = 100
DAY_S = 86400.0
MOST_SHARE_S = 366 * DAY_S
MOST_GRACE_S = 7 * DAY_S
NO_TOKEN = "This server asks for no token"  # noqa: S105  (words)
CODE = "no_token"


class Share(NamedTuple):
    """A link as it is given to somebody: its secret, when it ends (in seconds since 1970), and its id."""

    secret: str
    ends_s: float
    id: str


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
    links
        Where links are noted; in memory where nothing is said.
    """

    def __init__(
        self,
        token: str | None,
        read_token: str | None = None,
        key: bytes | None = None,
        clock: Callable[[], float] = time.time,
        links: Links | None = None,
    ) -> None:
        self._key = key or secrets.token_bytes(KEY_BYTES)
        self._clock = clock
        self._lock = threading.Lock()
        self._rings: tuple[Ring, ...] = () if token is None else (Ring(0, token, read_token, self._key),)
        self._newest = tuple(ring.token for ring in self._rings)
        self.links = Links() if links is None else links
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
        """Whether this was a link of ours, and its time is over or it was taken back: nobody guessed it."""
        right = self._unsealed(shown, LINK)
        return right is not None and not self.holds(right)

    def holds(self, right: Right) -> bool:
        """Whether a right that was given still counts."""
        if right.link and not self.links.opens(right.link):
            return False
        return right.ends_s > self._clock() and any(ring.number == right.ring for ring in self._live())

    def link_of(self, shown: str) -> str | None:
        """The id of the link that somebody shows, or whose cookie; None when it is neither."""
        right = self._unsealed(shown, LINK if shown.startswith(LINK) else COOKIE)
        return right.link if right is not None else None

    def cookie(self, right: Right) -> str:
        """What a browser keeps that has this right; it cannot be shown in place of a token or a link."""
        ring = next((ring for ring in self._live() if ring.number == right.ring), None)
        if ring is None:
            return ""
        if right.scope == "share":
            return ring.sealed(COOKIE + packed(right))
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

    def share(self, source: str, where: str, for_s: float, label: str = "", name: str = "") -> Share:
        """A link that opens one source.

        Parameters
        ----------
        source
            Its id.
        where
            Where it is (`Listing.where`): the link opens nothing else that has its id later.
        for_s
            For how long, in seconds.
        label
            Whom it is for, for the list of links.
        name
            What people call the source.

        Raises
        ------
        Forbidden
            When no token is asked for, so that everything is open anyway.
        BadRequest
            When the time or the label is none that a link may have.
        CoverslipError
            When the link cannot be noted; then there is none.
        """
        self.require()
        ring = self._rings[0]
        if not 1 <= for_s <= MOST_SHARE_S:  # NaN is not, either
            raise BadRequest(
                "A link opens for a second at least and a year at most", "Write 7d, 12h or 30m.", "bad_time"
            )
        if len(label) > MOST_LABEL or not label.isprintable():
            raise BadRequest(f"A label is one line of {MOST_LABEL} characters at most", "Write a name.", "bad_label")
        now_s = self._clock()
        ends_s, id = math.floor(now_s + for_s), secrets.token_hex(ID_BYTES)
        self.links.add(Note(id, _shown(source), _shown(name or source), label, now_s, ends_s, ring.mark))
        right = Right("share", source, ring.place(where), ends_s, link=id)
        return Share(ring.sealed(LINK + packed(right)), ends_s, id)

    def shares(self) -> list[Note]:
        """The links that have not ended, also those that were taken back, in the order they were made.

        Raises
        ------
        Unreadable
            When they cannot be listed.
        """
        ends = {ring.mark: ring.until_s for ring in self._live()}
        notes = self.links.all(ends, self._clock())
        return [replace(note, ends_s=min(note.ends_s, ends[note.of])) for note in notes]

    def revoke(self, id: str) -> Note:
        """Take a link back: it, its cookies and its connections end.

        Raises
        ------
        NotFound
            When there is none.
        DiskFull, Unreadable
            When that cannot be written down; the link is closed until this server ends.
        """
        return self.links.revoke(id, [ring.mark for ring in self._live()], self._clock())

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
                return unpacked(text.removeprefix(kind), ring)
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


def kept_keys(token: str | None, read_token: str | None = None) -> Keys:
    """Tokens whose cookies and links outlive a restart with the same ones."""
    if token is None:
        return Keys(None)
    return Keys(token, read_token, kept_key("session.key"), links=kept_links())


def _shown(text: str) -> str:
    return text.encode("utf-8", "replace").decode()
