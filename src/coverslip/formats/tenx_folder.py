"""10x Genomics' feature-barcode matrices as folders of ``matrix.mtx``, ``barcodes.tsv``, ``features.tsv`` (or ``.gz``).

The matrix is text, so all of it is read (into memory) when the first gene is asked for.

Source: 10x Genomics, "Feature-barcode matrices (MEX format)"; NIST, "Matrix Market exchange formats".
"""

from __future__ import annotations

import gzip
import threading
import warnings
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from coverslip.core.errors import Damaged, TooLarge
from coverslip.core.format import Format
from coverslip.core.node import Source

MATRIX, BARCODES, FEATURES = ("matrix.mtx",), ("barcodes.tsv",), ("features.tsv", "genes.tsv")
COLUMNS = ("gene_ids", "", "feature_types")
BLOCK_BYTES = 1 << 24
MOST_VALUES = 250_000_000
"""Values that are kept in memory: 2 GB."""
MOST_TEXT = 1 << 30


class TenXFolder:
    """Cells as Cell Ranger writes them into a folder."""

    name = "10x-folder"
    expects = "10x Genomics folder (matrix.mtx, barcodes.tsv, features.tsv)"
    kind = "cells"
    rank = -1

    def claims(self, path: Path, head: bytes) -> bool:
        """By the three files."""
        return path.is_dir() and all(_find(path, names) for names in (MATRIX, BARCODES, FEATURES))

    def open(self, path: Path) -> Source:
        """Read the names of cells and genes.

        Raises
        ------
        Damaged
            When the files do not fit together.
        """
        from coverslip.core.made import MadeArray
        from coverslip.core.tree import MemoryArray
        from coverslip.formats.trees.anndata_parts import anndata_tree, csr, frame
        from coverslip.formats.trees.source import PathSource

        found = [_find(path, names) for names in (MATRIX, BARCODES, FEATURES)]
        files = [file for file in found if file is not None]
        if len(files) < len(found):
            raise Damaged(f"{path.name} holds no whole 10x matrix", "It needs matrix.mtx, barcodes.tsv, features.tsv.")
        barcodes = [row[0] for row in _rows(files[1])]
        features = _rows(files[2])
        width = min((len(row) for row in features), default=0)
        names = [row[1 if width > 1 else 0] for row in features]
        n_cells, n_genes = len(barcodes), len(features)
        text = MatrixText(files[0], n_genes, n_cells)
        columns = {name: MemoryArray([row[i] for row in features]) for i, name in enumerate(COLUMNS[:width]) if name}
        x = csr(
            MadeArray((text.count,), np.float32, lambda: text.parts[0]),
            MadeArray((text.count,), np.int32, lambda: text.parts[1]),
            MadeArray((n_cells + 1,), np.int64, lambda: text.parts[2]),
            (n_cells, n_genes),
        )
        obs, var = frame(MemoryArray(barcodes), {}), frame(MemoryArray(names), columns)
        return PathSource(path, anndata_tree(obs, var, x), parts=files)


