"""HDF5's filters undone outside of HDF5, by several threads at once.

Deflate is undone by Intel's ISA-L (the package ``isal``) where it is installed, two to three times as fast as zlib;
Blosc, LZ4 and Zstandard by imagecodecs where that is.

Source: HDF5 File Format Specification 3.0, IV.A.2.l; the registry of filters; HDF5's ``H5_checksum_fletcher32``.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import cache
from typing import Any, TypeAlias

import numpy as np
from h5py import h5z

from coverslip.core.errors import Damaged
from coverslip.core.typed import Filter
from coverslip.formats.trees.hdf5_chunks import BLOSC, DEFLATE, FLETCHER32, LZ4, SHUFFLE, ZSTD, _codecs

Buffer: TypeAlias = bytes | memoryview
SLICE_WORDS = 1 << 20
BY_IMAGECODECS = {BLOSC: "blosc", LZ4: "lz4h5", ZSTD: "zstd"}


@cache
def inflate() -> Callable[[Buffer, int], bytes]:
    """The fastest way to undo deflate here: a function of the stored bytes and the size they had."""
    try:
        from isal import isal_zlib
    except ImportError:
        return lambda data, size: zlib.decompress(data, bufsize=size)
    return lambda data, size: bytes(isal_zlib.decompress(data, bufsize=size))


@cache
def _wrong() -> tuple[type[Exception], ...]:
    """What undoing deflate raises when the bytes make no sense."""
    found: list[Any] = [zlib.error, RuntimeError, ValueError, MemoryError, OverflowError]
    with suppress(ImportError):
        from isal import isal_zlib

        found.append(isal_zlib.error)
    return tuple(found)


class Pipeline:
    """The filters of one data set.

    Parameters
    ----------
    numbers
        Their registered numbers, in the order they were applied.
    itemsize
        Bytes of an element.
    """

    def __init__(self, numbers: Sequence[int], itemsize: int) -> None:
        self._numbers = tuple(numbers)
        self._itemsize = itemsize

    def decode(self, data: Buffer, size: int, mask: int) -> Buffer:
        """The elements of a chunk as bytes.

        Parameters
        ----------
        size
            What the chunk has in bytes without filters.
        mask
            Filters that were left out for this chunk, one bit each.

        Raises
        ------
        Damaged
            When the bytes make no sense.
        """
        for place in reversed(range(len(self._numbers))):
            if mask >> place & 1:
                continue
            number = self._numbers[place]
            sums = self._numbers[:place].count(FLETCHER32)  # of 4 bytes each, that earlier filters added
            try:
                data = self._undo(number, data, size + 4 * sums)
            except _wrong() as error:
                raise Damaged(f"A chunk cannot be decoded: {error}", "Copy the file again.") from error
        return data

    def _undo(self, number: int, data: Buffer, size: int) -> Buffer:
        if number == DEFLATE:
            return inflate()(data, size)
        if number == SHUFFLE:
            return unshuffled(data, self._itemsize)
        if number == FLETCHER32:
            return checked(data)
        return bytes(getattr(_codecs(), f"{BY_IMAGECODECS[number]}_decode")(bytes(data), out=size))


def pipeline(filters: Sequence[Filter], itemsize: int) -> Pipeline | None:
    """How the filters are undone here; None when HDF5 has to."""
    for filter in filters:
        if filter.id in (DEFLATE, SHUFFLE, FLETCHER32):
            continue
        if filter.id not in BY_IMAGECODECS or _codecs() is None:
            return None
    sizes = {f.options[0] for f in filters if f.id == SHUFFLE and f.options}
    if len(sizes) > 1:
        return None
    return Pipeline([f.id for f in filters], sizes.pop() if sizes else itemsize)


def unavailable(filters: Sequence[Filter]) -> Filter | None:
    """The first filter that HDF5 cannot undo; plug-ins are looked for first."""
    plug_in()
    return next((f for f in filters if not h5z.filter_avail(f.id)), None)


@cache
def plug_in() -> None:
    """Register the filters of hdf5plugin where it is installed."""
    try:
        import hdf5plugin  # noqa: F401
    except ImportError:
        return


def unshuffled(data: Buffer, itemsize: int) -> Buffer:
    """Bytes that were sorted by their place in an element, put back; a rest that fills no element stays."""
    count = len(data) // itemsize
    if itemsize <= 1 or count <= 1:
        return data
    whole = np.frombuffer(data, np.uint8, count * itemsize).reshape(itemsize, count)
    out = np.empty(len(data), np.uint8)
    body = out[: count * itemsize].reshape(count, itemsize)
    for i in range(itemsize):  # several times as fast as a transposed copy
        body[:, i] = whole[i]
    out[count * itemsize :] = np.frombuffer(data, np.uint8)[count * itemsize :]
    return out.data


def checked(data: Buffer) -> Buffer:
    """The bytes without their checksum.

    Raises
    ------
    Damaged
        When it is not theirs.
    """
    body, told = memoryview(data)[:-4], int.from_bytes(memoryview(data)[-4:], "little")
    low, high = _fletcher(body)
    if (told & 0xFFFF) % 65535 != low or (told >> 16) % 65535 != high:
        raise Damaged("A chunk does not match its checksum", "The file was damaged; copy it again.")
    return body


def _fletcher(data: memoryview) -> tuple[int, int]:
    """Both sums of Fletcher's checksum over big-endian words, modulo 65535."""
    odd = len(data) % 2
    words = np.frombuffer(data, ">u2", len(data) // 2)
    low = high = 0
    for first in range(0, len(words), SLICE_WORDS):
        part: np.ndarray[Any, Any] = words[first : first + SLICE_WORDS].astype(np.uint64)
        weights = np.arange(len(part), 0, -1, dtype=np.uint64)
        high = (high + low * len(part) + int((part * weights).sum() % 65535)) % 65535
        low = (low + int(part.sum() % 65535)) % 65535
    if odd:
        low = (low + (data[-1] << 8)) % 65535
        high = (high + low) % 65535
    return low, high
