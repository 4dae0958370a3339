"""What tests and benchmarks need of the machine: a browser, free ports, the peer in an environment of its own."""

from __future__ import annotations

import fcntl
import os
import random
import shutil
import socket
import subprocess
import sys
import tarfile
import tempfile
from contextlib import ExitStack
from pathlib import Path

from install import install

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
    """Make an environment, and install into it."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    done = install(folder / "bin" / "python", "pip", *requirements)
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
    """A port that nobody uses now, and that the system gives to nobody who asks for any."""
    return _free(1)


def free_pair() -> int:
    """A port that is free together with the next one."""
    return _free(2)


def _free(count: int) -> int:
    # Between the choice and its use seconds go by, in which thousands of connections get ports of their own.
    try:
        lowest = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    except (OSError, ValueError):
        lowest = 32768
    while True:
        port = random.randrange(10_000, lowest - 1) if lowest > 12_000 else 0
        try:
            with ExitStack() as held:
                for n in range(count):
                    taken = held.enter_context(socket.create_server(("127.0.0.1", port + n if port else 0)))
                    port = port or taken.getsockname()[1]
        except OSError:
            continue
        return port
