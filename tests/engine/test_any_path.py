"""No path, however it is written, leads out of what is offered."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import h5py
import pytest
from httpx2 import InvalidURL
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.testclient import TestClient

from coverslip.app import catalog_of, create_app
from coverslip.core.errors import CoverslipError
from coverslip.engine.files import Files
from coverslip.engine.places import Root, inside
from coverslip.engine.systems import Systems
from coverslip.formats.hdf5_arrays import has_signature, open_typed
from coverslip.fronts.tensors.browse import listing
from coverslip.settings import Settings

SECRET = "d0n0ttell"
PARTS = (
    "", ".", "..", "...", "~", "a", "sub", "b.h5", "graph.json", "secret", "secret.h5", "up", "out.json", "hole",
    ".hidden", "..%2f", "%2e%2e", "..\\", "\0", "\n", "ä", "\udcff", "C:", "a" * 300, "etc", "passwd", "//",
    "file:", "sys",
)  # fmt: skip
PATHS = st.lists(st.sampled_from(PARTS) | st.text(max_size=3), max_size=6).map("/".join)
QUICK = settings(
    max_examples=80, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
)


@pytest.fixture(scope="module")
def offered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with data, beside one with a secret, and links from the one to the other."""
    here = tmp_path_factory.mktemp("paths")
    root, other = here / "root", here / "secret"
    (root / "sub").mkdir(parents=True)
    (root / "sys").mkdir()
    (root / ".hidden").mkdir()
    other.mkdir()
    for path in (root / "sub" / "b.h5", other / "secret.h5", root / ".hidden" / "secret.h5", root / "sys" / "cells.h5",
                 root / "sys" / "connections.h5"):  # fmt: skip
        with h5py.File(path, "w") as file:
            file.attrs["title"] = SECRET if "secret" in path.name else "open"
    (root / "sys" / "graph.json").write_text("{}")
    (other / "secret.json").write_text(json.dumps(SECRET))
    (root / "up").symlink_to("..")
    (root / "hole").symlink_to(other)
    (root / "secret.h5").symlink_to(other / "secret.h5")
    (root / "sys" / "out.json").symlink_to(other / "secret.json")
    return root


@pytest.fixture(scope="module")
def files(offered: Path) -> Iterator[Files]:
    made = Files([Root.at(offered)], has_signature, open_typed)
    yield made
    made.close()


@QUICK
@given(PATHS)
def test_files_found_lie_inside(files: Files, offered: Path, path: str) -> None:
    root = Root.at(offered)
    for name in (path, f"/{path}"):
        try:
            found = files.find(name)
        except CoverslipError:
            continue
        if found.path is not None:
            assert inside(found.path, [root])
            real = os.path.realpath(found.path)
            assert real == str(offered) or real.startswith(f"{offered}{os.sep}")
            assert "/." not in real.removeprefix(str(offered))


@QUICK
@given(PATHS, PATHS)
def test_documents_of_systems_lie_inside(offered: Path, system: str, path: str) -> None:
    systems = Systems([Root.at(offered)])
    for name in (system, "sys"):
        try:
            data, _ = systems.file(name, path)
        except CoverslipError:
            continue
        assert data == b"{}"


@QUICK
@given(PATHS)
def test_folders_listed_lie_inside(offered: Path, path: str) -> None:
    root = Root.at(offered)
    for name in (path, f"{root.alias}/{path}"):
        try:
            told = listing([root], name)
        except CoverslipError:
            continue
        names = {entry["name"] for entry in told["entries"]}
        assert names <= {"root", "sub", "sys", "b.h5", "cells.h5", "connections.h5", "graph.json"}
        assert SECRET not in json.dumps(told)


@pytest.fixture(scope="module")
def client(offered: Path) -> Iterator[TestClient]:
    catalog = catalog_of(offered)
    app = create_app(catalog, Settings(), 8765)
    with TestClient(app, base_url="http://127.0.0.1:8765") as made:
        assert catalog.wait_idle(60)
        yield made


@settings(QUICK, max_examples=25)
@given(PATHS, st.sampled_from(("", "/", "%2f", "%5c")), st.booleans())
def test_no_address_tells_what_lies_outside(client: TestClient, path: str, between: str, twice: bool) -> None:
    written = quote(path, safe="/", errors="surrogateescape")
    if between:
        written = written.replace("/", between)
    if twice:
        written = quote(written, safe="")
    source = client.get("/api/sources").json()[0]["source_id"]
    asked: list[tuple[str, dict[str, Any]]] = [
        (f"/files/{written}", {}), (f"/files/sys/{written}", {}), (f"/zarr/{source}/{written}", {}),
        (f"/{written}", {}), (f"/api/sources/{source}/{written}", {}), (f"/api/tile_info/{written}", {}),
    ]  # fmt: skip
    plain = path.encode("utf-8", "replace").decode("utf-8", "replace")
    asked += [
        ("/hsds/", {"domain": f"/{plain}", "getobjs": "1"}), ("/hsds/domains", {"domain": plain}),
        ("/h5grove/attr", {"file": plain, "path": "/"}), ("/api/admin/browse", {"path": plain}),
    ]  # fmt: skip
    for address, query in asked:
        try:
            response = client.get(address, params=query or None)
        except InvalidURL:  # two slashes, and what follows is no host: no client sends that
            continue
        assert response.status_code < 500, (address, query, response.text[:200])
        assert SECRET not in response.text
        assert str(Path(__file__).parents[2]) not in response.text
