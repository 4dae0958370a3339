"""A command that has passed is not run again, as long as all that it read is the same."""

from __future__ import annotations

from pathlib import Path

import pytest
import unless_same

VERSIONS = unless_same.versions


@pytest.fixture(autouse=True)
def own_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(unless_same, "ROOT", tmp_path)
    monkeypatch.setattr(unless_same, "STAMPS", tmp_path / ".cache" / "passed")
    monkeypatch.setattr(unless_same, "versions", lambda: "1")
    monkeypatch.delenv("COVERSLIP_FULL", raising=False)
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "a.md").write_text("a")
    return tmp_path


def runs(root: Path, command: str = "echo x >> ran") -> int:
    """The code, and how often it was run, as one number."""
    code = unless_same.main(["it", "docs", "--", "sh", "-c", command])
    ran = (root / "ran").read_text().count("x") if (root / "ran").exists() else 0
    return 10 * code + ran


def test_it_runs_once_and_again_after_any_change(own_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert [runs(own_root), runs(own_root)] == [1, 1]
    (own_root / "docs" / "a.md").write_text("b")
    assert [runs(own_root), runs(own_root)] == [2, 2]
    (own_root / "docs" / "b.md").write_text("")
    assert runs(own_root) == 3
    (own_root / "docs" / "b.md").rename(own_root / "docs" / "c.md")
    assert runs(own_root) == 4
    (own_root / "docs" / "c.md").unlink()
    assert runs(own_root) == 5
    monkeypatch.setattr(unless_same, "versions", lambda: "2")
    assert [runs(own_root), runs(own_root)] == [6, 6]
    monkeypatch.setenv("COVERSLIP_FULL", "1")
    assert runs(own_root) == 7


def test_what_failed_is_run_again(own_root: Path) -> None:
    assert runs(own_root) == 1
    (own_root / "docs" / "a.md").write_text("b")
    assert runs(own_root, "echo x >> ran; exit 3") == 32
    assert runs(own_root, "echo x >> ran; exit 3") == 33
    assert runs(own_root) == 4, "another command has not passed"


def test_what_changed_while_it_ran_has_not_passed(own_root: Path) -> None:
    command = "echo x >> ran; echo more >> docs/a.md"
    assert [runs(own_root, command), runs(own_root, command)] == [1, 2]


def test_an_input_that_is_not_there_is_a_mistake(own_root: Path) -> None:
    with pytest.raises(SystemExit, match="no such input"):
        unless_same.main(["it", "docz", "--", "true"])


def test_versions_tell_of_all_that_is_installed() -> None:
    assert f"pytest=={pytest.__version__}" in VERSIONS().splitlines()
