"""Tables of measurements: medians and spread, ratios, what they were measured on; as Markdown and as JSON."""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from measuring import ROOT
from measuring.machine import load, machine, own_version

RESULTS = ROOT / "benchmarks" / "results"
OURS = "coverslip"
FEW_ROUNDS = 3


def figure(value: float) -> str:
    """A number with three digits that count, or all before the point."""
    size = abs(value)
    if value == 0:
        return "0"
    return f"{value:,.{0 if size >= 100 else 1 if size >= 10 else 2}f}"


@dataclass
class Row:
    """One line of a table: samples of each column, or words where a column has none."""

    name: str
    unit: str
    samples: dict[str, list[float]] = field(default_factory=dict)
    words: dict[str, str] = field(default_factory=dict)

    @property
    def more_is_better(self) -> bool:
        """Rates: all other units are time and memory."""
        return self.unit.endswith("/s")

    def cell(self, column: str) -> str:
        """The median, and the least and the most of all rounds."""
        values = self.samples.get(column)
        if not values:
            return self.words.get(column, "")
        text = f"{figure(statistics.median(values))} {self.unit}"
        return text if len(values) == 1 else f"{text} ({figure(min(values))}–{figure(max(values))})"

    def ratio(self, column: str) -> str:
        """How many times better coverslip is than a column; below 1 it is worse."""
        mine, theirs = self.samples.get(OURS), self.samples.get(column)
        if not mine or not theirs:
            return ""
        a, b = statistics.median(mine), statistics.median(theirs)
        if not a or not b:
            return ""
        times = a / b if self.more_is_better else b / a
        return f"{times:,.0f} ×" if times >= 10 else f"{times:.1f} ×" if times >= 0.95 else f"{times:.2f} ×"


class Table:
    """Rows in the order in which they were first noted."""

    def __init__(self, title: str, columns: list[str]) -> None:
        self.title, self.columns = title, columns
        self.rows: dict[str, Row] = {}

    def row(self, name: str, unit: str = "") -> Row:
        """A row, made when it is new."""
        row = self.rows.setdefault(name, Row(name, unit))
        row.unit = row.unit or unit
        return row

    def note(self, name: str, unit: str, column: str, *values: float) -> None:
        """Keep measurements, one a round."""
        self.row(name, unit).samples.setdefault(column, []).extend(values)

    def say(self, name: str, column: str, words: str) -> None:
        """Why there is no figure."""
        self.row(name).words[column] = words

    def told(self) -> dict[str, Any]:
        """As JSON."""
        rows = [
            {"name": r.name, "unit": r.unit, "samples": r.samples, **({"words": r.words} if r.words else {})}
            for r in self.rows.values()
        ]
        return {"title": self.title, "columns": self.columns, "rows": rows}

    @classmethod
    def read(cls, told: dict[str, Any]) -> Table:
        """From JSON."""
        table = cls(told["title"], told["columns"])
        for row in told["rows"]:
            table.rows[row["name"]] = Row(row["name"], row["unit"], row["samples"], row.get("words", {}))
        return table

    def markdown(self) -> Iterator[str]:
        """Lines: a column for each program, then the ratios to coverslip, where there is coverslip."""
        compared = [c for c in self.columns if c != OURS] if OURS in self.columns else []
        compared = [c for c in compared if any(row.ratio(c) for row in self.rows.values())]
        heads = ["ratio"] if len(compared) == 1 else [f"ratio to {c}" for c in compared]
        yield "| " + " | ".join([self.title, *self.columns, *heads]) + " |"
        yield "|---" * (1 + len(self.columns) + len(heads)) + "|"
        for row in self.rows.values():
            cells = [row.name, *map(row.cell, self.columns), *map(row.ratio, compared)]
            yield "| " + " | ".join(cells) + " |"


def arguments(about: str | None, rounds: int = FEW_ROUNDS) -> argparse.ArgumentParser:
    """The flags that every benchmark has."""
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=rounds, help="how often all is measured, in turn (%(default)s)")
    parser.add_argument("--quick", action="store_true", help="small files, one round: does it work at all?")
    parser.add_argument("--no-peers", action="store_true", help="coverslip alone; nothing is installed")
    parser.add_argument("--out", type=Path, default=RESULTS, metavar="FOLDER", help="where NAME.json goes")
    return parser


def given(parser: argparse.ArgumentParser) -> argparse.Namespace:
    """What was asked for; the load of the machine is looked at before anything begins."""
    args = parser.parse_args()
    args.load = load()
    if args.quick:
        args.rounds = 1
    return args


def publish(name: str, tables: list[Table], versions: dict[str, str], args: argparse.Namespace) -> None:
    """Print the tables, and write them with the machine and the versions; quick looks are printed only.

    Unless ``--out`` names a folder: then they are written there.
    """
    told = {
        "name": name,
        "measured": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
        "machine": machine(),
        "load": {"before": args.load, "after": load()},
        "rounds": args.rounds,
        "versions": {OURS: own_version(), **versions},
        "tables": [table.told() for table in tables],
    }
    print("\n\n".join("\n".join(table.markdown()) for table in tables), flush=True)
    print(f"\n{conditions(told)}", flush=True)
    if args.no_peers and args.out == RESULTS:
        print("Without peers nothing is written.", file=sys.stderr)
    elif not args.quick or args.out != RESULTS:
        args.out.mkdir(parents=True, exist_ok=True)
        (args.out / f"{name}.json").write_text(json.dumps(told, indent=1, ensure_ascii=False) + "\n")


def conditions(told: dict[str, Any]) -> str:
    """One line: when, on what, with what."""
    at, on = told["measured"], told["machine"]
    versions = ", ".join(f"{name} {version}" for name, version in told["versions"].items())
    return (
        f"*{at}; rounds in turn: {told['rounds']}, medians (least–most); {on['processor']}, {on['cores']} cores, "
        f"{on['memory_gb']} GB, {on['system']}, Python {on['python']}; load {told['load']['before']} before, "
        f"{told['load']['after']} after; {versions}.*"
    )
