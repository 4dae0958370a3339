"""A data set and its viewer as files for a plain web host: what they hold is what our server answers."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import sparse

import make
from coverslip.core.errors import CoverslipError
from coverslip.domains.cells import Cells
from coverslip.formats import open_source
from coverslip.fronts.cellucid import manifests
from coverslip.preparing import Prepared, prepare

PAGE = b'<!doctype html>\n<html lang="en"><script type="module" src="./assets/a.js"></script></html>'


@pytest.fixture(autouse=True)
def viewer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A viewer of two files, whether or not ours was built."""
    folder = tmp_path / "package" / "_viewer"
    (folder / "assets").mkdir(parents=True)
    (folder / "index.html").write_bytes(PAGE)
    (folder / "assets" / "a.js").write_bytes(b"0")
    (folder / "source.sha256").write_bytes(b"0")
    monkeypatch.setattr("coverslip.static_copy.files", lambda package: tmp_path / "package")


def made(tmp_path: Path, **options: Any) -> tuple[Prepared, Cells]:
    adata = make.adata(sparse.csr_matrix(make.dense_matrix()))
    adata.obsm["velocity_umap"] = np.random.default_rng(0).normal(size=(adata.n_obs, 2))
    adata.write_h5ad(tmp_path / "a.h5ad")
    written = prepare(data=tmp_path / "a.h5ad", out_dir=tmp_path / "site", static=True, **options)
    return written, Cells(open_source(tmp_path / "a.h5ad").root)


def told(site: Path, name: str) -> Any:
    raw = (site / name).read_bytes()
    return json.loads(gzip.decompress(raw) if raw[:2] == b"\x1f\x8b" else raw)


def values(site: Path, name: str, dtype: str) -> np.ndarray[Any, Any]:
    return np.frombuffer(gzip.decompress((site / name).read_bytes()), dtype)


def test_it_holds_what_the_server_answers(tmp_path: Path) -> None:
    """Columns, genes, coordinates, names and the values of each cell."""
    written, cells = made(tmp_path)
    site = written.path
    identity = told(site, "dataset_identity.json")
    assert (identity["stats"]["n_cells"], identity["stats"]["n_genes"]) == (50, 12)
    assert told(site, "_cellucid/datasets")["datasets"] == [{"id": "a", "path": "/", "name": "a", "status": "ok"}]
    for i, entry in enumerate(identity["obs_fields"]):
        field = told(site, entry["info"])
        assert field == json.loads(json.dumps(manifests.field(cells, i)))
        if entry["kind"] == "continuous":
            np.testing.assert_array_equal(values(site, field["values"], "<f4"), cells.field(i).values())  # type: ignore[attr-defined]
        else:
            codes = values(site, field["codes"], f"<u{np.dtype(field['dtype']).itemsize}")
            names = np.array([*field["categories"], *["nan"] * (field["missing"] + 1 - len(field["categories"]))])
            assert names[codes].tolist() == cells.field(i).names()
    genes = told(site, identity["expression"]["items"][0]["genes"])
    assert genes["names"] == cells.expression().genes.names
    for g in range(12):
        found = values(site, genes["values"].replace("{index}", str(g)), "<f4")
        np.testing.assert_array_equal(found, cells.expression().gene(g))
    for number, item in enumerate(identity["embeddings"]["items"]):
        for d, file in item["files"].items():
            wanted = cells.embeddings[number].points(range(int(d[0])))
            np.testing.assert_array_equal(values(site, file, "<f4"), wanted.reshape(-1))
    field = identity["vector_fields"]["fields"]["velocity_umap"]
    wanted = cells.vector_field("velocity_umap").vectors(2, (0, 1))
    np.testing.assert_array_equal(values(site, field["files"]["2d"], "<f4"), wanted.reshape(-1))
    graph = told(site, "connectivity_manifest.json")
    assert values(site, graph["sourcesPath"], graph["index_dtype"]).size == graph["n_edges"]
    assert values(site, graph["weightsPath"], "<f4").size == graph["n_edges"]
    assert told(site, "cells/names-0.json")["names"] == cells.cell_names(0, 50)
    block = told(site, "cells/at-0.json")
    assert block == [json.loads(json.dumps(manifests.cell(cells, i))) for i in range(50)]


def test_the_page(tmp_path: Path) -> None:
    """It says that nobody answers questions; no file is named by a query, and none is hidden from hosts."""
    site = made(tmp_path)[0].path
    assert b'<html data-copy lang="en">' in (site / "index.html").read_bytes()
    assert (site / "assets" / "a.js").is_file()
    assert (site / ".nojekyll").is_file()
    assert not (site / "source.sha256").exists()
    for file in site.rglob("*"):
        assert not set("?%#&:") & set(file.name)


def test_quantised_values_are_rounded(tmp_path: Path) -> None:
    """Half a step at most, and a smaller folder; some genes and columns only."""
    written, cells = made(tmp_path, var_quantization=8, gene_identifiers=["β", "MT-CO1"], obs_keys=["score"])
    identity = told(written.path, "dataset_identity.json")
    assert [f["key"] for f in identity["obs_fields"]] == ["score"]
    assert told(written.path, "genes.json")["names"] == ["β", "MT-CO1"]
    wanted = cells.expression().gene(6)
    found = values(written.path, "genes/1.values.f32", "<f4")
    assert np.abs(found - wanted).max() <= (wanted.max() - wanted.min()) / 254 * 0.5001
    assert written.notes == ()


def test_it_is_no_export(tmp_path: Path) -> None:
    """Who serves it is told what it is; it is replaced as a whole."""
    site = made(tmp_path)[0].path
    with pytest.raises(CoverslipError, match="web page of its own"):
        open_source(site)
    made_again = prepare(data=tmp_path / "a.h5ad", out_dir=site, static=True, force=True)
    assert made_again.n_genes == 12
    prepare(data=tmp_path / "a.h5ad", out_dir=site, force=True)
    assert not (site / "index.html").exists()
