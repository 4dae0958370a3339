"""A folder of numbered TIFF files as one image: ``img_t001_z002_c1.tif``.

The letters before the numbers name the axes; a number that says nothing counts along ``i``. All files must be alike,
of which a few are looked at; a file that turns out to be different is an error when its planes are read.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from coverslip.core.errors import Damaged, Unsupported
from coverslip.core.format import Format
from coverslip.core.node import Group, Source
from coverslip.formats.trees.image import image, in_order
from coverslip.formats.trees.source import PathSource, need

if TYPE_CHECKING:
    from coverslip.formats.trees.tiff_files import Files
    from coverslip.formats.trees.tiff_numbered import Numbered

MOST_WATCHED = 32
"""How many files are looked at to see whether the series changed; the catalog's watch sees the others."""
MOST_NAMED = 1000
"""How many file names are given on as metadata."""


class TiffSequence:
    """A folder of numbered TIFF files."""

    name = "tiff-sequence"
    expects = "folder of numbered TIFF files"
    kind = "images"
    rank = 1

    def claims(self, path: Path, head: bytes) -> bool:
        """Whether the TIFF files in a folder are numbered and alike."""
        if head or not path.is_dir():
            return False
        from coverslip.formats.trees.tiff_numbered import one_image

        return one_image(path) is not None

    def members(self, path: Path) -> Sequence[Path]:
        """The folder and the files of the series."""
        from coverslip.formats.trees.tiff_numbered import listed

        return [path, *(path / name for name in listed(path))]

    def open(self, path: Path) -> Source:
        """Read the names, and the first file's directory and metadata."""
        need("imagecodecs", "TIFF")
        need("tifffile", "TIFF")
        from coverslip.formats.trees.tiff_files import Files
        from coverslip.formats.trees.tiff_numbered import one_image

        found = one_image(path)
        if found is None:
            raise Damaged(f"{path} is no longer a series of equal TIFF files", "Open its files one by one.")
        files = Files(path / found.names[0])
        try:
            root = _group(path, found, files)
            parts = [path, *(path / name for name in found.names[: MOST_WATCHED - 1])]
            return PathSource(path, root, files.close, parts)
        except BaseException:
            files.close()
            raise


def _group(path: Path, found: Numbered, files: Files) -> Group:
    import numpy as np
    import tifffile

    from coverslip.core.ngff import Axis, ImageMeta
    from coverslip.formats.trees.tiff import check_page, damage
    from coverslip.formats.trees.tiff_array import PageArray
    from coverslip.formats.trees.tiff_files import DirectoryPages
    from coverslip.formats.trees.tiff_meta import pixel_sizes, raw_metadata
    from coverslip.formats.trees.tiff_series import RGB_KINDS, RGB_NAMES

    first = path / found.names[0]
    with damage(first.name), tifffile.TiffFile(first, _multifile=False) as tif:
        page = tif.pages.first
        check_page(page, first.name)
        sizes, raw = pixel_sizes(tif, page), raw_metadata(tif, page)
    count = len(files.chain(files.main))
    inner, letters = list(page.shape), page.axes.lower()
    if count > 1:
        if set("izqs") & set(letters) or "z" in found.axes:
            raise Unsupported(
                f"{path} is a series of files with several pages of {page.axes}", "Open its files one by one."
            )
        inner, letters = [count, *inner], "z" + letters
    which = np.repeat(found.which.ravel(), count)
    numbers = np.tile(np.arange(count), found.which.size)
    pages = DirectoryPages(files, found.names, which, numbers, page)
    array = PageArray([*found.which.shape, *inner], pages, page)
    axes = [replace(sizes.get(n, Axis(n)), name=n) for n in (*found.axes, *letters)]
    rgb = "s" in letters and "c" not in found.axes and page.photometric in RGB_KINDS
    named = {"files": list(found.names[:MOST_NAMED]), "count": len(found.names), "first": raw}
    counted = {axis: list(v[:MOST_NAMED]) for axis, v in zip(found.axes, found.values, strict=True)}
    meta = ImageMeta(axes, RGB_NAMES[: inner[-1]] if rgb else (), path.name, rgb, raw={**named, "numbers": counted})
    return image(*in_order([array], meta))


FORMAT: Format = TiffSequence()
