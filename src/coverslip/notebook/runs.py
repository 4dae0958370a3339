"""Which cell of a notebook made a view: running it again ends the view."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any

from IPython.core.getipython import get_ipython

if TYPE_CHECKING:
    from coverslip.notebook.view import View

_made: dict[str, weakref.WeakSet[View]] = {}
_following: weakref.WeakSet[Any] = weakref.WeakSet()


def follow(view: View) -> None:
    """Note that the cell that runs now made a view."""
    shell = get_ipython()
    cell = cell_of(shell)
    if shell is None or cell is None:
        return
    _made.setdefault(cell, weakref.WeakSet()).add(view)
    if shell not in _following:
        _following.add(shell)
        shell.events.register("pre_run_cell", lambda info=None: again(getattr(info, "cell_id", None) or cell_of(shell)))


def again(cell: str | None) -> None:
    """A cell is about to run: end the views it made before."""
    for view in tuple(_made.pop(cell, ())) if cell is not None else ():
        view.stop()


def cell_of(shell: Any) -> str | None:
    """The id of the cell that runs now, as the notebook's page tells it; None in other shells."""
    if not hasattr(shell, "get_parent"):
        return None
    metadata = (shell.get_parent() or {}).get("metadata") or {}
    found = metadata.get("cellId")
    return str(found) if found else None
