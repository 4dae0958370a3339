"""Vector fields: one arrow for each cell of an embedding (RNA velocity, drift of transitions).

``obsm[<field>_<basis>]`` beside ``obsm[X_<basis>]``, as wide; or ``<field>_<basis>_<d>d`` for d dimensions.

Source: scvelo's and cellrank's names; cellucid's first generation, "vector fields".
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from coverslip.core.errors import NotFound
from coverslip.domains.columns import Float32
from coverslip.domains.embedding import Embedding

SIZED = re.compile(r"(.+)_([123])d")
FIRST = "velocity_umap"
FIELD = "coverslip-vector-field"
"""Attribute of vectors that say themselves what they are: the field's id and label, and the embedding's key."""


@dataclass(frozen=True)
class VectorField:
    """A vector field over one embedding, or over those of one name in several dimensions.

    Attributes
    ----------
    id
        ``<field>_<basis>``.
    label
        What a person calls it.
    basis
        Name of the embedding without ``X_``.
    arrows
        For each number of dimensions the vectors and the embedding they belong to.
    """

    id: str
    label: str
    basis: str
    arrows: dict[int, tuple[Embedding, Embedding]] = field(default_factory=dict)

    def vectors(self, dimensions: int, columns: Sequence[int]) -> Float32:
        """Vectors in the units of the drawn embedding, float32 ``(n_cells, dimensions)``; NaN where there is none."""
        if dimensions not in self.arrows:
            there = ", ".join(map(str, self.arrows)) or "none"
            raise NotFound(
                f"Vector field {self.id!r} not available in {dimensions} dimensions",
                f"There are {there}.",
                "vectors_not_found",
            )
        vectors, base = self.arrows[dimensions]
        found = vectors.coordinates(columns)
        found *= np.float32(base.scale(columns))
        return found


def vector_fields(arrays: Sequence[Embedding]) -> dict[str, VectorField]:
    """The vector fields among the arrays of ``obsm``, the one to show first foremost."""
    bases = {e.key.removeprefix("X_"): e for e in arrays if e.key.startswith("X_")}
    found: dict[str, VectorField] = {}
    named = {e.key: e for e in arrays}
    for array in arrays:
        said = array.attrs.get(FIELD)
        if said is not None:
            id, label, key = said
            if key in named and named[key].width == array.width:
                made = found.setdefault(id, VectorField(id, label, SIZED.sub(r"\1", key.removeprefix("X_"))))
                made.arrows.setdefault(array.width, (array, named[key]))
            continue
        if array.key.startswith("X_"):
            continue
        for dimensions, basis, base in _bases(array, bases):
            name = SIZED.sub(r"\1", array.key) if array.key.endswith(f"_{dimensions}d") else array.key
            plain = SIZED.sub(r"\1", basis) if name.endswith(SIZED.sub(r"\1", basis)) else basis
            made = found.setdefault(name, VectorField(name, _label(name, plain, base), plain))
            made.arrows.setdefault(dimensions, (array, base))
    return dict(sorted(found.items(), key=lambda item: (item[0] != FIRST, item[0])))


def _bases(array: Embedding, bases: dict[str, Embedding]) -> list[tuple[int, str, Embedding]]:
    """In how many dimensions an array is a field, and over which embedding."""
    sized = SIZED.fullmatch(array.key)
    if sized is not None and int(sized[2]) == array.width:
        exact = _over(sized[1], array.width, bases, sized[2])
        if exact is not None:
            return [(array.width, *exact)]
    over = _over(array.key, array.width, bases)
    if over is None:
        return []
    return [(d, *over) for d in ((1,) if array.width == 1 else (2, 3)) if d <= array.width]


def _over(key: str, width: int, bases: dict[str, Embedding], dimensions: str = "") -> tuple[str, Embedding] | None:
    """The embedding that a key ends with, of this width; the longest name first."""
    for basis in sorted(bases, key=len, reverse=True):
        names = {basis, SIZED.sub(r"\1", basis)} if dimensions and basis.endswith(f"_{dimensions}d") else {basis}
        if bases[basis].width == width and any(key.endswith(f"_{name}") and len(key) > len(name) + 1 for name in names):
            return basis, bases[basis]
    return None


def _label(id: str, basis: str, base: Embedding) -> str:
    what = id.removesuffix(basis).strip("_").replace("_", " ")
    shown = SIZED.sub(r"\1", base.key)
    return f"{what[:1].upper()}{what[1:]} ({Embedding.named(shown)})"
