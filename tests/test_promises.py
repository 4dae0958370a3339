"""Every promise names tests, and every test that is named is there."""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "reference" / "promises.md"
FAULTS = ROOT / "docs" / "explanation" / "reliability.md"
NAMED = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")


def names_in(path: Path) -> set[str]:
    return {node.name for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.FunctionDef)}


def test_every_named_test_is_there() -> None:
    named = [*NAMED.findall(PAGE.read_text()), *NAMED.findall(FAULTS.read_text())]
    assert len(named) > 130
    found = {file: names_in(ROOT / file) if (ROOT / file).is_file() else set() for file, _ in named}
    assert [f"{file}::{name}" for file, name in named if name not in found[file]] == []


def test_every_promise_names_a_test_or_a_measurement() -> None:
    rows = [line for line in PAGE.read_text().splitlines() if re.match(r"\| [A-Z]\d+ \|", line)]
    assert len(rows) >= 40
    assert [row for row in rows if not NAMED.search(row) and "benchmarks/" not in row] == []
