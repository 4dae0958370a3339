"""The objects of an HDF5 file by address, with exact types, links, attributes and references.

No link is followed but hard ones, so nothing outside the file is ever read. Every name and description comes from HDF5
itself, under its lock; elements are read beside it where they can be (`coverslip.formats.trees.hdf5_values`).
"""

from __future__ import annotations

import math
import threading
from collections import OrderedDict, deque
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
import numpy.typing as npt
from h5py import h5a, h5d, h5g, h5l, h5o, h5p, h5r, h5s, h5t

from coverslip.core.errors import CoverslipError, NotFound, TooLarge
from coverslip.core.stop import NEVER, Stop
from coverslip.core.typed import Attribute, DatasetInfo, Datatype, Filter, Link, Neighbours, Selection, Target
from coverslip.formats.trees.hdf5_types import KINDS, datatype_of, memory_type, plain_values, region_of, text
from coverslip.formats.trees.hdf5_values import Values
from coverslip.formats.trees.hdf5_virtual import grows, told_shape

if TYPE_CHECKING:
    from coverslip.formats.trees.hdf5 import H5Source

MOST_OPEN = 512
"""Objects kept open; opening one costs a walk along its path."""
MOST_VALUES = 256
MOST_ATTRIBUTE_BYTES = 16 << 20
"""Attributes are told with their objects; larger ones are no description any more."""
UNREADABLE = (OSError, RuntimeError, KeyError, ValueError, TypeError, OverflowError, MemoryError)
NULL = h5s.NULL
BY_NAME, BY_CREATION = int(h5py.h5.INDEX_NAME), int(h5py.h5.INDEX_CRT_ORDER)


