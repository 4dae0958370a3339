"""Matrices of cells × genes in any layout, read one gene at a time.

Source: AnnData's ``csr_matrix`` and ``csc_matrix`` encodings (``h5sparse`` in files before 0.7).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from coverslip.core.ability import beside_locks
from coverslip.core.errors import Damaged, Unsupported
from coverslip.core.node import Array, Group, Node
from coverslip.core.spec import Box
from coverslip.core.stop import NEVER, Stop
from coverslip.domains.columns import Float32, to_float32
from coverslip.domains.gene_index import GeneIndex

BLOCK_ITEMS = 1 << 21
"""Stored values looked at between two looks at ``stop``: 16 MB at most."""


class Matrix(ABC):
    """A matrix of ``shape`` (cells, genes)."""

    shape: tuple[int, int]
    layout: str
    index: GeneIndex | None = None
    """Where a gene is read from instead, once somebody has made it."""

    def column(self, gene: int, stop: Stop = NEVER) -> Float32:
        """One gene in every cell, float32 ``(n_cells,)``."""
        index = self.index
        if index is not None:
            try:
                return index.column(gene)
            except (Damaged, OSError):
                self.index = None
        found: Float32 = self.scanned([gene], stop)[0]
        return found

    def columns(self, genes: Sequence[int], stop: Stop = NEVER) -> Float32:
        """Several genes, float32 ``(len(genes), n_cells)``; what is not indexed is looked through once for all."""
        if self.bulk is not None and self.bulk.index is None:
            return self.scanned(genes, stop)
        result = np.empty((len(genes), self.shape[0]), np.float32)
        for row, gene in zip(result, genes, strict=True):
            stop.check()
            row[:] = self.column(gene, stop)
        return result

    @abstractmethod
    def scanned(self, genes: Sequence[int], stop: Stop = NEVER) -> Float32:
        """Several genes as the file has them, without the index; float32 ``(len(genes), n_cells)``."""

    @property
    def bulk(self) -> Matrix | None:
        """The matrix that a gene index is made of; None when genes are read at once as they are stored."""
        return None

    @property
    def scan_items(self) -> int:
        """Stored values that are looked at for one gene."""
        return self.shape[0]

    @property
    def n_values(self) -> int:
        """Stored values of all genes."""
        return self.shape[0] * self.shape[1]

    @property
    def measured(self) -> tuple[Matrix, npt.NDArray[Any] | None]:
        """The matrix of the cells that were measured, and the row there of each cell (-1: none); None: all of them."""
        return self, None


class Dense(Matrix):
    """A two-dimensional array."""

    layout = "dense"

    def __init__(self, values: Array) -> None:
        if len(values.spec.shape) != 2 or values.spec.dtype.kind not in "iufb":
            raise Unsupported(f"A matrix of shape {values.spec.shape} and type {values.spec.dtype} holds no expression")
        self._values = values = beside_locks(values)
        self.shape = (values.spec.shape[0], values.spec.shape[1])

    @property
    def chunk_rows(self) -> int:
        """Cells of a stored chunk."""
        chunk = self._values.spec.chunks
        return chunk[0] if chunk else 1

    @property
    def bulk(self) -> Matrix | None:
        """This one, when many genes lie together."""
        return self if self.scan_items > 8 * self.shape[0] else None

    @property
    def scan_items(self) -> int:
        """Values of all genes that are stored together."""
        chunk = self._values.spec.chunks
        return self.shape[0] * min(chunk[1] if chunk else self.shape[1], self.shape[1])

    def rows(self, first: int, last: int) -> Float32:
        """Every gene in the cells from ``first`` to before ``last``; float32 ``(last - first, n_genes)``."""
        return to_float32(self._values.read_rows(first, last))

    def part(self, rows: tuple[int, int], genes: tuple[int, int]) -> Float32:
        """Some genes in some cells, from the first to before the last of each; float32 ``(cells, genes)``."""
        return to_float32(self._values.read(Box((rows[0], genes[0]), (rows[1], genes[1]))))

    def scanned(self, genes: Sequence[int], stop: Stop = NEVER) -> Float32:
        """Several genes in every cell, read in blocks of rows."""
        cells, _ = self.shape
        chunk = self._values.spec.chunks
        step = max(BLOCK_ITEMS // (chunk[1] if chunk else 16), chunk[0] if chunk else 1)
        result = np.empty((len(genes), cells), np.float32)
        for start in range(0, cells, step):
            last = min(start + step, cells)
            for row, gene in zip(result, genes, strict=True):
                stop.check()
                row[start:last] = to_float32(self._values.read(Box((start, gene), (last, gene + 1)))[:, 0])
        return result


class Sparse(Matrix):
    """Compressed rows or columns: ``data``, ``indices`` and ``indptr``."""

    def __init__(self, parts: Group, shape: tuple[int, int], major: int) -> None:
        self.shape = shape
        self._data, self._indices, self._indptr = (beside_locks(parts.array(n)) for n in ("data", "indices", "indptr"))
        expected = shape[major] + 1
        flat = len(self._data.spec.shape) == 1 and self._data.spec.shape == self._indices.spec.shape
        if self._indptr.spec.shape != (expected,) or not flat:
            raise Damaged(
                "A sparse matrix does not fit its own shape", "The file was not written completely; write it again."
            )
        numbers = self._indptr.spec.dtype.kind in "iu" and self._indices.spec.dtype.kind in "iu"
        if not numbers or self._data.spec.dtype.kind not in "iufb":
            raise Damaged("A sparse matrix holds something else than numbers", "Write the file again.")

    @cached_property
    def indptr(self) -> npt.NDArray[Any]:
        """Where each compressed row (or column) starts; checked to rise from 0 to the number of stored values."""
        indptr = self._indptr.read_all()
        if indptr[0] != 0 or indptr[-1] > self._data.spec.shape[0] or np.any(indptr[1:] < indptr[:-1]):
            raise Damaged("A sparse matrix has a damaged index", "Write the file again.")
        return indptr

    @property
    def n_stored(self) -> int:
        """Number of stored values."""
        return self._data.spec.shape[0]

    @property
    def n_values(self) -> int:
        """Stored values of all genes."""
        return self.n_stored


class Csc(Sparse):
    """Compressed by gene: one gene is one short read."""

    layout = "csc"

    def entries(self, gene: int) -> tuple[npt.NDArray[Any], Float32]:
        """The cells of the stored values of a gene, and these; one cell may be there more than once."""
        start, last = int(self.indptr[gene]), int(self.indptr[gene + 1])
        places = _checked(self._indices.read_rows(start, last), self.shape[0])
        return places, to_float32(self._data.read_rows(start, last))

    def scanned(self, genes: Sequence[int], stop: Stop = NEVER) -> Float32:
        """Several genes in every cell."""
        result = np.zeros((len(genes), self.shape[0]), np.float32)
        for row, gene in zip(result, genes, strict=True):
            stop.check()
            np.add.at(row, *self.entries(gene))
        return result


class Csr(Sparse):
    """Compressed by cell: one gene is found by scanning every stored index."""

    layout = "csr"

    @property
    def bulk(self) -> Matrix | None:
        """This one."""
        return self

    @property
    def scan_items(self) -> int:
        """All of them."""
        return self.n_stored

    def scanned(self, genes: Sequence[int], stop: Stop = NEVER) -> Float32:
        """Several genes in every cell; looks at all stored values once, in blocks."""
        result = np.zeros((len(genes), self.shape[0]), np.float32)
        last = int(self.indptr[-1])
        for start in range(0, last, BLOCK_ITEMS):
            stop.check()
            end = min(start + BLOCK_ITEMS, last)
            columns, values = self._indices.read_rows(start, end), None
            for row, gene in zip(result, genes, strict=True):
                hits = np.flatnonzero(columns == gene)
                if hits.size:
                    values = self._data.read_rows(start, end) if values is None else values
                    cells = np.searchsorted(self.indptr, hits + start, "right") - 1
                    np.add.at(row, cells, to_float32(values[hits]))
        return result

    def values(self, first: int, last: int) -> npt.NDArray[Any]:
        """The values stored in rows ``first`` to ``last``, in the order of `entries`."""
        return self._data.read_rows(int(self.indptr[first]), int(self.indptr[last]))

    def genes_of(self, first: int, last: int) -> npt.NDArray[Any]:
        """The genes of the stored values from number ``first`` to before ``last``; checked to be genes."""
        return _checked(self._indices.read_rows(first, last), self.shape[1])

    def values_of(self, first: int, last: int) -> Float32:
        """The stored values from number ``first`` to before ``last``."""
        return to_float32(self._data.read_rows(first, last))

    def entries(self, first: int, last: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Row and column numbers of the values stored in rows ``first`` to ``last``."""
        indptr = self.indptr[first : last + 1]
        rows = np.repeat(np.arange(first, last, dtype=np.int64), np.diff(indptr).astype(np.int64))
        columns = self._indices.read_rows(int(indptr[0]), int(indptr[-1]))
        return rows, _checked(columns, self.shape[1]).astype(np.int64)


