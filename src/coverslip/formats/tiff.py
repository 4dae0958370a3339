"""TIFF and what is built on it: OME-TIFF, ImageJ, BigTIFF, whole-slide and microscopes' files.

Each image (scene, series) of a file is an image of its own; slides have ``label`` and ``macro`` beside the slide.

Source: see `coverslip.formats.trees.tiff_ome` for OME-TIFF, `coverslip.formats.trees.tiff_series` for the others.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from coverslip.core.errors import Damaged, Unsupported
from coverslip.core.format import Format
from coverslip.core.node import Group, Source
from coverslip.formats.trees.image import images
from coverslip.formats.trees.source import PathSource, need

if TYPE_CHECKING:
    from coverslip.formats.trees.tiff_files import Files

MAGIC = (b"II\x2a\x00", b"MM\x00\x2a", b"II\x2b\x00", b"MM\x00\x2b")
SUFFIXES = (
    ".tif", ".tiff", ".btf", ".tf2", ".tf8", ".ome.tif", ".ome.tiff", ".qptiff", ".svs", ".ndpi", ".scn", ".bif",
    ".lsm", ".stk", ".flex", ".qpi", ".companion.ome",
)  # fmt: skip
MOST_WATCHED = 32
"""How many files of a set are looked at to see whether it changed; the catalog's watch sees the others."""


class Tiff:
    """A TIFF file, or a set of OME-TIFF files."""

    name = "tiff"
    expects = "TIFF image (.tif, .tiff: OME-TIFF, ImageJ, whole slides .svs, .ndpi, .scn, .qptiff)"
    kind = "images"

    def claims(self, path: Path, head: bytes) -> bool:
        """By the first bytes or the suffix."""
        return head[:4] in MAGIC or (path.name.lower().endswith(SUFFIXES) and path.is_file())

    def members(self, path: Path) -> Sequence[Path]:
        """The files of an OME-TIFF set."""
        from coverslip.formats.trees.tiff_sets import members

        return members(path)

    def open(self, path: Path) -> Source:
        """Read the directories that are needed and the metadata, no pixels."""
        need("imagecodecs", "TIFF")
        need("tifffile", "TIFF")
        from coverslip.formats.trees.tiff_files import Files

        files = Files(path)
        try:
            named, raw = _images(path, files)
            parts = [p for p in self.members(path) if p != path][: MOST_WATCHED - 1]
            return PathSource(path, images(named, raw), files.close, (path, *parts))
        except BaseException:
            files.close()
            raise


def _images(path: Path, files: Files) -> tuple[dict[str, Group], dict[str, Any]]:
    from coverslip.formats.trees.ome_xml import Unfit, check_xml
    from coverslip.formats.trees.tiff_ome import ome_images, read_set
    from coverslip.formats.trees.tiff_sets import description, is_ome

    text = description(path)
    if not is_ome(text):
        return _series(path, files, {})
    check_xml(text[:65536].decode("utf-8", "replace"))
    try:
        return ome_images(read_set(path, text), files)
    except (Unfit, Unsupported) as error:
        if error.name == "unsafe_xml" or path.name.lower().endswith(".companion.ome"):
            raise
        return _series(path, files, {"ome_ignored": error.message})


def _series(path: Path, files: Files, more: dict[str, Any]) -> tuple[dict[str, Group], dict[str, Any]]:
    import tifffile

    from coverslip.formats.trees.tiff import damage
    from coverslip.formats.trees.tiff_series import series_images

    with damage(path.name, "cannot be read as TIFF"), tifffile.TiffFile(path, _multifile=False) as tif:
        if not len(tif.pages):
            raise Damaged(f"{path.name} holds no image", "It may still be being written; copy it again.")
        if more:
            tif.is_ome = False
        return series_images(tif, files, more), {}


FORMAT: Format = Tiff()
