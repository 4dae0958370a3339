"""Chunks of HDF5 data sets decoded beside HDF5: by any number of threads, with filters that HDF5 itself may lack.

HDF5 has one lock for everything; here it is held only to look up where a chunk lies. The bytes are read with ``pread``
and decoded outside of Python's lock.

Source: HDF5 File Format Specification 3.0, IV.A.2.l (filters); the registry of filters (LZ4 32004, Blosc 32001,
Zstandard 32015).
"""

from __future__ import annotations

import importlib
import math
import os
from collections.abc import Callable
from dataclasses import replace
from functools import cache, partial
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from coverslip.core.errors import Damaged, NotFound
from coverslip.core.node import Array, Attrs
from coverslip.core.spec import ArraySpec, Box
from coverslip.formats.trees.grid import meeting, touched
from coverslip.formats.trees.hdf5 import BROKEN, H5Array, damage
from coverslip.formats.trees.recent import Recent, new_key

DEFLATE, SHUFFLE, FLETCHER32, BLOSC, LZ4, ZSTD = 1, 2, 3, 32001, 32004, 32015
LARGEST_CHUNK = 1 << 31
KEPT_BYTES = 32 << 20
"""Decoded chunks kept for the next tile or plane, of all files together."""

_recent: Recent[npt.NDArray[Any]] = Recent(KEPT_BYTES, lambda chunk: chunk.nbytes)


def lazily(array: H5Array) -> Array:
    """The array as it is read fastest."""
    if _fits(array):
        return H5Chunks(array)
    return array if array.spec.dtype.isnative else Native(array)


def _fits(array: H5Array) -> bool:
    dataset = array.dataset
    if dataset.chunks is None or dataset.dtype.kind not in "iuf" or not hasattr(os, "pread"):
        return False
    if dataset.file.userblock_size or math.prod(dataset.chunks) * dataset.dtype.itemsize > LARGEST_CHUNK:
        return False
    filters = _filters(array)  # without any, HDF5 copies from its own cache
    return bool(filters) and all(number in DECODERS for number in filters) and _codecs() is not None


@cache
def _codecs() -> Any:
    """imagecodecs, or None when it is not installed: HDF5 itself decodes then."""
    try:
        return importlib.import_module("imagecodecs")
    except ImportError:
        return None


def _filters(array: H5Array) -> list[int]:
    with damage(str(array.dataset.name)):
        plist = array.dataset.id.get_create_plist()
        return [plist.get_filter(i)[0] for i in range(plist.get_nfilters())]


def _fill_value(array: H5Array) -> Any:
    """What chunks that are not stored hold; zero where the file does not say."""
    with damage(str(array.dataset.name)):
        # Asked for a value whose status it finds invalid, HDF5 ends the process.
        told = array.dataset.id.get_create_plist().fill_value_defined()
        return array.dataset.fillvalue if told == h5py.h5d.FILL_VALUE_USER_DEFINED else 0


class Native(Array):
    """An array whose elements are stored in the other byte order."""

    def __init__(self, array: H5Array) -> None:
        self._array = array
        self._spec = replace(array.spec, dtype=array.spec.dtype.newbyteorder("="))

    @property
    def attrs(self) -> Attrs:  # type: ignore[override]
        """The array's."""
        return self._array.attrs

    @property
    def spec(self) -> ArraySpec:
        """As the array's, in native byte order."""
        return self._spec

    def read(self, box: Box) -> npt.NDArray[Any]:
        """The elements of ``box``."""
        return self._array.read(box).astype(self._spec.dtype)


class H5Chunks(Array):
    """A chunked data set of numbers."""

    def __init__(self, array: H5Array) -> None:
        self._array, self._dataset, self._filters = array, array.dataset, _filters(array)
        self._stored = array.dataset.dtype
        self._spec = ArraySpec(array.spec.shape, self._stored.newbyteorder("="), array.spec.chunks)
        self._fill = _fill_value(array)
        self._codecs = _codecs()
        self._key = new_key()

    @property
    def attrs(self) -> Attrs:  # type: ignore[override]
        """The data set's attributes, read when asked for."""
        return self._array.attrs

    @property
    def spec(self) -> ArraySpec:
        """Shape, dtype and chunks."""
        return self._spec

    def read(self, box: Box) -> npt.NDArray[Any]:
        """The elements of ``box``; chunks that are not stored hold the fill value."""
        if not box.within(self._spec.shape):
            raise NotFound(f"{box} is outside {self._spec.shape}")
        out = np.empty(box.shape, self._spec.dtype)
        chunks = self._spec.chunks
        assert chunks is not None
        if out.size:
            self._array.source.ahead(self._dataset, box)
            for index in touched(box, chunks):
                into, part = meeting(box, index, chunks)
                out[into] = _recent.get((self._key, index), partial(self._chunk, index))[part]
        return out

    def _chunk(self, index: tuple[int, ...]) -> npt.NDArray[Any]:
        name, chunks = str(self._dataset.name), self._spec.chunks
        assert chunks is not None
        corner = tuple(i * n for i, n in zip(index, chunks, strict=True))
        with damage(name):
            info = self._dataset.id.get_chunk_info_by_coord(corner)
            if info.byte_offset is None:
                return np.broadcast_to(np.asarray(self._fill, self._stored), chunks)
            itemsize = self._stored.itemsize
            size = math.prod(chunks) * itemsize
            if info.size > 2 * size + (1 << 16):
                raise ValueError("a chunk is larger than it can be")
            stored = self._array.source.stored(info.byte_offset, info.size)
            for place in reversed(range(len(self._filters))):
                if not info.filter_mask >> place & 1:
                    sums = self._filters[:place].count(FLETCHER32)  # of 4 bytes each, that earlier filters added
                    stored = DECODERS[self._filters[place]](self._codecs, stored, size + 4 * sums, itemsize)
        if len(stored) != size:
            raise Damaged(f"{name} has a chunk of the wrong size", BROKEN)
        return np.frombuffer(stored, self._stored).reshape(chunks)


def _unshuffle(_: Any, stored: bytes, __: int, itemsize: int) -> bytes:
    count = len(stored) // itemsize
    whole = np.frombuffer(stored, np.uint8, count * itemsize).reshape(itemsize, count)
    out = np.empty((count, itemsize), np.uint8)
    for i in range(itemsize):  # several times as fast as a transposed copy
        out[:, i] = whole[i]
    return out.tobytes() + stored[count * itemsize :]


def _unchecked(_: Any, stored: bytes, __: int, ___: int) -> bytes:
    return stored[:-4]


def _by_codec(name: str) -> Callable[[Any, bytes, int, int], bytes]:
    def decode(codecs: Any, stored: bytes, size: int, _: int) -> bytes:
        try:
            return bytes(getattr(codecs, f"{name}_decode")(stored, out=size))
        except RuntimeError as error:  # what every codec's own error is
            raise ValueError(str(error)) from error

    return decode


DECODERS: dict[int, Callable[[Any, bytes, int, int], bytes]] = {
    DEFLATE: _by_codec("deflate"),
    SHUFFLE: _unshuffle,
    FLETCHER32: _unchecked,
    BLOSC: _by_codec("blosc"),
    LZ4: _by_codec("lz4h5"),
    ZSTD: _by_codec("zstd"),
}
