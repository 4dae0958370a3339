"""Parts of an image that are looked at: tiles of a plane, projections, and a small whole for a thumbnail."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from coverslip.core.errors import BadRequest, NotFound
from coverslip.core.spec import Box
from coverslip.core.stop import NEVER, Stop
from coverslip.domains.images import Image
from coverslip.domains.pyramid import read

PROJECT_ELEMENTS = 1 << 23
"""How many elements of a projection are read at once."""


@dataclass(frozen=True)
class Plane:
    """One plane of an image.

    Attributes
    ----------
    at
        The element of each axis that is neither ``y`` nor ``x``; None on the channel axis of an RGB image = all three.
    project
        The axis over which the maximum is taken, or None.
    """

    at: tuple[int | None, ...]
    project: int | None = None


def bad_selection(message: str, hint: str = "GET /api/tile_info/ARRAY_ID tells the axes and sizes.") -> BadRequest:
    """What is answered to a selection that the image does not have."""
    return BadRequest(message, hint, "bad_selection")


def is_picture(image: Image) -> bool:
    """Whether an image ends in ``y`` and ``x`` and holds real numbers."""
    return image.dims[-2:] == ("y", "x") and image.array.spec.dtype.kind in "biuf"


def plane_of(image: Image, at: Mapping[str, int], project: str | None = None) -> Plane:
    """The plane at these positions of the named axes; 0 on the others.

    Raises
    ------
    BadRequest
        With the code ``bad_selection``, when there is no such axis or position.
    NotFound
        With the code ``tile_outside``, when the image has no plane at all.
    """
    if not is_picture(image):
        raise BadRequest(
            "This array is not a picture: its last axes are not y and x", "Read it with /api/slice.", "not_a_picture"
        )
    lead = image.dims[:-2]
    unknown = sorted(set(at) - set(lead))
    if unknown:
        raise bad_selection(f"There is no axis {unknown[0]!r} to choose on; there is {', '.join(lead) or 'none'}")
    if project is not None and project not in lead:
        raise bad_selection(f"There is no axis {project!r} to project over; there is {', '.join(lead) or 'none'}")
    chosen: list[int | None] = []
    for name, size in zip(lead, image.array.spec.shape, strict=False):
        index = at.get(name)
        if index is not None and not 0 <= index < size:
            raise bad_selection(f"{name}={index} is outside; there is 0 to {size - 1}")
        if not size:
            raise NotFound(f"The image is empty: there is nothing on its axis {name}", "", "tile_outside")
        all_colors = index is None and name == "c" and image.rgb and project != "c"
        chosen.append(None if all_colors else index or 0)
    return Plane(tuple(chosen), lead.index(project) if project is not None else None)


def read_part(
    image: Image, level: int, plane: Plane, rows: tuple[int, int], columns: tuple[int, int], stop: Stop = NEVER
) -> npt.NDArray[Any]:
    """Pixels of one plane, shape ``(rows, columns)``; ``(3, rows, columns)`` for an RGB plane."""
    array = image.levels[level].array
    shape = array.spec.shape
    start = [i or 0 for i in plane.at]
    end = [min(3, n) if i is None else i + 1 for i, n in zip(plane.at, shape, strict=False)]  # alpha is left out
    if plane.project is None:
        part = read(array, Box((*start, rows[0], columns[0]), (*end, rows[1], columns[1])), stop)
    else:
        part = _project(image, level, plane.project, start, end, rows, columns, stop)
    height, width = rows[1] - rows[0], columns[1] - columns[0]
    return part.reshape((3, height, width) if None in plane.at else (height, width))


def _project(
    image: Image,
    level: int,
    axis: int,
    start: list[int],
    end: list[int],
    rows: tuple[int, int],
    columns: tuple[int, int],
    stop: Stop,
) -> npt.NDArray[Any]:
    array = image.levels[level].array
    one = max(
        (rows[1] - rows[0]) * (columns[1] - columns[0]) * math.prod(b - a for a, b in zip(start, end, strict=True)), 1
    )
    step = max(PROJECT_ELEMENTS // one, 1)
    best: npt.NDArray[Any] | None = None
    for low in range(0, array.spec.shape[axis], step):
        start[axis], end[axis] = low, min(low + step, array.spec.shape[axis])
        part = read(array, Box((*start, rows[0], columns[0]), (*end, rows[1], columns[1])), stop)
        part = part.max(axis, keepdims=True)
        best = part if best is None else np.maximum(best, part)
    if best is None:
        raise NotFound("The image is empty", "", "tile_outside")
    return best


def read_tile(image: Image, level: int, row: int, column: int, size: int, plane: Plane, stop: Stop) -> npt.NDArray[Any]:
    """One tile of ``size`` × ``size`` pixels, smaller on the edge.

    Raises
    ------
    NotFound
        With the code ``tile_outside``, when the image has no such level or tile.
    """
    if not 0 <= level < len(image.levels):
        raise NotFound(f"There is no level {level}; there is 0 to {len(image.levels) - 1}", "", "tile_outside")
    height, width = image.levels[level].array.spec.shape[-2:]
    if not (0 <= row * size < height and 0 <= column * size < width):
        raise NotFound(f"There is no tile {row}, {column} at level {level}", "", "tile_outside")
    rows, columns = (row * size, min(row * size + size, height)), (column * size, min(column * size + size, width))
    return read_part(image, level, plane, rows, columns, stop)


def level_within(image: Image, pixels: int) -> int:
    """The finest level that has at most ``pixels`` pixels in a plane; the coarsest when none has."""
    for number, level in enumerate(image.levels):
        if math.prod(level.array.spec.shape[-2:]) <= pixels:
            return number
    return len(image.levels) - 1


def read_whole(image: Image, level: int, plane: Plane, stop: Stop = NEVER) -> npt.NDArray[Any]:
    """A whole plane of one level."""
    height, width = image.levels[level].array.spec.shape[-2:]
    return read_part(image, level, plane, (0, height), (0, width), stop)
