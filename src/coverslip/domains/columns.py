"""Columns of a frame by what they mean: categories, numbers, text."""

from __future__ import annotations

from abc import ABC, abstractmethod
from functools import cached_property
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from coverslip.core.errors import Damaged
from coverslip.core.node import Array
from coverslip.core.tree import MemoryArray

Kind = Literal["category", "continuous", "text"]
Float32 = npt.NDArray[np.float32]

LEGEND_LIMIT = 100_000
"""A text column with more distinct values than this is an identifier, not a grouping."""
BLOCK_ROWS = 1 << 16
MOST_CATEGORIES = 1 << 24


class Column(ABC):
    """One named column, read when asked for."""

    def __init__(self, key: str, values: Array, mask: Array | None = None) -> None:
        if len(values.spec.shape) != 1:
            raise Damaged(f"The column {key!r} has the shape {values.spec.shape}", "Columns are one-dimensional.")
        if mask is not None and mask.spec.shape != values.spec.shape:
            raise Damaged(f"The column {key!r} and its mask differ in length", "Write the file again.")
        if mask is not None and mask.spec.dtype.kind not in "biuf":
            raise Damaged(f"The mask of the column {key!r} is no mask", "Write the file again.")
        self.key = key
        self._values = values
        self._mask = mask

    @property
    def n_rows(self) -> int:
        """Number of rows."""
        return self._values.spec.shape[0]

    @property
    @abstractmethod
    def kind(self) -> Kind:
        """What the column means."""

    @abstractmethod
    def at(self, row: int) -> str | float | int | None:
        """One row's value, None when missing."""

    @abstractmethod
    def between(self, start: int, stop: int) -> list[Any]:
        """What `at` tells of the rows ``start`` to before ``stop``, read at once."""

    def names(self) -> list[str]:
        """Every row's value as text; missing as ``nan``."""
        return ["nan" if (v := self.at(i)) is None else str(v) for i in range(self.n_rows)]

    def _missing(self, start: int, stop: int) -> npt.NDArray[np.bool_]:
        if self._mask is None:
            return np.zeros(stop - start, bool)
        return self._mask.read_rows(start, stop).astype(bool)


class Continuous(Column):
    """Numbers; NaN, infinite and masked values are missing."""

    def __init__(self, key: str, values: Array, mask: Array | None = None) -> None:
        super().__init__(key, values, mask)
        if values.spec.dtype.kind not in "biuf":
            raise Damaged(f"The column {key!r} holds no numbers", "Write the file again.")

    @property
    def kind(self) -> Kind:
        """Always ``continuous``."""
        return "continuous"

    def values(self) -> Float32:
        """Every value, float32 ``(n,)``; NaN = missing; infinite ones, which are missing too, as they are stored."""
        result = to_float32(self._values.read_all())
        if self._mask is not None:
            result[self._missing(0, self.n_rows)] = np.nan
        return result

    def at(self, row: int) -> float | int | None:
        """One value at full precision; None when missing or not finite."""
        value = self._values.read_rows(row, row + 1)[0].item()
        if self._missing(row, row + 1)[0] or not np.isfinite(value):
            return None
        number: float | int = value
        return number

    def between(self, start: int, stop: int) -> list[Any]:
        """Several values at full precision."""
        values = self._values.read_rows(start, stop)
        lost = self._missing(start, stop) | ~np.isfinite(values)
        return [None if gone else value for value, gone in zip(values.tolist(), lost, strict=True)]


