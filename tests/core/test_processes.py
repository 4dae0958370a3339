"""Whether a process that left something behind is still there."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from coverslip.core import processes

NOBODY = str(2**22 + 1)
"""Above what Linux gives."""


def test_which_processes_run() -> None:
    assert processes.runs(str(os.getpid()))
    assert not processes.runs(NOBODY)
    assert not processes.runs("9" * 30)
    assert not processes.runs("me")


@pytest.mark.parametrize("can_ask", [True, False])
def test_what_may_still_be_worked_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, can_ask: bool) -> None:
    """Where processes cannot be asked, what was changed a moment ago is left alone, whoever wrote it."""
    monkeypatch.setattr(processes, "CAN_ASK", can_ask)
    left = tmp_path / "left"
    left.touch()
    assert processes.may_run(str(os.getpid()), left, 3600)
    assert processes.may_run(NOBODY, left, 3600) is not can_ask
    assert not processes.may_run("me", left, 3600)
    then = time.time() - 7200
    os.utime(left, (then, then))
    assert not processes.may_run(NOBODY, left, 3600)
    assert not processes.recent(left, 3600)
    assert processes.recent(left, 4 * 3600)
