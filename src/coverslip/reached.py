"""Under which addresses a server is reached: from this machine, and from others."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from coverslip.settings import Settings

WILDCARDS = ("0.0.0.0", "::")  # noqa: S104  (names of wildcards, not a bind)
ELSEWHERE = ((socket.AF_INET, "192.0.2.1"), (socket.AF_INET6, "2001:db8::1"))
"""Addresses that nobody has (RFC 5737, RFC 3849): the system says by which of its own it would go there."""


def here(host: str) -> str:
    """How this machine reaches a server that is bound to ``host``, as an address has it."""
    return "127.0.0.1" if host in WILDCARDS else bracketed(host)


def elsewhere(settings: Settings) -> str | None:
    """How other machines reach a server that is bound to every address, as an address has it.

    The first name that it answers to, else the machine's name where it stands in a certificate, else the machine's
    address in its network. None where others reach it as this machine does, not at all, or through a proxy.
    """
    if settings.host not in WILDCARDS or settings.root_path or settings.trusted_proxies:
        return None
    if settings.allow_hosts:
        return bracketed(settings.allow_hosts[0])
    if settings.encrypted:
        return settings.tls_names[0] if settings.tls_names else socket.gethostname()
    return own_address() or socket.gethostname()


def own_address() -> str | None:
    """This machine's address in the network that it reaches others by; nothing is sent to find it."""
    for family, nobody in ELSEWHERE:
        try:
            with socket.socket(family, socket.SOCK_DGRAM) as sock:
                sock.connect((nobody, 9))
                found: str = sock.getsockname()[0]
        except OSError:  # no network of this kind
            continue
        if not found.startswith(("127.", "0.")) and found not in ("::", "::1"):
            return bracketed(found)
    return None


def bracketed(host: str) -> str:
    """A host as an address has it."""
    return f"[{host}]" if ":" in host and not host.startswith("[") else host
