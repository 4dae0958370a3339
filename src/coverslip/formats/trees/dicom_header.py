"""Headers of DICOM files, read by pydicom up to the pixels.

Source: DICOM PS3.5 (encoding), PS3.10 (files), PS3.3 C.7.6.3 (Image Pixel module).
"""

from __future__ import annotations

import os
import re
import struct
import threading
import warnings
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from coverslip.core.errors import Damaged, Unsupported
from coverslip.core.format import file_etag
from coverslip.formats.trees.dicom_codestream import ENCAPSULATED
from coverslip.formats.trees.dicom_pixels import TRUNCATED, Layout, Pixels
from coverslip.formats.trees.source import need

IMPLICIT, EXPLICIT = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1"
BIG, DEFLATED = "1.2.840.10008.1.2.2", "1.2.840.10008.1.2.1.99"
NATIVE = {IMPLICIT, EXPLICIT, BIG, DEFLATED}
KEYWORDS = {0x7FE00008: "FloatPixelData", 0x7FE00009: "DoubleFloatPixelData", 0x7FE00010: "PixelData"}
LONG_VRS = (b"OB", b"OW", b"OD", b"OF", b"OL", b"OV", b"UN", b"UC", b"UR", b"UT", b"SQ", b"SV", b"UV")
GREY = {"MONOCHROME1", "MONOCHROME2", "PALETTE COLOR"}
COLOUR = {"RGB", "YBR_FULL", "YBR_FULL_422", "YBR_RCT", "YBR_ICT", "YBR_PARTIAL_420", "YBR_PARTIAL_422"}
CODED_STRING = re.compile(r"[A-Z0-9_ ]{1,16}")
MOST_INFLATED = 1 << 30
LARGE = 1 << 26
"""Values of the header that are longer are read when somebody asks for them."""
# What pydicom raises beside its own errors, depending on where it meets what makes no sense.
NONSENSE = (EOFError, ValueError, TypeError, LookupError, AttributeError, ArithmeticError, struct.error, RuntimeError,
            AssertionError, MemoryError, zlib.error)  # fmt: skip
_quiet = threading.RLock()


@cache
def nonsense() -> tuple[type[Exception], ...]:
    """Everything that pydicom raises for bytes that make no sense."""
    errors = need("pydicom.errors", "DICOM")
    return (*NONSENSE, errors.BytesLengthException, errors.InvalidDicomError)


@contextmanager
def damage(name: str) -> Iterator[None]:
    """Call what pydicom cannot read damaged, and name it; its warnings say nothing to whoever looks at images."""
    caught: tuple[type[Exception], ...] = (OSError, *nonsense())
    try:
        with _quiet, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except caught as error:
        if isinstance(error, OSError) and error.errno is not None:  # the system's, not pydicom's
            raise
        # What pydicom says may quote the file, and with it a person.
        missing = isinstance(error, AttributeError) and str(error.name or "")
        text = f"{missing} is missing" if missing else f"its header makes no sense ({error.__class__.__name__})"
        raise Damaged(f"{name} cannot be read: {text}", "The file is damaged or truncated; copy it again.") from error


def code(dataset: Any, keyword: str) -> str:
    """A coded string (CS) of at most 16 capitals, digits, blanks and underscores; empty when it is none."""
    value = str(dataset.get(keyword) or "")
    return value if CODED_STRING.fullmatch(value) else ""


@dataclass(frozen=True)
class Element:
    """The element that holds the pixels: offset and length (None: encapsulated) of its value."""

    keyword: str
    vr: bytes
    offset: int
    length: int | None


@dataclass(frozen=True)
class Header:
    """What comes before the pixels.

    Attributes
    ----------
    path
        The file.
    dataset
        pydicom's, without the pixels.
    syntax
        UID of the transfer syntax.
    element
        The element of the pixels, or None for a file without.
    size, etag
        Of the file (size: of what it inflates to).
    inflate
        Gives what a deflated file holds.
    """

    path: Path
    dataset: Any
    syntax: str
    element: Element | None
    size: int
    etag: str
    inflate: Callable[[], bytes] | None = None


def read_header(path: Path, keywords: Sequence[str] | None = None) -> Header:
    """Everything before the pixels, or only the elements of these keywords.

    Raises
    ------
    Damaged
        When it is not a DICOM file that makes sense.
    """
    pydicom = need("pydicom", "DICOM")
    with damage(path.name), path.open("rb") as file:
        stat = os.fstat(file.fileno())
        head = file.read(4096)
        if re.search(re.escape(DEFLATED.encode()) + rb"[\0\x02]", head):
            return _read_deflated(path, stat)
        file.seek(0)
        dataset = pydicom.dcmread(
            file, defer_size=LARGE, stop_before_pixels=True, force=True, specific_tags=list(keywords or ()) or None
        )
        implicit, little = dataset.original_encoding
        guess = IMPLICIT if implicit else EXPLICIT if little else BIG
        syntax = re.sub(r"[^0-9.]", "", str(dataset.file_meta.get("TransferSyntaxUID") or guess))[:64]
        element = _element(file, implicit, little)
        return Header(path, dataset, syntax, element, stat.st_size, file_etag(stat))