class Scattered(Matrix):
    """A matrix of some of the cells, NaN for the others.

    Parameters
    ----------
    matrix
        Of the cells that were measured.
    at
        For each cell of the whole its row there, from 0; -1 where it has none.
    """

    def __init__(self, matrix: Matrix, at: Array) -> None:
        self._matrix, self._at = matrix, at
        self.layout = matrix.layout
        self.shape = (at.spec.shape[0], matrix.shape[1])

    @property
    def bulk(self) -> Matrix | None:
        """What the cells that were measured have."""
        return self._matrix.bulk

    @property
    def scan_items(self) -> int:
        """As of the cells that were measured."""
        return self._matrix.scan_items

    @property
    def n_values(self) -> int:
        """As of the cells that were measured."""
        return self._matrix.n_values

    @property
    def measured(self) -> tuple[Matrix, npt.NDArray[Any] | None]:
        """The matrix of the cells that were measured, and the row there of each cell (-1: none)."""
        return self._matrix, self._rows()

    def column(self, gene: int, stop: Stop = NEVER) -> Float32:
        """One gene in every cell of the whole."""
        found: Float32 = self._spread(self._matrix.column(gene, stop)[None])[0]
        return found

    def scanned(self, genes: Sequence[int], stop: Stop = NEVER) -> Float32:
        """Several genes in every cell of the whole."""
        return self._spread(self._matrix.scanned(genes, stop))

    def _spread(self, measured: Float32) -> Float32:
        rows = self._rows()
        result = np.full((len(measured), rows.size), np.nan, np.float32)
        there = rows >= 0
        result[:, there] = measured[:, rows[there]]
        return result

    def _rows(self) -> npt.NDArray[Any]:
        rows = self._at.read_all()
        if rows.size and rows.max() >= self._matrix.shape[0]:
            raise Damaged("obsmap points outside of its modality", "Write the file again.")
        return rows


