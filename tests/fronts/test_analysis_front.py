"""Statistics of groups of cells over HTTP, beside scanpy."""

from __future__ import annotations

import base64
import csv
import io
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import anndata
import numpy as np
import pandas as pd
import pytest
import scanpy
from scipy import sparse
from starlette.testclient import TestClient

from coverslip.domains import analyses, gene_indexes
from coverslip.settings import Settings

Serve = Callable[..., TestClient]
N, GENES = 400, 60
KINDS = ["B", "NK", "T"]


def data(matrix: Callable[[Any], Any] = sparse.csr_matrix) -> anndata.AnnData:
    """Cells of three kinds and some of none, genes with ties, negative ones, and some that never vary."""
    rng = np.random.default_rng(7)
    values = np.log1p(rng.poisson(1.0, (N, GENES)) * (rng.random((N, GENES)) < 0.5)).astype(np.float32)
    values[:, 3] = rng.normal(size=N)
    values[:, 4], values[:, 5] = 0, 2
    kinds = rng.choice(4, N, p=[0.4, 0.2, 0.3, 0.1]) - 1
    values[kinds == 0, :3] += 1
    obs = pd.DataFrame(
        {
            "kind": pd.Categorical.from_codes(kinds, KINDS),
            "batch": pd.Categorical(rng.choice(["x", "y"], N)),
            "depth": np.where(rng.random(N) < 0.05, np.nan, rng.normal(1000, 50, N)),
        },
        index=[f"c{i}" for i in range(N)],
    )
    # As float64, so that scanpy does not round to 32 bits on the way; the values are the same.
    return anndata.AnnData(matrix(values.astype(np.float64)), obs, pd.DataFrame(index=[f"g{i}" for i in range(GENES)]))


@pytest.fixture(scope="module")
def cells() -> anndata.AnnData:
    return data()


@pytest.fixture(scope="module")
def path(cells: anndata.AnnData, tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("analysis") / "cells.h5ad"
    cells.write_h5ad(target)
    return target


@pytest.fixture(scope="module")
def client(serve_all: Serve, path: Path) -> Iterator[TestClient]:
    yield serve_all(path)


def ask(client: TestClient, kind: str, **body: Any) -> dict[str, Any]:
    """The result, however long it takes."""
    response = client.post(f"/analysis/{kind}", json=body)
    if response.status_code == 202:
        job = response.json()["job"]
        end = time.monotonic() + 60
        while (told := client.get(f"/analysis/jobs/{job}").json())["state"] == "running":
            assert time.monotonic() < end
            time.sleep(0.02)
        assert told["state"] == "done", told
        response = client.get(f"/{told['result']}")
    assert response.status_code == 200, response.text
    found: dict[str, Any] = response.json()
    return found


def category(*codes: int, field: int = 0) -> dict[str, Any]:
    return {"kind": "category", "field": field, "codes": list(codes)}


def bits(mask: np.ndarray) -> dict[str, Any]:
    packed = np.packbits(mask.astype(np.uint8), bitorder="little").tobytes()
    return {"kind": "cells", "bits": base64.b64encode(packed).decode()}


def rank(cells: anndata.AnnData, **how: Any) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # scanpy's own: logarithms of negative means, frames that are fragmented
        scanpy.tl.rank_genes_groups(cells, "kind", **how)


def equal_to_scanpy(cells: anndata.AnnData, one: dict[str, Any]) -> None:
    """One group's figures, for the same genes, as ``rank_genes_groups`` left them."""
    theirs = scanpy.get.rank_genes_groups_df(cells, one["name"]).set_index("names")
    ours = pd.DataFrame({name: one[name] for name in ("scores", "logfoldchanges", "pvals", "pvals_adj")}, one["names"])
    theirs = theirs.loc[ours.index]
    for name in ours:
        np.testing.assert_allclose(
            ours[name].astype(float), theirs[name].astype(float), rtol=1e-6, atol=1e-12, err_msg=name
        )
    assert len(ours) == len(theirs)


@pytest.mark.parametrize("method", ["wilcoxon", "t-test", "t-test_overestim_var"])
@pytest.mark.parametrize("reference", ["rest", "T"])
def test_markers_as_scanpy(client: TestClient, cells: anndata.AnnData, method: str, reference: str) -> None:
    """Every group, against the rest (with cells of no kind) and against another group."""
    body: dict[str, Any] = {"groups": {"field": 0}, "method": method, "top": None, "tie_correct": True}
    if reference != "rest":
        body["reference"] = category(KINDS.index(reference))
    found = ask(client, "markers", **body)
    rank(cells, method=method, reference=reference, tie_correct=method == "wilcoxon")
    assert [one["name"] for one in found["results"]] == [kind for kind in KINDS if kind != reference]
    for one in found["results"]:
        equal_to_scanpy(cells, one)
        assert one["reference"] == reference
    assert found["n_tested"] == GENES


def test_two_sets_of_cells_as_scanpy(client: TestClient, cells: anndata.AnnData) -> None:
    """Without the correction for ties, as scanpy does unless told; cells in neither set do not count."""
    kinds = cells.obs["kind"]
    found = ask(client, "differential", group=bits((kinds == "B").to_numpy()), reference=category(1), name="B")
    rank(cells, groups=["B"], reference="NK", method="wilcoxon")
    (one,) = found["results"]
    equal_to_scanpy(cells, one)
    assert (one["reference"], one["n_cells"], one["n_reference"]) == ("NK", sum(kinds == "B"), sum(kinds == "NK"))
    np.testing.assert_allclose(np.power(10.0, one["log10_pvals"]), one["pvals"], rtol=1e-9)
    dense = np.asarray(cells.X.todense())[(kinds == "B").to_numpy()][:, one["genes"]]
    np.testing.assert_allclose(one["means"], dense.mean(axis=0), rtol=1e-9)
    np.testing.assert_allclose(one["fractions"], (dense != 0).mean(axis=0))
    rows = list(csv.DictReader(io.StringIO(client.get(f"/analysis/jobs/{found['job']}/result.csv").text)))
    assert [row["names"] for row in rows] == one["names"]
    assert [float(row["pvals_adj"]) for row in rows] == one["pvals_adj"]
    again = ask(client, "differential", group=bits((kinds == "B").to_numpy()), reference=category(1), name="B")
    assert again["job"] == found["job"] and again["seconds"] == found["seconds"]
