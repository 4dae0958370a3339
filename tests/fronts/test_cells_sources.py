"""Every kind of source of cells over HTTP."""

from __future__ import annotations

import gzip
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import anndata
import numpy as np
import pytest
from scipy import sparse
from starlette.testclient import TestClient

import make

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "formats"))
from test_anndata_zarr import write as write_zarr
from test_anndata_zarr import zipped
from test_cellucid_export import by_hand, unpacked
from test_loom import write as write_loom
from test_mudata import multi
from test_tenx import SYMBOLS, counts, version2, version3

pytestmark = pytest.mark.filterwarnings("ignore:The inplace keyword")
"""mudata asks pandas in a way that pandas will not take for long."""

Serve = Callable[..., TestClient]


def moving() -> anndata.AnnData:
    """Velocity over two embeddings, one of them in 2 and 3 dimensions, and a graph."""
    adata = make.adata(sparse.csr_matrix(make.dense_matrix()))
    rng = np.random.default_rng(6)
    adata.obsm["X_umap_3d"] = rng.normal(size=(make.N, 3)) * 4
    adata.obsm["velocity_umap"] = rng.normal(size=(make.N, 2))
    adata.obsm["velocity_umap_3d"] = rng.normal(size=(make.N, 3))
    adata.obsm["T_fwd_pca"] = rng.normal(size=(make.N, 6)).astype(np.float32)
    adata.obsm["velocity_umap"][3] = np.nan
    return adata


WRITERS: dict[str, Callable[[Path], Path]] = {
    "zarr v2": lambda folder: write_zarr(moving(), folder / "cells.zarr", 2),
    "zarr v3": lambda folder: write_zarr(moving(), folder / "cells", 3),
    "zarr zip": lambda folder: zipped(write_zarr(moving(), folder / "in.zarr"), folder / "cells.zarr.zip"),
    "h5mu": lambda folder: (multi().write(folder / "multi.h5mu"), folder / "multi.h5mu")[1],
    "loom": lambda folder: write_loom(folder / "cells.loom"),
    "10x": lambda folder: version3(folder / "matrix.h5", counts(), SYMBOLS),
    "10x v2": lambda folder: version2(folder / "matrix.h5", ("hg19", "mm10")),
    "first generation": lambda folder: unpacked("cellucid-0.0.9-8", folder),
    "second generation": lambda folder: unpacked("cellucid-0.9.4-16", folder),
}


def links(client: TestClient, at: str) -> list[str]:
    """Every address that the documents of a data set give."""
    identity = client.get(f"{at}dataset_identity.json").json()
    urls = ["dataset_identity.json", "obs_manifest.json", "cells/0.json", "cells/names.json"]
    urls += identity["embeddings"]["files"].values()
    for item in identity["embeddings"]["items"]:
        urls += item["files"].values()
    for made in identity.get("vector_fields", {"fields": {}})["fields"].values():
        urls += made["files"].values()
    if identity["stats"]["n_genes"]:
        urls.append("var_manifest.json")
    for item in identity["expression"]["items"]:
        found = client.get(at + item["genes"]).json()
        urls += [found["values"].replace("{index}", str(i)) for i in range(1, len(found["names"]))]
    for entry in identity["obs_fields"]:
        field = client.get(at + entry["info"]).json()
        urls.append(field.get("codes") or field["values"])
    manifest = client.get(f"{at}obs_manifest.json").json()
    for key, *_ in manifest["_continuousFields"]:
        urls.append(manifest["_obsSchemas"]["continuous"]["pathPattern"].replace("{key}", quote(key, safe="")))
    for key, *_ in manifest["_categoricalFields"]:
        pattern = manifest["_obsSchemas"]["categorical"]["outlierPathPattern"]
        urls.append(pattern.replace("{key}", quote(key, safe="")))
    if identity["stats"]["has_connectivity"]:
        graph = client.get(f"{at}connectivity_manifest.json").json()
        urls += ["connectivity_manifest.json", graph["sourcesPath"], graph["destinationsPath"], graph["weightsPath"]]
    return urls


@pytest.mark.parametrize("kind", WRITERS)
def test_every_address_answers(serve: Serve, tmp_path: Path, kind: str) -> None:
    client = serve(WRITERS[kind](tmp_path))
    listed = client.get("/_cellucid/datasets").json()["datasets"]
    assert [d["status"] for d in listed] == ["ok"] * len(listed)
    assert client.get("/_cellucid/health").json()["status"] == "ok"
    for d in listed:
        for url in links(client, d["path"]):
            answer = client.get(d["path"] + url)
            assert answer.status_code == 200, (d, url, answer.text)
            assert str(tmp_path).encode() not in answer.content


