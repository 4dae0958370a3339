"""Images of TIFF files by tifffile's series: plain, ImageJ, whole-slide and vendors' files.

Palette images whose colour table is a ramp are intensities with a colour; others become red, green and blue. Images of
one bit become bytes of 0 and 1. Values are as stored: white is not turned into black.

Source: tifffile's documentation of ``TiffFile.series``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import tifffile

from coverslip.core.errors import Damaged, Unsupported
from coverslip.core.ngff import Axis, Channel, ImageMeta
from coverslip.core.node import Array, Group
from coverslip.core.spec import ArraySpec, Box
from coverslip.formats.trees.image import image, in_order
from coverslip.formats.trees.ome_xml import check_xml
from coverslip.formats.trees.tiff import OnePiece, PageList, Pages, check_page, damage
from coverslip.formats.trees.tiff_array import PageArray
from coverslip.formats.trees.tiff_bytes import COPY_AGAIN, Directories
from coverslip.formats.trees.tiff_files import DirectoryPages, Files
from coverslip.formats.trees.tiff_meta import channels, lut_color, pixel_sizes, raw_metadata
from coverslip.formats.trees.vendor_names import unique_names

LAZY_FROM = 64
"""Files with more pages than this, all alike, are not read page by page when opened."""
SPECIAL = (
    "shaped", "lsm", "mmstack", "ndtiff", "imagej", "fluoview", "stk", "sis", "svs", "scn", "qpi", "ndpi", "bif", "avs",
    "eer", "philips", "scanimage", "nih", "mdgel",
)  # fmt: skip
COUNTED = ("imagej", "shaped", "stk")
"""Series whose number of pages stands in the file."""
BESIDE = ("Thumbnail", "Label", "Macro", "Map")
"""What lies beside a slide, at another scale."""
SPARE_LETTERS = "qnruvwbdefghjklmopa"
RGB, PALETTE, YCBCR = 2, 3, 6
RGB_KINDS = (RGB, PALETTE, YCBCR)
RGB_NAMES = (
    Channel("Red", "FF0000"), Channel("Green", "00FF00"), Channel("Blue", "0000FF"),
    Channel("Alpha", "FFFFFF", active=False),
)  # fmt: skip


@dataclass(frozen=True)
class Stack:
    """Pages that make up one image at one resolution."""

    name: str
    shape: tuple[int, ...]
    axes: str
    pages: Pages
    keyframe: tifffile.TiffPage


def series_images(tif: tifffile.TiffFile, files: Files, more: Mapping[str, Any]) -> dict[str, Group]:
    """Every image of an opened file, by name; ``more`` is put to their metadata."""
    name = files.main.name
    tags = tif.pages.first.tags
    for text in (tif.pages.first.description, tags.valueof(65000), tags.valueof(700)):
        check_xml(text.decode("utf-8", "replace") if isinstance(text, bytes) else text)
    tif.__dict__["is_ndtiff"] = False  # its index may name any file; the folder is read by its own format
    found: dict[str, Group] = {}
    lazily = _alike(tif, files)
    series: Sequence[Stack | tifffile.TiffPageSeries] = [lazily] if lazily else _listed(tif, name)
    if not series:
        raise Damaged(f"{name} holds no image", COPY_AGAIN)
    titles = unique_names([_title(s) for s in series])
    for title, one in zip(titles, series, strict=True):
        found[title] = _image(tif, one, title if len(series) > 1 else "", files, more)
    return found


def _alike(tif: tifffile.TiffFile, files: Files) -> Stack | None:
    """A long file of equal pages, without reading them; None for any other."""
    if any(getattr(tif, f"is_{kind}", False) for kind in SPECIAL):
        return None
    chain: Directories = files.chain(files.main)
    if len(chain) <= LAZY_FROM or not chain.alike() or 330 in chain[0]:
        return None
    page = tif.pages.first
    pages = DirectoryPages(files, [files.main], None, None, page)
    return Stack("", (len(chain), *page.shape), "I" + page.axes, pages, page)


def _listed(tif: tifffile.TiffFile, name: str) -> list[tifffile.TiffPageSeries]:
    with damage(name):
        found = [s for s in tif.series if math.prod(s.shape)]
    if found and tif.is_imagej and found[0].kind != "imagej":
        raise Damaged(f"{name} holds fewer pixels than ImageJ's metadata says", COPY_AGAIN)
    return found


def _title(series: Stack | tifffile.TiffPageSeries) -> str:
    name = str(series.name or "")
    return name.lower() if name in ("Baseline", *BESIDE) else name


def _image(
    tif: tifffile.TiffFile, one: Stack | tifffile.TiffPageSeries, title: str, files: Files, more: Mapping[str, Any]
) -> Group:
    stacks = [one] if isinstance(one, Stack) else [_stack(level, files) for level in one.levels]
    base = stacks[0]
    page = base.keyframe
    for stack in stacks:
        check_page(stack.keyframe, files.main.name)
    levels: list[Array] = []
    for stack in stacks:
        if stack.axes != base.axes or (levels and stack.shape == stacks[len(levels) - 1].shape):
            break
        levels.append(PageArray(stack.shape, stack.pages, stack.keyframe))
    sizes = {} if str(one.name) in BESIDE else pixel_sizes(tif, page)
    axes = [replace(sizes.get(n, Axis(n)), name=n) for n in _letters(base.axes)]
    levels, axes, given = _coloured(page, levels, axes)
    meta = ImageMeta(axes, given, title or str(one.name or ""), _is_rgb(page, axes, levels[0]))
    meta = replace(meta, raw={**raw_metadata(tif, page), **more})
    levels, meta = in_order(levels, meta)
    count = next((n for n, a in zip(levels[0].spec.shape, meta.axes, strict=True) if a.name == "c"), 1)
    named = (
        given
        or (RGB_NAMES[:count] if meta.rgb else ())
        or (() if isinstance(one, Stack) else channels(tif, one, count))
    )
    return image(levels, replace(meta, channels=named))


def _stack(level: tifffile.TiffPageSeries, files: Files) -> Stack:
    page = level.keyframe
    kept = [i for i, (n, a) in enumerate(zip(level.shape, level.axes, strict=True)) if n > 1 or a in "YX"]
    shape, axes = tuple(level.shape[i] for i in kept), "".join(level.axes[i] for i in kept)
    in_one = level.dataoffset is not None
    # tifffile stops without a word where a truncated file ends; NDPI lays its directories out in a way of its own.
    if not page.parent.is_ndpi and not (in_one and level.kind in COUNTED):
        len(files.chain(files.main))
    if in_one:
        if page.dataoffsets[0] + math.prod(shape) * level.dtype.itemsize > files.main.size:
            raise files.main.short()
        pages: Pages = OnePiece(files.main, page)
    else:
        pages = PageList(files.of_pages, [level[i] for i in range(len(level))], page)
    if level.transform is not None:
        raise Unsupported(f"{files.main.name} needs a conversion of its values", "Convert it to OME-TIFF.")
    return Stack(level.name, shape, axes, pages, page)


def _letters(axes: str) -> list[str]:
    """One name for each axis, none twice; ``i`` numbers images of which the file does not say more."""
    found: list[str] = []
    axes = axes.lower() if "I" in axes else axes.lower().replace("q", "i", 1)
    for letter in axes:
        spare = [s for s in SPARE_LETTERS if s not in found and s not in axes]
        found.append(letter if letter not in found else spare[0])
    return found


def _is_rgb(page: tifffile.TiffPage, axes: Sequence[Axis], array: Array) -> bool:
    names = [axis.name for axis in axes]
    if "s" not in names or "c" in names:
        return False
    return page.photometric in RGB_KINDS and array.spec.shape[names.index("s")] in (3, 4)


def _coloured(
    page: tifffile.TiffPage, levels: list[Array], axes: list[Axis]
) -> tuple[list[Array], list[Axis], tuple[Channel, ...]]:
    """Palettes as what they show."""
    table = page.colormap if page.photometric == PALETTE and levels[0].spec.dtype.kind == "u" else None
    if table is None or page.parent.is_imagej or "s" in [a.name for a in axes] or "c" in [a.name for a in axes]:
        return levels, axes, ()
    color = lut_color(table)
    if color is not None:
        return levels, axes, (Channel("", color),) if color else ()
    wide = np.asarray(table).T
    lut = np.ascontiguousarray(wide >> 8 if wide.max() > 255 else wide, np.uint8)
    return [Looked(level, lut) for level in levels], [*axes, Axis("s")], ()


class Looked(Array):
    """An array whose values are looked up in a table of colours, shape ``(n, samples)``: a new last axis."""

    def __init__(self, array: Array, table: npt.NDArray[Any]) -> None:
        self._array = array
        self._table = table
        spec, samples = array.spec, table.shape[1]
        chunks = None if spec.chunks is None else (*spec.chunks, samples)
        self._spec = ArraySpec((*spec.shape, samples), table.dtype, chunks)
        self.attrs = array.attrs

    @property
    def spec(self) -> ArraySpec:
        """As the array's, with the samples."""
        return self._spec

    def read(self, box: Box) -> npt.NDArray[Any]:
        """The elements of ``box``."""
        found = self._array.read(Box(box.start[:-1], box.stop[:-1]))
        table = self._table[:, box.start[-1] : box.stop[-1]]
        colors: npt.NDArray[Any] = table[np.minimum(found, len(table) - 1)]
        return colors
