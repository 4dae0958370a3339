"""Embeddings, groups, graphs, columns and genes against plain loops and formulas."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse

import make
from coverslip.core.errors import Ambiguous, Damaged, NotFound
from coverslip.core.tree import MemoryArray, MemoryGroup
from coverslip.domains import columns as columns_module
from coverslip.domains.cells import Cells, Options, as_category, code_dtype
from coverslip.domains.columns import Category, Text
from coverslip.domains.embedding import Embedding, best, normalise, umap_by_dimension
from coverslip.domains.graph import undirected_edges
from coverslip.domains.groups import centroids, outlier_quantiles
from coverslip.domains.matrix import Csr
from coverslip.formats.trees.anndata_memory import AnnDataSource


def test_normalising_is_the_formula() -> None:
    raw = np.random.default_rng(0).normal(size=(100, 3)) * [1, 5, 2] + 7
    low, high = raw.min(0), raw.max(0)
    expected = (raw - (low + high) / 2) * 2 / (high - low).max()
    np.testing.assert_allclose(normalise(raw.astype(np.float32)), expected, atol=2e-6)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_one_bad_cell_moves_no_other(bad: float) -> None:
    raw = np.random.default_rng(0).normal(size=(50, 2)).astype(np.float32)
    hurt = np.vstack([raw, [[bad, 0.0]]]).astype(np.float32)
    result = normalise(hurt)
    np.testing.assert_array_equal(result[:-1], normalise(raw.copy()))
    assert np.isnan(result[-1]).all()


def test_degenerate_coordinates() -> None:
    np.testing.assert_array_equal(normalise(np.full((1, 2), 3.0, np.float32)), [[0, 0]])
    assert np.isnan(normalise(np.full((2, 2), np.nan, np.float32))).all()
    assert normalise(np.empty((0, 2), np.float32)).shape == (0, 2)


def embeddings(**widths: int) -> list[Embedding]:
    return [Embedding(key, MemoryArray(np.zeros((2, width)))) for key, width in widths.items()]


def test_the_best_embedding_comes_first() -> None:
    some = embeddings(X_pca=50, X_spatial=2, X_tsne=2, X_umap=2, pseudotime=1)
    assert [e.key for e in sorted(some, key=lambda e: e.tier)][:3] == ["X_umap", "X_tsne", "X_spatial"]
    chosen = best(embeddings(pseudotime=1, X_pca=50))
    assert chosen is not None
    assert chosen.key == "X_pca"
    assert best([]) is None


def test_dimensions_for_clients_that_know_umap_only() -> None:
    def keys(**widths: int) -> dict[int, str]:
        return {d: e.key for d, e in umap_by_dimension(embeddings(**widths)).items()}

    assert keys(X_umap=2, X_pca=50) == {2: "X_umap"}
    assert keys(X_umap=2, X_umap_3d=3) == {2: "X_umap", 3: "X_umap_3d"}
    assert keys(X_umap=3, X_umap_2d=2) == {2: "X_umap_2d", 3: "X_umap"}
    assert keys(X_tsne=2) == {2: "X_tsne"}
    assert keys(X_pca=50) == {2: "X_pca", 3: "X_pca"}
    assert keys(pseudotime=1) == {1: "pseudotime"}
    assert keys() == {}


def test_outliers_and_centroids_against_loops() -> None:
    rng = np.random.default_rng(1)
    latent = rng.normal(size=(300, 4)).astype(np.float32)
    latent[7] = np.nan
    codes = rng.integers(-1, 5, 300).astype(np.int32)
    codes[codes == 4] = np.where(rng.random((codes == 4).sum()) < 0.9, 3, 4)
    found = outlier_quantiles(latent, codes, 5, 10)
    middles = centroids(latent[:, :2], codes, list("abcde"), 10, 0.95)
    for group in range(5):
        cells = [i for i in range(300) if codes[i] == group and np.isfinite(latent[i]).all()]
        if len(cells) < 10:
            assert np.isnan(found[cells]).all()
            assert "abcde"[group] not in [m["category"] for m in middles]
            continue
        own = latent[cells].astype(float)
        distance = np.sqrt(((own - own.mean(0)) ** 2).sum(1))
        expected = [(distance <= d).sum() / len(cells) for d in distance]
        np.testing.assert_allclose(found[cells], expected, rtol=1e-6)
        flat = own[:, :2]
        away = np.sqrt(((flat - flat.mean(0)) ** 2).sum(1))
        near = flat[away <= np.quantile(away, 0.95)]
        told = next(m for m in middles if m["category"] == "abcde"[group])
        np.testing.assert_allclose(told["position"], near.mean(0), rtol=1e-6)
        assert told["n_points"] == len(near)
    assert np.isnan(found[7])


@pytest.mark.parametrize(
    ("n", "dtype"), [(1, "u1"), (254, "u1"), (255, "u2"), (65534, "u2"), (65535, "u4"), (70000, "u4")]
)
def test_codes_fit_any_number_of_categories(n: int, dtype: str) -> None:
    assert code_dtype(n) == np.dtype(dtype)
    column = Category("k", MemoryArray(np.arange(n)), MemoryArray(np.arange(n).astype(str)))
    assert column.codes()[-1] == n - 1
    assert column.at(n - 1) == str(n - 1)


def test_codes_out_of_range_are_missing() -> None:
    column = Category("k", MemoryArray(np.array([0, 5, -3, 1])), MemoryArray(["a", "b"]))
    assert column.codes().tolist() == [0, -1, -1, 1]
    assert [column.at(i) for i in range(4)] == ["a", None, None, "b"]


def test_text_is_a_grouping_while_it_repeats(monkeypatch: pytest.MonkeyPatch) -> None:
    names = np.array(["b", "a", "b", "c"] * 100, dtype=object)
    text = Text("t", MemoryArray(names))
    grouped = as_category(text)
    assert grouped is not None
    assert grouped.categories == ["a", "b", "c"]
    assert [grouped.at(i) for i in range(4)] == ["b", "a", "b", "c"]
    monkeypatch.setattr(columns_module, "LEGEND_LIMIT", 2)
    assert Text("t", MemoryArray(names)).kind == "text"


def test_masked_text_is_missing_and_makes_no_category() -> None:
    mask = MemoryArray(np.array([False, True, False]))
    text = Text("t", MemoryArray(["a", "nan", "b"]), mask)
    grouped = as_category(text)
    assert grouped is not None
    assert grouped.categories == ["a", "b"]
    assert grouped.codes().tolist() == [0, -1, 1]
    assert text.at(1) is None


def test_edges_against_scipy() -> None:
    for seed, symmetric in ((0, False), (1, True)):
        graph = sparse.random(70, 70, 0.08, "csr", random_state=seed)
        if symmetric:
            graph = graph.maximum(graph.T).tocsr()
        parts = {n: MemoryArray(getattr(graph, n)) for n in ("data", "indices", "indptr")}
        edges = undirected_edges(Csr(MemoryGroup(parts), (70, 70), 0))
        both = ((graph + graph.T) != 0).toarray()
        np.fill_diagonal(both, False)
        rows, cols = np.nonzero(np.triu(both))
        np.testing.assert_array_equal(edges.sources, rows)
        np.testing.assert_array_equal(edges.targets, cols)
        assert edges.max_neighbors == both.sum(1).max()
        assert edges.dtype == np.uint16


def test_genes_by_name_by_symbol_and_when_names_repeat() -> None:
    adata = make.adata()
    names = list(make.ODD_NAMES)
    names[5] = names[7]
    adata.var_names = names
    genes = Cells(AnnDataSource(adata).root).expression().genes
    assert genes.find("HLA_A") == 2
    assert genes.find("β") == 3
    assert genes.symbol_column == "feature_name"
    assert genes.find("SYM4") == 4
    with pytest.raises(NotFound):
        genes.find("nope")
    with pytest.raises(Ambiguous, match=r"\[5, 7\]"):
        genes.find(names[5])
    by_column = Cells(AnnDataSource(adata).root, Options(gene_id_column="feature_name")).expression().genes
    assert by_column.names[0] == "SYM0"
    with pytest.raises(NotFound):
        Cells(AnnDataSource(adata).root, Options(gene_id_column="nope"))


def test_parts_that_do_not_fit_are_refused() -> None:
    adata = make.adata()
    root = AnnDataSource(adata).root
    for name, node in {
        "X": MemoryArray(np.zeros((make.N + 1, make.GENES))),
        "obsm": MemoryGroup({"X_umap": MemoryArray(np.zeros((make.N - 1, 2)))}),
    }.items():
        nodes = {n: root[n] for n in root}
        with pytest.raises(Damaged):
            Cells(MemoryGroup({**nodes, name: node}))
    with pytest.raises(Damaged):
        Cells(MemoryGroup({}))


def test_latent_space_is_found_or_named() -> None:
    root = AnnDataSource(make.adata()).root
    latent = Cells(root).latent
    assert latent is not None
    assert latent.key == "X_pca"
    named = Cells(root, Options(latent_key="pseudotime")).latent
    assert named is not None
    assert named.key == "pseudotime"
    with pytest.raises(NotFound):
        _ = Cells(root, Options(latent_key="nope")).latent
