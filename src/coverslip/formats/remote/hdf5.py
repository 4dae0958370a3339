"""HDF5 files elsewhere, read by ranges through h5py's file objects.

HDF5 reads under a lock that all its files share, so what a read of chunks needs is fetched before it takes the lock,
all at the same time; only metadata is fetched under it.
"""

from __future__ import annotations

import atexit
import weakref
from typing import Any

import h5py
import numpy as np

from coverslip.core.errors import Damaged
from coverslip.core.node import Group
from coverslip.core.ranges import Ranges
from coverslip.core.spec import Box
from coverslip.formats.remote.file import PIECE, RemoteFile
from coverslip.formats.trees.grid import touched
from coverslip.formats.trees.hdf5 import H5Group, H5Source, damage

MOST_CHUNKS = 4096
"""Chunks that one read fetches before it begins; a longer one fetches the others as HDF5 asks for them."""

_open: weakref.WeakSet[RangedH5Source] = weakref.WeakSet()


class RangedH5Source(H5Source):
    """One HDF5 file that is read by ranges."""

    def __init__(self, file: Ranges) -> None:
        self._remote = file
        self._fd = -1
        self._opened = False
        self._file = h5py.File(file.open(), "r")
        self._opened = True
        self.etag, self.modified_s = file.etag, file.modified_s
        self.root: Group = H5Group(self._file, self)
        _open.add(self)

    def fill(self, target: memoryview, at: int) -> int:
        """Read into ``target``; all of it is there."""
        self._remote.read_into(at, target)
        return len(target)

    def stored(self, offset: int, size: int) -> bytes:
        """Bytes of the file, fewer where it ends."""
        return self._remote.read(offset, max(0, min(size, self._remote.size - offset)))

    def ahead(self, dataset: h5py.Dataset, box: Box) -> None:
        """Fetch the stored chunks that a box touches."""
        if isinstance(self._remote, RemoteFile):
            with damage(str(dataset.name)):
                spans = _spans(dataset, box)
            self._remote.prepare(spans)

    def fresh(self) -> bool:
        """Whether the object is still the one that was opened."""
        return self._remote.fresh()

    def close(self) -> None:
        """Close the file; arrays of it cannot be read afterwards."""
        if self._opened:
            self._opened = False
            self._file.close()
            self._remote.close()
            self._let_go()


def _spans(dataset: h5py.Dataset, box: Box) -> list[tuple[int, int]]:
    """Offset and length of what is stored of a box."""
    if dataset.chunks is None:
        offset, size = dataset.id.get_offset(), dataset.id.get_storage_size()
        return [] if offset is None or size > PIECE else [(offset, size)]
    found: list[tuple[int, int]] = []
    for number, index in enumerate(touched(box, dataset.chunks)):
        if number == MOST_CHUNKS:
            break
        info: Any = dataset.id.get_chunk_info_by_coord(tuple(np.multiply(index, dataset.chunks).tolist()))
        if info.byte_offset is not None:
            found.append((info.byte_offset, info.size))
    return found


@atexit.register
def _close_all() -> None:
    """Close what is open: HDF5 would do so after Python has ended, and call its file objects."""
    for source in list(_open):
        source.close()


def open_ranged_hdf5(file: Ranges) -> RangedH5Source:
    """Open an HDF5 file elsewhere.

    Raises
    ------
    Damaged
        When it is truncated or not HDF5.
    """
    try:
        return RangedH5Source(file)
    except (OSError, RuntimeError) as error:
        why = "it is truncated" if "truncated" in str(error) else "it is not a whole HDF5 file"
        raise Damaged(f"{file} cannot be opened: {why}", "Copy or write it there again.") from error
