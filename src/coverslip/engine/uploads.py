"""Uploads of one server: added, filled in any order, published or given up; on disk in `coverslip.engine.upload_files`.

What is READY is part of its source (`overlay`), for every front. A process that is killed at any moment leaves an
upload either PENDING, with the chunks that were answered, or READY.
"""

from __future__ import annotations

import logging
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from coverslip.core.errors import Ambiguous, BadRequest, CoverslipError, NotFound
from coverslip.core.node import Group, Source
from coverslip.engine.overlay import Addition, Overlaid
from coverslip.engine.upload import DISCARDED, PENDING, READY, SCRATCH, Declared, Upload
from coverslip.engine.upload_files import UploadFiles

LOG = logging.getLogger("coverslip.uploads")
IDLE_S = 3600.0
SCRATCH_S = 86400.0
"""How long anything stays in the scratch source."""
SEAL_S = 600.0
"""How long publishing waits for chunks that are being written."""


class Uploads:
    """Every upload of one server.

    Parameters
    ----------
    folder
        Where they are kept, and nowhere else.
    idle_s
        How long an upload that is not published may go without a chunk; how long one that was given up is remembered.
    scratch_s
        How long an upload may stay in the scratch source.

    Raises
    ------
    Unreadable
        When the folder cannot be written, or another server writes to it.
    """

    def __init__(self, folder: Path, idle_s: float = IDLE_S, scratch_s: float = SCRATCH_S) -> None:
        self._files = UploadFiles(folder)
        self.folder = folder
        self._idle_s, self._scratch_s = idle_s, scratch_s
        self._lock = threading.Lock()
        self._all: dict[str, Upload] = {}
        self.changed: Callable[[str], None] = lambda source_id: None
        """Called with the id of a source that got another image, or lost one."""
        for upload in self._files.load():
            self._all[_key(upload.array_id)] = upload

    def close(self) -> None:
        """Let another server have the folder; what is PENDING can be gone on with."""
        self._files.close()

    def add(self, declared: Declared) -> Upload:
        """Begin an upload.

        Raises
        ------
        Ambiguous
            When the name is taken.
        DiskFull, Unreadable
            When it cannot be kept.
        """
        target, now = declared.target, time.time()
        lives = [s for s in (declared.ttl_s, self._scratch_s if target.source_id == SCRATCH else None) if s is not None]
        upload = Upload(uuid.uuid4().hex, declared, created_s=now, expires_s=now + min(lives) if lives else None)
        with self._lock:
            if _key(target.array_id) in self._all or self._files.place(target).exists():
                raise Ambiguous(f"{target.array_id} is taken", "Choose another name.", "name_taken")
            self._all[_key(target.array_id)] = upload
        try:
            self._files.create(upload)
        except CoverslipError:
            self._forget(upload)
            raise
        return upload

    def get(self, array_id: str) -> Upload | None:
        """The upload with this id, whatever its state, or None."""
        found = self._all.get(_key(array_id))
        return found if found is not None and found.array_id == array_id else None

    def write(self, array_id: str, index: tuple[int, ...], values: npt.NDArray[Any]) -> None:
        """Take one chunk: again if it came before, from any thread; on disk when this returns.

        Parameters
        ----------
        values
            The elements of the chunk in C order, in any shape.

        Raises
        ------
        UploadOver
            When the upload was published or given up.
        BadRequest
            When the elements are not the chunk's.
        DiskFull
            When there is no room; the upload stays as it was.
        """
        upload = self._known(array_id)
        start, stop = upload.declared.bounds(index)
        shape = tuple(b - a for a, b in zip(start, stop, strict=True))
        dtype = upload.declared.dtype
        if values.dtype != dtype or values.size != int(np.prod(shape)):
            raise BadRequest(
                f"{values.size} elements of {values.dtype} are not the chunk at {list(start)}",
                f"It has {int(np.prod(shape))} of {dtype}.",
            )
        with upload.lock:
            if upload.state != PENDING:
                raise upload.over()
            upload.busy += 1
            upload.touched = time.monotonic()
        arrived = False
        try:
            self._files.write(upload, index, values.reshape(shape))
            arrived = True
        finally:
            with upload.lock:
                upload.busy -= 1
                upload.touched = time.monotonic()
                if arrived:
                    upload.written.add(index)
                upload.lock.notify_all()

    def publish(self, array_id: str) -> Upload:
        """Make an upload READY: it can be read, chunks that never came are zero, and it takes no more.

        Raises
        ------
        UploadOver
            When it was given up.
        DiskFull, Unreadable
            When that fails; the upload stays PENDING.
        """
        upload = self._known(array_id)
        with self._settling(upload):
            if upload.state == READY:
                return upload
            if upload.state == DISCARDED:
                raise upload.over()
            self._files.publish(upload)
            upload.state = READY
        self._tell(upload)
        return upload

    def discard(self, array_id: str, reason: str = "") -> Upload | None:
        """Give an upload up, or delete it when it was READY; None when there is none."""
        upload = self.get(array_id)
        if upload is None:
            return None
        with self._settling(upload):
            if upload.state == DISCARDED:
                return upload
            was = upload.state
            self._files.remove(upload)
            upload.state, upload.reason, upload.touched = DISCARDED, reason, time.monotonic()
        if was == READY:
            for other in self._of(upload.declared.target.source_id):
                if (other.declared.target.image or "") == "/".join(upload.declared.target.path):
                    self.discard(other.array_id, "the image it labels was discarded")
            self._tell(upload)
        return upload

    def sweep(self) -> None:
        """Give up what is idle or too old, and forget what was given up long ago."""
        now = time.monotonic()
        for upload in list(self._all.values()):
            idle = now - upload.touched > self._idle_s and not upload.busy
            try:
                if upload.state == DISCARDED:
                    if idle:
                        self._forget(upload)
                elif upload.ended:
                    self.discard(upload.array_id, "its time to live is over")
                elif upload.state == PENDING and idle:
                    self.discard(upload.array_id, f"no chunk came for {self._idle_s:.0f} s")
            except CoverslipError as error:
                LOG.warning("an upload could not be discarded: %s", error.message)

    def tree(self, upload: Upload) -> Group:
        """The image of an upload; its pixels are there once it is READY."""
        return self._files.tree(upload)

    # --- for the catalog ---------------------------------------------------------------------------------------------

    def ready(self) -> list[Upload]:
        """What can be read."""
        return [upload for upload in list(self._all.values()) if upload.state == READY]

    def overlay(self, id: str, source: Source) -> Source:
        """A source with what was uploaded to it."""
        uploads = self._of(id)
        version = _version(uploads)
        if not uploads and id != SCRATCH:
            return source
        return Overlaid(source, self._additions(uploads), version, lambda: _version(self._of(id)))

    def _additions(self, uploads: list[Upload]) -> list[Addition]:
        def adding(upload: Upload) -> Addition:
            return upload.declared.target.path, lambda: self._files.tree(upload)

        return [adding(upload) for upload in uploads]

    # --- inside ------------------------------------------------------------------------------------------------------

    def _of(self, source_id: str) -> list[Upload]:
        found = [u for u in list(self._all.values()) if u.state == READY and u.declared.target.source_id == source_id]
        return sorted(found, key=lambda u: (u.created_s, u.id))

    def _known(self, array_id: str) -> Upload:
        upload = self.get(array_id)
        if upload is None:
            raise NotFound(f"There is no upload {array_id[:200]}", "Add one first.", "unknown_upload")
        return upload

    def _forget(self, upload: Upload) -> None:
        with self._lock:
            if self._all.get(_key(upload.array_id)) is upload:
                del self._all[_key(upload.array_id)]

    @contextmanager
    def _settling(self, upload: Upload) -> Iterator[None]:
        """Hold an upload while its state changes: chunks on their way are waited for, new ones wait."""
        with upload.lock:
            if not upload.lock.wait_for(lambda: not upload.busy, SEAL_S):
                raise CoverslipError("Chunks are still being written", "Try again in a while.", "upload_busy")
            yield

    def _tell(self, upload: Upload) -> None:
        self.changed(upload.declared.target.source_id)


def _key(array_id: str) -> str:
    """Names that one folder would have on some file system are one name."""
    return array_id.casefold()


def _version(uploads: list[Upload]) -> str:
    return " ".join(upload.id for upload in uploads)
