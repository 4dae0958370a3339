"""Exports: equal to what they were made of, and nothing written where something is wrong."""

from __future__ import annotations

import inspect
import shutil
from pathlib import Path
from typing import Any

import anndata
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

import coverslip
import make
import odd_cells
from coverslip.core.errors import BadUsage, CoverslipError, DiskFull
from coverslip.domains.cells import Cells
from coverslip.domains.columns import Continuous
from coverslip.domains.export.folder import Export
from coverslip.formats import open_source
from coverslip.preparing import prepare
from disks import small_disk


def opened(path: Path) -> Cells:
    return Cells(open_source(path).root)


def given(n: int = 30, genes: int = 4) -> dict[str, Any]:
    """Arguments as a script gives them to cellucid."""
    rng = np.random.default_rng(1)
    return {
        "latent_space": rng.normal(size=(n, 5)),
        "obs": make.table(n),
        "var": pd.DataFrame({"name": list("wxyz")[:genes]}, index=[f"G{i}" for i in range(genes)]),
        "gene_expression": sparse.csr_matrix(make.dense_matrix(n, genes)),
        "connectivities": sparse.random(n, n, 0.2, "csr", random_state=3),
        "X_umap_2d": rng.normal(size=(n, 2)),
        "X_umap_3d": rng.normal(size=(n, 3)),
        "vector_fields": {"velocity_umap_2d": rng.normal(size=(n, 2)), "drift": rng.normal(size=(n, 3))},
    }


@pytest.mark.parametrize("layout", ["csr", "csc", "dense"])
@pytest.mark.parametrize(("bits", "level"), [(None, None), (8, 6), (16, 1)])
def test_it_reads_back_equal(tmp_path: Path, layout: str, bits: int | None, level: int | None) -> None:
    """Everything of a file: genes by number, columns, coordinates, names, colours, the graph with its weights."""
    x = make.dense_matrix() if layout == "dense" else sparse.csr_matrix(make.dense_matrix()).asformat(layout)
    made = make.adata(x)
    made.obsm["velocity_umap"] = np.random.default_rng(0).normal(size=(made.n_obs, 2))
    made.write_h5ad(tmp_path / "in.h5ad")
    prepare(
        data=tmp_path / "in.h5ad", out_dir=tmp_path / "out", var_quantization=bits, obs_continuous_quantization=bits,
        compression=level,
    )  # fmt: skip
    was, now = opened(tmp_path / "in.h5ad"), opened(tmp_path / "out")
    assert now.expression().genes.names == was.expression().genes.names
    assert now.expression().genes.symbols == was.expression().genes.symbols
    for g in range(was.n_genes):
        same(now.expression().gene(g), was.expression().gene(g), bits)
    assert [f.key for f in now.fields] == [f.key for f in was.fields]
    for field, before in zip(now.fields, was.fields, strict=True):
        if isinstance(before, Continuous):
            assert isinstance(field, Continuous)
            same(field.values(), before.values(), bits)
        else:
            assert field.names() == before.names()
    kind, before = now.field(0), was.field(0)
    assert (kind.colors, kind.ordered) == (before.colors, before.ordered)  # type: ignore[attr-defined]
    assert list(now.points) == list(was.points)
    for d, embedding in was.points.items():
        assert now.points[d].key == embedding.key
        np.testing.assert_array_equal(now.points[d].points(range(d)), embedding.points(range(d)))
    np.testing.assert_array_equal(
        now.vector_field("velocity_umap").vectors(2, (0, 1)), was.vector_field("velocity_umap").vectors(2, (0, 1))
    )
    assert now.cell_names(0, 99) == was.cell_names(0, 99)
    assert now.graph is not None
    upper = made.obsp["connectivities"].maximum(made.obsp["connectivities"].T)
    assert sparse.triu(upper, 1).nnz == now.graph.n_stored
    rows, columns = now.graph.entries(0, made.n_obs)
    np.testing.assert_allclose(now.graph.values(0, made.n_obs), upper.tocsr()[rows, columns].A1, rtol=1e-6)
    assert now.stored_outliers("kind") is not None


