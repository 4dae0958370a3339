"""Samples for tests: small AnnData objects and hand-written files in old encodings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anndata
import h5py
import numpy as np
import pandas as pd
from scipy import sparse

N, GENES = 50, 12
ODD_NAMES = [
    "HLA/A",
    "HLA A",
    "HLA_A",
    "β",
    "α-tubulin",
    "γ",
    "MT-CO1",
    "plain",
    "with.dot",
    "a%20b",
    "x" * 60,
    "Ünïcode",
]


def table(n: int = N, seed: int = 0) -> pd.DataFrame:
    """An obs frame with a column of every kind."""
    rng = np.random.default_rng(seed)
    kinds = pd.Categorical(rng.choice(["T", "B", "NK"], n), ["T", "B", "NK", "empty"], ordered=True)
    kinds[3] = np.nan
    holes = rng.normal(size=n)
    holes[[1, 5]] = [np.nan, np.inf]
    masked = pd.array(rng.integers(0, 9, n), dtype="Int64")
    masked[2] = pd.NA
    flags = pd.array(rng.random(n) < 0.5, dtype="boolean")
    flags[4] = pd.NA
    return pd.DataFrame(
        {
            "kind": kinds,
            "score": holes,
            "count": rng.integers(0, 1000, n).astype(np.uint16),
            "flag": rng.random(n) < 0.3,
            "maybe": flags,
            "nullable": masked,
            "batch": rng.choice(["b2", "b1"], n),
        },
        index=[f"cell-{i}" for i in range(n)],
    )


def dense_matrix(n: int = N, genes: int = GENES, seed: int = 1) -> np.ndarray:
    """Mostly zeros, float32."""
    rng = np.random.default_rng(seed)
    return np.where(rng.random((n, genes)) < 0.4, rng.exponential(2, (n, genes)), 0).astype(np.float32)


def adata(x: Any = None, n: int = N, genes: int = GENES) -> anndata.AnnData:
    """An object with everything coverslip reads."""
    rng = np.random.default_rng(2)
    made = anndata.AnnData(dense_matrix(n, genes) if x is None else x, table(n), pd.DataFrame(index=ODD_NAMES[:genes]))
    made.var["feature_name"] = [f"SYM{i}" for i in range(genes)]
    made.obsm["X_umap"] = rng.normal(size=(n, 2))
    made.obsm["X_pca"] = rng.normal(size=(n, 6)).astype(np.float32)
    made.obsm["pseudotime"] = rng.random((n, 1))
    made.layers["counts"] = sparse.csc_matrix(np.round(dense_matrix(n, genes, 3)))
    graph = sparse.random(n, n, 0.1, "csr", random_state=5)
    made.obsp["connectivities"] = graph
    made.uns["kind_colors"] = ["#ff0000", "#00ff00", "#0000ff", "#123456"]
    return made


def with_raw() -> anndata.AnnData:
    """The same with fewer genes in X than in raw."""
    full = adata(sparse.csr_matrix(dense_matrix()))
    small = full[:, :7].copy()
    small.raw = full
    return small


def frame_group(parent: h5py.Group, name: str, index: list[str]) -> h5py.Group:
    """An empty data frame in today's encoding."""
    group = parent.create_group(name)
    group.attrs.update({"encoding-type": "dataframe", "encoding-version": "0.2.0", "_index": "_index"})
    group.attrs["column-order"] = np.array([], dtype=h5py.string_dtype())
    group["_index"] = np.array(index, dtype=object)
    return group


def oldest(path: Path) -> Path:
    """anndata 0.5: records, categories in uns, ``h5sparse_format``, ``raw.X``."""
    x = sparse.csr_matrix(dense_matrix())
    with h5py.File(path, "w") as file:
        obs = np.zeros(N, [("index", "S8"), ("kind", "i1"), ("score", "<f4")])
        obs["index"] = [f"c{i}".encode() for i in range(N)]
        obs["kind"] = np.arange(N) % 3
        obs["kind"][0] = -1
        obs["score"] = np.arange(N) / 2
        file["obs"] = obs
        var = np.zeros(GENES, [("index", "S12"), ("mean", "<f8")])
        var["index"] = [f"g{i}".encode() for i in range(GENES)]
        file["var"] = var
        file["obsm"] = np.zeros(N, [("X_umap", "<f8", (2,)), ("X_pca", "<f4", (5,))])
        for name in ("X", "raw.X"):
            group = file.create_group(name)
            group.attrs["h5sparse_format"] = "csr"
            group.attrs["h5sparse_shape"] = x.shape
            for part in ("data", "indices", "indptr"):
                group[part] = getattr(x, part)
        file["raw.var"] = var
        file["uns/kind_categories"] = np.array([b"red", b"green", b"blue"])
    return path


def middle(path: Path) -> Path:
    """anndata 0.7: a group with ``__categories`` that columns refer to."""
    with h5py.File(path, "w") as file:
        obs = file.create_group("obs")
        obs.attrs.update({"encoding-type": "dataframe", "encoding-version": "0.1.0", "_index": "names"})
        obs.attrs["column-order"] = np.array(["kind", "score"], dtype=object)
        obs["names"] = np.array([f"c{i}" for i in range(4)], dtype=object)
        obs["kind"] = np.array([1, 0, -1, 1], np.int8)
        obs["score"] = np.array([1.0, 2.0, 3.0, 4.0])
        obs["__categories/kind"] = np.array(["a", "b"], dtype=object)
        obs["kind"].attrs["categories"] = obs["__categories/kind"].ref
        frame_group(file, "var", ["g0", "g1"])
        file["X"] = np.arange(8, dtype=np.float64).reshape(4, 2)
    return path
