"""Leica ``.lif`` and ``.lof``: every image of the tree, read by its own bytes.

``liffile`` reads the header and finds the memory blocks; where an element of an image lies in its block follows from
the distances that the header gives for each dimension and channel, so that only the wanted rows are read. Images
are named by their folders and names. Axes are ``t c z y x``; wavelengths (``w`` emission, ``v`` excitation), rotation
(``a``), mosaic tiles (``m``) and the rarer ones come first. Raw photon counts (FLIM) are no images and not shown; what
LAS X computed from them is. Files that keep their pixels in other files (``.xlif``, ``.xlef``) are not read.

Source: Leica Image File Formats 3.2 (Leica Microsystems, 2016); https://github.com/cgohlke/liffile.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import numpy.typing as npt

from coverslip.core.errors import CoverslipError, Damaged, Unsupported
from coverslip.core.format import Format
from coverslip.core.ngff import Axis, Channel, ImageMeta
from coverslip.core.node import Group, Source
from coverslip.core.spec import Box
from coverslip.formats.trees.image import PlaneArray, image, images, in_order
from coverslip.formats.trees.source import PathSource, need
from coverslip.formats.trees.vendor_handle import TRUNCATED, FileBytes
from coverslip.formats.trees.vendor_lif import Dimension, Plane, Stored, channels, dimensions, extent, is_rgb, walk
from coverslip.formats.trees.vendor_names import plain, unique_names, xml_tree

MAGIC = b"\x70\x00\x00\x00"
MEMORY_MARK = 0x2A
HEADER = struct.Struct("<IIBI")
LEFT_OUT = ("Children", "Memory", "TimeStampList")
"""Parts of an image's metadata that are large or say nothing of it."""
RGB = (Channel("Red", "FF0000"), Channel("Green", "00FF00"), Channel("Blue", "0000FF"))
NONSENSE = (
    OSError, ValueError, KeyError, IndexError, TypeError, AttributeError, AssertionError, OverflowError, MemoryError,
    RuntimeError, ElementTree.ParseError, struct.error,
)  # fmt: skip


class LifImage:
    """The channels of one type of one image.

    Parameters
    ----------
    data
        The file.
    block
        Offset and size of the image's memory block, or None when it is not in the file.
    found
        Its dimensions.
    stored
        Its channels, all of one type.
    """

    def __init__(
        self, data: FileBytes, block: tuple[int, int] | None, found: list[Dimension], stored: list[Stored]
    ) -> None:
        self._data = data
        self._block = block
        self._stored = stored
        self._lead = [d for d in sorted(found, key=lambda d: -d.inc) if d.letter not in "yx"]
        self._rows, self._columns = (next(d for d in found if d.letter == letter) for letter in "yx")
        self._needs = extent(found, stored)
        incs = [c.inc for c in stored]
        # Samples of a pixel lie side by side: one pass over the bytes gives them all.
        self._together = len(stored) > 1 and max(incs) - min(incs) < max(self._columns.inc, 1)

    def array(self) -> PlaneArray:
        """All planes, read plane by plane; axes are those of `axes`."""
        lead = [d.count for d in self._lead]
        shape = (*lead, len(self._stored), self._rows.count, self._columns.count)
        return PlaneArray(shape, self._stored[0].dtype.newbyteorder("="), self._read, 3 if self._together else 2)

    @property
    def axes(self) -> list[Axis]:
        """One for each dimension, the channels' before ``y x``."""
        return [*(d.axis for d in self._lead), Axis("c"), self._rows.axis, self._columns.axis]

    def _read(self, index: tuple[int, ...], box: Box) -> npt.NDArray[Any]:
        offset = self._offset()
        at = sum(i * d.inc for i, d in zip(index, self._lead, strict=False))
        plane = Plane(self._data, offset, self._rows, self._columns)
        chosen = self._stored[box.slices[0]] if self._together else [self._stored[index[-1]]]
        if not chosen:
            return np.empty(box.shape, self._stored[0].dtype)
        dtype = chosen[0].dtype.newbyteorder("<")
        part = plane.read(at, box.slices[-2], box.slices[-1], [c.inc for c in chosen], dtype)
        return part.astype(dtype.newbyteorder("="), copy=False).reshape(box.shape)

    def _offset(self) -> int:
        if self._block is None:
            raise Damaged("The pixels of this image are not in the file", TRUNCATED)
        offset, size = self._block
        if self._needs > size:
            raise Damaged("The pixels of this image are cut off", TRUNCATED)
        return offset


