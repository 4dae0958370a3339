"""The roots that are offered: those a server was started with, and those that were added while it serves."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from coverslip.core.errors import BadRequest, CoverslipError, NotFound
from coverslip.engine.places import DROPPED, Root, distinct
from coverslip.engine.store import Row, shown_path


class Offered:
    """Roots by their aliases.

    Parameters
    ----------
    roots
        What is offered from the start.

    Attributes
    ----------
    roots
        What is offered now; the survey adds and removes what came and went meanwhile.
    """

    def __init__(self, roots: Sequence[Root]) -> None:
        self.roots = distinct(roots)
        self._dropped: dict[str, Root] = {}
        self._own: list[Path] = []
        self._lock = threading.Lock()

    def leave_out(self, folder: Path) -> None:
        """As `Catalog.leave_out`."""
        real = Path(os.path.realpath(folder))
        self._own.append(real)
        self.roots[:] = [_without(root, real) for root in self.roots]

    def add(self, root: Root) -> Root:
        """One root more, until the server ends; with an alias of its own.

        Raises
        ------
        BadRequest
            When the server itself writes to it.
        """
        for folder in self._own:
            root = _without(root, folder)
        with self._lock:
            name, number = f"{DROPPED}{root.alias}", 2
            taken = {other.alias for other in (*self.roots, *self._dropped.values())}
            while name in taken:
                name, number = f"{DROPPED}{root.alias}-{number}", number + 1
            made = self._dropped[name] = replace(root, alias=name)
        return made

    def drop(self, alias: str) -> Root:
        """The root of this alias, which is no longer to be offered.

        Raises
        ------
        NotFound
            When none was added under it.
        """
        with self._lock:
            root = self._dropped.pop(alias, None)
        if root is None:
            raise NotFound("There is no such folder among those that were added", "See source_url in the catalog.")
        return root

    def of(self, row: Row) -> Root:
        """The root that a row is below.

        Raises
        ------
        NotFound
            When it is offered no longer.
        """
        for root in (*self.roots, *self._dropped.values()):
            if root.alias == row.root:
                return root
        raise not_found(row.id)

    def holds(self, row: Row) -> bool:
        """Whether a row is below one of the roots."""
        return any(row.root == root.alias for root in self.roots)

    def path(self, row: Row) -> Path | None:
        """Where a row is on this machine; None when it is not below a root."""
        return self.of(row).full(row.path) if row.root else None

    def where(self, row: Row) -> str:
        """Where a row is: a path of this machine, an address, or ``memory:`` and its id."""
        if row.root:
            return str(self.of(row).full(row.path))
        return row.path if "://" in row.path else f"memory:{row.id}"

    def plain(self, error: CoverslipError, row: Row) -> CoverslipError:
        """The error without paths of this machine."""
        if not row.root:
            return error
        root = self.of(row)
        message, hint = error.message, error.hint
        own = root.full(row.path)
        for path, shown in ((own, shown_path(own.name)), (root.path, root.alias), (root.path.parent, "…")):
            if str(path) != "/":
                message, hint = message.replace(str(path), shown), hint.replace(str(path), shown)
        return CoverslipError(shown_path(message), shown_path(hint), error.name)


def not_found(id: str) -> NotFound:
    """The error for an id that there is not."""
    return NotFound(f"Source not found: {id[:200]}", "GET /api/sources lists them.", "source_not_found")


def _without(root: Root, folder: Path) -> Root:
    """A root without a folder that the server itself writes to."""
    if root.path == folder or folder in root.path.parents:
        hint = "Choose a folder of its own; it may be inside one that is offered."
        raise BadRequest(f"{folder} is offered, and cannot be written to as well", hint)
    if root.path not in folder.parents:
        return root
    return replace(root, left_out=root.left_out | {folder.relative_to(root.path).as_posix()})
