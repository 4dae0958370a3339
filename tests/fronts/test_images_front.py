"""Images over HTTP: tiles, slices, figures, the catalog, and what is wrong with a request."""

from __future__ import annotations

import io
import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image
from starlette.testclient import TestClient

from coverslip.settings import Settings

Serve = Callable[..., TestClient]
PIXELS = np.random.default_rng(0).integers(0, 4000, (2, 3, 4, 700, 900), np.uint16)


def write(path: Path, pixels: np.ndarray[Any, Any] = PIXELS) -> Path:
    micrometer = {"PhysicalSizeX": 0.5, "PhysicalSizeXUnit": "µm", "PhysicalSizeY": 0.5, "PhysicalSizeYUnit": "µm"}
    channels = {"Channel": {"Name": ["DAPI", "GFP", "Cy5"]}}
    tifffile.imwrite(path, pixels, metadata={"axes": "TCZYX", **micrometer, **channels})
    return path


@pytest.fixture(scope="module")
def client(serve_all: Serve, tmp_path_factory: pytest.TempPathFactory) -> TestClient:
    return serve_all(write(tmp_path_factory.mktemp("five") / "five.ome.tif"))


def pixels_of(response: Any) -> np.ndarray[Any, Any]:
    assert response.status_code == 200, response.text
    shape = [int(n) for n in response.headers["X-Shape"].split(",")]
    return np.frombuffer(response.content, response.headers["X-Dtype"]).reshape(shape)


def picture_of(response: Any) -> np.ndarray[Any, Any]:
    assert response.status_code == 200, response.text
    return np.asarray(Image.open(io.BytesIO(response.content)))


def test_what_an_image_is(client: TestClient) -> None:
    (source,) = client.get("/api/sources").json()
    assert (source["source_id"], source["kind"], source["status"]) == ("five.ome", "images", "ready")
    assert source["tensors"][0]["shape"] == list(PIXELS.shape)
    info = client.get(f"/api/tile_info/{source['tensors'][0]['array_id']}").json()
    assert info["dim_labels"] == ["t", "c", "z", "y", "x"]
    assert [level["shape"][-2:] for level in info["levels"]] == [[700, 900], [350, 450]]
    assert [c["label"] for c in info["channels"]] == ["DAPI", "GFP", "Cy5"]
    assert [(a["unit"], a["scale"]) for a in info["axes"][-2:]] == [("micrometer", 0.5)] * 2
    assert info["version"] == source["version"]


def test_raw_tiles_are_the_pixels(client: TestClient) -> None:
    for row, col, size in ((0, 0, 512), (1, 1, 512), (2, 3, 256)):
        found = pixels_of(client.get(f"/api/tile/five.ome?row={row}&col={col}&size={size}&t=1&c=2&sel=z:3"))
        want = PIXELS[1, 2, 3, row * size : (row + 1) * size, col * size : (col + 1) * size]
        np.testing.assert_array_equal(found, want)
    best = pixels_of(client.get("/api/tile/five.ome?project=z&c=1"))
    np.testing.assert_array_equal(best, PIXELS[0, 1].max(0)[:512, :512])
    coarse = pixels_of(client.get("/api/tile/five.ome?level=1"))
    square = PIXELS[0, 0, 0].astype(np.uint32).reshape(350, 2, 450, 2).sum((1, 3))
    assert np.abs(coarse.astype(int) - square / 4).max() <= 1


def test_rendered_tiles(client: TestClient) -> None:
    plain = picture_of(client.get("/api/tile/five.ome?fmt=png&c=1&window=0,4000&color=%23ffffff"))
    np.testing.assert_allclose(plain, PIXELS[0, 1, 0, :512, :512] / 4000 * 255, atol=0.51)
    both = picture_of(client.get("/api/tile/five.ome?fmt=png&channels=0:0:4000:ff0000,2:0:2000:0000ff"))
    np.testing.assert_allclose(both[..., 0], PIXELS[0, 0, 0, :512, :512] / 4000 * 255, atol=0.51)
    assert both[..., 1].max() == 0
    np.testing.assert_allclose(both[..., 2], np.minimum(PIXELS[0, 2, 0, :512, :512] / 2000, 1) * 255, atol=0.51)
    for form, kind in (("webp", "image/webp"), ("jpeg", "image/jpeg")):
        response = client.get(f"/api/tile/five.ome?fmt={form}")
        assert response.headers["content-type"] == kind
        assert picture_of(response).shape[:2] == (512, 512)


