"""Benchmarks run from their beginning to their end, with small files and without peers: they do not rot."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from conftest import run

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.mark.parametrize(
    ("name", "rows"),
    [
        ("sizes_cells", ["ready: 2,000 cells", "a gene, later: 2,000 cells", "memory afterwards: 2,000 cells"]),
        ("sizes_arrays", ["0.017 GB, 1 client", "0.017 GB, 4 clients", "0.017 GB"]),
        ("floor", ["health, 0.1 kB, 1 client", "points, 16.0 kB, 4 clients", "a gene, 8.0 kB, 4 clients"]),
    ],
)
def test_a_benchmark_measures(tmp_path: Path, name: str, rows: list[str]) -> None:
    run(sys.executable, BENCHMARKS / f"{name}.py", "--quick", "--no-peers", "--out", tmp_path)
    told = json.loads((tmp_path / f"{name}.json").read_text())
    found = {row["name"]: row["samples"] for table in told["tables"] for row in table["rows"]}
    assert set(rows) <= set(found)
    assert all(values and min(values) >= 0 for samples in found.values() for values in samples.values())
    assert (told["rounds"], told["versions"]["coverslip"][:4]) == (1, "0.1.")


@pytest.mark.parametrize("name", ["tiles", "hsds", "networks"])
def test_asking_for_help_measures_nothing(tmp_path: Path, name: str) -> None:
    done = run(sys.executable, BENCHMARKS / f"{name}.py", "--help", cwd=tmp_path)
    assert "--quick" in done.stdout
    assert "|---" not in done.stdout
