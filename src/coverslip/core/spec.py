"""Shapes: what an array looks like, and which part of it is meant."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class Box:
    """A half-open box of elements, ``start[i] <= index[i] < stop[i]`` on every axis."""

    start: tuple[int, ...]
    stop: tuple[int, ...]

    @classmethod
    def whole(cls, shape: tuple[int, ...]) -> Box:
        """The box that covers an array of this shape."""
        return cls((0,) * len(shape), shape)

    @classmethod
    def rows(cls, start: int, stop: int, shape: tuple[int, ...]) -> Box:
        """Rows ``start`` to ``stop`` of an array of this shape, all other axes whole."""
        return cls((start, *(0 for _ in shape[1:])), (stop, *shape[1:]))

    @property
    def shape(self) -> tuple[int, ...]:
        """Number of elements on each axis."""
        return tuple(b - a for a, b in zip(self.start, self.stop, strict=True))

    @property
    def slices(self) -> tuple[slice, ...]:
        """The same box as numpy writes it."""
        return tuple(slice(a, b) for a, b in zip(self.start, self.stop, strict=True))

    def within(self, shape: tuple[int, ...]) -> bool:
        """Whether the box lies inside an array of this shape."""
        return len(shape) == len(self.start) and all(
            0 <= a <= b <= n for a, b, n in zip(self.start, self.stop, shape, strict=True)
        )


@dataclass(frozen=True, slots=True)
class ArraySpec:
    """What an array looks like before any of it is read.

    Attributes
    ----------
    shape
        Elements on each axis.
    dtype
        As ``read`` returns it; ``object`` for text (elements are ``str``); structured for records.
    chunks
        The stored chunk shape, or None when the data is stored in one piece.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[np.generic]
    chunks: tuple[int, ...] | None = None

    @property
    def text(self) -> bool:
        """Whether elements are strings."""
        return self.dtype.kind == "O"
