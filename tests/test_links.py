"""Programs that are given a link to one source, on a real socket: zarr-python, h5pyd, coverslip.connect."""

from __future__ import annotations

import json
import time
import urllib.request
from collections.abc import Iterator

import h5pyd
import numpy as np
import pytest
import tifffile
import zarr

import coverslip
from coverslip.core.errors import CoverslipError
from coverslip.server import Server
from coverslip.settings import Settings
from make import adata

TOKEN = "open-sesame-open-sesame"
PIXELS = np.arange(64 * 64, dtype=np.uint16).reshape(64, 64)
PATIENCE_S = 60


def posted(server: Server, path: str, content: object, token: str = TOKEN) -> dict[str, str]:
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    asked = urllib.request.Request(f"{server.url}/{path}", json.dumps(content).encode(), headers)
    with urllib.request.urlopen(asked, timeout=PATIENCE_S) as answer:
        told: dict[str, str] = json.load(answer)
    return told


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("lab") / "data"
    folder.mkdir()
    for name in ("slide", "secret"):
        tifffile.imwrite(folder / f"{name}.tif", PIXELS)
    adata().write_h5ad(folder / "lung.h5ad")
    with Server(folder, Settings(port=0, token=TOKEN)) as server:
        end = time.monotonic() + PATIENCE_S
        while (server.counts() or {}).get("by_status", {}).keys() != {"ready"}:
            assert time.monotonic() < end
            time.sleep(0.05)
        yield server


def test_zarr_python(lab: Server) -> None:
    made = posted(lab, "api/shares", {"source": "slide.tif"})
    options = {"headers": {"Authorization": f"Bearer {made['token']}"}}
    group = zarr.open(f"{lab.url}/zarr/{made['source']}", mode="r", storage_options=options)
    np.testing.assert_array_equal(group["0"][:], PIXELS)  # type: ignore[index]
    other = posted(lab, "api/shares", {"source": "secret"})["source"]
    with pytest.raises(FileNotFoundError):
        zarr.open_group(f"{lab.url}/zarr/{other}", mode="r", storage_options=options)


def test_h5pyd(lab: Server) -> None:
    made = posted(lab, "api/shares", {"source": "lung"})
    how = {"endpoint": f"{lab.url}/hsds", "username": "guest"}
    with h5pyd.File("/lung.h5ad", "r", password=made["token"], **how) as file:
        assert file["X"].shape == adata().shape
    with pytest.raises(OSError, match="404"):
        h5pyd.File("/lung.h5ad", "r", password=posted(lab, "api/shares", {"source": "slide"})["token"], **how)


def test_our_own(lab: Server) -> None:
    made = posted(lab, "api/shares", {"source": "slide"})
    with coverslip.connect(lab.url, token=made["token"]) as client:
        assert list(client.sources) == [made["source"]]
        np.testing.assert_array_equal(np.asarray(client[made["source"]]), PIXELS)
        with pytest.raises(CoverslipError):
            client[posted(lab, "api/shares", {"source": "secret"})["source"]]
    back = posted(lab, "api/shares", {"source": "slide"})
    with coverslip.connect(lab.url, token=back["token"]) as client:
        headers = {"Authorization": f"Bearer {TOKEN}"}
        asked = urllib.request.Request(f"{lab.url}/api/shares/{back['id']}", None, headers, method="DELETE")
        urllib.request.urlopen(asked, timeout=PATIENCE_S).close()
        with pytest.raises(CoverslipError):
            np.asarray(client[back["source"]])
    posted(lab, "api/admin/token", {"token": f"{TOKEN}-2", "grace_s": 3600})
    with coverslip.connect(lab.url, token=made["token"]) as client:
        assert len(client.sources) == 1
    posted(lab, "api/admin/token", {"token": TOKEN + "-3"}, f"{TOKEN}-2")
    with pytest.raises(CoverslipError):
        coverslip.connect(lab.url, token=made["token"])
