"""``coverslip cache``."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from coverslip.cli.main import cli


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("COVERSLIP_CACHE_DIR", str(tmp_path))
    for name in ("genes/a.genes", "levels/ab/cd/x", "mine/keep"):
        path = tmp_path / name
        path.parent.mkdir(parents=True)
        path.write_bytes(bytes(2_000_000))
    return tmp_path


def test_show(folder: Path) -> None:
    """Where it is, and how much of each kind."""
    shown = CliRunner().invoke(cli, ["cache", "show"])
    assert shown.exit_code == 0
    lines = shown.output.splitlines()
    assert lines[0] == str(folder)
    assert next(line for line in lines if "gene indexes" in line).split()[:2] == ["genes", "2.0"]


def test_clear_removes_ours_only(folder: Path) -> None:
    """One kind, then all; never what somebody else put there, or what a link leads to."""
    only = CliRunner().invoke(cli, ["cache", "clear", "--only", "genes"])
    assert only.output.startswith("2.0 MB removed")
    assert not (folder / "genes").exists()
    assert (folder / "levels").exists()
    (folder / "genes").symlink_to(folder / "mine")
    assert CliRunner().invoke(cli, ["cache", "clear"]).exit_code == 0
    assert not (folder / "levels").exists()
    assert (folder / "mine" / "keep").exists()
    assert CliRunner().invoke(cli, ["cache", "clear"]).output.startswith("0.0 MB")