class H5Objects:
    """The typed objects of one opened file; see `coverslip.core.typed.TypedFile`."""

    beside: Neighbours | None = None

    def __init__(self, source: H5Source, file: h5py.File, identity: str) -> None:
        self._source = source
        self._file = file
        self.identity = identity
        self.modified_s = source.modified_s
        self._lock = threading.RLock()
        self._open: OrderedDict[int, Any] = OrderedDict()
        self._values: OrderedDict[int, Values] = OrderedDict()
        root = h5g.open(file.id, b"/")
        self._top = Target("group", h5o.get_info(root).addr)
        self._met: dict[int, tuple[Target, int, bytes]] = {self._top.address: (self._top, -1, b"/")}
        self._root = root
        self._frontier: deque[int] = deque([self._top.address])
        self._order: list[Target] = [self._top]
        self._walked = {self._top.address}

    def close(self) -> None:
        """Let go of every object."""
        with self._lock:
            self._open.clear()
            self._values.clear()
            self._root = None

    @property
    def top(self) -> Target:
        """The root group."""
        return self._top

    # --- where things are -----------------------------------------------------------------------------------------

    def known(self, address: int) -> Target | None:
        """The object at an address that was met before."""
        met = self._met.get(address)
        return met[0] if met else None

    def walk(self, stop: Stop = NEVER) -> Iterator[Target]:
        """Every object, nearest to the root first; what was walked before is not read again."""
        done = 0
        while True:
            while done < len(self._order):
                yield self._order[done]
                done += 1
            with self._lock:
                if done < len(self._order):
                    continue
                if not self._frontier:
                    return
                address = self._frontier[0]
                stop.check()
                # A group that cannot be read hides what is below it, and nothing else.
                try:
                    links = self.links(address)
                except CoverslipError:
                    links = ()
                self._frontier.popleft()
                self._add(links)

    def _add(self, links: Sequence[Link]) -> None:
        for link in links:
            if link.target is not None and link.target.address not in self._walked:
                self._walked.add(link.target.address)
                self._order.append(link.target)
                if link.target.kind == "group":
                    self._frontier.append(link.target.address)

    def paths(self, address: int) -> Sequence[str]:
        """Every path along hard links, found by looking at every group."""
        found: list[str] = []
        ways: dict[int, list[str]] = {self._top.address: [""]}
        if address == self._top.address:
            found.append("/")
        for target in self.walk():
            if target.kind != "group":
                continue
            for link in self.links(target.address):
                if link.target is None:
                    continue
                here = [f"{way}/{link.name}" for way in ways.get(target.address, [])]
                if link.target.kind == "group" and link.target.address not in ways:
                    ways[link.target.address] = here
                if link.target.address == address:
                    found += here
        return found

    # --- what they are --------------------------------------------------------------------------------------------

    def links(self, address: int) -> Sequence[Link]:
        """The links of a group."""
        with self._lock, reading():
            group = self._group(address)
            by_creation = group.get_create_plist().get_link_creation_order() & h5p.CRT_ORDER_INDEXED
            named: list[tuple[bytes, int, int]] = []

            def one(name: bytes, info: Any) -> None:  # h5py hands out the same object each time
                named.append((name, info.type, info.u if info.type == h5l.TYPE_HARD else 0))

            group.links.iterate(one, idx_type=BY_CREATION if by_creation else BY_NAME, info=True)
            return [self._link(group, address, *found) for found in named]

    def link(self, address: int, name: str) -> Link | None:
        """One link of a group."""
        encoded = name.encode("utf-8", "surrogateescape")
        if not encoded or b"/" in encoded or b"\0" in encoded or encoded == b".":
            return None
        with self._lock, reading():
            group = self._group(address)
            if not group.links.exists(encoded):
                return None
            info = group.links.get_info(encoded)
            return self._link(group, address, encoded, info.type, info.u if info.type == h5l.TYPE_HARD else 0)

    def _link(self, group: Any, address: int, name: bytes, kind: int, there: int) -> Link:
        shown = text(name)
        if kind == h5l.TYPE_HARD:
            target = self._meet(group, address, name, there)
            return Link(shown, "hard" if target else "lost", target)
        if kind == h5l.TYPE_SOFT:
            return Link(shown, "soft", path=text(group.links.get_val(name)))
        if kind == h5l.TYPE_EXTERNAL:
            file, path = group.links.get_val(name)
            return Link(shown, "external", path=text(path), file=text(file))
        return Link(shown, "user")

    def _meet(self, group: Any, parent: int, name: bytes, address: int) -> Target | None:
        met = self._met.get(address)
        if met is None:
            try:
                kind = KINDS[h5o.get_info(group, name).type]
            except UNREADABLE:  # it lies where the file was cut short, say; the others can be read
                return None
            met = self._met[address] = (Target(kind, address), parent, name)
        return met[0]

    def attributes(self, address: int, names: Sequence[str] | None = None) -> Sequence[Attribute]:
        """Attributes of an object; one that cannot be read is left out, and so is, unless it is named, a huge one."""
        with self._lock, reading():
            item = self._item(address)
            found: list[bytes] = []
            if names is None:
                h5a.iterate(item, lambda name, *_: found.append(name), index_type=_attribute_index(item))
            else:
                wanted = [n.encode("utf-8", "surrogateescape") for n in names if n and "\0" not in n]
                found = [n for n in wanted if h5a.exists(item, n)]
            read = []
            for name in found:
                try:
                    read.append(self._attribute(item, name))
                except TooLarge:
                    if names is not None:
                        raise
                except (*UNREADABLE, CoverslipError):
                    continue
            return read

    def _attribute(self, item: Any, name: bytes) -> Attribute:
        attribute = h5a.open(item, name)
        tid, space = attribute.get_type(), attribute.get_space()
        kind = datatype_of(tid)
        named = self._committed(tid)
        if space.get_simple_extent_type() == NULL:
            return Attribute(text(name), kind, None, None, named)
        shape = tuple(int(n) for n in space.get_simple_extent_dims())
        dtype, memory = memory_type(tid)
        if math.prod(shape) * max(dtype.itemsize, 1) > MOST_ATTRIBUTE_BYTES:
            raise TooLarge(f"The attribute {text(name)!r} is larger than {MOST_ATTRIBUTE_BYTES >> 20} MiB")
        raw = np.zeros(shape, dtype)
        attribute.read(raw, mtype=memory)
        return Attribute(text(name), kind, shape, plain_values(raw, kind, self.pointed), named)

    def ordered(self, address: int) -> bool:
        """Whether an object keeps the order in which its links and attributes were made."""
        with self._lock, reading():
            item = self._item(address)
            if isinstance(item, h5g.GroupID):
                return bool(item.get_create_plist().get_link_creation_order() & h5p.CRT_ORDER_INDEXED)
            return bool(_attribute_index(item) == BY_CREATION)

    def info(self, address: int) -> DatasetInfo:
        """What a data set is."""
        with self._lock, reading():
            return describe(self._dataset(address), self._committed)

    def datatype(self, address: int) -> Datatype:
        """A named type."""
        with self._lock, reading():
            item = self._item(address)
            if not isinstance(item, h5t.TypeID):
                raise NotFound("This is no named type")
            return datatype_of(item)

    def _committed(self, tid: h5t.TypeID) -> Target | None:
        if not tid.committed():
            return None
        return Target("datatype", h5o.get_info(tid).addr)

    def pointed(self, reference: Any) -> Any:
        """What a reference of h5py's points to: a target, a region, or None."""
        if not isinstance(reference, h5r.Reference) or not reference:
            return None
        try:
            item = h5r.dereference(reference, self._file.id)
            if item is None:
                return None
            info = h5o.get_info(item)
            target = Target(KINDS[info.type], info.addr)
            if isinstance(reference, h5r.RegionReference):
                return region_of(reference, self._file.id, target)
        except UNREADABLE:  # it points to what was deleted
            return None
        return target

    # --- values ---------------------------------------------------------------------------------------------------

    def read(self, address: int, selection: Selection, stop: Stop = NEVER) -> npt.NDArray[Any]:
        """Elements of a data set."""
        return self.values(address).read(selection, stop)

    def values(self, address: int) -> Values:
        """How the elements of a data set are read."""
        with self._lock:
            values = self._values.get(address)
            if values is None:
                with reading():
                    values = Values(self._source, self._dataset(address), self.info(address), self.pointed, self)
                self._values[address] = values
                while len(self._values) > MOST_VALUES:
                    self._values.popitem(last=False)
            self._values.move_to_end(address)
            return values

    # --- opening --------------------------------------------------------------------------------------------------

    def _group(self, address: int) -> Any:
        item = self._item(address)
        if not isinstance(item, h5g.GroupID):
            raise NotFound("This is no group")
        return item

    def _dataset(self, address: int) -> h5d.DatasetID:
        item = self._item(address)
        if not isinstance(item, h5d.DatasetID):
            raise NotFound("This is no data set")
        return item

    def _item(self, address: int) -> Any:
        """The object at an address, opened along the hard links that led to it."""
        if self._root is None:
            raise NotFound("The file was closed", "Ask again.")
        if address == self._top.address:
            return self._root
        item = self._open.get(address)
        if item is None:
            met = self._met.get(address)
            if met is None:
                raise NotFound("There is no such object")
            parents = [met]
            while parents[-1][1] not in self._open and parents[-1][1] != self._top.address:
                parents.append(self._met[parents[-1][1]])
            item = self._open.get(parents[-1][1], self._root)
            for target, _, name in reversed(parents):
                item = h5o.open(item, name)
                self._keep(target.address, item)
        else:
            self._open.move_to_end(address)
        return item

    def _keep(self, address: int, item: Any) -> None:
        self._open[address] = item
        while len(self._open) > MOST_OPEN:
            self._open.popitem(last=False)


