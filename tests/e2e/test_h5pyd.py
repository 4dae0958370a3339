"""The stock h5pyd, 1.0 and the older generation, against an installed coverslip: what it reads is what h5py reads."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from conftest import PATIENCE_S, ROOT, Running, fetch, run
from surroundings import archive, environment

from typed_files import rich_file

Start = Callable[..., Running]
PROBES = ROOT / "tests" / "e2e" / "clients" / "h5_probes.py"
CLIENTS = ["1.0.0", "0.24.0"]

# What the clients themselves cannot do, or say otherwise, with HSDS too. Everything else must be equal.
BOTH = {
    "meta aligned": "records come packed, without the gaps of the file",
    "meta mixed": "h5pyd's dtype of a sequence has another size",
    "all c16": "complex numbers are records of r and i, as in HSDS",
    "meta c16": "complex numbers are records of r and i, as in HSDS",
    "list": "h5pyd takes a list of rows for points",
    "visit": "of several names of an object, h5pyd calls another one",
}
KNOWN = {
    "1.0.0": {
        **BOTH,
        "all mixed": "h5pyd gives 0 for an empty sequence",
        "all ragged": "h5pyd gives 0 for an empty sequence",
        "class of set": "h5pyd finds the class of direct members only",
    },
    "0.24.0": {
        **BOTH,
        "all blocks": "h5pyd 0.24 cannot shape array types",
        "all fstr8": "h5pyd 0.24 knows no UTF-8 of fixed length",
        "meta fstr8": "h5pyd 0.24 knows no UTF-8 of fixed length",
        "filters": "h5pyd 0.24 knows no Fletcher32",
        "region": "h5pyd 0.24 knows no regions",
        "strided region": "h5pyd 0.24 knows no regions",
    },
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("domains")
    (root / "rich").mkdir()
    rich_file(root / "rich" / "rich.h5")
    (root / "EI1").mkdir()
    labels = h5py.enum_dtype({"EXC": 10, "INH": 11}, basetype="u2")
    row = np.dtype([("Start", "<u8"), ("Count", "<u4"), ("Population", labels)])
    with h5py.File(root / "EI1" / "cells.h5", "w") as f:
        f["H5Types/Population labels"] = labels
        rows = np.array([(0, 8, 10), (8, 2, 11)], row)
        # A chunk larger than the data can ever be: what generators of neural systems write, and hsload refuses.
        f.create_dataset("H5Types/Populations", data=rows, maxshape=(2,), chunks=(2,))
        for name in ("EXC", "INH"):
            f[f"Populations/{name}/Generated Coordinates/X Coordinate/Attribute Value"] = np.arange(8, dtype="f4")
    return root


@pytest.fixture(scope="module")
def wanted(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(run(sys.executable, PROBES, folder / "rich" / "rich.h5").stdout)
    return found


@pytest.mark.parametrize("version", CLIENTS)
def test_h5pyd_reads_what_h5py_reads(version: str, folder: Path, wanted: dict[str, Any], start: Start) -> None:
    server = start(folder)
    python = environment(f"h5pyd=={version}")
    found = json.loads(run(python, PROBES, "/rich/rich.h5", f"{server.url.rstrip('/')}/hsds").stdout)
    assert found.keys() == wanted.keys()
    assert {probe for probe in wanted if found[probe] != wanted[probe]} == KNOWN[version].keys()


SNIPPET = """
import sys, h5pyd, requests
asked = []
send = requests.Session.send
requests.Session.send = lambda self, request, **options: (asked.append(request.url), send(self, request, **options))[1]
f = h5pyd.File("/EI1/cells.h5", "r", endpoint=sys.argv[1], username=sys.argv[2] or None, password=sys.argv[3] or None)
print("Populations:", list(f["Populations"].keys()))
print("Ranges:", [tuple(row) for row in f["H5Types/Populations"][:].tolist()])
f.close()
print(len(asked))
"""


@pytest.mark.parametrize("version", CLIENTS)
@pytest.mark.parametrize("token", ["", "a-token-of-24-characters"])
def test_a_neural_system_is_verified_in_two_requests(version: str, token: str, folder: Path, start: Start) -> None:
    server = start(folder, *(["--token", token] if token else []))
    endpoint = server.url.partition("#")[0].partition("?")[0].rstrip("/") + "/hsds"
    user = "anyone" if token else ""
    said = run(environment(f"h5pyd=={version}"), "-c", SNIPPET, endpoint, user, token).stdout.splitlines()
    assert said[:2] == ["Populations: ['EXC', 'INH']", "Ranges: [(0, 8, 10), (8, 2, 11)]"]
    if version == "1.0.0":
        assert said[2] == "2"


def test_the_tools_of_h5pyd_list_and_copy_out(folder: Path, start: Start, tmp_path: Path) -> None:
    server = start(folder)
    tools = environment("h5pyd==1.0.0").parent
    endpoint = ["-e", f"{server.url.rstrip('/')}/hsds"]
    listed = run(tools / "hsls", *endpoint, "/rich/").stdout
    assert "/rich/rich.h5" in listed
    assert "/rich/mini.h5" in listed
    copy = tmp_path / "copy.h5"
    run(tools / "hsget", *endpoint, "/rich/mini.h5", copy)
    with h5py.File(copy) as got, h5py.File(folder / "rich" / "mini.h5") as source:
        assert np.array_equal(got["x"][()], source["x"][()])


def test_writing_fails_at_once(folder: Path, start: Start) -> None:
    server = start(folder)
    script = "import sys, h5pyd\nh5pyd.File('/rich/new.h5', 'w', endpoint=sys.argv[1])"
    done = subprocess.run(
        [environment("h5pyd==1.0.0"), "-c", script, f"{server.url.rstrip('/')}/hsds"],
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert done.returncode != 0
    assert "405" in done.stderr
    assert not (folder / "rich" / "new.h5").exists()


def test_real_h5grove_and_ours_say_the_same(folder: Path, start: Start, tmp_path: Path) -> None:
    shutil.copytree(folder / "rich", tmp_path / "rich")
    server = start(tmp_path / "rich")
    script = (
        "import sys, json\nfrom h5grove.content import get_content_from_file\nfrom h5grove.encoders import encode\n"
        "def fail(code, text): raise SystemExit(text)\n"
        "for path in sys.argv[2:]:\n"
        "    with get_content_from_file(sys.argv[1], path, fail) as c:\n"
        "        print(encode(c.metadata()).content.decode())\n"
    )
    paths = ["/g/f4", "/g/comp", "/g/enum", "/g/vstr", "/g/ragged", "/g/blocks", "/types/label", "/ordered", "/soft"]
    python = environment("h5grove[fastapi]==4.0.0")
    theirs = run(python, "-c", script, tmp_path / "rich" / "rich.h5", *paths).stdout.splitlines()
    for path, line in zip(paths, theirs, strict=True):
        ours = fetch(f"{server.url.rstrip('/')}/h5grove/meta?file=rich.h5&path={path}")
        assert json.loads(ours) == json.loads(line), path


TABLE = """
import sys, h5pyd
table = h5pyd.File("/rich/rich.h5", "r", endpoint=sys.argv[1])["g/comp"]
rows = [tuple(row) for row in table.read_where("x > 1.0")]
print([int(row[-4]) for row in rows])  # the older client puts the number of the row in front
print(list(h5pyd.Folder("/rich/", endpoint=sys.argv[1])))
"""


@pytest.mark.parametrize("version", CLIENTS)
def test_rows_are_chosen_by_a_condition(version: str, folder: Path, start: Start) -> None:
    server = start(folder)
    said = run(environment(f"h5pyd=={version}"), "-c", TABLE, f"{server.url.rstrip('/')}/hsds").stdout.splitlines()
    assert said == ["[3, 4, 5]", "['mini.h5', 'rich.h5']"]


SUITE = "h5pyd==0.10.3"
"""The newest archive on PyPI that holds h5pyd's tests."""
NOT_PASSED = {
    "Test1DFloat::test_indexlist_nonmonotonic": "h5pyd 1.0.0 itself refuses such a list no longer",
    "Test1DFloat::test_indexlist_repeated": "h5pyd 1.0.0 itself refuses such a list no longer",
    "Test2DFloat::test_index_emptylist": "expected to fail, and works",
    "TestScalarArray::test_ellipsis": "expected to fail, and works",
    "TestScalarArray::test_tuple": "expected to fail, and works",
}
READ, WRITTEN = 94, 115
EXPECTED_TO_FAIL = {
    "TestAstype", "TestCommutative", "TestCompound", "TestCreateScaleOffset", "TestCreateShape", "TestStrings",
    "TestSubarray", "TestVlen",
}  # fmt: skip


