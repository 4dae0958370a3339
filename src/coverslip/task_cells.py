"""The cells that a process of its own works on; what comes of it counts only while the file stays the same."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from coverslip.core.errors import Unreadable
from coverslip.domains.cells import Cells, Options
from coverslip.domains.modalities import data_sets
from coverslip.formats import open_source


@contextmanager
def cells_of(task: dict[str, Any], changed: str, hint: str) -> Iterator[Cells]:
    """A data set of cells, read for the time of a ``with`` block; what is made in it is published after it.

    Parameters
    ----------
    task
        ``path``, ``etag``, ``part`` and ``options`` of the data set.
    changed, hint
        What is said when the file is another one, before or after the work: some of it may be of either version then.

    Raises
    ------
    CoverslipError
        When the source cannot be read, or is not what it was.
    """
    source = open_source(Path(task["path"]))
    try:
        if source.etag != task["etag"]:
            raise Unreadable(changed, hint)
        yield Cells(data_sets(source.root)[task["part"]](), Options(**task["options"]))
        if not source.fresh():
            raise Unreadable(changed, hint)
    finally:
        source.close()
