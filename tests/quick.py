"""What ``make check`` leaves out: tests that take long, by their names in ``tests/slow.txt``.

A plugin of pytest's. ``--quick`` leaves them out, but for those that stand beside what was changed since the last
commit: tests mirror ``src``, so a change in ``src/coverslip/formats/tiff.py`` brings back all of ``tests/formats``.
``--write-slow`` measures a whole run and writes the list anew. ``make test`` leaves out nothing.
"""

from __future__ import annotations

import os
import subprocess
from collections import Counter
from pathlib import Path, PurePosixPath

import pytest

ROOT = Path(__file__).resolve().parents[1]
LIST = ROOT / "tests" / "slow.txt"
CHANGED = "COVERSLIP_CHANGED"
"""Files that were changed, told by the first process to all others: they must choose the same tests."""
KEPT_SHARE = 0.16
"""The part of the time that may be left to those that are run always."""
TOOK: Counter[str] = Counter()


def pytest_addoption(parser: pytest.Parser) -> None:
    """The two flags."""
    parser.addoption("--quick", action="store_true", help="leave out what tests/slow.txt names")
    parser.addoption("--write-slow", action="store_true", help="write tests/slow.txt from this run")


def pytest_configure(config: pytest.Config) -> None:
    """Look once which files were changed."""
    if config.getoption("--quick") and not hasattr(config, "workerinput"):
        os.environ[CHANGED] = "\n".join(changed())


def changed() -> list[str]:
    """Files that are not as in the last commit; none where there is no git."""
    listed = subprocess.run(
        ["git", "status", "--porcelain", "--no-renames", "--untracked-files=all"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    return sorted(line[3:] for line in listed.stdout.splitlines() if line.endswith(".py"))


def function_of(nodeid: str) -> str:
    """A test without its parameters."""
    return nodeid.partition("[")[0]


def beside(test: str, files: list[str]) -> bool:
    """Whether one of these files is a test's own, or lies where its folder looks at."""
    own = test.partition("::")[0]
    folder = PurePosixPath(own).parent.relative_to("tests")
    for file in map(PurePosixPath, files):
        if str(file) == own:
            return True
        looked_at = PurePosixPath("src/coverslip") / folder
        if file.is_relative_to(looked_at) and (folder.parts or file.parent == looked_at):
            return True
        if file.is_relative_to(PurePosixPath("tests") / folder) and not file.name.startswith("test_"):
            return True
    return False


def left_out(tests: list[str], files: list[str]) -> set[str]:
    """Those of these tests that take long and stand beside nothing that was changed."""
    slow = set(LIST.read_text().split())
    return {test for test in tests if function_of(test) in slow and not beside(test, files)}


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave them out, and say so."""
    if not config.getoption("--quick"):
        return
    out = left_out([item.nodeid for item in items], os.environ.get(CHANGED, "").split("\n"))
    config.hook.pytest_deselected(items=[item for item in items if item.nodeid in out])
    items[:] = [item for item in items if item.nodeid not in out]


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Note how long it took."""
    TOOK[function_of(report.nodeid)] += report.duration


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Write the list: the slowest, until the others take only a small part of the whole."""
    if not session.config.getoption("--write-slow") or hasattr(session.config, "workerinput"):
        return
    rest, slow = sum(TOOK.values()), []
    for name, seconds in TOOK.most_common():
        if rest <= KEPT_SHARE * sum(TOOK.values()):
            break
        slow.append(name)
        rest -= seconds
    LIST.write_text("\n".join(sorted(slow)) + "\n")