def same(now: Any, was: Any, bits: int | None) -> None:
    was = np.where(np.isfinite(was), was, np.nan) if bits else was
    step = 0 if bits is None else (np.nanmax(was) - np.nanmin(was)) / (2**bits - 2)
    np.testing.assert_allclose(now, was, rtol=1e-6 if bits else 0, atol=step * 0.5001)


def test_names_and_defaults_are_cellucids() -> None:
    """A script works after changing the import."""
    told = inspect.signature(coverslip.prepare).parameters
    theirs = (
        "latent_space=None, obs=None, var=None, gene_expression=None, var_gene_id_column='index',"
        " gene_identifiers=None, connectivities=None, out_dir='exports', obs_keys=None,"
        " centroid_outlier_quantile=0.95, centroid_min_points=10, obs_manifest_filename='obs_manifest.json',"
        " obs_binary_dirname='obs', var_manifest_filename='var_manifest.json', var_binary_dirname='var',"
        " connectivity_manifest_filename='connectivity_manifest.json', connectivity_binary_dirname='connectivity',"
        " force=False, var_quantization=None, obs_continuous_quantization=None, obs_categorical_dtype='auto',"
        " compression=None, dataset_name=None, dataset_description=None, dataset_id=None, source_name=None,"
        " source_url=None, source_citation=None, X_umap_1d=None, X_umap_2d=None, X_umap_3d=None, X_umap_4d=None,"
        " vector_fields=None"
    )
    ours = [f"{p.name}={p.default!r}" for p in told.values() if p.kind is p.POSITIONAL_OR_KEYWORD]
    assert ", ".join(ours) == theirs


