"""Arrays of text in Zarr, decoded here: TensorStore reads numbers only.

Read are text of any length (the codec ``vlen-utf8`` of v2 and v3, in shards too) and of fixed length (v2's ``<U`` and
``|S``), compressed with gzip, zlib, bz2, blosc or zstd. Python objects in any other encoding are never decoded.

Source: numcodecs ``vlen-utf8`` (a count, then each length and its bytes, all 32-bit little-endian); Zarr v3
``sharding_indexed`` 1.0; Blosc 1 chunk header; RFC 8878 (zstd frame header).
"""

from __future__ import annotations

import bz2
import math
import struct
import zlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorstore

from coverslip.core.errors import Damaged, NotFound, Unsupported
from coverslip.core.node import Array
from coverslip.core.spec import ArraySpec, Box
from coverslip.formats.trees.grid import meeting, touched
from coverslip.formats.trees.tensorstore import LARGEST_PART, OPENED, told
from coverslip.formats.trees.zarr_meta import ArrayMeta
from coverslip.formats.trees.zarr_store import Store

EMPTY = (1 << 64) - 1
"""What the index of a shard holds for a chunk that is not stored."""
CRC_BYTES = 4
LARGEST_CHUNK = 1 << 27
"""Texts in the largest chunk that is decoded."""
DAMAGED = "The chunk is damaged; copy or write the data again."


