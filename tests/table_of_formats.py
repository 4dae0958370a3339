"""The table of formats in ``docs/reference/formats.md`` is what the tests of formats show; when it is not, they fail.

A plugin of pytest's: it reads the reports of all tests, wherever they ran.
``COVERSLIP_WRITE_TABLE=1 pytest tests/formats`` writes the table anew.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

import pytest

from coverslip.formats import formats

TABLE = Path(__file__).resolve().parents[1] / "docs" / "reference" / "formats.md"
BEGIN, END = "<!-- table: made by the tests -->", "<!-- end of table -->"
SHOWN_BY = {
    "test_every_image_is_there": "opens",
    "test_axes_and_pixel_sizes": "axes",
    "test_many_threads": "threads",
    "test_a_truncated_file_is_refused": "damage",
    "test_a_change_is_seen": "changes",
}
COLUMNS = ("opens", "axes", "units", "channels", "lazy", "pyramid", "threads", "changes", "damage")
KINDS = ("images", "arrays")
"""Of formats that the table is about."""
CELLS_BEGIN = "<!-- table of cells: made by the tests -->"
CELLS_SHOWN_BY = {
    "test_is_recognised": "opens",
    "test_columns": "columns",
    "test_genes": "genes",
    "test_many_threads": "threads",
    "test_a_truncated_file_is_refused": "damage",
    "test_a_change_is_seen": "changes",
}
CELLS_COLUMNS = ("opens", "columns", "genes", "embeddings", "graph", "vectors", "lazy", "threads", "changes", "damage")
ABOUT, SHOWS = "format", "shows"
"""Properties of a test's report: the format it is about, and what else it has shown."""


class Shown:
    """What the tests of this run have shown of each format."""

    def __init__(self) -> None:
        self.found: dict[str, set[str]] = defaultdict(set)
        self.failed = False


SHOWN = Shown()


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Note what a test has shown."""
    name = next((str(value) for key, value in report.user_properties if key == ABOUT), None)
    if name is None or report.when != "call":
        return
    if report.failed:
        SHOWN.failed = True
    elif report.passed:
        test = report.nodeid.rpartition("::")[2].partition("[")[0]
        for shown_by in (SHOWN_BY, CELLS_SHOWN_BY):
            if test in shown_by:
                SHOWN.found[name].add(shown_by[test])
        SHOWN.found[name].update(str(value) for key, value in report.user_properties if key == SHOWS)


def table(names: Iterable[str], columns: Sequence[str]) -> str:
    """A table in Markdown."""
    lines = [f"| format | reads | {' | '.join(columns)} |", "|---" * (len(columns) + 2) + "|"]
    for form in sorted((f for f in formats() if f.name in names), key=lambda f: f.name):
        marks = ["yes" if column in SHOWN.found[form.name] else "–" for column in columns]
        lines.append(f"| `{form.name}` | {form.expects} | {' | '.join(marks)} |")
    return "\n".join(lines)


def replaced(page: str, begin: str, made: str) -> str:
    """The page with another table after ``begin``."""
    before, _, rest = page.partition(begin)
    return f"{before}{begin}\n\n{made}\n\n{END}{rest.partition(END)[2]}"


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Compare the table with the page, when every format was tested."""
    if hasattr(session.config, "workerinput"):  # one of several processes: the first one knows what all have shown
        return
    if session.config.getoption("--quick"):  # not all was shown
        return
    images = {form.name for form in formats() if form.kind in KINDS}
    cells = {name for name, shown in SHOWN.found.items() if "columns" in shown}
    old = page = TABLE.read_text()
    if SHOWN.failed or not images | set(_cells_of(page)) <= SHOWN.found.keys():
        return
    page = replaced(page, BEGIN, table(images, COLUMNS))
    page = replaced(page, CELLS_BEGIN, table(cells, CELLS_COLUMNS))
    if os.environ.get("COVERSLIP_WRITE_TABLE"):
        TABLE.write_text(page)
    elif old != page:
        reporter = session.config.pluginmanager.get_plugin("terminalreporter")
        if reporter is not None:
            reporter.write_line(
                f"{TABLE.name} is not what the tests show: COVERSLIP_WRITE_TABLE=1 pytest tests/formats"
            )
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def _cells_of(page: str) -> list[str]:
    """Names of the formats of cells in the page's table."""
    rows = page.partition(CELLS_BEGIN)[2].partition(END)[0].splitlines()
    return [row.split("`")[1] for row in rows if row.startswith("| `")]
