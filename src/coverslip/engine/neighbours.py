"""Files that a file names as parts of itself: found beside it, and only where they are offered, too."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from coverslip.core.errors import NotFound, Unreadable, UnsafeLink
from coverslip.core.node import Source
from coverslip.core.typed import TypedFile
from coverslip.engine.places import Root, inside

if TYPE_CHECKING:
    from coverslip.engine.files import Files

LONGEST = 4096


class Held:
    """An opened neighbour; its file stays open as long as this is held."""

    def __init__(self, source: Source) -> None:
        self.file: TypedFile = source.typed  # type: ignore[attr-defined]


class Neighbours:
    """What a file may read of other files; see `coverslip.core.typed.Neighbours`.

    Parameters
    ----------
    files
        What is offered.
    roots
        The same, as folders.
    path
        The file itself: names are relative to its folder.
    """

    def __init__(self, files: Files, roots: list[Root], path: Path) -> None:
        self._files, self._roots, self._path = files, roots, path

    def opened(self, file: str) -> Held:
        """Another file of the same kind.

        Raises
        ------
        UnsafeLink
            When it lies outside of what is offered.
        NotFound
            When it is missing.
        """
        place = self._files.find(self._files.named(self._real(file)))
        return self._files.entry(place).view(Held)[0]

    @contextmanager
    def raw(self, file: str) -> Iterator[int]:
        """A descriptor of another file, whatever it holds.

        Raises
        ------
        UnsafeLink
            When it lies outside of what is offered.
        NotFound
            When it is missing.
        """
        real = self._real(file)
        try:
            # A pipe would be waited for, and a link in place of the file followed.
            descriptor = os.open(real, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError as error:
            raise Unreadable(f"{file[:200]!r} cannot be read: {error.strerror}", "Check who may read it.") from error
        try:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise UnsafeLink(f"{file[:200]!r} is no file")
            yield descriptor
        finally:
            os.close(descriptor)

    def _real(self, file: str) -> Path:
        """Where a file is, its links followed."""
        shown = f"{file[:200]!r}"
        if not file or "\0" in file or len(file) > LONGEST:
            raise UnsafeLink("A part of the data set lies in a file without a name")
        real = Path(os.path.realpath(self._path.parent / file))
        root = next((root for root in self._roots if inside(real, [root])), None)
        if root is None:
            raise UnsafeLink(f"{shown} lies outside of what is offered", "Offer the folder that it is in as well.")
        relative = os.path.relpath(real, root.path)
        parts = [] if relative == "." else relative.split("/")
        if any(part.startswith(".") for part in parts) or self._files.hidden(root, parts):
            raise UnsafeLink(f"{shown} is hidden")
        try:
            found = real.stat()
        except OSError as error:
            raise NotFound(f"There is no {shown}") from error
        if not stat.S_ISREG(found.st_mode):
            raise UnsafeLink(f"{shown} is no file")
        return real
