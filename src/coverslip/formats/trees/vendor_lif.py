"""How the pixels of one Leica image lie in the file, as its XML describes them.

Source: Leica Image File Formats LIF, XLEF, XLLF, LOF 3.2 (Leica Microsystems, 2016): ``DimensionDescription`` and
``ChannelDescription`` give the distance in bytes from one element, and from the first channel, to the next.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree

import numpy as np
import numpy.typing as npt

from coverslip.core.errors import Damaged, Unsupported
from coverslip.core.ngff import Axis, Channel
from coverslip.formats.trees.vendor_handle import FileBytes
from coverslip.formats.trees.vendor_names import number, step_of

DIMENSIONS = "./Data/Image/ImageDescription/Dimensions/DimensionDescription"
CHANNELS = "./Data/Image/ImageDescription/Channels/ChannelDescription"
LETTERS = {1: "x", 2: "y", 3: "z", 4: "t", 5: "w", 6: "a", 7: "n", 8: "q", 9: "v", 10: "m", 11: "l"}
"""By ``DimID``; ``w`` and ``v`` are wavelengths of emission and excitation, ``a`` rotation, ``m`` tiles of a mosaic."""
COLORS = {
    "red": "FF0000", "green": "00FF00", "blue": "0000FF", "cyan": "00FFFF", "magenta": "FF00FF", "yellow": "FFFF00",
    "gray": "FFFFFF", "grey": "FFFFFF",
}  # fmt: skip
FACTORS = {"m": ("micrometer", 1e6), "s": ("second", 1.0)}
COLOR = re.compile(r"#(?:[0-9A-Fa-f]{2})?([0-9A-Fa-f]{6})")
DAMAGED = "The file is damaged; copy it again."


@dataclass(frozen=True, slots=True)
class Dimension:
    """One dimension: how many elements, and how many bytes from one to the next."""

    letter: str
    count: int
    inc: int
    step: float | None
    unit: str | None

    @property
    def axis(self) -> Axis:
        """Its axis."""
        return Axis(self.letter, self.step or 1.0, self.unit if self.step else None)


@dataclass(frozen=True, slots=True)
class Stored:
    """One channel: its type, the bytes from the first channel to it, and what it is called."""

    dtype: np.dtype[Any]
    inc: int
    tag: int
    channel: Channel


def dimensions(element: ElementTree.Element) -> list[Dimension]:
    """The dimensions of an image; where ``y`` is missing, depth or time take its place, as LAS X shows such scans."""
    found: list[Dimension] = []
    for described in element.findall(DIMENSIONS):
        count, inc, kind = (_whole(described, key) for key in ("NumberOfElements", "BytesInc", "DimID"))
        if count < 1 or inc < 0:
            raise Damaged(f"{element.get('Name')} has a dimension of {count} elements", DAMAGED)
        letter = LETTERS.get(kind, "u")
        taken = {d.letter for d in found}
        letter = next(c for c in (letter, *"uopbdefghijk") if c not in taken)
        found.append(Dimension(letter, count, inc, *_step(described, count, letter)))
    present = {d.letter: d for d in found if d.count > 1}
    if "x" not in {d.letter for d in found}:
        raise Unsupported(f"{element.get('Name')} has no width", "Only images are shown.")
    if "y" not in present and (rows := present.get("z") or present.get("t")):
        found = [d for d in found if d.letter not in ("y", rows.letter)]
        found.append(Dimension("y", rows.count, rows.inc, rows.step, rows.unit))
    if "y" not in {d.letter for d in found}:
        found.append(Dimension("y", 1, 0, None, None))
    return [d for d in found if d.count > 1 or d.letter in "yx"]


def channels(element: ElementTree.Element) -> list[Stored]:
    """The channels of an image, those of a colour picture in the order red, green, blue."""
    described = element.findall(CHANNELS)
    labels = [_label(one) for one in described]
    found = []
    for i, one in enumerate(described):
        bits, kind = _whole(one, "Resolution"), _whole(one, "DataType")
        if not 0 < bits <= 64 or kind not in (0, 1) or (kind == 1 and bits <= 8):
            raise Damaged(f"{element.get('Name')} says its channel has {bits} bits", DAMAGED)
        size = next(n for n in (1, 2, 4, 8) if bits <= 8 * n)
        name = labels[i] if labels[i] and labels.count(labels[i]) == 1 else f"Channel {i}"
        lut = (one.get("LUTName") or "").strip()
        match = COLOR.fullmatch(lut)
        color = match[1].upper() if match else COLORS.get(lut.lower())
        found.append(
            Stored(
                np.dtype(f"{'uf'[kind]}{size}"),
                _whole(one, "BytesInc"),
                _whole(one, "ChannelTag"),
                Channel(name, color),
            )
        )
    if not found:
        raise Damaged(f"{element.get('Name')} has no channels", DAMAGED)
    return sorted(found, key=lambda c: c.tag) if is_rgb(found) else found


def is_rgb(found: list[Stored]) -> bool:
    """Whether the channels are red, green and blue of one picture."""
    return sorted(c.tag for c in found) == [1, 2, 3] and len({c.dtype for c in found}) == 1


class Plane:
    """Rows and columns of one image at any place in its memory block."""

    def __init__(self, data: FileBytes, offset: int, rows: Dimension, columns: Dimension) -> None:
        self._data = data
        self._offset = offset
        self._rows = rows
        self._columns = columns

    def read(self, at: int, rows: slice, columns: slice, incs: list[int], dtype: np.dtype[Any]) -> npt.NDArray[Any]:
        """Pixels of shape (channels, rows, columns), from ``at`` in the block on, of channels that lie side by side."""
        outer, inner, cut_outer, cut_inner = self._rows, self._columns, rows, columns
        swapped = outer.inc < inner.inc and outer.count > 1
        if swapped:
            outer, inner, cut_outer, cut_inner = inner, outer, cut_inner, cut_outer
        lines, across = cut_outer.stop - cut_outer.start, cut_inner.stop - cut_inner.start
        if not lines or not across:
            return np.empty((len(incs), rows.stop - rows.start, columns.stop - columns.start), dtype)
        first = min(incs)
        length = (across - 1) * inner.inc + max(incs) - first + dtype.itemsize
        start = self._offset + at + first + cut_outer.start * outer.inc + cut_inner.start * inner.inc
        found = self._data.rows(start, outer.inc, lines, length)
        out = np.empty((len(incs), lines, across), dtype)
        for i, inc in enumerate(incs):
            part = found[:, inc - first : length - (max(incs) - inc)]
            if inner.inc == dtype.itemsize:
                out[i] = np.ascontiguousarray(part).view(dtype)
            else:
                shape, strides = (lines, across, dtype.itemsize), (part.strides[0], inner.inc, 1)
                picked = np.lib.stride_tricks.as_strided(part, shape, strides, writeable=False)
                out[i] = np.ascontiguousarray(picked).view(dtype)[:, :, 0]
        return out.transpose(0, 2, 1) if swapped else out


def extent(found: list[Dimension], stored: list[Stored]) -> int:
    """How many bytes of its memory block an image needs."""
    last = sum((d.count - 1) * d.inc for d in found)
    return last + max(c.inc + c.dtype.itemsize for c in stored)


def walk(root: ElementTree.Element) -> Iterator[tuple[str, ElementTree.Element]]:
    """Names and elements of all images; names of folders come before those of what is in them."""
    for project in root.findall("./Element"):
        if project.find("./Data/Image") is not None:
            yield project.get("Name") or "", project
        yield from _below(project, "", 0)


def _below(element: ElementTree.Element, path: str, depth: int) -> Iterator[tuple[str, ElementTree.Element]]:
    for child in element.findall("./Children/Element") if depth < 50 else ():
        name = f"{path} {child.get('Name') or ''}".strip()
        if child.find("./Data/Image") is not None:
            yield name, child
        yield from _below(child, name, depth + 1)


def _whole(element: ElementTree.Element, key: str) -> int:
    try:
        return int(element.get(key) or 0)
    except ValueError as error:
        raise Damaged(f"{key} of an image is {element.get(key)!r}", DAMAGED) from error


def _step(described: ElementTree.Element, count: int, letter: str) -> tuple[float | None, str | None]:
    """Step and unit; ``Length`` is from the first element to the last."""
    length, unit = number(described.get("Length")), described.get("Unit") or ""
    if length is None or count < 2 or letter in "mu":
        return None, None
    name, factor = FACTORS.get(unit, (unit or None, 1.0))
    if letter in "wv" and unit == "m":
        name, factor = "nanometer", 1e9
    step = step_of(math.fabs(length) / (count - 1), factor)
    return (step, name) if step and name else (None, None)


def _label(described: ElementTree.Element) -> str:
    for told in described.findall("./ChannelProperty"):
        if (told.findtext("Key") or "").strip() == "DyeName" and (told.findtext("Value") or "").strip():
            return (told.findtext("Value") or "").strip()
    return (described.get("LUTName") or "").strip()
