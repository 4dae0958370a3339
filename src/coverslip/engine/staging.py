"""A folder that appears whole or not at all, whatever ends the program that writes it.

It is written beside its place under another name, brought to the disk, and then exchanged with what is there by one
call of the system where the system has one. What a killed program left behind is removed by the next one.
"""

from __future__ import annotations

import ctypes
import os
import secrets
import shutil
import socket
import sys
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from coverslip.core.processes import may_run, recent

HERE = f"{zlib.crc32(socket.gethostname().encode('utf-8', 'replace')):08x}"
"""This machine, in the names of unfinished folders: only its own processes can be asked whether they live."""
PART, OLD = "part", "old"
LONGEST_S = 7 * 86400.0
PLATFORM: str = sys.platform
AT_FDCWD, LINUX_EXCHANGE, MAC_SWAP = -100, 2, 2


@contextmanager
def staged(target: Path) -> Iterator[Path]:
    """A new folder beside ``target`` to write into; `publish` puts it in place, else it is removed.

    Raises
    ------
    OSError
        When no folder can be made there.
    """
    sweep(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    place = _beside(target, PART)
    try:
        place.mkdir()
        yield place
    finally:
        shutil.rmtree(place, ignore_errors=True)


def publish(place: Path, target: Path, replace: bool) -> None:
    """Put a folder that is whole where it belongs.

    Parameters
    ----------
    replace
        Whether what is there may be replaced; an empty folder always is.

    Raises
    ------
    OSError
        When it cannot be; what was there is there still. `FileExistsError` when it may not be.
    """
    _to_disk(place)
    if not os.path.lexists(target) or (target.is_dir() and not any(target.iterdir())):
        if os.name != "posix" and target.is_dir():
            target.rmdir()
        place.rename(target)
    elif not replace:
        raise FileExistsError(f"{target} is there already")
    elif not _exchanged(place, target):
        old = _beside(target, OLD)
        target.rename(old)
        try:
            place.rename(target)
        except BaseException:
            old.rename(target)
            raise
        shutil.rmtree(old, ignore_errors=True)
    _sync(target.parent)


def sweep(target: Path) -> None:
    """Remove what processes left that were killed; put back what one of them had moved away."""
    prefix = f".{target.name}."
    with suppress(OSError):
        for path in list(target.parent.glob(f"{_plain(prefix)}*-*-*-*")):
            kind, _, rest = path.name.removeprefix(prefix).partition("-")
            if kind not in (PART, OLD) or not path.is_dir() or path.is_symlink() or _alive(rest, path):
                continue
            if kind == OLD and not os.path.lexists(target):
                path.rename(target)
            else:
                shutil.rmtree(path, ignore_errors=True)


def _beside(target: Path, kind: str) -> Path:
    return target.with_name(f".{target.name}.{kind}-{HERE}-{os.getpid()}-{secrets.token_hex(4)}")


def _plain(text: str) -> str:
    """Text in which no character is a pattern."""
    return "".join(f"[{c}]" if c in "*?[" else c for c in text)


def _alive(rest: str, path: Path) -> bool:
    """Whether the process that writes a folder may still be at work."""
    host, _, rest = rest.partition("-")
    number = rest.partition("-")[0]
    if host != HERE or not number.isdecimal():
        return recent(path, LONGEST_S)
    return may_run(number, path, LONGEST_S)


def _exchanged(one: Path, other: Path) -> bool:
    """Exchange two folders by one call of the system; False where it has none."""
    paths = os.fsencode(one), os.fsencode(other)
    with suppress(AttributeError, OSError):
        system = ctypes.CDLL(None, use_errno=True)
        if PLATFORM == "linux":
            return bool(system.renameat2(AT_FDCWD, paths[0], AT_FDCWD, paths[1], LINUX_EXCHANGE) == 0)
        if PLATFORM == "darwin":
            return bool(system.renamex_np(*paths, MAC_SWAP) == 0)
    return False


def _to_disk(folder: Path) -> None:
    """Wait until everything in a folder is on the disk."""
    if PLATFORM == "linux" and _sync_all(folder):
        return
    for top, _, files in os.walk(folder):
        for name in files:
            descriptor = os.open(Path(top, name), os.O_RDWR)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        _sync(Path(top))


def _sync_all(folder: Path) -> bool:
    """The whole file system at once, which for thousands of files is many times as fast as one after the other."""
    with suppress(AttributeError, OSError):
        system = ctypes.CDLL(None, use_errno=True)
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            return bool(system.syncfs(descriptor) == 0)
        finally:
            os.close(descriptor)
    return False


def _sync(folder: Path) -> None:
    if os.name != "posix":
        return
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
