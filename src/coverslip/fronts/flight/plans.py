"""``GetFlightInfo``: what a tensor is, and the tickets that read it."""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from typing import Any

from biopb.tensor.descriptor_pb2 import PyramidLevel, SliceHint, TensorDescriptor
from biopb.tensor.ticket_pb2 import ChunkGrant, ChunkRef, TensorTicket, TicketStub
from pyarrow import flight

from coverslip.core.errors import NotFound, TooLarge
from coverslip.fronts.flight import select
from coverslip.fronts.flight.desk import Desk
from coverslip.fronts.flight.grid import Aims
from coverslip.fronts.flight.region import Region
from coverslip.fronts.flight.registry import Call
from coverslip.fronts.flight.tables import SCHEMAS
from coverslip.fronts.flight.tensors import Tensor
from coverslip.fronts.flight.wire import CHUNK_SCHEMA, message, varint
from coverslip.fronts.http import to_json

MOST_CHUNKS = 400_000
"""Of one plan; each costs about 40 bytes of an answer that may have 80 MiB."""
KEPT_PLANS = 8
KEPT_CHUNKS = 20_000
Endpoints = list[Any]


class Plans:
    """Answers ``GetFlightInfo`` and ``ListFlights``."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._aims = Aims(desk.options.small_bytes, desk.options.chunk_bytes)
        self._indices: OrderedDict[tuple[Any, ...], Endpoints] = OrderedDict()

    def plan(self, option: Any, call: Call) -> Any:
        """The descriptor of a tensor, and on request the endpoints that read a part of it.

        Raises
        ------
        CoverslipError
            When there is no such tensor, or the request does not fit it.
        """
        call.require()
        fields = select.fields_of(option)
        tensor = self._desk.tensors.find(option.array_id)
        region = select.region_of(tensor, option, self._aims)
        if "endpoints" in fields:
            self._desk.registry.planned(tensor, region, call)
        told = self._describe(tensor, region, fields)
        for describe in self._desk.registry.describers:
            describe(told, tensor, fields, call)
        endpoints: Endpoints = []
        if "endpoints" in fields:
            endpoints = self._endpoints(told, region, "ticket_stub" in fields)
        descriptor = flight.FlightDescriptor.for_command(told.SerializeToString())
        recorded = option.SerializeToString()
        return flight.FlightInfo(CHUNK_SCHEMA, descriptor, endpoints, -1, -1, app_metadata=recorded)

    def table(self, path: Sequence[str]) -> Any:
        """A table of SQL: its schema, and the ticket that reads it.

        Raises
        ------
        NotFound
            When there is none of this name.
        """
        name = path[0] if len(path) == 1 else ""
        if name not in SCHEMAS:
            raise NotFound(
                f"Table not found: {'/'.join(path)[:200]}", f"There is {', '.join(SCHEMAS)}.", "unknown_table"
            )
        ticket = TensorTicket()
        ticket.catalog_query.sql = f"SELECT * FROM {name}"  # noqa: S608  (one of ours)
        endpoint = flight.FlightEndpoint(ticket.SerializeToString(), [])
        return flight.FlightInfo(SCHEMAS[name], flight.FlightDescriptor.for_path(name), [endpoint], -1, -1)

    def tables(self) -> Iterator[Any]:
        """Every table of SQL."""
        return (self.table([name]) for name in SCHEMAS)

    def _describe(self, tensor: Tensor, region: Region, fields: frozenset[str]) -> TensorDescriptor:
        box = region.box(tensor.shape)
        told = TensorDescriptor(
            array_id=tensor.array_id,
            dim_labels=tensor.image.dims,
            dtype=tensor.dtype,
            shape=region.shape,
            chunk_shape=[max(min(g, n), 1) for g, n in zip(region.grid, region.shape, strict=True)],
            slice_hint=SliceHint(start=box.start, stop=box.stop),
            content_version=tensor.version,
        )
        axes = tensor.image.axes
        if any(axis.unit or axis.step != 1.0 for axis in axes):
            told.physical_scale[:] = [axis.step if axis.unit or axis.step != 1.0 else 0.0 for axis in axes]
            told.physical_unit[:] = [axis.unit or "" for axis in axes]
        if "metadata_json" in fields:
            told.metadata_json = to_json(metadata(tensor, self._desk.tensors.kind(tensor))).decode()
        if "pyramid" in fields:
            told.pyramid.extend(pyramid(tensor))
        if "is_resident" in fields:
            told.is_resident = self._desk.tensors.is_resident(tensor)
        return told

    def _endpoints(self, told: TensorDescriptor, region: Region, sealed: bool) -> Endpoints:
        counts = region.counts
        if math.prod(counts) > MOST_CHUNKS:
            raise TooLarge(
                f"This read has {math.prod(counts):,} chunks; the most is {MOST_CHUNKS:,}",
                "Read a slice, or a coarser level.",
            )
        identity = region.pack()
        if not sealed:
            return list(tickets(region, identity))
        expires = int(time.time()) + self._desk.options.seal_s if self._desk.options.seal_s else 0
        first = (0,) * len(counts)
        seal = self._desk.seals.of_chunks(identity, first, counts, expires)
        grant = ChunkGrant(window_start=first, window_stop=counts, expires_at=expires, seal=seal)
        stub = TicketStub(identity=identity, grant=grant)
        told.ticket_stub = TensorTicket(chunk_ref=ChunkRef(stub=stub)).SerializeToString()
        key = tuple(map(tuple, region.edges())) if math.prod(counts) <= KEPT_CHUNKS else ()
        kept = self._indices.get(key) if key else None
        if kept is None:
            kept = list(tickets(region, None))
            if key:
                self._indices[key] = kept
                if len(self._indices) > KEPT_PLANS:
                    self._indices.popitem(last=False)
        return kept


def tickets(region: Region, identity: bytes | None) -> Iterator[Any]:
    """An endpoint for each chunk, in C order: its ticket and its bounds.

    The messages are put together by hand: there may be a hundred thousand, and protobuf's Python objects take ten
    times as long.

    Parameters
    ----------
    region
        What is read.
    identity
        Its bytes for tickets that stand alone; None for those that only tell the number of the chunk.
    """
    rank = len(region.grid)
    axes = [
        [
            (index.to_bytes(4, "big") if identity is not None else varint(index), varint(low), varint(high))
            for index, (low, high) in enumerate(along)
        ]
        for along in region.edges()
    ]
    make = flight.FlightEndpoint

    def walk(axis: int, at: bytes, low: bytes, high: bytes) -> Iterator[Any]:
        if axis < rank - 1:
            for a, b, c in axes[axis]:
                yield from walk(axis + 1, at + a, low + b, high + c)
            return
        for a, b, c in axes[axis]:
            start, stop = low + b, high + c
            bounds = b"\n" + varint(len(start)) + start + b"\x12" + varint(len(stop)) + stop
            ticket = message(1, identity + at + a) if identity is not None else message(4, message(2, at + a))
            yield make(ticket, [], None, bounds)

    return walk(0, b"", b"", b"")


def pyramid(tensor: Tensor) -> Iterator[PyramidLevel]:
    """The levels of a tensor, finest first: those that are stored, and others that bring it down to a screen's size."""
    shape = tensor.shape
    found: dict[tuple[int, ...], PyramidLevel] = {}
    for level in select.natives(tensor.image):
        found[level.scale] = PyramidLevel(
            scale_hint=level.scale, reduction_method="precompute", shape=level.array.spec.shape, native=True
        )
    how = "nearest" if tensor.image.label else "area"
    for number in range(1, len(tensor.image.levels)):
        scale = (*(1,) * (len(shape) - 2), 2**number, 2**number)
        found.setdefault(scale, _made(shape, scale, how))
    volume = _volume_scale(tensor)
    if volume is not None:
        found.setdefault(volume, _made(shape, volume, how))
    return iter(sorted(found.values(), key=lambda level: (math.prod(level.scale_hint), list(level.scale_hint))))