def test_tiles_of_a_version_may_be_kept_for_ever(client: TestClient) -> None:
    version = client.get("/api/tile_info/five.ome").json()["version"]
    first = client.get(f"/api/tile/five.ome?v={version}")
    assert "immutable" in first.headers["cache-control"]
    again = client.get(f"/api/tile/five.ome?v={version}", headers={"if-none-match": first.headers["etag"]})
    assert again.status_code == 304
    gone = client.get("/api/tile/five.ome?v=another")
    assert (gone.status_code, gone.json()["error"]["code"]) == (404, "superseded")
    assert "immutable" not in client.get("/api/tile/five.ome").headers["cache-control"]


@pytest.mark.parametrize(
    ("query", "status", "code"),
    [
        ("level=9", 404, "tile_outside"),
        ("row=99", 404, "tile_outside"),
        ("z=4", 422, "bad_selection"),
        ("z=-1", 422, "bad_selection"),
        ("z=x", 422, "bad_selection"),
        ("z=99999999999999999999999", 422, "bad_selection"),
        ("sel=q:0", 422, "bad_selection"),
        ("sel=z", 422, "bad_selection"),
        ("size=1", 422, "bad_selection"),
        ("fmt=bmp", 422, "bad_selection"),
        ("project=y", 422, "bad_selection"),
        ("fmt=png&window=1", 422, "bad_selection"),
        ("fmt=png&window=1,inf", 422, "bad_selection"),
        ("fmt=png&color=zz", 422, "bad_selection"),
        ("fmt=png&gamma=0", 422, "bad_selection"),
        ("fmt=png&channels=7:0:1:ffffff", 422, "bad_selection"),
    ],
)
def test_what_the_image_does_not_have(client: TestClient, query: str, status: int, code: str) -> None:
    response = client.get(f"/api/tile/five.ome?{query}")
    assert (response.status_code, response.json()["error"]["code"]) == (status, code)
    assert response.json()["detail"]


def test_unknown_sources_and_arrays(client: TestClient) -> None:
    for path in ("tile/nope", "tile/five.ome/nope", "tile_info/nope", "sources/nope", "sources/nope/metadata", "nope"):
        assert client.get(f"/api/{path}").status_code == 404, path
    assert client.get("/api/sources/nope").json()["detail"].startswith("Source not found: nope")


def test_figures_of_every_channel(client: TestClient) -> None:
    found = client.get("/api/statistics/five.ome?t=1&z=2").json()["channels"]
    for channel, figures in enumerate(found):
        plane = PIXELS[1, channel, 2]
        assert (figures["index"], figures["min"], figures["max"]) == (channel, plane.min(), plane.max())
        assert figures["mean"] == pytest.approx(plane.mean())
        assert sum(figures["histogram"]["counts"]) == plane.size
        assert not figures["sampled"]
    assert len(client.get("/api/statistics/five.ome?c=1").json()["channels"]) == 1


def test_blocks_of_any_shape(client: TestClient) -> None:
    whole = pixels_of(client.get("/api/block/five.ome"))
    np.testing.assert_array_equal(whole, PIXELS)
    part = client.get("/api/block/five.ome?start=1,0,1,30,40&stop=2,3,3,31,900")
    np.testing.assert_array_equal(pixels_of(part), PIXELS[1:2, :, 1:3, 30:31, 40:900])
    most = pixels_of(client.get("/api/block/five.ome?scale=1,1,2,50,50&reduce=max"))
    np.testing.assert_array_equal(most, PIXELS.reshape(2, 3, 2, 2, 14, 50, 18, 50).max((3, 5, 7)))
    assert client.get("/api/block/five.ome?start=0,0&stop=9").status_code == 422
    head = client.head("/api/block/five.ome")
    assert int(head.headers["content-length"]) == PIXELS.nbytes
    assert head.content == b""


def test_slices_as_the_tensor_server_answers_them(client: TestClient) -> None:
    body = {"source_id": "five.ome", "tensor_id": "five.ome", "slice_start": [0, 1, 2, 10, 20]}
    response = client.post("/api/slice", json={**body, "slice_stop": [1, 2, 3, 110, 220]})
    np.testing.assert_array_equal(pixels_of(response), PIXELS[:1, 1:2, 2:3, 10:110, 20:220])
    assert response.headers["X-Dim-Labels"] == "t,c,z,y,x"
    scaled = client.post(
        "/api/slice", json={"source_id": "five.ome", "slice_stop": [1, 1, 1], "scale_hint": [1, 1, 1, 2, 2]}
    )
    level = pixels_of(client.get("/api/tile/five.ome?level=1"))
    np.testing.assert_array_equal(pixels_of(scaled)[0, 0, 0], level)
    budget = client.post("/api/slice", json={"source_id": "five.ome", "slice_stop": [1, 1, 1], "pixel_budget": 50_000})
    assert pixels_of(budget).shape == (1, 1, 1, 175, 225)
    negative = client.post("/api/slice", json={"source_id": "five.ome", "slice_start": [-1, -1, -1, 0, 0]})
    np.testing.assert_array_equal(pixels_of(negative), PIXELS[-1:, -1:, -1:])


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"source_id": 3},
        {"source_id": "five.ome", "slice_start": "0"},
        {"source_id": "five.ome", "slice_start": [0.5]},
        {"source_id": "five.ome", "slice_stop": [9, 9, 9, 9, 9]},
        {"source_id": "five.ome", "slice_start": [0] * 6},
        {"source_id": "five.ome", "scale_hint": [0, 1, 1, 1, 1]},
        {"source_id": "five.ome", "reduction_method": "magic"},
        {"source_id": "five.ome", "pixel_budget": 0},
    ],
)
def test_slices_that_make_no_sense(client: TestClient, body: dict[str, Any]) -> None:
    for path in ("slice", "render"):
        response = client.post(f"/api/{path}", json=body)
        assert 400 <= response.status_code < 500, response.text
        assert response.json()["error"]["message"]


