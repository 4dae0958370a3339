"""A minute of mixed load: cells, pixels, HDF5 and Arrow Flight at once; an hour of it is ``scripts/soak.py``."""

from __future__ import annotations

import os
import subprocess
import sys

from conftest import ROOT

SECONDS = os.environ.get("COVERSLIP_SOAK_S", "60")


def test_nothing_fails_and_memory_stays_flat() -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "scripts" / "soak.py"), SECONDS], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr[-2000:]
