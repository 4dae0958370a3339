"""The bytes of protocol v3 that are put together by hand, and the schema of a chunk."""

from __future__ import annotations

import struct
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

CHUNK_PROTOCOL = "2"
FLIGHT_PROTOCOL = "3"
CHUNK_SCHEMA = pa.schema(
    [("data", pa.binary()), ("shape", pa.list_(pa.int64())), ("dtype", pa.string())],
    {"chunk_wire_protocol": CHUNK_PROTOCOL, "flight_protocol": FLIGHT_PROTOCOL},
)
EMPTY = pa.py_buffer(b"")
BINARY = pa.binary()
OFFSETS = struct.Struct("=2i")
WRITING = pa.ipc.IpcWriteOptions()
"""Given with each stream: pyarrow would look for them in the environment each time."""


def varint(number: int) -> bytes:
    """An unsigned number as protobuf writes it.

    Source: protobuf.dev, "Encoding", base 128 varints.
    """
    if number < 0x80:
        return bytes((number,))
    out = bytearray()
    while number >= 0x80:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def message(field: int, data: bytes) -> bytes:
    """A field of bytes, of a number below 16."""
    return bytes((field << 3 | 2,)) + varint(len(data)) + data


def batch(elements: npt.NDArray[Any], keep: Callable[[npt.NDArray[Any]], None] | None = None) -> pa.RecordBatch:
    """One chunk as the only row of a batch, around the memory of the array itself.

    Parameters
    ----------
    elements
        Of any shape, in C order, below 2 GiB.
    keep
        Told the object that lives as long as the batch holds the memory.
    """
    size = elements.nbytes
    flat = elements.reshape(-1).view(np.uint8)
    if keep is not None:
        keep(flat)
    data = pa.py_buffer(flat) if size else EMPTY
    offsets = pa.py_buffer(OFFSETS.pack(0, size))
    blob = pa.Array.from_buffers(BINARY, 1, [None, offsets, data])
    return pa.RecordBatch.from_arrays([blob, *_facts(elements.shape, elements.dtype.str)], schema=CHUNK_SCHEMA)


@lru_cache(1024)
def _facts(shape: tuple[int, ...], dtype: str) -> tuple[Any, Any]:
    """The columns ``shape`` and ``dtype``, which take longer to make than the others."""
    return pa.array([list(shape)], pa.list_(pa.int64())), pa.array([dtype])