VOLUME_SIDE = 512


def _volume_scale(tensor: Tensor) -> tuple[int, ...] | None:
    """The scale that brings ``z``, ``y`` and ``x`` to what a graphics card holds; None when there is no need."""
    image, shape = tensor.image, tensor.shape
    if image.array.spec.dtype.kind not in "biuf" or image.dims[-3:] != ("z", "y", "x"):
        return None
    scale = tuple(2 ** max(math.ceil(math.log2(max(n, 1) / VOLUME_SIDE)), 0) for n in shape[-3:])
    return (*(1,) * (len(shape) - 3), *scale) if scale[0] > 1 else None


def _made(shape: Sequence[int], scale: Sequence[int], how: str) -> PyramidLevel:
    size = [-(-n // s) for n, s in zip(shape, scale, strict=True)]
    return PyramidLevel(scale_hint=scale, reduction_method=how, shape=size, native=False)


def metadata(tensor: Tensor, kind: str) -> dict[str, Any]:
    """The file's own metadata in the protocol's envelope, and beside it what the file's format calls otherwise.

    Under ``coverslip`` channels, labels and origins have the same names whatever the format; other clients pass it
    over.
    """
    image = tensor.image
    channels = [
        {"label": c.label, "color": c.color, "active": c.active,
         "window": None if c.window is None else {"start": c.window[0], "end": c.window[1]}}
        for c in image.channels
    ]  # fmt: skip
    summary = {
        "name": image.name,
        "channels": channels,
        "rgb": image.rgb,
        "is_label": image.label,
        "labels": [f"{tensor.source_id}/{path}" for path in image.labels],
        "origins": {axis.name: axis.origin for axis in image.axes if axis.origin},
    }
    return {"type": kind, "dim_label": list(image.dims), "metadata": dict(image.raw), "coverslip": summary}
