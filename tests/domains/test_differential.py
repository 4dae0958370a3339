"""Differential expression in every layout: equal to the definitions, computed the slow way with scipy."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import anndata
import numpy as np
import pandas as pd
import pytest
from scipy import sparse, stats

from coverslip.core.errors import Stopped
from coverslip.core.stop import Stop
from coverslip.core.tree import MemoryArray
from coverslip.domains.cell_sets import Labels
from coverslip.domains.cells import Cells
from coverslip.domains.differential import MOST_APART, Ranked, Test, compare, moments
from coverslip.domains.gene_index import GeneIndex
from coverslip.domains.gene_index_build import write_index
from coverslip.domains.matrix import Matrix, Scattered
from coverslip.formats.trees.anndata_memory import AnnDataSource

N, GENES = 150, 20
NAMES = ("a", "b", "c")
KEY = b"k" * 32


def values(seed: int = 0) -> np.ndarray:
    """Ties, negative values, genes that are all zeros or all alike, one that is never zero."""
    rng = np.random.default_rng(seed)
    made = (rng.poisson(1, (N, GENES)) * (rng.random((N, GENES)) < 0.5)).astype(np.float32)
    made[:, 1] = rng.normal(size=N)
    made[:, 2], made[:, 3] = 0, 3
    made[: N // 3, 4] += 9
    made[:, 5] *= -1
    return made


def labels(seed: int = 1, some: bool = False) -> Labels:
    """Three groups, the rest, and with ``some`` cells that do not count."""
    codes = np.random.default_rng(seed).integers(0, 5 if some else 4, N).astype(np.uint16)
    return Labels(codes, NAMES)


def matrix(data: np.ndarray, layout: Callable[[Any], Any] = sparse.csr_matrix) -> Matrix:
    made = anndata.AnnData(layout(data), pd.DataFrame(index=[str(i) for i in range(len(data))]))
    return Cells(AnnDataSource(made).root).expression().matrix


def slowly(data: np.ndarray, groups: Labels, group: int, test: Test) -> dict[str, np.ndarray]:
    """Scores and p-values of one group, gene by gene."""
    found: dict[str, list[float]] = {"scores": [], "pvals": [], "means": [], "fractions": []}
    mine = groups.codes == group
    others = (groups.codes <= groups.rest) & ~mine if test.joint else groups.codes == groups.rest
    for column in data.T.astype(np.float64):
        known = ~np.isnan(column)
        a, b = column[mine & known], column[others & known]
        n, m = a.size, b.size
        if test.method == "wilcoxon":
            ranks = stats.rankdata(np.concatenate([a, b]))
            factor = stats.tiecorrect(ranks) if test.tie_correct else 1.0
            spread = np.sqrt(factor * n * m * (n + m + 1) / 12)
            score = (ranks[:n].sum() - n * (n + m + 1) / 2) / spread if spread else 0.0
            p = 2 * stats.norm.sf(abs(score))
        else:
            with np.errstate(all="ignore"):
                size = n if test.method == "t-test_overestim_var" else m
                score, p = stats.ttest_ind_from_stats(
                    a.mean(), a.std(ddof=1), n, b.mean(), b.std(ddof=1), size, equal_var=False
                )
            score, p = (0.0, 1.0) if np.isnan(score) else (score, p)
        for name, figure in zip(found, (score, p, a.mean(), (a != 0).mean()), strict=True):
            found[name].append(float(figure))
    return {name: np.array(figures) for name, figures in found.items()}


def same(found: Ranked, expected: dict[str, np.ndarray]) -> None:
    assert np.all(np.diff(found["scores"]) <= 0)
    for name, figures in expected.items():
        np.testing.assert_allclose(found[name], figures[found["genes"]], rtol=1e-9, atol=1e-12, err_msg=name)


@pytest.mark.parametrize("layout", [sparse.csr_matrix, sparse.csc_matrix, np.asarray])
@pytest.mark.parametrize("joint", [True, False])
@pytest.mark.parametrize("method", ["wilcoxon", "t-test", "t-test_overestim_var"])
def test_every_layout(layout: Callable[[Any], Any], joint: bool, method: Any) -> None:
    """In several passes, in two threads; cells that do not count, and cells without a value."""
    data, groups = values(), labels(some=True)
    data[::7, 6] = np.nan
    test = Test(method, tie_correct=True, joint=joint)
    told: list[tuple[int, int]] = []
    found = compare(
        matrix(data, layout), groups, range(GENES), test, lambda *t: told.append(t), workers=2, memory_bytes=4096
    )
    for group in range(3):
        same(found[group], slowly(data, groups, group, test))
        counted = groups.codes <= groups.rest if joint else np.isin(groups.codes, (group, groups.rest))
        nan = dict(zip(found[group]["genes"].tolist(), found[group]["n_nan"].tolist(), strict=True))
        assert nan == {gene: int(np.isnan(data[counted, gene]).sum()) for gene in range(GENES)}
    assert told[-1] == (GENES, GENES)


def test_from_the_index_and_without_it_when_it_breaks(tmp_path: Path) -> None:
    data, groups, test = values(), labels(), Test(tie_correct=True)
    made = matrix(data)
    assert made.bulk is not None
    write_index(made.bulk, tmp_path / "x", KEY, lambda *_: None, memory_bytes=0)
    made.bulk.index = GeneIndex(tmp_path / "x", made.shape, KEY)
    for group, found in enumerate(compare(made, groups, range(GENES), test)):
        same(found, slowly(data, groups, group, test))
    written = bytearray((tmp_path / "x").read_bytes())
    written[100] ^= 255
    (tmp_path / "x").write_bytes(written)
    for group, found in enumerate(compare(made, groups, range(GENES), test)):
        same(found, slowly(data, groups, group, test))
    assert made.bulk.index is None


def test_one_cell_stored_in_parts() -> None:
    """A sparse matrix may hold a value as a sum."""
    parts = sparse.csr_matrix(
        (np.array([1, 2, 5, 1, 0], np.float32), np.array([0, 0, 1, 1, 0]), np.array([0, 2, 3, 4, 5])), (4, 2)
    )
    groups = Labels(np.array([0, 0, 1, 1], np.uint16), ("a",))
    data = np.array([[3, 0], [0, 5], [0, 1], [0, 0]], np.float32)
    for made in (parts, parts.tocsc()):
        made.has_canonical_format = True  # scipy leaves it alone
        found = compare(_own(made), groups, [0, 1], Test())[0]
        same(found, slowly(data, groups, 0, Test()))


def _own(made: Any) -> Matrix:
    held = anndata.AnnData(obs=pd.DataFrame(index=[str(i) for i in range(made.shape[0])]), shape=made.shape)
    held.X = made
    return Cells(AnnDataSource(held).root).expression().matrix


def test_cells_that_a_modality_did_not_measure_do_not_count() -> None:
    data, groups = values(), labels()
    at = np.full(N, -1)
    kept = np.random.default_rng(2).permutation(N)[:100]
    at[kept] = np.arange(100)
    found = compare(Scattered(matrix(data[kept]), MemoryArray(at)), groups, range(GENES), Test())
    for group in range(3):
        same(found[group], slowly(data[kept], Labels(groups.codes[kept], NAMES), group, Test()))


def test_some_genes_the_best_of_them_and_another_logarithm() -> None:
    data, groups = values(), labels()
    data[:, 7] = np.log2(1 + data[:, 7])
    (found, *_) = compare(matrix(data), groups, [4, 7, 1], Test(log_base=2, top=2, rank_by_abs=True))
    everything = compare(matrix(data), groups, [4, 7, 1], Test(log_base=2))[0]
    order = np.argsort(-np.abs(everything["scores"]), kind="stable")[:2]
    assert found["genes"].tolist() == everything["genes"][order].tolist()
    at = everything["genes"].tolist().index(7)
    mine = groups.codes == 0
    ratio = (2 ** data[mine, 7].mean(dtype=float) - 1 + 1e-9) / (2 ** data[~mine, 7].mean(dtype=float) - 1 + 1e-9)
    assert everything["logfoldchanges"][at] == pytest.approx(np.log2(ratio), rel=1e-6)


def test_far_tails_are_no_zeros() -> None:
    """Groups that are apart: p is less than a number can be, its logarithm is not lost."""
    data = np.zeros((4000, 2), np.float32)
    data[:2000, 0] = np.random.default_rng(0).random(2000) + 5
    groups = Labels((np.arange(4000) >= 2000).astype(np.uint16), ("a",))
    wilcoxon = compare(matrix(data), groups, [0, 1], Test(tie_correct=True))[0]
    assert wilcoxon["pvals"][0] == 0
    assert -1000 < wilcoxon["log10_pvals"][0] < -308
    assert wilcoxon["log10_pvals_adj"][0] == pytest.approx(wilcoxon["log10_pvals"][0] + np.log10(2))
    welch = compare(matrix(data), groups, [0, 1], Test("t-test"))[0]
    assert welch["log10_pvals"][0] < -2000
    assert np.isfinite(welch["log10_pvals"][0])


def test_ends_when_nobody_waits() -> None:
    stop = Stop()
    with pytest.raises(Stopped):
        compare(matrix(values()), labels(), range(GENES), Test(), lambda done, _: stop.set() if done > 3 else None,
                stop=stop)  # fmt: skip


@pytest.mark.parametrize("n_groups", [2, MOST_APART, MOST_APART + 1])
@pytest.mark.parametrize("odd", [None, np.inf, -np.inf])
def test_few_groups_one_by_one_are_many_together(n_groups: int, odd: float | None) -> None:
    """Against plain sums of each group; what is infinite in one group says nothing of the others."""
    rng = np.random.default_rng(3)
    codes = rng.integers(0, n_groups, 500).astype(np.uint16)
    values = rng.normal(5, 2, 500)
    if odd is not None:
        values[np.flatnonzero(codes == 1)[0]] = odd
    n = np.bincount(codes, minlength=n_groups) + 7
    with np.errstate(invalid="ignore"):
        counts, mean, squares = moments(codes, values, n)
        for group in range(n_groups):
            own = values[codes == group]
            assert counts[group] == own.size
            np.testing.assert_allclose(mean[group], own.sum() / n[group], rtol=1e-12)
            np.testing.assert_allclose(squares[group], ((own - own.sum() / n[group]) ** 2).sum(), rtol=1e-12)