class TextArray(Array):
    """An array whose elements are ``str``."""

    def __init__(self, store: Store, path: str, meta: ArrayMeta) -> None:
        self._store, self._path, self._meta = store, path, meta
        self.attrs = meta.attrs
        self._codecs, self._sharded = _pipeline(path, meta)

    @property
    def spec(self) -> ArraySpec:
        """Shape and chunks; the dtype is ``object``."""
        return ArraySpec(self._meta.shape, self._meta.dtype, self._meta.chunks)

    @property
    def names(self) -> tuple[str, ...] | None:
        """Names of the axes, when the file gives them."""
        return self._meta.names

    def read(self, box: Box) -> npt.NDArray[Any]:
        """The elements of ``box``; undecodable bytes replaced, chunks that are not stored empty."""
        if not box.within(self._meta.shape):
            raise NotFound(f"{box} is outside {self._meta.shape}")
        out = np.full(box.shape, "", object)
        if not all(box.shape):
            return out
        for index in touched(box, self._meta.chunks):
            stored = self._chunk(index)
            if stored is None:
                continue
            into, part = meeting(box, index, self._meta.chunks)
            out[into] = self._elements(stored)[part]
        return out

    def _chunk(self, index: tuple[int, ...]) -> bytes | None:
        """The decompressed bytes of a chunk."""
        grid, chunks = self._meta.grid, self._meta.chunks
        ratio = [g // c for g, c in zip(grid, chunks, strict=True)]
        key = self._meta.key(tuple(i // r for i, r in zip(index, ratio, strict=True)))
        key = f"{self._path}/{key}" if self._path else key
        stored = self._store.read(key)
        if stored is None:
            return None
        if self._sharded:
            inside = np.ravel_multi_index([i % r for i, r in zip(index, ratio, strict=True)], ratio) if ratio else 0
            start, size = _shard_entry(key, stored, int(inside), math.prod(ratio))
            if start == EMPTY and size == EMPTY:
                return None
            stored = stored[start : start + size]
        for codec in reversed(self._codecs):
            stored = decode(key, codec, stored)
        return stored

    def _elements(self, stored: bytes) -> npt.NDArray[Any]:
        count = math.prod(self._meta.chunks)
        if self._meta.text == "vlen-utf8":
            flat = _vlen(self._path, stored, count)
        else:
            try:
                flat = np.frombuffer(stored, np.dtype(self._meta.stored), count)
            except (ValueError, TypeError) as error:
                raise Damaged(f"{self._path} has a chunk of the wrong size", DAMAGED) from error
            if flat.dtype.kind == "S":
                flat = np.char.decode(flat, "utf-8", "replace")
        return flat.astype(object).reshape(self._meta.chunks)


def _pipeline(path: str, meta: ArrayMeta) -> tuple[Sequence[Mapping[str, Any]], bool]:
    """What decompresses a chunk, and whether chunks lie in shards."""
    if math.prod(meta.chunks) > LARGEST_CHUNK:
        raise Unsupported(f"{path} holds text in chunks of {math.prod(meta.chunks)}", "Write it in smaller chunks.")
    codecs, sharded = _named(path, meta.codecs), False
    if not meta.stored:  # v3
        sharded = [c["name"] for c in codecs] == ["sharding_indexed"]
        if sharded:
            codecs = _inner(path, meta, codecs[0].get("configuration"))
        if [c["name"] for c in codecs[:1]] != ["vlen-utf8"]:
            raise Unsupported(f"{path} holds text in an unknown encoding", "Write it as vlen-utf8.")
        codecs = codecs[1:]
    unknown = [c["name"] for c in codecs if c["name"] not in DECODERS]
    if unknown:
        raise Unsupported(f"{path} holds text compressed with {unknown[0]}", "Write it with blosc, zstd or gzip.")
    return codecs, sharded


def _inner(path: str, meta: ArrayMeta, configuration: Any) -> list[Mapping[str, Any]]:
    """The codecs of the chunks inside shards that are laid out as everybody writes them."""
    said = configuration if isinstance(configuration, Mapping) else {}
    index = [c["name"] for c in _named(path, said.get("index_codecs"))]
    whole = all(g % c == 0 for g, c in zip(meta.grid, meta.chunks, strict=False))
    if index != ["bytes", "crc32c"] or said.get("index_location", "end") != "end" or not whole:
        raise Unsupported(f"{path} holds text in unusual shards", "Write it without shards.")
    return _named(path, said.get("codecs"))


def _named(path: str, codecs: Any) -> list[Mapping[str, Any]]:
    """A list of codecs that have names."""
    given = list(codecs) if isinstance(codecs, (list, tuple)) else []
    if not all(isinstance(c, Mapping) and isinstance(c.get("name"), str) for c in given):
        raise Damaged(f"{path} has codecs that make no sense", "Write it again with zarr-python.")
    return given


def _shard_entry(key: str, shard: bytes, inside: int, count: int) -> tuple[int, int]:
    at = len(shard) - CRC_BYTES - 16 * count
    if at < 0:
        raise Damaged(f"The shard {key} ends too early", DAMAGED)
    start, size = struct.unpack_from("<QQ", shard, at + 16 * inside)
    if (start, size) != (EMPTY, EMPTY) and start + size > at:
        raise Damaged(f"The index of the shard {key} is damaged", DAMAGED)
    return start, size


def _vlen(path: str, stored: bytes, count: int) -> npt.NDArray[Any]:
    """``vlen-utf8``: a count, then each length with its bytes."""
    out = np.full(count, "", object)
    try:
        (given,) = struct.unpack_from("<I", stored)
        at = 4
        for i in range(min(given, count)):
            (length,) = struct.unpack_from("<I", stored, at)
            end = at + 4 + length
            if end > len(stored):
                raise Damaged(f"{path} has a chunk that ends too early", DAMAGED)
            out[i] = stored[at + 4 : end].decode("utf-8", "replace")
            at = end
    except struct.error as error:
        raise Damaged(f"{path} has a chunk that ends too early", DAMAGED) from error
    return out


def decode(key: str, codec: Mapping[str, Any], stored: bytes) -> bytes:
    """Undo one compressor.

    Raises
    ------
    Damaged
        When the bytes do not keep what the codec says.
    """
    try:
        return DECODERS[codec["name"]](codec, stored)
    except (zlib.error, OSError, EOFError, ValueError, struct.error) as error:
        raise Damaged(f"{key} cannot be decompressed: {error}", DAMAGED) from error


def _inflate(_: Mapping[str, Any], stored: bytes) -> bytes:
    whole = zlib.decompressobj(wbits=47)  # gzip or zlib, by the header
    found = whole.decompress(stored, LARGEST_PART)
    if not whole.eof:
        raise EOFError("it ends too early, or is too large")
    return found


def _bunzip(_: Mapping[str, Any], stored: bytes) -> bytes:
    whole = bz2.BZ2Decompressor()
    found = whole.decompress(stored, LARGEST_PART)
    if not whole.eof:
        raise EOFError("it ends too early, or is too large")
    return found


def _blosc(codec: Mapping[str, Any], stored: bytes) -> bytes:
    return _by_tensorstore(codec, stored, struct.unpack_from("<I", stored, 4)[0])


def _zstd(codec: Mapping[str, Any], stored: bytes) -> bytes:
    magic, descriptor = struct.unpack_from("<IB", stored)
    single, kind = bool(descriptor & 0x20), descriptor >> 6
    if magic != 0xFD2FB528 or (kind == 0 and not single):
        raise ValueError("its zstd frame does not say its size")
    at = 5 + (0 if single else 1) + (0, 1, 2, 4)[descriptor & 3]
    width = 1 << kind
    size = int.from_bytes(stored[at : at + width], "little") + (256 if kind == 1 else 0)
    return _by_tensorstore(codec, stored, size)


def _by_tensorstore(codec: Mapping[str, Any], stored: bytes, size: int) -> bytes:
    """Decode with TensorStore's codecs, as the only chunk of an array of bytes in memory."""
    if size > LARGEST_PART:
        raise ValueError("it is too large")
    if size == 0:
        return b""
    metadata = {
        "zarr_format": 3, "node_type": "array", "shape": [size], "data_type": "uint8", "fill_value": 0,
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [size]}},
        "chunk_key_encoding": {"name": "default"}, "codecs": [{"name": "bytes"}, dict(codec)],
    }  # fmt: skip
    memory = tensorstore.Context(
        {"cache_pool": {"total_bytes_limit": 0}, "memory_key_value_store": {}}, parent=OPENED.context()
    )
    with told("A chunk of text"):
        kvstore = tensorstore.KvStore.open({"driver": "memory"}, context=memory).result()
        kvstore.write("c/0", stored).result()
        spec = {"driver": "zarr3", "metadata": metadata}
        opened = tensorstore.open(
            spec, kvstore=kvstore, context=memory, open=True, read=True, assume_metadata=True
        ).result()
        found: npt.NDArray[np.uint8] = opened.read().result()
    return found.tobytes()


DECODERS: dict[str, Callable[[Mapping[str, Any], bytes], bytes]] = {
    "gzip": _inflate,
    "zlib": _inflate,
    "bz2": _bunzip,
    "blosc": _blosc,
    "zstd": _zstd,
    "crc32c": lambda _, stored: stored[:-CRC_BYTES],
}
