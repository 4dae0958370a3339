"""AnnData with every odd thing in it over HTTP, from files and from memory, with anndata's own values."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import anndata
import h5py
import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from starlette.testclient import TestClient

from odd_cells import MANY, ODD, many_categories, odd

Serve = Callable[..., TestClient]
MISSING = {"uint8": 255, "uint16": 65535, "uint32": 2**32 - 1}


def h5ad(adata: anndata.AnnData, folder: Path) -> Any:
    adata.write_h5ad(folder / "odd.h5ad")
    return folder / "odd.h5ad"


def zarr(version: int) -> Callable[[anndata.AnnData, Path], Any]:
    def write(adata: anndata.AnnData, folder: Path) -> Any:
        before, anndata.settings.zarr_write_format = anndata.settings.zarr_write_format, version
        try:
            adata.write_zarr(folder / "odd.zarr")
        finally:
            anndata.settings.zarr_write_format = before
        return folder / "odd.zarr"

    return write


def memory(adata: anndata.AnnData, folder: Path) -> Any:
    return adata


KINDS = {"h5ad": h5ad, "zarr 2": zarr(2), "zarr 3": zarr(3), "memory": memory}
CASES = [
    (kind, case)
    for case in ODD
    for kind in KINDS
    if (kind in ("h5ad", "zarr 2") and case != "dates")
    or (kind == "memory" and case in ("odd columns", "dates", "one cell", "no cells", "no genes"))
    or (kind == "zarr 3" and case in ("odd columns", "csr"))
]


@pytest.mark.parametrize(("kind", "case"), CASES)
def test_every_value_is_served(serve: Serve, tmp_path: Path, kind: str, case: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        adata = ODD[case]()
        client = serve(KINDS[kind](adata, tmp_path))
    identity = client.get("/dataset_identity.json").json()
    assert identity["unreadable_fields"] == []
    assert identity["stats"]["n_cells"] == adata.n_obs
    assert [f["key"] for f in identity["obs_fields"]] == list(adata.obs.columns)
    for url in ("obs_manifest.json", "_cellucid/health", "_cellucid/info", "_cellucid/datasets", "cells/names.json"):
        answer = client.get(f"/{url}")
        assert answer.status_code == 200, answer.text
        assert "NaN" not in answer.text
    for entry in identity["obs_fields"]:
        same_column(client, entry, adata.obs[entry["key"]])
    same_points(client, identity, adata)
    same_genes(client, adata)


def same_column(client: TestClient, entry: Any, column: pd.Series) -> None:
    field = client.get(f"/{entry['info']}").json()
    missing = column.isna().to_numpy()
    if field["kind"] == "continuous":
        found = floats(client, field["values"])
        with np.errstate(over="ignore"):
            wanted = column.astype("float64").to_numpy(np.float64, na_value=np.nan).astype(np.float32)
        np.testing.assert_array_equal(found, wanted)
        finite = wanted[np.isfinite(wanted)]
        assert (field["min"], field["max"]) == ((finite.min(), finite.max()) if finite.size else (None, None))
        return
    codes = np.frombuffer(client.get(f"/{field['codes']}").content, field["dtype"])
    none = MISSING[field["dtype"]]
    told = [None if code == none else field["categories"][code] for code in codes]
    text = column.astype(str) if column.dtype.kind in "mM" else column.map(str)
    assert told == [None if gone else v for v, gone in zip(text, missing, strict=True)]
    by_name = client.get(f"/obs/{quote(entry['key'], safe='')}.outliers.f32")
    assert len(by_name.content) == 4 * len(column)


def floats(client: TestClient, url: str) -> np.ndarray:
    answer = client.get(f"/{url}")
    assert answer.status_code == 200, answer.text
    return np.frombuffer(answer.content, "<f4")


def same_points(client: TestClient, identity: Any, adata: anndata.AnnData) -> None:
    items = {item["id"]: item for item in identity["embeddings"]["items"]}
    assert set(items) == {key for key, value in adata.obsm.items() if value.shape[1]}
    for key, item in items.items():
        for d, url in item["files"].items():
            stored = floats(client, f"{url}?coordinates=stored").reshape(adata.n_obs, int(d[0]))
            np.testing.assert_array_equal(stored, adata.obsm[key][:, : int(d[0])].astype(np.float32))
            drawn = floats(client, url)
            known = drawn[np.isfinite(drawn)]
            assert not known.size or np.abs(known).max() <= 1 + 1e-6
    if not items:
        told = client.get("/points_2d.bin")
        assert (told.status_code, told.json()["error"]["code"]) == (404, "points_not_found")


def same_genes(client: TestClient, adata: anndata.AnnData) -> None:
    if adata.X is None or not adata.n_vars:
        told = client.get("/var_manifest.json")
        assert told.status_code in (200, 404)
        assert told.status_code == 200 or told.json()["error"]["hint"]
        return
    x = adata.X.toarray() if sparse.issparse(adata.X) else np.asarray(adata.X)
    assert client.get("/genes.json?expression=X").json()["names"] == list(adata.var_names)
    for i, name in enumerate(adata.var_names):
        np.testing.assert_array_equal(floats(client, f"genes/{i}.values.f32"), x[:, i].astype(np.float32))
        answer = client.get(f"/var/{quote(name, safe='')}.values.f32")
        if list(adata.var_names).count(name) > 1:
            assert (answer.status_code, answer.json()["error"]["code"]) == (409, "ambiguous")
        elif name:
            np.testing.assert_array_equal(np.frombuffer(answer.content, "<f4"), x[:, i].astype(np.float32))


def test_70_000_categories_are_told_apart(serve: Serve, tmp_path: Path) -> None:
    client = serve(h5ad(many_categories(), tmp_path))
    field = client.get("/fields/0.json").json()
    assert (field["dtype"], len(field["categories"]), field["n_missing"]) == ("uint32", MANY, 0)
    codes = np.frombuffer(client.get(f"/{field['codes']}").content, "<u4")
    assert len(np.unique(codes)) == MANY


def test_columns_that_no_file_should_have(serve: Serve, tmp_path: Path) -> None:
    """Each is told in one sentence, and the others are served."""
    path = h5ad(odd(), tmp_path)
    with h5py.File(path, "r+") as file:
        order = list(file["obs"].attrs["column-order"])
        n = file["obs/holes"].shape[0]
        for name, values in {
            "short": np.zeros(3), "table": np.zeros((n, 2)), "complex": np.zeros(n, np.complex64),
            "record": np.zeros(n, [("a", "f4"), ("b", "i4")]), "raw time": np.arange(n).astype("<i8"),
        }.items():  # fmt: skip
            file[f"obs/{name}"] = values
            order.append(name)
        file.create_group("obs/nothing")
        file["obs/scalar"] = 3.0
        del file["obs/Int32/mask"]
        file["obs/Int32/mask"] = np.zeros(2, bool)
        file["obs"].attrs["column-order"] = [*order, "nothing", "scalar", "gone"]
    client = serve(path)
    identity = client.get("/dataset_identity.json")
    assert identity.status_code == 200, identity.text
    told = {entry["key"]: entry["message"] for entry in identity.json()["unreadable_fields"]}
    assert set(told) >= {"short", "table", "nothing", "scalar"}
    assert all("\n" not in message for message in told.values())
    for entry in identity.json()["obs_fields"]:
        answer = client.get(f"/{entry['info']}")
        assert answer.status_code == 200 or answer.json()["error"]["hint"], entry
        assert answer.status_code != 500, answer.text
    manifest = client.get("/obs_manifest.json")
    assert manifest.status_code == 200, manifest.text