def test_rendered_slices(client: TestClient) -> None:
    body = {"source_id": "five.ome", "slice_start": [0, 1, 2, 0, 0], "slice_stop": [1, 2, 3, 700, 900]}
    response = client.post("/api/render", json={**body, "use_min_max": True, "color": "white"})
    plane = PIXELS[0, 1, 2].astype(float)
    want = (plane - plane.min()) / np.ptp(plane) * 255
    np.testing.assert_allclose(picture_of(response), want, atol=0.51)
    assert (response.headers["X-Image-Width"], response.headers["X-Image-Height"]) == ("900", "700")
    cut = client.post("/api/render", json={**body, "percentile_lo": 10, "percentile_hi": 90, "output_format": "jpeg"})
    assert float(cut.headers["X-Percentile-Lo-Value"]) == pytest.approx(np.percentile(plane, 10), abs=1)
    assert picture_of(cut).shape == (700, 900, 3), "the channel's own colour"


def test_a_slice_over_the_cap_is_refused_with_the_cap(serve: Serve, tmp_path: Path) -> None:
    client = serve(write(tmp_path / "five.ome.tif"), Settings(slice_bytes=1_000_000))
    for response in (client.get("/api/block/five.ome"), client.post("/api/slice", json={"source_id": "five.ome"})):
        assert response.status_code == 413
        assert "1,000,000" in response.json()["error"]["message"]
    assert client.get("/api/block/five.ome?stop=1,1,1").status_code == 413
    assert client.get("/api/block/five.ome?stop=1,1,1,500,900").status_code == 200


def test_a_file_that_changes_is_told_apart(serve: Serve, tmp_path: Path) -> None:
    client = serve(write(tmp_path / "five.ome.tif"))
    before = client.get("/api/tile_info/five.ome").json()["version"]
    tile = client.get("/api/tile/five.ome").content
    write(tmp_path / "five.ome.tif", PIXELS + 1)
    assert client.get(f"/api/tile/five.ome?v={before}").status_code == 404
    after = client.get("/api/tile/five.ome").content
    np.testing.assert_array_equal(np.frombuffer(after, "<u2"), np.frombuffer(tile, "<u2") + 1)


def test_rgb_is_one_picture(serve: Serve, tmp_path: Path) -> None:
    picture = np.random.default_rng(1).integers(0, 255, (300, 200, 3), np.uint8)
    tifffile.imwrite(tmp_path / "rgb.tif", picture, photometric="rgb")
    client = serve(tmp_path / "rgb.tif")
    assert client.get("/api/tile_info/rgb").json()["rgb"] is True
    np.testing.assert_array_equal(picture_of(client.get("/api/tile/rgb?fmt=png")), picture)
    raw = pixels_of(client.get("/api/tile/rgb"))
    np.testing.assert_array_equal(raw, np.moveaxis(picture, -1, 0))
    np.testing.assert_array_equal(pixels_of(client.get("/api/tile/rgb?c=1")), picture[..., 1])


def test_a_source_of_several_images_stands_for_its_first(serve: Serve, tmp_path: Path) -> None:
    left, right = PIXELS[0, 0, 0, :50, :60], PIXELS[0, 1, 0, :40, :30]
    with tifffile.TiffWriter(tmp_path / "eyes.ome.tif") as writer:
        for name, plane in (("left", left), ("right", right)):
            writer.write(plane, metadata={"axes": "YX", "Name": name})
    client = serve(tmp_path / "eyes.ome.tif")
    info = client.get("/api/tile_info/eyes.ome").json()
    assert [s["array_id"] for s in info["siblings"]] == ["eyes.ome/left", "eyes.ome/right"]
    assert info["array_id"] == "eyes.ome/left"
    np.testing.assert_array_equal(pixels_of(client.get("/api/tile/eyes.ome")), left)
    np.testing.assert_array_equal(pixels_of(client.get("/api/tile/eyes.ome/right")), right)


