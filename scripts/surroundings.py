"""What tests and benchmarks need of the machine: a browser, free ports, the peer in an environment of its own."""

from __future__ import annotations

import fcntl
import os
import shutil
import socket
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

# Children keep what they compile: the peers' libraries are installed without.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

CACHE = Path(__file__).resolve().parent.parent / ".cache"
PEER = "cellucid==0.0.9"
CHROMIUM = next((c for c in map(shutil.which, ("chromium", "chromium-browser", "google-chrome")) if c), None)
CHROMIUM_FLAGS = [
    "--no-sandbox",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def environment(*requirements: str) -> Path:
    """The Python of an environment of its own that holds PyPI releases, installed once."""
    name = "+".join(requirements).replace("==", "-").replace("[", "-").replace("]", "")
    folder = CACHE / "peers" / f"{name}-py{sys.version_info[0]}{sys.version_info[1]}"
    done = folder / "installed"
    folder.parent.mkdir(parents=True, exist_ok=True)
    with (folder.parent / f"{folder.name}.lock").open("w") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)  # tests that run at the same time ask for the same one
        if not done.is_file():
            shutil.rmtree(folder, ignore_errors=True)
            fill(folder, *requirements)
            done.touch()
    return folder / "bin" / "python"


def fill(folder: Path, *requirements: str) -> None:
    """Make an environment, and install into it.

    Twice as fast as ``venv`` and its own ``pip``: nothing is compiled that nobody imports. What is imported is compiled
    then, once.
    """
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    pip = [sys.executable, "-m", "pip", "--python", folder / "bin" / "python", "install", "--quiet", "--no-compile"]
    done = subprocess.run([*pip, "pip", *requirements], check=False, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{' '.join(requirements)} cannot be installed:\n{done.stdout}{done.stderr}")


def archive(release: str) -> Path:
    """The unpacked source archive of a PyPI release (``name==version``), fetched once."""
    folder = CACHE / "peers" / f"{release.replace('==', '-')}-archive"
    folder.parent.mkdir(parents=True, exist_ok=True)
    with (folder.parent / f"{folder.name}.lock").open("w") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)
        if not folder.is_dir():
            with tempfile.TemporaryDirectory(dir=folder.parent) as name:
                download = ["pip", "download", "--quiet", "--no-deps", "--no-binary=:all:", "--dest", name, release]
                subprocess.run([sys.executable, "-m", *download], check=True)
                with tarfile.open(next(Path(name).glob("*.tar.gz"))) as packed:
                    packed.extractall(Path(name) / "whole", filter="data")
                next((Path(name) / "whole").iterdir()).rename(folder)
    return folder


def peer_command() -> Path:
    """The command of the peer's PyPI release."""
    return environment(PEER).parent / "cellucid"


def free_port() -> int:
    """A port that nobody uses now."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port
