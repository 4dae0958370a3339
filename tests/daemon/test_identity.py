"""A process is known by more than its number."""

from __future__ import annotations

import os
import platform
import stat
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from coverslip.core.errors import CoverslipError
from coverslip.daemon import record
from coverslip.daemon.identity import Identity, this_boot
from coverslip.daemon.launch import end
from coverslip.daemon.places import Places, default_config, write_private
from coverslip.daemon.record import Record, known


@pytest.fixture
def places(tmp_path: Path) -> Places:
    return Places(tmp_path)


def sleeping(code: str = "") -> subprocess.Popen[bytes]:
    process = subprocess.Popen(
        [sys.executable, "-c", f"{code}\nprint(flush=True)\nimport time; time.sleep(60)"],
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    assert process.stdout is not None
    process.stdout.readline()
    process.stdout.close()
    return process


def identity_of(process: subprocess.Popen[bytes]) -> Identity:
    from coverslip.daemon.identity import _started

    started = _started(process.pid)
    assert started is not None
    return Identity(process.pid, started)


def test_this_process_is_alive_and_one_of_another_start_is_not() -> None:
    own = Identity.own()
    assert own.pid == os.getpid()
    assert own.alive
    assert not replace(own, started=f"{own.boot}:1").alive
    assert not Identity(0, "").alive
    assert not Identity(-1, own.started).alive
    assert own.boot == this_boot()


def test_what_ended_and_was_not_waited_for_is_not_alive() -> None:
    process = sleeping()
    identity = identity_of(process)
    assert identity.alive
    os.kill(process.pid, 9)
    assert identity.ended(5)
    assert Path(f"/proc/{process.pid}").exists(), "its remains are still there"
    process.wait()


def test_a_process_that_does_not_listen_is_killed_with_its_children() -> None:
    code = (
        "import signal, subprocess, sys; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
        "subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])"
    )
    process = sleeping(code)
    assert not end(identity_of(process), 0.2)
    assert process.wait(60) == -9
    deadline = time.monotonic() + 5
    while True:  # nobody of its session is left
        try:
            os.killpg(process.pid, 0)
        except ProcessLookupError:
            break
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_process_that_listens_ends_by_itself() -> None:
    process = sleeping()
    assert end(identity_of(process), 5)
    assert process.wait(60) == -15


def test_what_a_server_writes_down_is_for_its_owner_only(places: Places) -> None:
    assert known(places).state == "stopped"
    own = record.claim(places)
    assert known(places).running
    assert known(places).record is None, "it starts"
    told = Record(own.pid, platform.node(), "http://127.0.0.1:1", None, 1.0)
    record.publish(places, told)
    assert known(places).record == told
    write_private(places.token, "secret")
    for path in places.folder.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
    assert record.token_of(places) == "secret"
    record.forget(places)
    assert list(places.folder.iterdir()) == []


def test_a_number_that_another_process_has_now_is_stale(places: Places) -> None:
    own = Identity.own()
    places.pid.write_text(f"{own.pid}\n{own.boot}:1\n{platform.node()}\n")
    found = known(places)
    assert (found.state, found.running) == ("stale", False)
    assert found.identity == Identity(own.pid, f"{own.boot}:1")


@pytest.mark.parametrize("text", ["", "abc\n", "12", "\0\0", "1\n2\n3\n4\n5"])
def test_a_damaged_pid_file_is_stale(places: Places, text: str) -> None:
    places.pid.write_text(text)
    assert known(places).state == "stale"


def test_a_restart_of_the_machine_leaves_a_stale_file(places: Places) -> None:
    places.pid.write_text(f"{os.getpid()}\nanother-boot:77\n{platform.node()}\n")
    assert known(places).state == "stale"


def test_a_server_of_another_machine_is_not_called_stale(places: Places) -> None:
    if not this_boot():
        pytest.skip("this system does not tell one boot from another")
    places.pid.write_text("4711\nanother-boot:77\nnode17\n")
    found = known(places)
    assert (found.state, found.node, found.running) == ("elsewhere", "node17", False)


def test_the_record_of_an_earlier_server_is_not_believed(places: Places) -> None:
    own = record.claim(places)
    record.publish(places, Record(own.pid + 1, "n", "http://127.0.0.1:1", None, 1.0))
    assert known(places).record is None
    places.record.write_text('{"pid": 1')
    assert known(places).record is None


def test_what_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(CoverslipError, match=r"Cannot write .*server\.pid: Not a directory\. .*COVERSLIP_STATE_DIR"):
        write_private(tmp_path / "file" / "server.pid", "1")


def test_the_first_configuration_there_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    assert default_config() is None
    for name in ("biopb/biopb.json", "biopb/biopb.toml", "coverslip/coverslip.toml"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("")
        assert default_config() == tmp_path / name
