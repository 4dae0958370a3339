"""Arrays and frames that `coverslip.prepare` was given, as one tree. Part of the composition root."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from coverslip.core.errors import BadUsage
from coverslip.core.node import Array, Group, Node
from coverslip.core.tree import MemoryArray, MemoryGroup
from coverslip.domains.export.options import BadArgument
from coverslip.domains.vectors import FIELD

LATENT = "latent_space"
SIZED = re.compile(r"(.+)_([123])d")
SAFE_ID = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*")


@dataclass(frozen=True)
class Given:
    """Arrays and frames as they were given, made one tree; messages are cellucid's."""

    latent_space: Any
    obs: Any
    var: Any
    gene_expression: Any
    connectivities: Any
    points: dict[int, Any]
    vector_fields: Mapping[str, Any] | None

    def tree(self) -> Group:
        """AnnData's tree.

        Raises
        ------
        BadArgument
            When the pieces do not fit together.
        """
        from coverslip.formats.trees.anndata_memory import frame_of, values_of

        if self.points[4] is not None:
            raise BadArgument("4D visualization is not yet implemented", "Use X_umap_1d, X_umap_2d, or X_umap_3d.")
        obsm = {f"X_umap_{d}d": self._points(d, p) for d, p in self.points.items() if p is not None}
        if not obsm:
            raise BadArgument(
                "At least one dimensional embedding must be provided", "Use X_umap_1d, X_umap_2d, or X_umap_3d."
            )
        n = next(iter(obsm.values())).spec.shape[0]
        if self.obs is None:
            raise BadArgument("obs DataFrame is required")
        self._same("obs", len(self.obs), n, "embeddings have {} cells")
        for key, array in obsm.items():
            self._same(key, array.spec.shape[0], n, "the others have {} cells")
        if self.latent_space is not None:
            obsm[LATENT] = MemoryArray(_plain(self.latent_space, "latent_space"))
            self._same("latent_space", obsm[LATENT].spec.shape[0], n, "embeddings have {} cells")
        obsm |= self._vectors(obsm, n)
        nodes: dict[str, Node] = {"obs": frame_of(self.obs), "obsm": MemoryGroup(obsm)}
        if self.gene_expression is not None:
            if self.var is None:
                raise BadArgument("var DataFrame must be provided when gene_expression is given")
            shape = self.gene_expression.shape
            self._same("var", len(self.var), shape[1], "gene_expression has {} genes")
            self._same("gene_expression", shape[0], n, "embeddings have {} cells")
            nodes |= {"var": frame_of(self.var), "X": values_of(self.gene_expression)}
        if self.connectivities is not None:
            if tuple(self.connectivities.shape) != (n, n):
                raise BadArgument(
                    f"Connectivity matrix shape {tuple(self.connectivities.shape)} does not match number of cells {n}"
                )
            nodes["obsp"] = MemoryGroup({"connectivities": values_of(_by_row(self.connectivities))})
        return MemoryGroup(nodes, {"encoding-type": "anndata"})

    def _same(self, what: str, found: int, wanted: int, others: str) -> None:
        if found != wanted:
            raise BadArgument(f"{what} has {found:,} rows, but {others.format(f'{wanted:,}')}")

    def _points(self, d: int, given: Any) -> Array:
        values = _plain(given, f"X_umap_{d}d")
        values = values.reshape(-1, 1) if values.ndim == 1 and d == 1 else values
        if values.ndim != 2 or values.shape[1] != d:
            columns = values.shape[1] if values.ndim == 2 else 0
            raise BadArgument(f"X_umap_{d}d must have exactly {d} columns, got {columns}. Shape is {values.shape}")
        return MemoryArray(values)

    def _vectors(self, obsm: Mapping[str, Array], n: int) -> dict[str, Array]:
        if self.vector_fields is None:
            return {}
        if not isinstance(self.vector_fields, Mapping):
            raise VectorsNeeded("vector_fields must be a dict[str, array]")
        found: dict[str, Array] = {}
        for key, given in self.vector_fields.items():
            if not isinstance(key, str) or not SAFE_ID.fullmatch(key):
                raise BadArgument(f"{key!r} is no name of a vector field", "Take letters, digits, '.', '_' and '-'.")
            values = _plain(given, key)
            values = values.reshape(-1, 1) if values.ndim == 1 else values
            sized = SIZED.fullmatch(key)
            width = values.shape[1] if values.ndim == 2 else 0
            if values.shape[0] != n or (sized is not None and int(sized[2]) != width):
                raise BadArgument(f"The vector field {key!r} has the shape {values.shape}, and there are {n:,} cells")
            base = f"X_umap_{width}d"
            if base not in obsm:
                raise BadArgument(f"The vector field {key!r} has {width} columns, and there is no {base}")
            id = sized[1] if sized is not None else key
            attrs = None if id.endswith("_umap") else {FIELD: [id, id.replace("_", " "), base]}
            found[f"{id}_{width}d"] = MemoryArray(values, attrs)
        return found


class VectorsNeeded(BadUsage, TypeError):
    """Vector fields that are no dictionary."""


def _plain(values: Any, what: str) -> np.ndarray[Any, Any]:
    """An array of numbers, of a sparse matrix too."""
    found = np.asarray(values.toarray() if hasattr(values, "toarray") else values)
    if found.dtype.kind not in "iufb" or found.ndim not in (1, 2):
        raise BadArgument(f"{what} is no array of numbers", "Give an array of shape (cells, dimensions).")
    return found


def _by_row(graph: Any) -> Any:
    """A graph as rows: dense ones and those compressed by column are the same graph."""
    if hasattr(graph, "tocsr"):
        return graph.tocsr()
    from scipy.sparse import csr_matrix  # who gives a dense graph has it

    return csr_matrix(np.asarray(graph))
