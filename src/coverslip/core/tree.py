"""Nodes over what is already in memory: for in-memory objects and for formats that arrange other nodes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from coverslip.core.errors import NotFound
from coverslip.core.node import Array, Attrs, Group, Node
from coverslip.core.spec import ArraySpec, Box


class MemoryArray(Array):
    """A numpy array as a node; text is held as ``str`` objects."""

    def __init__(self, values: npt.ArrayLike, attrs: Attrs | None = None) -> None:
        array = np.asarray(values)
        self._values = array.astype(object) if array.dtype.kind in "UT" else array
        self.attrs = attrs or {}

    @property
    def spec(self) -> ArraySpec:
        """Shape and dtype."""
        return ArraySpec(self._values.shape, self._values.dtype)

    def read(self, box: Box) -> npt.NDArray[Any]:
        """A view of the elements of ``box``."""
        part: npt.NDArray[Any] = self._values[box.slices]
        return part


class MemoryGroup(Group):
    """Named nodes, each given outright or made when first asked for."""

    def __init__(self, nodes: Mapping[str, Node | Callable[[], Node]], attrs: Attrs | None = None) -> None:
        self._nodes = dict(nodes)
        self.attrs = attrs or {}

    def __iter__(self) -> Iterator[str]:
        return iter(self._nodes)

    def __contains__(self, name: object) -> bool:
        return name in self._nodes

    def __getitem__(self, name: str) -> Node:
        try:
            node = self._nodes[name]
        except KeyError:
            raise NotFound(f"There is no {name!r} here") from None
        if not isinstance(node, (Array, Group)):
            node = self._nodes[name] = node()
        return node
