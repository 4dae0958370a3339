"""Installs packages into an environment: with uv where it can, five times as fast as pip; else with pip.

``python scripts/install.py ENVIRONMENT_PYTHON REQUIREMENT...`` (``--editable PATH`` is handed on). uv looks where pip
looks. What cannot be had with it is tried with pip, which tells why not.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

SAME = {
    "global.index-url": "UV_DEFAULT_INDEX",
    "global.extra-index-url": "UV_INDEX",
    "global.find-links": "UV_FIND_LINKS",
    ":env:.index-url": "UV_DEFAULT_INDEX",
    ":env:.extra-index-url": "UV_INDEX",
    ":env:.find-links": "UV_FIND_LINKS",
}
"""Where pip looks, and what uv calls it."""


def surroundings() -> dict[str, str]:
    """The environment of uv: it looks where pip looks, and takes what pip would take."""
    listed = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=False
    )
    found = {"UV_INDEX_STRATEGY": "unsafe-best-match", "UV_HTTP_RETRIES": "1"}
    for line in listed.stdout.splitlines():
        name, _, value = line.partition("=")
        if name in SAME:
            found[SAME[name]] = value.strip("'\"").replace("\\n", " ")
    if "UV_FIND_LINKS" in found:  # which uv separates by commas
        found["UV_FIND_LINKS"] = ",".join(found["UV_FIND_LINKS"].split())
    return {**os.environ, **found}


def install(python: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Install these into the environment of ``python``, which needs no pip of its own."""
    if importlib.util.find_spec("uv") is not None:
        command = [sys.executable, "-m", "uv", "pip", "install", "--quiet", "--python", python, *words]
        done = subprocess.run(command, check=False, capture_output=True, text=True, env=surroundings())
        if done.returncode == 0:
            return done
    # Nothing is compiled that nobody imports. What is imported is compiled then, once.
    command = [sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-compile", *words]
    return subprocess.run(command, check=False, capture_output=True, text=True)


if __name__ == "__main__":
    told = install(Path(sys.argv[1]), *sys.argv[2:])
    sys.stderr.write("".join(line for line in told.stderr.splitlines(True) if not line.startswith("WARNING")))
    sys.exit(told.returncode)
