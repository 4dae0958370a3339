"""What readers of images share: a group that speaks OME-NGFF, arrays made of planes, axes put in order."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from coverslip.core.ngff import ImageMeta, image_attrs
from coverslip.core.node import Array, Group, Node
from coverslip.core.spec import ArraySpec, Box
from coverslip.core.tree import MemoryGroup, Rearranged

__all__ = ["PlaneArray", "Rearranged", "image", "images", "in_order"]

ORDER = "tczyx"
"""The order NGFF asks for; axes it does not name come first."""


def image(
    levels: Sequence[Array], meta: ImageMeta, labels: Mapping[str, Callable[[], Node] | Node] | None = None
) -> Group:
    """One image: its levels, finest first, named ``0``, ``1``, …, and its label images."""
    nodes: dict[str, Node | Callable[[], Node]] = {str(i): level for i, level in enumerate(levels)}
    if labels:
        nodes["labels"] = MemoryGroup(dict(labels), {"ome": {"labels": list(labels)}})
    return MemoryGroup(nodes, image_attrs(meta, [level.spec.shape for level in levels]))


def images(named: Mapping[str, Group | Callable[[], Group]], raw: Mapping[str, Any] | None = None) -> Group:
    """What a file holds: its only image, or a group of several (scenes, series, fields)."""
    if len(named) == 1 and not raw:
        only = next(iter(named.values()))
        return only if isinstance(only, Group) else only()
    attrs = {"ome": {"version": "0.5", "bioformats2raw.layout": 3}, "coverslip": {"raw": dict(raw or {})}}
    return MemoryGroup(dict(named), attrs)


class PlaneArray(Array):
    """An array that is read plane by plane.

    Parameters
    ----------
    shape
        Leading axes that number the planes, then the axes of one plane.
    dtype
        Of the planes; native byte order.
    read_plane
        Gives the plane of a leading index, or any part of it: called with the index and the box inside the plane, it
        returns an array of the box's shape. Must be safe to call from any thread.
    plane_axes
        How many of the last axes one plane has.
    chunks
        The stored chunk shape; one plane when left out.
    """

    def __init__(
        self,
        shape: Sequence[int],
        dtype: npt.DTypeLike,
        read_plane: Callable[[tuple[int, ...], Box], npt.NDArray[Any]],
        plane_axes: int = 2,
        chunks: Sequence[int] | None = None,
    ) -> None:
        self._lead = len(shape) - plane_axes
        grid = tuple(chunks) if chunks else (*(1,) * self._lead, *shape[self._lead :])
        self._spec = ArraySpec(tuple(shape), np.dtype(dtype), grid)
        self._read_plane = read_plane
        self.attrs = {}

    @property
    def spec(self) -> ArraySpec:
        """Shape, dtype and chunks."""
        return self._spec

    def read(self, box: Box) -> npt.NDArray[Any]:
        """The elements of ``box``; only the planes it touches are read."""
        lead = self._lead
        inside = Box(box.start[lead:], box.stop[lead:])
        if math.prod(box.shape[:lead]) == 1:
            return self._read_plane(box.start[:lead], inside).reshape(box.shape)
        out = np.empty(box.shape, self._spec.dtype)
        if out.size:
            for offset in np.ndindex(*box.shape[:lead]):
                index = tuple(a + o for a, o in zip(box.start, offset, strict=False))
                out[offset] = self._read_plane(index, inside)
        return out


def in_order(levels: Sequence[Array], meta: ImageMeta) -> tuple[list[Array], ImageMeta]:
    """Levels and metadata with the axes in NGFF's order; ``s`` (samples of RGB) becomes ``c``.

    Where a file has both ``c`` and ``s``, ``s`` stays an axis of its own, before ``z``.
    """
    names = [axis.name for axis in meta.axes]
    if "s" in names and "c" not in names:
        names[names.index("s")] = "c"
    rank = {name: i for i, name in enumerate(("t", "c", "s", "z", "y", "x"))}
    order = sorted(range(len(names)), key=lambda i: (rank.get(names[i], -1), i))
    axes = [replace(meta.axes[i], name=names[i]) for i in order]
    if order == list(range(len(names))):
        return list(levels), replace(meta, axes=axes)
    return [Rearranged(level, order) for level in levels], replace(meta, axes=axes)
