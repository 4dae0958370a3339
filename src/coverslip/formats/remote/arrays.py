"""Zarr arrays elsewhere: stored chunks are fetched, TensorStore decodes them in memory.

TensorStore has drivers of its own for S3, Google and the web, but takes keys only from the environment or a file, waits
for servers in its own way and tells their answers in its own words. So one library asks servers, and the other decodes:
each read hands the chunks it touches to an array in memory that lives as long as the read.

Of a shard the index and the chunks that are wanted are fetched, and decoded as an array without shards.

Source: Zarr v3 ``sharding_indexed`` 1.0.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import tensorstore

from coverslip.core.errors import CoverslipError, Damaged, NotFound
from coverslip.core.spec import Box
from coverslip.formats.remote.bucket import Stat, at_once
from coverslip.formats.remote.failures import changed
from coverslip.formats.remote.file import Blocks
from coverslip.formats.remote.store import RemoteStore, RemoteZip
from coverslip.formats.trees.grid import touched
from coverslip.formats.trees.recent import Recent, new_key
from coverslip.formats.trees.tensorstore import OPENED, told
from coverslip.formats.trees.zarr import ZarrArray
from coverslip.formats.trees.zarr_meta import ArrayMeta
from coverslip.formats.trees.zarr_store import Store

KEPT_BYTES = 64 << 20
"""Stored chunks that are kept of all remote arrays together."""
INDEX_BYTES = 16 << 20
"""Indexes of shards that are kept."""
GAP = 1 << 17
"""Chunks of a shard with at most this many bytes between them are fetched together."""
RUN = 8 << 20
"""Bytes of chunks that are fetched together, at most, if there are several."""
EMPTY = (1 << 64) - 1
NOTHING = b""
"""In place of a chunk that is not stored."""
CRC_BYTES = 4
REPAIR = "It is incomplete or damaged; copy or write it again."

Chunk = bytes | None
Index = tuple[int, ...]
Each = Callable[[Callable[[Any], Any], Iterable[Any]], list[Any]]
CHUNKS = Blocks(KEPT_BYTES)
INDEXES: Recent[tuple[npt.NDArray[np.uint64], Stat] | None] = Recent(INDEX_BYTES, lambda i: i[0].nbytes if i else 100)


class FetchedArray(ZarrArray):
    """An array whose chunks are fetched before TensorStore decodes them."""

    def __init__(self, store: RemoteStore | RemoteZip, path: str, meta: ArrayMeta) -> None:
        super().__init__(store, path, meta)
        self._each: Each = one_by_one if isinstance(store, RemoteZip) else at_once
        self._number = new_key()
        self._shards = _Shards(meta) if meta.grid != meta.chunks and _plain_shards(meta) else None

    def read(self, box: Box) -> npt.NDArray[Any]:
        """The elements of ``box``; chunks that are not stored hold the fill value."""
        if not box.within(self._spec.shape):
            raise NotFound(f"{box} is outside {self._spec.shape}")
        if not all(box.shape):
            return np.empty(box.shape, self._spec.dtype)
        if self._shards is not None:
            chunks = self._from_shards(self._shards, touched(box, self._meta.chunks))
            metadata: Mapping[str, Any] = self._shards.metadata
        else:
            chunks = self._whole(touched(box, self.grid))
            metadata = self._meta.metadata
        keys = {self._meta.key(index): chunk for index, chunk in chunks.items() if chunk is not None}
        with told(self.name):
            return decoded(self._meta.driver, metadata, keys, box)

    def _whole(self, indexes: Iterable[Index]) -> dict[Index, Chunk]:
        todo = list(indexes)
        return dict(zip(todo, self._each(self._stored, todo), strict=True))

    def _stored(self, index: Index) -> Chunk:
        kept = CHUNKS.get((self._number, index))
        if kept is None:
            found = self._bytes.read(self._key(index))
            if found is not None and (not found or (self._most is not None and len(found) > self._most)):
                raise Damaged(f"The chunk {self._key(index)} has {len(found)} bytes, which cannot be", REPAIR)
            kept = found or NOTHING
            CHUNKS.put((self._number, index), kept)
        return kept or None

    def _from_shards(self, shards: _Shards, indexes: Iterable[Index]) -> dict[Index, Chunk]:
        wanted: dict[Index, list[Index]] = {}
        found: dict[Index, Chunk] = {}
        for index in indexes:
            kept = CHUNKS.get((self._number, index))
            if kept is not None:
                found[index] = kept
                continue
            wanted.setdefault(tuple(i // n for i, n in zip(index, shards.ratio, strict=True)), []).append(index)
        jobs: list[tuple[str, Stat, list[tuple[int, int, Index]]]] = []
        many = list(wanted)
        for shard, entry in zip(many, self._each(self._index, many), strict=True):
            if entry is not None:
                key = self._key(shard)
                jobs += [(key, entry[1], run) for run in shards.runs(key, entry[0], wanted[shard])]
        for part in self._each(self._run, jobs):
            for index, chunk in part.items():
                CHUNKS.put((self._number, index), chunk)
            found.update(part)
        return found

    def _index(self, shard: Index) -> tuple[npt.NDArray[np.uint64], Stat] | None:
        """Offsets and lengths of the chunks in a shard, and the shard's version; None when it is not stored."""
        shards = cast(_Shards, self._shards)
        key = self._key(shard)

        def fetch() -> tuple[npt.NDArray[np.uint64], Stat] | None:
            got = self._part(key, shards.index_bytes)
            if got is None:
                return None
            if len(got[0]) != shards.index_bytes:
                raise Damaged(f"The shard {key} ends too early", REPAIR)
            with told(key):
                return shards.index(got[0]), got[1]

        return INDEXES.get((self._number, shard), fetch)

    def _part(self, key: str, count: int) -> tuple[bytes, Stat] | None:
        """The bytes of a shard's index."""
        at_end = cast(_Shards, self._shards).at_end
        if isinstance(self._bytes, RemoteStore):
            return self._bytes.tail(key, count) if at_end else self._bytes.get(key, 0, count)
        size = self._bytes.size(key)
        if size is None:
            return None
        start = max(0, size - count) if at_end else 0
        return self._bytes.read(key, start, start + count) or b"", Stat(key, size, "", 0.0)

    def _run(self, job: tuple[str, Stat, list[tuple[int, int, Index]]]) -> dict[Index, bytes]:
        key, stat, run = job
        start, stop = run[0][0], max(end for _, end, _ in run)
        if stop > stat.size:
            raise Damaged(f"The shard {key} ends too early", REPAIR)
        try:
            if isinstance(self._bytes, RemoteStore):
                got = self._bytes.get(key, start, stop, stat)
                data = got[0] if got is not None else b""
            else:
                data = self._bytes.read(key, start, stop) or b""
            if len(data) != stop - start:
                raise changed(key)
        except CoverslipError as error:
            if error.name == "changed":
                INDEXES.forget(self._number)
            raise
        return {index: data[a - start : b - start] for a, b, index in run}


