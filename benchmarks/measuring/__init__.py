"""What every benchmark shares: servers in turn, clients that cost little, medians with their spread, tables."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT / ".cache" / "data"
sys.path.insert(0, str(ROOT / "scripts"))  # surroundings.py

# Begun in the background of a shell; servers that are to end by Ctrl+C inherit it, and would never end.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
