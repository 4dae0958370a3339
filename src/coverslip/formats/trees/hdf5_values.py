"""Elements of HDF5 data sets, read beside HDF5's lock where the file lays them out as numpy does.

HDF5 has one lock for everything a process does with it. Of a chunked data set only the table of its chunks is asked for
under that lock, once; the stored bytes are read with ``pread`` and decoded by several threads at once. What HDF5 must
convert (text and sequences of any length, references, numbers of odd sizes, filters unknown here) it reads itself.
"""

from __future__ import annotations

import itertools
import math
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from h5py import h5d, h5s

from coverslip.core.errors import BadRequest, Damaged, NotFound, UnsafeLink, Unsupported
from coverslip.core.stop import NEVER, Stop
from coverslip.core.typed import DatasetInfo, Selection, TypedFile, value_dtype
from coverslip.formats.trees.hdf5_external import External
from coverslip.formats.trees.hdf5_filters import Pipeline, pipeline, unavailable
from coverslip.formats.trees.hdf5_types import memory_type, plain_values, said, stored_dtype
from coverslip.formats.trees.hdf5_virtual import Virtual
from coverslip.formats.trees.recent import Recent, new_key

if TYPE_CHECKING:
    from coverslip.formats.trees.hdf5 import H5Source


def _budget() -> int:
    """A 64th of the machine's memory, 32 to 256 MB."""
    try:
        memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        memory = 8 << 30
    return min(256 << 20, max(32 << 20, memory // 64))


KEPT_BYTES = _budget()
"""Decoded chunks kept for the next request, of all files together."""
LARGEST_CHUNK = 1 << 31
TABLE_CHUNKS = 1 << 17
"""Up to so many chunks in the grid, where all of them lie is asked at once; of more, one by one as they are read."""
MOST_RUNS = 4096
"""A read of contiguous data in more pieces than this is left to HDF5, which gathers them."""
BLOCK_BYTES = 8 << 20
"""HDF5's lock is given to others after reading this much."""

Index = tuple[int, ...]
Piece = tuple[int, Any, Any]
"""The number of a chunk along one axis, what is wanted of it, and where that goes."""
Place = tuple[int, int, int]
"""Offset, stored size and filter mask of a chunk."""

_recent: Recent[npt.NDArray[Any]] = Recent(KEPT_BYTES, lambda chunk: chunk.nbytes)


@cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(max(2, os.cpu_count() or 2), "coverslip-chunks")


class Values:
    """The elements of one data set."""

    def __init__(
        self,
        source: H5Source,
        dataset: h5d.DatasetID,
        info: DatasetInfo,
        pointed: Callable[[Any], Any],
        file: TypedFile,
    ) -> None:
        self._source, self._dataset, self._info, self._pointed = source, dataset, info, pointed
        self._file = file
        tid = dataset.get_type()
        self._memory = memory_type(tid)
        self._dtype = value_dtype(info.type)
        self._name = "The data set"
        self._key = new_key()
        self._lock = threading.Lock()
        self._table: dict[Index, Place] | None = None
        self._places: dict[Index, Place | None] = {}
        stored = stored_dtype(tid, info.type) if _readable(source) else None
        self._stored = stored
        self._pipeline: Pipeline | None = None
        self._offset: int | None = None
        if stored is not None and info.layout == "chunked" and info.chunks is not None:
            if math.prod(info.chunks) * stored.itemsize <= LARGEST_CHUNK:
                self._pipeline = pipeline(info.filters, stored.itemsize)
        elif stored is not None and info.layout == "contiguous" and info.shape is not None:
            whole = math.prod(info.shape) * stored.itemsize
            self._offset = dataset.get_offset() if whole and dataset.get_storage_size() == whole else None
        self._elsewhere: Virtual | External | None = None
        if info.layout in ("virtual", "external"):
            self._elsewhere = self._of_others(stored_dtype(tid, info.type))

    def _of_others(self, stored: np.dtype[Any] | None) -> Virtual | External | None:
        """Who reads elements that lie in other files."""
        if self._info.shape is None:
            return None
        plist, file = self._dataset.get_create_plist(), self._file
        if self._info.layout == "virtual":
            return Virtual(plist, self._info, file, lambda: file.beside)
        if stored is None or not hasattr(os, "preadv"):
            raise Unsupported("Data in other files is read where it is numbers or records of them")
        return External(plist, self._info.shape, stored, lambda: file.beside)

    def read(self, selection: Selection, stop: Stop = NEVER) -> npt.NDArray[Any]:
        """What is selected, with ``selection.shape`` (and then the axes of a block type).

        Raises
        ------
        UnsafeLink
            When it lies in another file.
        Unsupported
            When it is stored with a filter that is not installed.
        """
        self._check()
        if sum(not isinstance(axis, slice) for axis in selection.axes) > 1:
            raise BadRequest("One axis can have a list of coordinates")
        if not selection.size:
            return np.empty(selection.shape, self._dtype)
        if isinstance(self._elsewhere, Virtual):
            return self._elsewhere.read(selection, stop)
        if self._elsewhere is not None:
            found = self._elsewhere.read(selection, stop)
        elif self._pipeline is not None and self._info.shape != ():
            found = self._by_chunks(selection, stop)
        elif self._offset is not None and (runs := self._runs(selection)) is not None:
            found = self._by_runs(selection, runs, stop)
        else:
            return self._by_hdf5(selection, stop)
        return plain_values(found, self._info.type, self._pointed)

    def _check(self) -> None:
        info = self._info
        if info.shape is None:
            raise NotFound("The data set has a null space and holds no elements")
        if info.layout in ("external", "virtual") and self._file.beside is None:
            raise UnsafeLink("The data set keeps its elements in other files", "Those are not read.")
        lacking = unavailable(info.filters) if self._pipeline is None and self._elsewhere is None else None
        if lacking is not None:
            raise Unsupported(
                f"The data set is stored with filter {lacking.id} ({lacking.name or 'without a name'})",
                "Install hdf5plugin on the server, if it has this filter.",
                "filter_missing",
            )

    # --- chunks ---------------------------------------------------------------------------------------------------

    def _by_chunks(self, selection: Selection, stop: Stop) -> npt.NDArray[Any]:
        assert self._stored is not None
        assert self._info.chunks is not None
        out = np.empty(selection.shape, self._stored)
        if selection.points is not None:
            jobs = list(_point_jobs(selection.points, self._info.chunks))
        else:
            pieces = [list(_pieces(axis, n)) for axis, n in zip(selection.axes, self._info.chunks, strict=True)]
            jobs = [_job(parts) for parts in itertools.product(*pieces)]
        self._find(jobs)
        keep = len(jobs) * math.prod(self._info.chunks) * self._stored.itemsize <= KEPT_BYTES // 2
        turns = iter(jobs)

        def work() -> None:
            for index, part, into in turns:
                stop.check()
                out[into] = self._chunk(index, keep)[part]

        _together(work, min(len(jobs), os.cpu_count() or 2))
        return out

    def _chunk(self, index: Index, keep: bool) -> npt.NDArray[Any]:
        key = (self._key, index)
        if keep:
            return _recent.get(key, lambda: self._decoded(index))
        return self._decoded(index)

    def _decoded(self, index: Index) -> npt.NDArray[Any]:
        stored, chunks = self._stored, self._info.chunks
        assert stored is not None
        assert chunks is not None
        assert self._pipeline is not None
        place = self._place(index)
        if place is None:
            fill = np.zeros((), stored) if self._info.fill is None else _as(self._info.fill, stored)
            return np.broadcast_to(fill, chunks + fill.shape)
        offset, size, mask = place
        whole = math.prod(chunks) * stored.itemsize
        if size > 2 * whole + (1 << 16):
            raise Damaged("A chunk is larger than it can be", "Copy the file again.")
        data = self._source.stored(offset, size)
        if len(data) != size:
            raise Damaged("A chunk lies behind the end of the file", "The file is truncated; copy it again.")
        decoded = self._pipeline.decode(data, whole, mask)
        if len(decoded) != whole:
            raise Damaged("A chunk has the wrong size", "Copy the file again.")
        return np.frombuffer(decoded, stored).reshape(chunks + stored.shape)

    def _place(self, index: Index) -> Place | None:
        if self._table is not None:
            return self._table.get(index)
        if index not in self._places:
            with _translated():
                assert self._info.chunks is not None
                info = self._dataset.get_chunk_info_by_coord(tuple(i * n for i, n in zip(index, self._info.chunks)))  # noqa: B905
            there = info.byte_offset is not None
            self._places[index] = (int(info.byte_offset), int(info.size), int(info.filter_mask)) if there else None
        return self._places[index]

    def _find(self, jobs: Sequence[Any]) -> None:
        """Look up where all chunks lie, unless only a few of very many are wanted."""
        chunks, shape = self._info.chunks, self._info.shape
        assert chunks is not None
        assert shape is not None
        if self._table is not None or len(jobs) < 4:
            return
        grid = math.prod(-(-n // c) for n, c in zip(shape, chunks, strict=True))
        if grid > max(TABLE_CHUNKS, 8 * len(jobs)):
            return
        with self._lock:
            table: dict[Index, Place] = {}

            def one(info: Any) -> None:
                if info.byte_offset is not None:
                    at = tuple(o // c for o, c in zip(info.chunk_offset, chunks, strict=True))
                    table[at] = (int(info.byte_offset), int(info.size), int(info.filter_mask))

            with _translated():
                self._dataset.chunk_iter(one)
            self._table = table

    # --- one piece ------------------------------------------------------------------------------------------------

    def _runs(self, selection: Selection) -> tuple[int, list[int]] | None:
        """Bytes of a run of neighbours and where each run starts in the data; None when there are too many."""
        shape, stored = self._info.shape, self._stored
        assert shape is not None
        assert stored is not None
        if selection.points is not None or not all(isinstance(axis, slice) for axis in selection.axes):
            return None
        axes: list[slice] = list(selection.axes)  # type: ignore[arg-type]
        strides = [stored.itemsize * math.prod(shape[i + 1 :]) for i in range(len(shape))]
        depth = len(axes)
        length = stored.itemsize
        while depth and axes[depth - 1] == slice(0, shape[depth - 1], 1):
            depth -= 1
            length *= shape[depth]
        first = 0
        if depth and axes[depth - 1].step == 1:
            depth -= 1
            length *= axes[depth].stop - axes[depth].start
            first = axes[depth].start * strides[depth]
        if math.prod(_count(a) for a in axes[:depth]) > MOST_RUNS:
            return None
        starts = [first]
        for axis, stride in zip(axes[:depth], strides[:depth], strict=True):
            starts = [s + i * stride for s in starts for i in range(axis.start, axis.stop, axis.step)]
        return length, starts

    def _by_runs(self, selection: Selection, runs: tuple[int, list[int]], stop: Stop) -> npt.NDArray[Any]:
        assert self._offset is not None
        assert self._stored is not None
        length, starts = runs
        out = np.empty(selection.shape, self._stored)
        target = memoryview(out.reshape(-1).view(np.uint8).data)
        for number, start in enumerate(starts):
            at, end, position = number * length, (number + 1) * length, self._offset + start
            while at < end:
                stop.check()
                got = self._source.fill(target[at : min(end, at + BLOCK_BYTES)], position)
                if got <= 0:
                    raise Damaged("The data set ends too early", "The file is truncated; copy it again.")
                at, position = at + got, position + got
        return out

    # --- by HDF5 itself -------------------------------------------------------------------------------------------

    def _by_hdf5(self, selection: Selection, stop: Stop) -> npt.NDArray[Any]:
        if selection.points is not None:
            return self._points(selection.points, stop)
        lists = [i for i, axis in enumerate(selection.axes) if not isinstance(axis, slice)]
        if lists:
            return self._listed(selection, lists[0], stop)
        out = np.empty(selection.shape, self._dtype)
        for rows in _blocks(selection, self._dtype.itemsize):
            stop.check()
            axes: list[slice] = list(selection.axes)  # type: ignore[arg-type]
            if axes:
                whole = axes[0]
                axes[0] = slice(whole.start + rows.start * whole.step,
                                min(whole.stop, whole.start + rows.stop * whole.step), whole.step)  # fmt: skip
                out[rows] = self._slab(axes)
            else:
                out[...] = self._slab(axes)
        return out

    def _slab(self, axes: Sequence[slice]) -> npt.NDArray[Any]:
        space = self._dataset.get_space()
        counts = tuple(_count(a) for a in axes)
        if axes:
            space.select_hyperslab(tuple(a.start for a in axes), counts, tuple(a.step for a in axes))
        return self._taken(space, counts)

    def _taken(self, space: Any, counts: Index) -> npt.NDArray[Any]:
        dtype, memory = self._memory
        with _translated():
            raw = np.zeros(counts, dtype)
            self._dataset.read(h5s.create_simple(counts) if counts else h5s.create(h5s.SCALAR), space, raw, memory)
        return plain_values(raw, self._info.type, self._pointed)

    def _listed(self, selection: Selection, axis: int, stop: Stop) -> npt.NDArray[Any]:
        wanted = np.asarray(selection.axes[axis], np.int64)
        distinct, back = np.unique(wanted, return_inverse=True)
        axes = list(selection.axes)
        span = int(distinct[-1] - distinct[0]) + 1
        if span <= 4 * len(distinct):
            axes[axis] = slice(int(distinct[0]), int(distinct[-1]) + 1, 1)
            found = self._by_hdf5(Selection(tuple(axes)), stop)
            taken: npt.NDArray[Any] = found.take(wanted - distinct[0], axis)
            return taken
        parts = []
        for i in distinct.tolist():
            stop.check()
            axes[axis] = slice(i, i + 1, 1)
            parts.append(self._slab(axes))  # type: ignore[arg-type]
        return np.concatenate(parts, axis).take(back, axis)

    def _points(self, points: npt.NDArray[np.int64], stop: Stop) -> npt.NDArray[Any]:
        out = np.empty(len(points), self._dtype)
        step = 4096
        for first in range(0, len(points), step):
            stop.check()
            part = points[first : first + step]
            space = self._dataset.get_space()
            with _translated():
                space.select_elements(part.astype(np.uint64))
            out[first : first + len(part)] = self._taken(space, (len(part),))
        return out


def _readable(source: H5Source) -> bool:
    return hasattr(os, "preadv") and source.plain


def _together(work: Callable[[], None], threads: int) -> None:
    """Do work in several threads, this one among them."""
    if threads <= 1:
        work()
        return
    others = [_pool().submit(work) for _ in range(threads - 1)]
    try:
        work()
    finally:
        wait(others)
    for other in others:
        other.result()


def _count(axis: slice) -> int:
    return len(range(axis.start, axis.stop, axis.step))


def _job(parts: Sequence[Piece]) -> tuple[Index, Any, Any]:
    return tuple(p[0] for p in parts), tuple(p[1] for p in parts), tuple(p[2] for p in parts)


def _pieces(axis: Any, chunk: int) -> Iterator[Piece]:
    """What of each chunk along one axis is wanted, and where it goes."""
    if not isinstance(axis, slice):
        indices = np.asarray(axis, np.int64)
        numbers = indices // chunk
        for number in np.unique(numbers).tolist():
            at = np.flatnonzero(numbers == number)
            yield number, indices[at] - number * chunk, at
        return
    if axis.stop <= axis.start:
        return
    for number in range(axis.start // chunk, (axis.stop - 1) // chunk + 1):
        begin, end = number * chunk, min(axis.stop, (number + 1) * chunk)
        skipped = max(0, -(-(begin - axis.start) // axis.step))
        first = axis.start + skipped * axis.step
        if first < end:
            count = -(-(end - first) // axis.step)
            yield number, slice(first - begin, end - begin, axis.step), slice(skipped, skipped + count)


def _point_jobs(points: npt.NDArray[np.int64], chunks: Index) -> Iterator[tuple[Index, Any, Any]]:
    """The points that lie in each chunk."""
    numbers = points // np.asarray(chunks)
    order = np.lexsort(numbers.T[::-1])
    ordered = numbers[order]
    cuts = np.flatnonzero(np.any(ordered[1:] != ordered[:-1], axis=1)) + 1
    for some in np.split(order, cuts):
        index = tuple(numbers[some[0]].tolist())
        inside = points[some] - np.asarray(index) * np.asarray(chunks)
        yield index, tuple(inside.T), some


def _blocks(selection: Selection, itemsize: int) -> Iterator[slice]:
    """Ranges of rows of what is read, each of `BLOCK_BYTES` or one row."""
    if not selection.axes:
        yield slice(0, 1)
        return
    rows, *rest = selection.shape
    step = max(1, BLOCK_BYTES // max(1, math.prod(rest) * itemsize))
    for first in range(0, rows, step):
        yield slice(first, min(rows, first + step))


def _as(fill: npt.NDArray[Any], stored: np.dtype[Any]) -> npt.NDArray[Any]:
    if stored.base.names is None:
        return np.asarray(fill, stored.base)
    out = np.zeros((), stored)
    out[...] = fill
    return out


class _translated:  # noqa: N801  (used as a statement)
    """Call what HDF5 cannot read damaged."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, (OSError, RuntimeError, KeyError, ValueError, TypeError, OverflowError, MemoryError)):
            raise Damaged(
                f"The data set cannot be read: {said(error)}", "The file looks truncated or damaged."
            ) from error
