"""How the sources of the catalog are opened."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from coverslip.core.errors import CoverslipError
from coverslip.core.node import Source
from coverslip.engine.offered import Offered, not_found
from coverslip.engine.places import check_inside
from coverslip.engine.rows import Rows
from coverslip.engine.suspects import Suspects


class Opening:
    """Opens sources: files below a root, and what is opened in a way of its own.

    Parameters
    ----------
    rows
        What is known.
    offered
        The roots.
    open_source
        Opens a path.
    suspects
        What is not opened, since servers ended over it.

    Attributes
    ----------
    own
        How those are opened that are not below a root, by id.
    overlay
        Adds to an opened source what was uploaded to it.
    """

    def __init__(self, rows: Rows, offered: Offered, open_source: Callable[[Path], Source], suspects: Suspects) -> None:
        self._suspects = suspects
        self._rows = rows
        self._offered = offered
        self._open_source = open_source
        self.own: dict[str, Callable[[], Source]] = {}
        self.overlay: Callable[[str, Source], Source] = lambda _, source: source

    def of(self, id: str) -> Callable[[], Source]:
        """Opens a source as it is now; errors tell no path of this machine."""

        def open_now() -> Source:
            own = self.own.get(id)
            if own is not None:
                return self.overlay(id, own())
            row = self._rows.by_id.get(id)
            if row is None:
                raise not_found(id)
            root = self._offered.of(row)
            path = root.full(row.path)
            try:
                check_inside(path, self._offered.roots)
                self._suspects.check(path)
                return self.overlay(id, (root.open_source or self._open_source)(path))
            except CoverslipError as error:
                plain = self._offered.plain(error, row)
                raise type(error)(plain.message, plain.hint, plain.name) from error

        return open_now