def _attribute_index(item: Any) -> int:
    try:
        return BY_CREATION if item.get_create_plist().get_attr_creation_order() & h5p.CRT_ORDER_INDEXED else BY_NAME
    except (AttributeError, *UNREADABLE):
        return BY_NAME


class reading:  # noqa: N801  (used as a statement)
    """Call what HDF5 cannot read damaged."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, UNREADABLE):
            from coverslip.formats.trees.hdf5 import damaged

            raise damaged("An object", error) from error


def describe(dataset: h5d.DatasetID, committed: Any) -> DatasetInfo:
    """What h5py tells of a data set."""
    tid, plist = dataset.get_type(), dataset.get_create_plist()
    kind = datatype_of(tid)
    shape, limits = extent(dataset, plist)
    layout = {h5d.CHUNKED: "chunked", h5d.COMPACT: "compact", h5d.VIRTUAL: "virtual"}.get(plist.get_layout())
    if layout is None:
        layout = "external" if plist.get_external_count() else "contiguous"
    return DatasetInfo(
        kind,
        shape,
        limits or (),
        layout,  # type: ignore[arg-type]
        tuple(plist.get_chunk()) if layout == "chunked" else None,
        filters(plist),
        fill_value(plist, tid, kind),
        committed(tid),
        int(dataset.get_storage_size()) if layout in ("contiguous", "compact") else 0,
    )


def extent(dataset: h5d.DatasetID, plist: Any) -> tuple[tuple[int, ...] | None, tuple[int | None, ...] | None]:
    """Elements along each axis, and the most there may be; of a virtual data set no other file is looked at."""
    if plist.get_layout() == h5d.VIRTUAL and grows(plist):
        return told_shape(plist), None
    space = dataset.get_space()
    if space.get_simple_extent_type() == NULL:
        return None, None
    most = space.get_simple_extent_dims(True)
    shape = tuple(int(n) for n in space.get_simple_extent_dims())
    return shape, tuple(None if n == h5s.UNLIMITED else int(n) for n in most)


def filters(plist: Any) -> tuple[Filter, ...]:
    """The filter pipeline."""
    found = []
    for i in range(plist.get_nfilters()):
        number, _, options, name = plist.get_filter(i)
        found.append(Filter(int(number), text(name), tuple(int(v) for v in options)))
    return tuple(found)


def fill_value(plist: Any, tid: h5t.TypeID, kind: Datatype) -> npt.NDArray[Any] | None:
    """The value that the file gives to elements that were never written."""
    # Asked for a value whose status it finds invalid, HDF5 ends the process.
    if plist.fill_value_defined() != h5d.FILL_VALUE_USER_DEFINED:
        return None
    try:
        dtype, _ = memory_type(tid)
        raw = np.zeros((), dtype)
        plist.get_fill_value(raw)
        return plain_values(raw, kind, lambda _: None)
    except (*UNREADABLE, CoverslipError):
        return None
