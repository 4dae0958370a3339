"""What ``make check`` leaves out, and what brings it back."""

from __future__ import annotations

import ast
from collections import Counter
from pathlib import Path

import pytest

import quick

NAMED = ast.FunctionDef | ast.ClassDef
SLOW = "tests/formats/test_a.py::test_slow"


@pytest.fixture(autouse=True)
def own_list(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quick, "LIST", tmp_path / "slow.txt")
    (tmp_path / "slow.txt").write_text(f"{SLOW}\ntests/test_top.py::test_slow\n")


def test_only_what_is_listed_is_left_out_with_all_its_parameters() -> None:
    tests = [f"{SLOW}[1]", SLOW, "tests/formats/test_a.py::test_slower", "tests/formats/test_a.py::test_quick[x::y]"]
    assert quick.left_out(tests, []) == {f"{SLOW}[1]", SLOW}


@pytest.mark.parametrize(
    ("changed", "back"),
    [
        ("tests/formats/test_a.py", True),
        ("tests/formats/samples.py", True),
        ("tests/formats/test_b.py", False),
        ("src/coverslip/formats/trees/hdf5.py", True),
        ("src/coverslip/fronts/http.py", False),
        ("src/coverslip/formatsnot.py", False),
        ("src/coverslip/app.py", False),
    ],
)
def test_a_change_beside_it_brings_it_back(changed: str, back: bool) -> None:
    assert (quick.left_out([SLOW], [changed]) == set()) is back


def test_modules_at_the_top_bring_back_tests_at_the_top() -> None:
    top = "tests/test_top.py::test_slow"
    assert quick.left_out([top], ["src/coverslip/app.py"]) == set()
    assert quick.left_out([top], ["src/coverslip/engine/read.py"]) == {top}


def test_the_list_names_files_that_are_there() -> None:
    root = Path(quick.__file__).parents[1]
    listed = (root / "tests" / "slow.txt").read_text().split()
    assert listed == sorted(set(listed))
    assert [name for name in listed if not (root / name.partition("::")[0]).is_file()] == []


def test_the_list_names_tests_that_are_there() -> None:
    root = Path(quick.__file__).parents[1]
    listed = [name.split("::") for name in (root / "tests" / "slow.txt").read_text().split()]
    files = {file: ast.parse((root / file).read_text()).body for file, *_ in listed}
    there = {(file, node.name) for file, nodes in files.items() for node in nodes if isinstance(node, NAMED)}
    assert [name for name in listed if (name[0], name[1]) not in there] == [], "tests of a class may be inherited"


def test_no_two_modules_of_tests_have_one_name() -> None:
    """They are imported by their names alone; the second would be taken for the first."""
    found = Counter(file.name for file in Path(quick.__file__).parent.rglob("*.py") if file.name != "conftest.py")
    assert [name for name, n in found.items() if n > 1] == []
