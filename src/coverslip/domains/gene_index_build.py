"""Making a gene index: out of core, in several threads, within a budget of memory."""

from __future__ import annotations

import os
import struct
import threading
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from coverslip.core.errors import Damaged
from coverslip.domains.columns import to_float32
from coverslip.domains.gene_index import DENSE, HEADER, HEADER_BYTES, MAGIC, MOST_ROWS, PIECE, RUN, VALUES, checksum
from coverslip.domains.matrix import Csr, Dense, Matrix

MEMORY_BYTES = 512 << 20
BLOCK_ITEMS = 1 << 19
"""Items sorted at once: as many as stay in a core's cache."""
ITEM_BYTES = 16
"""Memory that one item of a run takes while it is sorted, with what is made of it."""
MOST_ITEMS = 1 << 23
AnyArray = npt.NDArray[Any]
Told = Callable[[int, int], None]


@dataclass(frozen=True)
class Sorted:
    """One run, sorted by gene.

    Attributes
    ----------
    first, n_rows
        Its cells.
    starts
        Where each gene begins; int64 ``(n_genes + 1,)``.
    rows
        Cells of the items, from ``first``; uint16, None when every cell has a value of every gene.
    values
        One of `VALUES`, and which.
    """

    first: int
    n_rows: int
    starts: AnyArray
    rows: AnyArray | None
    values: AnyArray
    kind: int


