"""An index of a projection by source: files list connections by destination only.

It is made in the background, kept beside the data under the file's version, and never needed for a right answer.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from coverslip.core.stop import NEVER, Stop
from coverslip.engine.sidecar import Shelf

if TYPE_CHECKING:
    from coverslip.domains.projection import Projection

AnyArray = npt.NDArray[Any]
POINTER, TARGETS, EDGES = "outgoing-pointer", "outgoing-targets", "outgoing-edges"


@dataclass(frozen=True)
class Outgoing:
    """Connections by source.

    Attributes
    ----------
    pointer
        Where each source's connections begin; int64 ``(sources + 1,)``.
    targets
        Destination of each; uint32 ``(n_edges,)``.
    edges
        Its number in the projection; uint32 ``(n_edges,)``.
    attributes
        Attributes of the connections in this order, as far as they are kept; ``(n_edges,)`` each.
    """

    pointer: AnyArray
    targets: AnyArray
    edges: AnyArray
    attributes: dict[str, AnyArray] = field(default_factory=dict)

    def span(self, cell: int) -> slice:
        """Where one source's connections are."""
        return slice(int(self.pointer[cell]), int(self.pointer[cell + 1]))

    def of(self, cell: int) -> tuple[AnyArray, AnyArray]:
        """Destinations and numbers of one source's connections, in the order of the file."""
        part = self.span(cell)
        return self.targets[part], self.edges[part].astype(np.int64)


def load(shelf: Shelf, n_sources: int, n_edges: int) -> Outgoing | None:
    """The index that was kept, or None when it is not there whole."""
    pointer = shelf.mapped(POINTER, (n_sources + 1) * 8)
    targets = shelf.mapped(TARGETS, n_edges * 4)
    edges = shelf.mapped(EDGES, n_edges * 4)
    if pointer is None or targets is None or edges is None:
        return None
    found = Outgoing(np.frombuffer(pointer, "<i8"), np.frombuffer(targets, "<u4"), np.frombuffer(edges, "<u4"))
    return found if found.pointer[0] == 0 and found.pointer[-1] == n_edges else None


def build(projection: Projection, shelf: Shelf, stop: Stop = NEVER) -> Outgoing:
    """Sort the connections by source, a block at a time; takes 8 bytes for each of them."""
    pointer = np.concatenate(([0], np.cumsum(projection.out_degrees(stop)))).astype("<i8")
    targets, edges = np.empty(int(pointer[-1]), "<u4"), np.empty(int(pointer[-1]), "<u4")
    free = pointer[:-1].copy()
    for start, sources in projection.blocks(stop):
        order = _stable_order(sources)
        ordered = sources[order]
        firsts = np.flatnonzero(np.concatenate(([True], ordered[1:] != ordered[:-1])))
        lengths = np.diff(np.append(firsts, len(ordered)))
        present = ordered[firsts]
        places = np.repeat(free[present] - firsts, lengths) + np.arange(len(ordered))
        numbers = order + start
        edges[places] = numbers
        targets[places] = projection.destinations_of(numbers)
        free[present] += lengths
    for name, array in ((POINTER, pointer), (TARGETS, targets), (EDGES, edges)):
        if array.nbytes:
            shelf.put(name, array.data.cast("B"))
    # The kept one is in a file that the system may drop from memory; ours would stay there.
    return load(shelf, len(pointer) - 1, len(edges)) or Outgoing(pointer, targets, edges)


def keep_attributes(projection: Projection, outgoing: Outgoing, shelf: Shelf, stop: Stop = NEVER) -> None:
    """Keep the attributes of the connections by source, too: in the file those of one source lie far apart."""
    for name, array in projection.attributes.items():
        stop.check()
        dtype = array.spec.dtype.newbyteorder("<")
        if name in outgoing.attributes or dtype.kind not in "iuf" or not len(outgoing.edges):
            continue
        piece = f"outgoing-{sha256(name.encode()).hexdigest()[:24]}"
        size = len(outgoing.edges) * dtype.itemsize
        kept = shelf.mapped(piece, size)
        if kept is None:
            shelf.put(piece, array.read_all()[outgoing.edges].astype(dtype, copy=False).data.cast("B"))
            kept = shelf.mapped(piece, size)
        if kept is not None:
            outgoing.attributes[name] = np.frombuffer(kept, dtype)


def _stable_order(values: AnyArray) -> AnyArray:
    """``argsort`` of uint32, equal ones in their order; numpy sorts 16 bits by counting, ten times as fast."""
    low = np.argsort(values.astype(np.uint16), kind="stable")
    if not len(values) or int(values.max()) < 1 << 16:
        return low
    high = (values >> 16).astype(np.uint16)[low]
    return low[np.argsort(high, kind="stable")]
