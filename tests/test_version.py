"""The version is written twice: where packages are made of it, and where every command reads it at once."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import coverslip

ROOT = Path(__file__).resolve().parents[1]


def test_both_say_the_same() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert coverslip.__version__ == project["version"]


def test_a_command_does_not_look_for_it() -> None:
    code = "import sys, coverslip.cli.main; print('importlib.metadata' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"
