"""Frames of DICOM images decoded: JPEG, JPEG-LS, JPEG 2000 (also high-throughput) and RLE, by imagecodecs.

Sizes are read from the codestream first, so that a damaged one cannot make the decoder claim the machine's memory.

Source: DICOM PS3.5 section 8.2 and annexes A, G; ISO/IEC 10918-1 B.2 (markers), 10918-5 (JFIF), 14495-1 C.2 (JPEG-LS)
and 15444-1 A.5 (JPEG 2000).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from coverslip.core.errors import Damaged, Unsupported
from coverslip.formats.trees.source import need

JPEG = {"1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.51"}
JPEG_LOSSLESS = {"1.2.840.10008.1.2.4.57", "1.2.840.10008.1.2.4.70"}
JPEG_LS = {"1.2.840.10008.1.2.4.80", "1.2.840.10008.1.2.4.81"}
JPEG_2000 = {
    "1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.4.91", "1.2.840.10008.1.2.4.92", "1.2.840.10008.1.2.4.93",
    "1.2.840.10008.1.2.4.201", "1.2.840.10008.1.2.4.202", "1.2.840.10008.1.2.4.203",
}  # fmt: skip
RLE = {"1.2.840.10008.1.2.5"}
ENCAPSULATED = JPEG | JPEG_LOSSLESS | JPEG_LS | JPEG_2000 | RLE
FRAME_MARKERS = {0xC0, 0xC1, 0xC2, 0xC3, 0xC5, 0xC6, 0xC7, 0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF, 0xF7}
RGB_NAMES = ((82, 71, 66), (114, 103, 98))
"""Components called R, G, B (or r, g, b) in ASCII."""
# What imagecodecs and numpy raise for bytes that make no sense; imagecodecs' own errors are RuntimeError.
NONSENSE = (RuntimeError, ValueError, TypeError, IndexError, OverflowError, MemoryError, struct.error, EOFError)


@dataclass(frozen=True, slots=True)
class Codestream:
    """What the header of a compressed frame says.

    Attributes
    ----------
    rows, columns, samples, precision
        Shape of the frame and bits of a sample.
    signed
        Whether samples are signed (JPEG 2000 only).
    rgb
        Whether it says that its colours are RGB (True) or YCbCr (False); None where it says nothing.
    """

    rows: int
    columns: int
    samples: int
    precision: int
    signed: bool = False
    rgb: bool | None = None


def jpeg_header(data: bytes) -> Codestream:
    """The header of a JPEG or JPEG-LS frame; ``ValueError`` when there is none."""
    at, adobe, jfif = data.find(b"\xff\xd8") + 2, None, False
    while 2 <= at <= len(data) - 4:
        if data[at] != 0xFF:
            raise ValueError("no marker where one must be")
        marker, length = data[at + 1], int.from_bytes(data[at + 2 : at + 4], "big")
        if marker == 0xFF:  # fill bytes before a marker
            at += 1
            continue
        body = data[at + 4 : at + 2 + length]
        if marker in FRAME_MARKERS:
            precision, rows, columns, samples = struct.unpack_from(">BHHB", body)
            names = tuple(body[6 : 6 + 3 * samples : 3])
            says = True if names in RGB_NAMES else adobe if adobe is not None else False if jfif else None
            return Codestream(rows, columns, samples, precision, rgb=says)
        if marker == 0xEE and body.startswith(b"Adobe") and len(body) >= 12:
            adobe = body[11] == 0
        jfif = jfif or (marker == 0xE0 and body.startswith(b"JFIF"))
        at += 2 + length
    raise ValueError("no frame header")


def jpeg2000_header(data: bytes) -> Codestream:
    """The SIZ segment of a JPEG 2000 codestream, bare or in a JP2 file; ``ValueError`` when there is none."""
    at = data.find(b"\xff\x4f\xff\x51")
    if at < 0:
        raise ValueError("no SIZ segment")
    right, bottom, left, top = struct.unpack_from(">4I", data, at + 8)
    samples, depth = struct.unpack_from(">HB", data, at + 40)
    return Codestream(bottom - top, right - left, samples, (depth & 0x7F) + 1, bool(depth & 0x80))


def decode(data: bytes, syntax: str, shape: tuple[int, ...], dtype: np.dtype[Any], stored: int, ybr: bool) -> Any:
    """A frame of ``shape`` (rows, columns) or (rows, columns, samples); as RGB where the codec itself mixes colours.

    Parameters
    ----------
    data
        The compressed frame, fragments joined.
    syntax
        UID of the transfer syntax.
    shape
        What the DICOM header announces.
    dtype
        What the DICOM header announces, in native byte order; the result has it.
    stored
        Bits Stored.
    ybr
        Whether Photometric Interpretation is one of YBR; asked where a JPEG says nothing itself.

    Raises
    ------
    Damaged
        When the bytes are not such a frame.
    Unsupported
        When the transfer syntax is another.
    """
    codecs = need("imagecodecs", "compressed DICOM")
    try:
        if syntax in RLE:
            return _rle(codecs, data, shape, dtype, stored)
        if syntax in JPEG_2000:
            header = jpeg2000_header(data)
            _check(header, shape)
            found = codecs.jpeg2k_decode(data)
        elif syntax in JPEG | JPEG_LOSSLESS | JPEG_LS:
            header = jpeg_header(data)
            _check(header, shape)
            found = _jpeg(codecs, data, syntax, header, ybr)
        else:
            raise Unsupported(f"The transfer syntax {syntax} is not read", "Convert it, e.g. with gdcmconv --raw.")
        return _fitted(found, header, shape, dtype)
    except NONSENSE as error:
        text = str(error).splitlines()[0] if str(error) else error.__class__.__name__
        raise Damaged(f"A frame cannot be decompressed: {text}", "The file is damaged; copy it again.") from error


def _check(header: Codestream, shape: tuple[int, ...]) -> None:
    found = (header.rows, header.columns, header.samples)
    if found != (*shape, 1)[:3]:
        raise ValueError(f"it is {found}, the header says {shape}")


def _jpeg(codecs: Any, data: bytes, syntax: str, header: Codestream, ybr: bool) -> npt.NDArray[Any]:
    if syntax in JPEG_LS:
        # CharLS needs seconds to see that a truncated stream has no end; with one it sees it at once.
        found: npt.NDArray[Any] = codecs.jpegls_decode(data + b"\xff\xd9")
    elif header.samples == 1:
        found = codecs.jpeg8_decode(data)
    else:
        # Lossless JPEG never mixes colours: what DICOM calls YBR there is converted by whoever asked.
        rgb = (header.rgb if header.rgb is not None else not ybr) or syntax in JPEG_LOSSLESS
        found = codecs.jpeg8_decode(data, colorspace="RGB" if rgb else "YCBCR", outcolorspace="RGB")
    return found


def _rle(codecs: Any, data: bytes, shape: tuple[int, ...], dtype: np.dtype[Any], stored: int) -> npt.NDArray[Any]:
    """Segments of packed bytes, the highest byte of each sample first.

    imagecodecs has a codec for whole frames, too, but it trusts the offsets in the header.
    """
    size, count = dtype.itemsize, shape[0] * shape[1]
    samples = shape[2] if shape[2:] else 1
    number, *starts = struct.unpack_from("<16I", data)
    ends = [*starts[1:number], len(data)]
    if number != samples * size or any(not 64 <= a <= b <= len(data) for a, b in zip(starts, ends, strict=False)):
        raise ValueError("its segments do not lie where it says")
    planes = np.empty((samples, size, count), np.uint8)
    for i, (first, last) in enumerate(zip(starts, ends, strict=False)):
        unpacked = codecs.packbits_decode(data[first:last])[:count]
        if len(unpacked) != count:
            raise ValueError("a segment ends too early")
        planes[divmod(i, size)] = np.frombuffer(unpacked, np.uint8)
    values = np.ascontiguousarray(planes.transpose(2, 0, 1)).view(dtype.newbyteorder(">")).astype(dtype)
    return sign_extended(values.reshape(shape), stored)


def _fitted(found: npt.NDArray[Any], header: Codestream, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Any:
    """The decoded frame in the dtype that was announced, with the sign DICOM gives it."""
    pixels = np.asarray(found).reshape(shape)
    if pixels.dtype == dtype and (header.signed or dtype.kind == "u"):
        return pixels
    # Containers differ by the codestream's precision; bits above it say nothing where the sign is not the same.
    wide = pixels.astype(dtype.newbyteorder("="), casting="unsafe")
    return wide if header.signed == (dtype.kind == "i") else sign_extended(wide, header.precision)


def sign_extended(pixels: npt.NDArray[Any], stored: int) -> npt.NDArray[Any]:
    """``pixels`` with the bits above the lowest ``stored`` filled as their dtype's sign asks for."""
    shift = 8 * pixels.dtype.itemsize - stored
    if shift <= 0 or pixels.dtype.kind not in "iu":
        return pixels
    return (pixels << shift) >> shift


def rgb_of_ybr(pixels: npt.NDArray[Any], stored: int) -> npt.NDArray[Any]:
    """RGB of YBR_FULL; the samples are the last axis, and ``stored`` bits wide.

    Source: DICOM PS3.3 C.7.6.3.1.2.
    """
    mix = np.array([[1, 1, 1], [0, -0.114 * 1.772 / 0.587, 1.772], [1.402, -0.299 * 1.402 / 0.587, 0]], np.float32)
    half = 1 << (stored - 1)
    mixed = (pixels.astype(np.float32) - np.array([0, half, half], np.float32)) @ mix
    whole: npt.NDArray[Any] = np.clip(np.floor(mixed + 0.5), 0, 2 * half - 1).astype(pixels.dtype)
    return whole
