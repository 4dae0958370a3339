"""The folder of HSDS's own data, where it cannot be written."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest

from coverslip.core.errors import CoverslipError, Unreadable
from coverslip.hsds.store import Store
from disks import full_disk, read_only_disk


def test_a_disk_that_cannot_be_written(tmp_path: Path) -> None:
    with read_only_disk(tmp_path / "disk") as disk:
        with pytest.raises(Unreadable, match="cannot be made") as told:
            Store(disk / "store").hold()
        assert str(disk) not in told.value.message
        assert list(disk.iterdir()) == []


def test_a_full_disk(tmp_path: Path) -> None:
    """Who serves it cannot be written down: it is told, and nothing is left that looks like a server."""
    with full_disk(tmp_path / "disk") as disk:
        filler = disk / "filler"
        filler.unlink()
        with Store(disk / "store").hold() as store:
            with filler.open("wb", 0) as rest, suppress(OSError):
                while rest.write(b"x" * 512):
                    pass
            with pytest.raises(CoverslipError, match="cannot be written"):
                store.write(tmp_path / "socket", 5101, "name", "secret" * 1000)
            assert store.running() is None
        filler.unlink()
        with Store(disk / "store").hold() as again:
            again.write(tmp_path / "socket", 5101, "name", "secret")
            assert again.running() is not None
