"""Arrays made of TIFF pages."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import tifffile

from coverslip.core.errors import Damaged
from coverslip.core.node import Array
from coverslip.core.spec import ArraySpec, Box
from coverslip.formats.trees.tiff import Pages, Segments, damage, read_box
from coverslip.formats.trees.tiff_bytes import COPY_AGAIN


class PageArray(Array):
    """An array whose elements follow each other through pages.

    Parameters
    ----------
    shape
        Of the whole; the last axes make up one page.
    pages
        The pages, in C order of the leading axes.
    keyframe
        The page that all others are like.
    """

    def __init__(self, shape: Sequence[int], pages: Pages, keyframe: tifffile.TiffPage) -> None:
        self._pages = pages
        self._keyframe = keyframe
        self._dtype = np.dtype(keyframe.dtype).newbyteorder("=")
        if self._dtype == np.bool_:  # single bits become bytes of 0 and 1
            self._dtype = np.dtype(np.uint8)
        size, split = math.prod(keyframe.shaped), len(shape)
        while split > 0 and math.prod(shape[split:]) < size:
            split -= 1
        if math.prod(shape[split:]) != size:
            raise Damaged(f"An image of shape {tuple(shape)} does not fit pages of {keyframe.shape}", COPY_AGAIN)
        # Axes of length 1 before the page's own belong to neither; counted as leading ones.
        self._lead = split
        self._where = _places(shape[split:], keyframe.shaped)
        self.attrs = {}
        self._spec = ArraySpec(tuple(shape), self._dtype, self._chunks(tuple(shape)))

    @property
    def spec(self) -> ArraySpec:
        """Shape, dtype and chunks: one tile, one strip, or one page when it is stored in one piece."""
        return self._spec

    def _chunks(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        page, inner = self._keyframe, shape[self._lead :]
        if self._where is None or page.is_final:
            return (*(1,) * self._lead, *inner)
        tall = page.tilelength if page.is_tiled else page.rowsperstrip
        wide = page.tilewidth if page.is_tiled else page.imagewidth
        contig = page.shaped[4] if page.planarconfig == 1 else 1
        whole = (1, page.tiledepth if page.is_tiled else 1, tall, wide, contig)
        return (
            *(1,) * self._lead,
            *(1 if at < 0 else max(1, min(whole[at], n)) for at, n in zip(self._where, inner, strict=True)),
        )

    def read(self, box: Box) -> npt.NDArray[Any]:
        """The elements of ``box``; pages that the file leaves out are zeros."""
        out = np.empty(box.shape, self._dtype)
        if out.size:
            with damage("The image"):
                self._fill(box, out)
        return out

    def _fill(self, box: Box, out: npt.NDArray[Any]) -> None:
        lead = self._lead
        first = box.start[:lead]
        for offset in np.ndindex(*box.shape[:lead]):
            index = 0
            for n, a, o in zip(self._spec.shape, first, offset, strict=False):
                index = index * n + a + o
            target = out[(*offset, ...)]
            segments = self._pages[index]
            if segments is None:
                target[()] = 0
            else:
                self._read_page(segments, Box(box.start[lead:], box.stop[lead:]), target)

    def _read_page(self, segments: Segments, box: Box, out: npt.NDArray[Any]) -> None:
        shaped = self._keyframe.shaped
        if self._where is None:
            whole = np.empty(shaped, self._dtype)
            read_box(segments, Box.whole(shaped), whole)
            out[...] = whole.reshape(self._spec.shape[self._lead :])[box.slices]
            return
        start, stop = [0] * 5, [1] * 5
        for at, a, b in zip(self._where, box.start, box.stop, strict=True):
            if at >= 0:
                start[at], stop[at] = a, b
        five = Box(tuple(start), tuple(stop))
        read_box(segments, five, out.reshape(five.shape))


def _places(inner: Sequence[int], shaped: Sequence[int]) -> tuple[int, ...] | None:
    """Which of a page's five axes each axis is (-1: none, of length 1); None when they do not match one to one."""
    found, at = [], 0
    for n in inner:
        if n == 1:
            found.append(-1)
            continue
        while at < 5 and shaped[at] == 1:
            at += 1
        if at == 5 or shaped[at] != n:
            return None
        found.append(at)
        at += 1
    return tuple(found) if all(n == 1 for n in shaped[at:]) else None
