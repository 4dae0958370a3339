"""The writing half of this front: uploads, annotations, sources that come and go. It adds what it answers here."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from coverslip.core.errors import CoverslipError
from coverslip.core.format import Format
from coverslip.engine.annotations import Annotations
from coverslip.engine.uploads import Uploads

if TYPE_CHECKING:
    from coverslip.fronts.flight.desk import Desk
    from coverslip.fronts.flight.sources import MakeRoot

LOG = logging.getLogger("coverslip.flight")
SWEEP_S = 5.0
FIRST_LOOK_S = 60.0
LOOK_S = 3600.0


@dataclass(frozen=True)
class Writing:
    """What may be written to, and where.

    Attributes
    ----------
    annotations
        What people drew.
    recognise
        Which format claims a path.
    uploads
        None when nothing can be uploaded.
    make_root
        Makes what is offered while serving; None forbids it.
    """

    annotations: Annotations
    recognise: Callable[[Path], Format]
    uploads: Uploads | None = None
    make_root: MakeRoot | None = None

    def __call__(self, desk: Desk) -> None:
        """Add everything to the registry; a part of the front (`coverslip.fronts.flight.desk.Part`)."""
        self._add_uploads(desk)
        self._add_annotations(desk)
        self._add_sources(desk)

    def _add_uploads(self, desk: Desk) -> None:
        from coverslip.fronts.flight.uploads import UploadDesk

        uploads = UploadDesk(desk.catalog, desk.tensors, self.uploads)
        registry = desk.registry
        registry.action("add_tensor", uploads.add, "write")
        registry.action("set_upload_status", uploads.set_status, "write")
        registry.put("chunk_ticket", uploads.put, "write")
        if self.uploads is not None:
            registry.finders.append(uploads.find)
            registry.describers.append(uploads.describe)
            registry.permits.append(uploads.permit)
            self._every(desk, "coverslip-sweep", SWEEP_S, SWEEP_S, self.uploads.sweep)

    def _add_annotations(self, desk: Desk) -> None:
        from coverslip.fronts.flight.rois import Rois

        rois = Rois(desk, self.annotations, self.uploads)
        registry = desk.registry
        registry.read("roi_read", rois.read, "sealed")
        registry.put("roi_put", rois.put, "token")
        registry.put("roi_delete", rois.delete, "token")
        registry.action("roi_prune", rois.prune)
        registry.describers.append(rois.describe)
        registry.tables["rois"] = rois.rows
        self._every(desk, "coverslip-seen", FIRST_LOOK_S, LOOK_S, rois.look)
        registry.closers.append(self.annotations.close)

    def _add_sources(self, desk: Desk) -> None:
        from coverslip.fronts.flight.sources import SourceDesk

        sources = SourceDesk(desk.catalog, self.recognise, self.make_root)
        desk.registry.action("resolve", sources.resolve)
        desk.registry.action("add_source", sources.add)
        desk.registry.action("remove_source", sources.remove)

    def _every(self, desk: Desk, name: str, first_s: float, every_s: float, work: Callable[[], Any]) -> None:
        """Do something every so often until the server ends."""
        ending = threading.Event()

        def run() -> None:
            wait = first_s
            while not ending.wait(wait):
                wait = every_s
                try:
                    work()
                except CoverslipError as error:
                    LOG.warning("%s", error)
                except Exception:  # the top of a thread
                    LOG.exception("%s failed", name)

        threading.Thread(target=run, name=name, daemon=True).start()
        desk.registry.closers.append(ending.set)
