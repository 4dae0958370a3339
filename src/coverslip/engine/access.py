"""Who may ask: host names, origins and tokens. Pure decisions; a front acts on them."""

from __future__ import annotations

import hmac
import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass, field
from urllib.parse import urlsplit

LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})


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
    """

    hosts: frozenset[str] | None = LOOPBACK_NAMES
    origins: frozenset[str] = field(default_factory=frozenset)
    token: str | None = None

    @classmethod
    def create(cls, bind: str, token: str | None, hosts: Iterable[str] = (), origins: Iterable[str] = ()) -> Access:
        """The rules for a server bound to ``bind``."""
        named = frozenset(h.lower() for h in hosts)
        known = LOOPBACK_NAMES | named | {bind.lower()}
        open_to_network = not is_loopback(bind) and token is not None and not named
        return cls(None if open_to_network else known, frozenset(o.rstrip("/").lower() for o in origins), token)

    def host_allowed(self, authority: str) -> bool:
        """Whether a ``Host`` header names this server."""
        name = host_name(authority)
        return name is not None and (self.hosts is None or name in self.hosts)

    def origin_allowed(self, origin: str, authority: str) -> bool:
        """Whether a page of ``origin`` may ask; the server's own pages always may."""
        lowered = origin.lower()
        own = lowered.split("://", 1)[-1] == authority.lower() and lowered.startswith(("http://", "https://"))
        return own or lowered in self.origins

    def token_matches(self, shown: str) -> bool:
        """Whether a token is the right one, compared in constant time."""
        return self.token is not None and hmac.compare_digest(shown.encode(), self.token.encode())
