"""A network disk for tests: shows a folder, read-only, and can be made to hang as one does whose server is away.

It is a file system in user space, spoken to through ``/dev/fuse``; a process of its own, which is paused. Source: the
kernel's ``include/uapi/linux/fuse.h`` (protocol 7.31), fuse(4), mount(2).
"""

from __future__ import annotations

import ctypes
import errno
import mmap
import os
import signal
import stat
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

HEAD, ANSWER = struct.Struct("<IIQQIIII"), struct.Struct("<IiQ")
ATTRIBUTES, ENTRY = struct.Struct("<QQQQQQIIIIIIIIII"), struct.Struct("<QQQQII")
LOOKUP, FORGET, GETATTR, OPEN, READ, STATFS, RELEASE = 1, 2, 3, 14, 15, 17, 18
INIT, OPENDIR, READDIR, RELEASEDIR, ACCESS, INTERRUPT, DESTROY, FORGET_MANY = 26, 27, 28, 29, 34, 36, 38, 42
LARGEST = 1 << 17
DIRECT = 1
"""Nothing is kept by the kernel: every read is one of ours."""
MAPPED = frozenset({".dv"})
"""But of files that a library maps into memory, for which the kernel must keep what it reads."""
READ_ONLY, NO_SUID, NO_DEVICES, DETACH = 1, 2, 4, 2
MOUNT_S = 20


class Disk:
    """The folder, by numbers: 1 is itself."""

    def __init__(self, folder: Path) -> None:
        self._paths = {1: folder}
        self._numbers = {folder: 1}

    def answer(self, what: int, number: int, data: bytes) -> bytes | None:
        """The answer to one question; None where none is wanted."""
        if what in (FORGET, FORGET_MANY, INTERRUPT):
            return None
        if what == INIT:
            major, minor, ahead, _ = struct.unpack_from("<IIII", data)
            return struct.pack("<IIIIHHIIHHI28x", major, min(minor, 31), ahead, 0, 16, 12, LARGEST, 1, 0, 0, 0)
        if what in (RELEASE, RELEASEDIR, ACCESS, DESTROY):
            return b""
        if what == STATFS:
            return struct.pack("<QQQQQIIII24x", 1, 0, 0, 1, 0, 4096, 255, 4096, 0)
        path = self._paths[number]
        if what == LOOKUP:
            child = path / os.fsdecode(data.rstrip(b"\0"))
            attributes = self._attributes(child)
            return ENTRY.pack(self._number(child), 0, 0, 0, 0, 0) + attributes
        if what == GETATTR:
            return struct.pack("<QII", 0, 0, 0) + self._attributes(path)
        if what in (OPEN, OPENDIR):
            return struct.pack("<QII", 0, DIRECT if what == OPEN and path.suffix not in MAPPED else 0, 0)
        _, offset, size = struct.unpack_from("<QQI", data)
        if what == READ:
            with path.open("rb", 0) as file:
                return os.pread(file.fileno(), size, offset)
        if what == READDIR:
            return self._names(path, offset, size)
        raise OSError(errno.ENOSYS, "not known")

    def _number(self, path: Path) -> int:
        number = self._numbers.setdefault(path, len(self._numbers) + 1)
        self._paths[number] = path
        return number

    def _attributes(self, path: Path) -> bytes:
        s = path.stat()
        times = [divmod(ns, 10**9) for ns in (s.st_atime_ns, s.st_mtime_ns, s.st_ctime_ns)]
        return ATTRIBUTES.pack(
            self._number(path), s.st_size, s.st_blocks, *(t[0] for t in times), *(t[1] for t in times),
            s.st_mode, s.st_nlink, s.st_uid, s.st_gid, 0, 4096, 0,
        )  # fmt: skip

    def _names(self, path: Path, offset: int, size: int) -> bytes:
        out = b""
        for place, child in enumerate(sorted(path.iterdir())[offset:], offset + 1):
            raw = os.fsencode(child.name)
            kind = stat.S_IFDIR if child.is_dir() else stat.S_IFREG
            entry = struct.pack("<QQII", self._number(child), place, len(raw), kind >> 12) + raw
            entry += b"\0" * (-len(entry) % 8)
            if len(out) + len(entry) > size:
                break
            out += entry
        return out


