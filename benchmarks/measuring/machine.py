"""The machine on which something is measured, and which coverslip."""

from __future__ import annotations

import os
import platform
import subprocess
from importlib.metadata import version
from pathlib import Path
from typing import Any

from measuring import ROOT


def machine() -> dict[str, Any]:
    """Processor, memory, system, Python."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return {
        "processor": names[0] if names else platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
    }


def load() -> float:
    """How many programs wanted a core, on average of the last minute."""
    return round(os.getloadavg()[0], 1)


def own_version() -> str:
    """The version of coverslip, and the commit where it is a checkout."""
    told = subprocess.run(
        ["git", "-C", ROOT, "rev-parse", "--short=10", "HEAD"], capture_output=True, text=True, check=False
    )
    return f"{version('coverslip')} ({told.stdout.strip()})" if told.returncode == 0 else version("coverslip")
