"""What a scan finds: one source, the inodes that were met, and a stamp that tells of changes."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

from coverslip.core.errors import CoverslipError
from coverslip.core.format import Format, file_etag
from coverslip.engine.places import Root

SHALLOW_ENTRIES = 256
"""How many entries of a claimed folder a scan looks at to see that it changed; the indexer looks at more."""
IN_CLOUD_FLAGS = 0x40000000  # SF_DATALESS of macOS
IN_CLOUD_ATTRIBUTES = 0x00400000 | 0x00001000  # FILE_ATTRIBUTE_RECALL_ON_DATA_ACCESS, _OFFLINE of Windows
FAILURES = (ArithmeticError, AttributeError, EOFError, ImportError, LookupError, MemoryError, OSError, RuntimeError,
            TypeError, ValueError)  # fmt: skip
"""What a format may raise, beside its own errors, when it meets a file it did not foresee."""

Recognise = Callable[[Path], Format]
Key = tuple[int, int]
"""Device and inode."""
Place = tuple[str, os.stat_result]


@dataclass(frozen=True, slots=True)
class Found:
    """One source that a scan found.

    Attributes
    ----------
    path
        Below the root, with slashes; empty when the root itself is the source.
    format, kind
        The format's name, and what it holds.
    folder
        Whether it is a folder.
    size
        In bytes; 0 for a folder until the indexer looked into it.
    modified_ns
        When it last changed, in nanoseconds since 1970.
    inode
        Its number in its file system.
    stamp
        Another one whenever the file (or the folder, as far as a scan looks) changed.
    members
        Paths of all files of a set, itself included; empty when it is not a set.
    error
        Why it cannot be read, if that is known already.
    """

    path: str
    format: str
    kind: str
    folder: bool
    size: int
    modified_ns: int
    inode: int
    stamp: str
    members: tuple[str, ...] = ()
    error: CoverslipError | None = field(default=None, compare=False)

    @property
    def identity(self) -> tuple[int, int, int]:
        """The same for a file or folder that was renamed and not changed."""
        return self.inode, self.size if not self.folder else 0, self.modified_ns if not self.folder else 0


@dataclass
class Omitted:
    """How many things a scan left out, by reason."""

    links_outside: int = 0
    in_cloud: int = 0
    closed_folders: int = 0


class Seen:
    """Who was found under which inode, so that nothing is listed twice."""

    def __init__(self) -> None:
        self.owners: dict[Key, tuple[Root, str]] = {}
        self.shadowed: set[Key] = set()

    def take(self, key: Key, root: Root, path: str) -> bool:
        """Whether ``path`` is the name under which this is listed."""
        owner = self.owners.setdefault(key, (root, path))
        if owner[0] is root and owner[1] == path:
            return True
        try:
            there = owner[0].full(owner[1]).stat()
        except OSError:
            there = None
        if there is not None and (there.st_dev, there.st_ino) == key:
            self.shadowed.add(key)
            return False
        self.owners[key] = (root, path)
        return True

    def forget(self, root: Root) -> None:
        """Forget all that a root owns."""
        self.owners = {key: owner for key, owner in self.owners.items() if owner[0] is not root}


def folder_stamp(folder: Path, stat: os.stat_result) -> tuple[str, int]:
    """A stamp of a folder and what is directly in it, and when the newest of them changed (ns since 1970)."""
    lines, newest = [file_etag(stat)], stat.st_mtime_ns
    try:
        with os.scandir(folder) as entries:
            for entry in sorted(entries, key=lambda e: e.name)[:SHALLOW_ENTRIES]:
                found = entry.stat(follow_symlinks=False)
                lines.append(f"{entry.name} {file_etag(found)}")
                newest = max(newest, found.st_mtime_ns)
    except OSError:
        lines.append("gone")
    return sha256("\n".join(lines).encode("utf-8", "surrogateescape")).hexdigest()[:32], newest


def parent(path: str) -> str:
    """The folder of a relative path; empty for the root's own entries."""
    return path.rpartition("/")[0]


def in_cloud(stat: os.stat_result) -> bool:
    """Whether reading the file would fetch it from a cloud first."""
    flags, attributes = getattr(stat, "st_flags", 0), getattr(stat, "st_file_attributes", 0)
    return bool(flags & IN_CLOUD_FLAGS or attributes & IN_CLOUD_ATTRIBUTES)
