"""What was computed once, kept beside the data in a private folder of the user's.

Never needed for a right answer, safe to delete at any time, and never trusted when it was cut short: every file carries
its length and checksum, and is renamed into place when it is whole.
"""

from __future__ import annotations

import mmap
import os
import shutil
import stat
import tempfile
import threading
import zlib
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

from coverslip.core.errors import Unreadable
from coverslip.engine.cache import ByteCache

MAGIC = b"CSK1"
HEADER = len(MAGIC) + 4
CACHE_DIR = "COVERSLIP_CACHE_DIR"
WEB_CACHE_DIR = "CELLUCID_WEB_PROXY_CACHE_DIR"
QUOTA_BYTES = 10 << 30
SPARE_BYTES = 1 << 30
"""Disk space that is left free whatever the quota."""
CHECK_EVERY_BYTES = 256 << 20
MEMORY_BYTES = 48 << 20
"""What was used last is kept in memory too: without reading and checking, and where no disk can be written."""


def cache_folder() -> Path:
    """Where this user's derived data is kept; made for its owner only where it can be.

    ``COVERSLIP_CACHE_DIR`` names the folder itself. ``CELLUCID_WEB_PROXY_CACHE_DIR`` may be shared by several users:
    each has a folder of their own in it, ``coverslip-<number of the user>``.

    Raises
    ------
    Unreadable
        When it belongs to somebody else, or to everybody: what is kept there could be somebody else's.
    """
    from platformdirs import user_cache_dir  # costs a few milliseconds; only asked for when something is kept

    if given := os.environ.get(CACHE_DIR):
        return private(Path(given))
    if shared := os.environ.get(WEB_CACHE_DIR):
        return private(Path(shared).expanduser() / user_folder())
    return private(Path(user_cache_dir("coverslip", appauthor=False)))


def user_folder() -> str:
    """The name of this user's own folder in one that users share."""
    return f"coverslip-{os.geteuid()}" if hasattr(os, "geteuid") else "coverslip"


def private(folder: Path) -> Path:
    """The folder, made readable by its owner only.

    Raises
    ------
    Unreadable
        When it is not this user's own.
    """
    with suppress(OSError):  # a disk that cannot be written: nothing is kept, which all who ask here can live with
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        named, found = folder.lstat(), folder.stat()  # a link of one's own leads where one likes
    except OSError:
        return folder
    if not hasattr(os, "geteuid"):
        return folder
    hint = f"Set {CACHE_DIR} to a folder of your own."
    if {named.st_uid, found.st_uid} != {os.geteuid()}:
        raise Unreadable("The cache folder belongs to another user", hint, "no_cache")
    if found.st_mode & stat.S_ISVTX:  # /tmp: taken from everybody else it would break their programs
        raise Unreadable("The cache folder is one that everybody shares", hint, "no_cache")
    if found.st_mode & 0o077:
        with suppress(OSError):
            folder.chmod(0o700)
    return folder


class Shelf:
    """Named pieces of bytes of one thing.

    Parameters
    ----------
    sidecar
        Where it is kept; None keeps nothing.
    key
        What the pieces belong to, version included: another version is another shelf.
    """

    def __init__(self, sidecar: Sidecar | None = None, key: tuple[str, ...] = ()) -> None:
        self._sidecar = sidecar
        self._key = key

    def sub(self, name: str) -> Shelf:
        """A shelf within this one."""
        return Shelf(self._sidecar, (*self._key, name))

    def get(self, name: str, size: int) -> memoryview | None:
        """The ``size`` bytes kept under ``name``, or None when they are not there whole."""
        return self._sidecar.read(self._key, name, size) if self._sidecar is not None else None

    def mapped(self, name: str, size: int) -> memoryview | None:
        """As `get`, of the file itself: nothing is held in memory that the system may not drop; for what is large."""
        return self._sidecar.mapped(self._key, name, size) if self._sidecar is not None else None

    def put(self, name: str, data: memoryview) -> None:
        """Keep bytes, if there is room."""
        if self._sidecar is not None:
            self._sidecar.write(self._key, name, data)


