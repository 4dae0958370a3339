"""Requests for images that are odd, hostile or many at once."""

from __future__ import annotations

import http.client
import threading
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import tensorstore
import tifffile
from starlette.testclient import TestClient

from coverslip.app import catalog_of, create_app
from coverslip.server import Server
from coverslip.settings import Settings

Serve = Callable[..., TestClient]
RNG = np.random.default_rng(0)
PIXELS = RNG.integers(0, 4000, (2, 3, 4, 70, 90), np.uint16)


@pytest.fixture(scope="module")
def five(serve_all: Serve, tmp_path_factory: pytest.TempPathFactory) -> TestClient:
    path = tmp_path_factory.mktemp("five") / "five.ome.tif"
    tifffile.imwrite(path, PIXELS, metadata={"axes": "TCZYX"})
    return serve_all(path)


@pytest.fixture
def huge(serve: Serve, tmp_path: Path) -> TestClient:
    """An image of 100 terabytes, of which nothing is stored."""
    metadata = {
        "shape": [10_000_000, 5_000_000],
        "data_type": "uint16",
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [4096, 4096]}},
    }
    store = f"file://{tmp_path}/huge.zarr/"
    tensorstore.open({"driver": "zarr3", "kvstore": store, "metadata": metadata, "create": True}).result()
    return serve(tmp_path / "huge.zarr", Settings(read_threads=1))


def write_h5(path: Path, **arrays: np.ndarray[Any, Any]) -> Path:
    with h5py.File(path, "w") as file:
        for name, values in arrays.items():
            file[name] = values
    return path


def pixels_of(response: Any) -> np.ndarray[Any, Any]:
    assert response.status_code == 200, response.text
    shape = [int(n) for n in response.headers["X-Shape"].split(",")]
    return np.frombuffer(response.content, response.headers["X-Dtype"]).reshape(shape)


def soon(work: Callable[[], Any]) -> Any:
    """The result, which must not take for ever."""
    found: list[Any] = []
    thread = threading.Thread(target=lambda: found.append(work()), daemon=True)
    thread.start()
    thread.join(20)
    assert found, "no answer after 20 s"
    return found[0]


def test_of_a_parameter_that_comes_twice_the_last_counts(five: TestClient) -> None:
    for z in (1, 2):
        for query in (f"z={3 - z}&z={z}", f"sel=z:{3 - z}&sel=z:{z}"):
            np.testing.assert_array_equal(pixels_of(five.get(f"/api/tile/five.ome?{query}")), PIXELS[0, 0, z])


def test_a_value_is_not_taken_for_several_parameters(five: TestClient) -> None:
    assert five.get("/api/tile/five.ome?t=1&z=1").status_code == 200
    assert five.get("/api/tile/five.ome?t=1%26z%3D1").status_code == 422


@pytest.mark.parametrize("z", ["٠", "1_0", "0x1", "1.0", "1e0", "", "--1", "१", "+-1", "9" * 5000])
def test_what_is_no_whole_number(five: TestClient, z: str) -> None:
    response = five.get("/api/tile/five.ome", params={"z": z})
    assert (response.status_code, response.json()["error"]["code"]) == (422, "bad_selection")


def test_metadata_of_one_image_is_not_another_s(serve: Serve, tmp_path: Path) -> None:
    with h5py.File(write_h5(tmp_path / "a.h5", one=PIXELS[0], two=PIXELS[0]), "a") as file:
        for name in ("one", "two"):
            file[name].attrs["called"] = name
    client = serve(tmp_path / "a.h5")
    for name in ("one", "two"):
        assert client.get("/api/sources/a/metadata", params={"path": name}).json()["called"] == name


def test_a_budget_with_a_short_scale_is_answered(five: TestClient) -> None:
    for scale in ([1], [1, 1], [2, 1, 1, 1]):
        body = {"source_id": "five.ome", "scale_hint": scale, "pixel_budget": 100}
        assert soon(lambda body=body: five.post("/api/slice", json=body)).status_code == 200


