"""What a restart finds out before it stops anything."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from coverslip.core.errors import BadRequest, BadUsage, CoverslipError, NotFound
from coverslip.daemon.flags import Flags
from coverslip.daemon.places import Places
from coverslip.daemon.record import Record
from coverslip.daemon.rehearsal import rehearse
from disks import small_disk

NOW = Record(1, "here", "http://127.0.0.1:1", None, 0.0)


@pytest.fixture
def flags(tmp_path: Path) -> Flags:
    (tmp_path / "data").mkdir()
    np.save(tmp_path / "data" / "points.npy", np.zeros((5, 2)))
    return Flags(paths=(str(tmp_path / "data"),), port=0, web_port=0)


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Places:
    monkeypatch.setenv("COVERSLIP_STATE_DIR", str(tmp_path / "state"))
    return Places(tmp_path / "state")


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as stranger:
        yield stranger.getsockname()[1]


def test_what_can_start_leaves_nothing_behind(flags: Flags, places: Places) -> None:
    rehearse(flags, places, None)
    assert [path.name for path in places.folder.iterdir()] == ["logs"]
    assert list(places.log.parent.iterdir()) == []


def test_data_and_configurations_that_are_not_there(flags: Flags, places: Places, tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="no"):
        rehearse(replace(flags, paths=(str(tmp_path / "no"),)), places, NOW)
    with pytest.raises(NotFound, match="configuration"):
        rehearse(replace(flags, config=str(tmp_path / "none.toml")), places, NOW)
    (tmp_path / "wrong.toml").write_text("[server]\nexternal_location = 'lab'\n")
    with pytest.raises(BadUsage, match="lab is no address of Arrow Flight"):
        rehearse(replace(flags, config=str(tmp_path / "wrong.toml")), places, NOW)
    with pytest.raises(BadRequest, match="cannot both listen"):
        rehearse(replace(flags, port=8899, web_port=8899), places, NOW)


def test_a_file_that_cannot_be_opened(flags: Flags, places: Places, tmp_path: Path) -> None:
    (tmp_path / "cut.h5ad").write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(100))
    with pytest.raises(CoverslipError, match=r"cut\.h5ad"):
        rehearse(replace(flags, paths=(str(tmp_path / "cut.h5ad"),)), places, NOW)


def test_certificates_that_are_not_there(flags: Flags, places: Places, tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="certificate"):
        rehearse(replace(flags, tls_cert=str(tmp_path / "no.crt"), tls_key=str(tmp_path / "no.key")), places, NOW)


def test_ports_of_strangers_and_those_of_the_server_that_ends(flags: Flags, places: Places, taken: int) -> None:
    for name, flag in (("HTTP", "web_port"), ("gRPC", "port")):
        wanted = replace(flags, **{flag: taken})  # type: ignore[arg-type]
        with pytest.raises(CoverslipError, match=rf"{name} port 127\.0\.0\.1:{taken} is already in use"):
            rehearse(wanted, places, NOW)
        ours = replace(NOW, http=f"http://127.0.0.1:{taken}", grpc=f"grpc://127.0.0.1:{taken}")
        rehearse(wanted, places, ours)


@pytest.mark.parametrize("flag", ["web_host", "host"])
def test_addresses_of_other_machines(flags: Flags, places: Places, flag: str) -> None:
    with pytest.raises(CoverslipError, match=r"192\.0\.2\.1"):
        rehearse(replace(flags, **{flag: "192.0.2.1", "token": "a-token-of-sixteen-letters"}), places, NOW)  # type: ignore[arg-type]


def test_a_full_disk(flags: Flags, tmp_path: Path) -> None:
    with small_disk(tmp_path / "full") as disk:
        (disk / "logs").mkdir()
        with pytest.raises(OSError, match=r"No space|too large"):
            (disk / "filler").write_bytes(bytes(2 << 20))
        with pytest.raises(CoverslipError, match=r"Cannot write .*: (No space left|File too large)"):
            rehearse(flags, Places(disk), NOW)
        assert not [path for path in disk.rglob("*") if path.name.startswith(".")]


def test_a_state_folder_that_is_none(flags: Flags, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(CoverslipError, match="Cannot write") as refused:
        rehearse(flags, Places(tmp_path / "file"), NOW)
    assert "COVERSLIP_STATE_DIR" in (refused.value.hint or "")
