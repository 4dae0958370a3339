"""A small picture of a source, so that a person recognises it in a list."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from coverslip.core.errors import NotFound
from coverslip.core.stop import Stop
from coverslip.domains.cells import Cells, as_category
from coverslip.domains.images import Image
from coverslip.domains.planes import is_picture, level_within, plane_of, read_whole
from coverslip.domains.render import Look, color_of, composite, shrink
from coverslip.domains.statistics import statistics

PIXELS = 1 << 20
MOST_CHANNELS = 4
MOST_CATEGORIES = 60
FEW_CELLS = 20_000
MARGIN = 4
PALETTE = ("0072B2", "E69F00", "009E73", "CC79A7", "56B4E9", "D55E00", "F0E442", "999999")
"""Okabe and Ito, https://jfly.uni-koeln.de/color/."""


def no_thumbnail(why: str) -> NotFound:
    """What is answered where there is nothing to look at."""
    return NotFound(why, "", "no_thumbnail")


def image_thumbnail(image: Image, size: int, stop: Stop) -> npt.NDArray[np.uint8]:
    """The middle plane, first channels in their colours, contrast from the 1st to the 99.9th percentile."""
    if not is_picture(image) or 0 in image.array.spec.shape:
        raise no_thumbnail("This array is not a picture")
    level = level_within(image, PIXELS)
    middle = {name: n // 2 for name, n in zip(image.dims[:-2], image.array.spec.shape, strict=False) if name == "z"}
    if image.rgb:
        pixels = read_whole(image, level, plane_of(image, middle), stop)
        return shrink(_bytes(np.moveaxis(pixels, 0, -1)), size)
    axis = image.axis("c")
    count = image.array.spec.shape[axis] if axis is not None else 1
    shown = [i for i in range(min(count, len(image.channels))) if image.channels[i].active][:MOST_CHANNELS] or [0]
    planes, looks = [], []
    for channel in shown:
        stop.check()
        at = {**middle, "c": channel} if axis is not None else middle
        pixels = read_whole(image, level, plane_of(image, at), stop)
        figures = statistics(pixels)["percentiles"]
        low, high = figures["1"] or 0.0, figures["99.9"] or 0.0
        planes.append(pixels)
        looks.append(Look((low, high if high > low else low + 1), color_of(image.channels[channel].color or "FFFFFF")))
    return shrink(composite(planes, looks), size)


def _bytes(pixels: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    if pixels.dtype == np.uint8:
        return np.ascontiguousarray(pixels, np.uint8)
    values = np.nan_to_num(pixels.astype(np.float64), nan=0.0, posinf=0.0, neginf=0.0)
    # 12 bits in 16 are common, and numbers from 0 to 1 that do not reach it are not brightened.
    top = max(values.max(), 1.0) if values.size else 1.0
    return np.clip(values * (255 / top), 0, 255).astype(np.uint8)


def cells_thumbnail(cells: Cells, size: int, stop: Stop) -> npt.NDArray[np.uint8]:
    """The default embedding, each cell a dot in the colour of its category in the first field of a few, on white."""
    embedding = cells.default_embedding
    if embedding is None or embedding.width < 2:
        raise no_thumbnail("There is no embedding of two dimensions to look at")
    points = embedding.coordinates((0, 1))
    stop.check()
    known = np.isfinite(points).all(1)
    if not known.any():
        raise no_thumbnail("No cell has coordinates")
    where = points[known].astype(np.float64)
    room = size - 1 - 2 * MARGIN
    span = np.ptp(where, 0).max() or 1.0
    place = (where - where.min(0)) / span * room + MARGIN + (room - np.ptp(where, 0) / span * room) / 2
    columns, rows = np.round(place).astype(np.intp).T
    picture = np.full((size, size, 3), 255, np.uint8)
    ink = np.array([color_of(c) for c in PALETTE], np.uint8)[_codes(cells)[known] % len(PALETTE)]
    reach = (-1, 0, 1) if len(where) < FEW_CELLS else (0,)
    for down in reach:
        for right in reach:
            picture[np.clip(size - 1 - rows + down, 0, size - 1), np.clip(columns + right, 0, size - 1)] = ink
    return picture


def _codes(cells: Cells) -> npt.NDArray[np.int32]:
    for field in cells.fields:
        category = as_category(field)
        if category is not None and 2 <= category.n_categories <= MOST_CATEGORIES:
            return category.codes()
    return np.zeros(cells.n_cells, np.int32)
