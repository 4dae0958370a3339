"""Every image as OME-Zarr 0.5: what the documents say, and which bytes the chunks are."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote
from urllib.request import urlopen

import h5py
import numpy as np
import pytest
import tensorstore as ts
import tifffile
from starlette.testclient import TestClient

from coverslip.server import Server
from coverslip.settings import Settings

Serve = Callable[..., TestClient]
RNG = np.random.default_rng(0)


def copy_out(client: TestClient, id: str, folder: Path) -> Path:
    """Everything under ``/zarr/ID`` as files, chunk by chunk."""
    root = client.get(f"/zarr/{id}/zarr.json").json()
    documents = {"": root, **root["consolidated_metadata"]["metadata"]}
    for path, document in documents.items():
        place = folder / path
        place.mkdir(parents=True, exist_ok=True)
        own = client.get(f"/zarr/{id}/{path + '/' if path else ''}zarr.json").json()
        own.pop("consolidated_metadata", None)
        assert own == {k: v for k, v in document.items() if k != "consolidated_metadata"}
        (place / "zarr.json").write_text(json.dumps(own))
        if document["node_type"] == "array":
            grid = document["chunk_grid"]["configuration"]["chunk_shape"]
            for index in np.ndindex(*(-(-n // c) for n, c in zip(document["shape"], grid, strict=True))):
                key = "/".join(map(str, ("c", *index)))
                response = client.get(f"/zarr/{id}/{path}/{key}")
                if response.status_code == 200:
                    (place / key).parent.mkdir(parents=True, exist_ok=True)
                    (place / key).write_bytes(response.content)
                else:
                    assert response.status_code == 404
    return folder


def read(folder: Path) -> Any:
    return ts.open({"driver": "zarr3", "kvstore": f"file://{folder}/"}).result().read().result()


def make_zarr(path: Path, pixels: np.ndarray[Any, Any], chunk: tuple[int, ...], codecs: list[dict[str, Any]]) -> Path:
    spec = {
        "driver": "zarr3",
        "kvstore": f"file://{path}/0/",
        "metadata": {
            "shape": pixels.shape,
            "data_type": pixels.dtype.name,
            "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": chunk}},
            "codecs": codecs,
        },
        "create": True,
    }
    ts.open(spec).result().write(pixels).result()
    axes = [{"name": n, "type": "space", "unit": "micrometer"} for n in "zyx"]
    transform = [{"type": "scale", "scale": [2.0, 0.5, 0.5]}]
    scales = [{"axes": axes, "datasets": [{"path": "0", "coordinateTransformations": transform}]}]
    document = {
        "zarr_format": 3,
        "node_type": "group",
        "attributes": {"ome": {"version": "0.5", "multiscales": scales}},
    }
    (path / "zarr.json").write_text(json.dumps(document))
    return path


BYTES = {"name": "bytes", "configuration": {"endian": "little"}}
ZSTD = {"name": "zstd", "configuration": {"level": 1, "checksum": False}}
SHARDS = {
    "name": "sharding_indexed",
    "configuration": {
        "chunk_shape": [1, 64, 64],
        "codecs": [BYTES, ZSTD],
        "index_codecs": [BYTES, {"name": "crc32c"}],
        "index_location": "end",
    },
}


def test_a_tiff_becomes_ome_zarr_of_equal_pixels(serve: Serve, tmp_path: Path) -> None:
    pixels = RNG.integers(0, 4000, (2, 3, 700, 611), np.uint16)
    unit = {"PhysicalSizeX": 0.25, "PhysicalSizeXUnit": "µm", "PhysicalSizeY": 0.25, "PhysicalSizeYUnit": "µm"}
    tifffile.imwrite(tmp_path / "a.ome.tif", pixels, metadata={"axes": "CZYX", **unit})
    client = serve(tmp_path / "a.ome.tif")
    root = client.get("/zarr/a.ome/zarr.json").json()
    scale = root["attributes"]["ome"]["multiscales"][0]
    assert [a["name"] for a in scale["axes"]][-4:] == ["c", "z", "y", "x"]
    assert scale["datasets"][0]["coordinateTransformations"][0]["scale"][-1] == 0.25
    assert scale["datasets"][1]["coordinateTransformations"][0]["scale"][-1] == pytest.approx(0.25 * 611 / 306)
    copied = copy_out(client, "a.ome", tmp_path / "copy")
    np.testing.assert_array_equal(read(copied / "0").squeeze(), pixels)
    assert read(copied / "1").shape[-4:] == (2, 3, 350, 306)


@pytest.mark.parametrize("codecs", [[BYTES], [BYTES, ZSTD], [SHARDS]], ids=["bytes", "zstd", "shards"])
def test_stored_chunks_go_out_as_they_are(serve: Serve, tmp_path: Path, codecs: list[dict[str, Any]]) -> None:
    pixels = RNG.integers(0, 4000, (3, 256, 300), np.uint16)
    pixels[1, :128, :128] = 0
    path = make_zarr(tmp_path / "a.zarr", pixels, (1, 128, 128), codecs)
    client = serve(path)
    document = client.get("/zarr/a/0/zarr.json").json()
    assert document["codecs"] == json.loads((path / "0" / "zarr.json").read_text())["codecs"]
    stored = (path / "0" / "c" / "2" / "1" / "0").read_bytes()
    assert client.get("/zarr/a/0/c/2/1/0").content == stored
    part = client.get("/zarr/a/0/c/2/1/0", headers={"range": "bytes=-20"})
    assert (part.status_code, part.content) == (206, stored[-20:])
    assert part.headers["content-range"] == f"bytes {len(stored) - 20}-{len(stored) - 1}/{len(stored)}"
    np.testing.assert_array_equal(read(copy_out(client, "a", tmp_path / "copy") / "0"), pixels)


def test_several_images_are_a_collection(serve: Serve, tmp_path: Path) -> None:
    first, second = RNG.integers(0, 255, (2, 40, 50), np.uint8), RNG.integers(0, 255, (30, 20), np.uint8)
    with tifffile.TiffWriter(tmp_path / "two.ome.tif") as writer:
        writer.write(first, metadata={"axes": "ZYX", "Name": "left eye"})
        writer.write(second, metadata={"axes": "YX", "Name": "right eye"})
    client = serve(tmp_path / "two.ome.tif")
    root = client.get("/zarr/two.ome/zarr.json").json()
    assert root["attributes"]["ome"]["bioformats2raw.layout"] == 3
    series = client.get("/zarr/two.ome/OME/zarr.json").json()["attributes"]["ome"]["series"]
    assert len(series) == 2
    copied = copy_out(client, "two.ome", tmp_path / "copy")
    np.testing.assert_array_equal(read(copied / series[0] / "0").squeeze(), first)
    np.testing.assert_array_equal(read(copied / series[1] / "0").squeeze(), second)


@pytest.mark.parametrize(
    "key",
    [
        "",
        ".zattrs",
        ".zgroup",
        "0/.zarray",
        "0/c/9/0/0",
        "0/c/0/0",
        "0/c/0/0/0/0",
        "9/c/0/0/0",
        "9/zarr.json",
        "nope/zarr.json",
        "0/c/-1/0/0",
        "%2e%2e/a/zarr.json",
        "0/c/0/0/99999999999999",
    ],
)
def test_keys_that_are_not_there(serve: Serve, tmp_path: Path, key: str) -> None:
    client = serve(make_zarr(tmp_path / "a.zarr", np.zeros((2, 8, 8), np.uint16), (1, 8, 8), [BYTES]))
    assert client.get(f"/zarr/a/{key}").status_code == 404
    assert client.get(f"/zarr/nope/{key}").status_code == 404


def test_labels_come_along(serve: Serve, tmp_path: Path) -> None:
    path = make_zarr(tmp_path / "a.zarr", RNG.integers(0, 99, (2, 64, 64), np.uint16), (1, 64, 64), [BYTES])
    nuclei = RNG.integers(0, 9, (2, 64, 64), np.uint32)
    label = make_zarr(path / "labels" / "nuclei", nuclei, (1, 64, 64), [BYTES])
    document = json.loads((label / "zarr.json").read_text())
    document["attributes"]["ome"]["image-label"] = {}
    (label / "zarr.json").write_text(json.dumps(document))
    attributes = {"ome": {"version": "0.5", "labels": ["nuclei"]}}
    group = {"zarr_format": 3, "node_type": "group", "attributes": attributes}
    (path / "labels" / "zarr.json").write_text(json.dumps(group))
    client = serve(path)
    assert client.get("/api/tile_info/a").json()["labels"] == ["a/labels/nuclei"]
    assert client.get("/zarr/a/labels/zarr.json").json()["attributes"]["ome"]["labels"] == ["nuclei"]
    copied = copy_out(client, "a", tmp_path / "copy")
    np.testing.assert_array_equal(read(copied / "labels" / "nuclei" / "0"), nuclei)


@pytest.mark.parametrize("name", ["50%", "a%20b", "c%2Fd", "γ δ", "a?b#c&d=e+f", "100%25"])
def test_names_are_decoded_once(tmp_path: Path, name: str) -> None:
    pixels = RNG.integers(0, 99, (8, 9), np.uint8)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["other"] = pixels + 1
        file[f"group/{name}"] = pixels
    server = Server(tmp_path / "a.h5", Settings(port=0))  # the test client decodes addresses twice itself
    server.start_background()
    try:
        address = f"{server.url}/zarr/a/group/{quote(name)}"
        with urlopen(f"{address}/zarr.json") as answer:
            assert json.load(answer)["attributes"]["ome"]["multiscales"]
        with urlopen(f"{address}/0/c/0/0") as answer:
            assert answer.read() == pixels.tobytes()
    finally:
        server.stop()


@pytest.mark.parametrize("key", ["0/c/٠/0/0", "0/c/00/0/0", "٠/c/0/0/0", "00/c/0/0/0", "0/c/0/0/0/", "0/c//0/0/0"])
def test_a_chunk_has_one_key(serve: Serve, tmp_path: Path, key: str) -> None:
    client = serve(make_zarr(tmp_path / "a.zarr", np.ones((2, 8, 8), np.uint16), (1, 8, 8), [BYTES]))
    assert client.get("/zarr/a/0/c/0/0/0").status_code == 200
    assert client.get(f"/zarr/a/{key}").status_code == 404


def test_large_stored_chunks_are_sent_in_pieces(serve: Serve, tmp_path: Path) -> None:
    pixels = RNG.integers(0, 60000, (1, 5000, 6000), np.uint16)
    path = make_zarr(tmp_path / "a.zarr", pixels, pixels.shape, [BYTES])
    stored = (path / "0" / "c" / "0" / "0" / "0").read_bytes()
    client = serve(path)
    tracemalloc.start()
    try:
        head = client.head("/zarr/a/0/c/0/0/0")
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert int(head.headers["content-length"]) == len(stored)
    assert most < 10 << 20, "of 60 MB"
    whole = client.get("/zarr/a/0/c/0/0/0")
    assert whole.content == stored
    same = {"if-none-match": whole.headers["etag"]}
    assert client.get("/zarr/a/0/c/0/0/0", headers=same).status_code == 304
    for span, status, part in (
        ("bytes=10-19", 206, stored[10:20]),
        ("bytes=5-", 206, stored[5:]),
        ("bytes=-7", 206, stored[-7:]),
        ("bytes=60000000-", 416, b""),
        ("bytes=9-1", 200, stored),
    ):
        answer = client.get("/zarr/a/0/c/0/0/0", headers={"range": span})
        assert (answer.status_code, answer.content == part) == (status, True), span


def test_only_pictures_are_told_to_be_coloured(serve: Serve, tmp_path: Path) -> None:
    """Vitessce takes the rendering model ``color`` for red, green and blue."""
    rng = np.random.default_rng(3)
    tifffile.imwrite(tmp_path / "rgb.tif", rng.integers(0, 255, (40, 30, 3), np.uint8), photometric="rgb")
    tifffile.imwrite(tmp_path / "two.ome.tif", rng.integers(0, 255, (2, 40, 30), np.uint8), metadata={"axes": "CYX"})
    client = serve(tmp_path)

    ids = {source["name"]: source["source_id"] for source in client.get("/api/sources").json()}

    def omero(name: str) -> dict[str, Any]:
        id = ids[name]
        found: dict[str, Any] = client.get(f"/zarr/{id}/zarr.json").json()["attributes"]["ome"]["omero"]
        return found

    assert omero("rgb.tif")["rdefs"] == {"model": "color"}
    assert "rdefs" not in omero("two.ome.tif")
