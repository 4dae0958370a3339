"""NIfTI-1 and NIfTI-2: ``.nii``, ``.nii.gz`` and pairs of ``.hdr`` and ``.img``, read by slice.

Pixels come as they are stored; ``scl_slope`` and ``scl_inter`` are in the metadata and are not applied. In the file x
changes fastest, so the axes in C order are ``[w, v,] [c,] t, z, y, x``: the fifth axis holds vectors and becomes
channels, RGB24 becomes channels too, and a complex number becomes the channels Real and Imaginary. ``db_name``, where
some programs write who was scanned, and header extensions are left out of the metadata.

Source: https://nifti.nimh.nih.gov/pub/dist/src/niftilib/nifti1.h and ``nifti2.h``; nibabel 5 for the headers.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from coverslip.core.errors import Damaged, Unsupported
from coverslip.core.format import Format
from coverslip.core.ngff import Axis, Channel, ImageMeta
from coverslip.core.node import Source
from coverslip.formats.trees.flat import FlatArray, open_bytes
from coverslip.formats.trees.gzip_index import MAGIC, inflate_head
from coverslip.formats.trees.image import image, in_order
from coverslip.formats.trees.source import PathSource, need
from coverslip.formats.trees.vendor_names import plain

NAMES = "xyztcvw"
"""The axes of a file, fastest first; the last two have no meaning that the standard gives."""
HEADER_BYTES = {1: 348, 2: 540}
EXTENSION_FLAGS = 4
"""Bytes between the header and the pixels of a single file that does not say where they start."""
UNITS = {1: "meter", 2: "millimeter", 3: "micrometer", 8: "second", 16: "millisecond", 24: "microsecond"}
MOST_HEADER = 540
CIFTI = range(3000, 3100)
"""Intent codes of CIFTI-2, which keeps matrices in a NIfTI-2 file."""
RGB = (Channel("Red", "FF0000"), Channel("Green", "00FF00"), Channel("Blue", "0000FF"))
RGBA = (*RGB, Channel("Alpha", "FFFFFF", active=False))
COMPLEX = (Channel("Real"), Channel("Imaginary"))
LEFT_OUT = {"db_name", "extents", "session_error", "regular", "data_type", "glmax", "glmin", "unused_str"}
LABELS = 1002
"""The intent of an image whose values are numbers of objects."""
# What numpy raises for headers that make no sense, beside nibabel's own errors.
NONSENSE = (ValueError, TypeError, KeyError, IndexError, OverflowError, ArithmeticError, struct.error, UnicodeError)


def version_of(head: bytes) -> int:
    """1 or 2 for the first bytes of a NIfTI header of that version, 0 for anything else."""
    if head[344:347] in (b"n+1", b"ni1") and head[:4] in (struct.pack("<i", 348), struct.pack(">i", 348)):
        return 1
    if head[4:7] in (b"n+2", b"ni2") and head[:4] in (struct.pack("<i", 540), struct.pack(">i", 540)):
        return 2
    return 0


def _two_files(head: bytes) -> bool:
    return head[344:347] == b"ni1" or head[4:7] == b"ni2"


def _data_file(path: Path) -> Path:
    """The ``.img`` of a ``.hdr``."""
    for suffix in (".img", ".IMG", ".img.gz"):
        found = path.with_suffix(suffix)
        if found.is_file():
            return found
    raise Damaged(f"The pixels of {path.name} are missing", f"Put {path.stem}.img beside it.")


class Nifti:
    """Volumes of neuroimaging."""

    name = "nifti"
    expects = "NIfTI file (.nii, .nii.gz, .hdr with .img)"
    kind = "images"

    def claims(self, path: Path, head: bytes) -> bool:
        """By the magic bytes (inside gzip, too), or by the suffix ``.nii`` or ``.nii.gz``."""
        name = path.name.lower()
        if name.endswith((".nii", ".nii.gz")):
            return path.is_file()
        if head.startswith(MAGIC):
            head = inflate_head(head, MOST_HEADER)
        return version_of(head) > 0

    def members(self, path: Path) -> Sequence[Path]:
        """The file, and the ``.img`` of a ``.hdr``."""
        if path.name.lower().endswith((".nii", ".nii.gz")):
            return [path]
        try:
            with path.open("rb") as file:
                return [path, _data_file(path)] if _two_files(file.read(MOST_HEADER)) else [path]
        except (OSError, Damaged):
            return [path]

    def open(self, path: Path) -> Source:
        """Read the header, and see that all bytes are there."""
        head = _head(path)
        layout, meta = _understand(path.name, head)
        pixels = _data_file(path) if _two_files(head) else path
        data = open_bytes(pixels, layout.end)
        try:
            array = FlatArray(data, layout.offset, layout.shape, layout.dtype)
            levels, meta = in_order([array], meta)
            return PathSource(path, image(levels, meta), data.close, [path] if pixels == path else [path, pixels])
        except BaseException:
            data.close()
            raise


@dataclass(frozen=True)
class Layout:
    """Where the pixels are: byte offset, shape in C order, dtype as stored."""

    offset: int
    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    @property
    def end(self) -> int:
        """The byte after the last pixel."""
        return self.offset + self.dtype.itemsize * math.prod(self.shape)


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        head = file.read(1 << 16)
    return inflate_head(head, MOST_HEADER) if head.startswith(MAGIC) else head[:MOST_HEADER]


@np.errstate(all="ignore")  # fields that are not a number
def _understand(name: str, head: bytes) -> tuple[Layout, ImageMeta]:
    nibabel = need("nibabel", "NIfTI")
    own = (nibabel.spatialimages.HeaderDataError, nibabel.spatialimages.HeaderTypeError,
           nibabel.filebasedimages.ImageFileError, nibabel.wrapstruct.WrapStructError)  # fmt: skip
    version = version_of(head)
    if not version or len(head) < HEADER_BYTES[version]:
        raise Damaged(f"{name} has no whole NIfTI header", "The file is truncated or no NIfTI; copy it again.")
    kind = nibabel.nifti1.Nifti1Header if version == 1 else nibabel.nifti2.Nifti2Header
    try:
        header = kind(head[: HEADER_BYTES[version]], check=False)
        if int(header["intent_code"]) in CIFTI:
            raise Unsupported(f"{name} is CIFTI-2: matrices, not images", "Read it with nibabel.")
        sized = _axes(name, header)
        layout = _layout(name, header, sized, not _two_files(head))
        return layout, _meta(header, [axis for axis, _ in sized], layout.dtype)
    except (*NONSENSE, *own) as error:
        text = str(error).splitlines()[0] if str(error) else error.__class__.__name__
        raise Damaged(f"The header of {name} makes no sense: {text}", "The file is damaged; copy it again.") from error


def _layout(name: str, header: Any, axes: Sequence[tuple[Axis, int]], single: bool) -> Layout:
    stored = np.dtype(header.get_data_dtype())
    shape = tuple(size for _, size in axes)
    if stored.names:  # RGB24 and RGBA32 are records of bytes
        shape, stored = (*shape, len(stored.names)), np.dtype(np.uint8)
    elif stored.kind == "c" and stored.itemsize <= 16:
        shape, stored = (*shape, 2), np.dtype(f"{stored.byteorder}f{stored.itemsize // 2}")
    if stored.kind not in "iuf" or stored.itemsize > 8:
        raise Unsupported(f"{name} holds {stored}", "Convert it to float64 with nibabel.")
    offset, size = int(header["vox_offset"]), int(header["sizeof_hdr"])
    if single and offset < size:
        offset = size + EXTENSION_FLAGS
    return Layout(max(0, offset), shape, stored)


def _axes(name: str, header: Any) -> list[tuple[Axis, int]]:
    """Axes in C order with their lengths; of those beyond z only the ones that are longer than 1."""
    dims = [int(n) for n in header.get_data_shape()]
    dims += [1] * (2 - len(dims))
    if min(dims) < 1 or len(dims) > len(NAMES):
        raise Damaged(f"{name} announces the shape {dims}", "The file is damaged; copy it again.")
    steps = [abs(float(step)) for step in header["pixdim"][1:8]]
    code = int(header["xyzt_units"])
    units = [UNITS.get(code & 0x07)] * 3 + [UNITS.get(code & 0x38)] + [None] * 3
    found = []
    for letter, size, step, unit in zip(NAMES, dims, steps, units, strict=False):
        if letter in "xyz" or size > 1:
            known = math.isfinite(step) and step > 0 and letter in "xyzt"
            found.append((Axis(letter, step if known else 1.0, unit if known else None), size))
    return found[::-1]


def _meta(header: Any, axes: Sequence[Axis], dtype: np.dtype[Any]) -> ImageMeta:
    stored = np.dtype(header.get_data_dtype())
    samples = len(stored.names) if stored.names else 2 if stored.kind == "c" else 0
    vectors = any(axis.name == "c" for axis in axes)
    channels: Sequence[Channel] = () if vectors or not samples else {2: COMPLEX, 3: RGB, 4: RGBA}[samples]
    if not samples and not vectors and (window := _window(header)):
        channels = (Channel(window=window),)
    return ImageMeta(
        [*axes, *([Axis("s")] if samples else [])],
        channels,
        rgb=samples == 3 and not vectors,
        label=int(header["intent_code"]) == LABELS and dtype.kind in "iu",
        raw=_raw(header),
    )


def _rescale(header: Any) -> tuple[float, float] | None:
    slope, intercept = float(header["scl_slope"]), float(header["scl_inter"])
    if not math.isfinite(slope) or slope == 0 or not math.isfinite(intercept):
        return None
    return slope, intercept


def _window(header: Any) -> tuple[float, float] | None:
    """``cal_min`` and ``cal_max``, in stored values."""
    slope, intercept = _rescale(header) or (1.0, 0.0)
    ends = sorted((float(header[key]) - intercept) / slope for key in ("cal_min", "cal_max"))
    return (ends[0], ends[1]) if all(map(math.isfinite, ends)) and ends[0] < ends[1] else None


def _raw(header: Any) -> dict[str, Any]:
    fields = {}
    for key in header.structarr.dtype.names:
        if key not in LEFT_OUT:
            value = header[key].tolist()
            fields[key] = value.decode("latin-1").rstrip("\x00 ") if isinstance(value, bytes) else value
    found = {"nifti": fields}
    if rescale := _rescale(header):
        found["rescale"] = {"slope": rescale[0], "intercept": rescale[1]}
    if int(header["sform_code"]) > 0 or int(header["qform_code"]) > 0:
        found["affine"] = header.get_best_affine().tolist()
    clean: dict[str, Any] = plain(found)
    return clean


FORMAT: Format = Nifti()