def fetched_array(store: Store, path: str, meta: ArrayMeta) -> FetchedArray:
    """The array of a store whose bytes are fetched."""
    return FetchedArray(cast("RemoteStore | RemoteZip", store), path, meta)


class _Shards:
    """How chunks lie in shards, and the metadata of the same array without shards."""

    def __init__(self, meta: ArrayMeta) -> None:
        configuration = cast(Sequence[Mapping[str, Any]], meta.codecs)[0]["configuration"]
        self.ratio = tuple(g // c for g, c in zip(meta.grid, meta.chunks, strict=True))
        self.at_end = configuration.get("index_location", "end") == "end"
        self._codecs = [dict(c) if isinstance(c, Mapping) else {"name": c} for c in configuration["index_codecs"]]
        checks = sum(1 for codec in self._codecs if codec["name"] == "crc32c")
        self.index_bytes = 16 * math.prod(self.ratio) + CRC_BYTES * checks
        grid = {"name": "regular", "configuration": {"chunk_shape": list(meta.chunks)}}
        self.metadata = {**meta.metadata, "chunk_grid": grid, "codecs": configuration["codecs"]}
        elements = math.prod(meta.chunks) * meta.dtype.itemsize
        self._most = elements + elements // 4 + (1 << 16)

    def index(self, stored: bytes) -> npt.NDArray[np.uint64]:
        """A shard's index, its checksum looked at."""
        shape = [*self.ratio, 2]
        metadata = {
            "zarr_format": 3, "node_type": "array", "shape": shape, "data_type": "uint64", "fill_value": 0,
            "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": shape}},
            "chunk_key_encoding": {"name": "default"}, "codecs": self._codecs,
        }  # fmt: skip
        key = "/".join(["c", *("0" for _ in shape)])
        return decoded("zarr3", metadata, {key: stored}, Box.whole(tuple(shape)))

    def runs(
        self, key: str, index: npt.NDArray[np.uint64], wanted: Iterable[Index]
    ) -> list[list[tuple[int, int, Index]]]:
        """First byte, byte after the last, and number of every wanted chunk; those near each other in one list."""
        places = []
        for chunk in wanted:
            offset, length = (int(n) for n in index[tuple(i % n for i, n in zip(chunk, self.ratio, strict=True))])
            if (offset, length) == (EMPTY, EMPTY):
                continue
            if length > self._most or offset + length >= 1 << 63:
                raise Damaged(f"A chunk of the shard {key} is larger than it can be", REPAIR)
            places.append((offset, offset + length, chunk))
        runs: list[list[tuple[int, int, Index]]] = []
        for place in sorted(places):
            near = runs and 0 <= place[0] - runs[-1][-1][1] <= GAP and place[1] - runs[-1][0][0] <= RUN
            if near:
                runs[-1].append(place)
            else:
                runs.append([place])
        return runs


