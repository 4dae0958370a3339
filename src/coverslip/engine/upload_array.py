"""An uploaded array as Zarr v3, written and read by TensorStore.

Source: Zarr v3 core specification 3.1; https://google.github.io/tensorstore/driver/zarr3.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from coverslip.core.ability import ChunkLayout
from coverslip.core.errors import CoverslipError, Damaged, DiskFull, NotFound, Unreadable
from coverslip.core.node import Array
from coverslip.core.spec import ArraySpec, Box
from coverslip.engine.upload import Declared

CACHE_BYTES = 32 << 20
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class UploadedArray(Array):
    """An uploaded array at a path; offers its stored chunks (`coverslip.core.ability.RawChunks`)."""

    def __init__(self, path: Path, declared: Declared) -> None:
        self._path, self._declared = path, declared
        self._store: Any = None
        self.attrs = {}

    @property
    def spec(self) -> ArraySpec:
        """As declared."""
        return ArraySpec(self._declared.shape, self._declared.dtype, self._declared.chunks)

    @property
    def layout(self) -> ChunkLayout | None:
        """As it was written."""
        declared = self._declared
        return ChunkLayout(declared.chunks, _data_type(declared.dtype), _codecs(declared), _fill(declared.dtype))

    def read(self, box: Box) -> npt.NDArray[Any]:
        """The elements of ``box``; chunks that were never uploaded are zero."""
        if not box.within(self._declared.shape):
            raise NotFound(f"{box} is outside {self._declared.shape}")
        if not all(box.shape):
            return np.empty(box.shape, self._declared.dtype)
        with told(self._declared.target.array_id):
            if self._store is None:
                self._store = opened(self._path, self._declared, write=False)
            found: npt.NDArray[Any] = self._store[box.slices].read().result()
        self._check()
        return found

    def stored_size(self, index: tuple[int, ...]) -> int | None:
        """Bytes of a stored chunk; None when it was never uploaded."""
        try:
            return self._chunk(index).stat().st_size
        except FileNotFoundError:
            self._check()
            return None

    def stored_chunk(self, index: tuple[int, ...], start: int = 0, stop: int | None = None) -> bytes | None:
        """The stored bytes of a chunk, or some of them; None when it was never uploaded."""
        try:
            with self._chunk(index).open("rb") as file:
                file.seek(start)
                return file.read(-1 if stop is None else max(stop - start, 0))
        except FileNotFoundError:
            self._check()
            return None

    def _check(self) -> None:
        """See that missing chunks were never uploaded, and did not go away a moment ago."""
        if not (self._path / "zarr.json").exists():
            raise NotFound(f"{self._declared.target.array_id} was discarded", "Read another one.", "discarded")

    def _chunk(self, index: tuple[int, ...]) -> Path:
        counts = self._declared.counts
        if len(index) != len(counts) or not all(0 <= i < n for i, n in zip(index, counts, strict=True)):
            raise NotFound(f"There is no chunk {index}", "Chunks are counted from 0 along each axis.")
        return self._path.joinpath("c", *map(str, index))


@contextmanager
def told(name: str = "The upload") -> Iterator[None]:
    """Tell what the disk says in words, without paths of this machine."""
    try:
        yield
    except OSError as error:
        raise _failed(name, error.errno or 0, error.strerror or str(error)) from error
    except (ValueError, RuntimeError, NotImplementedError) as error:
        found = re.search(r"os_error_code='(\d+)'", str(error))
        if found is None:
            raise Damaged(f"{name} cannot be read or written", "Its files are damaged; upload it again.") from error
        raise _failed(name, int(found[1]), os.strerror(int(found[1]))) from error


def _failed(name: str, number: int, text: str) -> CoverslipError:
    if number in FULL:
        return DiskFull(f"{name} cannot be kept: {text}", "Free some space on the server, then send it again.")
    return Unreadable(f"{name} cannot be read or written: {text}", "See who may write to the folder of uploads.")


@cache
def _contexts() -> tuple[Any, Any]:
    """For reading and for writing; a chunk that was answered is on the disk."""
    import tensorstore

    reading = tensorstore.Context({"cache_pool": {"total_bytes_limit": CACHE_BYTES}})
    return reading, tensorstore.Context({"cache_pool": {"total_bytes_limit": 0}, "file_io_sync": True})


def opened(path: Path, declared: Declared, write: bool) -> Any:
    """The array at a path for TensorStore, without a look at the disk."""
    import tensorstore

    spec = {
        "driver": "zarr3",
        "kvstore": {"driver": "file", "path": f"{path}/"},
        "metadata": array_document(declared),
        "store_data_equal_to_fill_value": True,  # what is stored has arrived
        "recheck_cached_data": False,
        "recheck_cached_metadata": False,
    }
    context = _contexts()[write]
    return tensorstore.open(
        spec, context=context, open=True, read=not write, write=write, assume_metadata=True
    ).result()


def array_document(declared: Declared) -> dict[str, Any]:
    """``zarr.json`` of the array."""
    return {
        "zarr_format": 3,
        "node_type": "array",
        "shape": list(declared.shape),
        "data_type": _data_type(declared.dtype),
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": list(declared.chunks)}},
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
        "fill_value": _fill(declared.dtype),
        "codecs": _codecs(declared),
        "dimension_names": [axis.name for axis in declared.axes],
        "attributes": {},
    }


def _codecs(declared: Declared) -> list[dict[str, Any]]:
    size = declared.dtype.itemsize
    endian = {"configuration": {"endian": "little"}} if size > 1 else {}
    name, level = ("lz4", 5) if declared.target.image is None else ("zstd", 3)
    packed = {"cname": name, "clevel": level, "shuffle": "shuffle", "typesize": size, "blocksize": 0}
    return [{"name": "bytes", **endian}, {"name": "blosc", "configuration": packed}]


def _data_type(dtype: np.dtype[Any]) -> str:
    return dtype.name


def _fill(dtype: np.dtype[Any]) -> Any:
    return {"b": False, "f": 0.0}.get(dtype.kind, 0)
