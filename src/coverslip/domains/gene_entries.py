"""Genes one after the other, each as the cells in which it is not 0: in whatever layout the matrix is stored.

From the gene index or a matrix stored by gene where there is one; else in passes over the matrix, each of which
collects as many genes as memory allows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from coverslip.core.errors import Damaged
from coverslip.core.stop import NEVER, Stop
from coverslip.domains.columns import Float32
from coverslip.domains.matrix import Csc, Csr, Dense, Matrix

MEMORY_BYTES = 256 << 20
ENTRY_BYTES = 12
"""Of one value that is collected: its cell, itself, and what is made while it is."""
BLOCK_ITEMS = 1 << 20
FEW_GENES = 16
"""As many are looked for one by one in a single pass, which is quicker than sorting."""
BATCH_GENES = 64
"""Genes read by gene between two looks at whether the index is still there."""

Cells = npt.NDArray[Any]
Entries = tuple[Cells, Float32]
"""Cells in rising order, and their values, none of them 0."""
Read = Callable[[int], Entries]


def batches(
    matrix: Matrix, genes: Sequence[int], memory_bytes: int = MEMORY_BYTES, stop: Stop = NEVER
) -> Iterator[tuple[Sequence[int], Read]]:
    """Some of the genes, and what reads one of them, from any thread; together all of them, in the order given.

    Parameters
    ----------
    matrix
        Of measured cells (`Matrix.measured`).
    genes
        Numbers of columns, each once.
    memory_bytes
        What may be held at a time of a matrix that is stored by cell.
    """
    first = 0
    stored: npt.NDArray[np.int64] | None = None
    while first < len(genes):
        bulk = matrix.bulk
        if bulk is None or bulk.index is not None:
            batch = genes[first : first + BATCH_GENES]
            yield batch, _by_gene(matrix, stop)
        elif len(genes) <= FEW_GENES and 4 * len(genes) * matrix.shape[0] <= memory_bytes:
            batch, columns = genes, matrix.scanned(genes, stop)
            yield batch, _held(batch, columns)
        elif isinstance(bulk, Csr):
            stored = _stored(bulk, stop) if stored is None else stored
            batch, read = _collected(bulk, genes[first:], stored, memory_bytes, stop)
            yield batch, read
        else:
            batch = genes[first : first + max(memory_bytes // max(4 * matrix.shape[0], 1), 1)]
            yield batch, _columns(bulk, batch, stop)
        first += len(batch)


def _by_gene(matrix: Matrix, stop: Stop) -> Read:
    def read(gene: int) -> Entries:
        stop.check()
        source = matrix.bulk
        index = source.index if source is not None else None
        if source is not None and index is not None:
            try:
                return index.entries(gene)
            except (Damaged, OSError):
                source.index = None
        if isinstance(matrix, Csc):
            cells, values = matrix.entries(gene)
            if np.all(cells[1:] > cells[:-1]):
                return _not_zero(cells, values)
        return _of_column(matrix.scanned([gene], stop)[0])

    return read


def _not_zero(cells: Cells, values: Float32) -> Entries:
    there = values != 0
    return (cells, values) if there.all() else (cells[there], values[there])


def _of_column(column: Float32) -> Entries:
    cells = np.flatnonzero(column)
    return cells, column[cells]


def _columns(matrix: Matrix, genes: Sequence[int], stop: Stop) -> Read:
    """Columns of a dense matrix, read once in blocks of rows."""
    assert isinstance(matrix, Dense)
    n_cells = matrix.shape[0]
    low, high = min(genes), max(genes) + 1
    picked = np.asarray(genes) - low
    held = np.empty((len(genes), n_cells), np.float32)
    step = max(BLOCK_ITEMS // (high - low), 1)
    step = -(-step // matrix.chunk_rows) * matrix.chunk_rows
    for first in range(0, n_cells, step):
        stop.check()
        last = min(first + step, n_cells)
        held[:, first:last] = matrix.part((first, last), (low, high))[:, picked].T
    return _held(genes, held)


def _held(genes: Sequence[int], columns: Float32) -> Read:
    place = {gene: i for i, gene in enumerate(genes)}
    return lambda gene: _of_column(columns[place[gene]])


def _stored(matrix: Csr, stop: Stop) -> npt.NDArray[np.int64]:
    """How many values are stored of each gene."""
    stored = np.zeros(matrix.shape[1], np.int64)
    for a, b in _blocks(int(matrix.indptr[-1])):
        stop.check()
        stored += np.bincount(matrix.genes_of(a, b), minlength=stored.size)
    return stored


def _collected(
    matrix: Csr, genes: Sequence[int], stored: npt.NDArray[np.int64], memory_bytes: int, stop: Stop
) -> tuple[Sequence[int], Read]:
    """As many of the genes as fit, sorted by gene in one pass."""
    n_genes, end = matrix.shape[1], int(matrix.indptr[-1])
    sizes = stored[np.asarray(genes)]
    count = max(int(np.searchsorted(np.cumsum(sizes), memory_bytes // ENTRY_BYTES, "right")), 1)
    batch, starts = genes[:count], np.concatenate(([0], np.cumsum(sizes[:count])))
    slot = np.full(n_genes, count, np.uint32)
    slot[np.asarray(batch)] = np.arange(count)
    cells, values = np.empty(int(starts[-1]), np.uint32), np.empty(int(starts[-1]), np.float32)
    free = starts[:-1].copy()
    for a, b in _blocks(end):
        stop.check()
        slots = slot[matrix.genes_of(a, b)]
        mine = np.flatnonzero(slots < count)
        if mine.size:
            order = mine[_stable_order(slots[mine])]
            here = np.bincount(slots[mine], minlength=count)
            places = np.repeat(free - (np.cumsum(here) - here), here)
            places += np.arange(order.size)
            cells[places] = _rows(matrix, a, b)[order]
            values[places] = matrix.values_of(a, b)[order]
            free += here
    place = {gene: i for i, gene in enumerate(batch)}

    def read(gene: int) -> Entries:
        at = slice(int(starts[place[gene]]), int(starts[place[gene] + 1]))
        if np.all(cells[at][1:] > cells[at][:-1]):
            return _not_zero(cells[at], values[at])
        column = np.zeros(matrix.shape[0], np.float32)
        np.add.at(column, cells[at], values[at])
        return _of_column(column)

    return batch, read


def _rows(matrix: Csr, begin: int, end: int) -> npt.NDArray[np.uint32]:
    """The cell of each stored value from number ``begin`` to before ``end``."""
    first = int(np.searchsorted(matrix.indptr, begin, "right")) - 1
    last = int(np.searchsorted(matrix.indptr, end, "left"))
    lengths = np.diff(np.clip(matrix.indptr[first : last + 1], begin, end))
    return np.repeat(np.arange(first, last, dtype=np.uint32), lengths)


def _stable_order(slots: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """``argsort``, equal ones in their order; numpy sorts 16 bits by counting, ten times as fast."""
    low = np.argsort(slots.astype(np.uint16), kind="stable")
    if slots.max() < 1 << 16:
        return low
    return low[np.argsort((slots >> 16).astype(np.uint16)[low], kind="stable")]


def _blocks(end: int) -> Iterator[tuple[int, int]]:
    return ((a, min(a + BLOCK_ITEMS, end)) for a in range(0, end, BLOCK_ITEMS))