class Category(Column):
    """Codes into a list of categories; a negative or too large code is missing."""

    def __init__(
        self,
        key: str,
        codes: Array,
        categories: Array,
        *,
        mask: Array | None = None,
        ordered: bool = False,
        colors: list[str] | None = None,
    ) -> None:
        super().__init__(key, codes, mask)
        if codes.spec.dtype.kind not in "biuf" or len(categories.spec.shape) != 1:
            raise Damaged(f"The column {key!r} holds no categories", "Write the file again.")
        self._categories = categories
        self.ordered = ordered
        self._colors = colors

    @property
    def kind(self) -> Kind:
        """Always ``category``."""
        return "category"

    @property
    def n_categories(self) -> int:
        """Number of categories, empty ones included; reads none."""
        return self._categories.spec.shape[0]

    @cached_property
    def categories(self) -> list[str]:
        """Names in the file's order."""
        if self.n_categories > MOST_CATEGORIES:
            raise Damaged(f"The column {self.key!r} has {self.n_categories:,} categories", "Write the file again.")
        values = self._categories.read_all().tolist()
        return [v.decode("utf-8", "replace") if isinstance(v, bytes) else str(v) for v in values]

    @property
    def colors(self) -> list[str] | None:
        """One ``#rrggbb`` for each category, when the file has as many."""
        colors = self._colors
        usable = colors is not None and len(colors) == self.n_categories and all(_is_hex(c) for c in colors)
        return colors if usable else None

    def codes(self) -> npt.NDArray[np.int32]:
        """Every code, int32 ``(n,)``; -1 = missing."""
        return self.codes_as(np.dtype(np.int32), -1)

    def codes_as(self, dtype: np.dtype[Any], missing: int) -> npt.NDArray[Any]:
        """Every code in another integer type that holds all categories, ``(n,)``, and what means missing there."""
        stored = self._whole(self._values.read_all())
        codes = stored.astype(dtype)
        # Looking for the least and the most is quick; marking takes several arrays as long as the column.
        if stored.size and (stored.min() < 0 or stored.max() >= self.n_categories):
            codes[(stored < 0) | (stored >= self.n_categories)] = missing
        if self._mask is not None:
            codes[self._missing(0, self.n_rows)] = missing
        return codes

    def _whole(self, stored: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Codes as integers; those that are none, -1."""
        if stored.dtype.kind == "f":
            known = (stored >= 0) & (stored < self.n_categories)
            return np.where(known, stored, -1).astype(np.int64)
        return stored if stored.dtype.kind in "iu" else stored.astype(np.int64)

    def names(self) -> list[str]:
        """Every row's category name, read at once."""
        known = np.array([*self.categories, "nan"], dtype=object)
        picked: list[str] = known[self.codes()].tolist()
        return picked

    def at(self, row: int) -> str | None:
        """One row's category name."""
        found: str | None = self.between(row, row + 1)[0]
        return found

    def between(self, start: int, stop: int) -> list[Any]:
        """Several rows' category names."""
        codes = self._whole(self._values.read_rows(start, stop)).astype(np.int64)
        codes[(codes < 0) | (codes >= self.n_categories) | self._missing(start, stop)] = self.n_categories
        names = [*self.categories, None]
        return [names[code] for code in codes.tolist()]


class Text(Column):
    """Plain strings: a grouping while they repeat, identifiers when they do not."""

    def __init__(self, key: str, values: Array, mask: Array | None = None, colors: list[str] | None = None) -> None:
        super().__init__(key, values, mask)
        self._file_colors = colors

    @property
    def kind(self) -> Kind:
        """``category``, or ``text`` beyond `LEGEND_LIMIT` distinct values; reads the column once."""
        return "text" if self.grouping is None else "category"

    @cached_property
    def grouping(self) -> Category | None:
        """The column as categories in sorted order, or None when there are too many."""
        seen: dict[str, int] = {}
        codes = np.empty(self.n_rows, np.int32)
        for start in range(0, self.n_rows, BLOCK_ROWS):
            stop = min(start + BLOCK_ROWS, self.n_rows)
            block = self._values.read_rows(start, stop).tolist()
            found = np.fromiter((seen.setdefault(str(v), len(seen)) for v in block), np.int32, stop - start)
            found[self._missing(start, stop)] = -1
            codes[start:stop] = found
            if len(seen) > LEGEND_LIMIT:
                return None
        used = np.zeros(len(seen) + 1, bool)
        used[codes] = True
        names = sorted(name for name, code in seen.items() if used[code])
        place = np.full(len(seen) + 1, -1, np.int32)
        place[[seen[name] for name in names]] = np.arange(len(names), dtype=np.int32)
        return Category(
            self.key, MemoryArray(place[codes]), MemoryArray(np.array(names, object)), colors=self._file_colors
        )

    def names(self) -> list[str]:
        """Every row's text, read at once."""
        missing = self._missing(0, self.n_rows)
        return ["nan" if gone else str(v) for v, gone in zip(self._values.read_all().tolist(), missing, strict=True)]

    def at(self, row: int) -> str | None:
        """One row's text."""
        return None if self._missing(row, row + 1)[0] else str(self._values.read_rows(row, row + 1)[0])

    def between(self, start: int, stop: int) -> list[Any]:
        """Several rows' texts."""
        texts, lost = self._values.read_rows(start, stop).tolist(), self._missing(start, stop)
        return [None if gone else str(text) for text, gone in zip(texts, lost, strict=True)]


def to_float32(values: npt.NDArray[Any]) -> Float32:
    """Numbers as float32, always a copy; what does not fit becomes infinite, without a warning."""
    with np.errstate(over="ignore", invalid="ignore"):
        return values.astype(np.float32)


def _is_hex(color: str) -> bool:
    return len(color) in (7, 9) and color[0] == "#" and all(c in "0123456789abcdefABCDEF" for c in color[1:])
