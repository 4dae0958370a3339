"""Asking disks that may not answer."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from coverslip.core import mounts, patience
from coverslip.core.patience import Patience, Silent, patiently

LONG_S = 20


def test_who_does_not_answer_is_not_waited_for() -> None:
    gate, back = threading.Event(), list[str]()
    patient = Patience(0.05)

    def hang() -> str:
        gate.wait(LONG_S)
        back.append("back")
        return "late"

    assert patient.ask("nas", lambda: 1) == 1
    assert not patient.lost()
    with pytest.raises(Silent):
        patient.ask("nas", hang)
    assert patient.lost()
    assert not patient.lost(), "told once"
    with pytest.raises(Silent):  # at once: nothing is asked while something is on its way
        patient.ask("nas", lambda: back.append("asked"))
    assert patient.ask("other", lambda: 2) == 2
    assert back == []
    gate.set()
    end = time.monotonic() + LONG_S
    while patient._silent["nas"]:
        assert time.monotonic() < end
        time.sleep(0.005)
    assert back == ["back"]
    assert patient.ask("nas", lambda: 3) == 3


def test_errors_are_raised_where_they_were_asked_for() -> None:
    patient = Patience(LONG_S)
    for _ in range(3):
        with pytest.raises(KeyError):
            patient.ask("nas", lambda: dict[str, int]()["x"])
    assert patient.ask("nas", lambda: 4) == 4


def test_many_at_once() -> None:
    patient, meet = Patience(LONG_S), threading.Barrier(8)
    found: list[int] = []

    def ask(i: int) -> None:
        found.append(patient.ask("nas", lambda: (meet.wait(LONG_S), i)[1]))

    threads = [threading.Thread(target=ask, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found) == list(range(8))


def test_only_network_disks_are_asked_patiently(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = tmp_path / "mounts"
    table.write_text("/dev/sda / ext4 rw 0 0\nnas:/x /mnt/nas nfs4 rw 0 0\n")
    monkeypatch.setattr(mounts, "MOUNTS", table)
    monkeypatch.setattr(patience, "PATIENCE", Patience(0.01))
    here = threading.get_ident()
    assert patiently(Path("/data/x"), threading.get_ident) == here
    assert patiently(Path("/mnt/nas/x"), threading.get_ident) != here
    with pytest.raises(Silent):
        patiently(Path("/mnt/nas/x"), lambda: time.sleep(0.5))
