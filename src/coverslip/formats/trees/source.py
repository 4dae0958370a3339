"""Sources that are files and folders."""

from __future__ import annotations

import hashlib
import importlib
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from coverslip.core.errors import Unsupported
from coverslip.core.format import file_etag
from coverslip.core.node import Group, Source

MOST_ENTRIES = 5000
"""How many entries of a folder its etag looks at; the catalog's watch sees the others change."""


class PathSource(Source):
    """A tree read from one path.

    Parameters
    ----------
    path
        The file or folder.
    root
        Its tree.
    close
        Gives back what the readers hold.
    parts
        The files whose change makes this another version; the path itself when left out.
    """

    def __init__(
        self, path: Path, root: Group, close: Callable[[], None] | None = None, parts: Sequence[Path] = ()
    ) -> None:
        self.root = root
        self._parts = tuple(parts) or (path,)
        self._close = close
        self._seen = _state(self._parts)
        self.etag = path_etag(path) if path.is_dir() and not parts else _digest(self._seen)
        self.modified_s = max(p.stat().st_mtime for p in self._parts)

    def fresh(self) -> bool:
        """Whether the files are still those that were opened."""
        try:
            return _state(self._parts) == self._seen
        except OSError:
            return False

    def close(self) -> None:
        """Close the readers."""
        close, self._close = self._close, None
        if close is not None:
            close()


def path_etag(path: Path) -> str:
    """The version of a file, or of a folder by the names, sizes and times of what is in it."""
    if path.is_file():
        return file_etag(path.stat())
    return _digest([f"{name} {file_etag(stat)}" for name, stat in _walk(path)])


def _walk(folder: Path) -> Iterator[tuple[str, os.stat_result]]:
    left, stack = MOST_ENTRIES, [folder]
    while stack and left > 0:
        here = stack.pop()
        with os.scandir(here) as found:
            entries = sorted(found, key=lambda e: e.name)
        for entry in entries[:left]:
            try:
                yield entry.name, entry.stat()
            except FileNotFoundError:  # a link to nothing
                yield entry.name, entry.stat(follow_symlinks=False)
            if entry.is_dir(follow_symlinks=False):
                stack.append(Path(entry.path))
        left -= len(entries)


def _state(parts: Sequence[Path]) -> list[str]:
    return [file_etag(part.stat()) for part in parts]


def _digest(lines: Sequence[str]) -> str:
    return lines[0] if len(lines) == 1 else hashlib.sha256("\n".join(lines).encode()).hexdigest()[:32]


def need(module: str, what: str, extra: str = "images") -> Any:
    """A file library, loaded when first needed.

    Raises
    ------
    Unsupported
        When it is not installed, with the command that installs it.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise Unsupported(
            f"Reading {what} needs the package {module.partition('.')[0]}",
            f"Install it: pip install 'coverslip[{extra}]'.",
            "library_missing",
        ) from error