class Watched:
    """How many questions a disk was asked, and at which one it is to hang: two numbers in a file, in shared memory."""

    def __init__(self, path: Path) -> None:
        if not path.exists():
            path.write_bytes(bytes(16))
        with path.open("r+b") as file:
            self._numbers = memoryview(mmap.mmap(file.fileno(), 16)).cast("Q")

    @property
    def asked(self) -> int:
        """So many, since `hang_at` was set."""
        return int(self._numbers[0])

    @property
    def hang_at(self) -> int:
        """0 = never."""
        return int(self._numbers[1])

    @hang_at.setter
    def hang_at(self, number: int) -> None:
        self._numbers[0], self._numbers[1] = 0, number

    def ask(self) -> None:
        """One more."""
        self._numbers[0] += 1
        if self._numbers[0] == self._numbers[1]:
            os.kill(os.getpid(), signal.SIGSTOP)


def serve(folder: Path, point: Path, watched: Watched | None = None) -> None:
    """Show a folder at a mount point until nobody mounts it any more."""
    device = os.open("/dev/fuse", os.O_RDWR)
    told = f"fd={device},rootmode=40000,user_id={os.getuid()},group_id={os.getgid()}".encode()
    system = ctypes.CDLL(None, use_errno=True)
    if system.mount(b"hanging", os.fsencode(point), b"fuse", READ_ONLY | NO_SUID | NO_DEVICES, told):
        raise OSError(ctypes.get_errno(), "cannot mount")
    disk = Disk(folder)
    while True:
        try:
            question = os.read(device, LARGEST + 8192)
        except OSError as error:
            if error.errno in (errno.EINTR, errno.ENOENT):
                continue
            return
        _, what, unique, number, *_ = HEAD.unpack_from(question)
        if watched is not None and what not in (FORGET, FORGET_MANY, INTERRUPT):
            watched.ask()
        try:
            data, failed = disk.answer(what, number, question[HEAD.size :]), 0
        except OSError as error:
            data, failed = b"", -(error.errno or errno.EIO)
        if data is not None:
            try:
                os.write(device, ANSWER.pack(ANSWER.size + len(data), failed, unique) + data)
            except OSError:  # who asked was ended
                continue


class Mounted:
    """A disk that is mounted; its process can be paused."""

    def __init__(self, point: Path, process: subprocess.Popen[bytes]) -> None:
        self.point, self._process = point, process
        self.pid = process.pid

    def hang(self) -> None:
        """Answer nothing any more."""
        self._process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """Answer again, what was asked meanwhile as well."""
        self._process.send_signal(signal.SIGCONT)

    def end(self) -> None:
        """Take it away; who still waits is told that it is gone."""
        ctypes.CDLL(None).umount2(os.fsencode(self.point), DETACH)
        self._process.kill()
        self._process.wait()


def usable() -> bool:
    """Whether this system lets us mount one."""
    return sys.platform == "linux" and os.geteuid() == 0 and os.access("/dev/fuse", os.R_OK | os.W_OK) and _mounts()


def _mounts() -> bool:
    """Root of a container may be refused to mount anything."""
    point = Path("/proc/self/status").read_text()
    capabilities = int(point.partition("CapEff:")[2].split()[0], 16)
    return bool(capabilities >> 21 & 1)  # CAP_SYS_ADMIN


@contextmanager
def hanging_disk(folder: Path, point: Path, watched: Path | None = None) -> Iterator[Mounted]:
    """Show ``folder`` at ``point`` as a disk that can hang, where ``watched`` (a file of `Watched`) says too."""
    point.mkdir()
    more = [str(watched)] if watched is not None else []
    process = subprocess.Popen([sys.executable, __file__, str(folder), str(point), *more])
    mounted = Mounted(point, process)
    try:
        end = time.monotonic() + MOUNT_S
        while not os.path.ismount(point):
            assert process.poll() is None, "the disk could not be mounted"
            assert time.monotonic() < end
            time.sleep(0.02)
        yield mounted
    finally:
        mounted.end()


if __name__ == "__main__":
    serve(Path(sys.argv[1]), Path(sys.argv[2]), Watched(Path(sys.argv[3])) if len(sys.argv) > 3 else None)
