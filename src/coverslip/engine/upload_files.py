"""Uploads on disk: Zarr v3, OME-NGFF 0.5 where the axes are NGFF's.

::

    FOLDER/.uploads/pending/ID        being written; renamed into place when it is published
    FOLDER/.uploads/gone/ID           being deleted
    FOLDER/SOURCE/@fields/NAME        READY
    FOLDER/SOURCE/@labels/IMAGE/NAME  READY, labels of an image

Source: Zarr v3 core specification 3.1; OME-NGFF 0.5.
"""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy.typing as npt

from coverslip.core.errors import CoverslipError, Unreadable
from coverslip.core.finite import is_finite
from coverslip.core.ngff import Axis, ImageMeta, image_attrs
from coverslip.core.node import Group
from coverslip.core.tree import MemoryGroup
from coverslip.engine.upload import FIELDS, LABELS, READY, Declared, Target, Upload
from coverslip.engine.upload_array import UploadedArray, array_document, opened, told

OWN = "coverslip-upload"
"""The attribute of a group that says which upload it is."""
ARRAY = "0"
ID = re.compile("[0-9a-f]{32}")
"""It names folders."""
NONSENSE = (ValueError, KeyError, TypeError, AttributeError, ArithmeticError, RecursionError)
LONGEST_NAME = 120


