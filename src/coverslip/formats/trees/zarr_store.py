"""Where a Zarr or N5 hierarchy lies: a folder, or a zip file whose entries are read in place.

Nothing outside the folder is read: a link that leads out of it is refused when it is met, and what is neither a file
nor a folder is never opened.

Source: Zarr v3 core specification, section 8 (stores); OME-NGFF RFC-9 (``.ozx``); PKWARE APPNOTE 6.3 (zip).
"""

from __future__ import annotations

import json
import os
import stat
import threading
import time
import zipfile
import zlib
from abc import ABC, abstractmethod
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from coverslip.core.errors import CoverslipError, Damaged, Unreadable, UnsafeLink, Unsupported
from coverslip.formats.trees.source import PathSource, path_etag

LARGEST_DOCUMENT = 64 << 20
"""Bytes of the largest metadata document that is read."""
MOST_PARTS = 48
"""How many files and folders a folder's source looks at to see that it changed."""
DOCUMENTS = ("zarr.json", ".zarray", ".zgroup", ".zattrs", "attributes.json")
LINK_HINT = "coverslip reads nothing outside the folder it was given."
FOLDER_S = 1.0
"""For so long a folder that led nowhere else is not looked at again: a read is of many files of one folder."""


def safe_path(path: str) -> str:
    """A relative path inside a store, without empty and ``.`` parts.

    Raises
    ------
    UnsafeLink
        When it leads upwards.
    """
    parts = [part for part in path.split("/") if part not in ("", ".")]
    if any(part == ".." or "\\" in part or "\0" in part for part in parts):
        raise UnsafeLink(f"The path {path!r} leads outside its store", LINK_HINT)
    return "/".join(parts)


class Store(ABC):
    """Named bytes."""

    fetched = False
    """Whether stored chunks are fetched from another machine, where TensorStore does not reach."""

    @abstractmethod
    def size(self, key: str) -> int | None:
        """Bytes stored under ``key``, or None."""

    @abstractmethod
    def read(self, key: str, start: int = 0, stop: int | None = None) -> bytes | None:
        """The bytes stored under ``key``, or part of them; None when there are none."""

    @abstractmethod
    def folders(self, path: str) -> list[str]:
        """Names of what lies below ``path`` and may hold something, sorted."""

    @abstractmethod
    def kvstore(self, path: str) -> dict[str, Any]:
        """The same for TensorStore: what lies below ``path``."""

    def close(self) -> None:  # noqa: B027  (a folder holds nothing)
        """Give back what is held."""

    def document(self, key: str) -> bytes | None:
        """A metadata document, or None when there is none."""
        size = self.size(key)
        if size is not None and size > LARGEST_DOCUMENT:
            raise Unsupported(f"{key} has {size >> 20} MiB of metadata", "Split the hierarchy into smaller ones.")
        return None if size is None else self.read(key)


