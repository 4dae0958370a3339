"""The client of the installed wheel: dask workers, napari, the command, a server that it starts."""

from __future__ import annotations

import io
import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import tifffile
from conftest import Install, Running, fetch, run, wait_for
from surroundings import environment, free_port

CLIENTS = Path(__file__).parent / "clients"
TOKEN = "a-token-for-the-clients-1"
PIXELS = np.random.default_rng(6).integers(0, 4000, (2, 3, 4, 640, 700), np.uint16)
PEER = "biopb[tensor]==0.13.0"


@pytest.fixture(scope="module")
def python(install: Install) -> Path:
    """An environment with the wheel, all it can use, and dask's workers."""
    return install("images,flight,client", "distributed")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("data")
    about = {
        "axes": "TCZYX",
        "PhysicalSizeX": 0.65,
        "PhysicalSizeXUnit": "µm",
        "Channel": {"Name": ["DAPI", "GFP", "Cy5"]},
    }
    tifffile.imwrite(found / "five.ome.tif", PIXELS, metadata=about)
    return found


@pytest.fixture(scope="module")
def ports() -> tuple[int, int]:
    return free_port(), free_port()


@pytest.fixture(scope="module")
def urls(python: Path, folder: Path, ports: tuple[int, int]) -> Iterator[tuple[str, str]]:
    """One server, over HTTP and Arrow Flight."""
    http, flight = ports
    arguments = ["serve", folder, "--port", http, "--flight", flight, "--token", TOKEN, "--no-browser", "--quiet"]
    process = subprocess.Popen([python.parent / "coverslip", *map(str, arguments)], stdout=subprocess.DEVNULL)
    running = Running(process, f"http://127.0.0.1:{http}")

    def ready() -> bool:
        try:
            fetch(f"{running.url}/readyz")  # Arrow Flight listens too
            found = json.loads(fetch(f"{running.url}/api/sources", Authorization=f"Bearer {TOKEN}"))
        except OSError:
            return False
        return [source["status"] for source in found] == ["ready"]

    wait_for(ready, "the server")
    yield running.url, f"grpc://127.0.0.1:{flight}"
    running.stop()


@pytest.fixture(autouse=True)
def token(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("COVERSLIP_TOKEN", TOKEN)
    monkeypatch.setenv("BIOPB_TENSOR_TOKEN", TOKEN)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))


def test_a_notebook_with_workers(python: Path, urls: tuple[str, str]) -> None:
    told = json.loads(run(python, CLIENTS / "notebook.py", *urls).stdout.splitlines()[-1])
    assert len(told) == 2
    for found in told:
        assert found["sources"] == 1
        assert found["dims"] == ["t", "c", "z", "y", "x"]
        assert found["shape"] == list(PIXELS.shape)
        assert found["channels"] == ["DAPI", "GFP", "Cy5"]
        assert found["pixel"]["x"] == 0.65
        assert found["part"] == PIXELS[1, 2, ::2, 10:14, -3:].tolist()
        assert found["levels"][1][-2:] == [320, 350]
        assert found["chunks"] == 2 * 3 * 4 * 2 * 2
        assert found["sum"] == int(PIXELS.astype(np.int64).sum())
        assert found["elsewhere"] == 2
        assert abs(found["mean"] - PIXELS[0, 1, 0].mean()) < 1e-6
        assert found["units"] == "micrometer"


