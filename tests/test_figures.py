"""Figures that the README and the comparison quote are those of the last measurement, in ``benchmarks/results``."""

from __future__ import annotations

import json
import re
from pathlib import Path
from statistics import median
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parent.parent
README, COMPARISON = "README.md", "docs/explanation/comparison.md"
WITHIN = 0.25
"""Figures are quoted in round numbers; a measurement that differs by more is told anew."""


class Of(NamedTuple):
    """Rows of one table whose names begin so, beside one peer."""

    results: str
    title: str
    rows: str
    peer: str


def ratios(of: Of) -> list[float]:
    """How many times better coverslip is, row by row."""
    found = []
    for table in json.loads((ROOT / "benchmarks" / "results" / f"{of.results}.json").read_text())["tables"]:
        for row in table["rows"]:
            samples = row["samples"]
            if of.title in table["title"] and row["name"].startswith(of.rows) and of.peer in samples:
                ours, theirs = median(samples["coverslip"]), median(samples[of.peer])
                found.append(ours / theirs if row["unit"].endswith("/s") else theirs / ours)
    assert found, f"benchmarks/results/{of.results}.json has no {of.rows!r}"
    return found


def sizes(rows: str, peer: str = "cellucid 0.0.9") -> Of:
    return Of("sizes_cells", "", rows, peer)


def light(rows: str) -> Of:
    return Of("first_light", "", rows, "cellucid 0.0.9")


CLAIMS = [
    (README, r"a million cells: .*\| (\S+) ×; (\S+) ×, (\S+) ×; (\S+) × \|",
     [light("command to points"), light("a gene, first time"), sizes("a gene, later: 1,000,000"),
      light("server memory, idle")]),
    (README, r"0\.0\.9, 5 million cells: .*\| (\S+) ×; (\S+) ×; (\S+) ×; (\S+) × \|",
     [sizes(f"{row}: 5,000,000") for row in ("ready", "points", "a gene, later", "memory afterwards")]),
    (README, r"0\.9\.5, 5 million cells: .*\| (\S+) × \|", [sizes("a gene, later: 5,000,000", "cellucid 0.9.5")]),
    (README, r"scanpy, Wilcoxon .*\| (\S+) ×; (\S+) × \|",
     [Of("differential", "", "wilcoxon, indexed", "scanpy"), Of("networks", "", "inputs of one neuron", "livn 2.0.0")]),
    (COMPARISON, r"in the background: (\S+) × faster, (\S+) × on a compressed",
     [Of("genes", kind, "a gene with the index", "cellucid==0.0.9") for kind in ("plain", "gzip")]),
]  # fmt: skip
PLAIN = "the same by plain HTTP"
RANGES = [
    (README, r"tiles; whole planes \| (\S+) to (\S+) ×; (\S+) to (\S+) × \|",
     [Of("sizes_arrays", "tiles of", "", "Tiled"), Of("sizes_arrays", "planes of", "", "Tiled")]),
    (README, r"h5grove, the same \| (\S+) to (\S+) ×; (\S+) to (\S+) × \|",
     [Of("hsds", "", PLAIN, "hsds"), Of("hsds", "", PLAIN, "h5grove")]),
    (COMPARISON, r"by one process: (\S+) to (\S+) × faster", [Of("hsds", "", PLAIN, "hsds")]),
]  # fmt: skip


def quoted(page: str, words: str) -> list[float]:
    found = re.search(words, (ROOT / page).read_text())
    assert found, f"{page} does not say {words!r} any more"
    return [float(figure) for figure in found.groups()]


@pytest.mark.parametrize(("page", "words", "rows"), CLAIMS, ids=[words[:20] for _, words, _ in CLAIMS])
def test_a_ratio_is_the_one_that_was_measured(page: str, words: str, rows: list[Of]) -> None:
    measured = [ratios(of)[0] for of in rows]
    assert quoted(page, words) == pytest.approx(measured, rel=WITHIN)


@pytest.mark.parametrize(("page", "words", "rows"), RANGES, ids=[words[:20] for _, words, _ in RANGES])
def test_a_range_of_ratios_is_the_one_that_was_measured(page: str, words: str, rows: list[Of]) -> None:
    measured = [end(ratios(of)) for of in rows for end in (min, max)]
    assert quoted(page, words) == pytest.approx(measured, rel=WITHIN)
