"""The same files served by PyPI's cellucid 0.0.9 and by coverslip: every shared endpoint gives equal values."""

from __future__ import annotations

import gzip
import json
import os
import re
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anndata
import numpy as np
import pandas as pd
import pytest
from conftest import PATIENCE_S, Running, Start, fetch, wait_for
from scipy import sparse
from surroundings import free_port, peer_command

from refused import refused_with

COORDINATES = {"rtol": 0, "atol": 2e-6}


def modern(path: Path) -> Path:
    """A file of today's anndata: CSR, missing values, strings, booleans, two embeddings, a graph."""
    rng = np.random.default_rng(7)
    n, genes = 400, 60
    kinds = pd.Categorical(rng.choice(["B", "T", "NK", "empty"], n, p=[0.5, 0.3, 0.2, 0.0]), ["B", "T", "NK", "empty"])
    kinds[rng.random(n) < 0.1] = np.nan
    score = rng.normal(size=n)
    score[::9] = np.nan
    columns = {
        "kind of cell": kinds,
        "score": score,
        "count": rng.integers(0, 1000, n),
        "is_doublet": rng.random(n) < 0.2,
        "batch": rng.choice(["b2", "b1", "b10"], n),
    }
    obs = pd.DataFrame(columns, index=[f"cell{i}" for i in range(n)])
    x = sparse.random(n, genes, 0.2, "csr", np.float32, random_state=rng)
    names = [*(f"GENE{i}" for i in range(genes - 3)), "HLA-A", "MT.1", "with space"]
    adata = anndata.AnnData(x, obs, pd.DataFrame(index=names))
    adata.obsm["X_umap"] = rng.normal(size=(n, 2))
    adata.obsm["X_umap_3d"] = rng.normal(size=(n, 3)).astype(np.float32)
    adata.obsm["X_pca"] = rng.normal(size=(n, 8))
    graph = sparse.random(n, n, 0.02, "csr", random_state=rng)
    adata.obsp["connectivities"] = graph.maximum(graph.T).tocsr()
    adata.write_h5ad(path)
    return path


class Pair:
    """Both servers of one file. The peer answers one connection at a time, so each request has its own."""

    def __init__(self, ours: str, theirs: str) -> None:
        self.ours = ours
        self.theirs = theirs

    def documents(self, path: str) -> tuple[Any, Any]:
        return json.loads(fetch(self.ours + path)), json.loads(fetch(self.theirs + path))

    def arrays(self, path: str, dtype: str) -> tuple[np.ndarray, np.ndarray]:
        return np.frombuffer(fetch(self.ours + path), dtype), np.frombuffer(fetch(self.theirs + path), dtype)


@pytest.fixture(scope="module", params=["pbmc68k_reduced", "modern"])
def pair(request: pytest.FixtureRequest, start: Start, pbmc: Path, tmp_path_factory: Any) -> Iterator[Pair]:
    folder = tmp_path_factory.mktemp("peer")
    path = pbmc if request.param == "pbmc68k_reduced" else modern(folder / "modern.h5ad")
    port = free_port()
    process = subprocess.Popen(
        [peer_command(), "serve", path, "--port", str(port), "--no-browser"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "CELLUCID_WEB_PROXY_CACHE_DIR": str(folder)},
    )
    theirs = f"http://127.0.0.1:{port}/"

    def answers() -> bool:
        try:
            return bool(fetch(f"{theirs}_cellucid/health"))
        except (urllib.error.URLError, ConnectionError):
            return False

    wait_for(answers, "the peer")
    ours: Running = start(path)
    yield Pair(ours.url, theirs)
    process.kill()  # it may have been told to ignore interrupts
    process.wait()


def safe(name: str) -> str:
    """How the peer's clients write a name into a path."""
    return re.sub(r"[^A-Za-z0-9._-]+", "_", name).strip("._") or "field"


def assert_covers(ours: Any, theirs: Any, where: str = "") -> None:
    """Whatever they say, we say too; we may say more."""
    if isinstance(theirs, dict):
        assert isinstance(ours, dict), where
        assert theirs.keys() <= ours.keys(), where
        for key in theirs:
            assert_covers(ours[key], theirs[key], f"{where}/{key}")
    elif isinstance(theirs, list):
        assert len(ours) == len(theirs), where
        for i, value in enumerate(theirs):
            assert_covers(ours[i], value, f"{where}/{i}")
    elif isinstance(theirs, float):
        assert ours == pytest.approx(theirs, rel=1e-5, abs=1e-5), where
    else:
        assert ours == theirs, where


def test_who_we_are(pair: Pair) -> None:
    for name in ("health", "info", "datasets"):
        ours, theirs = pair.documents(f"_cellucid/{name}")
        for document in (ours, theirs):
            document.pop("version", None)
            document.pop("port", None)
        assert_covers(ours, theirs)


def test_identity(pair: Pair) -> None:
    ours, theirs = pair.documents("dataset_identity.json")
    path = Path(theirs["source"].pop("path"))
    assert ours["source"].pop("path") == path.name, "the peer tells the absolute path; we do not"
    del theirs["created_at"]
    assert_covers(ours, theirs)


