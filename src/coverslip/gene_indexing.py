"""The process that makes one gene index: ``python -m coverslip.gene_indexing``, told what by its input."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import Any

from coverslip.core.errors import Damaged, Unreadable
from coverslip.domains.cells import Cells, Options
from coverslip.domains.gene_index_build import write_index
from coverslip.domains.modalities import data_sets
from coverslip.engine.job_process import Told, do
from coverslip.formats import open_source

NICE = 10


def make(task: dict[str, Any], tell: Told) -> None:
    """Write the index of one matrix, beside its place first, and put it there when it is whole.

    Raises
    ------
    CoverslipError
        When the source cannot be read, or is not what it was.
    OSError
        When the index cannot be written.
    """
    source = open_source(Path(task["path"]))
    target = Path(task["target"])
    part = target.with_name(f".part-{os.getpid()}-{target.name}")
    try:
        _check(source.etag == task["etag"])
        cells = Cells(data_sets(source.root)[task["part"]](), Options(**task["options"]))
        matrix = cells.expression(task["expression"]).matrix.bulk
        if matrix is None:
            raise Damaged("There is nothing to index", "Genes are read at once as they are stored.")
        _check([*matrix.shape] == task["shape"])
        write_index(matrix, part, bytes.fromhex(task["key"]), tell, int(task["workers"]), int(task["memory"]))
        _check(source.fresh())  # else some of it may be of another version
        part.replace(target)
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)
        source.close()


def _check(same: bool) -> None:
    if not same:
        raise Unreadable("The file changed while its genes were indexed", "It is indexed anew with the next gene.")


def main() -> None:
    """Do what the first line of the input says."""
    do(make, NICE, "The index cannot be written")


if __name__ == "__main__":
    main()
