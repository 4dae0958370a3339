"""Files of a format, and what holds for them whatever is in them."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

from coverslip.core.errors import CoverslipError
from coverslip.formats import open_source

PATIENCE_S = 60.0


class FileTests:
    """Of every format; a subclass has the fixture ``sample``, a file or folder."""

    def test_a_change_is_seen(self, sample: Path) -> None:
        """A source knows when its file is another one."""
        source = open_source(sample)
        assert source.fresh()
        before = source.etag
        for file in files_of(sample):
            stat = file.stat()
            os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns + 1_000_000_000))
        assert not source.fresh()
        source.close()
        again = open_source(sample)
        assert again.etag != before
        again.close()


def assert_one_line(error: CoverslipError) -> None:
    """An error is one line, and says what to do."""
    assert error.message
    assert "\n" not in str(error)
    assert error.hint


def files_of(path: Path) -> list[Path]:
    """All files of a sample."""
    return [path] if path.is_file() else [f for f in path.rglob("*") if f.is_file()]


def copied(sample: Path, folder: Path) -> Path:
    """A copy of a sample in a folder."""
    copy = folder / sample.name
    return Path(shutil.copytree(sample, copy) if sample.is_dir() else shutil.copy(sample, copy))


def bytes_read() -> int:
    """Bytes that this process has asked the system to read; pages of mapped files do not count."""
    line = next(line for line in Path("/proc/self/io").read_text().splitlines() if line.startswith("rchar"))
    return int(line.split()[1])


def handles(sample: Path) -> int:
    """How many files of a sample this process has open (Linux)."""
    targets = []
    for link in Path("/proc/self/fd").iterdir():
        try:
            targets.append(str(link.readlink()))
        except OSError:
            continue
    return sum(1 for target in targets if target.startswith(str(sample.resolve())))


def wait_for_handles(sample: Path, number: int) -> None:
    """As many are open again as before; threads of libraries may be a moment behind."""
    deadline = time.monotonic() + PATIENCE_S
    while handles(sample) != number and time.monotonic() < deadline:
        time.sleep(0.001)
    assert handles(sample) == number
