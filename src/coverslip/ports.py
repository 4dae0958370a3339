"""Where servers listen when nothing else is said; what commands tell of themselves without knowing more of servers."""

from __future__ import annotations

DEFAULT_PORT = 8765
FLIGHT_PORT = 8815