class FolderStore(Store):
    """A folder on disk."""

    def __init__(self, root: Path) -> None:
        self._root = os.path.realpath(root)
        self._within = os.path.join(self._root, "")  # noqa: PTH118  (the root of a disk ends in a slash already)
        self._known: dict[str, float] = {}
        self.seen: dict[str, None] = {}

    def size(self, key: str) -> int | None:
        """Bytes of the file; None when there is none or it is a folder."""
        found = self._state(key)
        return found.st_size if found is not None and stat.S_ISREG(found.st_mode) else None

    def read(self, key: str, start: int = 0, stop: int | None = None) -> bytes | None:
        """The file's bytes, by ``pread``."""
        if self.size(key) is None:
            return None
        try:
            fd = os.open(f"{self._root}/{key}", os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise _unreadable(key, error) from error
        try:
            self._check_opened(key, fd)
            end = os.fstat(fd).st_size
            end = end if stop is None else min(stop, end)
            return _pread(fd, start, max(end - start, 0))
        finally:
            os.close(fd)

    def document(self, key: str) -> bytes | None:
        """A metadata document, remembered as one whose change makes this another version."""
        found = super().document(key)
        if found is not None:
            self.seen[key] = None
        return found

    def folders(self, path: str) -> list[str]:
        """Names of folders; not of links to a folder above, which would never end."""
        if path and self._state(path) is None:
            return []
        here = f"{self._root}/{path}" if path else self._root
        try:
            with os.scandir(here) as entries:
                found = sorted(e.name for e in entries if e.is_dir() and not e.name.startswith(".") and not _loops(e))
        except OSError as error:
            raise _unreadable(path or "The folder", error) from error
        return found

    def files(self, path: str) -> list[str]:
        """Names of files in a folder; none where there is no such folder."""
        path = safe_path(path)
        if path and self._state(path) is None:
            return []
        with os.scandir(f"{self._root}/{path}") as entries:
            return [entry.name for entry in entries if entry.is_file(follow_symlinks=False)]

    def kvstore(self, path: str) -> dict[str, Any]:
        """The folder as TensorStore names it."""
        return {"driver": "file", "path": f"{self._root}/{path}/" if path else f"{self._root}/"}

    def _state(self, key: str) -> os.stat_result | None:
        """What lies at ``key``, every folder on the way looked at; None when there is nothing."""
        folder = key.rpartition("/")[0] if key else None
        if folder is None:
            if os.path.realpath(self._root) != self._root:
                raise UnsafeLink("A link was put in the folder's place", LINK_HINT)
        elif self._known.get(folder, 0.0) < (now := time.monotonic()):
            if self._state(folder) is None:
                return None
            self._known[folder] = now + FOLDER_S
        try:
            found = os.lstat(f"{self._root}/{key}")
            if stat.S_ISLNK(found.st_mode):
                found = self._followed(key)
        except (FileNotFoundError, NotADirectoryError, ValueError):  # the last: no name of a file
            return None
        except OSError as error:
            raise _unreadable(key, error) from error
        if not (stat.S_ISREG(found.st_mode) or stat.S_ISDIR(found.st_mode)):
            raise Damaged(f"{key} is neither a file nor a folder", "Write the data again.")
        return found

    def _followed(self, key: str) -> os.stat_result:
        real = os.path.realpath(f"{self._root}/{key}")
        if not self._holds(real):
            raise UnsafeLink(f"{key} is a link that leads outside the folder", LINK_HINT)
        return Path(real).stat()

    def _holds(self, real: str) -> bool:
        """Whether a path without links, as the system writes it, is the folder or lies in it."""
        return real == self._root or real.startswith(self._within)

    def _check_opened(self, key: str, fd: int) -> None:
        """See that what was opened lies in the folder, whatever was put in a folder's place since it was looked at."""
        with suppress(OSError):  # Linux tells it without asking the disk; elsewhere what was looked at counts
            if not self._holds(os.readlink(f"/proc/self/fd/{fd}")):  # noqa: PTH115  (for every chunk)
                raise UnsafeLink(f"{key} leads outside the folder", LINK_HINT)


class ZipStore(Store):
    """A zip file; entries are read where they lie, nothing is unpacked."""

    def __init__(self, path: Path | IO[bytes]) -> None:
        self._path = path
        try:
            self._zip = zipfile.ZipFile(path)
        except (zipfile.BadZipFile, ValueError, NotImplementedError, OverflowError) as error:
            raise Damaged(f"{Path(path.name).name} is not a whole zip file: {error}", "Copy it again.") from error
        self._entries = {info.filename: info for info in self._zip.infolist() if info.filename and not info.is_dir()}
        self._below: dict[str, set[str]] = {}
        for name in self._entries:
            parts = name.split("/")
            for depth in range(1, len(parts)):
                self._below.setdefault("/".join(parts[: depth - 1]), set()).add(parts[depth - 1])
        self._lock = threading.Lock()

    def size(self, key: str) -> int | None:
        """Bytes of the entry once unpacked."""
        info = self._entries.get(key)
        return info.file_size if info is not None else None

    def read(self, key: str, start: int = 0, stop: int | None = None) -> bytes | None:
        """The entry's bytes; only those asked for when they are stored as they are."""
        info = self._entries.get(key)
        if info is None:
            return None
        end = info.file_size if stop is None else min(stop, info.file_size)
        try:
            with self._lock, self._zip.open(info) as entry:
                entry.seek(start)
                found = entry.read(max(end - start, 0))
        except (
            zipfile.BadZipFile,
            zlib.error,
            OSError,
            EOFError,
            ValueError,
            NotImplementedError,
            RuntimeError,
        ) as error:
            raise Damaged(f"The zip entry {key} cannot be read: {error}", "Copy the file again.") from error
        return found

    def folders(self, path: str) -> list[str]:
        """Names with a slash behind them."""
        return sorted(name for name in self._below.get(path, ()) if name not in ("", ".", ".."))

    def kvstore(self, path: str) -> dict[str, Any]:
        """TensorStore's zip driver."""
        base = {"driver": "file", "path": os.path.realpath(str(self._path))}
        return {"driver": "zip", "base": base, "path": f"{path}/" if path else ""}

    def close(self) -> None:
        """Close the file."""
        self._zip.close()


def open_store(path: Path) -> Store:
    """The store at ``path``."""
    return FolderStore(path) if path.is_dir() else ZipStore(path)


class StoreSource(PathSource):
    """A tree read from a store; make it after the tree, so that it knows which documents the tree came from."""

    def __init__(self, path: Path, root: Any, store: Store) -> None:
        parts: list[Path] = []
        if isinstance(store, FolderStore):
            for key in ["", *store.seen][: MOST_PARTS // 2]:
                parts += [path / key, (path / key).parent] if key else [path]
        super().__init__(path, root, store.close, list(dict.fromkeys(parts)))
        self.etag = path_etag(path)


def has_zarr(path: Path, head: bytes) -> bool:
    """Whether a folder, or a zip file, has Zarr's metadata at its root."""
    names = ("zarr.json", ".zgroup", ".zarray", ".zattrs")
    if path.is_dir():
        return any((path / name).is_file() for name in names)
    if path.suffix.lower() not in (".zip", ".ozx") or not head.startswith(b"PK"):
        return False
    try:
        with zipfile.ZipFile(path) as found:
            return any(name in found.NameToInfo for name in names)
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, OverflowError):
        # A truncated one must be called damaged, not unknown.
        return path.suffix.lower() == ".ozx" or path.name.lower().endswith(".zarr.zip")


def root_attrs(path: Path) -> dict[str, Any] | None:
    """The attributes of the root of a Zarr hierarchy; None when they cannot be read."""
    try:
        store = open_store(path)
        try:
            whole = store.document("zarr.json")
            text = whole if whole is not None else store.document(".zattrs")
        finally:
            store.close()
        found = json.loads(text or b"{}")
        found = found.get("attributes", {}) if whole is not None else found
    except (CoverslipError, ValueError, RecursionError, AttributeError):
        return None
    return found if isinstance(found, dict) else None


def _pread(fd: int, start: int, count: int) -> bytes:
    parts, left = [], count
    while left > 0:
        got = os.pread(fd, min(left, 1 << 24), start + count - left)
        if not got:
            break
        parts.append(got)
        left -= len(got)
    return parts[0] if len(parts) == 1 else b"".join(parts)


def _loops(entry: os.DirEntry[str]) -> bool:
    """Whether an entry is a link to a folder that it lies in."""
    if not entry.is_symlink():
        return False
    here, there = os.path.realpath(Path(entry.path).parent), os.path.realpath(entry.path)
    return os.path.commonpath([here, there]) == there


def _unreadable(key: str, error: OSError) -> CoverslipError:
    return Unreadable(f"{key} cannot be read: {error.strerror}", "Check who may read it: ls -l.")
