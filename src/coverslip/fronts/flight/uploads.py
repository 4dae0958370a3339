"""Uploads over Flight: declared by an action, filled by DoPut with the tickets of a plan, published or given up."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence, Set
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from biopb.tensor.descriptor_pb2 import TensorDescriptor, UploadStatus
from biopb.tensor.ticket_pb2 import SetUploadStatus, TensorTicket
from pyarrow import flight

from coverslip.core.errors import BadRequest, NotFound, TooLarge
from coverslip.core.ngff import Axis
from coverslip.core.node import Group
from coverslip.core.spec import Box
from coverslip.domains.images import ADDED, Image, Images
from coverslip.engine.overlay import Nothing, Overlaid
from coverslip.engine.upload import (
    DISCARDED,
    LARGEST_CHUNK,
    PENDING,
    READY,
    SCRATCH,
    Declared,
    Target,
    Upload,
    UploadOver,
)
from coverslip.fronts.flight.errors import Superseded, Unauthenticated, Unavailable, parsed
from coverslip.fronts.flight.incoming import batches
from coverslip.fronts.flight.region import Region, unpack_index
from coverslip.fronts.flight.registry import Call
from coverslip.fronts.flight.tensors import UNKNOWN, Tensor, Tensors

if TYPE_CHECKING:
    from coverslip.engine.catalog import Catalog
    from coverslip.engine.uploads import Uploads

STATES = {PENDING: UploadStatus.PENDING, READY: UploadStatus.READY, DISCARDED: UploadStatus.DISCARDED}
VERSION_BYTES = 8
NAMES = "zyx"
MOST_METADATA = 64 << 10


class UploadDesk:
    """What clients may do with uploads.

    Parameters
    ----------
    catalog, tensors
        What is on offer.
    uploads
        Where they are kept; None when nothing can be uploaded.
    """

    def __init__(self, catalog: Catalog, tensors: Tensors, uploads: Uploads | None) -> None:
        self._catalog, self._tensors, self._given = catalog, tensors, uploads

    # --- actions -----------------------------------------------------------------------------------------------------

    def add(self, body: bytes, call: Call) -> Iterator[bytes]:
        """``add_tensor``: begin an upload."""
        asked = parsed(TensorDescriptor, body, "TensorDescriptor")
        target = Target.of(asked.array_id)
        if target.source_id not in self._catalog:
            hint = f"Upload to one that is listed, or to {SCRATCH}."
            raise NotFound(f"Source not found: {target.source_id[:200]}", hint, UNKNOWN)
        label = target.image is not None
        _check_metadata(asked.metadata_json, label)
        beside = self._beside(target)
        axes = _axes(tuple(asked.dim_labels), len(asked.shape), beside)
        ttl = asked.ttl_seconds if asked.HasField("ttl_seconds") else None
        declared = Declared.of(target, asked.shape, asked.dtype, asked.chunk_shape, axes, ttl)
        if label and beside is not None:
            _check_label(declared, beside)
        yield described(self._uploads.add(declared)).SerializeToString()

    def set_status(self, body: bytes, call: Call) -> Iterator[bytes]:
        """``set_upload_status``: publish an upload, or give it up."""
        asked = parsed(SetUploadStatus, body, "SetUploadStatus")
        array_id = asked.array_id.partition("://")[2] or asked.array_id
        with refusing():
            if asked.state == UploadStatus.READY:
                upload: Upload | None = self._uploads.publish(array_id)
            elif asked.state == UploadStatus.DISCARDED:
                upload = self._uploads.discard(array_id, asked.reason[:1000])
            else:
                raise BadRequest("An upload cannot be set to that state", "There is READY and DISCARDED.")
        yield (status(upload) if upload is not None else UploadStatus()).SerializeToString()

    def put(self, command: Any, reader: Any, writer: Any, call: Call) -> None:
        """``chunk_ticket``: one whole chunk."""
        region, box = planned(bytes(command.chunk_ticket))
        upload = self._uploads.get(region.array_id)
        if upload is None:
            raise NotFound(f"{region.array_id[:200]} is no upload", "Only uploads take chunks.", "unknown_upload")
        if region.version != _version(upload):
            raise Superseded(f"{upload.array_id} is another upload than was planned", "Plan it again.")
        with refusing():
            if upload.state != PENDING:
                raise upload.over()
            index = upload.declared.index(box.start, box.stop)
            self._uploads.write(upload.array_id, index, _elements(reader, upload.declared.dtype))

    # --- for plans ---------------------------------------------------------------------------------------------------

    def find(self, array_id: str) -> Tensor | None:
        """The tensor of an upload, whatever its state; its version stays what it is."""
        upload = self._given.get(array_id) if self._given is not None else None
        if upload is None:
            return None
        version = _version(upload)
        path = "/".join(upload.declared.target.path)
        if upload.state == READY:
            images, _ = self._catalog.open(upload.declared.target.source_id).view(self._tensors.images_of)
            return Tensor(array_id, images[path], version, "upload", images)
        images = Images(Overlaid(Nothing(), [(tuple(path.split("/")), lambda: self._uploads.tree(upload))], "", str))
        return Tensor(array_id, images[path], version, "upload", images, grid=upload.declared.chunks)

    def describe(self, descriptor: Any, tensor: Tensor, parts: Set[str], call: Call) -> None:
        """Tell how far an upload is."""
        upload = self._given.get(tensor.array_id) if self._given is not None else None
        if upload is None:
            return
        if "upload_status" in parts:
            descriptor.upload_status.CopyFrom(status(upload))
        left = upload.left_s
        if left is not None:
            descriptor.ttl_seconds = left

    def permit(self, tensor: Tensor) -> None:
        """Refuse the pixels of what is not READY."""
        upload = self._given.get(tensor.array_id) if self._given is not None else None
        if upload is not None and upload.state == PENDING:
            raise Unavailable(f"{upload.array_id} is still being uploaded", "Wait until it is READY.", "upload_pending")
        if upload is not None and upload.state == DISCARDED:
            raise NotFound(f"{upload.array_id} was discarded: {upload.reason or 'no reason given'}", "", "discarded")

    # --- inside ------------------------------------------------------------------------------------------------------

    @property
    def _uploads(self) -> Uploads:
        if self._given is None:
            raise Unauthenticated("Server not in write mode")
        return self._given

    def _beside(self, target: Target) -> Image | None:
        """The image that is labelled, or whose sizes a field takes over."""
        if target.image is not None:
            given = f"{target.source_id}/{target.image}" if target.image else target.source_id
            found = self._tensors.find(given)
            self.permit(found)
            images, _ = self._catalog.open(target.source_id).view(self._tensors.images_of)
            if found.array_id != given or not isinstance(images.node(found.image.path), Group):
                hint = "Labels belong to one image with multiscales; name it in full."
                raise BadRequest(f"{given} cannot be labelled", hint, "no_image")
            return found.image
        if target.source_id == SCRATCH:
            return None
        images, _ = self._catalog.open(target.source_id).view(self._tensors.images_of)
        first = next((path for path in images.paths if not path.startswith(f"{ADDED}/")), None)
        return images[first] if first is not None else None


@contextmanager
def refusing() -> Iterator[None]:
    """Say that an upload takes no more as clients know it: a cancelled call that tells the state."""
    try:
        yield
    except UploadOver as error:
        told = {
            "reason": "upload_discarded" if error.state == DISCARDED else "upload_sealed",
            "state": error.state,
            "source_id": error.array_id,
            "detail": error.reason,
        }
        raise flight.FlightCancelledError(str(error), extra_info=json.dumps(told).encode()) from None


def planned(data: bytes) -> tuple[Region, Box]:
    """The region that a ticket is of, and its chunk.

    Raises
    ------
    BadRequest
        When it is none, or one of a scaled read.
    """
    ticket = parsed(TensorTicket, data, "TensorTicket")
    if ticket.HasField("chunk_ref"):
        region, rest = Region.unpack(ticket.chunk_ref.stub.identity)
        index = tuple(ticket.chunk_ref.index)
    else:
        region, rest = Region.unpack(ticket.chunk_id)
        index, rest = unpack_index(rest, len(region.grid)), b""
    if rest or region.method or any(scale != 1 for scale in region.scale):
        raise BadRequest("Chunks are written at full resolution", "Plan the upload without a scale.", "malformed")
    return region, region.chunk(index)


def _version(upload: Upload) -> bytes:
    return bytes.fromhex(upload.id)[:VERSION_BYTES]


def status(upload: Upload) -> UploadStatus:
    """How far an upload is."""
    return UploadStatus(
        state=STATES[upload.state],
        expected_chunks=upload.declared.expected,
        uploaded_chunks=len(upload.written),
        reason=upload.reason,
    )


def described(upload: Upload) -> TensorDescriptor:
    """An upload as it was granted."""
    declared = upload.declared
    found = TensorDescriptor(
        array_id=upload.array_id,
        dim_labels=[axis.name for axis in declared.axes],
        shape=declared.shape,
        chunk_shape=declared.chunks,
        dtype=declared.dtype.str,
        physical_scale=[axis.step if axis.unit else 0.0 for axis in declared.axes],
        physical_unit=[axis.unit or "" for axis in declared.axes],
        upload_status=status(upload),
    )
    left = upload.left_s
    if left is not None:
        found.ttl_seconds = left
    return found


def _check_metadata(text: str, label: bool) -> None:
    if not text:
        return
    try:
        given = json.loads(text) if len(text) <= MOST_METADATA else None
    except (ValueError, RecursionError):
        given = None
    if not isinstance(given, dict) or not label or set(given) - {"image-label"}:
        raise BadRequest(
            "Metadata cannot be uploaded with an array", "An upload takes over axes and sizes of its source."
        )


def _axes(names: Sequence[str], n: int, beside: Image | None) -> tuple[Axis, ...]:
    """The axes of an upload; those that its source has too are as long and in the same unit."""
    if not names:
        there = beside.dims if beside is not None else ()
        if beside is not None and len(there) == n + 1 and "c" in there:
            there = tuple(name for name in there if name != "c")
        tail = NAMES[-n:] if n < len(NAMES) else NAMES
        names = there if len(there) == n else [f"d{i}" for i in range(n - len(tail))] + list(tail)
    known = {axis.name: axis for axis in beside.axes} if beside is not None else {}
    return tuple(known.get(name) or Axis(name[:100]) for name in names)


def _check_label(declared: Declared, image: Image) -> None:
    if declared.dtype.kind != "u":
        raise BadRequest(
            f"Labels are unsigned integers, not {declared.dtype}", "Convert them: labels.astype('uint32')."
        )
    names = [axis.name for axis in declared.axes]
    wanted = {a.name: 1 if a.type == "channel" else n for a, n in zip(image.axes, image.array.spec.shape, strict=True)}
    without = {name: n for name, n in wanted.items() if name not in ("c", "s")}
    if dict(zip(names, declared.shape, strict=True)) not in (wanted, without):
        raise BadRequest(
            f"Labels of shape {list(declared.shape)} do not fit an image of {list(image.array.spec.shape)}",
            f"Give them the axes {list(wanted)} of lengths {list(wanted.values())}.",
        )


def _elements(reader: Any, dtype: np.dtype[Any]) -> npt.NDArray[Any]:
    """The only column of a stream, as one flat array of the chunk's own dtype."""
    parts: list[npt.NDArray[Any]] = []
    size = 0
    for batch in batches(reader):
        if batch.num_columns != 1 or batch.column(0).null_count:
            raise BadRequest("A chunk is one column without nulls", "Send the elements in C order as the column data.")
        kind = batch.column(0).type
        if not (pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind)):
            raise BadRequest("The column holds no numbers", f"Send elements of {dtype}.")
        size += batch.num_rows * max(kind.bit_width // 8, 1)
        if size > 2 * LARGEST_CHUNK:
            raise TooLarge("The chunk is larger than any", f"A chunk has at most {LARGEST_CHUNK >> 20} MiB.")
        parts.append(batch.column(0).to_numpy(zero_copy_only=False))
    found = parts[0] if len(parts) == 1 else np.concatenate(parts) if parts else np.empty(0, dtype)
    if found.dtype != dtype:
        raise BadRequest(f"Elements are {found.dtype}, and the array holds {dtype}", "Convert them first.")
    return found
