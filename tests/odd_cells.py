"""AnnData with every odd thing in it, one after another or all at once."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import anndata
import numpy as np
import pandas as pd
from scipy import sparse

N, GENES, MANY = 300, 7, 70_000
DTYPES = ("uint8", "int16", "int32", "int64", "uint64", "float16", "float32", "float64", "bool")


def column_of_everything(n: int) -> pd.DataFrame:
    """A column of every kind that anndata writes."""
    rng = np.random.default_rng(8)
    holes = rng.normal(size=n)
    holes[:3] = [np.nan, np.inf, -np.inf][:n]
    masked = pd.array(rng.integers(0, 9, n), dtype="Int32")
    masked[0] = pd.NA
    flags = pd.array(rng.random(n) < 0.5, dtype="boolean")
    flags[0] = pd.NA
    kinds = pd.Categorical(rng.choice(["α-βήτα", "naïve", "a/b"], n), ["α-βήτα", "never", "naïve", "a/b"])
    gone = pd.Categorical([None] * n, ["x"])
    columns: dict[str, Any] = {
        "holes": holes, "all missing": np.full(n, np.nan), "Int32": masked, "boolean": flags,
        "bool": rng.random(n) < 0.5,
        "κατηγορία": kinds, "no codes": gone, "no categories": pd.Categorical([None] * n, []),
        "numbers as categories": pd.Categorical(rng.integers(0, 3, n)),
        "truth as categories": pd.Categorical(rng.random(n) < 0.5),
        "when": pd.Categorical(pd.date_range("2024-01-01", periods=n, freq="D").strftime("%Y-%m-%d")),
        "text": rng.choice(["one", "two", ""], n), "same": "same", "huge": np.full(n, 1e300),
        "tiny": np.full(n, 1e-300), "large": np.full(n, 2**62),
    }  # fmt: skip
    columns |= {f"as {d}": rng.integers(0, 2, n).astype(d) for d in DTYPES}
    return pd.DataFrame(columns, index=[f"κύτταρο {i}" for i in range(n)])


def odd(x: Any = None, n: int = N, genes: int = GENES) -> anndata.AnnData:
    """Odd columns, duplicate and Greek names, coordinates with holes."""
    rng = np.random.default_rng(9)
    values = np.where(rng.random((n, genes)) < 0.4, rng.exponential(2, (n, genes)), 0).astype(np.float32)
    names = ["dup", "dup", "β", "γ", "HLA/A", "", "a" * 500][:genes]
    obs = column_of_everything(n)
    obs.index = [*list(obs.index[: n - 1]), obs.index[0]] if n > 1 else obs.index
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made = anndata.AnnData(values if x is None else x, obs, pd.DataFrame(index=names))
    umap = rng.normal(size=(n, 2))
    umap[0] = np.nan
    umap[-1, 0] = np.inf
    made.obsm["X_umap"] = umap
    made.obsm["X_same"] = np.ones((n, 2))
    made.obsm["X_flat"] = rng.random((n, 1))
    made.obsm["X_none"] = np.empty((n, 0))
    made.obsm["X_int"] = rng.integers(0, 9, (n, 3)).astype(np.uint8)
    made.obsm["X_missing"] = np.full((n, 2), np.nan)
    return made


def odd_matrix(x: Any) -> anndata.AnnData:
    """Odd names of genes, and nothing else beside the matrix."""
    made = odd(n=2)
    return anndata.AnnData(x, var=made.var)


def with_type(dtype: str) -> anndata.AnnData:
    """A dense matrix of one type."""
    values = np.random.default_rng(1).integers(0, 2 if dtype == "bool" else 100, (N, GENES)).astype(dtype)
    return anndata.AnnData(values)


def long_indices() -> anndata.AnnData:
    """A sparse matrix with 64-bit ``indices`` and ``indptr``."""
    x = sparse.random(N, GENES, 0.3, "csr", np.float32, random_state=1)
    x.indices, x.indptr = x.indices.astype(np.int64), x.indptr.astype(np.int64)
    return odd_matrix(x)


def with_holes() -> anndata.AnnData:
    """NaN and infinite values in the matrix."""
    x = odd().X
    x[0, :3] = [np.nan, np.inf, -np.inf]
    return odd_matrix(x)


def many_categories() -> anndata.AnnData:
    """70,000 categories, more than 16-bit codes can tell apart."""
    made = anndata.AnnData(np.zeros((MANY, 1), np.float32))
    made.obs["many"] = pd.Categorical([f"k{i}" for i in np.random.default_rng(0).permutation(MANY)])
    made.obsm["X_umap"] = np.random.default_rng(0).random((MANY, 2)).astype(np.float32)
    return made


def no_genes() -> anndata.AnnData:
    """Cells without a matrix."""
    made = anndata.AnnData(obs=column_of_everything(N))
    made.obsm["X_umap"] = np.random.default_rng(0).random((N, 2))
    return made


def with_times() -> anndata.AnnData:
    """A column of dates, which anndata keeps in memory only."""
    made = no_embedding()
    made.obs["when"] = pd.date_range("2024-01-01", periods=N, freq="h")
    made.obs["how long"] = pd.timedelta_range("1h", periods=N)
    return made


def no_embedding() -> anndata.AnnData:
    """Nothing to draw."""
    return odd_matrix(odd().X)


def empty() -> anndata.AnnData:
    """No cell at all."""
    made = anndata.AnnData(np.zeros((0, 3), np.float32))
    made.obsm["X_umap"] = np.zeros((0, 2))
    return made


ODD: dict[str, Callable[[], anndata.AnnData]] = {
    "odd columns": odd,
    "csr": lambda: odd_matrix(sparse.csr_matrix(odd().X)),
    "csc": lambda: odd_matrix(sparse.csc_matrix(odd().X)),
    "int64 indptr": long_indices,
    "holes": with_holes,
    "one cell": lambda: odd(n=1),
    "no genes": no_genes,
    "no embedding": no_embedding,
    "no cells": empty,
    "70,000 categories": many_categories,
    "dates": with_times,
    **{dtype: (lambda dtype=dtype: with_type(dtype)) for dtype in DTYPES},
}
