"""Runs a command unless it has passed with these very inputs before.

``python scripts/unless_same.py NAME INPUT... -- COMMAND...``; an input is a file or a folder. What counts is what is in
them, the command, and the versions of Python, of Node and of every package that is installed. With ``COVERSLIP_FULL=1``
it is run in any case.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
STAMPS = ROOT / ".cache" / "passed"
APART = {"node_modules", "__pycache__", ".cache", "coverage", "_viewer"}
"""Folders that are made, not read; `versions` tells what is in them."""


def files(inputs: list[str]) -> list[Path]:
    """All files of these files and folders."""
    found: list[Path] = []
    for name in inputs:
        path = ROOT / name
        if not path.exists():
            raise SystemExit(f"{name}: there is no such input")
        if path.is_file():
            found.append(path)
        for folder, folders, names in os.walk(path):
            folders[:] = [one for one in folders if one not in APART]
            found += [Path(folder) / one for one in names]
    return sorted(found)


def versions() -> str:
    """Of all that may take part."""
    installed = sorted(f"{one.name}=={one.version}" for one in importlib.metadata.distributions())
    node = (
        subprocess.run(["node", "--version"], capture_output=True, text=True, check=False) if _on_path("node") else None
    )
    locked = ROOT / "viewer" / "node_modules" / ".package-lock.json"
    packages = hashlib.sha256(locked.read_bytes()).hexdigest() if locked.is_file() else ""
    return "\n".join([sys.version, node.stdout if node else "", packages, *installed])


def _on_path(name: str) -> bool:
    return any((Path(folder) / name).is_file() for folder in os.environ.get("PATH", "").split(os.pathsep))


def digest(inputs: list[str], command: list[str]) -> str:
    """Of everything that the command's end may depend on."""
    whole = hashlib.sha256("\0".join([*inputs, "--", *command, versions()]).encode())
    for path in files(inputs):
        whole.update(b"\0" + path.relative_to(ROOT).as_posix().encode() + b"\0")
        whole.update(hashlib.sha256(path.read_bytes()).digest())
    return whole.hexdigest()


def main(arguments: list[str]) -> int:
    """Run the command, or tell that it has passed."""
    split = arguments.index("--")
    name, inputs, command = arguments[0], arguments[1:split], arguments[split + 1 :]
    stamp = STAMPS / name
    before = digest(inputs, command)
    if not os.environ.get("COVERSLIP_FULL") and stamp.is_file() and stamp.read_text() == before:
        print(f"{name}: nothing has changed since it passed.")
        return 0
    stamp.unlink(missing_ok=True)
    code = subprocess.run(command, cwd=ROOT, check=False).returncode
    if code == 0 and digest(inputs, command) == before:  # not if somebody wrote meanwhile
        STAMPS.mkdir(parents=True, exist_ok=True)
        stamp.write_text(before)
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
