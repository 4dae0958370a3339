"""Where the frames of an ND2 file lie, and how they are stored.

Source: the layout that the ``nd2`` library reads. A file of NIS-Elements 3 and later is a sequence of chunks (magic,
length of the name, length of the data, name, data) with a map of them at its end; before that it was a JPEG 2000 file
with boxes of its own (``LUNK`` holds one coded plane) and a map of those at its end.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from coverslip.core.errors import Damaged, Unsupported
from coverslip.formats.trees.recent import Recent, new_key
from coverslip.formats.trees.source import need
from coverslip.formats.trees.vendor_handle import TRUNCATED, FileBytes

MAGIC = b"\xda\xce\xbe\x0a"
LEGACY_MAGIC = b"\x00\x00\x00\x0c"
HEADER = struct.Struct("<4sIQ")
ENTRY = struct.Struct("<QQ")
TAIL = struct.Struct("<32sQ")
BOX = struct.Struct(">I4s")
LEGACY_ENTRY = struct.Struct("<4s4sI4x")
MAP_END = b"ND2 CHUNK MAP SIGNATURE 0000001!"
LEGACY_MAP_END = b"LABORATORY IMAGING ND BOX MAP 00"
FRAME = b"ImageDataSeq|"
STAMP_BYTES = 8
"""A frame's data starts with the time it was taken at."""

DECODED: Recent[npt.NDArray[Any]] = Recent(128 << 20, lambda frame: frame.nbytes)
"""Frames that had to be decoded as a whole; the tiles of one do not decode it again and again."""


@dataclass(frozen=True, slots=True)
class Geometry:
    """How one frame is stored: rows of ``pitch`` bytes, in them pixels, in those channels, in those samples."""

    height: int
    width: int
    channels: int
    samples: int
    dtype: np.dtype[Any]
    pitch: int

    @property
    def pixel_bytes(self) -> int:
        """Bytes from one pixel to the next."""
        return self.channels * self.samples * self.dtype.itemsize


class Frames:
    """The frames of one file; a part of one is an array of shape (rows, columns, channels, samples)."""

    def __init__(self, data: FileBytes, geometry: Geometry, zipped: bool) -> None:
        self._data = data
        self._geometry = geometry
        self._zipped = zipped
        self._key = new_key()
        self._offsets = _frame_offsets(data)
        if not zipped:
            frame = geometry.height * geometry.pitch
            if any(offset + frame > data.size for offset in self._offsets.values()):
                raise Damaged("A frame lies behind the end of the file", TRUNCATED)

    def close(self) -> None:
        """Close the file."""
        DECODED.forget(self._key)
        self._data.close()

    def __len__(self) -> int:
        return 1 + max(self._offsets, default=-1)

    def part(self, number: int, rows: slice, columns: slice) -> npt.NDArray[Any]:
        """Part of a frame; zeros when the frame was never taken (an experiment that was stopped)."""
        g = self._geometry
        shape = (rows.stop - rows.start, columns.stop - columns.start, g.channels, g.samples)
        offset = self._offsets.get(number)
        if offset is None or not shape[0] or not shape[1]:
            return np.zeros(shape, g.dtype)
        first, length = columns.start * g.pixel_bytes, shape[1] * g.pixel_bytes
        if self._zipped:
            whole = DECODED.get((self._key, number), lambda: self._inflate(*self._chunk(offset)))
            found = whole[rows, first : first + length]
        else:
            start, stored = self._chunk(offset)
            if stored < (g.height - 1) * g.pitch + g.width * g.pixel_bytes:
                raise Damaged(f"Frame {number} is too short", TRUNCATED)
            found = self._data.rows(start + rows.start * g.pitch + first, g.pitch, shape[0], length)
        return found.view(g.dtype).reshape(shape)

    def _chunk(self, offset: int) -> tuple[int, int]:
        """Where the pixels of the chunk at ``offset`` start, and how many bytes they are."""
        magic, name, length = HEADER.unpack(self._data.read(offset, HEADER.size))
        if magic != MAGIC or length < STAMP_BYTES:
            raise Damaged("A frame is not where the file's map says", "The file is damaged; copy it again.")
        return offset + HEADER.size + name + STAMP_BYTES, length - STAMP_BYTES

    def _inflate(self, start: int, stored: int) -> npt.NDArray[np.uint8]:
        g = self._geometry
        size = g.height * g.pitch
        try:
            data = zlib.decompressobj().decompress(self._data.read(start, stored), size)
        except zlib.error as error:
            raise Damaged(
                f"A compressed frame cannot be read: {error}", "The file is damaged; copy it again."
            ) from error
        if len(data) < size:
            raise Damaged("A compressed frame is too short", TRUNCATED)
        return np.frombuffer(data, np.uint8).reshape(g.height, g.pitch)


