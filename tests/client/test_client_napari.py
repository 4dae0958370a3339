"""What napari is given; napari itself reads it in the end-to-end tests."""

from __future__ import annotations

from importlib.metadata import entry_points
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
from conftest import LIVER, TOKEN, VOLUME, running, url_of

from coverslip.client import napari
from coverslip.client.napari import get_reader, split
from coverslip.core.errors import BadRequest, NotFound
from coverslip.server import Server


@pytest.mark.parametrize(
    ("url", "want"),
    [
        ("grpc://h:1/liver", ("grpc://h:1", "liver")),
        ("grpc://h:1/liver/0/labels%20x/", ("grpc://h:1", "liver/0/labels x")),
        ("http://h:1/liver?token=a", ("http://h:1?token=a", "liver")),
        ("http://h:1/lab/zarr/liver/2#token=a", ("http://h:1/lab#token=a", "liver/2")),
        ("http://h:1", ("http://h:1", "")),
    ],
)
def test_addresses(url: str, want: tuple[str, str]) -> None:
    assert split(url) == want


def test_only_addresses_of_servers_are_taken(server: Server) -> None:
    assert get_reader(f"{server.url}/liver") is not None
    assert get_reader([f"{server.url}/a", "grpc://h:1/b"]) is not None
    for other in ("/data/x.tif", "s3://bucket/x", "http://127.0.0.1:1/x.zarr", [f"{server.url}/a", "x.tif"], []):
        assert get_reader(other) is None  # type: ignore[arg-type]


@pytest.fixture
def token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COVERSLIP_TOKEN", TOKEN)


@pytest.mark.usefixtures("token")
def test_layers_of_channels(server: Server, protocol: str) -> None:
    url = f"{url_of(server, protocol)}/liver.ome.tif"
    reader = get_reader(url)
    assert reader is not None
    ((data, about, kind),) = reader(url)
    assert kind == "image"
    assert [level.shape for level in data] == [LIVER.shape, (2, 3, 2, 310, 265)]
    np.testing.assert_array_equal(data[0][1, 2, 0, :9, :9].compute(), LIVER[1, 2, 0, :9, :9])
    assert about["channel_axis"] == 1
    assert about["multiscale"]
    assert [name.rpartition(" ")[2] for name in about["name"]] == ["DAPI", "GFP", "Cy5"]
    assert about["scale"] == [1, 1, 0.5, 0.5]
    assert [cmap["colors"][0] for cmap in about["colormap"]] == [[0, 0, 0, 1]] * 3
    for low, high in about["contrast_limits"]:
        assert 0 <= low < high <= 4000


@pytest.mark.usefixtures("token")
def test_a_layer_without_channels(server: Server, protocol: str) -> None:
    ((data, about, kind),) = napari.read(f"{url_of(server, protocol)}/volume.zarr")
    assert (kind, about["multiscale"], about["name"]) == ("image", False, about["name"])
    np.testing.assert_array_equal(data.compute(), VOLUME)
    low, high = about["contrast_limits"]
    assert -5 < low < high < 5


@pytest.mark.usefixtures("token")
def test_a_server_as_a_whole(server: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert len(napari.read(server.url)) == 4
    monkeypatch.setattr(napari, "MOST_IMAGES", 2)
    with pytest.raises(BadRequest, match=r"has many images\. Name one"):
        napari.read(server.url)
    with pytest.raises(NotFound, match="Source not found: nothing"):
        napari.read(f"{server.url}/nothing")
    (tmp_path / "empty").mkdir()
    empty = running(tmp_path / "empty")
    try:
        with pytest.raises(BadRequest, match="has no image"):
            napari.read(empty.url)
    finally:
        empty.stop()


def test_the_manifest_is_offered() -> None:
    text = (files("coverslip.client") / "napari.yaml").read_text()
    assert "python_name: coverslip.client.napari:get_reader" in text
    offered = [entry.value for entry in entry_points(group="napari.manifest") if entry.name == "coverslip"]
    assert offered in ([], ["coverslip.client:napari.yaml"]), "an editable install may be older than the entry"
