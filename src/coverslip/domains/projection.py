"""Connections from the cells of one population to those of another, in NeuroH5's destination block sparse layout.

Row ``k`` of ``Destination Pointer`` lists the edges ``pointer[k]:pointer[k + 1]`` of one destination. Rows of a block
are of destinations that follow each other: row ``k`` of block ``b`` is of destination ``first[b] + k - begin[b]``. The
pointer has one entry more than there are rows for the whole projection, not for each block.

Source: NeuroH5 (https://github.com/iraikov/neuroh5): ``Projections/DESTINATION/SOURCE``.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from coverslip.core.errors import Damaged, NotFound
from coverslip.core.node import Array, Group
from coverslip.core.stop import NEVER, Stop
from coverslip.domains.outgoing import Outgoing, build, keep_attributes, load
from coverslip.domains.populations import MOST_CELLS, WRITE_AGAIN, Population
from coverslip.engine.sidecar import Shelf

AnyArray = npt.NDArray[Any]
BLOCK_EDGES = 1 << 22
"""How many edges are read between two looks at whether anybody still waits."""
MOST_ROWS = MOST_CELLS + 1
MOST_INDEXED = 1 << 28
"""Projections with more edges have no index by source; it takes 8 bytes for each edge."""


@dataclass(frozen=True, slots=True)
class Incidence:
    """The connections of one cell.

    Attributes
    ----------
    cells
        The cells at the other end, numbered from their population's start; uint32 ``(n,)``.
    edges
        The numbers of the connections in the projection; int64 ``(n,)``.
    """

    cells: AnyArray
    edges: AnyArray


class Projection:
    """Connections from ``pre`` to ``post``; constructing one reads nothing.

    Parameters
    ----------
    group
        Holds ``Edges`` and groups of attributes of the edges.
    pre, post
        Populations of sources and destinations.
    shelf
        Where its index by source is kept.

    Raises
    ------
    Damaged
        When a part is missing.
    """

    def __init__(self, group: Group, pre: Population, post: Population, shelf: Shelf | None = None) -> None:
        self.pre, self.post = pre, post
        self._group = group
        self._shelf = shelf or Shelf()
        edges = group.group("Edges")
        if edges is None:
            raise Damaged(f"The edges of {pre.name} to {post.name} are missing", WRITE_AGAIN)
        self._first = edges.array("Destination Block Index")
        self._begin = edges.array("Destination Block Pointer")
        self._pointer = edges.array("Destination Pointer")
        self._sources = edges.array("Source Index")
        for array in (self._first, self._begin, self._pointer, self._sources):
            if len(array.spec.shape) != 1 or array.spec.dtype.kind not in "iu":
                raise Damaged(f"The edges of {self.name} are no lists of numbers", WRITE_AGAIN)
        self._outgoing: Outgoing | None = None
        self._lock = threading.Lock()

    @property
    def name(self) -> str:
        """``PRE>POST``."""
        return f"{self.pre.name}>{self.post.name}"

    @cached_property
    def n_edges(self) -> int:
        """How many connections there are."""
        return int(np.diff(self.table[1]).sum())

    @cached_property
    def attributes(self) -> dict[str, Array]:
        """Attributes of the edges by ``namespace/name``; one number for each edge."""
        found: dict[str, Array] = {}
        for namespace in self._group:
            members = self._group.group(namespace) if namespace != "Edges" else None
            for name in members or ():
                node = members[name] if members is not None else None
                if isinstance(node, Array) and node.spec.shape == self._sources.spec.shape:
                    found[f"{namespace}/{name}"] = node
        return found

    @cached_property
    def table(self) -> tuple[AnyArray, AnyArray]:
        """Destination of each row, ``(rows,)``, and where its edges begin, ``(rows + 1,)``; both int64.

        Rows without edges are among them. A row that no block holds is given none.
        """
        if max(a.spec.shape[0] for a in (self._first, self._begin, self._pointer)) > MOST_ROWS:
            raise Damaged(f"{self.name} lists more destinations than there can be", WRITE_AGAIN)
        first, begin, pointer = (a.read_all().astype(np.int64) for a in (self._first, self._begin, self._pointer))
        if not len(first) or not len(pointer):
            return np.empty(0, np.int64), np.zeros(1, np.int64)
        total = self._sources.spec.shape[0]
        wrong = len(begin) != len(first) + 1 or (np.diff(begin) < 0).any() or (np.diff(pointer) < 0).any()
        if wrong or begin[0] < 0 or pointer[0] < 0 or pointer[-1] > total:
            raise Damaged(f"The pointers of {self.name} are wrong", WRITE_AGAIN)
        rows = np.arange(min(int(begin[0]), len(pointer) - 1), min(int(begin[-1]), len(pointer) - 1))
        block = np.searchsorted(begin, rows, side="right") - 1
        destinations = first[block] + rows - begin[block]
        if len(rows) and not 0 <= int(destinations.min()) <= int(destinations.max()) < self.post.count:
            raise Damaged(f"{self.name} names cells that {self.post.name} does not have", WRITE_AGAIN)
        return destinations, pointer[rows[0] : rows[-1] + 2] if len(rows) else np.zeros(1, np.int64)

    @cached_property
    def _ordered(self) -> bool:
        """Whether every destination has one row, and rows are in their order (as NeuroH5 writes them)."""
        return bool((np.diff(self.table[0]) > 0).all())

    @cached_property
    def in_degrees(self) -> AnyArray:
        """Connections that each cell of ``post`` receives; int64 ``(post.count,)``."""
        destinations, pointer = self.table
        return np.bincount(destinations, np.diff(pointer), self.post.count).astype(np.int64)

    def out_degrees(self, stop: Stop = NEVER) -> AnyArray:
        """Connections that each cell of ``pre`` makes; int64 ``(pre.count,)``."""
        if self._outgoing is not None:
            return np.diff(self._outgoing.pointer)
        counts = np.zeros(self.pre.count, np.int64)
        for _, sources in self.blocks(stop):
            counts += np.bincount(sources, minlength=self.pre.count)
        return counts

    # -- one cell ----------------------------------------------------------------------------------------------------

    def inputs(self, cell: int) -> Incidence:
        """The connections that end at a cell of ``post``, numbered from its start; reads only these."""
        destinations, pointer = self.table
        if self._ordered:
            at = int(np.searchsorted(destinations, cell))
            places = [at] if at < len(destinations) and destinations[at] == cell else []
        else:
            places = np.flatnonzero(destinations == cell).tolist()
        spans = [(int(pointer[k]), int(pointer[k + 1])) for k in places]
        edges = [np.arange(start, stop) for start, stop in spans]
        cells = [self._read_sources(start, stop) for start, stop in spans]
        if len(spans) == 1:
            return Incidence(cells[0], edges[0])
        return Incidence(
            np.concatenate(cells) if cells else np.empty(0, np.uint32),
            np.concatenate(edges) if edges else np.empty(0, np.int64),
        )

    def outputs(self, cell: int, stop: Stop = NEVER) -> Incidence:
        """The connections that begin at a cell of ``pre``; reads them all while there is no index."""
        if self._outgoing is not None:
            return Incidence(*self._outgoing.of(cell))
        found = [start + np.flatnonzero(sources == cell) for start, sources in self.blocks(stop)]
        edges = np.concatenate(found) if found else np.empty(0, np.int64)
        return Incidence(self.destinations_of(edges), edges)

    def output_values(self, attribute: str, cell: int, edges: AnyArray) -> AnyArray:
        """An attribute of the connections that `outputs` gave for a cell of ``pre``.

        Raises
        ------
        NotFound
            When there is no such attribute.
        """
        if self._outgoing is not None and attribute in self._outgoing.attributes:
            kept: AnyArray = self._outgoing.attributes[attribute][self._outgoing.span(cell)]
            return kept
        return self.values(attribute, edges)

    def destinations_of(self, edges: AnyArray) -> AnyArray:
        """The cells of ``post`` at which connections end, by the connections' numbers; uint32."""
        destinations, pointer = self.table
        rows = np.searchsorted(pointer, edges, side="right") - 1
        found: AnyArray = destinations[rows].astype(np.uint32)
        return found

    def values(self, attribute: str, edges: AnyArray) -> AnyArray:
        """An attribute of some connections.

        Raises
        ------
        NotFound
            When there is no such attribute.
        """
        array = self.attributes.get(attribute)
        if array is None:
            there = ", ".join(self.attributes) or "none"
            raise NotFound(f"{self.name} has no attribute {attribute!r}", f"There is {there}.", "attribute_not_found")
        if not len(edges):
            return np.empty(0, array.spec.dtype)
        low, high = int(edges.min()), int(edges.max()) + 1
        if high - low <= max(4 * len(edges), 1 << 16):
            near: AnyArray = array.read_rows(low, high)[edges - low]
            return near
        return _gather(array, edges)

    # -- all of them -------------------------------------------------------------------------------------------------

    def blocks(self, stop: Stop = NEVER) -> Iterator[tuple[int, AnyArray]]:
        """All sources a block at a time, with the number of the block's first edge."""
        pointer = self.table[1]
        for start in range(int(pointer[0]), int(pointer[-1]), BLOCK_EDGES):
            stop.check()
            yield start, self._read_sources(start, min(start + BLOCK_EDGES, int(pointer[-1])))

    def csr(self, stop: Stop = NEVER) -> tuple[AnyArray, AnyArray, AnyArray | slice]:
        """All connections, compressed by destination.

        Returns
        -------
        pointer
            Where each destination's connections begin, int64 ``(post.count + 1,)``.
        sources
            uint32 ``(n_edges,)``, in the order of destinations.
        order
            Which element of an attribute belongs to each: ``attribute[order]``.
        """
        destinations, rows = self.table
        pointer = np.concatenate(([0], np.cumsum(self.in_degrees)))
        parts = [sources for _, sources in self.blocks(stop)]
        sources = parts[0] if len(parts) == 1 else np.concatenate(parts) if parts else np.empty(0, np.uint32)
        if self._ordered:
            return pointer, sources, slice(int(rows[0]), int(rows[-1]))
        sequence = np.argsort(destinations, kind="stable")
        lengths = np.diff(rows)[sequence]
        ends = np.cumsum(lengths)
        order = np.arange(int(ends[-1])) + np.repeat(rows[:-1][sequence] - (ends - lengths), lengths)
        return pointer, sources[order - int(rows[0])], order

    def _read_sources(self, start: int, stop: int) -> AnyArray:
        sources = self._sources.read_rows(start, stop)
        if len(sources) and not 0 <= int(sources.min()) <= int(sources.max()) < self.pre.count:
            raise Damaged(f"{self.name} names cells that {self.pre.name} does not have", WRITE_AGAIN)
        return sources

    # -- the index by source -----------------------------------------------------------------------------------------

    @property
    def indexed(self) -> bool:
        """Whether `outputs` reads only what it gives."""
        return self._outgoing is not None

    def index(self, stop: Stop = NEVER) -> bool:
        """Make the index by source, or take the one that was kept; False when there are too many edges for one."""
        if self.n_edges > MOST_INDEXED or int(self.table[1][-1]) >= 1 << 32:
            return False
        with self._lock:
            if self._outgoing is None:
                self._outgoing = load(self._shelf, self.pre.count, self.n_edges) or build(self, self._shelf, stop)
            keep_attributes(self, self._outgoing, self._shelf, stop)
        return True


def _gather(array: Array, edges: AnyArray) -> AnyArray:
    """Elements that lie far apart, a piece of the array at a time."""
    order = np.argsort(edges, kind="stable")
    chunk = array.spec.chunks[0] if array.spec.chunks else 1 << 14
    wanted = edges[order]
    out = np.empty(len(edges), array.spec.dtype)
    cuts = np.flatnonzero(np.diff(wanted // chunk)) + 1
    for places in np.split(np.arange(len(wanted)), cuts):
        low, high = int(wanted[places[0]]), int(wanted[places[-1]]) + 1
        out[order[places]] = array.read_rows(low, high)[wanted[places] - low]
    return out
