"""Files that anndata writes (and wrote) against what anndata reads."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anndata
import h5py
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

import make
from coverslip.domains.cells import Cells, as_category
from coverslip.domains.columns import Category, Continuous
from coverslip.formats import open_source
from coverslip.formats.trees.anndata_memory import AnnDataSource
from coverslip.testing import CellsTests

LAYOUTS = {"dense": np.asarray, "csr": sparse.csr_matrix, "csc": sparse.csc_matrix}


class TestH5ad(CellsTests):
    format_name = "h5ad"
    shows = ("embeddings", "graph")

    def write(self, folder: Path) -> Path:
        make.adata(sparse.csc_matrix(make.dense_matrix())).write_h5ad(folder / "cells.h5ad")
        return folder / "cells.h5ad"

    def write_large(self, folder: Path) -> Path:
        x = sparse.random(4000, 300, 0.4, "csc", np.float32, random_state=1)
        anndata.AnnData(x).write_h5ad(folder / "large.h5ad")
        return folder / "large.h5ad"

    def golden(self, sample: Path) -> dict[str, Any]:
        return {"": anndata.read_h5ad(sample)}


def cells_of(path: Path) -> Cells:
    return Cells(open_source(path).root)


def assert_same(cells: Cells, wanted: anndata.AnnData) -> None:
    """Every value that both can tell."""
    assert cells.n_cells == wanted.n_obs
    assert [cells.cell_name(i) for i in range(wanted.n_obs)] == list(wanted.obs_names)
    assert [f.key for f in cells.fields] == list(wanted.obs.columns)
    for field in cells.fields:
        column = wanted.obs[field.key]
        if isinstance(field, Continuous):
            expected = column.astype("float64").to_numpy(dtype=np.float32, na_value=np.nan)
            np.testing.assert_array_equal(field.values(), expected)
            continue
        category = as_category(field)
        assert category is not None
        told = [None if c < 0 else category.categories[c] for c in category.codes()]
        assert told == [None if missing else str(v) for v, missing in zip(column, column.isna(), strict=True)]
        assert [field.at(i) for i in range(len(told))] == told
    expression = cells.expression("X")
    assert expression.genes.names == list(wanted.var_names)
    x = wanted.X.toarray() if sparse.issparse(wanted.X) else np.asarray(wanted.X)
    for gene in range(wanted.n_vars):
        np.testing.assert_array_equal(expression.gene(gene), x[:, gene].astype(np.float32))
    for embedding in cells.embeddings:
        expected = np.asarray(wanted.obsm[embedding.key], np.float32).reshape(wanted.n_obs, -1)
        np.testing.assert_array_equal(embedding.coordinates(), expected)
    assert {e.key for e in cells.embeddings} == set(wanted.obsm)


@pytest.mark.parametrize("compression", [None, "gzip"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_todays_files(tmp_path: Path, layout: str, compression: Any) -> None:
    adata = make.adata(LAYOUTS[layout](make.dense_matrix()))
    path = tmp_path / "cells.h5ad"
    adata.write_h5ad(path, compression=compression)
    cells = cells_of(path)
    assert_same(cells, anndata.read_h5ad(path))
    counts = cells.expression("layer:counts")
    for gene in range(make.GENES):
        np.testing.assert_array_equal(counts.gene(gene), adata.layers["counts"].toarray()[:, gene])
    assert cells.expression("X").matrix.layout == layout
    kind = cells.fields[0]
    assert isinstance(kind, Category)
    assert kind.ordered
    assert kind.colors == adata.uns["kind_colors"]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_an_object_in_memory_gives_what_its_file_gives(layout: str) -> None:
    adata = make.adata(LAYOUTS[layout](make.dense_matrix()))
    cells = Cells(AnnDataSource(adata).root)
    assert_same(cells, adata)
    assert list(cells.expressions) == ["X", "layer:counts"]


def test_raw_has_its_own_genes(tmp_path: Path) -> None:
    adata = make.with_raw()
    path = tmp_path / "raw.h5ad"
    adata.write_h5ad(path)
    for cells in (cells_of(path), Cells(AnnDataSource(adata).root)):
        raw = cells.expression("raw")
        assert (cells.n_genes, raw.genes.count) == (7, make.GENES)
        last = raw.genes.find(make.ODD_NAMES[-1])
        np.testing.assert_array_equal(raw.gene(last), adata.raw.X.toarray()[:, last])


def test_a_backed_object_reads_its_matrix_from_the_file(tmp_path: Path) -> None:
    path = tmp_path / "backed.h5ad"
    make.adata(sparse.csr_matrix(make.dense_matrix())).write_h5ad(path)
    backed = anndata.read_h5ad(path, backed="r")
    source = AnnDataSource(backed)
    cells = Cells(source.root)
    assert list(cells.expressions) == ["X", "layer:counts"]
    np.testing.assert_array_equal(cells.expression("X").gene(2), make.dense_matrix()[:, 2])
    np.testing.assert_array_equal(cells.expression("layer:counts").gene(2), np.round(make.dense_matrix(seed=3))[:, 2])
    source.close()
    backed.file.close()


def test_the_oldest_encoding(tmp_path: Path) -> None:
    cells = cells_of(make.oldest(tmp_path / "old.h5ad"))
    kind, score = cells.fields
    assert isinstance(kind, Category)
    assert kind.categories == ["red", "green", "blue"]
    assert kind.codes().tolist() == [-1, *(i % 3 for i in range(1, make.N))]
    assert isinstance(score, Continuous)
    assert score.values()[3] == 1.5
    assert [(e.key, e.width) for e in cells.embeddings] == [("X_umap", 2), ("X_pca", 5)]
    assert cells.cell_name(7) == "c7"
    for id in ("X", "raw"):
        expression = cells.expression(id)
        gene = expression.genes.find("g5")
        np.testing.assert_array_equal(expression.gene(gene), make.dense_matrix()[:, 5])


def test_the_middle_encoding(tmp_path: Path) -> None:
    cells = cells_of(make.middle(tmp_path / "mid.h5ad"))
    kind, score = cells.fields
    assert isinstance(kind, Category)
    assert [kind.at(i) for i in range(4)] == ["b", "a", None, "b"]
    assert score.kind == "continuous"
    assert cells.expression("X").gene(1).tolist() == [1, 3, 5, 7]


def test_opening_reads_no_matrix(tmp_path: Path) -> None:
    """A matrix of 8 TB that was never written opens like any other."""
    path = tmp_path / "huge.h5ad"
    with h5py.File(path, "w") as file:
        make.frame_group(file, "obs", ["a", "b"])
        make.frame_group(file, "var", [f"g{i}" for i in range(3)])
        file.create_dataset("X", (2, 3), np.float64)
        file.create_dataset("obsm/X_huge", (2, 10**12), np.float32, chunks=(1, 1024))
    cells = cells_of(path)
    assert (cells.n_cells, cells.n_genes) == (2, 3)
    assert cells.embeddings[0].width == 10**12


def test_big_endian_and_fortran_order(tmp_path: Path) -> None:
    path = tmp_path / "odd.h5ad"
    rng = np.random.default_rng(0)
    with h5py.File(path, "w") as file:
        make.frame_group(file, "obs", [f"c{i}" for i in range(5)])
        make.frame_group(file, "var", ["g0", "g1", "g2"])
        file.create_dataset("X", data=rng.random((5, 3)).astype(">f8"))
        file["obsm/X_umap"] = rng.random((5, 2)).astype(">f4")
        x, umap = file["X"][:], file["obsm/X_umap"][:]
    cells = cells_of(path)
    np.testing.assert_array_equal(cells.expression("X").gene(1), x[:, 1].astype(np.float32))
    np.testing.assert_array_equal(cells.embeddings[0].coordinates(), umap.astype(np.float32))


def test_a_frame_in_obsm_is_an_embedding(tmp_path: Path) -> None:
    adata = make.adata()
    rng = np.random.default_rng(0)
    columns = {"x": rng.random(make.N), "label": ["a"] * make.N, "y": np.arange(make.N, dtype=np.int32)}
    adata.obsm["X_spatial"] = pd.DataFrame({k: columns[k] for k in ("x", "y")}, index=adata.obs_names)
    path = tmp_path / "frame.h5ad"
    adata.write_h5ad(path)
    for cells in (cells_of(path), Cells(AnnDataSource(adata).root)):
        found = next(e for e in cells.embeddings if e.key == "X_spatial")
        expected = np.stack([columns["x"], columns["y"]], 1).astype(np.float32)
        np.testing.assert_array_equal(found.coordinates(), expected)
        np.testing.assert_array_equal(found.coordinates([1]), expected[:, 1:])


def test_columns_of_one_name_are_told_apart() -> None:
    adata = anndata.AnnData(np.eye(3))
    adata.obs = pd.DataFrame(np.arange(6.0).reshape(3, 2), columns=["same", "same"], index=adata.obs_names)
    cells = Cells(AnnDataSource(adata).root)
    assert [f.key for f in cells.fields] == ["same", "same-1"]
    assert cells.cell_name(2) == "2"
    assert [f.at(2) for f in cells.fields] == [4.0, 5.0]
