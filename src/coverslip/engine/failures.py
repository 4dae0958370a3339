"""Wrong tokens, counted for each address that shows them, so that nobody tries many."""

from __future__ import annotations

import hashlib
import ipaddress
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

LIMIT = 10
WINDOW_S = 60.0
MOST_ADDRESSES = 4096
CODE = "too_many_tokens"
TOO_MANY = "Too many wrong tokens came from this address"
V6_NETWORK = 64
"""One customer has this many leading bits of IPv6 addresses and chooses the others."""


@dataclass
class Attempts:
    """What one address tried since ``since_s``, as digests."""

    since_s: float
    shown: set[bytes] = field(default_factory=set)


def refusal(wait_s: int) -> tuple[str, str]:
    """What one is told who has to wait so many seconds, and what to do; the same in every protocol."""
    return TOO_MANY, f"Wait {wait_s} seconds, then use the token that the server printed."


class Failures:
    """Who showed which wrong tokens lately.

    A token that is wrong again counts once: a program with an old token locks nobody out, one that guesses does.

    Parameters
    ----------
    limit
        Different wrong tokens of one address until it has to wait.
    window_s
        Seconds within which they count, and for which it waits.
    addresses
        How many addresses are remembered; those longest silent are forgotten first.
    clock
        Seconds that only grow.
    """

    def __init__(
        self,
        limit: int = LIMIT,
        window_s: float = WINDOW_S,
        addresses: int = MOST_ADDRESSES,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._limit, self._window_s, self._most, self._clock = limit, window_s, addresses, clock
        self._of: OrderedDict[str, Attempts] = OrderedDict()
        self._salt = secrets.token_bytes(16)
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._of)

    def wait_s(self, address: str) -> float:
        """Seconds until ``address`` may show a token again; 0 when it may now."""
        with self._lock:
            found = self._of.get(network(address))
            if found is None or len(found.shown) < self._limit:
                return 0.0
            return max(0.0, found.since_s + self._window_s - self._clock())

    def note(self, address: str, shown: str) -> None:
        """Remember that ``address`` showed a wrong token; the token itself is not kept."""
        digest = hashlib.blake2b(shown.encode("utf-8", "replace"), key=self._salt, digest_size=8).digest()
        now, key = self._clock(), network(address)
        with self._lock:
            found = self._of.get(key)
            if found is None or now >= found.since_s + self._window_s:
                found = self._of[key] = Attempts(now)
            self._of.move_to_end(key)
            if digest not in found.shown and len(found.shown) < self._limit:
                found.shown.add(digest)
                if len(found.shown) == self._limit:
                    found.since_s = now
            while len(self._of) > self._most:
                self._of.popitem(last=False)


def network(address: str) -> str:
    """Whom an address stands for: itself, or the IPv6 network of one customer."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.ipv4_mapped is not None:
            return str(parsed.ipv4_mapped)
        return str(ipaddress.ip_network((parsed, V6_NETWORK), strict=False))
    return address