def write_index(
    matrix: Matrix,
    path: Path,
    key: bytes,
    told: Told,
    workers: int = 2,
    memory_bytes: int = MEMORY_BYTES,
    durable: bool = True,
) -> None:
    """Write the index of a matrix to ``path``, whole or not at all.

    Parameters
    ----------
    matrix
        By cell: `Csr` or `Dense`.
    key
        What it is made of; 16 bytes of it are kept.
    told
        Called with items done and items in all, from any thread; what it raises ends the work.
    durable
        Whether it is waited for until it is on the disk; not needed by who makes one for himself.

    Raises
    ------
    OSError
        When it cannot be written: the disk is full, say.
    Damaged
        When the matrix cannot be read.
    """
    memory = max(memory_bytes - (64 << 20), 16 << 20) // workers
    most = min(max(memory // ITEM_BYTES, 1 << 16), MOST_ITEMS)
    work = _Csr(matrix, most) if isinstance(matrix, Csr) else _Dense(matrix, most)
    with path.open("wb", buffering=0) as file:
        _Writer(file, matrix.shape, key, durable).write(work, told, workers)


class _Writer:
    def __init__(self, file: Any, shape: tuple[int, int], key: bytes, durable: bool) -> None:
        self._file, self._shape, self._key, self._durable = file, shape, key, durable
        self._lock = threading.Lock()
        self._end = HEADER_BYTES

    def write(self, work: _Csr | _Dense, told: Told, workers: int) -> None:
        spans = list(work.spans())
        runs = np.zeros(len(spans), RUN)
        pieces = np.zeros((len(spans), self._shape[1]), PIECE)
        total, done = max(sum(n for _, _, n in spans), 1), 0

        def one(number: int) -> None:
            nonlocal done
            first, last, items = spans[number]
            runs[number], pieces[number] = self._run(work.sorted(first, last))
            with self._lock:
                done += items
                told(done, total)

        with ThreadPoolExecutor(workers, "coverslip-genes") as pool:
            futures = [pool.submit(one, number) for number in range(len(spans))]
            try:
                for future in futures:
                    future.result()
            finally:
                for future in futures:
                    future.cancel()
        self._finish(runs, pieces)

    def _run(self, run: Sorted) -> tuple[Any, AnyArray]:
        rows = b"" if run.rows is None else _octets(run.rows)
        values, width = _octets(run.values), run.values.dtype.itemsize
        pieces = np.zeros(self._shape[1], PIECE)
        pieces["start"], pieces["count"] = run.starts[:-1], np.diff(run.starts)
        edges = run.starts.tolist()
        two = 0 if run.rows is None else 2
        pieces["crc"] = [
            checksum(values[a * width : b * width], checksum(rows[a * two : b * two])) for a, b in pairwise(edges)
        ]
        with self._lock:
            rows_at = self._end
            self._put(rows, rows_at)
            values_at = self._end
            self._put(values, values_at)
        return (run.first, rows_at, values_at, run.n_rows, run.kind), pieces

    def _put(self, data: Any, at: int) -> None:
        self._file.seek(at)
        rest = memoryview(data)
        while len(rest):
            rest = rest[self._file.write(rest) :]
        self._end = max(self._end, at + len(data))

    def _finish(self, runs: AnyArray, pieces: AnyArray) -> None:
        n_runs, n_genes = pieces.shape
        records_at = self._end
        self._put(runs.tobytes(), records_at)
        for first in range(0, n_genes, 1024):
            part = np.ascontiguousarray(pieces[:, first : first + 1024].T)
            records = [record + struct.pack("<I", checksum(record)) for record in map(bytes, map(_octets, part))]
            self._put(b"".join(records), self._end)
        self._sync()
        head = HEADER.pack(MAGIC, *self._shape, n_runs, 0, records_at, self._key[:16])
        crc = struct.pack("<II", zlib.crc32(runs.tobytes(), zlib.crc32(head)), 0)
        self._put(head + crc, 0)
        self._sync()

    def _sync(self) -> None:
        if self._durable:
            os.fsync(self._file.fileno())


class _Csr:
    def __init__(self, matrix: Csr, most: int) -> None:
        self._matrix, self._most = matrix, most
        self._n_genes = matrix.shape[1]
        self._narrow = np.dtype(np.uint16 if self._n_genes <= 1 << 16 else np.uint32)

    def spans(self) -> Iterator[tuple[int, int, int]]:
        """First and last cell of every run, and its items."""
        indptr, n_cells = self._matrix.indptr, self._matrix.shape[0]
        first = 0
        while first < n_cells:
            last = int(np.searchsorted(indptr, int(indptr[first]) + self._most, "right")) - 1
            last = min(max(last, first + 1), first + MOST_ROWS, n_cells)
            yield first, last, int(indptr[last]) - int(indptr[first])
            first = last

    def sorted(self, first: int, last: int) -> Sorted:
        indptr = self._matrix.indptr[first : last + 1].astype(np.int64)
        begin, end = int(indptr[0]), int(indptr[-1])
        if end - begin >= 1 << 32:
            raise Damaged("One cell has more values than there can be", "Write the file again.")
        genes = np.empty(end - begin, self._narrow)
        counts = np.zeros(self._n_genes, np.int64)
        for a, b in _blocks(begin, end):
            block = genes[a - begin : b - begin] = self._matrix.genes_of(a, b).astype(self._narrow)
            counts += np.bincount(block, minlength=self._n_genes)
        starts = np.concatenate(([0], np.cumsum(counts)))
        free = starts[:-1].copy()
        rows, values = np.empty(end - begin, np.uint16), np.empty(end - begin, np.float32)
        for a, b in _blocks(begin, end):
            block = genes[a - begin : b - begin]
            order, here = _stable_order(block), np.bincount(block, minlength=self._n_genes)
            places = np.repeat(free - (np.cumsum(here) - here), here)
            places += np.arange(b - a)
            rows[places] = _rows(indptr, a, b)[order]
            values[places] = self._matrix.values_of(a, b)[order]
            free += here
        kind, narrow = _narrowest(values)
        return Sorted(first, last - first, starts, rows, narrow, kind)


class _Dense:
    def __init__(self, matrix: Matrix, most: int) -> None:
        assert isinstance(matrix, Dense)
        self._matrix = matrix
        chunk = matrix.chunk_rows
        step = min(max(most // 2 // max(matrix.shape[1], 1), 1), MOST_ROWS)
        self._step = max(step // chunk * chunk, 1) if chunk <= step else step

    def spans(self) -> Iterator[tuple[int, int, int]]:
        """First and last cell of every run, and its items."""
        n_cells, n_genes = self._matrix.shape
        for first in range(0, n_cells, self._step):
            last = min(first + self._step, n_cells)
            yield first, last, (last - first) * n_genes

    def sorted(self, first: int, last: int) -> Sorted:
        by_gene = np.ascontiguousarray(self._matrix.rows(first, last).T)
        n_genes, n_rows = by_gene.shape
        there = by_gene != 0
        counts = there.sum(axis=1)
        if 3 * int(counts.sum()) >= 2 * by_gene.size:  # rows would take more than they save
            starts = np.arange(n_genes + 1, dtype=np.int64) * n_rows
            return Sorted(first, n_rows, starts, None, by_gene.reshape(-1), DENSE)
        rows = (np.flatnonzero(there) % n_rows).astype(np.uint16)
        kind, narrow = _narrowest(by_gene[there])
        return Sorted(first, n_rows, np.concatenate(([0], np.cumsum(counts))), rows, narrow, kind)


def _blocks(begin: int, end: int) -> Iterator[tuple[int, int]]:
    return ((a, min(a + BLOCK_ITEMS, end)) for a in range(begin, end, BLOCK_ITEMS))


def _rows(indptr: AnyArray, begin: int, end: int) -> AnyArray:
    """The row, from 0, of each stored value from ``begin`` to ``end``."""
    first = int(np.searchsorted(indptr, begin, "right")) - 1
    last = int(np.searchsorted(indptr, end, "left"))
    lengths = np.diff(np.clip(indptr[first : last + 1], begin, end))
    return np.repeat(np.arange(first, last, dtype=np.uint16), lengths)


def _stable_order(genes: AnyArray) -> AnyArray:
    """``argsort``, equal ones in their order; numpy sorts 16 bits by counting, ten times as fast."""
    if genes.dtype.itemsize == 2:
        return np.argsort(genes, kind="stable")
    low = np.argsort(genes.astype(np.uint16), kind="stable")
    return low[np.argsort((genes >> 16).astype(np.uint16)[low], kind="stable")]


def _narrowest(values: AnyArray) -> tuple[int, AnyArray]:
    """The smallest type that holds the values exactly: counts mostly fit into a byte."""
    least, most = (float(values.min()), float(values.max())) if values.size else (0.0, 0.0)
    for kind, limit in ((1, 0xFF), (2, 0xFFFF)):
        if least >= 0 and most <= limit:  # never so where one is NaN
            narrow = values.astype(VALUES[kind])
            if np.array_equal(narrow, values):
                return kind, narrow
    return 0, to_float32(values).astype(VALUES[0], copy=False)


def _octets(array: AnyArray) -> memoryview:
    little = (
        np.ascontiguousarray(array) if array.dtype.names else np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
    )
    return memoryview(little.reshape(-1).view(np.uint8).data)
