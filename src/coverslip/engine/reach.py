"""Whether roots can be reached: disks come and go, and an empty folder stays where one was mounted."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Protocol

from coverslip.core.patience import patiently
from coverslip.engine.places import Root
from coverslip.engine.scan import Tree


class Told(Protocol):
    """Who remembers on which device a root was, and is told when it comes and goes."""

    def device(self, root: Root) -> int | None:
        """The device a root was on before."""

    def reached(self, root: Root, device: int) -> None:
        """A root can be reached."""

    def missing(self, root: Root) -> None:
        """A root cannot be reached."""


class Reach:
    """Which roots are there.

    Parameters
    ----------
    told
        Who is told.
    """

    def __init__(self, told: Told) -> None:
        self._told = told
        self._missing: set[str] = set()

    def missing(self, root: Root) -> bool:
        """Whether it could not be reached when it was last looked for."""
        return root.alias in self._missing

    def forget(self, root: Root) -> None:
        """It is offered no longer."""
        self._missing.discard(root.alias)

    def there(self, root: Root, tree: Tree) -> bool:
        """Whether a root is there, and is not the empty place where its disk was mounted."""
        before = self._told.device(root)

        def look() -> tuple[os.stat_result, bool]:
            stat = root.path.stat()
            return stat, before not in (None, stat.st_dev) and root.path.is_dir() and _is_empty(root.path)

        try:
            stat, empty = patiently(root.path, look)
        except OSError:
            self.lose(root)
            return False
        if empty and tree.items:
            self.lose(root)
            return False
        self._missing.discard(root.alias)
        self._told.reached(root, stat.st_dev)
        return True

    def lose(self, root: Root) -> None:
        """It cannot be reached; said once."""
        if root.alias not in self._missing:
            self._missing.add(root.alias)
            self._told.missing(root)

    def moved(self, root: Root, tree: Tree) -> bool:
        """Whether a root came, went, or is another one than it was."""
        try:
            stat = patiently(root.path, root.path.stat)
        except OSError:
            return root.alias not in self._missing
        if root.alias in self._missing:
            return True
        return "" in tree.folders and tree.folders[""] != (stat.st_dev, stat.st_ino)


def _is_empty(folder: Path) -> bool:
    with os.scandir(folder) as entries:
        return next(entries, None) is None
