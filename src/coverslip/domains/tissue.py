"""Pictures of the tissue that cells were measured in, and where on them each cell is.

Sources: scanpy's and squidpy's convention for 10x Visium, ``uns['spatial'][library]`` with ``images`` and
``scalefactors``; SpatialData 0.2 (``images``, ``tables``, ``coordinateTransformations`` between named systems).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from coverslip.core.errors import CoverslipError
from coverslip.core.ngff import Axis, Channel
from coverslip.core.node import Array, Group
from coverslip.core.tree import Rearranged

Matrix = tuple[float, float, float, float, float, float]
"""``a b c d e f``: column = a·x + b·y + c, row = d·x + e·y + f."""
IDENTITY: Matrix = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
SPATIAL = "spatial"
RESOLUTIONS = ("hires", "lowres")


@dataclass(frozen=True)
class Tissue:
    """One picture under cells.

    Attributes
    ----------
    path
        Of the image in the source's tree.
    name
        What a person calls it.
    embedding
        The ``obsm`` array whose first two columns are the cells' ``x`` and ``y``.
    matrix
        From those to columns and rows of level 0.
    spot
        Diameter of what was measured as one cell, in the embedding's units; None where the file does not say.
    """

    path: str
    name: str
    embedding: str
    matrix: Matrix
    spot: float | None = None


def holds_cells(root: Group) -> bool:
    """Whether a tree is a data set of cells in AnnData's encoding."""
    return root.attrs.get("encoding-type") == "anndata" or "obs" in root or "obsm" in root


def tables(root: Group) -> Iterator[tuple[str, Group]]:
    """The AnnData tables of a SpatialData store, by path."""
    holder = root.group("tables") or root.group("table")
    for name in holder if holder is not None else ():
        table = holder.group(name) if holder is not None else None
        if table is not None and table.attrs.get("encoding-type") == "anndata":
            yield f"tables/{name}", table


def cells_root(root: Group) -> Group:
    """The AnnData tree of a source: its root, or the first table of a SpatialData store."""
    if holds_cells(root):
        return root
    return next((table for _, table in tables(root)), root)


def tissues(root: Group) -> list[Tissue]:
    """The pictures of a source that holds cells, best first."""
    if holds_cells(root):
        return list(_visium(root))
    table = next((table for _, table in tables(root)), None)
    return [] if table is None else list(_spatialdata(root, table))[:1000]


def _visium(root: Group) -> Iterator[Tissue]:
    obsm, uns = root.group("obsm"), root.group("uns")
    libraries = uns.group(SPATIAL) if uns is not None else None
    if obsm is None or SPATIAL not in obsm or libraries is None:
        return
    for library in libraries:
        holder = libraries.group(library)
        pictures = holder.group("images") if holder is not None else None
        factors = holder.group("scalefactors") if holder is not None else None
        if pictures is None:
            continue
        spot = _number(factors, "spot_diameter_fullres")
        for name in sorted(pictures, key=lambda n: (RESOLUTIONS.index(n) if n in RESOLUTIONS else 9, n)):
            if tissue_array(pictures[name]) is None:
                continue
            scale = _number(factors, f"tissue_{name}_scalef")
            if scale is not None:
                path = f"uns/{SPATIAL}/{library}/images/{name}"
                yield Tissue(path, f"{library}, {name}", SPATIAL, (scale, 0.0, 0.0, 0.0, scale, 0.0), spot)


def _number(group: Group | None, name: str) -> float | None:
    if group is None or name not in group:
        return None
    try:
        value = float(np.asarray(group.array(name).read_all()).reshape(-1)[0])
    except (CoverslipError, ValueError, IndexError, TypeError):
        return None
    return value if math.isfinite(value) and value > 0 else None


def tissue_array(node: object) -> Array | None:
    """A picture of rows, columns and three or four samples as an array of channels, rows, columns; None for others."""
    if not isinstance(node, Array):
        return None
    shape, kind = node.spec.shape, node.spec.dtype.kind
    if kind not in "uif" or len(shape) not in (2, 3) or 0 in shape:
        return None
    if len(shape) == 2:
        return node
    return Rearranged(node, (2, 0, 1)) if shape[2] in (3, 4) else None


def tissue_parts(array: Array) -> tuple[tuple[Axis, ...], tuple[Channel, ...]]:
    """Axes and channels of such a picture; floating-point ones run from 0 to 1."""
    window = (0.0, 1.0) if array.spec.dtype.kind == "f" else None
    if len(array.spec.shape) == 2:
        return (Axis("y"), Axis("x")), (Channel("Intensity", "FFFFFF", window),)
    named = (("Red", "FF0000"), ("Green", "00FF00"), ("Blue", "0000FF"), ("Alpha", "FFFFFF"))
    channels = tuple(Channel(label, color, window) for label, color in named[: array.spec.shape[0]])
    return (Axis("c"), Axis("y"), Axis("x")), channels


# -- SpatialData -----------------------------------------------------------------------------------------------------


def _spatialdata(root: Group, table: Group) -> Iterator[Tissue]:
    obsm, images = table.group("obsm"), root.group("images")
    if obsm is None or SPATIAL not in obsm or images is None:
        return
    for name in images:
        image = images.group(name)
        if image is None:
            continue
        matrix = _to_pixels(image)
        if matrix is not None:
            yield Tissue(f"images/{name}", name, SPATIAL, matrix)


def _to_pixels(image: Group) -> Matrix | None:
    """From the global system to pixels: the inverse of what the image's metadata gives."""
    own = image.attrs.get("coverslip")
    stored = own.get("raw") if isinstance(own, Mapping) else None  # SpatialData's named systems are no part of NGFF
    attrs = stored if isinstance(stored, Mapping) else image.attrs
    inner = attrs.get("ome", attrs)
    try:
        scale = inner["multiscales"][0]
        axes = [a["name"] for a in scale["axes"]]
        transforms = scale.get("coordinateTransformations") or [{"type": "identity"}]
        chosen = next((t for t in transforms if (t.get("output") or {}).get("name") == "global"), transforms[0])
        with np.errstate(all="ignore"):
            inverse = np.linalg.inv(_affine(chosen, axes))
    except (KeyError, IndexError, TypeError, ValueError, AttributeError, np.linalg.LinAlgError):
        return None
    if not np.isfinite(inverse).all():
        return None
    a, b, c = (float(v) for v in inverse[0])
    d, e, f = (float(v) for v in inverse[1])
    return a, b, c, d, e, f


def _affine(transform: Mapping[str, Any], axes: list[str]) -> np.ndarray[Any, np.dtype[np.float64]]:
    """A transformation of ``x y`` as a 3 × 3 matrix."""
    result = np.eye(3)
    x, y = axes.index("x"), axes.index("y")
    match transform.get("type"):
        case "identity":
            pass
        case "scale":
            result[0, 0], result[1, 1] = transform["scale"][x], transform["scale"][y]
        case "translation":
            result[0, 2], result[1, 2] = transform["translation"][x], transform["translation"][y]
        case "affine":
            rows = transform["affine"]
            for here, row in ((0, x), (1, y)):
                result[here] = [rows[row][x], rows[row][y], rows[row][-1]]
        case "sequence":
            for step in transform["transformations"]:
                result = _affine(step, axes) @ result
        case other:
            raise ValueError(other)
    return result
