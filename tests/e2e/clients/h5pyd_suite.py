"""A pytest plug-in that points h5pyd's own test-suite at a server that only reads.

What a test writes, h5py writes into the folder that is served. h5pyd reads from the server what a test opens to read,
and all that its ``setUp`` left open::

    FOLDER=/data URL=http://127.0.0.1:8765/hsds TOLD=told.json PYTHONPATH=tests/e2e/clients:h5pyd/test/hl \
        pytest -p h5pyd_suite h5pyd/test/hl

At the end ``TOLD`` holds how every test came out that read from the server; the others never asked it.
"""

from __future__ import annotations

import json
import os
import unittest
from pathlib import Path

import h5py
import h5pyd
import numpy as np
import pytest

vars(np).update(string_=np.bytes_, product=np.prod)  # the suite is older than numpy 2
FOLDER, URL = Path(os.environ["FOLDER"]), os.environ["URL"]
asked: set[str] = set()
outcomes: dict[str, tuple[str, list[str]]] = {}
WRITES = "writes to what it reads"
genuine = h5pyd.File


def served(domain, **options):
    """The file as the server has it."""
    asked.add(os.environ.get("PYTEST_CURRENT_TEST", "").partition(" ")[0])
    options.pop("endpoint", None)
    return genuine(domain, "r", endpoint=URL, **options)


def opened(domain, mode=None, **options):
    """h5py's file to write, h5pyd's to read."""
    domain = str(domain).removeprefix(str(FOLDER))  # tests open again what h5py calls its file
    path = FOLDER / domain.strip("/")
    if mode in (None, "r"):
        return served(domain, **options)
    path.parent.mkdir(parents=True, exist_ok=True)
    known = {k: v for k, v in options.items() if k in ("track_order", "libver")}
    return h5py.File(path, mode, **known)


opened.__name__ = "File"
h5pyd.File = opened
prepare = unittest.TestCase._callSetUp


def prepared(case):
    """What a test finds open was written by h5py and is read by h5pyd."""
    prepare(case)
    kept = {
        name: value for name, value in vars(case).items() if isinstance(value, h5py.HLObject) and value and value.name
    }
    places = {name: (Path(value.file.filename), value.name) for name, value in kept.items()}
    for value in kept.values():
        if value:
            value.file.close()
    again = {path: served(f"/{path.relative_to(FOLDER)}") for path, _ in places.values()}
    for name, (path, inside) in places.items():
        setattr(case, name, again[path] if inside == "/" else again[path][inside])


unittest.TestCase._callSetUp = prepared


def refused(*_, **__):
    """What a test writes to a file that it reads from the server: h5pyd would keep it to itself."""
    pytest.skip(WRITES)


for kind, names in {
    h5pyd.Group: (
        "create_dataset",
        "create_group",
        "require_dataset",
        "require_group",
        "__setitem__",
        "__delitem__",
        "move",
    ),
    h5pyd.Dataset: ("__setitem__", "resize", "write_direct"),
    h5pyd.AttributeManager: ("__setitem__", "__delitem__", "create", "modify"),
}.items():
    for name in names:
        if hasattr(kind, name):
            setattr(kind, name, refused)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """Remember how a test came out: passed, failed, skipped, xfailed (as the suite expects), or that it writes."""
    report = (yield).get_result()
    if not (report.failed or report.skipped or report.when == "call"):
        return
    how = "xfailed" if hasattr(report, "wasxfail") else report.outcome
    if call.excinfo is not None and WRITES in str(call.excinfo.value):
        how = WRITES
    outcomes[item.nodeid] = (how, str(call.excinfo.value if call.excinfo else report.longrepr or "").splitlines()[:1])


def pytest_sessionfinish():
    """Tell of the tests that read from the server."""
    ours = {"::".join(name.split("::")[-2:]): how for name, how in outcomes.items() if name in asked}
    Path(os.environ["TOLD"]).write_text(json.dumps({"tests": len(outcomes), "outcomes": ours}))
