"""Drift by transitions: the formula, both kinds of matrix, names in ``obsm``, and what the server makes of them."""

from __future__ import annotations

import inspect
import json
import subprocess
import sys
import urllib.request
from typing import Any

import anndata
import numpy as np
import pytest
from scipy import sparse

import coverslip
from coverslip.cell_servers import AnnDataServer

N = 7
RNG = np.random.default_rng(0)
PLANE = RNG.normal(size=(N, 2))
SPACE = RNG.normal(size=(N, 3))
STEPS = RNG.random((N, N)) * (RNG.random((N, N)) < 0.6) + np.eye(N)


def by_hand(steps: np.ndarray, embedding: np.ndarray) -> np.ndarray:
    """Cell by cell, in the plainest way."""
    drift = np.zeros_like(embedding)
    for i in range(len(steps)):
        total = steps[i].sum()
        drift[i] = sum(steps[i, j] / total * (embedding[j] - embedding[i]) for j in range(len(steps)))
    return drift


def cells(**obsm: np.ndarray) -> anndata.AnnData:
    return anndata.AnnData(np.zeros((N, 1), np.float32), obsm=obsm)


@pytest.mark.parametrize("kind", ["csr_array", "csc_matrix", "coo_array", "lil_array", "dia_matrix", "list", "array"])
@pytest.mark.parametrize("embedding", [PLANE, SPACE, PLANE.astype(np.float32)])
def test_the_formula(kind: str, embedding: np.ndarray) -> None:
    steps = STEPS.tolist() if kind == "list" else STEPS if kind == "array" else getattr(sparse, kind)(STEPS)
    found = coverslip.compute_transition_drift(steps, embedding)
    assert (found.dtype, found.shape) == (np.float32, embedding.shape)
    np.testing.assert_allclose(found, by_hand(STEPS, embedding), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("of", [np.asarray, sparse.csr_array])
def test_rows_as_they_are_and_rows_that_lead_nowhere(of: Any) -> None:
    steps = STEPS.copy()
    steps[2] = 0
    found = coverslip.compute_transition_drift(of(steps), PLANE, normalize_rows=False)
    np.testing.assert_allclose(found, steps @ PLANE - PLANE, rtol=1e-5, atol=1e-6)
    found = coverslip.compute_transition_drift(of(steps), PLANE)
    assert np.isnan(found[2]).all()
    assert np.isfinite(np.delete(found, 2, 0)).all()
    counts = (STEPS * 5).astype(np.int64)
    np.testing.assert_allclose(
        coverslip.compute_transition_drift(of(counts), PLANE), by_hand(counts, PLANE), rtol=1e-5, atol=1e-6
    )


def test_shapes_that_do_not_fit() -> None:
    for steps, embedding in ((STEPS[:, :3], PLANE), (STEPS[:3, :3], PLANE), (STEPS, PLANE[:, 0]), (STEPS, PLANE[:3])):
        with pytest.raises(ValueError, match="shape"):
            coverslip.compute_transition_drift(steps, embedding)


@pytest.mark.parametrize(
    ("obsm", "given", "key", "source"),
    [
        ({"X_umap": PLANE}, {}, "T_fwd_umap_2d", "X_umap"),
        ({"X_umap": PLANE}, {"explicit_dim_suffix": False}, "T_fwd_umap", "X_umap"),
        ({"X_umap_2d": PLANE, "X_umap_3d": SPACE}, {}, "T_fwd_umap_3d", "X_umap_3d"),
        ({"X_umap_2d": PLANE, "X_umap_3d": SPACE}, {"dim": 2}, "T_fwd_umap_2d", "X_umap_2d"),
        ({"X_umap": PLANE, "X_umap_2d": PLANE * 2}, {}, "T_fwd_umap_2d", "X_umap_2d"),
        ({"X_pca": np.hstack([PLANE, SPACE])}, {"basis": "pca"}, "T_fwd_pca", "X_pca"),
        ({"X_tsne": PLANE}, {"basis": "tsne", "field_prefix": "back", "dim": 2}, "back_tsne_2d", "X_tsne"),
    ],
)
def test_names(obsm: dict[str, np.ndarray], given: dict[str, Any], key: str, source: str) -> None:
    adata = cells(**obsm)
    assert coverslip.add_transition_drift_to_obsm(adata, STEPS, **given) == key
    np.testing.assert_allclose(adata.obsm[key], by_hand(STEPS, obsm[source]), rtol=1e-5, atol=1e-6)
    with pytest.raises(KeyError, match="overwrite"):
        coverslip.add_transition_drift_to_obsm(adata, STEPS, **given)
    assert coverslip.add_transition_drift_to_obsm(adata, np.eye(N), overwrite=True, **given) == key
    assert np.abs(adata.obsm[key]).max() < 1e-6


@pytest.mark.parametrize(
    ("given", "error", "told"),
    [
        ({"dim": 3}, ValueError, "dim=2"),
        ({"basis": "tsne"}, KeyError, "X_umap"),
        ({"field_prefix": "X", "explicit_dim_suffix": False}, KeyError, "embedding"),
    ],
)
def test_what_cannot_be(given: dict[str, Any], error: type[Exception], told: str) -> None:
    adata = cells(X_umap=PLANE)
    with pytest.raises(error, match=told):
        coverslip.add_transition_drift_to_obsm(adata, STEPS, **given)
    assert list(adata.obsm) == ["X_umap"]


def test_the_server_offers_it_as_a_vector_field() -> None:
    adata = cells(X_umap=PLANE)
    coverslip.add_transition_drift_to_obsm(adata, STEPS)
    with (
        AnnDataServer(adata, port=0, quiet=True) as server,
        urllib.request.urlopen(f"{server.url}/dataset_identity.json", timeout=20) as response,
    ):
        fields = json.load(response)["vector_fields"]["fields"]
    assert {name: field["available_dimensions"] for name, field in fields.items()} == {"T_fwd_umap": [2]}


def test_signatures_are_those_documented() -> None:
    def told(name: str) -> dict[str, Any]:
        return {p.name: p.default for p in inspect.signature(getattr(coverslip, name)).parameters.values()}

    required = inspect.Parameter.empty
    assert told("compute_transition_drift") == {
        "transition_matrix": required, "embedding": required, "normalize_rows": True,
    }  # fmt: skip
    assert told("add_transition_drift_to_obsm") == {
        "adata": required, "transition_matrix": required, "basis": "umap", "field_prefix": "T_fwd", "dim": None,
        "explicit_dim_suffix": True, "normalize_rows": True, "overwrite": False,
    }  # fmt: skip


def test_a_dense_matrix_needs_no_scipy() -> None:
    code = "import sys, coverslip; coverslip.compute_transition_drift([[1.0]], [[2.0]]); print('scipy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
