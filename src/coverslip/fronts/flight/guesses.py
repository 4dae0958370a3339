"""Who may show a token over Arrow Flight, and who guessed too often."""

from __future__ import annotations

import math
import threading
from collections import OrderedDict
from collections.abc import Sequence
from urllib.parse import unquote

from coverslip.engine.failures import Failures
from coverslip.fronts.forwarded import Proxies

MOST_PEERS = 4096


class Guesses:
    """Holds up who tries many tokens, as HTTP does, and nobody else.

    While an address waits, a right token of it is refused too, or guessing would go on. Connections on which the right
    token was shown before, and no wrong one since, are let through: the work of a client does not end because somebody
    beside it guesses.

    Parameters
    ----------
    failures
        Where wrong tokens are counted, those of every protocol.
    proxies
        Whose word on whom they speak for is taken.
    """

    def __init__(self, failures: Failures, proxies: Proxies | None = None) -> None:
        self._failures = failures
        self._proxies = proxies or Proxies()
        self._good: OrderedDict[str, None] = OrderedDict()
        self._lock = threading.Lock()

    def speaks_for(self, peer: str, passed: Sequence[str]) -> str:
        """The address that a connection speaks for, where it is that of a proxy which is believed; else empty."""
        return (self._proxies.origin(passed) or "") if passed and self._proxies.trust(address_of(peer)) else ""

    def judge(self, peer: str, shown: str, right: bool, passed: Sequence[str] = ()) -> int:
        """Seconds that a call has to wait; 0 = its token means what it means.

        Parameters
        ----------
        peer
            The connection, as gRPC names it: ``ipv4:127.0.0.1:41234``.
        shown
            The token of the call.
        right
            Whether it is the right one.
        passed
            Values of ``X-Forwarded-For``, which count when the connection is a proxy's.
        """
        address = address_of(peer)
        if other := self.speaks_for(peer, passed):
            address = other
            peer = f"{peer} {address}"  # a proxy's connection is that of many
        if right and peer in self._good:
            return 0
        wait_s = math.ceil(self._failures.wait_s(address))
        if not right:
            self._failures.note(address, shown)
        with self._lock:
            if not right:
                self._good.pop(peer, None)
            elif not wait_s:
                self._good[peer] = None
                if len(self._good) > MOST_PEERS:
                    self._good.popitem(last=False)
        return wait_s


def address_of(peer: str) -> str:
    """The address in gRPC's name of a peer, without its port."""
    kind, _, rest = unquote(peer).partition(":")
    return rest.rpartition(":")[0].strip("[]") if kind in ("ipv4", "ipv6") else peer
