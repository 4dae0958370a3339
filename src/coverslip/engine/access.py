"""Who may ask: host names, origins and tokens. Pure decisions; a front acts on them."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import re
import secrets
from collections.abc import Iterable
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from coverslip.core.errors import BadUsage

LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})
TOKEN = re.compile(r"[A-Za-z0-9_-]{16,128}")
RULE = "A token has 16 to 128 letters, digits, - or _; leave it out to have one made."
MADE_BYTES = 32


def is_loopback(host: str) -> bool:
    """Whether an address to bind to can be reached from this machine only."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def host_name(authority: str) -> str | None:
    """The host of a ``Host`` header in lower case, without port and brackets; None when it is not one."""
    try:
        name = urlsplit(f"//{authority}").hostname
        _ = urlsplit(f"//{authority}").port
    except ValueError:
        return None
    if not name or "@" in authority or "/" in authority:
        return None
    return name.rstrip(".")


def choose_token(given: str | None, listeners: Iterable[str], dev: bool = False, proxied: bool = False) -> str | None:
    """The token that every request must show, made up where one is needed and none was given.

    Parameters
    ----------
    given
        What was configured.
    listeners
        Every address that is bound to, of whatever protocol.
    dev
        Whether tokens are to be off.
    proxied
        Whether a proxy in front may bring requests from elsewhere.

    Returns
    -------
    str | None
        None when every listener is loopback and no token was given.

    Raises
    ------
    BadUsage
        When the token is malformed, or tokens are to be off where others can reach.
    """
    reachable = [host for host in listeners if not is_loopback(host)]
    if dev:
        if reachable or proxied:
            where = f"{reachable[0]} can be reached from other machines" if reachable else "a proxy brings requests"
            raise BadUsage(
                f"Development mode asks for no token, and {where}",
                "Leave --dev and BIOPB_WEB_DEV_BYPASS out, or listen on 127.0.0.1 only.",
                "dev_exposed",
            )
        return None
    if given is not None and not TOKEN.fullmatch(given):
        raise BadUsage(f"The token cannot be used: {_flaw(given)}", RULE, "bad_token")
    if given is not None or not (reachable or proxied):
        return given
    return secrets.token_urlsafe(MADE_BYTES)


def _flaw(token: str) -> str:
    """What is wrong with a token, without telling it."""
    if len(token) < 16 or len(token) > 128:
        return f"it has {len(token)} character{'' if len(token) == 1 else 's'}"
    return "it holds a character that is not allowed"


@dataclass(frozen=True)
class Access:
    """The rules of one server.

    Attributes
    ----------
    hosts
        Names it answers to; a request that names another was sent by a page that rebound its own name to this address.
        None = any name, for servers that ask for a token.
    origins
        Other web origins whose pages may read its answers (``https://example.org``).
    token
        What every request must show, or None on loopback.
    session_key
        With it a browser's cookie is made of the token: nobody can guess a cookie, and it tells no token.
    """

    hosts: frozenset[str] | None = LOOPBACK_NAMES
    origins: frozenset[str] = field(default_factory=frozenset)
    token: str | None = field(default=None, repr=False)
    session_key: bytes = field(default_factory=lambda: secrets.token_bytes(MADE_BYTES), repr=False)

    @classmethod
    def create(
        cls,
        bind: str,
        token: str | None,
        hosts: Iterable[str] = (),
        origins: Iterable[str] = (),
        session_key: bytes | None = None,
        proxied: bool = False,
    ) -> Access:
        """The rules for a server bound to ``bind``, or reached through a trusted proxy."""
        named = frozenset(h.lower() for h in hosts)
        known = LOOPBACK_NAMES | named | {bind.lower()}
        open_to_network = (proxied or not is_loopback(bind)) and token is not None and not named
        return cls(
            None if open_to_network else known,
            frozenset(o.rstrip("/").lower() for o in origins),
            token,
            session_key or secrets.token_bytes(MADE_BYTES),
        )

    def host_allowed(self, authority: str) -> bool:
        """Whether a ``Host`` header names this server."""
        name = host_name(authority)
        return name is not None and (self.hosts is None or name in self.hosts)

    def origin_allowed(self, origin: str, authority: str, encrypted: bool = False) -> bool:
        """Whether a page of ``origin`` may ask; the server's own pages always may.

        An ``encrypted`` request comes from a page that came encrypted too. (A request that does not look so may have
        lost its TLS at a proxy.)
        """
        lowered = origin.lower()
        schemes = ("https://",) if encrypted else ("http://", "https://")
        own = lowered.split("://", 1)[-1] == authority.lower() and lowered.startswith(schemes)
        return own or lowered in self.origins

    def token_matches(self, shown: str) -> bool:
        """Whether a token is the right one, compared in constant time."""
        return self.token is not None and hmac.compare_digest(shown.encode("utf-8", "replace"), self.token.encode())

    @property
    def session(self) -> str:
        """What a browser keeps instead of the token; another one for another token."""
        return hmac.new(self.session_key, (self.token or "").encode(), hashlib.sha256).hexdigest()

    def session_matches(self, shown: str) -> bool:
        """Whether a browser's cookie is the right one, compared in constant time."""
        return self.token is not None and hmac.compare_digest(shown.encode("utf-8", "replace"), self.session.encode())
