"""What a source looks like from outside: by it is seen that it changed, and not opened."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from coverslip.core.format import file_etag
from coverslip.engine.store import Row

MOST_ENTRIES = 20_000
"""How many entries of a folder are looked at to see that it changed."""


@dataclass(frozen=True)
class State:
    """What a source looks like from outside."""

    deep: str = ""
    size: int = 0
    modified_ns: int = 0

    @property
    def age_s(self) -> float:
        """Seconds since it last changed; negative when its clock is ahead of ours."""
        return time.time() - self.modified_ns / 1e9

    def columns(self, row: Row) -> dict[str, Any]:
        """What of it a row of a folder shows; a file's was seen by the scan."""
        return {"deep": self.deep, "size": self.size, "modified_ns": self.modified_ns} if row.folder else {}


def state_of(row: Row, path: Path | None) -> State:
    """What the source of a row looks like now; nothing of one that is not on a disk, or cannot be seen."""
    if path is None:
        return State()
    if row.folder:
        return folder_state(path)
    try:
        stat = path.stat()
    except OSError:
        return State()
    return State(file_etag(stat), stat.st_size, stat.st_mtime_ns)


def folder_state(folder: Path, most: int = MOST_ENTRIES) -> State:
    """Size, newest time and a digest of what is in a folder, nearest first; of the first ``most`` entries."""
    digest, size, newest, left = sha256(), 0, 0, most
    level = [str(folder)]
    while level and left > 0:
        below: list[str] = []
        for path in level:
            try:
                with os.scandir(path) as entries:
                    listed = sorted(entries, key=lambda e: e.name)[: max(left, 0)]
            except OSError:
                continue
            left -= len(listed)
            for entry in listed:
                try:
                    stat = entry.stat(follow_symlinks=False)
                except OSError:
                    continue
                digest.update(f"{entry.name}\0{file_etag(stat)}\n".encode("utf-8", "surrogateescape"))
                newest = max(newest, stat.st_mtime_ns)
                if entry.is_dir(follow_symlinks=False):
                    below.append(entry.path)
                else:
                    size += stat.st_size
        level = below
    return State(digest.hexdigest()[:32], size, newest)
