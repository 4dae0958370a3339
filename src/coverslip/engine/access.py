"""Who may ask: host names, origins and tokens. Pure decisions; a front acts on them."""

from __future__ import annotations

import ipaddress
import re
import secrets
from collections.abc import Iterable
from dataclasses import dataclass, field

from coverslip.core.errors import BadUsage
from coverslip.engine.keys import Keys

LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})
AUTHORITY = re.compile(
    r"(?:\[([0-9a-f:.]+)\]|([^\x00-\x20\x7f/?#@\\\[\]:,]+))(?::([0-9]{0,5}))?", re.ASCII | re.IGNORECASE
)
"""A host and a port, as `RFC 9110 section 7.2` writes them."""
TOKEN = re.compile(r"[A-Za-z0-9_-]{16,128}")
RULE = "A token has 16 to 128 letters, digits, - or _; leave it out to have one made."
MADE_BYTES = 32
AUTO = "auto"
"""In the place of a token for reading: one is made."""


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
    found = AUTHORITY.fullmatch(authority)
    if found is None or int(found[3] or 0) > 65535:
        return None
    return (found[1] or found[2]).lower().removesuffix(".") or None


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
    if given is not None:
        check_token(given)
    if given is not None or not (reachable or proxied):
        return given
    return made_token()


def choose_read_token(given: str | None, token: str | None) -> str | None:
    """The token that opens everything to read, made where ``auto`` was given; None where none is wanted.

    Raises
    ------
    BadUsage
        When it is malformed, the one that opens everything, or of use to nobody because no token is asked for.
    """
    if given is None:
        return None
    if token is None:
        raise BadUsage("A token for reading is of no use while no token is asked for", "Leave --dev out.", "bad_token")
    if given == AUTO:
        return made_token()
    check_token(given)
    if given == token:
        raise BadUsage("The token for reading is the one that opens everything", "Give another, or auto.", "bad_token")
    return given


def choose_tokens(
    given: str | None, reading: str | None, listeners: Iterable[str], dev: bool = False, proxied: bool = False
) -> tuple[str | None, str | None]:
    """The token that opens everything and the one that opens everything to read (`choose_token`, `choose_read_token`).

    Raises
    ------
    BadUsage
        When one of them cannot be used.
    """
    token = choose_token(given, listeners, dev, proxied)
    if token is None and reading is not None and not dev:
        token = made_token()  # or whoever shows none could do everything
    return token, choose_read_token(reading, token)


def made_token() -> str:
    """A token that nobody guesses."""
    return secrets.token_urlsafe(MADE_BYTES)


def check_token(given: str) -> None:
    """See that a token can be used.

    Raises
    ------
    BadUsage
        When it cannot.
    """
    if not TOKEN.fullmatch(given):
        raise BadUsage(f"The token cannot be used: {_flaw(given)}", RULE, "bad_token")


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
    keys
        What opens the server.
    """

    hosts: frozenset[str] | None = LOOPBACK_NAMES
    origins: frozenset[str] = field(default_factory=frozenset)
    keys: Keys = field(default_factory=lambda: Keys(None), repr=False)

    @classmethod
    def create(
        cls, bind: str, keys: Keys, hosts: Iterable[str] = (), origins: Iterable[str] = (), proxied: bool = False
    ) -> Access:
        """The rules for a server bound to ``bind``, or reached through a trusted proxy."""
        named = frozenset(h.lower() for h in hosts)
        known = LOOPBACK_NAMES | named | {bind.lower()}
        open_to_network = (proxied or not is_loopback(bind)) and keys.needed and not named
        allowed = frozenset(o.rstrip("/").lower() for o in origins)
        return cls(None if open_to_network else known, allowed, keys=keys)

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
