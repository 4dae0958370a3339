"""A gene-major copy of a matrix: one gene is a few short reads, however the matrix is stored.

A file of runs. A run holds some cells in a row (65,536 at most), sorted by gene; a gene is read by one piece of each
run. Every piece has its checksum, so a flipped bit is seen when it is read, and nothing else has to be looked at.

Layout, little-endian: a header of 64 bytes; the runs; then ``n_runs`` × (first cell u64, where its rows begin u64,
where its values begin u64, cells u32, type of values u32); then for each gene ``n_runs`` × (first item u32, items u32,
CRC-32 of its rows and values u32) and the CRC-32 of these. The header is written last: a file that was cut short has
none.
"""

from __future__ import annotations

import os
import struct
import threading
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
import numpy.typing as npt

from coverslip.core.errors import Damaged

try:
    from isal.isal_zlib import crc32 as _crc32
except ImportError:  # machines that isal has no code for
    from zlib import crc32 as _crc32

checksum: Callable[..., int] = _crc32
"""CRC-32 as zlib's; several times as fast where isal is installed."""

MAGIC = b"CSGENE01"
HEADER = struct.Struct("<8sQQIIQ16s")
HEADER_BYTES = 64
RUN = np.dtype([("first", "<u8"), ("rows_at", "<u8"), ("values_at", "<u8"), ("n_rows", "<u4"), ("kind", "<u4")])
PIECE = np.dtype([("start", "<u4"), ("count", "<u4"), ("crc", "<u4")])
VALUES: dict[int, np.dtype[Any]] = {0: np.dtype("<f4"), 1: np.dtype("<u1"), 2: np.dtype("<u2")}
DENSE = 0x100
"""Added to the type of a run's values when every cell has one and no rows are kept."""
MOST_ROWS = 1 << 16
"""Cells of a run: their numbers in it take two bytes."""
AGAIN = "It is made again."


class Run(NamedTuple):
    """Where the items of some cells in a row lie: `RUN`, as Python's numbers, which are read many times as fast."""

    first: int
    rows_at: int
    values_at: int
    n_rows: int
    kind: int


class Piece(NamedTuple):
    """Where the items of one gene lie in a run: `PIECE`."""

    start: int
    n_items: int
    crc: int


class GeneIndex:
    """An index that was made, open for reading from any thread.

    Parameters
    ----------
    path
        The file.
    shape
        Cells and genes that it must hold.
    key
        What it must have been made of.

    Raises
    ------
    Damaged
        When the file is cut short, damaged, or of another matrix.
    OSError
        When it cannot be read.
    """

    def __init__(self, path: Path, shape: tuple[int, int], key: bytes) -> None:
        self.path, self.shape, self.key = path, shape, key
        self._lock = threading.Lock()
        self._file: BinaryIO = path.open("rb", buffering=0)
        try:
            self._runs, self._records_at = self._read_head(shape, key)
        except BaseException:
            self._file.close()
            raise

    def _read_head(self, shape: tuple[int, int], key: bytes) -> tuple[list[Run], int]:
        head = self._read(0, HEADER_BYTES)
        magic, n_cells, n_genes, n_runs, _, at, told = HEADER.unpack_from(head)
        if magic != MAGIC or (n_cells, n_genes) != shape or told != key[:16]:
            raise Damaged("A gene index is of another matrix", AGAIN)
        records_at = at + n_runs * RUN.itemsize
        size = os.fstat(self._file.fileno()).st_size
        if size != records_at + n_genes * (n_runs * PIECE.itemsize + 4):
            raise Damaged("A gene index was cut short", AGAIN)
        runs = self._read(at, n_runs * RUN.itemsize)
        if zlib.crc32(runs, zlib.crc32(head[: HEADER.size])) != struct.unpack_from("<I", head, HEADER.size)[0]:
            raise Damaged("A gene index is damaged", AGAIN)
        return [Run(*told) for told in np.frombuffer(runs, RUN).tolist()], records_at

    def column(self, gene: int) -> npt.NDArray[np.float32]:
        """One gene in every cell, float32 ``(n_cells,)``.

        Raises
        ------
        Damaged
            When what is read is not what was written.
        """
        result = np.zeros(self.shape[0], np.float32)
        for run, piece in self._pieces(gene):
            self._add(result, run, *self._items(run, piece))
        return result

    def entries(self, gene: int) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.float32]]:
        """The cells in which a gene is not 0, in rising order, and its values there.

        Raises
        ------
        Damaged
            When what is read is not what was written.
        """
        pieces = list(self._pieces(gene))
        end = sum(piece.n_items for _, piece in pieces)
        cells, values = np.empty(end, np.intp), np.empty(end, np.float32)
        done = 0
        for run, piece in pieces:
            places, numbers = self._items(run, piece)
            at = slice(done, done + piece.n_items)
            np.add(np.arange(piece.n_items) if places is None else places, run.first, out=cells[at], dtype=np.intp)
            values[at] = numbers
            done += piece.n_items
        if not np.all(cells[1:] > cells[:-1]):  # a file may store one cell's value in parts
            column = np.zeros(self.shape[0], np.float32)
            np.add.at(column, cells, values)
            cells = np.flatnonzero(column)
            values = column[cells]
        there = values != 0
        return (cells, values) if there.all() else (cells[there], values[there])

    def _pieces(self, gene: int) -> Iterator[tuple[Run, Piece]]:
        """The runs that have something of a gene, and where."""
        n_runs = len(self._runs)
        record = self._read(self._records_at + gene * (n_runs * PIECE.itemsize + 4), n_runs * PIECE.itemsize + 4)
        if struct.pack("<I", checksum(record[:-4])) != record[-4:]:
            raise Damaged("A gene index is damaged", AGAIN)
        for run, told in zip(self._runs, np.frombuffer(record, PIECE, n_runs).tolist(), strict=True):
            piece = Piece(*told)
            if piece.n_items:
                yield run, piece

    def _items(self, run: Run, piece: Piece) -> tuple[npt.NDArray[Any] | None, npt.NDArray[Any]]:
        """Cells of a piece, from the run's first (None: all of them), and their values."""
        start, count, crc = piece
        dtype, dense = VALUES[run.kind & 0xFF], run.kind & DENSE
        rows = b"" if dense else self._read(run.rows_at + 2 * start, 2 * count)
        values = self._read(run.values_at + dtype.itemsize * start, dtype.itemsize * count)
        if checksum(values, checksum(rows)) != crc:
            raise Damaged("A gene index is damaged", AGAIN)
        return None if dense else np.frombuffer(rows, "<u2"), np.frombuffer(values, dtype)

    def _add(
        self, result: npt.NDArray[np.float32], run: Run, places: npt.NDArray[Any] | None, numbers: npt.NDArray[Any]
    ) -> None:
        part = result[run.first : run.first + run.n_rows]
        if places is None:
            part[:] = numbers
        elif np.all(places[1:] > places[:-1]):
            part[places] += numbers
        else:  # a file may store one cell's value in parts
            np.add.at(part, places, numbers.astype(np.float32))

    def _read(self, at: int, size: int) -> bytes:
        if hasattr(os, "pread"):
            data = os.pread(self._file.fileno(), size, at)
        else:
            with self._lock:
                self._file.seek(at)
                data = self._file.read(size)
        if len(data) != size:
            raise Damaged("A gene index was cut short", AGAIN)
        return data

    def close(self) -> None:
        """Close the file; nothing can be read afterwards. Done by itself when nobody holds the index."""
        self._file.close()

    def __del__(self) -> None:
        file = getattr(self, "_file", None)
        if file is not None:
            file.close()