@pytest.mark.parametrize("kind", ["zarr v2", "zarr v3", "zarr zip"])
def test_zarr_answers_as_h5ad_does(serve: Serve, tmp_path: Path, kind: str) -> None:
    moving().write_h5ad(tmp_path / "a.h5ad")
    (tmp_path / "other").mkdir()
    first, second = serve(tmp_path / "a.h5ad"), serve(WRITERS[kind](tmp_path / "other"))
    wanted = links(first, "/")
    assert links(second, "/") == wanted
    for url in wanted:
        if url != "dataset_identity.json":
            assert second.get(f"/{url}").content == first.get(f"/{url}").content, url


def test_modalities_are_data_sets(serve: Serve, tmp_path: Path) -> None:
    client = serve(WRITERS["h5mu"](tmp_path))
    listed = client.get("/_cellucid/datasets").json()["datasets"]
    assert [(d["id"], d["path"], d["name"]) for d in listed] == [
        ("multi", "/", "multi"),
        ("multi/mod/rna", "/multi/mod/rna/", "multi, rna"),
        ("multi/mod/prot", "/multi/mod/prot/", "multi, prot"),
    ]
    sizes = [client.get(f"{d['path']}dataset_identity.json").json()["stats"]["n_cells"] for d in listed]
    assert sizes == [40, 30, 20]
    named = [client.get(f"{d['path']}dataset_identity.json").json()["id"] for d in listed]
    assert named == [d["id"] for d in listed]
    assert client.get("/multi/mod/none/obs_manifest.json").status_code == 404


def floats(client: TestClient, url: str, width: int) -> np.ndarray:
    answer = client.get(url)
    assert answer.status_code == 200, answer.text
    return np.frombuffer(answer.content, "<f4").reshape(-1, width)


def test_vector_fields(serve: Serve, tmp_path: Path) -> None:
    adata = moving()
    adata.write_h5ad(tmp_path / "a.h5ad")
    client = serve(tmp_path / "a.h5ad")
    told = client.get("/dataset_identity.json").json()
    fields = told["vector_fields"]
    assert fields["default_field"] == "velocity_umap"
    assert {k: (v["label"], v["available_dimensions"], v["basis"]) for k, v in fields["fields"].items()} == {
        "velocity_umap": ("Velocity (UMAP)", [2, 3], "umap"),
        "T_fwd_pca": ("T fwd (PCA)", [2, 3], "pca"),
    }
    assert "velocity_umap" not in {item["id"] for item in told["embeddings"]["items"]}
    for d, basis, key in ((2, "X_umap", "velocity_umap"), (3, "X_umap_3d", "velocity_umap_3d")):
        stored = adata.obsm[basis]
        scale = 2 / (stored.max(0) - stored.min(0)).max()
        found = floats(client, f"/vectors/velocity_umap_{d}d.bin", d)
        np.testing.assert_allclose(found, adata.obsm[key] * scale, rtol=1e-5)
        packed = client.get(f"/vectors/velocity_umap_{d}d.bin.gz")
        assert gzip.decompress(packed.content) == found.tobytes()
    picked = floats(client, "/vectors/T_fwd_pca_2d.bin?columns=4,1", 2)
    stored = adata.obsm["X_pca"][:, [4, 1]]
    scale = 2 / (stored.max(0) - stored.min(0)).max()
    np.testing.assert_allclose(picked, adata.obsm["T_fwd_pca"][:, [4, 1]] * scale, rtol=1e-5)
    for url in ("/vectors/foo_2d.bin", "/vectors/velocity_umap_1d.bin"):
        missing = client.get(url)
        assert (missing.status_code, missing.json()["error"]["code"]) == (404, "vectors_not_found")