class MatrixText:
    """A Matrix Market file of genes × cells in coordinates, read once.

    Raises
    ------
    Damaged
        When its head does not fit the numbers of genes and cells.
    """

    def __init__(self, path: Path, n_genes: int, n_cells: int) -> None:
        self._path, self._lock = path, threading.Lock()
        self._parts: tuple[npt.NDArray[Any], ...] | None = None
        self.shape = (n_genes, n_cells)
        blocks = _blocks(path)
        self._head(next(blocks, b""))
        blocks.close()  # type: ignore[attr-defined]

    def _head(self, block: bytes) -> int:
        """Read how many values there are; returns where they begin."""
        at = 0
        if not block.startswith(b"%%MatrixMarket matrix coordinate"):
            raise Damaged(f"{self._path.name} is no Matrix Market file of coordinates", "Copy the folder again.")
        while block[at : at + 1] == b"%":
            at = block.find(b"\n", at) + 1
        end = block.find(b"\n", at) + 1
        sizes = block[at:end].split()
        if len(sizes) != 3 or not all(size.isdigit() for size in sizes) or not end:
            raise Damaged(f"{self._path.name} does not say its size", "Copy the folder again.")
        shape, self.count = (int(sizes[0]), int(sizes[1])), int(sizes[2])
        if shape != self.shape:
            raise Damaged(f"{self._path.name} has the shape {shape}, its names {self.shape}", "Copy the folder again.")
        if self.count > MOST_VALUES:
            raise TooLarge(
                f"{self._path.name} holds {self.count:,} values as text", "Serve the .h5 beside it, or write an .h5ad."
            )
        return end

    @property
    def parts(self) -> tuple[npt.NDArray[Any], ...]:
        """Values, gene numbers, and where each cell begins; reads the file the first time."""
        with self._lock:
            if self._parts is None:
                self._parts = self._read()
            return self._parts

    def _read(self) -> tuple[npt.NDArray[Any], ...]:
        data, genes = np.empty(self.count, np.float32), np.empty(self.count, np.int32)
        cells = np.empty(self.count, np.int32)
        done, start = 0, True
        for block in _blocks(self._path):
            body = block[self._head(block) :] if start else block
            start = False
            rows = self._numbers(body)
            last = done + len(rows)
            if last > self.count:
                break
            genes[done:last], cells[done:last], data[done:last] = rows[:, 0] - 1, rows[:, 1] - 1, rows[:, 2]
            done = last
        n_genes, n_cells = self.shape
        if done != self.count or (done and not (0 <= genes.min() <= genes.max() < n_genes and cells.min() >= 0)):
            raise Damaged(f"{self._path.name} has not the values that it says", "It is truncated; copy it again.")
        if np.any(cells[1:] < cells[:-1]):
            order = np.argsort(cells, kind="stable")
            data, genes, cells = data[order], genes[order], cells[order]
        counts = np.bincount(cells, minlength=n_cells)
        if counts.size != n_cells:
            raise Damaged(f"{self._path.name} has more cells than it says", "Copy it again.")
        return data, genes, np.concatenate([[0], np.cumsum(counts)])

    def _numbers(self, text: bytes) -> npt.NDArray[Any]:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            try:
                return np.fromstring(text, np.float64, sep=" ").reshape(-1, 3)
            except (ValueError, DeprecationWarning) as error:
                raise Damaged(f"{self._path.name} holds lines without three numbers", "Copy it again.") from error


def _find(folder: Path, names: tuple[str, ...]) -> Path | None:
    candidates = (folder / f"{name}{end}" for name in names for end in ("", ".gz"))
    return next((file for file in candidates if file.is_file() and file.resolve().parent == folder.resolve()), None)


def _open(path: Path) -> Any:
    return gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb")


def _damaged(path: Path, read: Callable[[], bytes]) -> bytes:
    try:
        return read()
    except (EOFError, OSError, zlib.error) as error:
        raise Damaged(f"{path.name} cannot be decompressed: {error}", "It is truncated; copy it again.") from error


def _blocks(path: Path) -> Iterator[bytes]:
    """The bytes of a file, in blocks of whole lines."""
    rest = b""
    with _open(path) as file:
        while block := _damaged(path, lambda: file.read(BLOCK_BYTES)):
            head, newline, tail = block.rpartition(b"\n")
            if newline:
                yield rest + head + newline
                rest = tail
            else:
                rest += block
    if rest:
        yield rest + b"\n"


def _rows(path: Path) -> list[list[str]]:
    text = bytearray()  # in pieces: to ask for so much at once takes as much memory, however short the file is
    with _open(path) as file:
        while len(text) <= MOST_TEXT and (piece := _damaged(path, lambda: file.read(BLOCK_BYTES))):
            text += piece
    if len(text) > MOST_TEXT:
        raise TooLarge(f"{path.name} holds more than {MOST_TEXT >> 20} MB of names", "Write an .h5ad instead.")
    return [line.split("\t") for line in text.decode("utf-8", "replace").splitlines() if line]


FORMAT: Format = TenXFolder()
