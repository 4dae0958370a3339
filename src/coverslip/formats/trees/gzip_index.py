"""Bytes inside a gzip file, read anywhere without starting from its beginning each time.

The first pass over the data keeps points at which decompression can start again; blocks that were read last are kept.
"""

from __future__ import annotations

import struct
import threading
import zlib
from pathlib import Path

from coverslip.core.errors import Damaged, Unreadable
from coverslip.formats.trees.recent import Recent, new_key
from coverslip.formats.trees.source import need

MAGIC = b"\x1f\x8b"
BLOCK = 1 << 19
"""Data is decompressed by this many bytes at least."""
MANY_BLOCKS = 4
"""More than this many are read at one go and not kept: whoever reads that much goes through the file once."""
SPACING, MOST_POINTS = 1 << 18, 512
"""Bytes between two points, or more where there would be too many: a point holds 32 KiB."""
CHECKED_BYTES = 1 << 26
"""Files up to this size are gone through once, before the first read, to see that their checksum is right."""
HIGHEST_RATIO = 1032
"""Deflate never shrinks data more than this (zlib, "Maximum Compression Factor")."""
BLOCKS: Recent[bytes] = Recent(128 << 20, len)
"""Shared by every gzip file of the process."""
# What indexed_gzip raises for bytes that make no sense.
NONSENSE = (OSError, EOFError, ValueError, RuntimeError, MemoryError, OverflowError, zlib.error, struct.error)


def inflate_head(head: bytes, count: int) -> bytes:
    """The first ``count`` bytes of a gzip file whose own first bytes are ``head``; fewer, or none, where they end."""
    try:
        return zlib.decompressobj(wbits=31).decompress(head, count)
    except zlib.error:
        return b""


class GzipBytes:
    """The bytes inside a gzip file.

    Parameters
    ----------
    path
        The ``.gz`` file.
    expected
        About how many bytes are inside; only sets the distance of the points.
    """

    def __init__(self, path: Path, expected: int = 0) -> None:
        gzip = need("indexed_gzip", "a .gz file by slice")
        self._name = path.name
        self._key = new_key()
        # Reads are whole blocks, so Python's own buffer would only copy them once more.
        self._file = gzip.IndexedGzipFile(
            filename=str(path), spacing=max(SPACING, expected // MOST_POINTS), drop_handles=False, buffer_size=1 << 16
        )
        self._lock = threading.Lock()
        self._closed = False
        self._unchecked = path.stat().st_size <= CHECKED_BYTES

    def read(self, offset: int, length: int) -> bytes:
        """Exactly ``length`` bytes from ``offset`` on; `Damaged` when there are fewer."""
        if length <= 0:
            return b""
        first, last = offset // BLOCK, (offset + length - 1) // BLOCK
        if last - first >= MANY_BLOCKS:
            data = self._inflate(offset, length)
        else:
            blocks = [self._block(i) for i in range(first, last + 1)]
            blocks[-1] = blocks[-1][: offset + length - last * BLOCK]
            blocks[0] = blocks[0][offset - first * BLOCK :]
            data = blocks[0] if len(blocks) == 1 else b"".join(blocks)
        if len(data) != length:
            raise Damaged(f"{self._name} ends too early", "The file is truncated; copy it again.")
        return data

    def _block(self, number: int) -> bytes:
        return BLOCKS.get((self._key, number), lambda: self._inflate(number * BLOCK, BLOCK))

    def _inflate(self, offset: int, length: int) -> bytes:
        with self._lock:
            if self._closed:
                raise Unreadable(f"{self._name} was closed", "Open it again.")
            try:
                if self._unchecked:
                    self._file.build_full_index()
                    self._unchecked = False
                self._file.seek(offset)
                return bytes(self._file.read(length))
            except NONSENSE as error:
                text = "its checksum is wrong" if "CRC" in str(error) else "it is not whole gzip data"
                raise Damaged(f"{self._name} cannot be decompressed: {text}", "Copy it again.") from error

    def close(self) -> None:
        """Close the file and forget its blocks."""
        with self._lock:
            if not self._closed:
                self._closed = True
                self._file.close()
                BLOCKS.forget(self._key)
