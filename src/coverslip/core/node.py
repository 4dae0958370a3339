"""The tree that every format produces: groups and arrays, read lazily.

A table of columns is a group of equally long arrays (as AnnData and NeuroH5 store it) or one array of records.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from typing import Any

import numpy.typing as npt

from coverslip.core.errors import Damaged, TooLarge
from coverslip.core.spec import ArraySpec, Box

MOST_AT_ONCE = 16 << 30
Attrs = Mapping[str, Any]
"""Attributes as plain Python: str, int, float, bool, None and lists of them."""


class Array(ABC):
    """An n-dimensional array whose elements are read on demand, from any thread."""

    attrs: Attrs

    @property
    @abstractmethod
    def spec(self) -> ArraySpec:
        """Shape, dtype and chunks; reads no element."""

    @abstractmethod
    def read(self, box: Box) -> npt.NDArray[Any]:
        """The elements of ``box``, with ``result.shape == box.shape``."""

    def read_all(self) -> npt.NDArray[Any]:
        """Every element.

        Raises
        ------
        TooLarge
            When they are more than any memory holds: a file may claim any shape and hold no element.
        """
        return self.read(self._bounded(Box.whole(self.spec.shape)))

    def read_rows(self, start: int, stop: int) -> npt.NDArray[Any]:
        """Elements ``start`` to ``stop`` of the first axis, all of the others; bounded as `read_all` is."""
        return self.read(self._bounded(Box.rows(start, stop, self.spec.shape)))

    def _bounded(self, box: Box) -> Box:
        size = math.prod(box.shape) * self.spec.dtype.itemsize
        if size > MOST_AT_ONCE:
            raise TooLarge(f"{size:,} bytes would have to be read at once", "Is the file damaged? See its shapes.")
        return box


class Group(ABC):
    """Named nodes; opening one reads no data."""

    attrs: Attrs

    @abstractmethod
    def __iter__(self) -> Iterator[str]: ...

    @abstractmethod
    def __getitem__(self, name: str) -> Node: ...

    @abstractmethod
    def __contains__(self, name: object) -> bool: ...

    def group(self, name: str) -> Group | None:
        """The group of this name, or None when there is none."""
        node = self[name] if name in self else None
        return node if isinstance(node, Group) else None

    def array(self, name: str) -> Array:
        """The array of this name, which must be there."""
        node = self[name] if name in self else None
        if not isinstance(node, Array):
            raise Damaged(f"The array {name!r} is missing", "The file was not written completely; write it again.")
        return node


Node = Group | Array


class Source(ABC):
    """One opened thing on disk (or in memory)."""

    root: Group
    etag: str
    """Changes whenever any byte of the source may have changed; holds no character outside ``[0-9a-z-]``."""
    generation: int = 0
    """Set by who opened it: the number of changes that were seen and that ``etag`` may not tell."""
    modified_s: float
    """When the source last changed, in seconds since 1970 (UTC)."""

    @abstractmethod
    def fresh(self) -> bool:
        """Whether what is on disk is still what was opened."""

    def close(self) -> None:  # noqa: B027  (nothing to release is the common case)
        """Give back what the source holds; safe to call twice."""
