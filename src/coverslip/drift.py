"""Where cells are going by a matrix of transitions: a vector field over an embedding.

Source: cellucid's ``compute_transition_drift`` and ``add_transition_drift_to_obsm``, whose signatures these have.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from coverslip.core.errors import BadRequest, CoverslipError

if TYPE_CHECKING:
    from anndata import AnnData
    from numpy.typing import ArrayLike, NDArray
    from scipy import sparse

SIZES = (3, 2, 1)
"""Dimensions that an embedding is looked for in, the first found is taken."""


class BadShape(BadRequest, ValueError):
    """Arrays that do not fit each other."""

    code = "bad_shape"


class BadKey(CoverslipError, KeyError):
    """A name in ``obsm`` that is not there, or is there already."""

    code = "bad_key"


def compute_transition_drift(
    transition_matrix: ArrayLike | sparse.sparray | sparse.spmatrix,
    embedding: ArrayLike,
    *,
    normalize_rows: bool = True,
) -> NDArray[np.float32]:
    """From each cell to where its transitions lead on average: ``T @ embedding / T.sum(1) - embedding``.

    Parameters
    ----------
    transition_matrix
        ``(n_cells, n_cells)``, of row i to column j; dense, or sparse in any of scipy's formats.
    embedding
        ``(n_cells, d)``.
    normalize_rows
        Whether rows are divided by their sums; False takes them as they are.

    Returns
    -------
    ndarray
        float32 ``(n_cells, d)``, in units of the embedding. NaN for cells whose row sums to zero, when rows are
        divided: they lead nowhere.

    Raises
    ------
    BadShape
        When the shapes do not fit (a `ValueError` too).
    """
    coordinates = np.asarray(embedding, dtype=np.float64)
    if coordinates.ndim != 2:
        raise BadShape(f"The embedding has the shape {coordinates.shape}", "Give one row a cell: (n_cells, d).")
    matrix: Any = transition_matrix if hasattr(transition_matrix, "tocsr") else np.asarray(transition_matrix)
    n = len(coordinates)
    if tuple(matrix.shape) != (n, n):
        raise BadShape(f"The transition matrix has the shape {tuple(matrix.shape)}", f"It has to be ({n}, {n}).")
    led = np.asarray(matrix @ coordinates, dtype=np.float64)
    if normalize_rows:
        sums = np.asarray(matrix.sum(axis=1), dtype=np.float64).reshape(n, 1)
        led = np.divide(led, sums, out=np.full_like(led, np.nan), where=sums != 0)
    return (led - coordinates).astype(np.float32)


def add_transition_drift_to_obsm(
    adata: AnnData,
    transition_matrix: ArrayLike | sparse.sparray | sparse.spmatrix,
    *,
    basis: str = "umap",
    field_prefix: str = "T_fwd",
    dim: int | None = None,
    explicit_dim_suffix: bool = True,
    normalize_rows: bool = True,
    overwrite: bool = False,
) -> str:
    """Add the drift over an embedding to ``adata.obsm``, where every viewer of vector fields finds it.

    Parameters
    ----------
    adata
        Cells with ``obsm["X_<basis>_<d>d"]`` or ``obsm["X_<basis>"]``.
    transition_matrix, normalize_rows
        See `compute_transition_drift`.
    basis
        Which embedding, without ``X_``.
    field_prefix
        What the field's name begins with.
    dim
        Dimensions of the embedding; None takes ``X_<basis>_3d``, ``_2d`` or ``_1d``, the first there is, else
        ``X_<basis>``.
    explicit_dim_suffix
        Whether the name ends with ``_<dim>d``. Names of more than three dimensions never do.
    overwrite
        Whether an array of that name is replaced.

    Returns
    -------
    str
        The name: ``<field_prefix>_<basis>_<dim>d``.

    Raises
    ------
    BadKey
        When there is no such embedding, or an array of that name (a `KeyError` too).
    BadShape
        When the shapes do not fit (a `ValueError` too).
    """
    source = _embedding_key(adata, basis, dim)
    embedding = np.asarray(adata.obsm[source])
    width = embedding.shape[1] if embedding.ndim == 2 else 1
    if dim is not None and width != dim:
        raise BadShape(f"{source} has {width} dimensions, not {dim}", f"Leave dim out, or give dim={width}.")
    name = f"{field_prefix}_{basis}" if field_prefix else basis
    key = f"{name}_{width}d" if explicit_dim_suffix and width <= max(SIZES) else name
    if key == source or key.startswith("X_"):
        raise BadKey(f"{key} is the name of an embedding", "Choose another field_prefix.")
    if key in adata.obsm and not overwrite:
        raise BadKey(f"obsm has {key!r} already", "Replace it with overwrite=True.")
    drift = compute_transition_drift(transition_matrix, embedding.reshape(-1, width), normalize_rows=normalize_rows)
    adata.obsm[key] = drift
    return key


def _embedding_key(adata: AnnData, basis: str, dim: int | None) -> str:
    sizes = SIZES if dim is None else (dim,)
    for key in (*(f"X_{basis}_{d}d" for d in sizes), f"X_{basis}"):
        if key in adata.obsm:
            return key
    there = ", ".join(sorted(map(str, adata.obsm))) or "nothing"
    raise BadKey(f"There is no obsm['X_{basis}']", f"There is {there}; choose one with basis=.")
