"""How the Flight server answers."""

from __future__ import annotations

import os
from dataclasses import dataclass

PORT = 8815


@dataclass(frozen=True)
class FlightOptions:
    """Numbers and permissions of the Flight server.

    Attributes
    ----------
    writable
        Whether clients may write: uploads, and what else the gate ``write`` guards.
    seal_s
        How long a plan can be read by whoever holds it, in seconds; 0 = for ever.
    small_bytes
        A slice up to this size is one chunk, exactly the slice.
    chunk_bytes
        What chunks of a larger read come close to.
    inflight_bytes
        Bytes of chunks that are read or on their way to clients at once; who asks for more waits, and a third more is
        kept for clients of whom nothing is on its way.
    wait_s
        How long a read waits for its turn.
    cache_bytes
        Decoded chunks of arrays that are slow to decode, kept in memory.
    external_location
        Where clients elsewhere reach this server, told by ``health``; empty = not told.
    tls_not_after
        When the certificate ends, ``YYYY-MM-DDTHH:MM:SSZ``, told by ``health``; empty = not told.
    """

    writable: bool = False
    seal_s: int = 86_400
    small_bytes: int = 16 << 20
    chunk_bytes: int = 8 << 20
    inflight_bytes: int = 96 << 20
    wait_s: float = 60.0
    cache_bytes: int = 64 << 20
    external_location: str = ""
    tls_not_after: str = ""

    @property
    def threads(self) -> int:
        """How many large reads are decoded at once."""
        return 2 * max(os.cpu_count() or 1, 2) + 4
