"""A pytest plug-in that points h5pyd's own test-suite at a server that only reads.

What a test writes, h5py writes into the folder that is served; what it opens to read, h5pyd reads from the server::

    FOLDER=/data URL=http://127.0.0.1:8765/hsds PYTHONPATH=tests/e2e/clients pytest -p h5pyd_suite h5pyd/test/hl

At the end it says how every test came out that read something from the server; the others never asked it.
"""

from __future__ import annotations

import os
from pathlib import Path

import h5py
import h5pyd
import pytest

FOLDER, URL = Path(os.environ["FOLDER"]), os.environ["URL"]
asked: set[str] = set()
outcomes: dict[str, str] = {}
genuine = h5pyd.File


def opened(domain, mode=None, **options):
    """h5py's file to write, h5pyd's to read."""
    domain = str(domain).removeprefix(str(FOLDER))  # tests open again what h5py calls its file
    path = FOLDER / domain.strip("/")
    if mode in (None, "r"):
        asked.add(os.environ.get("PYTEST_CURRENT_TEST", "").partition(" ")[0])
        options.pop("endpoint", None)
        return genuine(domain, "r", endpoint=URL, **options)
    path.parent.mkdir(parents=True, exist_ok=True)
    known = {k: v for k, v in options.items() if k in ("track_order", "libver")}
    return h5py.File(path, mode, **known)


opened.__name__ = "File"
h5pyd.File = opened


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """Remember how a test came out."""
    report = (yield).get_result()
    if report.failed or report.when == "call" or report.skipped:
        outcomes[item.nodeid] = report.outcome


def pytest_terminal_summary(terminalreporter):
    """Tell of the tests that read from the server."""
    ours = {name: how for name, how in outcomes.items() if name in asked}
    counts = {how: sum(h == how for h in ours.values()) for how in ("passed", "failed", "skipped")}
    terminalreporter.write_line(f"read from the server: {counts}, of {len(outcomes)} tests")
    for name, how in sorted(ours.items()):
        terminalreporter.write_line(f"{how} {name}")
