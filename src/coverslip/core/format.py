"""What a file format is to coverslip, and how formats are found.

A format is one module in ``coverslip.formats`` (or behind the entry point group ``coverslip.formats``) with a
module-level ``FORMAT``. It imports its file library inside `Format.open` only: every module is imported to ask it
whether it knows a path.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol, runtime_checkable

from coverslip.core.node import Source


@runtime_checkable
class Format(Protocol):
    """Turns a path into a tree."""

    name: str
    """Short, lower-case and stable: ``h5ad``."""
    expects: str
    """What a person would call it, for "I can read …": ``.h5ad file``."""
    kind: str
    """What is in it, as far as the format can tell: ``cells``, ``images``, ``network``, or ``arrays`` for anything."""

    def claims(self, path: Path, head: bytes) -> bool:
        """Whether this format should open ``path``; ``head`` is its first 4096 bytes (empty for a folder)."""

    def open(self, path: Path) -> Source:
        """Open without reading data; `Damaged` when the file does not keep what it claims."""


@runtime_checkable
class Several(Protocol):
    """A format of which one source may be several files (a series, a master and its parts)."""

    def members(self, path: Path) -> Sequence[Path]:
        """Every file that belongs to the source at ``path``, itself included; these are not listed on their own."""


@runtime_checkable
class Apart(Protocol):
    """A format whose library may keep Python's lock while it asks a disk: another process reads network disks."""

    apart: bool


def file_etag(stat: os.stat_result) -> str:
    """Size, modification time and inode of one file, in hexadecimal."""
    return f"{stat.st_size:x}-{stat.st_mtime_ns:x}-{stat.st_ino:x}"
