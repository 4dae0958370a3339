"""The whole application on a bucket: listed, looked at, and no key told."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from starlette.testclient import TestClient

import make
from coverslip.app import catalog_of, create_app, remotes_of
from coverslip.config import load
from coverslip.core.errors import CoverslipError
from coverslip.settings import Settings, with_config
from remote_servers import S3, s3_server
from zarr_files import axes, datasets, pyramid, write_image

PIXELS = np.random.default_rng(0).integers(0, 4000, (3, 600, 700), np.uint16)


@pytest.fixture(scope="module")
def s3() -> Iterator[S3]:
    with s3_server() as server:
        yield server


@pytest.fixture(scope="module")
def bucket(s3: S3, tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("bucket")
    ome = {"multiscales": [{"axes": axes("cyx"), "datasets": datasets(2, [1.0, 0.5, 0.5])}]}
    write_image(folder / "brain.zarr", pyramid(PIXELS, 2), ome, chunks=(1, 256, 256))
    tifffile.imwrite(folder / "plain.tif", PIXELS[0])
    make.adata().write_h5ad(folder / "blood.h5ad")
    name = s3.make("lab")
    store = s3.store("lab")
    for file in folder.rglob("*"):
        if file.is_file():
            store.put(str(file.relative_to(folder)), file.read_bytes())
    return name


@pytest.fixture
def serve() -> Iterator[Callable[..., TestClient]]:
    clients = []

    def begin(items: list[Any], settings: Settings) -> TestClient:
        catalog = catalog_of(items, settings.cells, settings.catalog)
        app = create_app(catalog, settings, 8765, remotes_of(items, settings, catalog))
        client = TestClient(app, base_url="http://127.0.0.1:8765")
        client.__enter__()
        clients.append(client)
        return client

    yield begin
    for client in clients:
        client.__exit__()


def wait_for(client: TestClient, condition: Callable[[list[dict[str, Any]]], bool]) -> list[dict[str, Any]]:
    end = time.monotonic() + 30
    while not condition(found := client.get("/api/sources").json()):
        assert time.monotonic() < end, found
        time.sleep(0.1)
    return found


@pytest.fixture
def configured(s3: S3, bucket: str, tmp_path: Path) -> tuple[list[Any], Settings]:
    file = tmp_path / "lab.toml"
    file.write_text(
        f'[credentials]\ndefault_profile = "lab"\n[[credentials.profiles]]\nname = "lab"\nstorage_type = "s3"\n'
        f'key = "{s3.key}"\nsecret = "{s3.secret}"\nregion = "us-east-1"\nendpoint_url = "{s3.url}"\n'
        f'[[sources]]\nurl = "s3://{bucket}/"\nalias = "cloud"\n'
    )
    config = load(file)
    return list(config.offered), with_config(Settings(), config)


def test_a_bucket_is_served_like_a_folder(
    serve: Callable[..., TestClient], configured: tuple[list[Any], Settings], s3: S3
) -> None:
    client = serve(*configured)
    found = wait_for(
        client,
        lambda rows: (
            len(rows) == 3
            and all(r["status"] != "pending" for r in rows if r["kind"] != "images" or r["source_type"] != "tiff")
        ),
    )
    ids = {row["name"]: row["source_id"] for row in found}
    assert set(ids) == {"brain.zarr", "plain.tif", "blood.h5ad"}
    for name, want in (("brain.zarr", PIXELS[1]), ("plain.tif", PIXELS[0])):
        tile = client.get(
            f"/api/tile/{ids[name]}?c=1&size=4096" if name == "brain.zarr" else f"/api/tile/{ids[name]}?size=4096"
        )
        assert tile.status_code == 200, tile.text
        np.testing.assert_array_equal(np.frombuffer(tile.content, "<u2").reshape(want.shape), want)
    chunk = client.get(f"/zarr/{ids['brain.zarr']}/0/c/0/0/0")
    assert chunk.status_code == 200
    identity = client.get(f"/{ids['blood.h5ad']}/dataset_identity.json").json()
    assert identity["stats"]["n_cells"] == make.N
    for path in ("/api/sources", "/api/catalog", f"/api/sources/{ids['brain.zarr']}/metadata"):
        text = client.get(path).text
        assert s3.secret not in text
        assert s3.url not in text


def test_an_address_that_cannot_be_reached_ends_the_start(tmp_path: Path) -> None:
    item = "http://127.0.0.1:9/image.zarr?signature=hush-hush"
    catalog = catalog_of([item])
    with pytest.raises(CoverslipError) as caught:
        create_app(catalog, Settings(), 8765, remotes_of([item], Settings(), catalog))
    assert "hush" not in str(caught.value)
    assert "\n" not in str(caught.value)
