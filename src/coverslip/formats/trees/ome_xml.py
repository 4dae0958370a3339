"""OME-XML: what a file says of its images, read without trusting it.

A document type, entities and parameter entities are refused, as are huge and deep documents. Of
elements that repeat for each plane no more is kept than where the planes lie.

Source: OME Data Model, schema 2016-06, https://www.openmicroscopy.org/Schemas/OME/2016-06/ome.xsd; the OME-TIFF
specification, https://docs.openmicroscopy.org/ome-model/6.3.1/ome-tiff/specification.html.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any
from xml.parsers import expat

from coverslip.core.errors import Damaged, UnsafeLink, Unsupported
from coverslip.core.ngff import Axis, Channel, unit_name

MOST_BYTES = 256 << 20
MOST_DEPTH = 64
MOST_ELEMENTS = 4_000_000
MOST_RAW = 5000
"""How many elements of the XML are given on as raw metadata."""
MOST_TEXT = 4000
WRITE_AGAIN = "Write the file again with a current writer of OME-TIFF."
REPEATED = ("Plane", "BinData", "TiffData")
"""Elements of which there is one for each plane; they are counted, and of TiffData the attributes are kept."""


@dataclass(slots=True)
class Element:
    """One XML element, its name without the namespace."""

    name: str
    attrs: dict[str, str]
    children: list[Element] = field(default_factory=list)
    text: str = ""
    omitted: dict[str, int] = field(default_factory=dict)
    blocks: list[dict[str, str]] = field(default_factory=list)

    def all(self, name: str) -> list[Element]:
        """The children of this name."""
        return [child for child in self.children if child.name == name]

    def first(self, name: str) -> Element | None:
        """The first child of this name."""
        return next((child for child in self.children if child.name == name), None)


_NOTHING = Element("", {})


def parse(xml: str | bytes) -> Element:
    """The root element of a document.

    Raises
    ------
    Unsupported
        When it declares a document type or entities, or is very large or deep.
    Unfit
        When it is no XML.
    """
    data = xml.encode("utf-8", "surrogateescape") if isinstance(xml, str) else xml
    data = data.strip(b"\0 \t\r\n")
    if len(data) > MOST_BYTES:
        raise refused(f"of {len(data)} bytes")
    try:
        return _parsed(data)
    except expat.ExpatError as error:
        try:
            data.decode("utf-8")
        except UnicodeDecodeError:  # µ as one byte, which many writers put into what they call UTF-8
            data = data.decode("cp1252", "replace").encode()
        else:
            raise Unfit(f"The XML is damaged: {error}", WRITE_AGAIN) from error
    try:
        return _parsed(data)
    except expat.ExpatError as error:
        raise Unfit(f"The XML is damaged: {error}", WRITE_AGAIN) from error


def _parsed(data: bytes) -> Element:
    builder = _Builder()
    parser = expat.ParserCreate("utf-8")
    parser.buffer_text = True
    parser.StartDoctypeDeclHandler = builder.doctype
    parser.EntityDeclHandler = builder.entity
    parser.ExternalEntityRefHandler = builder.entity
    parser.StartElementHandler = builder.start
    parser.EndElementHandler = builder.end
    parser.CharacterDataHandler = builder.characters
    parser.Parse(data, True)
    assert builder.root is not None
    return builder.root


def refused(what: str) -> Unsupported:
    """The error for XML that is not read."""
    return Unsupported(f"The file holds XML {what}, which is not read", WRITE_AGAIN, "unsafe_xml")


class Unfit(Damaged):
    """Metadata that makes no sense, or says one thing while the pages say another."""


class _Builder:
    def __init__(self) -> None:
        self.root: Element | None = None
        self._open: list[Element] = []
        self._block: dict[str, str] | None = None
        self._count = 0

    def doctype(self, *_: Any) -> None:
        raise refused("with a document type")

    def entity(self, *_: Any) -> int:
        raise refused("with entities")

    def start(self, name: str, attrs: dict[str, str]) -> None:
        self._count += 1
        if len(self._open) >= MOST_DEPTH or self._count > MOST_ELEMENTS:
            raise refused("that is too deep or too long")
        name = name.rpartition(":")[2]
        if not self._open:
            element = self.root = Element(name, attrs)
        elif name in REPEATED or self._open[-1] is _NOTHING:
            element = _NOTHING
            self._repeated(name, attrs)
        else:
            element = Element(name, attrs)
            self._open[-1].children.append(element)
        self._open.append(element)

    def _repeated(self, name: str, attrs: dict[str, str]) -> None:
        parent = self._open[-1]
        if parent is not _NOTHING:
            parent.omitted[name] = parent.omitted.get(name, 0) + 1
        if name == "TiffData" and parent is not _NOTHING:
            self._block = attrs
            parent.blocks.append(attrs)
        elif name == "UUID" and self._block is not None:
            self._block["UUID.FileName"] = attrs.get("FileName", "")
            self._block["UUID"] = ""

    def end(self, name: str) -> None:
        self._open.pop()
        if name.endswith("TiffData"):
            self._block = None

    def characters(self, text: str) -> None:
        if self._open[-1] is not _NOTHING:
            self._open[-1].text += text
        elif self._block is not None and "UUID" in self._block:
            self._block["UUID"] += text


@dataclass(frozen=True, slots=True)
class TiffData:
    """Which planes lie where: ``count`` planes from ``(c, z, t)`` on, in pages from ``ifd`` on (None: not said)."""

    first: tuple[int, int, int]
    ifd: int
    count: int | None
    file: str | None
    uuid: str | None


@dataclass(frozen=True)
class Pixels:
    """One ``Image`` element."""

    name: str
    sizes: Mapping[str, int]
    order: str
    samples: int
    axes: Mapping[str, Axis]
    channels: tuple[Channel, ...]
    blocks: tuple[TiffData, ...]


@dataclass(frozen=True)
class Ome:
    """What an OME-XML document says.

    Attributes
    ----------
    uuid
        Of the file it lies in.
    master
        The file that holds the metadata, when this one says so (``BinaryOnly``).
    images
        In the order of the document.
    raw
        The document as plain JSON, without the elements that repeat for each plane.
    """

    uuid: str | None
    master: str | None
    images: tuple[Pixels, ...]
    raw: dict[str, Any]

    def files(self) -> list[str]:
        """Names of the files it mentions, each once, in order."""
        return list(dict.fromkeys(b.file for image in self.images for b in image.blocks if b.file))


def read_ome(xml: str | bytes) -> Ome:
    """Read an OME-XML document.

    Raises
    ------
    Unfit
        When it is no OME-XML.
    """
    root = parse(xml)
    if root.name != "OME":
        raise Unfit(f"The XML is {root.name[:40]!r}, not OME", WRITE_AGAIN)
    only = root.first("BinaryOnly")
    master = safe_name(only.attrs.get("MetadataFile")) if only is not None else None
    try:
        images = tuple(_pixels(image, pixels) for image in root.all("Image") for pixels in image.all("Pixels")[:1])
    except (ValueError, KeyError, OverflowError) as error:
        raise Unfit(f"The OME-XML is incomplete: {str(error)[:100]}", WRITE_AGAIN) from error
    return Ome(root.attrs.get("UUID"), master, images, to_json(root))


@lru_cache(8192)
def safe_name(name: str | None) -> str | None:
    """A file name that stays in the folder of the file that mentions it.

    Raises
    ------
    UnsafeLink
        When it leads elsewhere.
    """
    if name is None or not name.strip():
        return None
    text = name.strip()
    if re.search(r"[\\/\0]", text) or text in (".", "..") or re.match(r"[A-Za-z]:", text):
        last = re.split(r"[\\/]", text)[-1][:80]
        raise UnsafeLink(
            f"The OME-XML names a file {last!r} outside its folder", "Put all files of the set into one folder."
        )
    return text


def _pixels(image: Element, pixels: Element) -> Pixels:
    attrs = pixels.attrs
    sizes = {axis: int(attrs[f"Size{axis}"]) for axis in "XYZCT"}
    if min(sizes.values()) < 1:
        raise ValueError(f"a size of {min(sizes.values())}")
    order = attrs.get("DimensionOrder", "XYZCT")
    if sorted(order) != sorted("XYZCT") or not order.startswith("XY"):
        raise ValueError(f"dimension order {order[:10]!r}")
    described = pixels.all("Channel")
    samples = {int(c.attrs.get("SamplesPerPixel", 1)) for c in described} or {1}
    if len(samples) > 1:
        raise Unsupported("The channels of an image have different numbers of samples", "Convert it with Bio-Formats.")
    return Pixels(
        image.attrs.get("Name", ""),
        sizes,
        order,
        samples.pop(),
        _axes(attrs),
        tuple(_channel(c.attrs) for c in described),
        tuple(_block(d) for d in pixels.blocks),
    )


def _axes(attrs: Mapping[str, str]) -> dict[str, Axis]:
    found = {}
    for axis in "XYZ":
        step = _number(attrs.get(f"PhysicalSize{axis}"))
        unit = unit_name(attrs.get(f"PhysicalSize{axis}Unit", "µm"))
        if step and unit:
            found[axis.lower()] = Axis(axis.lower(), step, unit)
    step = _number(attrs.get("TimeIncrement"))
    if step:
        found["t"] = Axis("t", step, unit_name(attrs.get("TimeIncrementUnit", "s")))
    return found


def _number(text: str | None) -> float | None:
    """A number above 0, or None."""
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if math.isfinite(value) and value > 0 else None


def _channel(attrs: Mapping[str, str]) -> Channel:
    label = attrs.get("Name") or attrs.get("Fluor") or ""
    return Channel(label.strip(), color(attrs.get("Color")))


def color(text: str | None) -> str | None:
    """``RRGGBB`` of the model's colour: red, green, blue and alpha as one signed number of 32 bits.

    -1, white, is the model's default and says nothing.
    """
    try:
        value = int(text or "")
    except ValueError:
        return None
    if not -(1 << 31) <= value < 1 << 32 or value == -1:
        return None
    return f"{(value & 0xFFFFFFFF) >> 8:06X}"


def _block(attrs: Mapping[str, str]) -> TiffData:
    get = attrs.get
    first = (int(get("FirstC", 0)), int(get("FirstZ", 0)), int(get("FirstT", 0)))
    ifd = get("IFD")
    number = get("PlaneCount", get("NumPlanes"))
    count = int(number) if number is not None else (1 if ifd is not None else None)
    return TiffData(first, int(ifd or 0), count, safe_name(get("UUID.FileName")), get("UUID", "").strip() or None)


def to_json(root: Element, most: int = MOST_RAW) -> dict[str, Any]:
    """An element as plain JSON: attributes, text under ``_``, children in lists under their names.

    Elements that repeat for each plane are left out; ``_left_out`` tells how many of each.
    """
    left = [most]

    def convert(element: Element) -> dict[str, Any]:
        found: dict[str, Any] = {k.rpartition(":")[2]: short_path(v) for k, v in element.attrs.items()}
        found.pop("schemaLocation", None)
        text = element.text.strip()
        if text:
            found["_"] = short_path(text[:MOST_TEXT])
        omitted = dict(element.omitted)
        for child in element.children:
            if left[0] <= 0:
                omitted[child.name] = omitted.get(child.name, 0) + 1
                continue
            left[0] -= 1
            found.setdefault(child.name, []).append(convert(child))
        if omitted:
            found["_left_out"] = omitted
        return {k: v[0] if isinstance(v, list) and len(v) == 1 else v for k, v in found.items()}

    return {root.name: convert(root)}


_PATH = re.compile(r"(?<![\w/.:])(?:[A-Za-z]:[\\/]|\\\\|/(?=[\w.~-]+/))(?:[^\s\\/\"'<>|;,]+[\\/])*")


def short_path(text: str) -> str:
    """Text without the folders of absolute paths in it: metadata tells of machines it was written on."""
    return _PATH.sub("", text)


def check_xml(text: object) -> None:
    """Refuse XML that other libraries should not be given.

    Raises
    ------
    Unsupported
        When it has a document type or entities, or is huge.
    """
    if isinstance(text, str) and text.lstrip("\ufeff \t\r\n\0").startswith("<"):
        head: Sequence[str] = ("<!DOCTYPE", "<!ENTITY")
        if len(text) > MOST_BYTES or any(mark in text for mark in head):
            raise refused("with a document type")


def plain(axes: Mapping[str, Axis], names: str) -> list[Axis]:
    """The axes of these names; those not known have step 1 and no unit."""
    return [replace(axes.get(name, Axis(name)), name=name) for name in names]
