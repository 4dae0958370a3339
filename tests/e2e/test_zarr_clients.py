"""Readers of OME-Zarr that we did not write, on files of other formats: zarr-python, napari, Viv, Neuroglancer."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import tifffile
import zarr
from conftest import PATIENCE_S, ROOT, Open, Running, Start, fetch, run, wait_for
from PIL import Image
from pylibCZIrw import czi
from surroundings import environment, free_port

CLIENTS = Path(__file__).parent / "clients"
RNG = np.random.default_rng(5)
TIFF = RNG.integers(0, 4000, (2, 3, 4, 640, 700), np.uint16)
CZI = RNG.integers(0, 60000, (3, 5, 300, 200), np.uint16)


@pytest.fixture(scope="module")
def command(imaging_command: Path) -> Path:
    return imaging_command


def write_czi(path: Path) -> None:
    with czi.create_czi(str(path)) as document:
        for c, z in np.ndindex(*CZI.shape[:2]):
            document.write(data=CZI[c, z][..., None], plane={"C": c, "Z": z, "T": 0})
        document.write_metadata(channel_names={0: "DAPI", 1: "GFP", 2: "Cy5"}, scale_x=2e-7, scale_y=2e-7, scale_z=1e-6)


@pytest.fixture(scope="module")
def port() -> int:
    """Where Neuroglancer's page will be; our server must let it read."""
    return free_port()


@pytest.fixture(scope="module")
def server(start: Start, tmp_path_factory: pytest.TempPathFactory, port: int) -> Running:
    folder = tmp_path_factory.mktemp("images")
    meta = {"axes": "TCZYX", "PhysicalSizeX": 0.65, "PhysicalSizeXUnit": "µm", "Channel": {"Name": ["a", "b", "c"]}}
    tifffile.imwrite(folder / "five.ome.tif", TIFF, metadata=meta)
    write_czi(folder / "cells.czi")
    shutil.copy(str(files("nibabel") / "tests" / "data" / "anatomical.nii"), folder / "head.nii")
    running = start(folder, "--allow-origin", f"http://127.0.0.1:{port}")

    def known() -> bool:
        found = json.loads(fetch(f"{running.url}api/sources"))
        return len(found) == 3 and all(source["status"] == "ready" for source in found)

    wait_for(known, "three sources")
    return running


def address(server: Running, name: str) -> str:
    """Where an image is as Zarr."""
    found = json.loads(fetch(f"{server.url}api/sources"))
    id = next(source["source_id"] for source in found if source["name"] == name)
    return f"{server.url}zarr/{id}"


def head() -> Any:
    """nibabel's own reading, in the order z y x."""
    image = nibabel.load(str(files("nibabel") / "tests" / "data" / "anatomical.nii"))
    return np.asarray(image.dataobj.get_unscaled()).T


def test_zarr_python_reads_equal_pixels(server: Running) -> None:
    for name, want in (("five.ome.tif", TIFF), ("cells.czi", CZI), ("head.nii", head())):
        group = zarr.open_group(address(server, name), mode="r")
        found = group["0"]
        assert found.dtype == want.dtype.newbyteorder("=")
        np.testing.assert_array_equal(np.asarray(found[...]).squeeze(), want.squeeze(), err_msg=name)
        assert group.attrs["ome"]["version"] == "0.5"


def test_napari_reads_it(server: Running) -> None:
    python = environment("napari-ome-zarr")
    for name, want in (("five.ome.tif", TIFF), ("cells.czi", CZI)):
        found = json.loads(run(python, CLIENTS / "napari_reader.py", address(server, name)).stdout.splitlines()[-1])
        assert [layer["kind"] for layer in found] == ["image"]
        assert found[0]["sum"] == int(want.astype(np.int64).sum())
        assert sorted(n for n in found[0]["shape"] if n > 1) == sorted(want.shape)


def test_zarrita_and_viv_read_it(server: Running) -> None:
    script = ROOT / "viewer" / "viv_loader.test-client.mjs"  # beside the packages it imports
    shutil.copy(CLIENTS / "viv_loader.mjs", script)
    try:
        url = address(server, "five.ome.tif")
        done = run(ROOT / "scripts" / "npm", "exec", "-c", f"node {script.name} {url}")
    finally:
        script.unlink()
    said = (done.stdout + done.stderr).splitlines()  # the build's npm talks on stderr
    found = json.loads(next(line for line in said if line.startswith("{")))
    assert found["zarrita"]["shape"] == list(TIFF.shape)
    assert found["zarrita"]["sum"] == int(TIFF.astype(np.int64).sum())
    assert found["viv"]["labels"] == ["t", "c", "z", "y", "x"]
    assert found["viv"]["levels"] == 2
    assert found["viv"]["channels"] == ["a", "b", "c"]
    assert found["viv"]["first"] == TIFF[0, 0, 0, 0, :8].tolist()


@pytest.fixture
def neuroglancer(server: Running, port: int) -> Iterator[subprocess.Popen[str]]:
    python = environment("neuroglancer")
    process = subprocess.Popen(
        [python, CLIENTS / "neuroglancer_window.py", str(port), f"{address(server, 'head.nii')}/", str(head().max())],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    yield process
    process.kill()
    process.communicate()


def test_neuroglancer_shows_it(
    server: Running, neuroglancer: subprocess.Popen[str], look: Open, tmp_path: Path
) -> None:
    assert neuroglancer.stdout is not None
    assert neuroglancer.stdin is not None
    seen = look(neuroglancer.stdout.readline().strip())
    neuroglancer.stdin.write(f"{tmp_path / 'shot.png'}\n")
    neuroglancer.stdin.flush()
    for _ in range(PATIENCE_S * 2):  # the page must go on working while its picture is waited for
        seen.page.wait_for_timeout(500)
        if (tmp_path / "shot.png").exists():
            break
    shot = np.asarray(Image.open(io.BytesIO((tmp_path / "shot.png").read_bytes())).convert("L"))
    inside = shot[140:160, 190:210]
    assert np.ptp(shot) > 30, "a picture, not one grey"
    assert np.unique(inside).size > 3, "the head is in the middle"
    asked = [r for r in seen.requests if "/zarr/" in r and "/c/" in r]
    assert asked, "it read chunks"
