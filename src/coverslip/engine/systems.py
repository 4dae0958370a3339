"""Neural systems by name: the folders directly below the roots that hold one, and the JSON files in them."""

from __future__ import annotations

import os
import stat as modes
from collections.abc import Iterator, Sequence
from pathlib import Path

from coverslip.core.errors import BadRequest, NotFound, TooLarge
from coverslip.core.format import file_etag
from coverslip.engine.places import Root, inside
from coverslip.engine.storage import STORAGE, place_of

WHOLE = "graph.h5"
PAIR = ("cells.h5", "connections.h5")
SUFFIX = ".json"
MOST_BYTES = 64 << 20
LONGEST_NAME = 255
LONGEST_PATH = 1024


class Systems:
    """The systems below some roots. Nothing is kept: what is told is what is there.

    Parameters
    ----------
    roots
        Folders that hold systems, or are one.
    """

    def __init__(self, roots: Sequence[Root]) -> None:
        self._roots = [root for root in roots if root.path.is_dir()]

    def _visited(self) -> Iterator[Root]:
        for root in self._roots:
            STORAGE.visit(place_of(root.path))
            yield root

    def names(self) -> list[str]:
        """The names of all systems, sorted.

        Raises
        ------
        Unreadable
            When the storage of one does not answer; `file` and `folder` likewise.
        """
        return sorted(self._folders())

    def _folders(self) -> dict[str, Path]:
        found: dict[str, Path] = {}
        for root in self._visited():
            if _holds_system(root.path):
                found.setdefault(root.alias, root.path)
                continue
            try:
                entries = list(root.path.iterdir())
            except OSError:
                continue
            for entry in entries:
                if self._listed(root, entry):
                    found.setdefault(entry.name, entry)
        return found

    def _listed(self, root: Root, entry: Path) -> bool:
        if entry.name.startswith(".") or root.hides(entry.name):
            return False
        return inside(entry, self._roots) and _holds_system(entry)

    def file(self, system: str, path: str) -> tuple[bytes, str]:
        """A JSON file of a system, and its etag.

        Raises
        ------
        BadRequest
            When the name is none that a file can have.
        NotFound
            When there is no such system or file, or it lies elsewhere. All of these look the same from outside.
        TooLarge
            When it is larger than a document is.
        """
        parts = path.split("/")
        if "\0" in system or "\0" in path or len(path) > LONGEST_PATH:
            raise BadRequest("That is no name of a file", "GET /systems lists what there is.")
        folder = self._folder(system) if _is_name(system) else None
        if folder is None or not all(map(_is_name, parts)) or not parts[-1].endswith(SUFFIX):
            raise _missing()
        real, base = os.path.realpath(folder.joinpath(*parts)), os.path.realpath(folder)
        if not real.startswith(f"{base.rstrip('/')}/"):
            raise _missing()
        try:
            # The path itself, which has no links now: one that is put there meanwhile is not followed.
            handle = os.open(real, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
        except (OSError, ValueError):
            raise _missing() from None
        found = os.fstat(handle)
        if not modes.S_ISREG(found.st_mode):
            os.close(handle)
            raise _missing()
        with os.fdopen(handle, "rb") as file:
            if found.st_size > MOST_BYTES:
                raise TooLarge("This document is too large", f"At most {MOST_BYTES >> 20} MB are sent.")
            return file.read(MOST_BYTES), file_etag(found)

    def folder(self, name: str) -> Path:
        """The folder of a system.

        Raises
        ------
        NotFound
            When there is none of this name.
        """
        found = self._folder(name) if _is_name(name) else None
        if found is None:
            raise NotFound(f"Source not found: {name[:200]}", "GET /systems lists them.", "source_not_found")
        return found

    def place(self, name: str) -> str:
        """Where a system is, links followed; `NotFound` when there is none of this name."""
        return os.path.realpath(self.folder(name))

    def _folder(self, name: str) -> Path | None:
        for root in self._visited():
            if _holds_system(root.path):
                if root.alias == name:
                    return root.path
            elif self._listed(root, root.path / name):
                return root.path / name
        return None


class OnlySystem(Systems):
    """One system of many, for who may not know of any other.

    Parameters
    ----------
    systems
        All of them.
    name
        Of the one.
    where
        Where it was when it was shared (`place`): whatever is called so later is not there.
    """

    def __init__(self, systems: Systems, name: str, where: str) -> None:
        self._roots, self._name, self._where = systems._roots, name, where

    def _folders(self) -> dict[str, Path]:
        return {name: folder for name, folder in super()._folders().items() if self._shown(name, folder)}

    def _folder(self, name: str) -> Path | None:
        folder = super()._folder(name)
        return folder if folder is not None and self._shown(name, folder) else None

    def _shown(self, name: str, folder: Path) -> bool:
        return name == self._name and os.path.realpath(folder) == self._where


def _is_name(part: str) -> bool:
    """Whether this is a name of one file or folder that is not hidden."""
    return bool(part) and not part.startswith(".") and len(part) <= LONGEST_NAME and not set(part) & set("/\\\0:")


def _holds_system(folder: Path) -> bool:
    try:
        return (folder / WHOLE).is_file() or all((folder / name).is_file() for name in PAIR)
    except (OSError, ValueError):
        return False


def _missing() -> NotFound:
    return NotFound("There is no such file", "GET /systems lists the systems; only their JSON files are here.")