class Sidecar:
    """A folder of shelves within a quota of disk space; those unused longest go first.

    Parameters
    ----------
    folder
        Made with access for its owner only.
    quota_bytes
        How much it may hold.
    """

    def __init__(self, folder: Path, quota_bytes: int = QUOTA_BYTES) -> None:
        self._folder = folder
        self._quota = quota_bytes
        self._lock = threading.Lock()
        self._memory: ByteCache[memoryview] = ByteCache(MEMORY_BYTES)
        self._since_check = CHECK_EVERY_BYTES  # look at what is there before the first write
        self._writable = True

    def _path(self, key: tuple[str, ...]) -> Path:
        digest = sha256("\0".join(key).encode()).hexdigest()[:40]
        return self._folder / digest[:2] / digest[2:]

    def read(self, key: tuple[str, ...], name: str, size: int) -> memoryview | None:
        """As `Shelf.get`."""
        whole = "\0".join((*key, name))
        kept = self._memory.get(whole)
        if kept is not None and len(kept) == size:
            return kept
        path = self._path(key) / name
        try:
            data = path.read_bytes()
        except OSError:
            return None
        body = memoryview(data)[HEADER:]
        if len(body) != size or data[: len(MAGIC)] != MAGIC or _sum(body) != data[len(MAGIC) : HEADER]:
            with suppress(OSError):
                path.unlink()
            return None
        with suppress(OSError):
            os.utime(path.parent)
        self._memory.put(whole, body)
        return body

    def mapped(self, key: tuple[str, ...], name: str, size: int) -> memoryview | None:
        """As `Shelf.mapped`; files are replaced and removed, never cut, so what is mapped stays as it was checked."""
        path = self._path(key) / name
        try:
            with path.open("rb") as file:
                data = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
        except (OSError, ValueError):  # an empty file cannot be mapped
            return None
        body = data[HEADER:]
        if len(body) != size or data[: len(MAGIC)] != MAGIC or _sum(body) != data[len(MAGIC) : HEADER]:
            with suppress(OSError):
                path.unlink()
            return None
        with suppress(OSError):
            os.utime(path.parent)
        return body

    def write(self, key: tuple[str, ...], name: str, data: memoryview) -> None:
        """As `Shelf.put`; a full or read-only disk keeps nothing, and says nothing: the answer is right without it."""
        self._memory.put("\0".join((*key, name)), data)
        if not self._writable or len(data) > self._quota // 4:
            return
        self._make_room(len(data))
        folder = self._path(key)
        part = ""
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            handle, part = tempfile.mkstemp(dir=folder, prefix=".part-")
            with os.fdopen(handle, "wb") as file:
                file.write(MAGIC + _sum(data))
                file.write(data)
            Path(part).replace(folder / name)
        except OSError:
            if part:
                with suppress(OSError):
                    Path(part).unlink()
            self._writable = os.access(self._folder if self._folder.exists() else self._folder.parent, os.W_OK)

    def _make_room(self, size: int) -> None:
        with self._lock:
            self._since_check += size
            if self._since_check < CHECK_EVERY_BYTES:
                return
            self._since_check = 0
            shelves = sorted(self._shelves())
            held = sum(n for _, n, _ in shelves)
            try:
                free = shutil.disk_usage(self._folder).free if self._folder.exists() else SPARE_BYTES * 2
            except OSError:
                return
            budget = min(self._quota, held + free - SPARE_BYTES) - CHECK_EVERY_BYTES
            for _, n, folder in shelves:
                if held <= max(budget, 0):
                    break
                shutil.rmtree(folder, ignore_errors=True)
                held -= n

    def _shelves(self) -> list[tuple[float, int, str]]:
        found = []
        with suppress(OSError):
            for folder in self._folder.glob("??/*"):
                with suppress(OSError):
                    with os.scandir(folder) as entries:
                        size = sum(entry.stat().st_size for entry in entries)
                    found.append((folder.stat().st_mtime, size, str(folder)))
        return found


def _sum(data: memoryview) -> bytes:
    return zlib.crc32(data).to_bytes(4, "little")
