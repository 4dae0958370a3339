"""Embeddings: coordinates of cells, and which of several to show first."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from coverslip.core.errors import NotFound, TooLarge
from coverslip.core.node import Array, Attrs
from coverslip.core.spec import Box
from coverslip.domains.columns import Float32, to_float32

TIERS = (
    "umap",
    "tsne",
    "draw_graph",
    "force",
    "phate",
    "pacmap",
    "trimap",
    "spatial",
    "diffmap",
    "pca",
    "scvi",
    "latent",
    "harmony",
)
"""Which kind of embedding shows a data set best, best first; unknown ones come before PCA and latent spaces."""
UNKNOWN_TIER = TIERS.index("diffmap")
LABELS = {
    "umap": "UMAP",
    "tsne": "t-SNE",
    "pca": "PCA",
    "phate": "PHATE",
    "diffmap": "Diffusion map",
    "spatial": "Spatial",
    "scvi": "scVI",
}
SMALLEST_RANGE = 1e-8
NORMALISED = "coverslip-normalised"
"""Attribute of coordinates that were centred and scaled for drawing when they were written."""
BLOCK_ROWS, BLOCK_ITEMS = 1 << 17, 1 << 23
MOST_NUMBERS = 1 << 32
WIDE_ROWS = 1024


class Embedding:
    """An ``obsm`` array of shape (cells, width), width ≥ 1.

    Parameters
    ----------
    key, values
        Its name, and the array.
    as_stored
        Whether it is drawn in the coordinates of the file.
    """

    def __init__(self, key: str, values: Array, as_stored: bool = False) -> None:
        self.key = key
        self._values = values
        self._as_stored = as_stored
        shape = values.spec.shape
        self.n_cells = shape[0]
        self.width = shape[1] if len(shape) == 2 else 1
        self.label = _label(key)

    @staticmethod
    def named(key: str) -> str:
        """What a person calls an embedding of this key."""
        return _label(key)

    @property
    def dimensions(self) -> list[int]:
        """In how many dimensions it can be drawn: 1, 2, 3 as far as it is wide."""
        return list(range(1, min(self.width, 3) + 1))

    @property
    def axes(self) -> list[str]:
        """A name for each column."""
        return [f"{self.label} {i + 1}" for i in range(self.width)]

    @property
    def tier(self) -> int:
        """Rank among embeddings, 0 best."""
        key = self.key.lower()
        return next((i for i, word in enumerate(TIERS) if word in key), UNKNOWN_TIER)

    def coordinates(self, columns: Sequence[int] | None = None) -> Float32:
        """Coordinates as stored, float32 ``(n_cells, len(columns))``; all columns when None."""
        if columns is None and self.width * self.n_cells > MOST_NUMBERS:
            raise TooLarge(f"{self.key} has {self.width:,} columns", "That is no embedding.")
        chosen = list(range(self.width)) if columns is None else list(columns)
        if any(not 0 <= c < self.width for c in chosen):
            hint = f"There are the columns 0 to {self.width - 1}."
            raise NotFound(f"{self.key} has no columns {chosen}", hint, "embedding_not_found")
        result = np.empty((self.n_cells, len(chosen)), np.float32)
        # Whole rows lie in one piece, and are read the quickest way; of many columns only what is between those wanted.
        narrow = self.width <= WIDE_ROWS
        low, high = (0, self.width) if narrow else (min(chosen, default=0), max(chosen, default=0) + 1)
        step = max(min(BLOCK_ITEMS // (high - low), BLOCK_ROWS), 1)
        for start in range(0, self.n_cells, step):
            stop = min(start + step, self.n_cells)
            block = self._part(start, stop, low, high)
            result[start:stop] = to_float32(block[:, [c - low for c in chosen]])
        return result

    def _part(self, start: int, stop: int, low: int, high: int) -> npt.NDArray[Any]:
        """Some columns of some cells."""
        if high - low == self.width:
            return self._values.read_rows(start, stop).reshape(stop - start, self.width)
        return self._values.read(Box((start, low), (stop, high)))

    def points(self, columns: Sequence[int]) -> Float32:
        """Coordinates for drawing: centred, scaled so that the longest axis fills [-1, 1], the aspect kept."""
        coordinates = self.coordinates(columns)
        return coordinates if self.normalised else normalise(coordinates)

    @property
    def attrs(self) -> Attrs:
        """The array's attributes."""
        return self._values.attrs

    @property
    def normalised(self) -> bool:
        """Whether the coordinates are drawn as they are."""
        return self._as_stored or bool(self._values.attrs.get(NORMALISED))

    def scale(self, columns: Sequence[int]) -> float:
        """What `points` multiplies these columns by."""
        return 1.0 if self.normalised else _extent(self.coordinates(columns))[1]