def test_edges_have_weights(serve: Serve, tmp_path: Path) -> None:
    adata = moving()
    adata.write_h5ad(tmp_path / "a.h5ad")
    client = serve(tmp_path / "a.h5ad")
    graph = adata.obsp["connectivities"].tocsr()
    both = sparse.triu(graph.maximum(graph.T), 1).tocsr().sorted_indices().tocoo()
    manifest = client.get("/connectivity_manifest.json").json()
    ends = [
        np.frombuffer(client.get(f"/{manifest[k]}").content, manifest["index_dtype"])
        for k in ("sourcesPath", "destinationsPath")
    ]
    np.testing.assert_array_equal(ends, [both.row, both.col])
    found = np.frombuffer(client.get(f"/{manifest['weightsPath']}").content, manifest["weight_dtype"])
    np.testing.assert_allclose(found, both.data, rtol=1e-6)


def test_exports_of_one_id_are_told_apart(serve: Serve, tmp_path: Path) -> None:
    for name in ("b", "a", "c"):
        by_hand(tmp_path / "exports" / name, 6, 2)
    client = serve(tmp_path / "exports")
    listed = client.get("/_cellucid/datasets").json()["datasets"]
    assert [(d["id"][0], d["path"], d["name"], d["status"]) for d in listed] == [
        (n, f"/{d['id']}/", f"By hand, {n}", "ok") for n, d in zip("abc", listed, strict=True)
    ]
    assert len({d["id"] for d in listed}) == 3
    for d in listed:
        assert client.get(f"{d['path']}dataset_identity.json").json()["name"] == d["name"]
    assert client.get("/_cellucid/datasets").json()["datasets"] == listed


def test_incomplete_exports_are_listed_with_what_is_missing(serve: Serve, tmp_path: Path) -> None:
    for name in ("gene", "points", "whole", "manifest", "identity"):
        by_hand(tmp_path / name, 6, 3)
    (tmp_path / "gene" / "var" / "G1.values.f32").unlink()
    (tmp_path / "points" / "points_2d.bin").unlink()
    (tmp_path / "manifest" / "obs_manifest.json").unlink()
    (tmp_path / "identity" / "dataset_identity.json").unlink()
    client = serve(tmp_path)
    listed = {d["id"].partition("-")[0]: d for d in client.get("/_cellucid/datasets").json()["datasets"]}
    assert {id: d["status"] for id, d in listed.items()} == {
        "gene": "incomplete", "identity": "incomplete", "manifest": "incomplete", "points": "incomplete", "whole": "ok",
    }  # fmt: skip
    named = {
        "gene": "var/G1.values.f32", "points": "points_2d.bin", "manifest": "obs_manifest.json",
        "identity": "dataset_identity.json",
    }  # fmt: skip
    for id, missing in named.items():
        assert missing in listed[id]["message"]
        assert listed[id]["missing"] == [missing]
        assert str(tmp_path) not in str(listed[id])
    at = {name: d["path"].rstrip("/") for name, d in listed.items()}
    assert client.get(f"{at['gene']}/dataset_identity.json").json()["incomplete"] == ["var/G1.values.f32"]
    assert client.get(f"{at['gene']}/genes/0.values.f32").status_code == 200
    told = client.get(f"{at['gene']}/genes/1.values.f32")
    assert told.status_code >= 400
    assert "G1.values.f32 is missing" in told.json()["error"]["message"]
    refused = client.get(f"{at['points']}/dataset_identity.json")
    assert refused.json()["error"]["code"] == "incomplete"
    assert client.get(f"{at['identity']}/points_2d.bin").status_code == 200


def test_an_export_that_is_completed_is_listed_as_whole(serve: Serve, tmp_path: Path) -> None:
    import time

    by_hand(tmp_path / "all" / "a", 6, 2)
    shutil.move(tmp_path / "all" / "a" / "points_2d.bin", tmp_path / "points_2d.bin")
    client = serve(tmp_path / "all")
    assert client.get("/_cellucid/datasets").json()["datasets"][0]["status"] == "incomplete"
    shutil.move(tmp_path / "points_2d.bin", tmp_path / "all" / "a" / "points_2d.bin")
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        if client.get("/_cellucid/datasets").json()["datasets"][0]["status"] == "ok":
            break
        time.sleep(0.05)
    assert client.get("/points_2d.bin").status_code == 200


def test_a_matrix_without_an_embedding(serve: Serve, tmp_path: Path) -> None:
    client = serve(WRITERS["10x"](tmp_path))
    told = client.get("/dataset_identity.json").json()
    assert told["embeddings"] == {"available_dimensions": [], "default_dimension": None, "files": {}, "items": []}
    missing = client.get("/points_2d.bin")
    assert (missing.status_code, missing.json()["error"]["code"]) == (404, "points_not_found")