def test_thumbnails(client: TestClient, serve: Serve, tmp_path: Path) -> None:
    picture = picture_of(client.get("/api/thumbnail/five.ome?size=64"))
    assert max(picture.shape[:2]) == 64
    assert picture.max() > 100
    cells = np.random.default_rng(2).random((50, 2))
    np.save(tmp_path / "points.npy", cells)
    dots = picture_of(serve(tmp_path / "points.npy").get("/api/thumbnail/points?fmt=png"))
    assert dots.shape == (256, 256, 3)
    assert 100 < (dots < 255).any(-1).sum() < 1000


def test_a_folder_is_listed_searched_and_queried(serve: Serve, tmp_path: Path) -> None:
    folder = tmp_path / "lab"
    folder.mkdir()
    write(folder / "brain.ome.tif")
    tifffile.imwrite(folder / "plain.tif", PIXELS[0, 0, 0])
    np.save(folder / "cells.npy", np.random.default_rng(0).random((9, 2)))
    (folder / "broken.tif").write_bytes(b"II*\0" + bytes(100))
    os.utime(folder / "broken.tif", (1, 1))
    client = serve(folder)
    listed = client.get("/api/sources")
    assert [s["name"] for s in listed.json()] == ["brain.ome.tif", "broken.tif", "cells.npy", "plain.tif"]
    assert listed.headers["X-Total-Sources"] == "4"
    assert client.get("/api/sources", headers={"if-none-match": listed.headers["etag"]}).status_code == 304
    broken = next(s for s in listed.json() if s["name"] == "broken.tif")
    assert (broken["status"], broken["error"]["code"]) == ("failed", "damaged")
    assert str(tmp_path) not in listed.text
    page = client.get("/api/sources?limit=1&offset=1&sort=-name&kind=images")
    assert [s["name"] for s in page.json()] == ["broken.tif"]
    assert (page.headers["X-Total-Sources"], page.headers["X-Truncated"]) == ("3", "true")
    assert [s["name"] for s in client.get("/api/sources?search=cy5").json()] == ["brain.ome.tif"]
    sql = "SELECT name, tensors[1].shape AS shape FROM sources WHERE kind = 'images' AND status = 'ready' ORDER BY name"
    rows = client.post("/api/sources/query", json={"sql": sql})
    assert rows.json() == [
        {"name": "brain.ome.tif", "shape": list(PIXELS.shape)},
        {"name": "plain.tif", "shape": [700, 900]},
    ]
    assert client.post("/api/sources/query", json={"sql": "DROP TABLE sources"}).status_code == 400
    assert client.post("/api/sources/query", json={"sql": "SELECT * FROM read_csv('/etc/passwd')"}).status_code == 400
    about = client.get("/api/catalog").json()
    assert (about["sources"], about["failed"], about["by_kind"]) == (4, 1, {"cells": 1, "images": 3})
    brain = next(s for s in listed.json() if s["name"] == "brain.ome.tif")
    assert "OME" in client.get(f"/api/sources/{brain['source_id']}/metadata").text


def test_a_new_file_shows_within_two_seconds(serve: Serve, tmp_path: Path) -> None:
    client = serve(tmp_path)
    assert client.get("/api/sources").json() == []
    write(tmp_path / "new.ome.tif", PIXELS[:1, :, :1])
    written = time.monotonic()
    while not (found := client.get("/api/sources").json()) or found[0]["status"] != "ready":
        assert time.monotonic() - written < 30
        time.sleep(0.05)
    assert found[0]["name"] == "new.ome.tif"


def test_health_needs_no_token_and_data_does(serve: Serve, tmp_path: Path) -> None:
    client = serve(write(tmp_path / "five.ome.tif"), Settings(token="sesame"))
    for path in ("livez", "readyz", "healthz"):
        assert client.get(f"/{path}").json()["status"] == "ok"
    assert client.get("/readyz").json()["source_count"] == 1
    for path in ("api/sources", "api/tile/five.ome", "zarr/five.ome/zarr.json", "api/catalog"):
        assert client.get(f"/{path}").status_code == 401
        assert client.get(f"/{path}", headers={"authorization": "Bearer sesame"}).status_code == 200


def test_posts_of_foreign_pages_are_refused(client: TestClient) -> None:
    body = json.dumps({"sql": "SELECT 1"})
    form = client.post("/api/sources/query", content=body, headers={"content-type": "text/plain"})
    assert form.status_code == 415
    foreign = client.post("/api/sources/query", json={"sql": "SELECT 1"}, headers={"origin": "https://evil.example"})
    assert foreign.status_code == 403
    assert client.post("/dataset_identity.json", json={}).status_code == 405
    assert (
        client.post("/api/sources/query", content=b"{" * 100, headers={"content-type": "application/json"}).status_code
        == 400
    )