def test_manifests(pair: Pair) -> None:
    for name in ("obs_manifest.json", "var_manifest.json", "connectivity_manifest.json"):
        ours, theirs = pair.documents(name)
        assert_covers(ours, theirs, name)


def test_points(pair: Pair) -> None:
    identity, _ = pair.documents("dataset_identity.json")
    dimensions = identity["embeddings"]["available_dimensions"]
    assert dimensions
    for d in dimensions:
        ours, theirs = pair.arrays(f"points_{d}d.bin", "<f4")
        assert ours.size == identity["stats"]["n_cells"] * d
        np.testing.assert_allclose(ours, theirs, **COORDINATES)


def test_every_obs_column(pair: Pair) -> None:
    manifest, _ = pair.documents("obs_manifest.json")
    for key, *_ in manifest["_continuousFields"]:
        ours, theirs = pair.arrays(f"obs/{safe(key)}.values.f32", "<f4")
        np.testing.assert_array_equal(ours, theirs)
    for key, _, dtype, *_ in manifest["_categoricalFields"]:
        extension = {"uint8": "u8", "uint16": "u16"}[dtype]
        ours, theirs = pair.arrays(f"obs/{safe(key)}.codes.{extension}", dtype)
        np.testing.assert_array_equal(ours, theirs)
        ours, theirs = pair.arrays(f"obs/{safe(key)}.outliers.f32", "<f4")
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-5)


def test_every_gene(pair: Pair) -> None:
    manifest, _ = pair.documents("var_manifest.json")
    for (name,) in manifest["fields"]:
        ours, theirs = pair.arrays(f"var/{safe(name)}.values.f32", "<f4")
        np.testing.assert_array_equal(ours, theirs, name)


def test_the_graph(pair: Pair) -> None:
    manifest, _ = pair.documents("connectivity_manifest.json")
    for end in ("src", "dst"):
        ours, theirs = pair.arrays(f"connectivity/edges.{end}.bin", manifest["index_dtype"])
        assert ours.size == manifest["n_edges"]
        np.testing.assert_array_equal(ours, theirs)


@pytest.fixture(scope="module")
def traps(start: Start, tmp_path_factory: Any) -> Iterator[Pair]:
    """A file with what the peer gets wrong: a cell without coordinates, genes whose safe names are one."""
    path = tmp_path_factory.mktemp("traps") / "traps.h5ad"
    x = np.arange(12, dtype=np.float32).reshape(4, 3)
    adata = anndata.AnnData(x, var=pd.DataFrame(index=["HLA/A", "HLA A", "HLA-B"]))
    adata.obsm["X_umap"] = np.array([[0, 0], [1, 1], [np.nan, 2], [3, 3]], np.float32)
    adata.write_h5ad(path)
    port = free_port()
    process = subprocess.Popen(
        [peer_command(), "serve", path, "--port", str(port), "--no-browser"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "CELLUCID_WEB_PROXY_CACHE_DIR": str(path.parent)},
    )
    theirs = f"http://127.0.0.1:{port}/"

    def answers() -> bool:
        try:
            return bool(fetch(f"{theirs}_cellucid/health"))
        except (urllib.error.URLError, ConnectionError):
            return False

    wait_for(answers, "the peer")
    yield Pair(start(path).url, theirs)
    process.kill()  # it may have been told to ignore interrupts
    process.wait()


def test_a_cell_without_coordinates_poisons_the_peer_and_not_us(traps: Pair) -> None:
    ours, theirs = traps.arrays("points_2d.bin", "<f4")
    assert np.isfinite(ours.reshape(4, 2)).all(1).tolist() == [True, True, False, True]
    assert not np.isfinite(theirs.reshape(4, 2)[[0, 1, 3]]).all(), "the peer was mended: compare it again"


def test_genes_whose_safe_names_are_one_are_told_apart(traps: Pair) -> None:
    for number, name in enumerate(("HLA%2FA", "HLA%20A", "HLA-B")):
        found = np.frombuffer(fetch(f"{traps.ours}var/{name}.values.f32"), "<f4")
        assert found.tolist() == [number, number + 3, number + 6, number + 9]
    with refused_with(409):  # which of the two is meant cannot be known
        fetch(f"{traps.ours}var/HLA_A.values.f32")
    guessed = np.frombuffer(fetch(f"{traps.theirs}var/HLA_A.values.f32"), "<f4")
    assert guessed.size == 4, "the peer guesses"


def test_compressed_points_are_there_too(traps: Pair) -> None:
    packed = fetch(f"{traps.ours}points_2d.bin.gz")
    assert gzip.decompress(packed) == fetch(f"{traps.ours}points_2d.bin")
    with refused_with(404):
        fetch(f"{traps.theirs}points_2d.bin.gz")


def test_head_tells_what_get_would_send(traps: Pair) -> None:
    for path in ("points_2d.bin", "dataset_identity.json", "var/HLA-B.values.f32", ""):
        request = urllib.request.Request(traps.ours + path, method="HEAD", headers={"Connection": "close"})
        with urllib.request.urlopen(request, timeout=PATIENCE_S) as response:
            assert response.read() == b""
            assert int(response.headers["Content-Length"]) == len(fetch(traps.ours + path))
