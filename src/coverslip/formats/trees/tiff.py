"""Pixels of TIFF pages: a box reads only the strips and tiles that it touches.

Decoding is tifffile's (``TiffPage.decode``, on imagecodecs, which releases the GIL), in the thread that asks. Pixels
that are stored as numpy holds them are read straight into the answer.

Source: tifffile's documentation of ``TiffPage``; TIFF 6.0; TIFF Technical Note 1 (SubIFDs).
"""

from __future__ import annotations

import logging
import math
import struct
import sys
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import tifffile

from coverslip.core.errors import CoverslipError, Damaged, Unsupported
from coverslip.core.spec import Box
from coverslip.formats.trees.tiff_bytes import COPY_AGAIN, COUNTS, JPEG_TABLES, OFFSETS, Directory, FileBytes

# tifffile tells of every oddity through this logger; without a handler it would write to standard error.
logging.getLogger("tifffile").addHandler(logging.NullHandler())

# What tifffile and imagecodecs raise for bytes that make no sense, depending on where they meet them.
NONSENSE = (
    tifffile.TiffFileError,
    ValueError,
    RuntimeError,
    LookupError,
    TypeError,
    AttributeError,
    AssertionError,
    ArithmeticError,
    MemoryError,
    EOFError,
    OSError,
    struct.error,
)

MOST_SEGMENT_BYTES = 1 << 31
KEPT_BYTES, KEPT_FROM_BYTES = 128 << 20, 256 << 10
"""Large decoded segments are kept, up to so many bytes for all files: a tile is often a small part of one."""
SLACK_BYTES = 12 << 10
"""Reading this many bytes too many costs about as much as one more system call."""


@contextmanager
def damage(name: str, what: str = "cannot be read") -> Iterator[None]:
    """Call what tifffile cannot read damaged, and name it."""
    try:
        yield
    except CoverslipError:
        raise
    except NONSENSE as error:
        text = (str(error).strip("'\"").splitlines() or [""])[0] or error.__class__.__name__
        raise Damaged(f"{name} {what}: {text[:200]}", "The file looks damaged; write or copy it again.") from error


class Segments:
    """Where the strips or tiles of one page lie.

    Attributes
    ----------
    start
        Where the pixels start, when they lie in the file in one piece as numpy holds them; else None.
    """

    __slots__ = ("counts", "file", "offsets", "page", "start", "tables")

    def __init__(
        self,
        file: FileBytes,
        page: tifffile.TiffPage,
        offsets: Sequence[int] | npt.NDArray[Any],
        counts: Sequence[int] | npt.NDArray[Any],
        tables: bytes | None = None,
    ) -> None:
        self.file = file
        self.page = page
        self.offsets = np.asarray(offsets, np.int64)
        self.counts = np.asarray(counts, np.int64)
        self.tables = tables
        self.start = self._start()

    def _start(self) -> int | None:
        offsets, counts = self.offsets, self.counts
        if not self.page.is_final or not len(offsets) or not offsets[0]:
            return None
        if len(offsets) > 1 and (
            len(counts) != len(offsets)
            or (offsets[:-1] + counts[:-1] != offsets[1:]).any()
            or counts.sum() < self.page.nbytes
        ):
            return None
        return int(offsets[0])


class Pages(Protocol):
    """The pages of an image, by number."""

    def __getitem__(self, index: int, /) -> Segments | None:
        """One page; None where the file leaves it out, which means zeros."""


class PageList:
    """Pages that tifffile has read."""

    KEPT = 256

    def __init__(self, file_of: Callable[[Any], FileBytes], pages: Sequence[Any], keyframe: tifffile.TiffPage) -> None:
        self._file_of = file_of
        self._pages = pages
        self._keyframe = keyframe
        self._found: dict[int, Segments] = {}

    def __getitem__(self, index: int) -> Segments | None:
        """One page."""
        found = self._found.get(index)
        page = self._pages[index]
        if found is None and page is not None:
            file = self._file_of(page)
            found = Segments(file, self._keyframe, page.dataoffsets, page.databytecounts, page.jpegtables)
            if len(self._found) >= self.KEPT:
                self._found.clear()
            self._found[index] = found
        return found


class OnePiece:
    """Pages without directories that follow the first one's pixels: ImageJ's and MetaMorph's way to pass 4 GB."""

    def __init__(self, file: FileBytes, keyframe: tifffile.TiffPage) -> None:
        self._file = file
        self._keyframe = keyframe
        self._start, self._bytes = int(keyframe.dataoffsets[0]), int(keyframe.nbytes)

    def __getitem__(self, index: int) -> Segments:
        """One page."""
        return Segments(self._file, self._keyframe, (self._start + index * self._bytes,), (self._bytes,))


