"""Virtual data sets: elements put together of data sets of this file and of others.

HDF5 never reads them here: it would look for a source wherever its name, an environment variable or the folder the
server runs in lead. What HDF5 tells is the mapping alone; sources are opened by who knows which files are offered.

Source: HDF5 File Format Specification 3.0, IV.A.2.i (virtual storage layout); RFC: HDF5 Virtual Dataset.
"""

from __future__ import annotations

import logging
import math
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from h5py import h5s

from coverslip.core.errors import BadRequest, Damaged, NotFound, TooLarge, Unsupported
from coverslip.core.stop import Stop
from coverslip.core.typed import Axis, DatasetInfo, Neighbours, Selection, Target, TypedFile, value_dtype

LOG = logging.getLogger("coverslip.hdf5")
MOST_MAPPINGS = 100_000
MOST_LISTED = 4 << 20
"""Elements of a selection that is no regular one."""
MOST_READS = 200_000
"""Sources that one read may touch; those of virtual data sets multiply."""
DEEPEST = 16
"""Virtual data sets of virtual data sets."""
MOST_SPREAD = 16
"""How many times what is wanted may be read where it lies scattered; beyond that it is read element by element."""
MOST_LINKS = 64

Index = npt.NDArray[np.int64]
_depth = threading.local()


class Regular:
    """A regular selection: along each axis ``count`` blocks of ``block`` elements, ``stride`` apart."""

    def __init__(self, start: Index, stride: Index, count: Index, block: Index) -> None:
        self.start, self.stride, self.count, self.block = start, stride, count, block
        self.shape = tuple(int(n) for n in count * block)
        self.last = start + (count - 1) * stride + block - 1

    def ordinals(self, axis: int, wanted: Index) -> tuple[Index, Index]:
        """Which of ``wanted`` are selected along an axis, and how many selected ones come before each of them."""
        away = wanted - self.start[axis]
        number, inside = np.divmod(away, self.stride[axis])
        chosen = np.flatnonzero((away >= 0) & (number < self.count[axis]) & (inside < self.block[axis]))
        return chosen, number[chosen] * self.block[axis] + inside[chosen]

    def coordinates(self, axis: int, ordinals: Index) -> Index:
        """Where the n-th selected elements of an axis are."""
        number, inside = np.divmod(ordinals, self.block[axis])
        found: Index = self.start[axis] + number * self.stride[axis] + inside
        return found

    def points(self, linear: Index) -> Index:
        """Coordinates of the n-th selected elements in C order."""
        parts = np.unravel_index(linear, self.shape) if self.shape else ()
        return np.stack([self.coordinates(i, np.asarray(p)) for i, p in enumerate(parts)], axis=1)


class Listed:
    """Any other selection, as the numbers of its elements in C order."""

    def __init__(self, shape: tuple[int, ...], numbers: Index) -> None:
        self.extent, self.numbers = shape, numbers
        self.shape = (len(numbers),)
        points = np.stack(np.unravel_index(numbers, shape), axis=1)
        self.start, self.last = points.min(axis=0), points.max(axis=0)

    def points(self, linear: Index) -> Index:
        """Coordinates of the n-th selected elements."""
        return np.stack(np.unravel_index(self.numbers[linear], self.extent), axis=1)


Places = Regular | Listed


@dataclass(frozen=True, slots=True)
class Mapping:
    """Where some elements come from: ``source`` is None for all of the source."""

    file: str
    path: str
    into: Places
    source: Places | None