@pytest.mark.parametrize("how", ["mean", "max", "nearest"])
def test_much_is_reduced_part_by_part(serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    monkeypatch.setattr("coverslip.fronts.tensors.streams.LARGEST_PIECE_BYTES", 40_000)
    values = RNG.integers(0, 250, (7, 301, 403), np.uint8)
    client = serve(write_h5(tmp_path / "a.h5", v=values))
    found = pixels_of(client.get(f"/api/block/a?scale=2,30,7&reduce={how}&start=1,3,5"))
    from coverslip.domains.pyramid import reduce_by

    np.testing.assert_array_equal(found, reduce_by(values[1:, 3:, 5:], (2, 30, 7), how))


def test_reducing_does_not_hold_what_it_reads(serve: Serve, tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("v", (4000, 200_000), np.uint8, chunks=(500, 5000), fillvalue=7)
    client = serve(tmp_path / "a.h5")
    tracemalloc.start()
    try:
        found = pixels_of(client.get("/api/block/a?scale=100,100&reduce=max"))
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert found.shape == (40, 2000)
    assert (found == 7).all()
    assert most < 300 << 20, "of 800 MB"


def test_one_element_that_stands_for_too_many_is_refused(huge: TestClient) -> None:
    for response in (
        huge.get("/api/block/huge?scale=10000000,5000000&reduce=max"),
        huge.post("/api/slice", json={"source_id": "huge", "scale_hint": [10**7, 10**7], "reduction_method": "max"}),
    ):
        assert (response.status_code, response.json()["error"]["code"]) == (413, "too_large")


def test_a_slice_becomes_a_picture_by_its_first_plane(five: TestClient, serve: Serve, tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("v", (3000, 600, 500), np.uint8, chunks=(1, 600, 500), fillvalue=9)
    client = serve(tmp_path / "a.h5")
    tracemalloc.start()
    try:
        response = client.post("/api/render", json={"source_id": "a", "tensor_id": "a"})
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert response.headers["X-Image-Width"] == "500"
    assert most < 100 << 20, "of 900 MB"


def test_a_picture_of_too_many_pixels_is_refused(huge: TestClient) -> None:
    body = {"source_id": "huge", "slice_stop": [8192, 8192]}
    response = huge.post("/api/render", json=body)
    assert (response.status_code, response.json()["error"]["code"]) == (413, "too_large")
    small = soon(lambda: huge.post("/api/render", json={**body, "pixel_budget": 1_000_000}))
    assert small.headers["X-Image-Width"] == "512"


def test_kinds_of_numbers_that_are_no_brightness(serve: Serve, tmp_path: Path) -> None:
    mask, waves = RNG.random((20, 30)) > 0.5, np.ones((20, 30), np.complex64)
    client = serve(write_h5(tmp_path / "a.h5", mask=mask, waves=waves))
    assert client.post("/api/render", json={"source_id": "a", "tensor_id": "a/mask"}).status_code == 200
    response = client.post("/api/render", json={"source_id": "a", "tensor_id": "a/waves"})
    assert response.json()["error"]["code"] == "not_a_picture"
    np.testing.assert_array_equal(pixels_of(client.get("/api/block/a/waves")), waves)


def test_rgb_over_its_colours(serve: Serve, tmp_path: Path) -> None:
    picture = RNG.integers(0, 255, (30, 20, 3), np.uint8)
    tifffile.imwrite(tmp_path / "rgb.tif", picture, photometric="rgb")
    client = serve(tmp_path / "rgb.tif")
    np.testing.assert_array_equal(pixels_of(client.get("/api/tile/rgb?project=c")), picture.max(-1))
    assert client.get("/api/tile/rgb?project=c&fmt=png").status_code == 200
    assert client.get("/api/statistics/rgb?project=c").json()["channels"][0]["max"] == picture.max()


def test_names_of_axes_that_no_header_holds(serve: Serve, tmp_path: Path) -> None:
    metadata = {"shape": [3, 8, 9], "data_type": "uint8", "dimension_names": ["λ,\n", "y", "x"]}
    store = f"file://{tmp_path}/a.zarr/"
    tensorstore.open({"driver": "zarr3", "kvstore": store, "metadata": metadata, "create": True}).result()
    client = serve(tmp_path / "a.zarr")
    response = client.get("/api/block/a")
    assert response.headers["X-Dim-Labels"] == "%CE%BB%2C%0A,y,x"
    assert client.get("/api/tile_info/a").json()["dim_labels"] == ["λ,\n", "y", "x"]


def test_rendered_tiles_of_a_plane_share_their_contrast(serve: Serve, tmp_path: Path) -> None:
    """A tile that holds nothing bright is dark, not stretched until its noise is bright."""
    plane = RNG.integers(0, 20, (1024, 1024), np.uint16)
    plane[600:, 600:] = 4000
    tifffile.imwrite(tmp_path / "a.tif", plane)
    client = serve(tmp_path / "a.tif")
    import io

    from PIL import Image

    def brightest(row: int) -> int:
        answer = client.get(f"/api/tile/a?fmt=png&row={row}&col={row}").content
        return int(np.asarray(Image.open(io.BytesIO(answer)).convert("L")).max())

    assert brightest(1) == 255
    assert brightest(0) < 10


def test_more_channels_than_are_shown_at_once_are_refused(five: TestClient) -> None:
    assert five.get(f"/api/tile/five.ome?fmt=png&channels={','.join(['0'] * 64)}").status_code == 200
    assert five.get(f"/api/tile/five.ome?fmt=png&channels={','.join(['0'] * 65)}").status_code == 422


def test_large_blocks_are_not_sent_to_who_has_them(serve: Serve, tmp_path: Path) -> None:
    client = serve(write_h5(tmp_path / "a.h5", v=np.arange(3_000_000)))
    first = client.get("/api/block/a")
    assert len(first.content) == 24_000_000
    again = client.get("/api/block/a", headers={"if-none-match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    version = client.get("/api/tile_info/a").json()["version"]
    assert "immutable" in client.head(f"/api/block/a?v={version}").headers["cache-control"]
    gone = client.get("/api/block/a?v=another")
    assert (gone.status_code, gone.json()["error"]["code"]) == (404, "superseded")


def test_a_large_block_that_cannot_be_read_says_so(serve: Serve, tmp_path: Path) -> None:
    """With a status, not by an end in the middle of an answer that began well."""
    path = tmp_path / "a.ome.tif"
    tifffile.imwrite(path, RNG.integers(0, 99, (12, 1000, 1000), np.uint8), tile=(512, 512), compression="zlib")
    data = bytearray(path.read_bytes())
    with tifffile.TiffFile(path) as file:
        offset, size = file.pages[0].dataoffsets[0], file.pages[0].databytecounts[0]
    data[offset : offset + size] = bytes(size)
    path.write_bytes(data)
    response = serve(path).get("/api/block/a.ome")
    assert (response.status_code, response.json()["error"]["code"]) == (502, "damaged")


def test_a_body_too_long_to_be_a_request(five: TestClient) -> None:
    response = five.post("/api/slice", json={"source_id": "five.ome", "padding": "x" * (1 << 20)})
    assert (response.status_code, response.json()["error"]["code"]) == (413, "too_large")


@pytest.mark.parametrize("last", ["im%2520g%3F%23%26%3D%2B", "%E2%82%AC", "a%0D%0AX-Bad%3A%201", "a%2F%2Fb", "it's"])
def test_a_token_leaves_the_address_as_it_was(tmp_path: Path, last: str) -> None:
    server = Server(write_h5(tmp_path / "a.h5", v=PIXELS[0]), Settings(port=0, token="open-sesame-open-sesame"))
    server.start_background()
    try:
        connection = http.client.HTTPConnection(server.url.removeprefix("http://"))
        connection.request("GET", f"/api/tile/a/{last}?token=open-sesame-open-sesame&z=1")
        answer = connection.getresponse()
        assert (answer.status, answer.getheader("Location")) == (303, f"./{last}?z=1")
        assert answer.getheader("X-Bad") is None
        connection.close()
    finally:
        server.stop()


GUARDED = ["tile_info/a", "tile/a", "statistics/a", "block/a", "thumbnail/a", "sources", "sources/a", "catalog"]


def test_every_answer_is_behind_the_gate(serve: Serve, tmp_path: Path) -> None:
    client = serve(write_h5(tmp_path / "a.h5", v=PIXELS[0]), Settings(token="sesame"))
    ours = {"authorization": "Bearer sesame"}
    posted = {"slice": {"source_id": "a"}, "render": {"source_id": "a"}, "sources/query": {"sql": "SELECT 1"}}
    asked = [("GET", f"/api/{p}", None) for p in GUARDED] + [("POST", f"/api/{p}", b) for p, b in posted.items()]
    asked += [("GET", "/zarr/a/zarr.json", None), ("GET", "/zarr/a/0/c/0/0/0/0", None)]
    for method, path, body in asked:
        assert client.request(method, path, json=body).status_code == 401, path
        foreign = {**ours, "origin": "https://evil.example"}
        assert client.request(method, path, json=body, headers=foreign).status_code == 403, path
        rebound = {**ours, "host": "evil.example"}
        assert client.request(method, path, json=body, headers=rebound).status_code == 421, path
        good = client.request(method, path, json=body, headers=ours)
        assert good.status_code == 200, path
        assert good.headers["cross-origin-resource-policy"] == "same-origin"
        assert "access-control-allow-origin" not in good.headers
        assert client.request("PUT", path, json=body, headers=ours).status_code == 405
    form = {**ours, "content-type": "text/plain"}
    assert client.post("/api/slice", content='{"source_id": "a"}', headers=form).status_code == 415


def test_a_coarse_level_is_of_this_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where a folder has so many files that its own etag does not see one of them change."""
    monkeypatch.setattr("coverslip.formats.trees.zarr_store.path_etag", lambda path: "always-the-same")
    metadata = {"shape": [1200, 1300], "data_type": "uint16"}
    spec = {"driver": "zarr3", "kvstore": f"file://{tmp_path}/a.zarr/", "metadata": metadata, "create": True}
    store = tensorstore.open(spec).result()
    store[...] = 5
    catalog = catalog_of(tmp_path / "a.zarr")
    with TestClient(create_app(catalog, Settings(), 8765), base_url="http://127.0.0.1:8765") as client:
        assert (pixels_of(client.get("/api/tile/a?level=1")) == 5).all()
        store[...] = 9
        catalog.open("a").changed(1)  # as the watch does
        for level in (0, 1, 2):
            assert (pixels_of(client.get(f"/api/tile/a?level={level}")) == 9).all()
