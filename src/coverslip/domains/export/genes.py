"""Every gene of a matrix, one after the other, however the matrix is stored."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import Future, as_completed
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from coverslip.core.stop import Stop
from coverslip.domains.cells import Expression
from coverslip.domains.gene_index import GeneIndex
from coverslip.domains.gene_index_build import write_index

T = TypeVar("T")
Told = Callable[[str, int, int], None]
"""Called with what is being written, how much of it is done, and how much there is; from any thread."""
INDEX, KEY = ".genes", b"coverslip-export"
INDEX_MEMORY = 320 << 20


@contextmanager
def by_gene(expression: Expression, folder: Path, workers: int, stop: Stop, told: Told) -> Iterator[None]:
    """Genes are read at once within: a matrix that is stored by cell is sorted first, into a file in ``folder``."""
    bulk = expression.matrix.bulk
    if bulk is None:
        yield
        return
    path = folder / INDEX

    def sorted_so_far(done: int, total: int) -> None:
        stop.check()
        told("sorting by gene", done, total)

    write_index(bulk, path, KEY, sorted_so_far, workers, INDEX_MEMORY, durable=False)
    index = GeneIndex(path, bulk.shape, KEY)
    if os.name == "posix":
        path.unlink()  # it is read through its open file, and never brought to the disk
    before, bulk.index = bulk.index, index
    try:
        yield
    finally:
        bulk.index = before
        index.close()
        path.unlink(missing_ok=True)


def finished(what: str, futures: list[Future[T]], told: Told) -> list[T]:
    """Results in order, told as they come; the first error is raised at once."""
    told(what, 0, len(futures))
    for done, future in enumerate(as_completed(futures), 1):
        future.result()
        told(what, done, len(futures))
    return [future.result() for future in futures]
