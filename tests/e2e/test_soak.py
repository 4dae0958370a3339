"""Two minutes of mixed load: cells, pixels, HDF5 and Arrow Flight at once; an hour of it is ``scripts/soak.py``."""

from __future__ import annotations

import os
import subprocess
import sys

from conftest import ROOT

SECONDS = os.environ.get("COVERSLIP_SOAK_S", "120")
PAUSE_S = os.environ.get("COVERSLIP_SOAK_PAUSE_S", "0.04")
"""Between two requests of a client, so that other tests have most of the machine meanwhile."""


def test_nothing_fails_and_memory_stays_flat() -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "scripts" / "soak.py"), SECONDS, PAUSE_S],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr[-2000:]
