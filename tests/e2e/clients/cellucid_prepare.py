"""Writes exported folders with cellucid's own ``prepare``; run in an environment that holds it.

``python cellucid_prepare.py FOLDER INPUT BITS LEVEL``: BITS of quantisation and LEVEL of gzip, 0 for neither. What was
given to ``prepare`` is written to INPUT (``.npz``).
"""

from __future__ import annotations

import inspect
import sys
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import scipy.sparse as sp

N = 60
GENES = ["HLA/A", "CD3E", "β", "MT-CO1", "HLA A", "ACTB"]


def main(folder: Path, kept: Path, bits: int, level: int) -> None:
    """Write one export."""
    warnings.simplefilter("ignore")
    import cellucid

    rng = np.random.default_rng(0)
    kinds = rng.choice(["T", "B", "NK"], N)
    flags = rng.random(N) < 0.4
    counts, score = rng.random(N) * 100, rng.normal(size=N)
    x = np.where(rng.random((N, len(GENES))) < 0.4, rng.exponential(2, (N, len(GENES))), 0).astype(np.float32)
    latent, flat, deep = (rng.normal(size=(N, d)) for d in (5, 2, 3))
    graph = sp.random(N, N, 0.08, "lil", random_state=2)
    graph.setdiag(0)
    graph = graph.tocsr()
    graph = graph + graph.T
    graph.eliminate_zeros()
    obs = pd.DataFrame(
        {
            "n counts": counts,
            "α": score,
            "kind": pd.Categorical(kinds, ["T", "B", "NK", "empty"]),
            "flag": pd.Categorical(flags.astype(str)),
        },
        index=[f"c{i}" for i in range(N)],
    )
    np.savez_compressed(
        kept, kind=kinds, flag=flags.astype(str), counts=counts, score=score, x=x, latent=latent, flat=flat, deep=deep,
        graph=graph.toarray(), genes=np.array(GENES),
    )  # fmt: skip
    given = {
        "latent_space": latent, "obs": obs, "var": pd.DataFrame(index=GENES), "gene_expression": sp.csr_matrix(x),
        "connectivities": graph, "out_dir": folder, "var_quantization": bits or None,
        "obs_continuous_quantization": bits or None, "compression": level or None,
        "dataset_name": "Demo set", "dataset_id": "demo",
    }  # fmt: skip
    if "X_umap_2d" in inspect.signature(cellucid.prepare).parameters:
        fields = {"velocity_umap_2d": flat / 9, "velocity_umap_3d": deep / 9}
        cellucid.prepare(**given, X_umap_2d=flat, X_umap_3d=deep, vector_fields=fields)
    else:
        fields = {"velocity": {"flat": flat / 9, "deep": deep / 9}}
        cellucid.prepare(
            **given, obs_categorical_dtype="uint16", embeddings={"flat": flat, "deep": deep},
            embedding_defaults={"2d": "flat", "3d": "deep"}, vector_fields=fields, vector_field_default="velocity",
        )  # fmt: skip


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
