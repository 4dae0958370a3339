"""The front mounted at the root of a server of its own, as clients of HSDS expect it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.routing import Mount
from starlette.testclient import TestClient
from starlette.types import Receive, Scope, Send

from coverslip.engine.cache import ByteCache
from coverslip.engine.files import Files
from coverslip.engine.places import Root
from coverslip.engine.read import Reader
from coverslip.formats.hdf5_arrays import has_signature, open_typed
from coverslip.fronts.hsds.front import HsdsFront


@contextmanager
def served(folder: Path) -> Iterator[TestClient]:
    """A server that answers nothing else."""
    reader = Reader()
    files = Files([Root.at(folder)], has_signature, open_typed)
    front = HsdsFront(files, reader, ByteCache(1 << 20), 1 << 20, prefix="")

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive, send)
        path = scope["path"].lstrip("/")
        assert front.has(path)
        await (await front(request, path))(scope, receive, send)

    with TestClient(Starlette(routes=[Mount("/", app)]), base_url="http://localhost:5101") as client:
        yield client
    reader.close()
    files.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "EI1").mkdir()
    with h5py.File(tmp_path / "EI1" / "cells.h5", "w") as f:
        f["Populations/EXC/x"] = np.arange(4)
    return tmp_path


def test_paths_are_those_of_hsds(folder: Path) -> None:
    with served(folder) as client:
        assert client.get("/about").json()["state"] == "READY"
        assert [d["name"] for d in client.get("/domains?domain=/").json()["domains"]] == ["/EI1"]
        root = client.get("/?domain=/EI1/cells.h5").json()
        links = client.get(f"/groups/{root['root']}/links?domain=/EI1/cells.h5").json()["links"]
        assert links[0]["href"].startswith(f"http://localhost:5101/groups/{root['root']}/links/Populations?")
        data = client.get("/datasets/?h5path=/Populations/EXC/x&domain=/EI1/cells.h5").json()["id"]
        assert client.get(f"/datasets/{data}/value?domain=/EI1/cells.h5").json()["value"] == [0, 1, 2, 3]
        assert client.put("/?domain=/EI1/new.h5").status_code == 405


def test_other_paths_are_left_to_others(folder: Path) -> None:
    front = HsdsFront(Files([Root.at(folder)], has_signature, open_typed), Reader(), ByteCache(1), 1, prefix="")
    assert front.has("")
    assert front.has("datasets/d-1/value")
    assert not front.has("systems")
    assert not front.has("files/EI1/graph.json")