class Virtual:
    """Reads one virtual data set.

    Parameters
    ----------
    plist
        Its creation property list.
    info
        What it is.
    file
        The file it is in.
    beside
        Opens other files; None where there are none to be had.

    Raises
    ------
    Unsupported
        When it grows with its sources.
    """

    def __init__(self, plist: Any, info: DatasetInfo, file: TypedFile, beside: Callable[[], Neighbours | None]) -> None:
        if plist.get_virtual_count() > MOST_MAPPINGS:
            raise Unsupported(f"The data set has more than {MOST_MAPPINGS:,} sources")
        if grows(plist):
            raise Unsupported(
                "The data set grows with its sources, and such are not read", "Write it with the extent it has now."
            )
        self._info, self._file, self._beside = info, file, beside
        self._mappings = [_mapping(plist, i) for i in range(plist.get_virtual_count())]
        rank = len(info.shape or ())
        self._first = np.array([m.into.start for m in self._mappings], np.int64).reshape(-1, rank)
        self._last = np.array([m.into.last for m in self._mappings], np.int64).reshape(-1, rank)
        self._told: set[str] = set()

    def read(self, selection: Selection, stop: Stop) -> npt.NDArray[Any]:
        """What is selected; elements without a source, or whose source is missing, hold the fill value.

        Raises
        ------
        UnsafeLink
            When a source lies outside of what is offered.
        CoverslipError
            When a source cannot be read.
        """
        depth = getattr(_depth, "now", 0)
        if depth >= DEEPEST:
            raise BadRequest("The sources of this data set lead in a circle, or too deep")
        if not depth:
            _depth.left = MOST_READS
        _depth.now = depth + 1
        try:
            return self._read(selection, stop)
        finally:
            _depth.now = depth

    def _read(self, selection: Selection, stop: Stop) -> npt.NDArray[Any]:
        out = self._filled(selection.shape)
        points = selection.points
        axes = [] if points is not None else [_indices(axis) for axis in selection.axes]
        low = points.min(axis=0) if points is not None else np.array([a.min() for a in axes])
        high = points.max(axis=0) if points is not None else np.array([a.max() for a in axes])
        for number in np.flatnonzero(np.all((self._first <= high) & (self._last >= low), axis=1)).tolist():
            stop.check()
            _depth.left -= 1
            if _depth.left < 0:
                raise TooLarge(f"The selection lies in more than {MOST_READS:,} pieces", "Ask for it in parts.")
            mapping = self._mappings[number]
            if points is not None:
                self._by_points(mapping, points, out, stop)
            elif isinstance(mapping.into, Regular):
                self._by_axes(mapping, mapping.into, axes, out, stop)
            else:
                grid = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, len(axes))
                flat = out.reshape((len(grid), *out.shape[len(axes) :]))
                self._by_points(mapping, grid, flat, stop)
        return out

    def _filled(self, shape: tuple[int, ...]) -> npt.NDArray[Any]:
        dtype = value_dtype(self._info.type)
        fill = self._info.fill
        if fill is None and dtype.hasobject:
            raise Unsupported("Virtual data sets of text or sequences of any length are not read")
        out = np.zeros(shape, dtype)
        if fill is not None:
            out[...] = fill
        return out

    def _by_axes(
        self, mapping: Mapping, into: Regular, axes: Sequence[Index], out: npt.NDArray[Any], stop: Stop
    ) -> None:
        found = [into.ordinals(i, wanted) for i, wanted in enumerate(axes)]
        if not all(len(at) for at, _ in found):
            return
        opened = self._opened(mapping)
        if opened is None:
            return
        at, ordinals = [f[0] for f in found], [f[1] for f in found]
        source = mapping.source or _whole(opened.shape)
        _check_sizes(into, source)
        wide = [i for i, n in enumerate(into.shape) if n != 1]
        narrow = [i for i, n in enumerate(source.shape) if n != 1]
        same = isinstance(source, Regular) and [into.shape[i] for i in wide] == [source.shape[i] for i in narrow]
        target = np.ix_(*at)
        if same and isinstance(source, Regular):
            way = dict(zip(narrow, wide, strict=True))
            wanted = [
                source.coordinates(i, ordinals[way[i]] if i in way else np.zeros(1, np.int64))
                for i in range(len(source.shape))
            ]
            inside = all(not len(w) or int(w.max()) < n for w, n in zip(wanted, opened.shape, strict=True))
            if inside and (values := opened.grid(wanted, stop)) is not None:
                out[target] = self._as_ours(values).reshape(out[target].shape)
                return
        grid = np.meshgrid(*ordinals, indexing="ij")
        linear = np.ravel_multi_index([g.reshape(-1) for g in grid], into.shape)
        part = out[target]
        self._fill_points(opened, source, linear, part.reshape((len(linear), *part.shape[len(at) :])), stop)
        out[target] = part

    def _by_points(self, mapping: Mapping, points: Index, out: npt.NDArray[Any], stop: Stop) -> None:
        into = mapping.into
        if isinstance(into, Regular):
            chosen = np.arange(len(points))
            ordinals = []
            for axis in range(points.shape[1]):
                hit, _ = into.ordinals(axis, points[chosen, axis])
                chosen = chosen[hit]
            ordinals = [into.ordinals(axis, points[chosen, axis])[1] for axis in range(points.shape[1])]
            linear = np.ravel_multi_index(ordinals, into.shape) if ordinals else np.zeros(len(chosen), np.int64)
        else:
            numbers = np.ravel_multi_index(list(points.T), into.extent)
            place = np.minimum(np.searchsorted(into.numbers, numbers), len(into.numbers) - 1)
            chosen = np.flatnonzero(into.numbers[place] == numbers)
            linear = place[chosen]
        if not len(chosen) or (opened := self._opened(mapping)) is None:
            return
        source = mapping.source or _whole(opened.shape)
        _check_sizes(into, source)
        part = out[chosen]
        self._fill_points(opened, source, linear, part, stop)
        out[chosen] = part

    def _fill_points(self, opened: Opened, source: Places, linear: Index, out: npt.NDArray[Any], stop: Stop) -> None:
        points = source.points(linear)
        there = np.flatnonzero(np.all(points < np.array(opened.shape), axis=1))
        if len(there):
            out[there] = self._as_ours(opened.read(Selection(points=points[there]), stop))

    def _as_ours(self, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
        ours = value_dtype(self._info.type)
        base = ours.base
        if values.dtype == base:
            return values
        if base.kind in "iufb" and values.dtype.kind in "iufb":
            return values.astype(base)
        raise Unsupported("A source of the data set has elements of another type")

    def _opened(self, mapping: Mapping) -> Opened | None:
        """The source, or None when it is missing."""
        holder: Any = None
        file = self._file
        try:
            if mapping.file != ".":
                beside = self._beside()
                if beside is None:
                    raise NotFound("Other files cannot be read here")
                holder = beside.opened(mapping.file)
                file = holder.file
            target = _resolved(file, mapping.path)
            return Opened(holder, file, target, file.info(target.address))
        except NotFound:
            name = f"{mapping.file}:{mapping.path}"
            if name not in self._told and len(self._told) < MOST_LINKS:
                self._told.add(name)
                LOG.warning("a source of a virtual data set is missing, its elements read as the fill value: %r", name)
            return None


class Opened:
    """A source that can be read; its file stays open as long as this is held."""

    def __init__(self, holder: Any, file: TypedFile, target: Target, info: DatasetInfo) -> None:
        self._holder, self._file, self._address = holder, file, target.address
        if info.shape is None:
            raise NotFound("The source holds no elements")
        self.shape = info.shape

    def read(self, selection: Selection, stop: Stop) -> npt.NDArray[Any]:
        """Elements of it."""
        return self._file.read(self._address, selection, stop)

    def grid(self, wanted: Sequence[Index], stop: Stop) -> npt.NDArray[Any] | None:
        """The elements at all combinations of coordinates; None when they lie too far apart to be read together."""
        axes = [_axis(w) for w in wanted]
        lists = [i for i, axis in enumerate(axes) if not isinstance(axis, slice)]
        if len(lists) <= 1:
            return self.read(Selection(tuple(axes)), stop)
        covers = [
            slice(int(w.min()), int(w.max()) + 1, 1) if i in lists else a
            for i, (w, a) in enumerate(zip(wanted, axes, strict=True))
        ]
        whole = Selection(tuple(covers))
        if whole.size > MOST_SPREAD * math.prod(len(w) for w in wanted) + (1 << 16):
            return None
        found = self.read(whole, stop)
        for i in lists:
            found = found.take(wanted[i] - wanted[i].min(), axis=i)
        return found


def grows(plist: Any) -> bool:
    """Whether the extent of a virtual data set is that of its sources; asked for it, HDF5 would open them."""
    for i in range(plist.get_virtual_count()):
        for space in (plist.get_virtual_vspace(i), plist.get_virtual_srcspace(i)):
            if space.get_select_type() == h5s.SEL_HYPERSLABS and space.is_regular_hyperslab():
                _, _, count, block = space.get_regular_hyperslab()
                if h5s.UNLIMITED in (*count, *block):
                    return True
    return False


def told_shape(plist: Any) -> tuple[int, ...]:
    """The extent of a virtual data set as it was when its first source was named."""
    return tuple(int(n) for n in plist.get_virtual_vspace(0).get_simple_extent_dims())


def _mapping(plist: Any, i: int) -> Mapping:
    into, source = plist.get_virtual_vspace(i), plist.get_virtual_srcspace(i)
    places = None if source.get_select_type() == h5s.SEL_ALL else _places(source)
    return Mapping(plist.get_virtual_filename(i), plist.get_virtual_dsetname(i), _places(into), places)


def _places(space: Any) -> Places:
    shape = tuple(int(n) for n in space.get_simple_extent_dims())
    kind = space.get_select_type()
    if kind == h5s.SEL_ALL:
        return _whole(shape)
    if kind != h5s.SEL_HYPERSLABS:
        raise Unsupported("A source of the data set is selected in a way that is not read")
    if space.is_regular_hyperslab():
        start, stride, count, block = (np.array(part, np.int64) for part in space.get_regular_hyperslab())
        return Regular(start, np.maximum(stride, block), count, block)  # of one block the stride means nothing
    if space.get_select_npoints() > MOST_LISTED:
        raise Unsupported("A source of the data set is selected in too many pieces")
    parts = []
    for low, high in space.get_select_hyper_blocklist().astype(np.int64):
        ranges = np.meshgrid(*(np.arange(a, b + 1) for a, b in zip(low, high, strict=True)), indexing="ij")
        parts.append(np.ravel_multi_index([r.reshape(-1) for r in ranges], shape))
    return Listed(shape, np.unique(np.concatenate(parts)))


def _whole(shape: tuple[int, ...]) -> Regular:
    ones, block = np.ones(len(shape), np.int64), np.array(shape, np.int64)
    return Regular(ones * 0, np.maximum(block, 1), ones, block)


def _check_sizes(into: Places, source: Places) -> None:
    if math.prod(into.shape) != math.prod(source.shape):
        raise Damaged("A source of the data set has another size than the place it is for", "Write the data set again.")


def _indices(axis: Axis) -> Index:
    return np.arange(axis.start, axis.stop, axis.step, dtype=np.int64) if isinstance(axis, slice) else axis


def _axis(wanted: Index) -> Axis:
    """Coordinates as a slice, where they are one."""
    if len(wanted) == 1:
        return slice(int(wanted[0]), int(wanted[0]) + 1, 1)
    step = int(wanted[1] - wanted[0])
    if step > 0 and np.all(np.diff(wanted) == step):
        return slice(int(wanted[0]), int(wanted[-1]) + 1, step)
    return wanted


def _resolved(file: TypedFile, path: str) -> Target:
    """The data set at a path, along links that stay in its file."""
    here, parts, left = file.top, [part for part in path.split("/") if part not in ("", ".")], MOST_LINKS
    while parts:
        link = file.link(here.address, parts.pop(0)) if here.kind == "group" else None
        if link is not None and link.target is not None:
            here = link.target
        elif link is not None and link.kind == "soft" and left:
            left -= 1
            more = [part for part in link.path.split("/") if part not in ("", ".")]
            here, parts = file.top if link.path.startswith("/") else here, more + parts
        else:
            raise NotFound(f"There is no {path[:200]!r}")
    if here.kind != "dataset":
        raise NotFound(f"{path[:200]!r} is no data set")
    return here
