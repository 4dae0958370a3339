"""Files of one kind below the roots, by path: what a client names ``/folder/name`` is found on disk, and no more.

Nothing is listed beforehand: a folder is looked at when it is asked for, so what is found is always what is there.
"""

from __future__ import annotations

import os
import re
import stat as stats
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from coverslip.core.errors import BadRequest, CoverslipError, Damaged, NotFound, Unreadable
from coverslip.core.node import Source
from coverslip.core.typed import TypedFile
from coverslip.engine.library import Entry, Library
from coverslip.engine.neighbours import Neighbours
from coverslip.engine.places import Root, check_inside, inside
from coverslip.engine.storage import STORAGE, place_of

HEAD_BYTES = 2048 + 8
MOST_KNOWN = 1 << 16
LONGEST = 4096
SETTLE_S = 10.0
"""A file that cannot be opened and changed less than this ago is taken for one that is being written."""
BEING_WRITTEN = "being_written"


@dataclass(frozen=True, slots=True)
class Place:
    """A folder or a file.

    Attributes
    ----------
    name
        Its path as clients write it: ``/folder/name``.
    path
        Where it is; None for the folder above several roots.
    root
        The root it lies below; None for the folder above several roots.
    folder
        Whether it is a folder.
    modified_s, created_s
        In seconds since 1970 (UTC); ``created_s`` is the earliest that the system tells.
    size
        In bytes; 0 for a folder.
    """

    name: str
    path: Path | None
    root: Root | None
    folder: bool
    modified_s: float = 0.0
    created_s: float = 0.0
    size: int = 0


