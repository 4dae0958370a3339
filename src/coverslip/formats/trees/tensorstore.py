"""Arrays read by TensorStore: one context for all, its failures in coverslip's words, stored parts looked at first.

TensorStore takes a part that is missing for one filled with a constant, follows links wherever they lead, waits for
ever on a pipe, and ends the process when memory for one part cannot be had. So every part a read touches is looked at
before (`PartArray.look`), and arrays with parts too large to decode are refused.

Source: https://google.github.io/tensorstore/ (driver/zarr, driver/zarr3, driver/n5, context).
"""

from __future__ import annotations

import math
import re
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from weakref import WeakSet

import numpy as np
import numpy.typing as npt
import tensorstore

from coverslip.core.errors import CoverslipError, Damaged, NotFound, Unreadable, Unsupported
from coverslip.core.idle import KEEPERS
from coverslip.core.mounts import network_mount
from coverslip.core.node import Array, Attrs
from coverslip.core.spec import ArraySpec, Box
from coverslip.formats.trees.grid import touched as touched

CACHE_BYTES = 64 << 20
"""Decoded parts (and indexes of shards) kept by all arrays together; each is checked against the file when used."""
OPEN_FILES = 16
"""Files that TensorStore reads at the same time, in the whole process."""
LARGEST_PART = 1 << 31
"""Bytes of the largest part that is decoded: Blosc's own limit."""
FAILURES = (ValueError, IndexError, KeyError, TypeError, NotImplementedError, OverflowError, RuntimeError, OSError)
FOREIGN = (
    "not registered",
    "not supported",
    "not one of the supported",
    "unsupported",
    "must_understand",
    "is not one of",
)


class Opened:
    """What TensorStore has opened: one cache for all arrays, one limit of open files; those of network disks apart.

    What waits for a disk that does not answer would else use up the limit of all.

    The cache can be emptied in one way only: by closing every array that uses it. They are opened again when they are
    read; nothing is read from disk for that.
    """

    def __init__(self) -> None:
        self.used_s = 0.0
        self._arrays: WeakSet[PartArray] = WeakSet()
        self._lock = threading.Lock()
        self._contexts: dict[str | None, Any] = {}
        KEEPERS.add(self)

    def store(self, array: PartArray) -> Any:
        """The open array, to be used for one read."""
        self.used_s = time.monotonic()
        if (store := array.opened) is not None:
            return store
        store = array.open(context := self.context(array.disk))
        with self._lock:
            if context is self._contexts.get(array.disk):
                array.opened = store
                self._arrays.add(array)
        return store

    def context(self, disk: str | None = None) -> Any:
        """The context of every array on a disk (`network_mount`) that is opened now."""
        with self._lock:
            if disk not in self._contexts:
                cache, files = {"total_bytes_limit": CACHE_BYTES}, {"limit": OPEN_FILES}
                self._contexts[disk] = tensorstore.Context({"cache_pool": cache, "file_io_concurrency": files})
            return self._contexts[disk]

    def let_go(self) -> None:
        """Close everything; reads that are under way end well."""
        with self._lock:
            self.used_s = 0.0
            for array in self._arrays:
                array.opened = None
            self._arrays.clear()
            self._contexts.clear()


OPENED = Opened()


def disk_of(open_spec: Mapping[str, Any]) -> str | None:
    """The network disk that holds what TensorStore opens; None for a local one, or none."""
    store = open_spec.get("kvstore")
    while isinstance(store, Mapping) and isinstance(store.get("base"), Mapping):
        store = store["base"]
    path = store.get("path") if isinstance(store, Mapping) and store.get("driver") == "file" else None
    return network_mount(Path(path)) if path else None


@contextmanager
def told(name: str) -> Iterator[None]:
    """Tell TensorStore's failures as damage, missing rights or something unsupported, without paths of this machine."""
    try:
        yield
    except CoverslipError:
        raise
    except FAILURES as error:
        text = plain_text(str(error) or error.__class__.__name__)
        lowered = text.lower()
        if "permission" in lowered:
            raise Unreadable(f"{name} cannot be read: permission denied", "Check who may read it: ls -l.") from error
        if any(word in lowered for word in FOREIGN) or 'expected "regular"' in lowered:
            hint = "Write it with a common codec (blosc, zstd, gzip) and a regular grid to have it served."
            raise Unsupported(f"{name} uses something coverslip does not read: {text}", hint) from error
        raise Damaged(
            f"{name} cannot be read: {text}", "It is incomplete or damaged; copy or write it again."
        ) from error


def plain_text(message: str) -> str:
    """One line of a TensorStore message, without its specification and without folders."""
    line = " ".join(message.split(" [", 1)[0].split())
    line = re.sub(r'"/?(?:[^"/]*/)+([^"/]*)"', r'"\1"', line)
    return line.removeprefix("FAILED_PRECONDITION: ").removeprefix("INVALID_ARGUMENT: ")[:300]


class PartArray(Array, ABC):
    """An array stored in parts of equal shape, on TensorStore.

    Parameters
    ----------
    name
        What to call it in errors: its path inside the source.
    spec
        Shape, dtype, and the smallest part that is decoded at once.
    open_spec
        What TensorStore opens: driver, key-value store and metadata; nothing of it is read from disk.
    grid
        Shape of one stored part: ``spec.chunks``, or the shard that holds several.
    reverse
        Whether TensorStore counts the axes the other way round (N5).
    """

    def __init__(
        self,
        name: str,
        spec: ArraySpec,
        open_spec: Mapping[str, Any],
        grid: tuple[int, ...],
        attrs: Attrs,
        reverse: bool = False,
    ) -> None:
        self.name, self.attrs, self.grid = name, attrs, grid
        self._spec, self._open_spec, self._reverse = spec, open_spec, reverse
        self.opened: Any = None
        self.disk = disk_of(open_spec)
        part = math.prod(spec.chunks or ()) * spec.dtype.itemsize
        if part > LARGEST_PART:
            raise Unsupported(f"{name} is stored in parts of {part >> 20} MiB", "Write it in chunks of some MiB.")
        with told(name):
            OPENED.store(self)

    @property
    def spec(self) -> ArraySpec:
        """Shape, dtype and chunks."""
        return self._spec

    @abstractmethod
    def look(self, index: tuple[int, ...]) -> None:
        """Raise when the part at ``index`` is stored but must not be read."""

    def read(self, box: Box) -> npt.NDArray[Any]:
        """The elements of ``box``; parts that are not stored hold the fill value."""
        if not box.within(self._spec.shape):
            raise NotFound(f"{box} is outside {self._spec.shape}")
        if not all(box.shape):
            return np.empty(box.shape, self._spec.dtype)
        for index in touched(box, self.grid):
            self.look(index)
        with told(self.name):
            found: npt.NDArray[Any] = OPENED.store(self)[box.slices].read().result()
        return found

    def open(self, context: Any) -> Any:
        """Open it; nothing is read from disk.

        Raises
        ------
        Damaged
            When it is not what its metadata says.
        """
        store = tensorstore.open(self._open_spec, context=context, open=True, read=True, assume_metadata=True).result()
        store = store.T if self._reverse else store
        if store.shape != self._spec.shape:
            raise Damaged(f"{self.name} does not say its shape", "Its metadata is damaged; write it again.")
        return store
