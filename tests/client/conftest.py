"""One real server on loopback for all tests of the client, over HTTP and Arrow Flight."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorstore
import tifffile

import coverslip
from coverslip.client import Client
from coverslip.server import Server
from coverslip.settings import Settings

TOKEN = "a-token-for-the-tests-1"
RNG = np.random.default_rng(7)
LIVER = RNG.integers(0, 4000, (2, 3, 2, 620, 530), np.uint16)
VOLUME = RNG.normal(0, 1, (20, 130, 150)).astype(np.float32)
VOLUME[3, 5:9, 7] = np.nan
FIRST = RNG.integers(0, 255, (40, 50), np.uint8)
SECOND = RNG.integers(0, 255, (30, 20), np.uint8)
MICROMETER = {"PhysicalSizeX": 0.5, "PhysicalSizeXUnit": "µm", "PhysicalSizeY": 0.5, "PhysicalSizeYUnit": "µm"}


def write_all(folder: Path) -> None:
    channels = {"Channel": {"Name": ["DAPI", "GFP", "Cy5"]}}
    tifffile.imwrite(folder / "liver.ome.tif", LIVER, metadata={"axes": "TCZYX", **MICROMETER, **channels})
    with tifffile.TiffWriter(folder / "two.ome.tif") as file:
        file.write(FIRST, metadata={"axes": "YX"})
        file.write(SECOND, metadata={"axes": "YX"})
    write_zarr(folder / "volume.zarr", VOLUME, (4, 64, 64))
    (folder / "broken.ome.tif").write_bytes(b"II*\0 and no more")
    settle(folder)


def write_zarr(path: Path, values: np.ndarray[Any, Any], chunks: tuple[int, ...]) -> None:
    grid = {"name": "regular", "configuration": {"chunk_shape": list(chunks)}}
    metadata = {
        "shape": list(values.shape),
        "data_type": values.dtype.name,
        "chunk_grid": grid,
        "codecs": [{"name": "bytes", "configuration": {"endian": "little"}}],
        "dimension_names": ["z", "y", "x"],
    }
    spec = {"driver": "zarr3", "kvstore": {"driver": "file", "path": str(path)}, "metadata": metadata}
    tensorstore.open(spec, create=True).result().write(values).result()


def settle(folder: Path) -> None:
    """Date files back: those written a moment ago count as being written."""
    then = time.time() - 60
    for file in [folder, *folder.rglob("*")]:
        os.utime(file, (then, then))


def running(folder: Path, **settings: Any) -> Server:
    """A server of ``folder`` that knows everything in it."""
    server = Server(folder, Settings(**{"port": 0, "flight_port": 0, **settings}))
    server.start_background()
    deadline = time.monotonic() + 60
    while (counts := server.counts()) is None or not counts["scanned"] or counts["by_status"].get("pending"):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return server


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("offered")
    write_all(folder)
    return folder


@pytest.fixture(scope="session")
def server(data: Path) -> Iterator[Server]:
    found = running(data, token=TOKEN)
    yield found
    found.stop()


def url_of(server: Server, protocol: str) -> str:
    url = server.url if protocol == "http" else server.flight_url
    assert url is not None
    return url


@pytest.fixture(autouse=True)
def own_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nothing of who runs the tests: no saved server, no variables."""
    for name in list(os.environ):
        if name.startswith(("BIOPB_", "COVERSLIP_URL", "COVERSLIP_TOKEN", "COVERSLIP_TLS")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "own-config"))


@pytest.fixture(params=["http", "flight"])
def protocol(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def client(server: Server, protocol: str) -> Iterator[Client]:
    with coverslip.connect(url_of(server, protocol), TOKEN) as found:
        yield found


Reads = list[tuple[int, ...]]


@pytest.fixture
def reads(client: Client, monkeypatch: pytest.MonkeyPatch) -> Reads:
    """Shapes of the boxes that are asked for, as they are."""
    seen: Reads = []
    read: Callable[..., Any] = client.transport.read

    def noted(image: Any, level: int, start: Any, stop: Any, out: Any = None) -> Any:
        seen.append(tuple(b - a for a, b in zip(start, stop, strict=True)))
        return read(image, level, start, stop, out)

    monkeypatch.setattr(client.transport, "read", noted)
    return seen
