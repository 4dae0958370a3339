"""What the server tells about itself."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from coverslip.fronts.flight.desk import Desk
from coverslip.fronts.flight.registry import Call
from coverslip.fronts.http import to_json

PROTOCOL = 3


class Health:
    """Answers ``health``, to anybody: it tells no name of anything.

    Parameters
    ----------
    desk
        What is told of.
    """

    def __init__(self, desk: Desk) -> None:
        self._catalog = desk.catalog
        self._options = desk.options
        self._version = desk.version
        self._started = time.monotonic()
        self._scanned: tuple[bool, float | None] = (False, None)
        desk.registry.action("health", self._answer, "open")

    def _answer(self, body: bytes, call: Call) -> Iterator[bytes]:
        yield to_json(self.told())

    def told(self) -> dict[str, Any]:
        """The keys that clients know."""
        counts = self._catalog.counts()
        scanning = bool(counts["scanning"])
        if counts["scanned"] and (not self._scanned[0] or (self._scanned[1] is None and not scanning)):
            self._scanned = (True, time.time())
        told: dict[str, Any] = {
            "status": "SERVING",
            "protocol": PROTOCOL,
            "ticket_stubs": True,
            "source_count": counts["sources"],
            "metadata_db_enabled": True,
            "writable": self._options.writable,
            "uptime_seconds": round(time.monotonic() - self._started, 3),
            "full_scan_in_progress": scanning,
            "last_full_scan_finished_at": self._scanned[1],
            "registration_pending": counts["by_status"].get("pending", 0),
            "annotations_persisted": True,
            "catalog_persisted": self._catalog.options.persist,
            "service": "coverslip",
            "version": self._version,
        }
        if self._options.external_location:
            told["external_location"] = self._options.external_location
        if self._options.tls_not_after:
            told["tls_not_after"] = self._options.tls_not_after
        return told


def health(desk: Desk) -> None:
    """Answer ``health``."""
    Health(desk)
