"""``coverslip.rank_genes`` beside scanpy."""

from __future__ import annotations

import warnings
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest
import scanpy
from scipy import sparse

import coverslip

N, GENES = 90, 15


@pytest.fixture(scope="module")
def cells() -> anndata.AnnData:
    rng = np.random.default_rng(3)
    values = np.log1p(rng.poisson(1.0, (N, GENES))).astype(np.float64)
    made = anndata.AnnData(
        sparse.csr_matrix(np.float64(np.float32(values))),
        pd.DataFrame({"kind": pd.Categorical(rng.choice(["a", "b", "c"], N))}, [f"c{i}" for i in range(N)]),
        pd.DataFrame(index=[f"g{i}" for i in range(GENES)]),
    )
    made.obs["depth"] = rng.random(N)
    made.layers["other"] = made.X * 2
    return made


@pytest.mark.parametrize("from_file", [True, False])
def test_as_scanpy(cells: anndata.AnnData, tmp_path: Path, from_file: bool) -> None:
    if from_file:
        cells.write_h5ad(tmp_path / "cells.h5ad")
    found = coverslip.rank_genes(
        tmp_path / "cells.h5ad" if from_file else cells, "kind", groups=["b", "a"], reference="c", expression="X"
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        scanpy.tl.rank_genes_groups(cells, "kind", groups=["b", "a"], reference="c", method="wilcoxon")
        theirs = pd.concat([scanpy.get.rank_genes_groups_df(cells, g).assign(group=g) for g in "ba"])
    both = found.merge(theirs, on=["group", "names"], suffixes=("", "_theirs"))
    assert len(both) == len(found) == 2 * GENES
    for name in ("scores", "pvals", "pvals_adj", "logfoldchanges"):
        np.testing.assert_allclose(both[name], both[f"{name}_theirs"].astype(float), rtol=1e-6, atol=1e-9)
    assert found["group"].tolist() == ["b"] * GENES + ["a"] * GENES


def test_another_matrix_and_the_best_genes(cells: anndata.AnnData) -> None:
    found = coverslip.rank_genes(cells, "kind", expression="layer:other", top=2, method="t-test")
    assert found.groupby("group").size().tolist() == [2, 2, 2]


def test_what_is_not_there_is_said(cells: anndata.AnnData) -> None:
    for arguments, message in (
        ({"groupby": "no"}, "Obs field not found: no"),
        ({"groupby": "depth"}, "depth holds no categories"),
        ({"groupby": "kind", "groups": ["z"]}, "kind has no category 'z'"),
        ({"groupby": "kind", "method": "guess"}, "method is not known"),
    ):
        with pytest.raises(coverslip.CoverslipError, match=message):
            coverslip.rank_genes(cells, **arguments)  # type: ignore[arg-type]
