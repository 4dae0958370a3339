"""Nodes over what is already in memory: for in-memory objects and for formats that arrange other nodes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
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
        index: tuple[Any, ...] = (*box.slices, ...)  # an array where there is no axis, too
        part: npt.NDArray[Any] = self._values[index]
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
            raise NotFound(
                f"There is no {name!r} here", f"There is {', '.join(list(self)[:9]) or 'nothing'}."
            ) from None
        if not isinstance(node, (Array, Group)):
            node = self._nodes[name] = node()
        return node


class Rearranged(Array):
    """An array with its axes in another order and new ones of length 1 (``order`` is -1 there)."""

    def __init__(self, array: Array, order: Sequence[int]) -> None:
        self._array = array
        self._order = tuple(order)
        spec = array.spec
        shape = tuple(spec.shape[i] if i >= 0 else 1 for i in order)
        chunks = tuple(spec.chunks[i] if i >= 0 else 1 for i in order) if spec.chunks else None
        self._spec = ArraySpec(shape, spec.dtype, chunks)
        self.attrs = array.attrs

    @property
    def spec(self) -> ArraySpec:
        """As the array's, rearranged."""
        return self._spec

    def read(self, box: Box) -> npt.NDArray[Any]:
        """The elements of ``box``, as a view of what the array gives."""
        if not all(box.shape):
            return np.empty(box.shape, self._spec.dtype)
        start, stop = [0] * len(self._array.spec.shape), list(self._array.spec.shape)
        for here, there in enumerate(self._order):
            if there >= 0:
                start[there], stop[there] = box.start[here], box.stop[here]
        found = self._array.read(Box(tuple(start), tuple(stop)))
        kept = [i for i in self._order if i >= 0]
        return found.transpose(kept).reshape(box.shape)