def test_h5pyd_s_own_tests_read(start: Start, tmp_path: Path) -> None:
    """Every test of the suite whose reading can be pointed at a server; docs/reference/hsds.md explains the others."""
    folder, told, tests = tmp_path / "served", tmp_path / "told.json", archive(SUITE) / "test" / "hl"
    folder.mkdir()
    url = f"{start(folder).url.rstrip('/')}/hsds"
    python = environment("h5pyd==1.0.0", "h5py==3.16.0", "pytest==8.4.2", "six==1.17.0")
    where = {"FOLDER": str(folder), "URL": url, "TOLD": str(told), "HS_ENDPOINT": url, "H5PYD_TEST_FOLDER": "/home"}
    path = {"PYTHONPATH": f"{PROBES.parent}{os.pathsep}{tests}"}
    # Some tests never ask the server, and fail because h5py is not h5pyd.
    alone = ["-q", "-p", "h5pyd_suite", "-p", "no:cacheprovider", "-c", os.devnull, "--rootdir", tests]
    done = subprocess.run(
        [python, "-m", "pytest", *alone, tests],
        capture_output=True, text=True, check=False, timeout=300, cwd=tmp_path, env={**os.environ, **where, **path},
    )  # fmt: skip
    assert told.is_file(), done.stdout + done.stderr
    outcomes = json.loads(told.read_text())["outcomes"]
    found = {how: {name for name, (one, _) in outcomes.items() if one == how} for how, _ in outcomes.values()}
    assert {name: outcomes[name] for name in found["failed"] ^ NOT_PASSED.keys() if name in outcomes} == {}
    assert found["failed"] == NOT_PASSED.keys()
    assert len(found["passed"]) == READ - len(NOT_PASSED)
    assert len(found["writes to what it reads"]) == WRITTEN
    assert {name.partition("::")[0] for name in found["xfailed"]} == EXPECTED_TO_FAIL
    assert found.keys() == {"passed", "failed", "xfailed", "writes to what it reads"}
    page = (ROOT / "docs" / "reference" / "hsds.md").read_text()
    assert [name for name in NOT_PASSED if name not in page] == []