def test_arrays_as_a_script_gives_them(tmp_path: Path) -> None:
    """With a chosen column of names, two of the genes, and files of other names."""
    arrays = given()
    made = prepare(
        **arrays, out_dir=tmp_path / "out", var_gene_id_column="name", gene_identifiers=["y", "w", "nobody"],
        obs_keys=["score", "kind"], dataset_name="A set", obs_binary_dirname="columns",
    )  # fmt: skip
    assert made.notes == ("There is no gene nobody.",)
    now = opened(made.path)
    assert now.expression().genes.names == ["w", "y"]
    np.testing.assert_array_equal(now.expression().gene(1), arrays["gene_expression"].toarray()[:, 2])
    assert [f.key for f in now.fields] == ["score", "kind"]
    assert set(now.vector_fields) == {"velocity_umap", "drift"}
    assert list(now.points) == [2, 3]
    assert (made.path / "columns").is_dir()


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"X_umap_2d": None, "X_umap_3d": None}, "At least one dimensional embedding must be provided"),
        ({"X_umap_2d": np.zeros((30, 3))}, "X_umap_2d must have exactly 2 columns, got 3"),
        ({"X_umap_4d": np.zeros((30, 4))}, "4D visualization"),
        ({"obs": None}, "obs DataFrame is required"),
        ({"obs": make.table(9)}, "obs has 9 rows, but embeddings have 30 cells"),
        ({"obs_keys": ["kimd"]}, "Did you mean kind?"),
        ({"var": None}, "var DataFrame must be provided"),
        ({"var": pd.DataFrame(index=["a"])}, "var has 1 rows, but gene_expression has 4 genes"),
        ({"connectivities": sparse.eye(3, format="csr")}, r"shape \(3, 3\) does not match number of cells 30"),
        ({"vector_fields": [1]}, "must be a dict"),
        ({"vector_fields": {"a/b": np.zeros((30, 2))}}, "no name of a vector field"),
        ({"vector_fields": {"velocity_umap_2d": np.zeros((30, 3))}}, "has the shape"),
        ({"gene_identifiers": ["nobody"]}, "None of the genes"),
        ({"obs_categorical_dtype": "uint8", "obs": pd.DataFrame({"a": pd.Categorical(map(str, range(300)))})}, "cells"),
        ({"var_quantization": 12}, "Take 8, 16 or None"),
        ({"centroid_outlier_quantile": 2}, "centroid_outlier_quantile"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_before_the_first_byte(tmp_path: Path, changed: dict[str, Any], words: str) -> None:
    """As a kind of ValueError, KeyError or TypeError, which scripts may catch."""
    with pytest.raises((ValueError, KeyError, TypeError), match=words) as refused:
        prepare(**{**given(), **changed}, out_dir=tmp_path / "out")
    assert isinstance(refused.value, BadUsage)
    assert list(tmp_path.iterdir()) == []


def test_many_categories_never_wrap(tmp_path: Path) -> None:
    """70,000 of them take 32 bits; with 16 it is refused."""
    made = odd_cells.many_categories()
    result = prepare(data=made, out_dir=tmp_path / "out")
    assert "70,000" in result.notes[0]
    field = opened(result.path).field(0)
    assert field.names() == made.obs["many"].astype(str).tolist()
    with pytest.raises(BadUsage, match="uint16 holds 65,534"):
        prepare(data=made, out_dir=tmp_path / "other", obs_categorical_dtype="uint16")


def test_odd_data(tmp_path: Path) -> None:
    """A cell without coordinates harms no other; duplicate, empty and endless names have files of their own."""
    made = odd_cells.odd()
    result = prepare(data=made, out_dir=tmp_path / "out", var_quantization=8, compression=1)
    now = opened(result.path)
    points = now.points[2].points((0, 1))
    assert np.isfinite(points).all(axis=1).sum() == odd_cells.N - 2
    assert now.expression().genes.names == made.var_names.tolist()
    for g in range(odd_cells.GENES):
        same(now.expression().gene(g), made.X[:, g], 8)
    for name, make_one in odd_cells.ODD.items():
        if name in ("one cell", "no genes", "no cells"):
            prepare(data=make_one(), out_dir=tmp_path / name)


def test_what_is_there_is_replaced_wholly_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Never without force, never by a failure, never what no export wrote."""
    out = tmp_path / "out"
    prepare(**given(), out_dir=out)
    before = {p: p.read_bytes() for p in out.rglob("*") if p.is_file()}
    with pytest.raises(BadUsage, match="force"):
        prepare(**given(), out_dir=out)

    def fails(self: Export) -> None:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(Export, "_write_graph", fails)
        with pytest.raises(CoverslipError, match="cannot be written: Input/output error"):
            prepare(**given(), out_dir=out, force=True)
    assert {p: p.read_bytes() for p in out.rglob("*") if p.is_file()} == before
    prepare(**given(genes=2), out_dir=out, force=True)
    assert opened(out).n_genes == 2
    assert list(tmp_path.iterdir()) == [out]
    (out / "thesis.docx").touch()
    with pytest.raises(BadUsage, match=r"thesis\.docx"):
        prepare(**given(), out_dir=out, force=True)


def test_an_export_is_exported_again(tmp_path: Path) -> None:
    """Also over itself; never into itself, or around its data."""
    prepare(**given(), out_dir=tmp_path / "out")
    was = [opened(tmp_path / "out").expression().gene(g) for g in range(4)]
    prepare(data=tmp_path / "out", out_dir=tmp_path / "out", var_quantization=16, force=True)
    for g, gene in enumerate(was):
        same(opened(tmp_path / "out").expression().gene(g), gene, 16)
    with pytest.raises(BadUsage, match="lie in each other"):
        prepare(data=tmp_path / "out", out_dir=tmp_path / "out" / "again")
    shutil.move(tmp_path / "out", tmp_path / "exports" / "in")
    with pytest.raises(BadUsage, match="lie in each other"):
        prepare(data=tmp_path / "exports" / "in", out_dir=tmp_path / "exports", force=True)


def test_a_full_disk_is_one_line_and_nothing_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Seen before where it can be, and while writing."""
    rng = np.random.default_rng(0)
    big = anndata.AnnData(rng.random((3000, 100), np.float32))
    big.obsm["X_umap"] = rng.random((3000, 2))
    with small_disk(tmp_path / "disk") as disk:
        with pytest.raises(DiskFull, match="may take"):
            prepare(data=big, out_dir=disk / "out")
        monkeypatch.setattr("coverslip.preparing.SPARE_BYTES", -(1 << 40))
        with pytest.raises(CoverslipError, match=r"is full; nothing was written|cannot be written"):
            prepare(data=big, out_dir=disk / "out")
        assert list(disk.iterdir()) == []
