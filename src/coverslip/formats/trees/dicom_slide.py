"""Whole-slide images in DICOM: tiles of one large picture, and the pyramid of a series.

Source: DICOM PS3.3 C.8.12.4 (Whole Slide Microscopy Image), C.7.6.17.3 (TILED_FULL and the order of its frames),
C.8.12.6.1 (plane position on the slide).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from coverslip.core.errors import Damaged, Unsupported
from coverslip.core.node import Array
from coverslip.core.spec import ArraySpec, Box
from coverslip.formats.trees.dicom_header import Header
from coverslip.formats.trees.dicom_pixels import Pixels
from coverslip.formats.trees.dicom_planes import functional
from coverslip.formats.trees.dicom_tags import number_of

MOST_TILES = 1 << 26


def is_slide(dataset: Any) -> bool:
    """Whether frames are tiles of a larger picture."""
    return bool(number_of(dataset, "TotalPixelMatrixColumns") and number_of(dataset, "TotalPixelMatrixRows"))


class Slide(Array):
    """Tiles put together.

    Axes: optical paths (``c``) when there are several, focal planes (``z``) when there are several, samples (``s``) of
    colour pictures, y, x. A tile that a sparse file leaves out is white in colour pictures and 0 in others.

    Parameters
    ----------
    pixels
        The tiles.
    table
        Frame numbers of shape (paths, planes, tile rows, tile columns), -1 where there is none.
    rows, columns
        Of the whole picture.
    """

    def __init__(self, pixels: Pixels, table: npt.NDArray[np.intp], rows: int, columns: int) -> None:
        self._pixels = pixels
        self._lead = tuple(n for n in table.shape[:2] if n > 1)
        self._table = table.reshape(*self._lead, *table.shape[2:])
        self.axes = [name for name, n in zip("cz", table.shape[:2], strict=False) if n > 1]
        self.axes += (["s"] if pixels.samples > 1 else []) + ["y", "x"]
        samples = pixels.shape[:-2]
        shape = (*self._lead, *samples, rows, columns)
        tile = (min(rows, pixels.layout.rows), min(columns, pixels.layout.columns))
        self._spec = ArraySpec(shape, pixels.dtype, (*(1,) * len(self._lead), *samples, *tile))
        self._absent = np.iinfo(pixels.dtype).max if samples and pixels.dtype.kind == "u" else 0
        self.attrs = {}

    @property
    def spec(self) -> ArraySpec:
        """Shape, dtype, and tiles as chunks."""
        return self._spec

    def read(self, box: Box) -> npt.NDArray[Any]:
        """The elements of ``box``; only tiles it touches are decoded."""
        out = np.full(box.shape, self._absent, self._spec.dtype)
        if not out.size:
            return out
        lead = len(self._lead)
        height, width = self._pixels.layout.rows, self._pixels.layout.columns
        top, left = box.start[-2:]
        for offset in np.ndindex(*box.shape[:lead]):
            table = self._table[tuple(a + o for a, o in zip(box.start, offset, strict=False))]
            for row in range(top // height, -(-box.stop[-2] // height)):
                for column in range(left // width, -(-box.stop[-1] // width)):
                    frame = int(table[row, column])
                    if frame >= 0:
                        y = slice(max(top, row * height), min(box.stop[-2], (row + 1) * height))
                        x = slice(max(left, column * width), min(box.stop[-1], (column + 1) * width))
                        part = self._tile(frame, box, lead, y, x, row * height, column * width)
                        out[
                            (*offset, ..., slice(y.start - top, y.stop - top), slice(x.start - left, x.stop - left))
                        ] = part
        return out

    def _tile(self, frame: int, box: Box, lead: int, y: slice, x: slice, top: int, left: int) -> npt.NDArray[Any]:
        samples = slice(lead, len(box.start) - 2)
        start = (*box.start[samples], y.start - top, x.start - left)
        stop = (*box.stop[samples], y.stop - top, x.stop - left)
        return self._pixels.read(frame, Box(start, stop))


def slide_of(header: Header, pixels: Pixels) -> Slide:
    """The whole picture of a file whose frames are tiles.

    Raises
    ------
    Damaged
        When there are not as many tiles as the picture needs.
    Unsupported
        When tiles overlap or do not lie on a grid.
    """
    dataset = header.dataset
    rows, columns = int(dataset.TotalPixelMatrixRows), int(dataset.TotalPixelMatrixColumns)
    grid = (-(-rows // pixels.layout.rows), -(-columns // pixels.layout.columns))
    if rows < 1 or columns < 1 or grid[0] * grid[1] > MOST_TILES:
        raise Damaged(f"{header.path.name} announces {rows} x {columns} pixels", "The file is damaged; copy it again.")
    if dataset.get("PerFrameFunctionalGroupsSequence") and dataset.get("DimensionOrganizationType") != "TILED_FULL":
        return Slide(pixels, _sparse(header, pixels, grid), rows, columns)
    paths = int(number_of(dataset, "NumberOfOpticalPaths") or len(dataset.get("OpticalPathSequence") or ()) or 1)
    planes = int(number_of(dataset, "TotalPixelMatrixFocalPlanes") or 1)
    count = paths * planes * grid[0] * grid[1]
    if pixels.layout.frames != count or count < 1:
        raise Damaged(
            f"{header.path.name} holds {pixels.layout.frames} tiles and needs {count}", "Its header is not complete."
        )
    return Slide(pixels, np.arange(count).reshape(paths, planes, *grid), rows, columns)


def _sparse(header: Header, pixels: Pixels, grid: tuple[int, int]) -> npt.NDArray[np.intp]:
    """Frame numbers by the position that each frame gives of itself."""
    dataset = header.dataset
    places: list[tuple[str, float, int, int]] = []
    for item in list(dataset.PerFrameFunctionalGroupsSequence)[: pixels.layout.frames]:
        place = functional(dataset, "PlanePositionSlideSequence", item)
        path = functional(dataset, "OpticalPathIdentificationSequence", item)
        x, y = (number_of(place, f"{side}PositionInTotalImagePixelMatrix") for side in ("Column", "Row"))
        if x is None or y is None:
            raise Damaged(f"Tiles of {header.path.name} have no position", "Its header is not complete.")
        row, column = int(y) - 1, int(x) - 1
        if row % pixels.layout.rows or column % pixels.layout.columns:
            raise Unsupported(f"Tiles of {header.path.name} do not lie on a grid", "Convert it to TILED_FULL.")
        depth = number_of(place, "ZOffsetInSlideCoordinateSystem") or 0.0
        name = str(path.get("OpticalPathIdentifier") or "")
        places.append((name, depth, row // pixels.layout.rows, column // pixels.layout.columns))
    paths = list(dict.fromkeys(place[0] for place in places))
    depths = sorted({place[1] for place in places})
    if len(paths) * len(depths) * grid[0] * grid[1] > MOST_TILES:
        raise Damaged(f"{header.path.name} announces too many tiles", "The file is damaged; copy it again.")
    table = np.full((len(paths), len(depths), *grid), -1, np.intp)
    for frame, (name, depth, row, column) in enumerate(places):
        if not (0 <= row < grid[0] and 0 <= column < grid[1]):
            raise Damaged(
                f"A tile of {header.path.name} lies outside the picture", "The file is damaged; copy it again."
            )
        table[paths.index(name), depths.index(depth), row, column] = frame
    return table
