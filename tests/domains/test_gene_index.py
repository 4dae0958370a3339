"""Gene indexes: equal to the matrix, and never believed when a byte of them is wrong."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from coverslip.core.errors import Damaged, Stopped
from coverslip.core.tree import MemoryArray, MemoryGroup
from coverslip.domains import gene_index_build
from coverslip.domains.gene_index import GeneIndex
from coverslip.domains.gene_index_build import write_index
from coverslip.domains.matrix import Csr, Matrix, Scattered, read_matrix

KEY = b"0123456789abcdef"
N_CELLS, N_GENES = 700, 90


def csr(dense: np.ndarray[Any, Any], index_dtype: type = np.int32) -> Csr:
    """A dense matrix by rows; NaN counts as stored."""
    rows, columns = np.nonzero(dense)
    pointer = np.concatenate(([0], np.cumsum(np.bincount(rows, minlength=len(dense)))))
    return sparse(dense.shape, dense[rows, columns], columns.astype(index_dtype), pointer)


def sparse(shape: tuple[int, ...], data: Any, indices: Any, indptr: Any) -> Csr:
    """A matrix of these parts."""
    parts = {"data": data, "indices": indices, "indptr": indptr}
    attrs = {"encoding-type": "csr_matrix", "shape": list(shape)}
    found = read_matrix(MemoryGroup({n: MemoryArray(np.asarray(a)) for n, a in parts.items()}, attrs))
    assert isinstance(found, Csr)
    return found


def counts(seed: int = 0) -> np.ndarray[Any, Any]:
    """Counts, a tenth of them not zero; some cells and genes have none."""
    rng = np.random.default_rng(seed)
    found = rng.poisson(3, (N_CELLS, N_GENES)) * (rng.random((N_CELLS, N_GENES)) < 0.1)
    found[100:130] = 0
    found[:, 7] = 0
    return found.astype(np.float32)


def odd() -> np.ndarray[Any, Any]:
    """Numbers of every kind that a file may hold."""
    found = counts() * np.float32(-1.7)
    found[3, 3], found[5, 3], found[6, 4] = np.nan, np.inf, -np.inf
    return found


MATRICES: dict[str, Callable[[], Matrix]] = {
    "counts": lambda: csr(counts()),
    "large counts": lambda: csr(counts() * 300),
    "odd numbers": lambda: csr(odd()),
    "float64, int64": lambda: csr(odd().astype(np.float64), np.int64),
    "integers": lambda: csr(counts().astype(np.int32)),
    "nothing stored": lambda: csr(np.zeros((5, 4), np.float32)),
    "no cells": lambda: csr(np.zeros((0, 4), np.float32)),
    "no genes": lambda: csr(np.zeros((4, 0), np.float32)),
    "in parts": lambda: sparse((2, 3), np.float32([1, 2, 4, 8]), [1, 1, 0, 1], [0, 3, 4]),
    "not in order": lambda: sparse((2, 3), np.float32([1, 2, 4, 8]), [2, 0, 1, 0], [0, 3, 4]),
    "dense": lambda: read_matrix(MemoryArray(odd() + 1)),
    "dense with zeros": lambda: read_matrix(MemoryArray(counts())),
    "dense, some": lambda: read_matrix(MemoryArray(odd())),
}


@pytest.mark.parametrize("name", MATRICES)
@pytest.mark.parametrize("small", [False, True])
def test_every_gene_is_equal(tmp_path: Path, name: str, small: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the matrix, and however many runs and blocks there are."""
    if small:
        monkeypatch.setattr(gene_index_build, "MOST_ITEMS", 1000)
        monkeypatch.setattr(gene_index_build, "BLOCK_ITEMS", 64)
    matrix = MATRICES[name]()
    told: list[tuple[int, int]] = []
    write_index(matrix, tmp_path / "a", KEY, lambda done, total: told.append((done, total)))
    index = GeneIndex(tmp_path / "a", matrix.shape, KEY)
    for gene in range(matrix.shape[1]):
        np.testing.assert_array_equal(index.column(gene), matrix.scanned([gene])[0])
    assert not told or told[-1][0] <= told[-1][1]
    index.close()


def test_more_genes_than_sixteen_bits(tmp_path: Path) -> None:
    """Numbers of genes that take more than two bytes."""
    rng = np.random.default_rng(1)
    indices = np.sort(rng.choice(80_000, (40, 50)), axis=1).reshape(-1)
    matrix = sparse((40, 80_000), rng.random(2000), indices, np.arange(0, 2001, 50))
    write_index(matrix, tmp_path / "a", KEY, lambda done, total: None)
    index = GeneIndex(tmp_path / "a", matrix.shape, KEY)
    for gene in {int(g) for g in indices[:30]} | {0, 65_535, 65_536, 79_999}:
        np.testing.assert_array_equal(index.column(gene), matrix.scanned([gene])[0])
    index.close()


