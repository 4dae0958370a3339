"""How much tests try: ``COVERSLIP_FUZZ=10`` damages ten times as many files, ``COVERSLIP_FULL=1`` makes all of many."""

from __future__ import annotations

import os


def rounds(usual: int) -> range:
    """One number for each attempt."""
    return range(max(1, round(usual * float(os.environ.get("COVERSLIP_FUZZ", "1")))))


def many(all_of_them: int) -> int:
    """How many of something a test makes: a tenth in the inner loop."""
    return all_of_them if os.environ.get("COVERSLIP_FULL") else all_of_them // 10
