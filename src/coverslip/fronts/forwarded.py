"""What a proxy in front says of the client, believed only of proxies that were named."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from typing import Any

from starlette.types import ASGIApp, Receive, Scope, Send

from coverslip.core.errors import BadUsage

FOR, PROTO, HOST = b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-host"
SCHEMES = {"http": False, "https": True, "ws": False, "wss": True}

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def networks(addresses: Iterable[str]) -> tuple[Network, ...]:
    """The addresses and networks (``10.0.0.0/8``) of proxies.

    Raises
    ------
    BadUsage
        When one is neither.
    """
    found = []
    for address in addresses:
        try:
            found.append(ipaddress.ip_network(address))
        except ValueError as error:
            hint = "Name its IP address, or a network such as 172.16.0.0/12."
            raise BadUsage(f"{address} is not the address of a proxy", hint, "bad_proxy") from error
    return tuple(found)


class Proxies:
    """Those that are believed.

    Parameters
    ----------
    trusted
        Their addresses and networks.
    """

    def __init__(self, trusted: Iterable[str] = ()) -> None:
        self._trusted = networks(trusted)

    def trust(self, address: str) -> bool:
        """Whether an address is one of theirs."""
        try:
            parsed = ipaddress.ip_address(address)
        except ValueError:
            return False
        mapped = getattr(parsed, "ipv4_mapped", None)
        return any((mapped or parsed) in network for network in self._trusted)

    def origin(self, passed: Iterable[str]) -> str | None:
        """The client in the values of ``X-Forwarded-For``: the last that is no proxy; the first when every one is."""
        known = None
        for address in reversed([part.strip() for value in passed for part in value.split(",")]):
            try:
                known = str(ipaddress.ip_address(address))
            except ValueError:
                return known
            if not self.trust(known):
                return known
        return known


class Forwarded:
    """ASGI middleware that puts the client, the scheme and the host that a trusted proxy tells into a request.

    ``X-Forwarded-For`` is read from its end, and the first address that is no trusted proxy is the client: what stands
    before it could have been written by anybody. Of ``X-Forwarded-Proto`` and ``X-Forwarded-Host`` the last is taken.
    From whom is not trusted, all three are left alone and mean nothing.
    """

    def __init__(self, app: ASGIApp, trusted: Iterable[str]) -> None:
        self._app = app
        self._proxies = Proxies(trusted)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand on, with what is known better."""
        client = scope.get("client")
        if scope["type"] in ("http", "websocket") and client and self._proxies.trust(client[0]):
            scope = {**scope, **self._told(scope)}
        await self._app(scope, receive, send)

    def _told(self, scope: Scope) -> dict[str, Any]:
        told: dict[str, Any] = {}
        if (origin := self._proxies.origin(values(scope, FOR))) is not None:
            told["client"] = (origin, 0)
        proto = last(values(scope, PROTO)).lower()
        if proto in SCHEMES:
            plain, encrypted = ("ws", "wss") if scope["type"] == "websocket" else ("http", "https")
            told["scheme"] = encrypted if SCHEMES[proto] else plain
        host = last(values(scope, HOST))
        if host:
            others = [(name, value) for name, value in scope["headers"] if name != b"host"]
            told["headers"] = [(b"host", host.encode("latin-1")), *others]
        return told


def values(scope: Scope, name: bytes) -> list[str]:
    """All values of a header."""
    return [value.decode("latin-1") for key, value in scope["headers"] if key == name]


def last(given: list[str]) -> str:
    """The last of values that may hold several each."""
    return given[-1].rpartition(",")[2].strip() if given else ""