def _read_deflated(path: Path, stat: os.stat_result) -> Header:
    pydicom = need("pydicom", "DICOM")
    meta = pydicom.filereader.read_file_meta_info(str(path))
    start = 132 + 12 + int(meta.FileMetaInformationGroupLength)

    def inflate() -> bytes:
        with path.open("rb") as file, damage(path.name):
            file.seek(start)
            engine = zlib.decompressobj(-zlib.MAX_WBITS)
            data = engine.decompress(file.read(), MOST_INFLATED)
            if engine.unconsumed_tail:
                raise Unsupported(f"{path.name} inflates to more than 1 GiB", "Convert it: gdcmconv --raw in out.")
            return data

    data = inflate()
    stream = BytesIO(data)
    dataset = pydicom.filereader.read_dataset(stream, False, True, stop_when=lambda tag, vr, length: tag in KEYWORDS)
    dataset.file_meta = meta
    return Header(path, dataset, DEFLATED, _element(stream, False, True), len(data), file_etag(stat), inflate)


def _element(stream: IO[bytes], implicit: bool, little: bool) -> Element | None:
    order = "<" if little else ">"
    start, head = stream.tell(), stream.read(12)
    if len(head) < 8:
        return None
    group, number = struct.unpack_from(f"{order}2H", head)
    keyword = KEYWORDS.get(group << 16 | number)
    if keyword is None:
        return None
    # Some files say one encoding and use the other; the element itself shows which.
    implicit = head[6:8] != b"\0\0" or head[4:6] not in LONG_VRS if implicit else not head[4:6].isupper()
    vr = b"OW" if implicit else head[4:6]
    if implicit:
        at, length = 8, struct.unpack_from(f"{order}I", head, 4)[0]
    elif vr in LONG_VRS:
        at, length = 12, struct.unpack_from(f"{order}I", head, 8)[0]
    else:
        at, length = 8, struct.unpack_from(f"{order}H", head, 6)[0]
    return Element(keyword, vr, start + at, None if length == 0xFFFFFFFF else length)


def pixels_of(header: Header) -> Pixels:
    """The frames of a file whose pixels lie where the header says.

    Raises
    ------
    Unsupported
        When it holds no pixels, or of a kind that is not read.
    Damaged
        When the header makes no sense, or the file ends too early.
    """
    name, element = header.path.name, header.element
    with damage(name):
        if element is None:
            kind = code(header.dataset, "Modality") or "of another kind"
            raise Unsupported(f"{name} holds no pixels ({kind})", "Open an image of the same study.", "no_pixels")
        layout = _layout(name, header, element)
        _check(name, header, element, layout)
        palette = _palette(header.dataset, layout) if layout.photometric == "PALETTE COLOR" else None
    return Pixels(header.path, layout, element.offset, element.length, header.etag, palette, header.inflate)


def _layout(name: str, header: Header, element: Element) -> Layout:
    dataset = header.dataset
    allocated = int(dataset.BitsAllocated)
    stored = int(dataset.get("BitsStored") or allocated)
    samples = int(dataset.get("SamplesPerPixel") or 1)
    big = header.syntax == BIG
    return Layout(
        rows=int(dataset.Rows),
        columns=int(dataset.Columns),
        samples=samples,
        frames=max(1, int(dataset.get("NumberOfFrames") or 1)),
        allocated=allocated,
        stored=stored if 0 < stored <= allocated else allocated,
        dtype=_dtype(name, element.keyword, allocated, bool(dataset.get("PixelRepresentation"))),
        planar=samples > 1 and int(dataset.get("PlanarConfiguration") or 0) == 1,
        photometric=code(dataset, "PhotometricInterpretation") or ("MONOCHROME2" if samples == 1 else "RGB"),
        syntax=header.syntax,
        big=big,
        words=big and allocated == 8 and element.vr == b"OW",
    )


def _dtype(name: str, keyword: str, allocated: int, signed: bool) -> np.dtype[Any]:
    if keyword != "PixelData":
        return np.dtype(np.float32 if keyword == "FloatPixelData" else np.float64)
    if allocated == 1:
        return np.dtype(np.uint8)
    if allocated not in (8, 16, 32, 64):
        raise Unsupported(f"{name} has {allocated} bits a pixel", "Convert it: gdcmconv --raw in out.")
    return np.dtype(f"{'i' if signed else 'u'}{allocated // 8}")


def _check(name: str, header: Header, element: Element, layout: Layout) -> None:
    if layout.rows < 1 or layout.columns < 1:
        raise Damaged(f"{name} announces {layout.rows} x {layout.columns} pixels", TRUNCATED)
    known = GREY if layout.samples == 1 else COLOUR if layout.samples == 3 else set()
    native = element.length is not None
    partial = layout.photometric.startswith("YBR_PARTIAL") and native
    if layout.photometric not in known or partial or (layout.halved and native and layout.columns % 2):
        raise Unsupported(
            f"{name} is {layout.photometric} with {layout.samples} samples", "Convert it to RGB, e.g. with dcmdjpeg."
        )
    if header.syntax not in (NATIVE if native else ENCAPSULATED):
        raise Unsupported(f"{name} has the transfer syntax {header.syntax}", "Convert it: gdcmconv --raw in out.")
    if element.length is not None and (element.length < layout.size or element.offset + layout.size > header.size):
        raise Damaged(f"{name} ends too early", TRUNCATED)
    if 8 * layout.frames > header.size and not native:
        raise Damaged(f"{name} announces {layout.frames} frames", TRUNCATED)


def _palette(dataset: Any, layout: Layout) -> npt.NDArray[Any]:
    """A colour for every value of the dtype, shape (values, 3)."""
    if layout.dtype.itemsize > 2:
        raise Unsupported("A palette for more than 16 bits is not read", "Convert the file to RGB.")
    processing = need("pydicom.pixels.processing", "DICOM")
    ends = np.iinfo(layout.dtype)
    colours: npt.NDArray[Any] = processing.apply_color_lut(
        np.arange(ends.min, ends.max + 1).astype(layout.dtype), dataset
    )
    return np.ascontiguousarray(colours[..., :3])