def test_napari_opens_addresses(python: Path, wheel: Path, urls: tuple[str, str], tmp_path: Path) -> None:
    """napari in its own environment; our package and what Arrow Flight needs beside it."""
    napari = environment("napari-ome-zarr")
    run(napari, "-m", "pip", "install", "--quiet", "--no-deps", "--target", tmp_path / "ours", wheel)
    run(
        napari,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--target",
        tmp_path / "flight",
        "--no-deps",
        "pyarrow",
        "biopb",
        "protobuf",
    )
    manifest = tmp_path / "ours" / "coverslip" / "client" / "napari.yaml"
    paths = {"PYTHONPATH": os.pathsep.join(str(tmp_path / name) for name in ("ours", "flight"))}
    given = {**os.environ, **paths}
    run(napari, "-m", "npe2", "validate", manifest, env=given)
    addresses = [f"{url}/five.ome.tif" for url in urls]
    found = json.loads(run(napari, CLIENTS / "napari_open.py", *addresses, env=given).stdout.splitlines()[-1])
    assert len(found) == 6, "three channels over each protocol"
    for layer, channel in zip(found, [0, 1, 2] * 2, strict=True):
        assert (layer["kind"], layer["levels"]) == ("Image", 2)
        assert layer["name"].split(" [")[0].endswith(["DAPI", "GFP", "Cy5"][channel])
        assert layer["shape"] == [2, 4, 640, 700]
        assert layer["scale"][-1] == 0.65
        assert layer["units"][-1] == "micrometer"
        assert layer["corner"] == int(PIXELS[:, channel, :, :9, :9].astype(int).sum())
        assert 0 <= layer["limits"][0] < layer["limits"][1] <= 4000


def test_the_command_downloads(python: Path, urls: tuple[str, str], tmp_path: Path) -> None:
    command = python.parent / "coverslip"
    for url in urls:
        listed = json.loads(run(command, "tensor", "query", "--server", url, "--json").stdout)
        (source,) = listed["sources"]
        told = json.loads(run(command, "tensor", "stats", source["source_id"], "-s", url, "--json").stdout)
        assert (told["min"], told["max"], told["count"]) == (int(PIXELS.min()), int(PIXELS.max()), PIXELS.size)
        done = subprocess.run(
            [command, "tensor", "get", source["source_id"], "-f", "npy", "-s", url], capture_output=True, check=True
        )
        np.testing.assert_array_equal(np.load(io.BytesIO(done.stdout)), PIXELS)


def test_the_tensor_servers_own_client_reads_what_is_handed_on(
    python: Path, urls: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    region = "0:1,1:3,0:4,100:300,50:90"
    run(
        python.parent / "coverslip",
        "tensor",
        "get",
        "five.ome.tif",
        "-S",
        region,
        "-s",
        urls[1],
        "-o",
        tmp_path / "x.pb",
    )
    for name in ("COVERSLIP_TOKEN", "BIOPB_TENSOR_TOKEN"):
        monkeypatch.delenv(name)  # the plan is sealed: it needs none
    code = (
        "import sys, numpy\nfrom biopb.tensor import SerializedTensor, TensorFlightClient\n"
        "told = SerializedTensor.FromString(open(sys.argv[1], 'rb').read())\nassert not told.auth_token\n"
        "numpy.save(sys.argv[2], TensorFlightClient.tensor_from_pb(told).compute())"
    )
    run(environment(PEER), "-c", code, tmp_path / "x.pb", tmp_path / "x.npy")
    np.testing.assert_array_equal(np.load(tmp_path / "x.npy"), PIXELS[0:1, 1:3, :, 100:300, 50:90])


def test_a_server_is_started(python: Path, folder: Path, tmp_path: Path) -> None:
    """The real command, with its ports in the user's configuration."""
    http, flight = free_port(), free_port()
    config = tmp_path / "config" / "coverslip" / "coverslip.toml"
    config.parent.mkdir(parents=True)
    config.write_text(
        f'[server]\nport = {flight}\nweb_port = {http}\n\n[[sources]]\npath = "{folder}"\n\n'
        f'[tensor_browser]\nserver_url = "grpc://localhost:{flight}"\n'
    )
    bin = python.parent
    given = {k: v for k, v in os.environ.items() if k not in ("COVERSLIP_TOKEN", "BIOPB_TENSOR_TOKEN")}
    given |= {"PATH": f"{bin}{os.pathsep}{os.environ['PATH']}", "COVERSLIP_STATE_DIR": str(tmp_path / "state")}
    code = "import coverslip; c = coverslip.connect(start=True); print(c.url, c['five.ome.tif'][0, 0, 0, 0, 0])"
    try:
        done = run(python, "-c", code, env=given)
        assert done.stdout == f"grpc://localhost:{flight} {PIXELS[0, 0, 0, 0, 0]}\n"
        assert "started" in done.stderr
        again = run(python, "-c", code, env=given)
        assert "started" not in again.stderr
    finally:
        run(bin / "coverslip", "server", "stop", env=given)
