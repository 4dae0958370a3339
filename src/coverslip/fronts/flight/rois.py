"""Annotations over Flight: read by ticket, put and deleted by stream, listed as the table ``rois``, pruned."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Set
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from biopb.image.annotation_pb2 import (
    RoiConflict,
    RoiDeleteResult,
    RoiPruneRequest,
    RoiPruneResult,
    RoiPutResult,
    RoiUnseen,
)
from biopb.tensor.ticket_pb2 import RoiGrant, RoiRead, TensorTicket
from pyarrow import flight

from coverslip.core.errors import TooLarge
from coverslip.engine.annotation import Place
from coverslip.engine.annotations import MOST, RESERVED, Annotations
from coverslip.fronts.flight import roi_rows
from coverslip.fronts.flight.errors import Unauthenticated, parsed
from coverslip.fronts.flight.incoming import batches
from coverslip.fronts.flight.registry import Call

if TYPE_CHECKING:
    from coverslip.engine.uploads import Uploads
    from coverslip.fronts.flight.desk import Desk
    from coverslip.fronts.flight.tensors import Tensor

MOST_BYTES = 64 << 20
SEAL = b"coverslip-roi-seal-1"


class Rois:
    """The annotations of one server's images.

    Parameters
    ----------
    desk
        What the parts of this front share.
    annotations
        Where they are kept.
    uploads
        What was uploaded; None when nothing can be.
    """

    def __init__(self, desk: Desk, annotations: Annotations, uploads: Uploads | None) -> None:
        self._catalog, self._tensors, self._seals = desk.catalog, desk.tensors, desk.seals
        self._kept, self._uploads = annotations, uploads
        self._lasts_s = desk.options.seal_s

    # --- reading -----------------------------------------------------------------------------------------------------

    def read(self, ticket: Any, call: Call) -> Any:
        """``roi_read``: the rows of one image, to who shows the token or a seal; metadata counts every set of it."""
        asked = ticket.roi_read
        if not call.authorized:
            self._check_grant(asked, call)
        place = self._place(self._tensors.find(asked.array_id))
        sets = [
            {"set_name": name, "count": count, "reserved": name.startswith(RESERVED)}
            for name, count in self._kept.sets(place).items()
        ]
        rows = self._kept.read(place, asked.set_name)
        return flight.RecordBatchStream(roi_rows.table(rows, {"truncated": "False", "sets": json.dumps(sets)}))

    def rows(self) -> list[dict[str, Any]]:
        """Every annotation of what is offered now: the table ``rois`` of the catalog's SQL."""
        return [roi_rows.row(one) for one in self._kept.everything(self._finder())]

    def describe(self, descriptor: Any, tensor: Tensor, parts: Set[str], call: Call) -> None:
        """Put a ticket into a sealed plan that lets its holder read the annotations of the image too."""
        if "ticket_stub" not in parts:
            return
        expires = int(time.time()) + self._lasts_s if self._lasts_s else 0
        seal = self._seals.sign(*_parts(tensor.array_id, tensor.version, expires))
        grant = RoiGrant(content_version=tensor.version, expires_at=expires, seal=seal)
        ticket = TensorTicket(roi_read=RoiRead(array_id=tensor.array_id, grant=grant))
        descriptor.roi_ticket = ticket.SerializeToString()

    def _check_grant(self, asked: RoiRead, call: Call) -> None:
        grant = asked.grant
        parts = _parts(asked.array_id, bytes(grant.content_version), grant.expires_at)
        if not grant.seal:
            call.require()
        if not self._seals.holds(bytes(grant.seal), grant.expires_at, *parts):
            raise Unauthenticated("Ticket seal is invalid, expired, or does not cover these annotations")

    # --- writing -----------------------------------------------------------------------------------------------------

    def put(self, command: Any, reader: Any, writer: Any, call: Call) -> None:
        """``roi_put``: keep the rows of a stream, all or none."""
        asked = command.roi_put
        tensor = self._tensors.find(asked.array_id)
        given = []
        for batch in _bounded(reader):
            given += list(roi_rows.read(batch, asked.array_id, tensor.shape))
        stored, conflicts = self._kept.put(self._place(tensor), given, asked.check_rev)
        _reply(
            writer,
            RoiPutResult(
                stored=[roi_rows.message(one) for one in stored],
                conflicts=[RoiConflict(roi_id=id, stored_rev=rev) for id, rev in conflicts],
            ),
        )

    def delete(self, command: Any, reader: Any, writer: Any, call: Call) -> None:
        """``roi_delete``: delete the ids of a stream, or without any a whole set, or all that clients put."""
        asked = command.roi_delete
        place = self._place(self._tensors.find(asked.array_id))
        ids = [id for batch in _bounded(reader) for id in roi_rows.ids(batch)]
        _reply(writer, RoiDeleteResult(deleted=self._kept.delete(place, ids, asked.set_name)))

    def prune(self, body: bytes, call: Call) -> Iterator[bytes]:
        """``roi_prune``: report annotations whose image is gone, and delete them when asked to."""
        asked = parsed(RoiPruneRequest, body, "RoiPruneRequest")
        found, deleted = self._kept.prune(asked.unseen_days, self._finder(), asked.apply)
        unseen = [
            RoiUnseen(array_id=o.array_id, source_url=o.url, count=o.count, last_seen_at_unix_ms=o.seen_ms)
            for o in found
        ]
        yield RoiPruneResult(unseen=unseen, deleted=deleted).SerializeToString()

    def look(self) -> None:
        """Note which annotated images are there now; called every so often."""
        self._kept.look(self._finder())

    # --- inside ------------------------------------------------------------------------------------------------------

    def _place(self, tensor: Tensor) -> Place:
        place, row = self._catalog.where(tensor.source_id)
        upload = self._uploads.get(tensor.array_id) if self._uploads is not None else None
        if upload is not None:
            return Place(f"upload:{upload.id}", "", tensor.array_id, row.url)
        return Place(place, tensor.image.path, tensor.array_id, row.url, row.inode)

    def _finder(self) -> Callable[[str, str], str | None]:
        ids = self._catalog.whereabouts()
        uploads = {f"upload:{u.id}": u.array_id for u in (self._uploads.ready() if self._uploads is not None else ())}

        def find(place: str, field: str) -> str | None:
            if place in uploads:
                return uploads[place]
            id = ids.get(place)
            return None if id is None else array_id(id, field)

        return find


def array_id(source: str, path: str) -> str:
    """What the image at a path of a source is called: labels by their marker."""
    if not path:
        return source
    image, found, name = path.rpartition("labels/")
    if found and "/" not in name and (not image or image.endswith("/")):
        return f"{source}/{image}@labels/{name}"
    return f"{source}/{path}"


def _parts(array_id: str, version: bytes, expires: int) -> tuple[bytes, ...]:
    return SEAL, array_id.encode(), version, (expires & 0xFFFFFFFFFFFFFFFF).to_bytes(8, "big")


def _reply(writer: Any, message: Any) -> None:
    writer.write(pa.py_buffer(message.SerializeToString()))


def _bounded(reader: Any) -> Iterator[pa.RecordBatch]:
    rows = size = 0
    for batch in batches(reader):
        rows += batch.num_rows
        size += batch.nbytes
        if rows > MOST or size > MOST_BYTES:
            what = f"More than {MOST:,} rows, or {MOST_BYTES >> 20} MiB, in one request"
            raise TooLarge(what, "Send fewer at a time.")
        yield batch