def _groups(
    data: FileBytes, blocks: Mapping[str, tuple[int, int]], root: ElementTree.Element, stem: str, only: bool
) -> dict[str, Callable[[], Group]]:
    wanted: list[tuple[str, LifImage, list[Stored], ElementTree.Element]] = []
    for path, element in walk(root):
        found, stored = dimensions(element), channels(element)
        memory = element.find("./Memory")
        key = memory.get("MemoryBlockID", "") if memory is not None else ""
        block = next(iter(blocks.values()), None) if only else blocks.get(key)
        types = list(dict.fromkeys(c.dtype for c in stored))
        for dtype in types:
            same = [c for c in stored if c.dtype == dtype]
            name = f"{path or stem} {dtype}" if len(types) > 1 else path or stem
            wanted.append((name, LifImage(data, block, found, same), same, element))
    named = unique_names(name for name, *_ in wanted)
    return {n: (lambda n=n, w=w: _image(n, *w[1:])) for n, w in zip(named, wanted, strict=True)}  # type: ignore[misc]


def _image(name: str, lif: LifImage, stored: list[Stored], element: ElementTree.Element) -> Group:
    rgb = is_rgb(stored)
    raw = {"Element": {f"@{k}": v for k, v in element.attrib.items()}}
    raw["Element"] |= {child.tag: xml_tree(_pruned(child)) for child in element if child.tag not in LEFT_OUT}
    shown = list(RGB) if rgb else [c.channel for c in stored]
    meta = ImageMeta(lif.axes, shown, name, rgb=rgb, raw=plain(raw))
    return image(*in_order([lif.array()], meta))


def _pruned(element: ElementTree.Element) -> ElementTree.Element:
    kept = ElementTree.Element(element.tag, element.attrib)
    kept.text = element.text
    kept.extend([_pruned(child) for child in element if child.tag not in LEFT_OUT])
    return kept


def _check(data: FileBytes, path: Path) -> None:
    """The first bytes, before the library sees them."""
    magic, _, mark, length = HEADER.unpack(data.read(0, HEADER.size))
    if magic != int.from_bytes(MAGIC, "little") or mark != MEMORY_MARK:
        raise Damaged(f"{path} is not a Leica image file", "It has the suffix of one; look at what it is.")
    text = data.read(HEADER.size, 2 * length)[:8192].decode("utf-16-le", "replace")
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        raise Damaged(
            f"The metadata of {path.name} declares entities", "No microscope writes that; write the file again."
        )


class Lif:
    """Images of LAS AF and LAS X."""

    name = "lif"
    expects = "Leica .lif or .lof file"
    kind = "images"

    def claims(self, path: Path, head: bytes) -> bool:
        """By the magic bytes, or the suffix of a file."""
        by_bytes = head.startswith(MAGIC) and head[8:9] == bytes([MEMORY_MARK]) and head[13:15] in (b"<\0", b"L\0")
        return by_bytes or (path.suffix.lower() in (".lif", ".lof") and path.is_file())

    def open(self, path: Path) -> Source:
        """Read the header and find the memory blocks.

        Raises
        ------
        Damaged
            When the file is truncated or makes no sense.
        Unsupported
            When it is an extension of another file, or the library is not installed.
        """
        liffile = need("liffile", ".lif files")
        data = FileBytes(path)
        try:
            _check(data, path)
            # The library gets an open file and not the path: it would open every file that the header names.
            with path.open("rb") as stream:
                lif = liffile.LifFile(stream, squeeze=False)
                kind, root = lif.type.name, lif.xml_element
                blocks = {key: (int(b.offset), int(b.size)) for key, b in lif.memory_blocks.items()}
            if kind not in ("LIF", "LOF"):
                raise Unsupported(f"{path} is a Leica {kind} file", "Open the .lif or .lof file that belongs to it.")
            if any(offset + size > data.size for offset, size in blocks.values()):
                raise Damaged(f"{path.name} ends inside the pixels of an image", TRUNCATED)
            named = _groups(data, blocks, root, path.stem, kind == "LOF")
            if not named:
                raise Unsupported(f"{path} holds no images", "Photon counts (FLIM) alone are not shown.")
            return PathSource(path, images(named), data.close)
        except CoverslipError:
            data.close()
            raise
        except NONSENSE as error:
            data.close()
            text = (str(error).splitlines() or [""])[0] or error.__class__.__name__
            raise Damaged(f"{path.name} cannot be read: {text}", "The file is damaged; copy it again.") from error


FORMAT: Format = Lif()
