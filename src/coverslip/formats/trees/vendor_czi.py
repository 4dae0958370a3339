"""What lies where in a CZI file: the directory of its blocks, read and checked before the C++ library sees the file.

libCZI trusts the sizes that a block's header states and ends the process when they are wrong, so every header is
compared with the directory and with the size of the file first.

Source: ZISRAW (CZI) File Format, Design Specification 1.2.2 by Carl Zeiss Microscopy: segments of a header (identifier,
allocated size, used size) and data; entries of schema ``DV``.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from coverslip.core.errors import Damaged, Unsupported
from coverslip.formats.trees.vendor_handle import TRUNCATED, FileBytes
from coverslip.formats.trees.vendor_jxr import HEAD_BYTES, looks_sound

SEGMENT = struct.Struct("<16sqq")
FILE_SEGMENT, DIRECTORY_SEGMENT, BLOCK_SEGMENT = b"ZISRAWFILE", b"ZISRAWDIRECTORY", b"ZISRAWSUBBLOCK"
METADATA_SEGMENT = b"ZISRAWMETADATA"
FILE_POSITIONS = struct.Struct("<qq")
FILE_POSITIONS_AT = 52
DIRECTORY_ENTRIES_AT = 128
METADATA_AT = 256
ENTRY_BYTES, DIMENSION_BYTES, DIMENSIONS_AT = 32, 20, 28
SMALLEST_BLOCK_HEADER = 256
MOST_DIMENSIONS = 16
DIMENSION = np.dtype([("name", "S4"), ("start", "<i4"), ("size", "<i4"), ("coordinate", "<f4"), ("stored", "<i4")])
PIXELS = {0: "Gray8", 1: "Gray16", 2: "Gray32Float", 3: "Bgr24", 4: "Bgr48", 8: "Bgr96Float"}
DTYPES = {"Gray8": "u1", "Gray16": "u2", "Gray32Float": "f4", "Bgr24": "u1", "Bgr48": "u2", "Bgr96Float": "f4"}
UNCOMPRESSED, JPEG, JPEG_XR, ZSTD0, ZSTD1 = 0, 1, 4, 5, 6
DAMAGED = "The file is damaged; copy it again."


@dataclass(frozen=True)
class Blocks:
    """The blocks of a file, one element of each array for one block.

    Attributes
    ----------
    pixel
        Code of the pixel type, a key of `PIXELS`.
    compression
        Code of the compression.
    index
        Start along each other dimension by its letter; -1 where a block does not have it.
    x, y, width, height
        Where the block lies, in pixels of the full resolution.
    stored_width, stored_height
        Its own size in pixels; smaller in a pyramid.
    """

    pixel: npt.NDArray[np.int32]
    compression: npt.NDArray[np.int32]
    index: dict[str, npt.NDArray[np.int64]]
    x: npt.NDArray[np.int64]
    y: npt.NDArray[np.int64]
    width: npt.NDArray[np.int64]
    height: npt.NDArray[np.int64]
    stored_width: npt.NDArray[np.int64]
    stored_height: npt.NDArray[np.int64]

    @property
    def base(self) -> npt.NDArray[np.bool_]:
        """Which blocks are of the full resolution."""
        same: npt.NDArray[np.bool_] = (self.width == self.stored_width) & (self.height == self.stored_height)
        return same

    def of(self, chosen: npt.NDArray[np.bool_]) -> Blocks:
        """Some of the blocks."""
        names = ("pixel", "compression", "x", "y", "width", "height", "stored_width", "stored_height")
        parts = {name: getattr(self, name)[chosen] for name in names}
        return Blocks(**parts, index={letter: values[chosen] for letter, values in self.index.items()})


def read_metadata(data: FileBytes) -> str:
    """The metadata of a file, which are XML; empty when it has none.

    Raises
    ------
    Damaged
        When they are cut off.
    """
    _segment(data, 0, FILE_SEGMENT)
    at = FILE_POSITIONS.unpack(data.read(SEGMENT.size + FILE_POSITIONS_AT, FILE_POSITIONS.size))[1]
    if not at:
        return ""
    _segment(data, at, METADATA_SEGMENT)
    length = int.from_bytes(data.read(at + SEGMENT.size, 4), "little", signed=True)
    return data.read(at + SEGMENT.size + METADATA_AT, length).decode("utf-8", "replace")


def read_blocks(data: FileBytes) -> Blocks:
    """The directory of a file, every block of it checked against the file.

    Raises
    ------
    Damaged
        When a part is missing or contradicts another.
    Unsupported
        When the file is one part of several, or of an old schema.
    """
    _segment(data, 0, FILE_SEGMENT)
    directory = FILE_POSITIONS.unpack(data.read(SEGMENT.size + FILE_POSITIONS_AT, FILE_POSITIONS.size))[0]
    if not directory:
        raise Damaged("The directory of the file was never written", "It may still be written; open it again later.")
    used = _segment(data, directory, DIRECTORY_SEGMENT)
    count = int.from_bytes(data.read(directory + SEGMENT.size, 4), "little", signed=True)
    if not 0 < count <= used // ENTRY_BYTES:
        raise Damaged(f"The file says it has {count} blocks", DAMAGED)
    start = directory + SEGMENT.size + DIRECTORY_ENTRIES_AT
    table = data.read(start, min(used - DIRECTORY_ENTRIES_AT, data.size - start))
    parts = _entries(table, count)
    for entries in parts:
        _check(data, entries)
    return _merge(parts)


def _segment(data: FileBytes, at: int, expected: bytes) -> int:
    """The used size of the segment at ``at``, which must be of the expected kind and lie inside the file."""
    kind, allocated, used = SEGMENT.unpack(data.read(at, SEGMENT.size))
    if kind.rstrip(b"\0") != expected:
        raise Damaged(f"There is no {expected.decode()} at byte {at}", DAMAGED)
    length = int(used) or int(allocated)
    if length < 0 or at + SEGMENT.size + length > data.size:
        raise Damaged(f"The file ends inside {expected.decode()}", TRUNCATED)
    return length


def _entries(table: bytes, count: int) -> list[npt.NDArray[np.void]]:
    """The entries, those with the same number of dimensions together."""
    by_dimensions: dict[int, list[int]] = {}
    at = 0
    for _ in range(count):
        n = int.from_bytes(table[at + DIMENSIONS_AT : at + ENTRY_BYTES], "little")
        length = ENTRY_BYTES + n * DIMENSION_BYTES
        if n > MOST_DIMENSIONS or at + length > len(table):
            raise Damaged("The directory of the file makes no sense", DAMAGED)
        by_dimensions.setdefault(n, []).append(at)
        at += length
    flat = np.frombuffer(table, np.uint8)
    found = []
    for n, places in by_dimensions.items():
        kind = _entry(n)
        rows = flat[np.array(places)[:, None] + np.arange(kind.itemsize)]
        found.append(rows.view(kind).reshape(len(places)))
    return found


def _entry(dimensions: int) -> np.dtype[np.void]:
    return np.dtype(
        [
            ("schema", "S2"), ("pixel", "<i4"), ("position", "<i8"), ("part", "<i4"), ("compression", "<i4"),
            ("pyramid", "u1"), ("spare", "u1", (5,)), ("count", "<i4"), ("dimensions", DIMENSION, (dimensions,)),
        ]
    )  # fmt: skip


def _check(data: FileBytes, entries: npt.NDArray[np.void]) -> None:
    """See that every block lies where its entry says and is as large as it must be."""
    if (entries["schema"] != b"DV").any():
        raise Unsupported("The directory of the file is of an old schema", "Save the file again in ZEN.")
    if entries["part"].any():
        raise Unsupported("The file is one part of several", "Save it as one file in ZEN.")
    head = np.dtype(
        [
            ("kind", "S16"), ("allocated", "<i8"), ("used", "<i8"), ("metadata", "<i4"), ("attachment", "<i4"),
            ("pixels", "<i8"), ("own", entries.dtype),
        ]
    )  # fmt: skip
    blocks = np.frombuffer(b"".join(data.read(int(at), head.itemsize) for at in entries["position"]), head)
    if (blocks["kind"] != BLOCK_SEGMENT).any():
        raise Damaged("A block is not where the directory says", DAMAGED)
    sizes = [blocks[name].astype(object) for name in ("metadata", "attachment", "pixels")]  # no overflow
    fixed = SEGMENT.size + max(SMALLEST_BLOCK_HEADER, head.itemsize - SEGMENT.size)
    ends = entries["position"].astype(object) + fixed + sum(sizes)
    if any((size < 0).any() for size in sizes) or (ends > data.size).any():
        raise Damaged("A block is cut off", TRUNCATED)
    own = blocks["own"]
    for name in ("pixel", "compression", "count"):
        if (own[name] != entries[name]).any():
            raise Damaged("A block is not what the directory says", DAMAGED)
    if any((_column(own, letter) != _column(entries, letter)).any() for letter in ("X", "Y")):
        raise Damaged("A block is not as large as the directory says", DAMAGED)
    _check_pixels(entries, blocks["pixels"])
    starts = entries["position"] + fixed + blocks["metadata"]
    areas = _column(entries, "X")[:, 2] * _column(entries, "Y")[:, 2]
    for i in np.flatnonzero(entries["compression"] == JPEG_XR):
        length = int(blocks["pixels"][i])
        head_of_image = data.read(int(starts[i]), min(length, HEAD_BYTES))
        if not looks_sound(head_of_image, length, int(areas[i])):
            raise Damaged("A block's JPEG XR image has a damaged header", DAMAGED)


def _check_pixels(entries: npt.NDArray[np.void], stored: npt.NDArray[np.int64]) -> None:
    for kind in np.unique(entries["pixel"]):
        if int(kind) not in PIXELS:
            raise Unsupported(f"The file holds pixels of type {kind}", "Gray and colour of 8, 16 and 32 bits are read.")
    for method in np.unique(entries["compression"]):
        if int(method) not in (UNCOMPRESSED, JPEG, JPEG_XR, ZSTD0, ZSTD1):
            raise Unsupported(f"The file is compressed by method {method}", "Save it again in ZEN.")
    needed = np.ones(len(entries), object)
    for letter in ("X", "Y"):
        column = _column(entries, letter)
        if (column[:, 1:] <= 0).any():
            raise Damaged("A block does not say how large it is", DAMAGED)
        needed = needed * column[:, 2].astype(object)
    bytes_of = {code: np.dtype(DTYPES[n]).itemsize * (3 if n.startswith("Bgr") else 1) for code, n in PIXELS.items()}
    needed = needed * np.array([bytes_of[int(kind)] for kind in entries["pixel"]], object)
    if ((entries["compression"] == UNCOMPRESSED) & (stored < needed)).any():
        raise Damaged("A block is smaller than its pixels", TRUNCATED)


def _column(entries: npt.NDArray[np.void], letter: str) -> npt.NDArray[np.int64]:
    """Start, size and stored size along one dimension, one row for each entry; -1 where it is not there."""
    dimensions = entries["dimensions"]
    if not dimensions.shape[1]:
        return np.full((len(entries), 3), -1, np.int64)
    is_it = np.char.strip(dimensions["name"], b"\0 ") == letter.encode("latin-1")
    chosen = dimensions[np.arange(len(entries)), is_it.argmax(axis=1)]
    stored = np.where(chosen["stored"] > 0, chosen["stored"], chosen["size"])
    found = np.stack([chosen["start"], chosen["size"], stored], axis=1).astype(np.int64)
    return np.where(is_it.any(axis=1)[:, None], found, -1)


def _merge(parts: list[npt.NDArray[np.void]]) -> Blocks:
    letters = sorted({n.decode("latin-1").strip("\0 ") for e in parts for n in np.unique(e["dimensions"]["name"])})
    columns = {letter: np.concatenate([_column(entries, letter) for entries in parts]) for letter in letters}
    x, y = columns.pop("X"), columns.pop("Y")
    return Blocks(
        np.concatenate([e["pixel"] for e in parts]), np.concatenate([e["compression"] for e in parts]),
        {letter: column[:, 0] for letter, column in columns.items()},
        x[:, 0], y[:, 0], x[:, 1], y[:, 1], x[:, 2], y[:, 2],
    )  # fmt: skip