def _checked(indices: npt.NDArray[Any], limit: int) -> npt.NDArray[Any]:
    if indices.size and (indices.min() < 0 or indices.max() >= limit):
        raise Damaged("A sparse matrix points outside its own shape", "Write the file again.")
    return indices


def _is_size(value: object) -> bool:
    return isinstance(value, (int, float)) and value >= 0 and value == value // 1


def read_matrix(node: Node) -> Matrix:
    """The matrix stored at ``node``; reads none of its values.

    Raises
    ------
    Damaged, Unsupported
        When it is not a two-dimensional matrix of numbers.
    """
    if isinstance(node, Array):
        return Dense(node)
    attrs = node.attrs
    kind = str(attrs.get("encoding-type") or attrs.get("h5sparse_format") or "")
    shape = attrs.get("shape") or attrs.get("h5sparse_shape")
    if not isinstance(shape, list) or len(shape) != 2 or not all(_is_size(n) for n in shape):
        raise Damaged("A sparse matrix does not say its shape", "Write the file again with AnnData.write_h5ad.")
    if kind.startswith("csr"):
        return Csr(node, (int(shape[0]), int(shape[1])), 0)
    if kind.startswith("csc"):
        return Csc(node, (int(shape[0]), int(shape[1])), 1)
    raise Unsupported(f"A matrix stored as {kind or 'a group'!r} cannot be read", "Store it dense, CSR or CSC.")