def segments_of(directory: Directory, keyframe: tifffile.TiffPage) -> Segments:
    """Where the segments of a page lie, from its directory."""
    offsets = next((v for v in map(directory.values, OFFSETS) if v is not None), None)
    counts = next((v for v in map(directory.values, COUNTS) if v is not None), None)
    if offsets is None:
        raise Damaged(f"{directory.file.name} has a page without pixels", COPY_AGAIN)
    if counts is None:
        counts = np.full(len(offsets), keyframe.nbytes // max(len(offsets), 1), np.int64)
    return Segments(directory.file, keyframe, offsets, counts, directory.data(JPEG_TABLES))


class _Kept:
    """Decoded segments, least recently used first out."""

    def __init__(self) -> None:
        self._held = 0
        self._values: OrderedDict[tuple[int, str, int], npt.NDArray[Any]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: tuple[int, str, int]) -> npt.NDArray[Any] | None:
        with self._lock:
            found = self._values.get(key)
            if found is not None:
                self._values.move_to_end(key)
            return found

    def put(self, key: tuple[int, str, int], value: npt.NDArray[Any]) -> None:
        if not KEPT_FROM_BYTES <= value.nbytes <= KEPT_BYTES:
            return
        with self._lock:
            old = self._values.pop(key, None)
            self._values[key] = value
            self._held += value.nbytes - (old.nbytes if old is not None else 0)
            while self._held > KEPT_BYTES:
                self._held -= self._values.popitem(last=False)[1].nbytes


_kept = _Kept()
_making = [threading.Lock() for _ in range(64)]


def check_page(page: tifffile.TiffPage, name: str) -> None:
    """See that a page can be decoded at all.

    Raises
    ------
    Unsupported
        When its compression or number type is not known here.
    Damaged
        When it has no pixels.
    """
    if page.dtype is None:
        raise Unsupported(
            f"{name} holds {page.bitspersample}-bit numbers of sample format {page.sampleformat}",
            "Write it with whole numbers or floats of 8 to 64 bits.",
        )
    if not page.shape or 0 in page.shape or not len(page.dataoffsets):
        raise Damaged(f"{name} has a page without pixels", COPY_AGAIN)
    if page.compression != 1 and page.compression not in tifffile.TIFF.DECOMPRESSORS:
        raise Unsupported(
            f"{name} is compressed in a way (TIFF {page.compression}) that is not known here", "Convert it."
        )
    if math.prod(page.chunks) * page.dtype.itemsize > MOST_SEGMENT_BYTES and not page.is_final:
        raise Unsupported(f"{name} holds compressed pieces of more than 2 GB", "Write it in tiles.")
    page.decode  # noqa: B018  (made now: for JPEG it looks into the file, which is closed later)


def read_box(segments: Segments, box: Box, out: npt.NDArray[Any]) -> None:
    """Read part of one page.

    Parameters
    ----------
    segments
        The page.
    box
        In the page's five axes: separate samples, depth, rows, columns, interleaved samples.
    out
        Filled; contiguous, of the box's shape, native dtype.

    Raises
    ------
    Damaged
        When the bytes are not there or make no sense.
    """
    start = segments.start
    if start is not None:
        read_rows(segments.file, start, segments.page.shaped, segments.page.parent.byteorder, box, out)
        return
    with damage(segments.file.name):
        for index in _touched(segments.page, box):
            piece, at = _decoded(segments, index)
            _place(piece, at, box, out)


def read_rows(file: FileBytes, start: int, shaped: Sequence[int], order: str, box: Box, out: npt.NDArray[Any]) -> None:
    """Read part of a page that lies in a file as numpy holds it, from ``start`` on, in this byte order.

    ``shaped``, ``box`` and ``out`` are those of `read_box`.
    """
    _, depth, rows, columns, samples = shaped
    row_bytes = columns * samples * out.itemsize
    (s0, d0, y0, x0, c0), (s1, d1, y1, x1, c1) = box.start, box.stop
    for s in range(s0, s1):
        for d in range(d0, d1):
            target = out[s - s0, d - d0]
            at = start + ((s * depth + d) * rows + y0) * row_bytes
            if x1 - x0 == columns and c1 - c0 == samples:
                file.read_into(at, memoryview(target.reshape(-1).view(np.uint8).data))
            elif row_bytes - (x1 - x0) * samples * out.itemsize <= SLACK_BYTES:
                found = np.empty((y1 - y0, columns, samples), out.dtype)
                file.read_into(at, memoryview(found.reshape(-1).view(np.uint8).data))
                target[...] = found[:, x0:x1, c0:c1]
            else:
                _read_parts(file, at + x0 * samples * out.itemsize, row_bytes, target, samples, (c0, c1))
    if order != _native() and out.itemsize > 1:
        out.byteswap(inplace=True)


def _read_parts(
    file: FileBytes, at: int, row_bytes: int, target: npt.NDArray[Any], samples: int, chosen: tuple[int, int]
) -> None:
    """Rows so wide that each is read on its own."""
    found = np.empty((*target.shape[:2], samples), target.dtype)
    file.read_strided(at, row_bytes, memoryview(found.reshape(-1).view(np.uint8).data), len(found))
    target[...] = found[:, :, chosen[0] : chosen[1]]


def _native() -> str:
    return "<" if sys.byteorder == "little" else ">"


def _touched(page: tifffile.TiffPage, box: Box) -> Iterator[int]:
    """Numbers of the segments that hold part of a box."""
    _, depth, rows, columns, _ = page.shaped
    if page.is_tiled:
        size = (page.tiledepth, page.tilelength, page.tilewidth)
    else:
        size = (1, min(page.rowsperstrip, rows), columns)
    grid = [-(-n // t) for n, t in zip((depth, rows, columns), size, strict=True)]
    spans = [range(a // t, -(-b // t)) for a, b, t in zip(box.start[1:4], box.stop[1:4], size, strict=True)]
    for s in range(box.start[0], box.stop[0]):
        for d in spans[0]:
            for y in spans[1]:
                for x in spans[2]:
                    yield ((s * grid[0] + d) * grid[1] + y) * grid[2] + x


def _decoded(segments: Segments, index: int) -> tuple[npt.NDArray[Any] | None, tuple[int, ...]]:
    """One segment as ``(depth, rows, columns, samples)`` (None: left out by the file), and where it starts."""
    file, page = segments.file, segments.page
    if index >= len(segments.offsets) or index >= len(segments.counts):
        raise Damaged(f"{file.name} lacks piece {index + 1} of a page", COPY_AGAIN)
    offset, count = int(segments.offsets[index]), int(segments.counts[index])
    at: tuple[int, ...]
    if not count or not offset:
        _, at, shape = page.decode(None, index)
        if not page.nodata:
            return None, (*at, *shape)
        return np.full(shape, page.nodata, page.dtype), at
    key = (id(file), file.version, offset)
    large = math.prod(page.chunks) * np.dtype(page.dtype).itemsize >= KEPT_FROM_BYTES
    if not large:
        return _decode(segments, index)
    with _making[hash(key) % len(_making)]:  # who wants a part of the same piece waits instead of decoding it too
        kept = _kept.get(key)
        if kept is not None:
            return kept, page.decode(None, index)[1]
        piece, at = _decode(segments, index)
        if piece is not None:
            _kept.put(key, piece)
        return piece, at


def _decode(segments: Segments, index: int) -> tuple[npt.NDArray[Any] | None, tuple[int, ...]]:
    page = segments.page
    data = segments.file.read(int(segments.offsets[index]), int(segments.counts[index]))
    options: dict[str, Any] = {}
    if page.compression in (6, 7, 34892, 33007):
        tables = segments.tables if segments.tables is not None else page.jpegtables
        options = {"jpegtables": tables, "jpegheader": page.jpegheader}
    piece, at, _ = page.decode(data, index, **options)
    return piece, at


def _place(piece: npt.NDArray[Any] | None, at: tuple[int, ...], box: Box, out: npt.NDArray[Any]) -> None:
    """Copy what a segment and a box share."""
    extent = at[5:] if piece is None else piece.shape
    target: list[int | slice] = [at[0] - box.start[0]]
    source: list[slice] = []
    for axis in range(4):
        a, b = box.start[axis + 1], box.stop[axis + 1]
        low, high = max(a, at[axis + 1]), min(b, at[axis + 1] + extent[axis])
        target.append(slice(low - a, max(high, low) - a))
        source.append(slice(low - at[axis + 1], max(high, low) - at[axis + 1]))
    out[tuple(target)] = 0 if piece is None else piece[tuple(source)]