def normalise(coordinates: Float32) -> Float32:
    """Centre and scale a contiguous array in place; cells without finite coordinates become NaN and move no other."""
    centre, scale = _extent(coordinates)
    if centre is None:
        return coordinates
    _wide(coordinates)[...] -= np.tile(centre, WIDE_ROWS)
    coordinates[len(coordinates) // WIDE_ROWS * WIDE_ROWS :] -= centre
    coordinates *= np.float32(scale)
    return coordinates


def _wide(coordinates: Float32) -> Float32:
    """Many cells as one row, without those left over: NumPy takes up to 50 times as long for rows of two or three."""
    whole = len(coordinates) // WIDE_ROWS * WIDE_ROWS
    return coordinates[:whole].reshape(-1, WIDE_ROWS * coordinates.shape[1])


def _reduced(least_or_most: np.ufunc, coordinates: Float32) -> Float32:
    """The least or the most of each column of a contiguous array with one row at least."""
    wide, left = _wide(coordinates), coordinates[len(coordinates) // WIDE_ROWS * WIDE_ROWS :]
    if len(wide):
        left = np.concatenate([least_or_most.reduce(wide, axis=0).reshape(WIDE_ROWS, -1), left])
    found: Float32 = least_or_most.reduce(left, axis=0)
    return found


def _extent(coordinates: Float32) -> tuple[Float32 | None, float]:
    """Centre (None when no cell has one) and scale; cells without finite coordinates become NaN in place."""
    if np.isfinite(coordinates).all():  # the common case, and several times faster
        known = coordinates
    else:
        complete = np.isfinite(coordinates).all(axis=1)
        coordinates[~complete] = np.nan
        known = coordinates[complete]
    if not known.size:
        return None, 1.0
    low, high = _reduced(np.minimum, known), _reduced(np.maximum, known)
    span = float((high.astype(np.float64) - low).max())
    centre = ((low.astype(np.float64) + high) / 2.0).astype(np.float32)
    return centre, 2.0 / (span if span >= SMALLEST_RANGE else 2.0)


def best(embeddings: Sequence[Embedding]) -> Embedding | None:
    """The embedding to show first."""
    drawable = [e for e in embeddings if e.width > 1] or list(embeddings)
    return min(drawable, key=lambda e: e.tier, default=None)


def umap_by_dimension(embeddings: Sequence[Embedding]) -> dict[int, Embedding]:
    """What cellucid's clients see in 1, 2 and 3 dimensions: ``X_umap_<d>d``, else ``X_umap`` by its width."""
    named = {e.key: e for e in embeddings}
    found: dict[int, Embedding] = {}
    found |= {
        d: named[f"X_umap_{d}d"] for d in (1, 2, 3) if f"X_umap_{d}d" in named and named[f"X_umap_{d}d"].width == d
    }
    plain = named.get("X_umap")
    if plain is not None and plain.width <= 3:
        found.setdefault(plain.width, plain)
    if not found:
        first = best(embeddings)
        found = {d: first for d in first.dimensions if d > 1 or first.width == 1} if first else {}
    return dict(sorted(found.items()))


def _label(key: str) -> str:
    name = re.sub(r"^X_", "", key)
    sized = re.fullmatch(r"(.+)_([123])d", name)
    if sized is not None and sized[1].lower() in LABELS:
        return f"{LABELS[sized[1].lower()]} {sized[2]}D"
    return LABELS.get(name.lower(), name.replace("_", " ") or key)
