"""Vitessce shows what we serve as OME-Zarr: its published page, in a real browser, on a TIFF and on an OME-Zarr."""

from __future__ import annotations

import io
import json
import os
import tarfile
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorstore as ts
import tifffile
from conftest import PATIENCE_S, ROOT, Open, Running, Start, fetch, run, wait_for
from PIL import Image
from surroundings import CACHE

PAGE = Path(__file__).parent / "clients" / "vitessce"
PEER = "@vitessce/dev@4.0.8"
SHAPE = (2, 3, 600, 700)
CHANNELS = ("nuclei", "actin")
BRIGHT = tuple(value / 65535 * 255 for value in (50000, 30000))
"""Of the two bands, on the screen."""


def pixels() -> np.ndarray[Any, Any]:
    """Two channels of stripes, three planes."""
    image = np.zeros(SHAPE, np.uint16)
    image[0, :, :, ::64] = image[0, :, :, 1::64] = 60000
    image[0, :, 100:200] = 50000
    image[1, :, ::64] = image[1, :, 300:400] = 30000
    return image


def write_zarr(path: Path) -> None:
    array = ts.open(
        {
            "driver": "zarr",
            "kvstore": f"file://{path}/0/",
            "metadata": {"shape": SHAPE, "chunks": [1, 1, 256, 256], "dtype": "<u2", "dimension_separator": "/"},
            "create": True,
        }
    ).result()
    array.write(pixels()).result()
    axes = [{"name": "c", "type": "channel"}] + [{"name": n, "type": "space", "unit": "micrometer"} for n in "zyx"]
    steps = [{"type": "scale", "scale": [1, 2, 0.5, 0.5]}]
    attributes = {
        "multiscales": [
            {"version": "0.4", "axes": axes, "datasets": [{"path": "0", "coordinateTransformations": steps}]}
        ],
        "omero": {"channels": [{"label": label, "color": "FFFFFF"} for label in CHANNELS]},
    }
    (path / ".zgroup").write_text('{"zarr_format": 2}')
    (path / ".zattrs").write_text(json.dumps(attributes))


@pytest.fixture(scope="module")
def command(imaging_command: Path) -> Path:
    return imaging_command


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of Vitessce's page, built from its package with the viewer's Vite."""
    package = CACHE / "peers" / PEER.replace("/", "-")
    if not (package / "done").exists():
        package.mkdir(parents=True, exist_ok=True)
        run(ROOT / "scripts" / "npm", "pack", PEER, "--pack-destination", package)
        with tarfile.open(next(package.glob("*.tgz"))) as archive:
            archive.extractall(package, filter="data")
        (package / "done").touch()
    out = tmp_path_factory.mktemp("page")
    settings = {**os.environ, "VITESSCE": str(package / "package"), "OUT": str(out)}
    build = ("exec", "--", "vite", "build", "--config", PAGE / "vite.config.mjs")
    run(ROOT / "scripts" / "npm", *build, env=settings)

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *words: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=out)) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def server(start: Start, tmp_path_factory: pytest.TempPathFactory, page: str) -> Running:
    folder = tmp_path_factory.mktemp("images")
    meta = {
        "axes": "CZYX",
        "PhysicalSizeX": 0.5,
        "PhysicalSizeXUnit": "µm",
        "PhysicalSizeY": 0.5,
        "Channel": {"Name": list(CHANNELS)},
    }
    tifffile.imwrite(folder / "stripes.ome.tif", pixels(), metadata=meta)
    write_zarr(folder / "stripes.ome.zarr")
    running = start(folder, "--allow-origin", page)

    def known() -> bool:
        found = json.loads(fetch(f"{running.url}api/sources"))
        return len(found) == 2 and all(source["status"] == "ready" for source in found)

    wait_for(known, "two sources")
    return running


def bands(shot: bytes) -> list[tuple[int, int, float]]:
    """Bright bands across a picture: their first row, height and brightness."""
    picture = np.asarray(Image.open(io.BytesIO(shot)).convert("RGB")).max(-1)
    middle = np.median(picture[:, picture.shape[1] // 4 : -picture.shape[1] // 4], 1)  # no thin line counts
    edges = np.flatnonzero(np.diff(np.concatenate([[0], middle > 60, [0]]).astype(int)))
    runs = zip(edges[::2], edges[1::2], strict=True)
    return [(int(a), int(b - a), float(np.median(middle[a:b]))) for a, b in runs if b - a > 20]


@pytest.mark.parametrize("name", ["stripes.ome.tif", "stripes.ome.zarr"])
def test_vitessce_shows_it(server: Running, page: str, look: Open, name: str) -> None:
    sources = json.loads(fetch(f"{server.url}api/sources"))
    id = next(source["source_id"] for source in sources if source["name"] == name)
    seen = look(f"{page}/?url={server.url}zarr/{id}")
    for channel in CHANNELS:
        seen.page.get_by_text(channel).first.wait_for(timeout=PATIENCE_S * 1000)
    canvas = seen.page.locator("canvas").first
    found = bands(canvas.screenshot())
    for _ in range(PATIENCE_S * 2):  # the page must go on working while its picture is waited for
        if len(found) == 2 and abs(found[0][2] - BRIGHT[0]) < 4 and abs(found[1][2] - BRIGHT[1]) < 4:
            break
        seen.page.wait_for_timeout(500)
        found = bands(canvas.screenshot())
    (first, height, bright), (second, other_height, other_bright) = found
    assert (bright, other_bright) == pytest.approx(BRIGHT, abs=4)
    assert height == pytest.approx(other_height, abs=3)
    assert second - first == pytest.approx(2 * height, abs=4)
    chunks = [address for address in seen.requests if f"/zarr/{id}/" in address and "/c/" in address]
    assert chunks, "it read chunks"
    # Vitessce asks for documents of Zarr 2 first, and browsers tell of every 404.
    assert [problem for problem in seen.problems if "404" not in problem] == []
