"""Pixels of one DICOM file, frame by frame: of uncompressed ones only the rows that are asked for.

No file stays open: each read opens it, and sees that it is still the one whose header was read.

Source: DICOM PS3.5 sections 7 and 8, annex A.4 (fragments and the basic offset table).
"""

from __future__ import annotations

import os
import struct
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from coverslip.core.errors import Damaged, Unreadable
from coverslip.core.format import file_etag
from coverslip.core.spec import Box
from coverslip.formats.trees.dicom_codestream import decode, rgb_of_ybr, sign_extended
from coverslip.formats.trees.recent import Recent, new_key

FRAMES: Recent[npt.NDArray[Any]] = Recent(128 << 20, lambda frame: frame.nbytes)
"""Decoded frames, shared by every DICOM file of the process."""
ITEM, SEQUENCE_END = b"\xfe\xff\x00\xe0", b"\xfe\xff\xdd\xe0"
UNDEFINED = 0xFFFFFFFF
MOST_FRAGMENTS = 1 << 22
TRUNCATED = "The file is truncated; copy it again."


@dataclass(frozen=True)
class Layout:
    """What a header says of the pixels.

    Attributes
    ----------
    rows, columns, samples, frames
        The shape.
    allocated, stored
        Bits of a sample, and those of them that count.
    dtype
        Of a sample, native byte order; ``uint8`` for single bits.
    planar
        Whether a frame holds one plane for each sample (Planar Configuration 1).
    photometric
        Photometric Interpretation.
    syntax
        UID of the transfer syntax.
    big
        Whether samples are stored big-endian.
    words
        Whether bytes are stored in big-endian words of two (VR OW).
    """

    rows: int
    columns: int
    samples: int
    frames: int
    allocated: int
    stored: int
    dtype: np.dtype[Any]
    planar: bool
    photometric: str
    syntax: str
    big: bool = False
    words: bool = False

    @property
    def halved(self) -> bool:
        """Whether two pixels share their colour (uncompressed YBR_FULL_422)."""
        return self.photometric == "YBR_FULL_422"

    @property
    def row_bits(self) -> int:
        """Bits of one uncompressed row with all its samples."""
        return self.columns * (2 if self.halved else self.samples) * self.allocated

    @property
    def size(self) -> int:
        """Bytes of all uncompressed frames."""
        return -(-self.rows * self.row_bits * self.frames // 8)


class Pixels:
    """The frames of one file.

    Parameters
    ----------
    path
        The file.
    layout
        What its header says.
    offset
        Of the first byte of the value of the pixel data, in the file or in what the file inflates to.
    length
        Bytes of the value; None when it is encapsulated.
    etag
        Of the file when its header was read.
    palette
        Colours of shape (values, 3), or None; ``lowest`` is the value of the first.
    inflate
        Gives what a deflated file holds; None for other files.
    """

    def __init__(
        self,
        path: Path,
        layout: Layout,
        offset: int,
        length: int | None,
        etag: str,
        palette: npt.NDArray[Any] | None = None,
        inflate: Any = None,
    ) -> None:
        self.layout = layout
        self._path = path
        self._offset = offset
        self._length = length
        self._etag = etag
        self._palette = palette
        self._inflate = inflate
        self._key = new_key()
        self._lock = threading.Lock()
        self._runs: list[list[tuple[int, int]]] | None = None

    @property
    def dtype(self) -> np.dtype[Any]:
        """As `read` gives it."""
        return self.layout.dtype if self._palette is None else self._palette.dtype

    @property
    def samples(self) -> int:
        """As `read` gives them: 3 for a palette."""
        return self.layout.samples if self._palette is None else 3

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one frame: (rows, columns), or (3, rows, columns)."""
        plane = (self.layout.rows, self.layout.columns)
        return plane if self.samples == 1 else (self.samples, *plane)

    def read(self, frame: int, box: Box) -> npt.NDArray[Any]:
        """The elements of ``box``, which lies in `shape`, of one frame."""
        if not all(box.shape):
            return np.empty(box.shape, self.dtype)
        if self._length is None or self.layout.allocated == 1:
            whole = FRAMES.get((self._key, frame), lambda: self._finished(self._whole(frame)))
            return whole[box.slices].copy()
        first, last = box.start[-2], box.stop[-2]
        rows = self._finished(self._rows(frame, first, last))
        return rows[(*box.slices[:-2], slice(None), box.slices[-1])]

    def forget(self) -> None:
        """Drop the frames that are kept."""
        FRAMES.forget(self._key)

    def _finished(self, pixels: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Colours as RGB, samples first."""
        layout = self.layout
        if layout.samples == 3 and (layout.photometric == "YBR_FULL" or layout.halved) and not self._mixed():
            pixels = rgb_of_ybr(pixels, layout.stored)
        if self._palette is not None:
            lowest = np.iinfo(layout.dtype).min
            pixels = self._palette[pixels.astype(np.int64) - lowest]
        return np.moveaxis(pixels, -1, 0) if pixels.ndim == 3 else pixels

    def _mixed(self) -> bool:
        """Whether the decoder gave RGB already: JPEG does, for what DICOM calls YBR."""
        return self.layout.syntax in ("1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.51")

    def _rows(self, frame: int, first: int, last: int) -> npt.NDArray[Any]:
        """Rows of an uncompressed frame, samples last."""
        layout = self.layout
        if layout.planar and layout.samples > 1:
            row = layout.columns * layout.allocated // 8
            planes = [
                self._stored((frame * layout.samples + s) * layout.rows * row + first * row, (last - first) * row)
                for s in range(layout.samples)
            ]
            shape = (last - first, layout.columns)
            return np.stack([self._values(plane).reshape(shape) for plane in planes], -1)
        row = layout.row_bits // 8
        values = self._values(self._stored((frame * layout.rows + first) * row, (last - first) * row))
        if layout.halved:
            return _doubled(values.reshape(last - first, layout.columns // 2, 4))
        shape = (last - first, layout.columns)
        return values.reshape(shape if layout.samples == 1 else (*shape, layout.samples))

    def _values(self, stored: bytes) -> npt.NDArray[Any]:
        layout = self.layout
        values = np.frombuffer(stored, layout.dtype.newbyteorder(">" if layout.big else "<")).astype(
            layout.dtype, copy=False
        )
        return sign_extended(values, layout.stored)

    def _stored(self, start: int, count: int) -> bytes:
        """Bytes of the value of the pixel data."""
        if not self.layout.words:
            return self._bytes(self._offset + start, count)
        even = start - start % 2
        words = np.frombuffer(self._bytes(self._offset + even, count + start % 2 + (count + start) % 2), ">u2")
        return words.astype("<u2").tobytes()[start % 2 :][:count]

    def _whole(self, frame: int) -> npt.NDArray[Any]:
        layout = self.layout
        shape = (layout.rows, layout.columns)
        if self._length is not None:  # single bits, packed without regard to frames
            bits = layout.rows * layout.columns
            first, last = frame * bits, (frame + 1) * bits
            data = np.frombuffer(self._stored(first // 8, -(-last // 8) - first // 8), np.uint8)
            return np.unpackbits(data, bitorder="little")[first % 8 :][:bits].reshape(shape)
        whole = shape if layout.samples == 1 else (*shape, layout.samples)
        data_of_frame = b"".join(self._bytes(at, count) for at, count in self._fragments()[frame])
        ybr = layout.photometric.startswith("YBR")
        found: npt.NDArray[Any] = decode(data_of_frame, layout.syntax, whole, layout.dtype, layout.stored, ybr)
        return found

    def _fragments(self) -> list[list[tuple[int, int]]]:
        """For each frame where its fragments are."""
        with self._lock:
            if self._runs is None:
                with self._open() as fd:
                    self._runs = frame_fragments(fd, self._offset, self.layout.frames, self._path.name)
            return self._runs

    def _bytes(self, offset: int, count: int) -> bytes:
        if self._inflate is not None:
            data = FRAMES.get((self._key, "inflated"), lambda: np.frombuffer(self._inflate(), np.uint8))
            return data[offset : offset + count].tobytes()
        with self._open() as fd:
            return _pread(fd, offset, count, self._path.name)

    @contextmanager
    def _open(self) -> Iterator[int]:
        try:
            fd = os.open(self._path, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0))
        except OSError as error:
            raise Unreadable(f"{self._path.name} cannot be read: {error.strerror}", "See that it is there.") from error
        try:
            if file_etag(os.fstat(fd)) != self._etag:
                raise Unreadable(f"{self._path.name} has changed", "Open it again.")
            yield fd
        finally:
            os.close(fd)


def _doubled(pairs: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Y1 Y2 Cb Cr as two pixels of Y Cb Cr; (rows, pairs, 4) to (rows, 2 pairs, 3)."""
    out = np.empty((pairs.shape[0], pairs.shape[1], 2, 3), pairs.dtype)
    out[..., 0] = pairs[..., :2]
    out[..., 1:] = pairs[..., None, 2:]
    return out.reshape(pairs.shape[0], -1, 3)


def _pread(fd: int, offset: int, count: int, name: str) -> bytes:
    parts = []
    while count > 0:
        part = os.pread(fd, min(count, 1 << 30), offset)
        if not part:
            raise Damaged(f"{name} ends too early", TRUNCATED)
        parts.append(part)
        offset, count = offset + len(part), count - len(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)


def frame_fragments(fd: int, offset: int, frames: int, name: str) -> list[list[tuple[int, int]]]:
    """Offsets and lengths of the fragments of each frame of encapsulated pixel data.

    Raises
    ------
    Damaged
        When they do not make up ``frames`` frames, or the file ends before they do.
    """
    size = os.fstat(fd).st_size
    items: list[tuple[int, int]] = []
    while True:
        tag, length = struct.unpack("<4sI", _pread(fd, offset, 8, name))
        if tag == SEQUENCE_END:
            break
        if tag != ITEM or length == UNDEFINED or offset + 8 + length > size:
            raise Damaged(f"The fragments of {name} make no sense", TRUNCATED)
        items.append((offset + 8, length))
        offset += 8 + length
        if len(items) > MOST_FRAGMENTS:
            raise Damaged(f"{name} holds too many fragments", "The file is damaged; copy it again.")
        if offset >= size - 7:  # the end is missing, but perhaps nothing else is
            break
    if not items:
        raise Damaged(f"{name} holds no pixels", TRUNCATED)
    found = _grouped(fd, items[0], items[1:], frames, name)
    if len(found) < frames or not all(found):
        raise Damaged(f"{name} announces {frames} frames and holds {len(found)}", TRUNCATED)
    return found


def _grouped(
    fd: int, table: tuple[int, int], items: Sequence[tuple[int, int]], frames: int, name: str
) -> list[list[tuple[int, int]]]:
    if frames == 1:
        return [list(items)]
    if len(items) <= frames:
        return [[item] for item in items]
    if table[1] >= 4 * frames:
        starts = struct.unpack(f"<{frames}I", _pread(fd, table[0], 4 * frames, name))
        first = items[0][0]
        cuts = [0, *np.searchsorted([at - first for at, _ in items], starts[1:]).tolist(), len(items)]
        return [list(items[low:high]) for low, high in pairwise(cuts)]
    found: list[list[tuple[int, int]]] = [[]]
    for item in items:  # without a table, a frame ends where its codestream does
        if found[-1] and _ends(fd, found[-1][-1], name):
            found.append([])
        found[-1].append(item)
    return found


def _ends(fd: int, item: tuple[int, int], name: str) -> bool:
    tail = min(item[1], 10)
    return b"\xff\xd9" in _pread(fd, item[0] + item[1] - tail, tail, name)
