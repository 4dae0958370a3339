"""Disks for tests: one that is soon full, one that is taken for a network's."""

from __future__ import annotations

import os
import resource
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from coverslip.core import mounts


@contextmanager
def small_disk(place: Path) -> Iterator[Path]:
    """A disk of 1 MiB at a new folder, where we may mount one; else no file may be larger than 150 kB."""
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(place)]
    if os.geteuid() == 0 and subprocess.run(command, capture_output=True).returncode == 0:
        try:
            yield place
        finally:
            subprocess.run(["umount", "-l", place], check=True)
        return
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (150_000, limits[1]))
    try:
        yield place
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


@contextmanager
def full_disk(place: Path) -> Iterator[Path]:
    """A disk on which nothing has room any more; where none may be mounted, a file is where a folder should be."""
    with small_disk(place) as disk:
        disk.chmod(0o700)
        try:
            with (disk / "filler").open("wb", 0) as filler:
                for size in (4096, 1):
                    try:
                        while filler.write(b"x" * size):
                            pass
                    except OSError:
                        continue
            yield disk
        finally:
            (disk / "filler").unlink(missing_ok=True)


@contextmanager
def read_only_disk(place: Path) -> Iterator[Path]:
    """A disk that nobody may write to; where none may be mounted, a folder without the rights."""
    place.mkdir()
    mounted = False
    if os.geteuid() == 0:
        command = ["mount", "-t", "tmpfs", "-o", "size=1m,ro,mode=700", "tmpfs", str(place)]
        mounted = subprocess.run(command, capture_output=True).returncode == 0
    if mounted:
        try:
            yield place
        finally:
            subprocess.run(["umount", "-l", place], check=True)
        return
    place.chmod(0o500)
    try:
        yield place
    finally:
        place.chmod(0o700)


def network_disk(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From now on a folder is taken for a network disk, and everything else for a local one."""
    table = folder.with_name(f"{folder.name}.mounts")
    table.write_text(f"/dev/sda / ext4 rw 0 0\nnas:/x {folder} nfs4 rw 0 0\n")
    monkeypatch.setattr(mounts, "MOUNTS", table)
