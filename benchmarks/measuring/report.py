"""Write the tables of ``benchmarks/results`` into ``benchmarks/README.md``; with ``--check`` only compare.

A table stands between ``<!-- results: NAME -->`` and ``<!-- end of results -->``; all else is written by hand.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from measuring import ROOT
from measuring.results import RESULTS, Table, conditions

README = ROOT / "benchmarks" / "README.md"
MARKED = re.compile(r"<!-- results: (\w+) -->\n.*?<!-- end of results -->", re.DOTALL)


def section(name: str, folder: Path) -> str:
    """What stands between the marks."""
    file = folder / f"{name}.json"
    if not file.is_file():
        raise SystemExit(f"There is no {file.name}; run:  scripts/bench {name}")
    told = json.loads(file.read_text())
    tables = ["\n".join(Table.read(table).markdown()) for table in told["tables"]]
    return "\n\n".join([f"<!-- results: {name} -->", *tables, conditions(told), "<!-- end of results -->"])


def written(text: str, folder: Path = RESULTS) -> str:
    """A text with its tables as the results are."""
    return MARKED.sub(lambda found: section(found[1], folder), text)


def main() -> None:
    """Write, or look."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 when a table is not as measured")
    check = parser.parse_args().check
    old = README.read_text()
    new = written(old)
    missing = sorted({file.stem for file in RESULTS.glob("*.json")} - set(MARKED.findall(new)))
    if missing:
        raise SystemExit(f"{README.name} has no place for {', '.join(missing)}: <!-- results: NAME -->")
    if check and new != old:
        raise SystemExit(f"{README.name} is not as benchmarks/results; run:  benchmarks/measuring/report.py")
    if new != old:
        README.write_text(new)


if __name__ == "__main__":
    main()
