"""Print the path of a synthetic data set of one million cells (or as many as given), made once."""

from __future__ import annotations

import sys
from pathlib import Path

import h5py
import numpy as np

CACHE = Path(__file__).resolve().parent.parent / ".cache" / "data"
CLUSTERS, GENES, PER_CELL, BLOCK = 12, 200, 10, 100_000
TEXT = h5py.string_dtype()


def frame(file: h5py.File, name: str, n: int, columns: list[str]) -> None:
    """An AnnData data frame whose rows are named by number."""
    group = file.create_group(name)
    group.attrs.update({"encoding-type": "dataframe", "encoding-version": "0.2.0", "_index": "_index"})
    group.attrs["column-order"] = np.array(columns, dtype=TEXT)
    index = group.create_dataset("_index", (n,), TEXT)
    for start in range(0, n, BLOCK):
        stop = min(start + BLOCK, n)
        index[start:stop] = np.array([f"{name}{i}" for i in range(start, stop)], dtype=object)


def write(path: Path, n: int) -> None:
    """UMAP of twelve blobs, their label, three numbers, 200 genes as CSR."""
    rng = np.random.default_rng(20261121)
    labels = np.sort(rng.integers(0, CLUSTERS, n)).astype(np.int8)  # sorted: the worst order for drawing a part
    angle = 2 * np.pi * labels / CLUSTERS
    umap = np.stack([np.cos(angle), np.sin(angle)], 1) * 8 + rng.normal(scale=1.2, size=(n, 2))
    with h5py.File(path, "w") as file:
        file.attrs.update({"encoding-type": "anndata", "encoding-version": "0.1.0"})
        frame(file, "obs", n, ["cluster", "depth", "score", "batch"])
        frame(file, "var", GENES, [])
        for name, codes, k in (("cluster", labels, CLUSTERS), ("batch", (np.arange(n) % 3).astype(np.int8), 3)):
            group = file["obs"].create_group(name)
            group.attrs.update({"encoding-type": "categorical", "encoding-version": "0.2.0", "ordered": False})
            group["codes"] = codes
            group["categories"] = np.array([f"{name} {i}" for i in range(k)], dtype=object)
        file["obs/depth"] = rng.integers(500, 20_000, n)
        file["obs/score"] = rng.normal(size=n).astype(np.float32)
        file.create_group("obsm")["X_umap"] = umap.astype(np.float32)
        x = file.create_group("X")
        x.attrs.update({"encoding-type": "csr_matrix", "encoding-version": "0.1.0", "shape": [n, GENES]})
        x["indptr"] = np.arange(0, n * PER_CELL + 1, PER_CELL, dtype=np.int64)
        first = rng.integers(0, GENES // PER_CELL, (n, 1), dtype=np.int32)
        x["indices"] = (first + np.arange(0, GENES, GENES // PER_CELL, dtype=np.int32)).reshape(-1)
        x["data"] = rng.exponential(1.5, n * PER_CELL).astype(np.float32)


def main(n: int) -> None:
    """Make the file when it is missing, then say where it is."""
    target = CACHE / f"cells_{n}.h5ad"
    if not target.is_file():
        target.parent.mkdir(parents=True, exist_ok=True)
        part = target.with_suffix(".part")
        write(part, n)
        part.replace(target)
    print(target)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000)
