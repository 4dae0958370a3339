"""``DoGet`` of pixels."""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from biopb.tensor.ticket_pb2 import TensorTicket
from pyarrow import flight

from coverslip.core.errors import BadRequest, Stopped
from coverslip.core.spec import Box
from coverslip.core.stop import NEVER, Stop
from coverslip.domains.pyramid import read
from coverslip.fronts.flight.ahead import Ahead
from coverslip.fronts.flight.budget import Budget, Turn, client_of
from coverslip.fronts.flight.desk import Desk
from coverslip.fronts.flight.errors import Superseded, Unauthenticated
from coverslip.fronts.flight.grid import MOST_CHUNK_BYTES
from coverslip.fronts.flight.once import Once
from coverslip.fronts.flight.region import Region, pack_index, unpack_index
from coverslip.fronts.flight.registry import Call
from coverslip.fronts.flight.select import native
from coverslip.fronts.flight.slow import SlowArrays
from coverslip.fronts.flight.tensors import Tensor
from coverslip.fronts.flight.wire import WRITING, batch
from coverslip.fronts.tensors.streams import check_size, cut

LIGHT_BYTES = 1 << 20
"""Chunks up to this size wait for nobody."""
FORGED = "Ticket seal is invalid, expired, or does not cover this chunk"
MOST_ACROSS = 4096
"""How many reads along the first axes make one chunk of ``nearest``; beyond it everything between is read too."""


def chunks(desk: Desk) -> None:
    """Answer tickets of chunks."""
    ChunkReads(desk)


