"""Genes as the cells where they are not 0: the same however few, however many, and however they are collected."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import anndata
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from coverslip.core.errors import Stopped
from coverslip.core.stop import Stop
from coverslip.domains.cells import Cells
from coverslip.domains.gene_entries import FEW_GENES, batches
from coverslip.domains.matrix import Matrix
from coverslip.formats.trees.anndata_memory import AnnDataSource

SHAPE = (60, 3 * FEW_GENES)


def values() -> np.ndarray:
    rng = np.random.default_rng(0)
    return (rng.normal(size=SHAPE) * (rng.random(SHAPE) < 0.3)).astype(np.float32)


def matrix(layout: Callable[[Any], Any]) -> Matrix:
    made = anndata.AnnData(layout(values()), pd.DataFrame(index=[str(i) for i in range(SHAPE[0])]))
    return Cells(AnnDataSource(made).root).expression().matrix


@pytest.mark.parametrize("layout", [sparse.csr_matrix, sparse.csc_matrix, np.asarray])
@pytest.mark.parametrize("memory", [1, 2000, 1 << 20])
@pytest.mark.parametrize("count", [1, FEW_GENES, SHAPE[1]])
def test_every_gene_once(layout: Callable[[Any], Any], memory: int, count: int) -> None:
    genes = np.random.default_rng(1).permutation(SHAPE[1])[:count].tolist()
    seen = []
    for batch, read in batches(matrix(layout), genes, memory):
        for gene in batch:
            cells, found = read(gene)
            column = values()[:, gene]
            np.testing.assert_array_equal(cells, np.flatnonzero(column))
            np.testing.assert_array_equal(found, column[column != 0])
            seen.append(gene)
    assert seen == genes


def test_ends_when_nobody_waits() -> None:
    stop = Stop()
    stop.set()
    for layout in (sparse.csr_matrix, np.asarray):
        with pytest.raises(Stopped):
            next(batches(matrix(layout), range(SHAPE[1]), stop=stop))
