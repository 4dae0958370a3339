"""Images of OME-TIFF: one file, a set of files, or a set described by a companion file.

Every image has the axes of the OME model, ``t c z y x``. A plane's file and page are looked up when it is read; a
plane whose file is missing, or that no ``TiffData`` mentions, is an error that says so, never zeros.

Source: the OME-TIFF specification, https://docs.openmicroscopy.org/ome-model/6.3.1/ome-tiff/specification.html.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from coverslip.core.errors import Damaged, UnsafeLink, Unsupported
from coverslip.core.ngff import Channel, ImageMeta
from coverslip.core.node import Array, Group
from coverslip.formats.trees.image import image, in_order
from coverslip.formats.trees.ome_xml import Ome, Pixels, TiffData, Unfit, plain, read_ome
from coverslip.formats.trees.tiff_array import PageArray
from coverslip.formats.trees.tiff_bytes import COPY_AGAIN, Directory, FileBytes
from coverslip.formats.trees.tiff_files import DirectoryPages, Files
from coverslip.formats.trees.tiff_series import RGB_KINDS, RGB_NAMES
from coverslip.formats.trees.tiff_sets import COMPANION, description
from coverslip.formats.trees.vendor_names import unique_names

MOST_PLANES = 50_000_000


def read_set(path: Path, text: bytes) -> Ome:
    """The metadata of an OME-TIFF, from the file that holds it.

    Raises
    ------
    Damaged
        When that is missing or makes no sense.
    UnsafeLink
        When it names a file outside the folder.
    """
    ome = read_ome(text)
    if ome.master and ome.master != path.name:
        master = path.parent / ome.master
        if not master.is_file():
            raise Damaged(
                f"{ome.master}, which holds the metadata of {path.name}, is missing",
                "Copy all files of the set into one folder.",
            )
        ome = replace(read_ome(description(master)), uuid=None)
    if not ome.images:
        raise Unfit(f"{path.name} has OME-XML without an image", COPY_AGAIN)
    return ome


def ome_images(ome: Ome, files: Files) -> tuple[dict[str, Group], dict[str, Any]]:
    """Every image of an OME-TIFF by name, and the metadata they share.

    Raises
    ------
    Unfit
        When the metadata and the pages contradict each other.
    """
    names = unique_names([image.name for image in ome.images])
    found: dict[str, Group] = {}
    before = 0
    for name, pixels, raw in zip(names, ome.images, _raws(ome), strict=True):
        one = _OmeImage(ome, pixels, files, before)
        before += one.planes
        found[name] = one.group(pixels.name, raw)
    shared = {k: v for k, v in ome.raw["OME"].items() if k != "Image"}
    return found, {"ome": {"OME": shared}} if len(found) > 1 else {}


def _raws(ome: Ome) -> list[dict[str, Any]]:
    given = ome.raw["OME"].get("Image")
    each = given if isinstance(given, list) else [given] if given else []
    if len(ome.images) == 1:
        return [{"ome": ome.raw}]
    return [{"ome": {"OME": {"Image": each[i]}}} if i < len(each) else {} for i in range(len(ome.images))]


class _OmeImage:
    """Where the planes of one image lie."""

    def __init__(self, ome: Ome, pixels: Pixels, files: Files, before: int) -> None:
        self._pixels = pixels
        self._files = files
        self._before = before
        self._own = _own_names(ome, files)
        self._parts: list[FileBytes | str] = [files.main]
        self._part_of: dict[str, int] = {}
        self._samples = pixels.samples
        self._places()
        self._first = self._directory()
        self._page = files.keyframe(self._first)
        if self._page.samplesperpixel != self._samples:
            self._samples = int(self._page.samplesperpixel)
            self._places()
        self._check()

    @property
    def planes(self) -> int:
        """How many planes the image has."""
        return len(self._which)

    def _channels(self) -> int:
        count = self._pixels.sizes["C"]
        return count // self._samples if count % self._samples == 0 else count

    def _places(self) -> None:
        """Each plane's file and page, in the order ``t c z``."""
        sizes = {**self._pixels.sizes, "C": self._channels()}
        slow = self._pixels.order[:1:-1]
        shape = tuple(sizes[axis] for axis in slow)
        total = sizes["T"] * sizes["C"] * sizes["Z"]
        if total > MOST_PLANES:
            raise Unsupported(f"An image of {total} planes is more than is read here", "Split it.")
        which, numbers = np.full(total, -1, np.int32), np.zeros(total, np.int64)
        blocks = self._pixels.blocks or (TiffData((0, 0, 0), self._before, None, None, None),)
        places = ["CZT".index(axis) for axis in slow]
        for block in blocks:
            at = 0
            for place, n in zip(places, shape, strict=True):
                if not 0 <= block.first[place] < n:
                    break
                at = at * n + block.first[place]
            else:
                stop = total if block.count is None else min(total, at + max(block.count, 0))
                which[at:stop] = self._part(block)
                numbers[at:stop] = block.ifd if stop - at == 1 else block.ifd + np.arange(stop - at)
        order = [slow.index(axis) for axis in "TCZ"]
        self._which = np.ascontiguousarray(which.reshape(shape).transpose(order)).ravel()
        self._numbers = np.ascontiguousarray(numbers.reshape(shape).transpose(order)).ravel()

    def _part(self, block: TiffData) -> int:
        name = block.file
        if name is None or name in self._own:
            return 0
        if name not in self._part_of:
            self._part_of[name] = len(self._parts)
            self._parts.append(name)
        return self._part_of[name]

    def _directory(self) -> Directory:
        """The first plane that is there."""
        failed: Damaged | None = None
        for part in range(len(self._parts)):
            at = np.flatnonzero(self._which == part)
            if not len(at):
                continue
            try:
                file = self._parts[part]
                return self._files.chain(self._file(file))[int(self._numbers[at[0]])]
            except UnsafeLink:
                raise
            except Damaged as error:
                failed = failed or error
        raise failed or Unfit("The OME-XML does not say where the planes of an image lie", COPY_AGAIN)

    def _file(self, part: FileBytes | str) -> FileBytes:
        return self._files.named(part) if isinstance(part, str) else part

    def _check(self) -> None:
        page, sizes = self._page, self._pixels.sizes
        if page.imagedepth != 1 or (page.imagelength, page.imagewidth) != (sizes["Y"], sizes["X"]):
            raise Unfit(
                f"The OME-XML speaks of {sizes['Y']} x {sizes['X']} pixels, its page holds {page.shape}", COPY_AGAIN
            )

    def _shape(self, page: tifffile.TiffPage) -> tuple[tuple[int, ...], str]:
        sizes, samples = self._pixels.sizes, self._samples
        shape: list[int] = [sizes["T"], self._channels(), sizes["Z"], page.imagelength, page.imagewidth]
        axes = "tczyx"
        if samples > 1:
            at = 5 if page.planarconfig == 1 else 3
            shape.insert(at, samples)
            axes = axes[:at] + "s" + axes[at:]
            if shape[1] == 1:
                del shape[1]
                axes = axes.replace("c", "")
        return tuple(shape), axes

    def _level(self, page: tifffile.TiffPage, level: int) -> PageArray:
        pages = DirectoryPages(self._files, self._parts, self._which, self._numbers, page, level)
        return PageArray(self._shape(page)[0], pages, page)

    def _levels(self) -> list[Array]:
        levels: list[Array] = [self._level(self._page, 0)]
        chain = self._files.chain(self._first.file)
        for offset in self._page.subifds or ():
            page = self._files.keyframe(chain.at(int(offset)))
            level = self._level(page, len(levels))
            if page.dtype != self._page.dtype or not _smaller(level.spec.shape, levels[-1].spec.shape):
                break
            levels.append(level)
        return levels

    def group(self, name: str, raw: dict[str, Any]) -> Group:
        """The image."""
        axes = self._shape(self._page)[1]
        rgb = self._samples in (3, 4) and "c" not in axes and self._page.photometric in RGB_KINDS
        meta = ImageMeta(plain(self._pixels.axes, axes), (), name, rgb, raw=raw)
        levels, meta = in_order(self._levels(), meta)
        count = levels[0].spec.shape[[a.name for a in meta.axes].index("c")]
        return image(levels, replace(meta, channels=self._named(count, rgb)))

    def _named(self, count: int, rgb: bool) -> Sequence[Channel]:
        if rgb:
            return RGB_NAMES[:count]
        given = self._pixels.channels
        return [*given[:count], *[Channel()] * (count - len(given))] if given else ()


def _smaller(shape: tuple[int, ...], than: tuple[int, ...]) -> bool:
    return shape != than and all(a <= b for a, b in zip(shape, than, strict=True))


def _own_names(ome: Ome, files: Files) -> set[str]:
    """Names by which the metadata means the file it was opened with, which may have been renamed since."""
    names = {files.main.name}
    if files.main.name.lower().endswith(COMPANION):
        return names
    mentioned = ome.files()
    for pixels in ome.images:
        names.update(b.file for b in pixels.blocks if b.file and ome.uuid and b.uuid == ome.uuid)
    if (
        len(mentioned) == 1
        and files.main.name not in mentioned
        and not (files.main.path.parent / mentioned[0]).is_file()
    ):
        names.update(mentioned)
    return names