def _plain_shards(meta: ArrayMeta) -> bool:
    """Whether shards hold chunks and not shards again; others are fetched whole."""
    codecs = meta.codecs or ()
    if [codec.get("name") for codec in codecs] != ["sharding_indexed"]:
        return False
    configuration = codecs[0].get("configuration") or {}
    inner = configuration.get("codecs")
    index = configuration.get("index_codecs")
    if not isinstance(inner, list) or not isinstance(index, list):
        return False
    names = [c.get("name") if isinstance(c, Mapping) else c for c in inner]
    checks = [c.get("name") if isinstance(c, Mapping) else c for c in index]
    whole = all(g % c == 0 for g, c in zip(meta.grid, meta.chunks, strict=True))
    return whole and "sharding_indexed" not in names and set(checks) <= {"bytes", "crc32c"}


def one_by_one(work: Callable[[Any], Any], items: Iterable[Any]) -> list[Any]:
    """As `at_once`, for what is read under a lock anyway."""
    return [work(item) for item in items]


def decoded(driver: str, metadata: Mapping[str, Any], chunks: Mapping[str, bytes], box: Box) -> npt.NDArray[Any]:
    """The elements of ``box`` of an array of which these are the stored chunks."""
    memory = tensorstore.Context(
        {"cache_pool": {"total_bytes_limit": 0}, "memory_key_value_store": {}}, parent=OPENED.context()
    )
    kvstore = tensorstore.KvStore.open({"driver": "memory"}, context=memory).result()
    for write in [kvstore.write(key, chunk) for key, chunk in chunks.items()]:
        write.result()
    spec = {"driver": driver, "metadata": dict(metadata)}
    opened = tensorstore.open(
        spec, kvstore=kvstore, context=memory, open=True, read=True, assume_metadata=True
    ).result()
    found: npt.NDArray[Any] = opened[box.slices].read().result()
    return found
