"""Loom files that loompy and anndata write, against what they read."""

from __future__ import annotations

import importlib
import warnings
from pathlib import Path
from typing import Any

import anndata
import h5py
import numpy as np
import pytest
from scipy import sparse

from coverslip.core.errors import Damaged
from coverslip.domains.cells import Cells
from coverslip.domains.graph import undirected_edges
from coverslip.formats import open_source
from coverslip.testing.cells import CellsTests


def loompy() -> Any:
    """Imported when first needed, for it takes seconds."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return importlib.import_module("loompy")


N, GENES = 40, 11


def write(path: Path, n: int = N, genes: int = GENES) -> Path:
    rng = np.random.default_rng(3)
    x = np.where(rng.random((genes, n)) < 0.4, rng.exponential(2, (genes, n)), 0).astype(np.float32)
    columns = {
        "CellID": np.array([f"cell {i}" for i in range(n)]),
        "Cluster": rng.choice(["T & B", "NK"], n),
        "Depth": rng.integers(0, 1000, n),
        "X_umap": rng.random((n, 2)),
        "_tSNE1": rng.random(n),
        "_tSNE2": rng.random(n),
    }
    rows = {"Gene": np.array([f"G{i}" for i in range(genes)]), "Chromosome": rng.choice(["1", "X"], genes)}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        loompy().create(str(path), {"": x, "spliced": np.round(x)}, rows, columns)
        with loompy().connect(str(path)) as file:
            file.col_graphs["KNN"] = sparse.random(n, n, 0.1, "coo", random_state=5)
    return path


def read(path: Path) -> anndata.AnnData:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        adata = anndata.io.read_loom(path, sparse=False, X_name="")
        with loompy().connect(str(path), "r") as file:
            adata.obs = adata.obs[[k for k in h5py.File(path)["col_attrs"] if k in adata.obs]]
            adata.obsm["X_umap"] = file.ca["X_umap"]
            adata.obsm["X_tsne"] = np.stack([file.ca["_tSNE1"], file.ca["_tSNE2"]], 1)
    return adata


class TestLoom(CellsTests):
    format_name = "loom"
    shows = ("embeddings", "graph")

    def write(self, folder: Path) -> Path:
        return write(folder / "cells.loom")

    def write_large(self, folder: Path) -> Path:
        return write(folder / "large.loom", 4000, 600)

    def golden(self, sample: Path) -> dict[str, Any]:
        return {"": read(sample)}


def test_layers_and_graph(tmp_path: Path) -> None:
    path = write(tmp_path / "a.loom")
    source = open_source(path)
    cells = Cells(source.root)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with loompy().connect(str(path), "r") as file:
            wanted, graph = file.layers["spliced"][:, :], sparse.csr_matrix(file.col_graphs["KNN"])
    layer = cells.expression("layer:spliced")
    for i in range(GENES):
        np.testing.assert_array_equal(layer.gene(i), wanted[i].astype(np.float32))
    assert cells.graph is not None
    both = sparse.triu(graph + graph.T, 1).tocoo()
    edges = undirected_edges(cells.graph)
    assert sorted(zip(edges.sources.tolist(), edges.targets.tolist(), strict=True)) == sorted(
        zip(both.row.tolist(), both.col.tolist(), strict=True)
    )
    source.close()


def test_what_anndata_writes(tmp_path: Path) -> None:
    adata = anndata.AnnData(np.arange(12, dtype=np.float32).reshape(4, 3))
    adata.obs["score"] = np.arange(4) / 3
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            anndata.io.write_loom(tmp_path / "a.loom", adata)
        except AttributeError:  # anndata 0.13 gives loompy a layer without a name; what is missing is what 0.12 wrote
            genes, cells_of = {"var_names": np.array([*adata.var_names])}, {"obs_names": np.array([*adata.obs_names])}
            loompy().create(
                str(tmp_path / "b.loom"), adata.X.T, genes, {**cells_of, "score": adata.obs["score"].values}
            )
            (tmp_path / "b.loom").rename(tmp_path / "a.loom")
    source = open_source(tmp_path / "a.loom")
    cells = Cells(source.root)
    assert cells.cell_names(0, 4) == ["0", "1", "2", "3"]
    np.testing.assert_array_equal(cells.expression().gene(2), adata.X[:, 2])
    source.close()


def test_no_loom(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.loom", "w") as file:
        file["matrix"] = np.zeros((2, 2))
    with pytest.raises(Damaged, match="row_attrs"):
        open_source(tmp_path / "a.loom")


def test_character_references(tmp_path: Path) -> None:
    """What loompy wrote before version 3."""
    path = write(tmp_path / "a.loom")
    with h5py.File(path, "r+") as file:
        del file["col_attrs/Cluster"]
        file["col_attrs/Cluster"] = np.array([b"&#945;-cell", b"T"] * (N // 2)).astype("S")
    with h5py.File(path) as file:
        wanted = [str(v) for v in loompy().normalize.materialize_attr_values(file["col_attrs/Cluster"][:])]
    source = open_source(path)
    cells = Cells(source.root)
    assert cells.fields[cells.find_field("Cluster")].names() == wanted
    assert wanted[0] == "α-cell"
    source.close()
