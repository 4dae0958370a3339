"""Copies of remote files in the user's cache, for formats that need a whole file on disk.

A copy is renamed into place when it is whole; one that was cut short goes on where it ended, if the object is still the
same. Copies unused longest are removed when there are too many.
"""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from hashlib import sha256
from pathlib import Path

from coverslip.core.errors import Damaged, TooLarge, Unreadable, Unsupported
from coverslip.core.processes import runs
from coverslip.core.stop import NEVER, Stop
from coverslip.formats.remote.failures import NO_RANGES
from coverslip.formats.remote.file import PIECE, RemoteFile

QUOTA_BYTES = 20 << 30
SPARE_BYTES = 1 << 30
"""Disk space that is left free whatever the quota."""
LONGEST_NAME = 120
ABREAST = 4
"""Pieces that are fetched together."""

Progress = Callable[[int, int], None]
"""Told bytes that are there and bytes in all."""


class Copies:
    """A folder of copies within a quota.

    Parameters
    ----------
    folder
        Made with access for its owner only.
    quota_bytes
        How much it may hold.
    """

    def __init__(self, folder: Path, quota_bytes: int = QUOTA_BYTES) -> None:
        self.folder = folder
        self._quota = quota_bytes
        self._lock = threading.Lock()
        self._busy: dict[Path, threading.Lock] = {}
        self._used: dict[Path, int] = {}

    @contextmanager
    def _alone(self, path: Path) -> Iterator[None]:
        with self._lock:
            lock = self._busy.setdefault(path, threading.Lock())
        with lock:
            yield

    def take(self, file: RemoteFile, stop: Stop = NEVER, progress: Progress | None = None) -> Path:
        """A copy of this version of a file, made if there is none; it stays until it is given `back`.

        Raises
        ------
        TooLarge
            When it does not fit.
        Stopped
            When ``stop`` was set; the next call goes on where this one ended.
        """
        path = self._path(file)
        with self._alone(path):
            with self._lock:
                self._used[path] = self._used.get(path, 0) + 1
            try:
                if not self._whole(path, file.size):
                    self._make(path, file, stop, progress or _nobody)
                with suppress(OSError):
                    os.utime(path.parent)
            except OSError as error:
                self.back(path)
                reason = error.strerror or error.__class__.__name__
            except BaseException:
                self.back(path)
                raise
            else:
                return path
        raise Unreadable(
            f"{file.name} cannot be copied to this machine: {reason}", "Is the disk full? See COVERSLIP_CACHE_DIR."
        )

    def back(self, path: Path) -> None:
        """A copy is no longer used."""
        with self._lock:
            left = self._used.get(path, 1) - 1
            self._used[path] = left
            if left <= 0:
                del self._used[path]

    def _path(self, file: RemoteFile) -> Path:
        who = f"{file.bucket.address.scheme} {file.bucket.profile.endpoint_url} {file}"
        digest = sha256(f"{who} {file.etag}".encode()).hexdigest()[:40]
        name = "".join(c for c in file.name if c.isprintable() and c not in '/\\:*?"<>|')[-LONGEST_NAME:].lstrip(".")
        return self.folder / digest[:2] / digest[2:] / (name or "file")

    def _whole(self, path: Path, size: int) -> bool:
        try:
            return path.stat().st_size == size
        except OSError:
            return False

    def _make(self, path: Path, file: RemoteFile, stop: Stop, progress: Progress) -> None:
        if file.size > self._quota:
            raise TooLarge(
                f"{file.name} has {file.size >> 20} MiB, which is more than the cache of copies may hold",
                "Convert it to OME-Zarr, which is read in place, or copy it to this machine yourself.",
            )
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._make_room(file, path)
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        part = path.parent / f".part-{os.getpid()}"
        self._adopt(part)
        with part.open("ab") as out:
            os.chmod(part, 0o600)  # noqa: PTH101
            _fetch(file, out.tell(), out.write, stop, progress)
        if part.stat().st_size != file.size:
            part.unlink()
            raise Damaged(f"The copy of {file.name} is not whole", "Try again.")
        part.replace(path)

    def _adopt(self, part: Path) -> None:
        """Go on with what another process left that is no more."""
        for other in part.parent.glob(".part-*"):
            pid = other.name.removeprefix(".part-")
            if other != part and not part.exists() and pid.isdecimal() and not runs(pid):
                other.replace(part)

    def _make_room(self, file: RemoteFile, path: Path) -> None:
        with self._lock:
            used = {p.parent for p in self._used}
            folders = sorted(self._folders())
            held = sum(size for _, size, folder in folders if folder != path.parent)
            free = shutil.disk_usage(self.folder).free
            budget = min(self._quota, held + free - SPARE_BYTES) - file.size
            for _, size, folder in folders:
                if held <= budget:
                    break
                if folder not in used:
                    shutil.rmtree(folder, ignore_errors=True)
                    held -= size
        if held > budget:
            raise TooLarge(f"There is no room for a copy of {file.name}", "Free some disk space, or close other files.")

    def _folders(self) -> Iterator[tuple[float, int, Path]]:
        """When it was used last, bytes, and folder of every copy."""
        for folder in self.folder.glob("??/*"):
            with suppress(OSError):
                with os.scandir(folder) as entries:
                    size = sum(entry.stat().st_size for entry in entries)
                yield folder.stat().st_mtime, size, folder


def _fetch(
    file: RemoteFile, start: int, write: Callable[[bytes | bytearray], object], stop: Stop, progress: Progress
) -> None:
    step = PIECE * ABREAST
    done = start
    progress(done, file.size)
    try:
        while done < file.size:
            stop.check()
            target = bytearray(min(step, file.size - done))
            file.read_into(done, memoryview(target))
            write(target)
            done += len(target)
            progress(done, file.size)
        return
    except Unsupported as error:
        if error.name != NO_RANGES:
            raise
    _stream(file, done, write, stop, progress)


def _stream(
    file: RemoteFile, skip: int, write: Callable[[bytes | bytearray], object], stop: Stop, progress: Progress
) -> None:
    """From a server that sends whole files only."""
    at = 0
    for part in file.bucket.stream(file.key, file.stat, PIECE):
        stop.check()
        write(part[max(0, skip - at) :])
        at += len(part)
        progress(at, file.size)


def _nobody(done: int, size: int) -> None:
    """Nobody is told."""
