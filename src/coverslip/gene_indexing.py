"""The process that makes one gene index: ``python -m coverslip.gene_indexing``, told what by its input."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import Any

from coverslip.core.errors import Damaged, Unreadable
from coverslip.domains.gene_index_build import write_index
from coverslip.engine.job_process import Told, do
from coverslip.task_cells import cells_of

NICE = 10
CHANGED = "The file changed while its genes were indexed", "It is indexed anew with the next gene."


def make(task: dict[str, Any], tell: Told) -> None:
    """Write the index of one matrix, beside its place first, and put it there when it is whole.

    Raises
    ------
    CoverslipError
        When the source cannot be read, or is not what it was.
    OSError
        When the index cannot be written.
    """
    target = Path(task["target"])
    part = target.with_name(f".part-{os.getpid()}-{target.name}")
    try:
        with cells_of(task, *CHANGED) as cells:
            matrix = cells.expression(task["expression"]).matrix.bulk
            if matrix is None:
                raise Damaged("There is nothing to index", "Genes are read at once as they are stored.")
            if [*matrix.shape] != task["shape"]:
                raise Unreadable(*CHANGED)
            write_index(matrix, part, bytes.fromhex(task["key"]), tell, int(task["workers"]), int(task["memory"]))
        part.replace(target)
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)


def main() -> None:
    """Do what the first line of the input says."""
    do(make, NICE, "The index cannot be written")


if __name__ == "__main__":
    main()
