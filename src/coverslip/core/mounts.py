"""Which file system a path lies on, as the system tells without asking its storage."""

from __future__ import annotations

import re
import time
from functools import lru_cache
from pathlib import Path

REMOTE_KINDS = frozenset(
    ("nfs", "nfs4", "cifs", "smb", "smb2", "smb3", "smbfs", "9p", "afs", "ceph", "lustre", "gpfs", "beegfs",
     "glusterfs", "davfs", "ncpfs", "virtiofs", "vboxsf", "fuse")
)  # fmt: skip
"""File systems that other machines write to, so that inotify does not see every change; their storage may be away."""
MOUNTS = Path("/proc/mounts")
KEPT_S = 1.0
"""For how long the list of mounts is not read again."""


def mount_of(path: Path) -> tuple[str, str]:
    """Where the file system is mounted that holds ``path``, and its kind; empty where the system does not tell."""
    name = str(path)
    best, kind = "", ""
    for point, its_kind in _table(MOUNTS, int(time.monotonic() / KEPT_S)):
        within = point == "/" or name == point or name.startswith(f"{point}/")
        if within and len(point) >= len(best):  # the last mount on a point is the one that is seen
            best, kind = point, its_kind
    return best, kind


@lru_cache(2)
def _table(file: Path, _: int) -> tuple[tuple[str, str], ...]:
    try:
        lines = file.read_text("utf-8", "surrogateescape").splitlines()
    except OSError:
        return ()
    rows = [parts for line in lines if len(parts := line.split(" ")) > 2]
    return tuple((re.sub(r"\\([0-7]{3})", lambda m: chr(int(m[1], 8)), row[1]), row[2]) for row in rows)


def is_remote(kind: str) -> bool:
    """Whether a kind of file system may change without this machine's kernel knowing."""
    return kind in REMOTE_KINDS or (kind.startswith("fuse.") and kind != "fuse.fuse-overlayfs")


def network_mount(path: Path) -> str | None:
    """The mount that a path lies on, where its storage is another machine's or program's; None for a local disk."""
    point, kind = mount_of(path)
    return point if is_remote(kind) else None
