"""What clients may write: uploads, annotations, further sources. Part of the composition root."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from coverslip.config import SourceTable
from coverslip.engine.annotations import Annotations
from coverslip.engine.catalog import Catalog
from coverslip.engine.overlay import Nothing
from coverslip.engine.places import Root
from coverslip.engine.state import state_folder
from coverslip.engine.upload import FIELDS, SCRATCH
from coverslip.formats import recognise
from coverslip.roots import root_of
from coverslip.settings import Settings

if TYPE_CHECKING:
    from coverslip.engine.uploads import Uploads

DATABASE = "annotations.sqlite"


def uploads_of(settings: Settings, catalog: Catalog) -> Uploads | None:
    """The uploads of a server, part of what its catalog opens; None when nothing can be uploaded.

    Raises
    ------
    CoverslipError
        When the folder cannot be written, or is offered as data.
    """
    if settings.write_dir is None:
        return None
    from coverslip.engine.uploads import Uploads  # nothing of it is needed where nothing is uploaded

    catalog.leave_out(settings.write_dir)
    uploads = Uploads(settings.write_dir, settings.upload_ttl_s)
    catalog.overlay = uploads.overlay
    uploads.changed = catalog.learn_now
    catalog.add(SCRATCH, "uploads", "images", Nothing, id=SCRATCH)
    return uploads


def recall(catalog: Catalog, uploads: Uploads) -> None:
    """Have the catalog list what is uploaded, also where a process was killed before it told; in the background."""
    there: dict[str, set[str]] = {}
    for upload in uploads.ready():
        if upload.declared.target.image is None:
            there.setdefault(upload.declared.target.source_id, set()).add(upload.array_id)

    def look() -> None:
        for row in catalog.entries()[0]:
            listed = {t["array_id"] for t in row.tensors or () if f"/{FIELDS}/" in t["array_id"]}
            if row.status == "ready" and listed != there.get(row.id, set()):
                catalog.learn_now(row.id)

    threading.Thread(target=look, name="coverslip-recall", daemon=True).start()


def writing_of(settings: Settings, uploads: Uploads | None) -> Any:
    """The part of Arrow Flight that writes."""
    from coverslip.fronts.flight.writing import Writing

    made: Callable[[Path, str], Root] | None = root_at if settings.add_source else None
    return Writing(Annotations(lambda: state_folder() / DATABASE), recognise, uploads, made)


def root_at(path: Path, kind: str) -> Root:
    """What is offered at a path, read as a format where one is named."""
    return root_of(SourceTable(path=str(path), type=kind))
