"""Two minutes of mixed load: cells, pixels, HDF5 and Arrow Flight at once; an hour of it is ``scripts/soak.py``."""

from __future__ import annotations

import os

from soak import soak

SECONDS = float(os.environ.get("COVERSLIP_SOAK_S", "120"))


def test_nothing_fails_and_memory_stays_flat() -> None:
    told: list[str] = []
    assert soak(SECONDS, told.append), "\n".join(told)