class Files:
    """The files of one kind below some roots.

    Parameters
    ----------
    roots
        What is offered. One folder is the top itself; of several, each is a folder (or file) of its alias.
    is_kind
        Whether the first 2 KB of a file are those of this kind.
    open_source
        Opens one.
    """

    def __init__(
        self, roots: Sequence[Root], is_kind: Callable[[bytes], bool], open_source: Callable[[Path], Source]
    ) -> None:
        self._roots = list(roots)
        self._is_kind = is_kind
        self._open = open_source
        self._library = Library()
        self._known: OrderedDict[tuple[int, int, int, int], bool] = OrderedDict()

    @property
    def _single(self) -> Root | None:
        """The folder that is the top."""
        if len(self._roots) != 1:
            return None
        STORAGE.visit(place_of(self._roots[0].path))
        return self._roots[0] if self._roots[0].path.is_dir() else None

    def find(self, name: str) -> Place:
        """The folder or file of this path.

        Raises
        ------
        BadRequest
            When it is no path.
        NotFound
            When there is none, or it lies outside of what is offered.
        """
        parts = split(name)
        root = self._single
        if root is None:
            if not parts:
                return Place("/", None, None, True)
            root = next((r for r in self._roots if r.alias == parts[0]), None)
            parts = parts[1:]
            if root is None:
                raise _missing(name)
        relative = "/".join(parts)
        STORAGE.visit(place_of(root.full(relative)))
        if any(p.startswith(".") for p in parts) or self.hidden(root, parts):
            raise _missing(name)
        place = self._place("/" + "/".join(split(name)), root, root.full(relative))
        if place is None:
            raise _missing(name)
        return place

    def named(self, path: Path) -> str:
        """How clients write a path on this machine that lies in what is offered."""
        for root in self._roots:
            if inside(path, [root]):
                relative = os.path.relpath(path, root.path)
                parts = [] if self._single is root else [root.alias]
                return "/" + "/".join([*parts, *([] if relative == "." else [relative])])
        raise _missing(path.name)

    def hidden(self, root: Root, parts: Sequence[str]) -> bool:
        """Whether a path below a root, or a folder above it, is not offered."""
        return any(root.hides("/".join(parts[: i + 1])) for i in range(len(parts)))

    def _place(self, name: str, root: Root, path: Path) -> Place | None:
        try:
            if not inside(path, self._roots):
                return None
            found = path.stat()
        except (OSError, ValueError):
            return None
        folder = stats.S_ISDIR(found.st_mode)
        if not folder and not (stats.S_ISREG(found.st_mode) and self._recognised(path, found)):
            return None
        born = getattr(found, "st_birthtime", min(found.st_ctime, found.st_mtime))
        return Place(name, path, root, folder, found.st_mtime, born, 0 if folder else found.st_size)

    def _recognised(self, path: Path, found: os.stat_result) -> bool:
        key = (found.st_dev, found.st_ino, found.st_mtime_ns, found.st_size)
        known = self._known.get(key)
        if known is None:
            try:
                with path.open("rb") as file:
                    known = self._is_kind(file.read(HEAD_BYTES))
            except OSError:
                return False
            self._known[key] = known
            while len(self._known) > MOST_KNOWN:
                self._known.popitem(last=False)
        return known

    def below(self, place: Place, after: str = "") -> Iterator[Place]:
        """What is directly in a folder, by name, from the one after ``after`` (its path, or its name alone) on."""
        last = after.rstrip("/").rpartition("/")[2]
        prefix = place.name.rstrip("/")
        if place.path is None or place.root is None:
            for root in sorted(self._roots, key=lambda r: r.alias):
                if root.alias > last and (found := self._place(f"/{root.alias}", root, root.path)):
                    yield found
            return
        try:
            names = sorted(entry.name for entry in place.path.iterdir())
        except OSError as error:
            raise Unreadable(f"{place.name} cannot be read", "Check who may read it: ls -l.") from error
        above = os.path.relpath(place.path, place.root.path)
        for name in names:
            if name <= last or name.startswith("."):
                continue
            if place.root.hides(name if above == "." else f"{above}/{name}"):
                continue
            found = self._place(f"{prefix}/{name}", place.root, place.path / name)
            if found is not None:
                yield found

    def entry(self, place: Place) -> Entry:
        """The file as a source that stays open between requests."""
        assert place.path is not None
        entry = self._library.held(place.name)
        if entry is None:
            path = place.path
            entry = self._library.put(place.name, path.name, "", path.name, lambda: self._opened(place.name, path))
            entry.place = place_of(path)
        return entry

    def _opened(self, name: str, path: Path) -> Source:
        try:
            check_inside(path, self._roots)
            source = self._open(path)
            if isinstance(typed := getattr(source, "typed", None), TypedFile):
                typed.beside = Neighbours(self, self._roots, Path(os.path.realpath(path)))
            return source
        except Damaged as error:
            if _age_s(path) < SETTLE_S:
                raise Unreadable(f"{name} is being written", "Ask again in a moment.", BEING_WRITTEN) from error
            raise Damaged(f"{name} cannot be opened: {error.message.partition(': ')[2]}", error.hint) from error
        except CoverslipError as error:
            message = error.message.replace(str(path), name).replace(path.name, name.rpartition("/")[2])
            raise type(error)(message, error.hint, error.name) from error
        except OSError as error:
            raise NotFound(f"{name} cannot be read: {error.strerror}", "Ask again.") from error

    def close(self) -> None:
        """Close every file."""
        self._library.close()


def split(name: str) -> list[str]:
    """The parts of a path.

    Raises
    ------
    BadRequest
        When it has parts that no file can have, or that lead upwards.
    """
    if not name.startswith("/") or len(name) > LONGEST or re.search(r"[\0\\]", name):
        raise BadRequest("That is no path of a file: it begins with a slash")
    parts = name.strip("/").split("/") if name.strip("/") else []
    if any(part in ("", ".", "..") for part in parts):
        raise BadRequest("A path has no empty parts and none that lead upwards")
    return parts


def _age_s(path: Path) -> float:
    try:
        return time.time() - path.stat().st_mtime
    except OSError:
        return 0.0


def _missing(name: str) -> NotFound:
    return NotFound(f"There is no {name[:200]}")