def test_a_flipped_bit_is_seen(tmp_path: Path) -> None:
    """Every byte of the file matters to some gene, or is seen when the file is opened; no gene is ever wrong."""
    matrix = csr(counts()[:60, :12])
    path = tmp_path / "a"
    write_index(matrix, path, KEY, lambda done, total: None)
    whole = path.read_bytes()
    right = matrix.scanned(range(12))
    for at in range(len(whole)):
        if 60 <= at < 64:  # of the header, not used
            continue
        path.write_bytes(whole[:at] + bytes([whole[at] ^ (1 << at % 8)]) + whole[at + 1 :])
        refused = 0
        try:
            index = GeneIndex(path, matrix.shape, KEY)
        except Damaged:
            continue
        for gene in range(12):
            try:
                np.testing.assert_array_equal(index.column(gene), right[gene])
            except Damaged:
                refused += 1
        index.close()
        assert refused, f"byte {at}"


def test_cut_short_anywhere_is_refused(tmp_path: Path) -> None:
    """At any length, and with zeros in place of what was not written."""
    matrix = csr(counts()[:60, :12])
    path = tmp_path / "a"
    write_index(matrix, path, KEY, lambda done, total: None)
    whole = path.read_bytes()
    for size in range(0, len(whole), 7):
        path.write_bytes(whole[:size])
        with pytest.raises(Damaged):
            GeneIndex(path, matrix.shape, KEY)
    path.write_bytes(bytes(64) + whole[64:])
    with pytest.raises(Damaged):
        GeneIndex(path, matrix.shape, KEY)


def test_of_another_matrix_is_refused(tmp_path: Path) -> None:
    """Another key, another shape."""
    matrix = csr(counts())
    write_index(matrix, tmp_path / "a", KEY, lambda done, total: None)
    for shape, key in ((matrix.shape, b"another key 1234"), ((N_CELLS, N_GENES + 1), KEY)):
        with pytest.raises(Damaged):
            GeneIndex(tmp_path / "a", shape, key)


def test_a_damaged_index_is_left_for_the_matrix(tmp_path: Path) -> None:
    """The answer is right all the same, and the index is asked no more."""
    matrix = csr(counts())
    right = matrix.scanned(range(N_GENES))
    path = tmp_path / "a"
    write_index(matrix, path, KEY, lambda done, total: None)
    matrix.index = GeneIndex(path, matrix.shape, KEY)
    np.testing.assert_array_equal(matrix.columns(range(N_GENES)), right)
    assert matrix.index is not None
    with path.open("r+b") as file:
        file.seek(64)
        file.write(b"\xff" * 64)
    np.testing.assert_array_equal(matrix.columns(range(N_GENES)), right)
    assert matrix.index is None


def test_work_that_is_stopped_leaves_nothing_that_opens(tmp_path: Path) -> None:
    """What ``told`` raises ends the work."""
    matrix = csr(counts())

    def told(done: int, total: int) -> None:
        raise Stopped("Nobody waits")

    with pytest.raises(Stopped):
        write_index(matrix, tmp_path / "a", KEY, told)
    with pytest.raises(Damaged):
        GeneIndex(tmp_path / "a", matrix.shape, KEY)


def test_damaged_indices_are_refused(tmp_path: Path) -> None:
    """A gene outside of the matrix."""
    matrix = sparse((2, 3), np.float32([1, 2]), [0, 9], [0, 1, 2])
    with pytest.raises(Damaged):
        write_index(matrix, tmp_path / "a", KEY, lambda done, total: None)


def test_some_of_the_cells(tmp_path: Path) -> None:
    """Of a modality the cells that were measured are indexed; the others stay NaN."""
    inner = csr(counts()[:3, :5])
    whole = Scattered(inner, MemoryArray(np.array([2, -1, 0, 1])))
    before = whole.columns(range(5))
    assert whole.bulk is inner
    write_index(inner, tmp_path / "a", KEY, lambda done, total: None)
    inner.index = GeneIndex(tmp_path / "a", inner.shape, KEY)
    np.testing.assert_array_equal(whole.columns(range(5)), before)
    np.testing.assert_array_equal(whole.column(3), before[3])
