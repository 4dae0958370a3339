"""What is missing or slow in images."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from coverslip.core.errors import CoverslipError
from coverslip.domains.findings import Finding
from coverslip.domains.images import Image, Images

LARGE_PIXELS = 4096 * 4096
"""A plane with more pixels than this is never shown whole."""
HUGE_CHUNK_BYTES = 64 << 20
MOST_LOOKED_AT = 50


def check_images(images: Images) -> Iterator[Finding]:
    """Everything worth knowing of a source's images; reads no pixel."""
    for path in images.paths[:MOST_LOOKED_AT]:
        try:
            image = images[path]
        except CoverslipError as error:
            yield Finding("broken", "unreadable_image", path, error.message, error.hint)
            continue
        yield from _image(image)
    if len(images.paths) > MOST_LOOKED_AT:
        yield Finding(
            "note",
            "not_all",
            "",
            f"{MOST_LOOKED_AT} of {len(images.paths):,} images were looked at; the others are alike.",
        )


def _image(image: Image) -> Iterator[Finding]:
    spec, where = image.array.spec, image.path or image.name
    height, width = (spec.shape[i] if (i := image.axis(n)) is not None else 1 for n in "yx")
    stored = sum(level.stored is not None for level in image.levels)
    if height * width > LARGE_PIXELS and stored < 2:
        yield Finding(
            "slow", "no_pyramid", where,
            f"{height:,} × {width:,} pixels and no smaller copies of it: the first overview reads all of them.",
            "coverslip keeps the overview once it was made; OME-Zarr or a pyramidal OME-TIFF has it from the start.",
        )  # fmt: skip
    size = math.prod(spec.chunks or spec.shape) * spec.dtype.itemsize
    if size > HUGE_CHUNK_BYTES:
        yield Finding(
            "slow", "huge_chunks", where, f"One chunk is {size / 1e6:,.0f} MB: each tile reads that much.",
            "Write it with chunks of 512 to 1,024 pixels a side.",
        )  # fmt: skip
    sizes = [image.axes[i] for n in "yx" if (i := image.axis(n)) is not None]
    if sizes and all(axis.unit is None for axis in sizes) and not image.rgb:
        yield Finding(
            "note", "no_pixel_size", where, "Nothing tells how large a pixel is: there is no scale bar in µm.",
            "Write the pixel size into the file's metadata.",
        )  # fmt: skip
    if spec.dtype == np.float64:
        yield Finding("slow", "float64_pixels", where, "Pixels are float64; float32 is what is shown.",
                      "astype('float32') halves the file.")  # fmt: skip
