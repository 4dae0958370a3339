"""An AnnData object in memory as the same tree that its file would give. Not a file format: it has no ``FORMAT``."""

from __future__ import annotations

import secrets
import time
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from coverslip.core.node import Array, Group, Node, Source
from coverslip.core.tree import MemoryArray, MemoryGroup

FRAME = {"encoding-type": "dataframe", "encoding-version": "0.2.0"}


class AnnDataSource(Source):
    """An ``anndata.AnnData``; later changes of the object are not seen.

    Parameters
    ----------
    adata
        Dense, sparse or backed; nothing of it is copied before it is asked for.
    """

    def __init__(self, adata: Any) -> None:
        self.etag = f"memory-{secrets.token_hex(8)}"
        self.modified_s = time.time()
        self._backing = _backing(adata)
        nodes: dict[str, Any] = {
            "obs": partial(frame_of, adata.obs),
            "var": partial(frame_of, adata.var),
            **{
                # anndata 0.13 lists X among the layers, under the name None.
                part: MemoryGroup({k: partial(self._element, part, k, v) for k, v in getattr(adata, part).items() if k})
                for part in ("obsm", "obsp", "layers")
            },
            "uns": MemoryGroup({k: MemoryArray(np.asarray(v)) for k, v in adata.uns.items() if k.endswith("_colors")}),
        }
        if self._backing is not None:
            stored = self._backing.root
            nodes |= {
                name: partial(stored.__getitem__, name) for name in ("X", "raw", "raw.X", "raw.var") if name in stored
            }
        else:
            raw = adata.raw
            if adata.X is not None:
                nodes["X"] = partial(values_of, adata.X)
            if raw is not None:
                nodes["raw"] = MemoryGroup({"X": partial(values_of, raw.X), "var": partial(frame_of, raw.var)})
        self.root: Group = MemoryGroup(nodes, {"encoding-type": "anndata"})

    def _element(self, part: str, name: str, value: Any) -> Node:
        """A layer, embedding or graph; from the file where the object only refers to it (anndata 0.13 and later)."""
        if self._backing is not None and type(value).__module__.startswith(("h5py", "anndata")):
            stored = self._backing.root.group(part)
            if stored is not None and name in stored:
                return stored[name]
        return values_of(value)

    def fresh(self) -> bool:
        """Always: memory belongs to whoever gave it."""
        return True

    def close(self) -> None:
        """Close the backing file, if any."""
        if self._backing is not None:
            self._backing.close()


def _backing(adata: Any) -> Source | None:
    if not adata.isbacked:
        return None
    from coverslip.formats.trees.hdf5 import open_hdf5  # h5py is loaded when first needed

    return open_hdf5(Path(adata.filename))


def values_of(value: Any) -> Node:
    """A matrix (dense, scipy sparse, DataFrame) as a node."""
    kind = getattr(value, "format", None)
    if kind is not None and kind not in ("csr", "csc"):
        value, kind = value.tocsr(), "csr"
    if kind is None:
        return MemoryArray(np.asarray(value))
    parts = {name: MemoryArray(getattr(value, name)) for name in ("data", "indices", "indptr")}
    return MemoryGroup(parts, {"encoding-type": f"{kind}_matrix", "shape": list(value.shape)})


def frame_of(frame: Any) -> Group:
    """A pandas data frame in AnnData's encoding."""
    names = _distinct([str(name) for name in frame.columns])
    nodes: dict[str, Any] = {name: partial(_column, frame.iloc[:, i]) for i, name in enumerate(names)}
    index = "_index"
    while index in nodes:
        index = "_" + index
    nodes[index] = lambda: MemoryArray(frame.index.astype(str).to_numpy(dtype=object))
    return MemoryGroup(nodes, {**FRAME, "_index": index, "column-order": names})


def _distinct(names: list[str]) -> list[str]:
    """Names told apart by a number where pandas allows the same one twice."""
    seen: dict[str, int] = {}
    result = []
    for name in names:
        count = seen[name] = seen.get(name, -1) + 1
        result.append(f"{name}-{count}" if count else name)
    return result


def _column(series: Any) -> Node:
    """One pandas column in AnnData's encoding."""
    dtype = series.dtype
    if hasattr(dtype, "categories"):
        categories = MemoryArray(np.asarray(dtype.categories.astype(str), dtype=object))
        nodes = {"codes": MemoryArray(series.cat.codes.to_numpy()), "categories": categories}
        return MemoryGroup(nodes, {"encoding-type": "categorical", "ordered": bool(dtype.ordered)})
    missing = series.isna().to_numpy()
    if getattr(dtype, "kind", "O") in "iufb" and not isinstance(dtype, np.dtype):  # pandas' nullable types
        values = series.fillna(False if dtype.kind == "b" else 0).to_numpy(dtype=dtype.numpy_dtype)
        nodes = {"values": MemoryArray(values), "mask": MemoryArray(missing)}
        return MemoryGroup(nodes, {"encoding-type": "nullable-boolean" if dtype.kind == "b" else "nullable-integer"})
    if isinstance(dtype, np.dtype) and dtype.kind in "iufb":
        return MemoryArray(series.to_numpy())
    return _text(series, missing)


def _text(series: Any, missing: Any) -> Array | Group:
    text = series.astype(str).to_numpy(dtype=object)
    if not missing.any():
        return MemoryArray(text)
    nodes = {"values": MemoryArray(text), "mask": MemoryArray(missing)}
    return MemoryGroup(nodes, {"encoding-type": "nullable-string-array"})
