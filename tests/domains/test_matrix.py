"""One gene from any layout, against scipy."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse

import make
from coverslip.core.errors import Damaged, NotFound, Stopped, Unsupported
from coverslip.core.stop import Stop
from coverslip.core.tree import MemoryArray, MemoryGroup
from coverslip.domains import matrix as module
from coverslip.domains.matrix import read_matrix


def stored(x: sparse.csr_matrix | sparse.csc_matrix, **changed: np.ndarray) -> MemoryGroup:
    parts = {name: MemoryArray(changed.get(name, getattr(x, name))) for name in ("data", "indices", "indptr")}
    return MemoryGroup(parts, {"encoding-type": f"{x.format}_matrix", "shape": list(x.shape)})


@pytest.mark.parametrize("block", [1, 7, 1 << 21])
@pytest.mark.parametrize("layout", ["csr", "csc", "dense"])
def test_every_gene_in_blocks_of_any_size(monkeypatch: pytest.MonkeyPatch, layout: str, block: int) -> None:
    monkeypatch.setattr(module, "BLOCK_ITEMS", block)
    x = make.dense_matrix()
    x[:, 3] = 0
    x[-1] = 0
    node = MemoryArray(x) if layout == "dense" else stored(getattr(sparse, f"{layout}_matrix")(x))
    found = read_matrix(node)
    assert found.shape == x.shape
    for gene in range(x.shape[1]):
        np.testing.assert_array_equal(found.column(gene), x[:, gene])


@pytest.mark.parametrize("layout", ["csr", "csc"])
def test_duplicates_add_up_and_order_does_not_matter(layout: str) -> None:
    shape = (4, 3)
    rows, columns, values = [0, 0, 2, 3, 0], [1, 1, 0, 1, 0], [1.0, 2.0, 5.0, 7.0, 9.0]
    coo = sparse.coo_matrix((values, (rows, columns)), shape)
    major, minor = (rows, columns) if layout == "csr" else (columns, rows)
    order = np.argsort(major, kind="stable")[::1]
    indptr = np.searchsorted(np.array(major)[order], np.arange(shape[0 if layout == "csr" else 1] + 1)).astype(np.int64)
    parts = {
        "data": MemoryArray(np.array(values)[order]),
        "indices": MemoryArray(np.array(minor, np.int64)[order]),
        "indptr": MemoryArray(indptr),
    }
    found = read_matrix(MemoryGroup(parts, {"encoding-type": f"{layout}_matrix", "shape": list(shape)}))
    for gene in range(3):
        np.testing.assert_array_equal(found.column(gene), coo.toarray()[:, gene].astype(np.float32))


def test_damage_is_named_not_served() -> None:
    x = sparse.csr_matrix(make.dense_matrix())
    falling = x.indptr.copy()
    falling[3] = falling[5] + 1
    beyond = x.indptr.copy()
    beyond[-1] += 5
    for bad in (falling, beyond):
        with pytest.raises(Damaged):
            read_matrix(stored(x, indptr=bad)).column(0)
    with pytest.raises(Damaged):
        read_matrix(stored(x, indptr=x.indptr[:-1]))
    with pytest.raises(Damaged):
        read_matrix(stored(x, data=x.data[:-1]))
    wild = sparse.csc_matrix(x)
    indices = wild.indices.copy()
    indices[0] = 10_000
    gene = int(np.flatnonzero(np.diff(wild.indptr))[0])
    with pytest.raises(Damaged):
        read_matrix(stored(wild, indices=indices)).column(gene)


def test_what_is_no_matrix() -> None:
    with pytest.raises(Unsupported):
        read_matrix(MemoryArray(np.zeros(3)))
    with pytest.raises(Unsupported):
        read_matrix(MemoryArray(np.array([["a"]])))
    with pytest.raises(Damaged):
        read_matrix(MemoryGroup({}, {"encoding-type": "csr_matrix"}))
    with pytest.raises(Unsupported):
        read_matrix(MemoryGroup({}, {"encoding-type": "bsr_matrix", "shape": [1, 1]}))


def test_a_scan_ends_when_nobody_waits() -> None:
    stop = Stop()
    stop.set()
    with pytest.raises(Stopped):
        read_matrix(stored(sparse.csr_matrix(make.dense_matrix()))).column(0, stop)


def test_float64_beyond_float32_is_infinite_without_a_warning() -> None:
    assert np.isinf(read_matrix(MemoryArray(np.array([[1e300]]))).column(0)[0])


def test_a_gene_that_is_not_there() -> None:
    from coverslip.domains.cells import Cells
    from coverslip.formats.trees.anndata_memory import AnnDataSource

    with pytest.raises(NotFound, match="12"):
        Cells(AnnDataSource(make.adata()).root).expression().gene(12)
