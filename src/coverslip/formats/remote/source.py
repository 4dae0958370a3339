"""Opening what lies elsewhere: Zarr in place, files by ranges where their format can, others as a copy."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

from coverslip.core.errors import CoverslipError, Damaged, UnknownFormat
from coverslip.core.format import Format
from coverslip.core.node import Group, Source
from coverslip.core.ranges import RangedFormat
from coverslip.core.stop import NEVER, Stop
from coverslip.formats.remote.bucket import Bucket
from coverslip.formats.remote.copies import Copies, Progress
from coverslip.formats.remote.failures import NO_RANGES, missing
from coverslip.formats.remote.file import RemoteFile
from coverslip.formats.remote.store import ROOTS, RemoteStore, RemoteZip
from coverslip.formats.trees.source import need

HEAD_BYTES = 4096
ZIPS = (".zip", ".ozx")
ZARR_ZIPS = (".zarr.zip", ".ozx")


@dataclass(frozen=True)
class Kind:
    """What something is, by its name, its first bytes, or its metadata.

    Attributes
    ----------
    format, kind
        As a `Format` says.
    light
        Whether opening it copies nothing to this machine.
    """

    format: str
    kind: str
    light: bool


class RemoteSource(Source):
    """A Zarr hierarchy elsewhere."""

    def __init__(self, root: Group, store: RemoteStore | RemoteZip) -> None:
        self.root = root
        self._store = store
        at = store if isinstance(store, RemoteStore) else store.file
        self.etag, self.modified_s, self._at = at.etag, at.modified_s, at

    def fresh(self) -> bool:
        """Whether it is still what was opened, as far as was looked in the last half minute."""
        return self._at.fresh()

    def close(self) -> None:
        """Forget what was kept."""
        self._store.close()


class CopiedSource(Source):
    """A source that reads a copy."""

    def __init__(self, inner: Source, file: RemoteFile, copy: Path, copies: Copies) -> None:
        self.root = inner.root
        self.etag, self.modified_s = file.etag, file.modified_s
        self._inner, self._file, self._copy = inner, file, copy
        self._copies: Copies | None = copies

    def fresh(self) -> bool:
        """Whether the object is still the one that was copied."""
        return self._file.fresh()

    def close(self) -> None:
        """Close the copy, which stays for the next time."""
        copies, self._copies = self._copies, None
        if copies is not None:
            self._inner.close()
            copies.back(self._copy)


def is_zarr(store: RemoteStore | RemoteZip) -> bool:
    """Whether there is a Zarr hierarchy."""
    return store.probe() if isinstance(store, RemoteStore) else any(store.size(name) is not None for name in ROOTS)


def zarr_kind(store: RemoteStore | RemoteZip) -> Kind:
    """What a Zarr hierarchy holds, by the attributes of its root."""
    from coverslip.formats.trees.zarr_meta import parse

    whole = store.document("zarr.json")
    text = whole if whole is not None else store.document(".zattrs")
    found = parse("The metadata", text) if text is not None else {}
    attrs = found.get("attributes") if whole is not None else found
    attrs = attrs if isinstance(attrs, dict) else {}
    if attrs.get("encoding-type") == "anndata":
        return Kind("anndata_zarr", "cells", True)
    inner = attrs.get("ome")
    ome = inner if isinstance(inner, dict) else attrs
    keys = ("multiscales", "plate", "well", "labels", "bioformats2raw.layout")
    if any(ome.get(key) for key in keys) or "spatialdata_attrs" in attrs:
        return Kind("ome-zarr", "images", True)
    return Kind("zarr", "arrays", True)


def open_zarr(store: RemoteStore | RemoteZip, name: str) -> Source:
    """Open a hierarchy as the formats of local ones do; reads metadata only."""
    need("tensorstore", "Zarr")
    from coverslip.formats.trees.zarr import ZarrGroup, open_hierarchy
    from coverslip.formats.trees.zarr_images import is_ome, ome_tree
    from coverslip.formats.trees.zarr_plain import arrays_tree

    try:
        root = open_hierarchy(store)
        if isinstance(root, ZarrGroup) and root.attrs.get("encoding-type") == "anndata":
            tree: Group = root
        elif isinstance(root, ZarrGroup) and is_ome(root.attrs):
            tree = ome_tree(root)
        else:
            tree = arrays_tree(root, name.split(".")[0])
    except CoverslipError:
        store.close()
        raise
    return RemoteSource(tree, store)


def recognise(name: str, head: bytes, size: int) -> Format:
    """The format that claims a file of this name, these first bytes and this size.

    Formats look at paths, so they are shown an empty file that has all three.

    Raises
    ------
    UnknownFormat
        When none does.
    """
    from coverslip.formats import recognise as recognise_path

    with tempfile.TemporaryDirectory(prefix="coverslip-") as folder:
        path = Path(folder) / (name.replace("\0", "")[-200:] or "file")
        with path.open("wb") as file:
            file.write(head)
            file.truncate(max(size, len(head)))
        try:
            return recognise_path(path)
        except UnknownFormat as error:
            hint = error.hint
    raise UnknownFormat(f"{name} is in a format coverslip does not know", hint)


def is_zip(name: str) -> bool:
    """Whether a name is that of a zip file, which may hold Zarr."""
    return name.lower().endswith(ZIPS)


def file_kind(name: str, head: bytes, size: int) -> Kind:
    """What a file is; raises `UnknownFormat` when no format claims it."""
    if name.lower().endswith(ZARR_ZIPS):
        return Kind("ome-zarr", "images", True)
    form = recognise(name, head, size)
    return Kind(form.name, form.kind, isinstance(form, RangedFormat))


def open_object(
    bucket: Bucket, key: str, copies: Copies, stop: Stop = NEVER, progress: Progress | None = None
) -> Source:
    """Open one object as it is now; reads by ranges what can be read so, and copies other files once."""
    head, file, ranges = first_bytes(bucket, key)
    if ranges and is_zip(file.name):
        store = RemoteZip(file)
        if is_zarr(store):
            return open_zarr(store, file.name)
        store.close()
    form = recognise(file.name, head, file.size)
    if ranges and isinstance(form, RangedFormat):
        return form.open_ranges(file)
    path = copies.take(file, stop, progress)
    try:
        source = _opened(form, path, file)
    except BaseException:
        copies.back(path)
        raise
    return CopiedSource(source, file, path, copies)


def first_bytes(bucket: Bucket, key: str) -> tuple[bytes, RemoteFile, bool]:
    """The first bytes of an object, the object, and whether its server sends ranges."""
    ranges = True
    try:
        head, stat = bucket.get(key, 0, HEAD_BYTES)
    except CoverslipError as error:
        if error.name not in (NO_RANGES, "changed"):  # "changed": a range of an empty file
            raise
        ranges = False
        found = bucket.stat(key)
        if found is None:
            raise missing(bucket.shown(key)) from None
        head, stat = b"", found
        for part in bucket.stream(key, stat, HEAD_BYTES):
            head = part[:HEAD_BYTES]
            break
    if not stat.size:
        raise Damaged(f"{bucket.shown(key)} is empty", "Copy it there again.")
    return head, RemoteFile(bucket, key, stat), ranges


def _opened(form: Format, path: Path, file: RemoteFile) -> Source:
    """A copy opened by its format, whose errors name the address and not the copy."""
    try:
        return form.open(path)
    except CoverslipError as error:
        told = type(error)(_named(error.message, path, file), _named(error.hint, path, file), error.name)
    except OSError as error:
        told = Damaged(f"{file} cannot be read as {form.expects}: {error.strerror or error}", "Copy it there again.")
    raise told


def _named(text: str, path: Path, file: RemoteFile) -> str:
    return text.replace(str(path), str(file)).replace(str(path.parent), "")
