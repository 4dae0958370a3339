"""The bar of long work: seen on a terminal only, and gone afterwards."""

from __future__ import annotations

import sys

import pytest

from coverslip.cli.bar import CLEAR, Bar


@pytest.mark.parametrize("terminal", [True, False])
def test_it_is_seen_on_a_terminal_only(
    terminal: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is done is always shown at last; nothing is left of it."""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: terminal, raising=False)
    with Bar() as bar:
        bar.told("genes of \x1b[2J\x9b1m\u202e", 0, 4)
        bar.told("genes", 1, 4)
        bar.told("genes", 4, 4)
    said = capsys.readouterr().err
    assert ("100% genes" in said) == terminal
    assert (r"of \x1b[2J\x9b1m\u202e" in said) == terminal
    assert said.endswith(CLEAR) if terminal else said == ""