class UploadFiles:
    """The folder of one server's uploads.

    Parameters
    ----------
    folder
        Made if need be.

    Raises
    ------
    Unreadable
        When it cannot be written, or another server writes to it.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._own = folder / ".uploads"
        with told("The folder of uploads"):
            for inner in ("pending", "gone"):
                (self._own / inner).mkdir(parents=True, exist_ok=True)
        self._lock = _locked(self._own / "lock")

    def close(self) -> None:
        """Let another server have the folder."""
        if self._lock >= 0:
            os.close(self._lock)
        self._lock = -1

    def place(self, target: Target) -> Path:
        """Where an upload is when it is READY."""
        source = self.folder / _folder_name(target.source_id)
        if target.image is None:
            return source / FIELDS / target.name
        return source / LABELS / (_folder_name(target.image) if target.image else "@image") / target.name

    def pending(self, upload: Upload) -> Path:
        """Where an upload is while it is written."""
        return self._own / "pending" / upload.id

    def create(self, upload: Upload) -> None:
        """Make the folder of an upload that nobody sees yet."""
        path = self.pending(upload)
        try:
            with told():
                (path / ARRAY).mkdir(parents=True)
                _write(path / ARRAY / "zarr.json", array_document(upload.declared))
                _write(path / "zarr.json", _group_document(upload))
        except CoverslipError:
            shutil.rmtree(path, ignore_errors=True)
            raise

    def write(self, upload: Upload, index: tuple[int, ...], data: npt.NDArray[Any]) -> None:
        """Write one whole chunk; whoever reads the disk sees all of it or nothing."""
        start, stop = upload.declared.bounds(index)
        with told():
            store = opened(self.pending(upload) / ARRAY, upload.declared, write=True)
            store[tuple(slice(a, b) for a, b in zip(start, stop, strict=True))].write(data).result()

    def publish(self, upload: Upload) -> None:
        """Move an upload to where it is read; it survives a loss of power from then on."""
        final, path = self.place(upload.declared.target), self.pending(upload)
        with told():
            final.parent.mkdir(parents=True, exist_ok=True)
            for folder, _, _ in os.walk(path):
                _sync(Path(folder))
            path.rename(final)
            for parent in (final.parent, *final.parent.parents):
                _sync(parent)
                if parent == self.folder:
                    break

    def remove(self, upload: Upload) -> None:
        """Delete an upload: from one moment to the other it is not there."""
        gone = self._own / "gone" / upload.id
        with told():
            path = self.place(upload.declared.target) if upload.state == READY else self.pending(upload)
            with suppress(FileNotFoundError):
                path.rename(gone)
                _sync(path.parent)
        shutil.rmtree(gone, ignore_errors=True)
        for parent in path.parents:
            if parent in (self.folder, self._own / "pending"):
                break
            try:
                parent.rmdir()
            except OSError:
                break

    def load(self) -> Iterator[Upload]:
        """Uploads that are there from before; what was half deleted is deleted."""
        for left in (self._own / "gone").iterdir():
            shutil.rmtree(left, ignore_errors=True)
        for path in (self._own / "pending").iterdir():
            found = _load(path)
            if found is None or path.name != found.id:
                shutil.rmtree(path, ignore_errors=True)
                continue
            found.written = set(_stored(path / ARRAY / "c", found.declared))
            yield found
        for pattern in (f"*/{FIELDS}/*", f"*/{LABELS}/*/*"):
            for path in sorted(self.folder.glob(pattern)):
                found = _load(path)
                if found is not None and self.place(found.declared.target) == path:
                    found.state = READY
                    yield found

    def tree(self, upload: Upload) -> Group:
        """The image of an upload that is READY."""
        declared = upload.declared
        array = UploadedArray(self.place(declared.target) / ARRAY, declared)
        label = declared.target.image is not None
        meta = ImageMeta(declared.axes, name=declared.target.name, label=label)
        return MemoryGroup({ARRAY: array}, image_attrs(meta, [declared.shape]))


def _locked(file: Path) -> int:
    try:
        import fcntl
    except ImportError:  # Windows
        return -1
    handle = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(handle)
        if error.errno not in (errno.EAGAIN, errno.EACCES):
            return -1  # a file system without locks
        hint = "Give each server a folder of its own."
        raise Unreadable("Another server writes to the same folder of uploads", hint, "folder_in_use") from error
    return handle


def _group_document(upload: Upload) -> dict[str, Any]:
    declared = upload.declared
    label = declared.target.image is not None
    attrs: dict[str, Any] = {}
    if _is_ngff(declared.axes):
        meta = ImageMeta(declared.axes, name=declared.target.name, label=label)
        attrs["ome"] = image_attrs(meta, [declared.shape])["ome"]
    attrs[OWN] = {
        "id": upload.id,
        "array_id": upload.array_id,
        "created_s": upload.created_s,
        "expires_s": upload.expires_s,
        "axes": [[a.name, a.step, a.unit, a.origin, a.kind] for a in declared.axes],
    }
    return {"zarr_format": 3, "node_type": "group", "attributes": attrs}


def _is_ngff(axes: tuple[Axis, ...]) -> bool:
    names = [axis.name for axis in axes]
    return 2 <= len(names) <= 5 and names == [n for n in "tczyx" if n in names] and names[-2:] == ["y", "x"]


def _load(path: Path) -> Upload | None:
    """The upload whose folder this is; None when it is not whole, or no upload."""
    try:
        own = json.loads((path / "zarr.json").read_bytes())["attributes"][OWN]
        array = json.loads((path / ARRAY / "zarr.json").read_bytes())
        axes = tuple(Axis(*axis) for axis in own["axes"])
        chunks = tuple(array["chunk_grid"]["configuration"]["chunk_shape"])
        target = Target.of(str(own["array_id"]))
        declared = Declared.of(target, array["shape"], array["data_type"], chunks, axes)
        if declared.chunks != chunks or array_document(declared) != array or not ID.fullmatch(own["id"]):
            return None
        if not is_finite(own["created_s"]) or not (own["expires_s"] is None or is_finite(own["expires_s"])):
            return None
        return Upload(own["id"], declared, created_s=own["created_s"], expires_s=own["expires_s"])
    except (OSError, CoverslipError, *NONSENSE):
        return None


def _stored(folder: Path, declared: Declared) -> Iterator[tuple[int, ...]]:
    """Numbers of the chunks whose files are there."""
    for here, _, names in os.walk(folder):
        above = Path(here).relative_to(folder).parts
        for name in names:
            parts = (*above, name)
            if len(parts) == len(declared.shape) and all(part.isdecimal() for part in parts):
                yield tuple(map(int, parts))


def _write(file: Path, document: dict[str, Any]) -> None:
    with file.open("w", encoding="utf-8") as out:
        json.dump(document, out)
        out.flush()
        os.fsync(out.fileno())


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno != errno.EINVAL:  # a file system that cannot
            raise
    finally:
        os.close(handle)


def _folder_name(text: str) -> str:
    """A name that is one folder's, and nobody else's."""
    plain = quote(text, safe="")
    plain = f"%2E{plain[1:]}" if plain.startswith(".") else plain
    return plain if len(plain) <= LONGEST_NAME else f"{plain[:60]}%{sha256(text.encode()).hexdigest()[:24]}"
