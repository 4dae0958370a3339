"""Where the data is: the files and folders that are offered, and whether their file system tells of changes."""

from __future__ import annotations

import errno
import fnmatch
import os
import stat
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from coverslip.core.errors import NotFound, Unreadable, UnsafeLink
from coverslip.core.format import Format
from coverslip.core.mounts import is_remote, mount_of
from coverslip.core.node import Source
from coverslip.core.patience import HANGS, Silent, patiently
from coverslip.engine.missing import not_there

NOT_THERE = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)
DROPPED = "dnd:"
"""What the alias of a root begins with that was offered while serving."""


@dataclass(frozen=True)
class Root:
    """One file or folder that is offered.

    Attributes
    ----------
    path
        Absolute; links in it were followed.
    alias
        What clients see instead of the folders above it; unique among the roots.
    name
        What a person calls it, where the root is one source; the stem of its file name when left out.
    id
        What addresses call it, where the root is one source; made of its name when left out.
    hidden
        Patterns of relative paths, or of names at any depth, that are not listed.
    left_out
        Relative paths of what is not data: folders that the server itself writes to.
    watch
        True: changes are told by the file system; False: looked for every so often; None: by the kind of file system.
    recognise, open_source
        Instead of the catalog's own, for a root whose format or metadata is configured.
    """

    path: Path
    alias: str
    name: str = ""
    hidden: tuple[str, ...] = ()
    left_out: frozenset[str] = frozenset()
    watch: bool | None = None
    recognise: Callable[[Path], Format] | None = None
    open_source: Callable[[Path], Source] | None = None
    id: str = ""

    @classmethod
    def at(cls, path: Path, alias: str = "", **options: object) -> Root:
        """The root at ``path``, whose alias is the last part of it when none is given.

        Raises
        ------
        NotFound
            When there is no file and no folder at ``path``.
        Unreadable
            When the system will not let us look there.
        """
        named = Path(os.path.abspath(path))  # noqa: PTH100  (links stay as named)

        def look() -> Path:
            real = Path(os.path.realpath(named))
            check_there(real, named, path)
            return real

        try:
            real = patiently(named, look)
        except Silent as error:
            raise Unreadable(f"The storage of {named} does not answer", "Is its server there?", HANGS) from error
        found = cls(real, alias or named.name or "data")
        return replace(found, **options)  # type: ignore[arg-type]

    @property
    def local(self) -> bool:
        """Whether the file system tells of every change."""
        return not is_remote(file_system(self.path)) if self.watch is None else self.watch

    @property
    def filtered(self) -> bool:
        """Whether anything below it is not to be listed."""
        return bool(self.hidden or self.left_out)

    def full(self, relative: str) -> Path:
        """The path on this machine of a path below the root (empty: the root itself)."""
        return self.path / relative if relative else self.path

    def hides(self, relative: str) -> bool:
        """Whether a path below the root is not to be listed."""
        name = relative.rsplit("/", 1)[-1]
        return relative in self.left_out or any(
            fnmatch.fnmatchcase(relative, p) or fnmatch.fnmatchcase(name, p) for p in self.hidden
        )


def check_there(real: Path, named: Path, written: str | Path) -> None:
    """See that there is a file, or a folder that can be listed.

    Parameters
    ----------
    real
        The path without links.
    named
        The path with all folders above it.
    written
        The path as somebody wrote it.

    Raises
    ------
    NotFound, Unreadable
        As `Root.at`.
    """
    try:
        found = real.stat().st_mode
        if stat.S_ISDIR(found):
            os.scandir(real).close()
    except OSError as error:
        if error.errno in NOT_THERE:
            raise not_there(named, written) from error
        raise Unreadable(f"Cannot read {named}: {error.strerror}", "Check who may read it: ls -ld.") from error
    if not stat.S_ISDIR(found) and not stat.S_ISREG(found):
        raise NotFound(f"{named} is neither a file nor a folder", "Name what holds the data.")


def distinct(roots: Sequence[Root]) -> list[Root]:
    """The roots with aliases that differ; one that is offered twice is kept once."""
    kept: list[Root] = []
    taken: set[str] = set()
    for root in roots:
        if any(root.path == other.path for other in kept):
            continue
        alias, number = root.alias, 2
        while alias in taken:
            alias, number = f"{root.alias}-{number}", number + 1
        taken.add(alias)
        kept.append(replace(root, alias=alias))
    return kept


def inside(path: str | Path, roots: Iterable[Root]) -> bool:
    """Whether a path, once its links are followed, lies in what is offered."""
    real = os.path.realpath(path)
    return any(real == str(root.path) or real.startswith(f"{str(root.path).rstrip('/')}/") for root in roots)


def check_inside(path: Path, roots: Iterable[Root]) -> None:
    """See that a path still leads to what is offered.

    Raises
    ------
    UnsafeLink
        When it has become a link that leads elsewhere.
    """
    if not inside(path, roots):
        raise UnsafeLink(f"{path.name} is a link that leads outside the data", "Offer the folder it leads to as well.")


def file_system(path: Path) -> str:
    """The kind of the file system that holds ``path`` (``ext4``, ``nfs4``), empty where the system does not tell."""
    return mount_of(path)[1]
