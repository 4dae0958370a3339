"""What every benchmark shares: servers in turn, clients that cost little, medians with their spread, tables."""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT / ".cache" / "data"
sys.path.insert(0, str(ROOT / "scripts"))  # surroundings.py