class ChunkReads:
    """Reads chunks."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        options = desk.options
        self._budget = Budget(options.inflight_bytes, options.wait_s, desk.registry.hang_up, options.threads)
        self._once, self._far = Once(), desk.tensors.far
        self._slow = SlowArrays(options.cache_bytes)
        self._ahead = Ahead()
        desk.registry.closers += [self._budget.close, self._far.close, self._ahead.close]
        desk.registry.planned = self.planned
        desk.registry.read("chunk_id", self._by_id)
        desk.registry.read("chunk_ref", self._by_ref, "sealed")
        desk.registry.pixels = self.elements
        desk.registry.tables["decode_rates"] = self._slow.rates
        desk.registry.stats.append(self._slow.stats)

    def elements(self, ticket: TensorTicket, call: Call) -> tuple[str, npt.NDArray[Any]]:
        """The ``array_id`` and the elements of a chunk."""
        arm = ticket.WhichOneof("payload")
        if arm not in ("chunk_id", "chunk_ref"):
            raise BadRequest("This is no ticket of a chunk", "Plan the read again.", "malformed")
        region, index = self._of_id(ticket) if arm == "chunk_id" else self._of_ref(ticket, call)
        tensor, box = self._found(region, index)
        size = math.prod(box.shape) * tensor.array.spec.dtype.itemsize
        if size <= LIGHT_BYTES:
            return tensor.array_id, self._elements(tensor, region, box, call)
        with self._turn(tensor, size, call) as turn:
            return tensor.array_id, self._shared(tensor, region, box, call, turn)

    def _by_id(self, ticket: TensorTicket, call: Call) -> Any:
        return self._stream(*self._of_id(ticket), call)

    def _by_ref(self, ticket: TensorTicket, call: Call) -> Any:
        return self._stream(*self._of_ref(ticket, call), call)

    def _of_id(self, ticket: TensorTicket) -> tuple[Region, Sequence[int]]:
        region, rest = Region.unpack(ticket.chunk_id)
        return region, unpack_index(rest, len(region.grid))

    def _of_ref(self, ticket: TensorTicket, call: Call) -> tuple[Region, Sequence[int]]:
        stub, index = ticket.chunk_ref.stub, tuple(ticket.chunk_ref.index)
        grant = stub.grant
        if not call.authorized and not self._desk.seals.covers(
            grant.seal, stub.identity, grant.window_start, grant.window_stop, grant.expires_at, index
        ):
            raise Unauthenticated(FORGED, "Plan the read again, or send the token.", "bad_seal")
        region, rest = Region.unpack(stub.identity)
        if rest:
            raise BadRequest("This is no ticket of this server", "Plan the read again.", "malformed")
        return region, index

    def _found(self, region: Region, index: Sequence[int]) -> tuple[Tensor, Box]:
        tensor = self._desk.tensors.find(region.array_id)
        if tensor.version != region.version:
            raise Superseded(f"{tensor.array_id} changed since this read was planned", "Plan the read again.")
        for permit in self._desk.registry.permits:
            permit(tensor)
        return tensor, _checked(region, tensor, index)

    def _stream(self, region: Region, index: Sequence[int], call: Call) -> Any:
        tensor, box = self._found(region, index)
        size = math.prod(box.shape) * tensor.array.spec.dtype.itemsize
        if size <= LIGHT_BYTES:
            read = self._ahead.take(key(region, index))
            row = batch(self._elements(tensor, region, box, call) if read is None else read)
        else:
            with self._turn(tensor, size, call) as turn:
                row = batch(self._shared(tensor, region, box, call, turn), turn.keep)
        return flight.RecordBatchStream(pa.RecordBatchReader.from_batches(row.schema, [row]), options=WRITING)

    def planned(self, tensor: Tensor, region: Region, call: Call) -> None:
        """A plan is made for a client; where it is of one small chunk, that may be read meanwhile."""
        only = (0,) * len(region.grid)
        if tensor.grid is not None or tensor.place is not None or math.prod(region.counts) != 1:
            return
        if math.prod(region.shape) * tensor.array.spec.dtype.itemsize > LIGHT_BYTES:
            return

        def read() -> npt.NDArray[Any]:
            found, box = self._found(region, only)
            return self._read(found, region, box, NEVER)

        self._ahead.plan(key(region, only), call.peer, read)

    def _turn(self, tensor: Tensor, size: int, call: Call) -> AbstractContextManager[Turn]:
        near = tensor.place is None and self._desk.tensors.is_resident(tensor)
        return self._budget.turn(size, call, near)  # others are waited for, and use no processor meanwhile

    def _shared(self, tensor: Tensor, region: Region, box: Box, call: Call, turn: Turn) -> npt.NDArray[Any]:
        """The elements of a chunk, that several may ask for at the same time."""
        same = (tensor.array_id, tensor.version, region.method, region.scale, box)
        return self._once.read(same, lambda: self._elements(tensor, region, box, call), call.stop(), turn.decoded)

    def _elements(self, tensor: Tensor, region: Region, box: Box, call: Call) -> npt.NDArray[Any]:
        stop = call.stop()
        if tensor.place is None:
            return self._read(tensor, region, box, stop)
        alone = Stop()  # the call may be over while its disk still does not answer

        def look() -> None:
            try:
                stop.check()
            except Stopped:
                alone.set()
                raise

        return self._far.do(tensor.place, lambda: self._read(tensor, region, box, alone), client_of(call), look)

    def _read(self, tensor: Tensor, region: Region, box: Box, stop: Stop) -> npt.NDArray[Any]:
        """Elements of a chunk in C order, in the tensor's own dtype."""
        if not region.method:
            found = self._slow.read(tensor, tensor.array, box, stop)
        elif region.method == "precompute":
            found = self._slow.read(tensor, native(tensor.image, region.scale).array, box, stop, str(region.scale))
        elif region.method == "nearest":
            found = self._nearest(tensor, region, box, stop)
        else:
            under = region.under(box, tensor.shape)
            part = cut(tensor.image, under.start, under.stop, region.scale, "mean")
            check_size(part, MOST_CHUNK_BYTES)
            found = part.read(part.box, stop)
        return np.ascontiguousarray(found, tensor.array.spec.dtype)

    def _nearest(self, tensor: Tensor, region: Region, box: Box, stop: Stop) -> npt.NDArray[Any]:
        """The first element of each block; of the first axes only the needed ones are read."""
        under = region.under(box, tensor.shape)
        rank = len(box.shape)
        lead = [axis for axis in range(max(rank - 2, 0)) if region.scale[axis] > 1]
        many = math.prod(box.shape[axis] for axis in lead)
        out = np.empty(box.shape, tensor.array.spec.dtype)
        if not out.size:
            return out
        if many > MOST_ACROSS:
            lead, many = [], 1
        strides = tuple(1 if axis in lead else s for axis, s in enumerate(region.scale))
        thin = tuple(slice(None, None, s) for s in strides)
        for offset in np.ndindex(*(box.shape[axis] for axis in lead)):
            low, high, into = list(under.start), list(under.stop), [slice(None)] * rank
            for axis, at in zip(lead, offset, strict=True):
                low[axis] += at * region.scale[axis]
                high[axis] = low[axis] + 1
                into[axis] = slice(at, at + 1)
            out[tuple(into)] = read(tensor.array, Box(tuple(low), tuple(high)), stop)[thin]
        return out


def key(region: Region, index: Sequence[int]) -> bytes:
    """A chunk: what its ticket says."""
    return region.pack() + pack_index(index)


def _checked(region: Region, tensor: Tensor, index: Sequence[int]) -> Box:
    """The chunk, which must lie inside the tensor and not be too large: a ticket may be of a client's making.

    Raises
    ------
    BadRequest
        When it is not.
    """
    shape = tensor.shape
    if len(region.grid) != len(shape):
        raise BadRequest("The ticket does not fit the tensor", "Plan the read again.", "malformed")
    if region.method == "precompute":
        shape = native(tensor.image, region.scale).array.spec.shape
    elif region.method:
        shape = tuple(-(-n // s) for n, s in zip(shape, region.scale, strict=True))
    elif any(s != 1 for s in region.scale):
        raise BadRequest("The ticket does not fit the tensor", "Plan the read again.", "malformed")
    box = region.chunk(index)
    too_much = math.prod(box.shape) * tensor.array.spec.dtype.itemsize > MOST_CHUNK_BYTES
    if too_much or any(b > n for b, n in zip(region.high, shape, strict=True)):
        raise BadRequest("The ticket does not fit the tensor", "Plan the read again.", "malformed")
    return box
