"""How fast each array is decoded, and a memory of decoded chunks for those where it is slow."""

from __future__ import annotations

import math
import threading
import time
from collections import OrderedDict
from typing import Any

import numpy as np
import numpy.typing as npt

from coverslip.core.idle import KEEPERS
from coverslip.core.node import Array
from coverslip.core.spec import Box
from coverslip.core.stop import Stop
from coverslip.domains.pyramid import read
from coverslip.engine.cache import ByteCache
from coverslip.fronts.flight.tensors import Tensor

SLOW_MBPS = 150.0
"""An array that is decoded faster than this is not worth memory: the system keeps its file in memory anyway."""
FEW = 3
"""Reads after which the rate counts."""
FASTER, SLOWER = 0.5, 0.05
"""Weight of the newest read in the rate: one beside many others looks slower than the array is."""
MOST_ARRAYS = 4096
MOST_TILE = 16 << 20
MOST_TILES = 16
"""Larger reads do not go through the memory: they would push everything else out."""
MIB = 1 << 20


class Rate:
    """How fast an array was read."""

    def __init__(self) -> None:
        self.mbps = 0.0
        self.samples = 0
        self.updated_s = 0.0

    def add(self, size: int, seconds: float) -> None:
        """One more read."""
        mbps = size / 1e6 / max(seconds, 1e-6)
        self.mbps = (
            mbps if not self.samples else self.mbps + (FASTER if mbps > self.mbps else SLOWER) * (mbps - self.mbps)
        )
        self.samples += 1
        self.updated_s = time.time()

    @property
    def slow(self) -> bool:
        """Whether decoded chunks are worth keeping."""
        return self.samples >= FEW and self.mbps < SLOW_MBPS


class SlowArrays:
    """Reads arrays, and keeps what took long.

    Parameters
    ----------
    budget
        Bytes of decoded chunks that are kept.
    """

    def __init__(self, budget: int) -> None:
        self._tiles: ByteCache[npt.NDArray[Any]] = ByteCache(budget)
        self._budget = budget
        self._rates: OrderedDict[str, Rate] = OrderedDict()
        self._lock = threading.Lock()
        self.hits = self.misses = 0
        self.used_s = 0.0
        KEEPERS.add(self)

    def let_go(self) -> None:
        """Keep no decoded chunks."""
        self._tiles.clear()
        self.used_s = 0.0

    def rates(self) -> list[dict[str, Any]]:
        """Rows of the table ``decode_rates``: ``mbps`` are 10**6 decoded bytes per second of one reader."""
        with self._lock:
            known = list(self._rates.items())
        return [
            {"array_id": id, "mbps": round(r.mbps, 3), "samples": r.samples, "updated_at": r.updated_s}
            for id, r in known
        ]

    def stats(self) -> dict[str, Any]:
        """What ``cache_stats`` tells."""
        return {
            "total_bytes": self._tiles.nbytes,
            "max_bytes": self._budget,
            "total_entries": self._tiles.count,
            "hits": self.hits,
            "misses": self.misses,
        }

    def read(self, tensor: Tensor, array: Array, box: Box, stop: Stop, level: str = "") -> npt.NDArray[Any]:
        """The elements of a box; stored chunks of a slow array are decoded once and kept while there is room."""
        rate = self._rate(tensor.array_id)
        chunks = array.spec.chunks
        if rate.slow and chunks is not None and self._fits(array, chunks, box):
            return self._by_tiles(tensor, array, chunks, box, stop, level, rate)
        return self._timed(array, box, stop, rate)

    def _rate(self, id: str) -> Rate:
        rate = self._rates.get(id)
        if rate is None:
            with self._lock:
                rate = self._rates.setdefault(id, Rate())
                while len(self._rates) > MOST_ARRAYS:
                    self._rates.popitem(last=False)
        return rate

    def _timed(self, array: Array, box: Box, stop: Stop, rate: Rate) -> npt.NDArray[Any]:
        began = time.perf_counter()
        found = read(array, box, stop)
        seconds = time.perf_counter() - began
        decoded = _decoded(array, box)
        if decoded:
            rate.add(decoded, seconds)
        return found

    def _fits(self, array: Array, chunks: tuple[int, ...], box: Box) -> bool:
        tile = math.prod(chunks) * array.spec.dtype.itemsize
        return 0 < tile <= min(MOST_TILE, self._budget // 2) and 0 < _touched(chunks, box) <= MOST_TILES

    def _by_tiles(
        self, tensor: Tensor, array: Array, chunks: tuple[int, ...], box: Box, stop: Stop, level: str, rate: Rate
    ) -> npt.NDArray[Any]:
        first = [a // c for a, c in zip(box.start, chunks, strict=True)]
        last = [-(-b // c) for b, c in zip(box.stop, chunks, strict=True)]
        key = f"{tensor.array_id}\0{tensor.version.hex()}\0{level}\0"
        out = np.empty(box.shape, array.spec.dtype)
        for offset in np.ndindex(*(b - a for a, b in zip(first, last, strict=True))):
            stop.check()
            low = tuple((a + o) * c for a, o, c in zip(first, offset, chunks, strict=True))
            high = tuple(min(a + c, n) for a, c, n in zip(low, chunks, array.spec.shape, strict=True))
            tile = self._tile(key + ".".join(map(str, low)), array, Box(low, high), stop, rate)
            inside = [(max(a, b), min(c, d)) for a, b, c, d in zip(box.start, low, box.stop, high, strict=True)]
            source = tuple(slice(a - n, b - n) for (a, b), n in zip(inside, low, strict=True))
            out[tuple(slice(a - n, b - n) for (a, b), n in zip(inside, box.start, strict=True))] = tile[source]
        return out

    def _tile(self, key: str, array: Array, box: Box, stop: Stop, rate: Rate) -> npt.NDArray[Any]:
        tile = self._tiles.get(key)
        if tile is not None:
            self.hits += 1
            self.used_s = time.monotonic()
            return tile
        self.misses += 1
        tile = self._timed(array, box, stop, rate)
        self._tiles.put(key, tile)
        self.used_s = time.monotonic()
        return tile


def _touched(chunks: tuple[int, ...], box: Box) -> int:
    return math.prod(-(-b // c) - a // c for a, b, c in zip(box.start, box.stop, chunks, strict=True))


def _decoded(array: Array, box: Box) -> int:
    """Bytes that had to be decoded: whole stored chunks."""
    spec = array.spec
    if spec.chunks is None:
        return math.prod(box.shape) * spec.dtype.itemsize
    return _touched(spec.chunks, box) * math.prod(spec.chunks) * spec.dtype.itemsize
