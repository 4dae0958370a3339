"""The table of formats in ``docs/reference/formats.md`` is what the tests of formats show; when it is not, they fail.

``COVERSLIP_WRITE_TABLE=1 pytest tests/formats`` writes it anew.
"""

from __future__ import annotations

import os
import shutil
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import pytest

from coverslip.formats import formats
from coverslip.testing import FormatTests

TABLE = Path(__file__).resolve().parents[2] / "docs" / "reference" / "formats.md"
BEGIN, END = "<!-- table: made by the tests -->", "<!-- end of table -->"
SHOWN_BY = {
    "test_every_image_is_there": "opens",
    "test_axes_and_pixel_sizes": "axes",
    "test_many_threads": "threads",
    "test_a_truncated_file_is_refused": "damage",
    "test_a_change_is_seen": "changes",
}
COLUMNS = ("opens", "axes", "units", "channels", "lazy", "pyramid", "threads", "changes", "damage")


Write = Callable[[Path], Path]
WRITTEN: dict[tuple[object, ...], Path] = {}


@pytest.fixture
def once(
    request: pytest.FixtureRequest, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[Write], Path]:
    """Has a sample written once for all tests of a class, and gives each test a copy of its own."""

    def copy(write: Write) -> Path:
        spec = getattr(request.node, "callspec", None)
        key = (request.cls, *(spec.params.items() if spec is not None else ()))
        if key not in WRITTEN:
            WRITTEN[key] = write(tmp_path_factory.mktemp("written"))
        path = WRITTEN[key]
        target = tmp_path / path.name
        return Path(shutil.copytree(path, target) if path.is_dir() else shutil.copy2(path, target))

    return copy


class Shown:
    """What the tests of this run have shown of each format."""

    def __init__(self) -> None:
        self.formats: dict[str, str] = {}
        self.found: dict[str, set[str]] = defaultdict(set)
        self.failed = False


SHOWN = Shown()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Which format each test is about."""
    for item in items:
        cls = getattr(item, "cls", None)
        if cls is not None and issubclass(cls, FormatTests):
            SHOWN.formats[item.nodeid] = cls.format_name


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Note what a test has shown."""
    name = SHOWN.formats.get(report.nodeid)
    if name is None or report.when != "call":
        return
    if report.failed:
        SHOWN.failed = True
    elif report.passed:
        test = report.nodeid.rpartition("::")[2].partition("[")[0]
        if test in SHOWN_BY:
            SHOWN.found[name].add(SHOWN_BY[test])
        SHOWN.found[name].update(str(value) for key, value in report.user_properties if key == "shows")


def table() -> str:
    """The table in Markdown."""
    lines = [f"| format | reads | {' | '.join(COLUMNS)} |", "|---" * (len(COLUMNS) + 2) + "|"]
    for form in sorted(formats(), key=lambda f: f.name):
        if form.kind == "cells":
            continue
        marks = ["yes" if column in SHOWN.found[form.name] else "–" for column in COLUMNS]
        lines.append(f"| `{form.name}` | {form.expects} | {' | '.join(marks)} |")
    return "\n".join(lines)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Compare the table with the page, when every format was tested."""
    wanted = {form.name for form in formats() if form.kind != "cells"}
    complete = session.testscollected > 0 and not SHOWN.failed and wanted <= SHOWN.found.keys()
    if not complete:
        return
    page = TABLE.read_text()
    before, _, rest = page.partition(BEGIN)
    old, _, after = rest.partition(END)
    if os.environ.get("COVERSLIP_WRITE_TABLE"):
        TABLE.write_text(f"{before}{BEGIN}\n\n{table()}\n\n{END}{after}")
    elif old.strip() != table():
        reporter = session.config.pluginmanager.get_plugin("terminalreporter")
        if reporter is not None:
            reporter.write_line(
                f"{TABLE.name} is not what the tests show: COVERSLIP_WRITE_TABLE=1 pytest tests/formats"
            )
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