class LegacyFrames:
    """The frames of a file of before NIS-Elements 3, each plane a JPEG 2000 code stream."""

    def __init__(self, data: FileBytes, geometry: Geometry) -> None:
        self._data = data
        self._geometry = geometry
        self._key = new_key()
        self._planes = _legacy_planes(data)

    def close(self) -> None:
        """Close the file."""
        DECODED.forget(self._key)
        self._data.close()

    def __len__(self) -> int:
        return len(self._planes) // self._geometry.channels

    def part(self, number: int, rows: slice, columns: slice) -> npt.NDArray[Any]:
        """Part of a frame; zeros when the frame was never taken."""
        g = self._geometry
        found = np.zeros((rows.stop - rows.start, columns.stop - columns.start, g.channels, g.samples), g.dtype)
        if found.size:
            for channel in range(g.channels):
                at = number * g.channels + channel
                if at < len(self._planes):
                    plane = DECODED.get((self._key, at), lambda at=at: self._decode(at))  # type: ignore[misc]
                    found[:, :, channel] = plane[rows, columns]
        return found

    def _decode(self, at: int) -> npt.NDArray[Any]:
        codecs = need("imagecodecs", "JPEG 2000")
        offset = self._planes[at]
        length, _ = BOX.unpack(self._data.read(offset, BOX.size))
        g = self._geometry
        try:
            plane = np.asarray(codecs.jpeg2k_decode(self._data.read(offset + BOX.size, length - BOX.size)))
        except (RuntimeError, ValueError, TypeError, MemoryError) as error:
            raise Damaged(f"Plane {at} cannot be decoded: {error}", "The file is damaged; copy it again.") from error
        if plane.size != g.height * g.width * g.samples or plane.dtype != g.dtype:
            raise Damaged(f"Plane {at} is not what the file's header says", "The file is damaged; copy it again.")
        return plane.reshape(g.height, g.width, g.samples).copy()


def _frame_offsets(data: FileBytes) -> dict[int, int]:
    signature, at = TAIL.unpack(data.read(data.size - TAIL.size, TAIL.size))
    if signature != MAP_END:
        raise Damaged("The map at the end of the file is missing", TRUNCATED)
    magic, name, length = HEADER.unpack(data.read(at, HEADER.size))
    if magic != MAGIC:
        raise Damaged("The file's map is not where its end says", "The file is damaged; copy it again.")
    chunks = data.read(at + HEADER.size + name, min(length, data.size - at - HEADER.size - name))
    found: dict[int, int] = {}
    position = 0
    while True:
        end = chunks.find(b"!", position) + 1
        key = chunks[position:end]
        if not end or key == MAP_END or end + ENTRY.size > len(chunks):
            break
        offset, _ = ENTRY.unpack_from(chunks, end)
        position = end + ENTRY.size
        if key.startswith(FRAME) and key[len(FRAME) : -1].isdigit():
            found[int(key[len(FRAME) : -1])] = offset
    return found


def _legacy_planes(data: FileBytes) -> list[int]:
    signature, back = TAIL.unpack(data.read(data.size - TAIL.size, TAIL.size))
    if signature != LEGACY_MAP_END or not 4 <= back <= data.size:
        raise Damaged("The map at the end of the file is missing", TRUNCATED)
    table = data.read(data.size - back, back)
    count = int.from_bytes(table[:4], "big")
    if 4 + count * LEGACY_ENTRY.size > len(table):
        raise Damaged("The map at the end of the file is cut off", TRUNCATED)
    entries = (LEGACY_ENTRY.unpack_from(table, 4 + i * LEGACY_ENTRY.size) for i in range(count))
    return [offset for _, kind, offset in entries if kind == b"LUNK"]


def refuse_lossy(compression: str | None) -> None:
    """Frames that NIS-Elements compressed with loss are of a kind nobody has described."""
    if compression == "lossy":
        raise Unsupported("The frames are compressed with loss", "Save the file again in NIS-Elements, uncompressed.")
