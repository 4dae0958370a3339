"""How often tests of damaged files try: with ``COVERSLIP_FUZZ=10`` ten times as often as usual."""

from __future__ import annotations

import os


def rounds(usual: int) -> range:
    """One number for each attempt."""
    return range(max(1, round(usual * float(os.environ.get("COVERSLIP_FUZZ", "1")))))
