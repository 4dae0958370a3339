"""A lab with files and folders of every kind, and clients that we did not write reading it through every front."""

from __future__ import annotations

import base64
import io
import json
import re
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urljoin, urlsplit

import anndata
import h5py
import h5pyd
import numpy as np
import tifffile
import zarr
from PIL import Image
from websockets.sync.client import connect
from zarr.storage import FsspecStore

import coverslip
import make
from coverslip.testing.networks import culture, write_system

PATIENCE_S = 120
PIXELS = np.random.default_rng(3).integers(0, 60_000, (2, 300, 410), np.uint16)
TRACES = np.random.default_rng(4).normal(size=(7, 500)).astype(np.float32)
STACK = np.arange(2 * 30 * 40, dtype=np.int32).reshape(2, 30, 40)
SOURCES = {"cells": "cells", "image.ome": "images", "CULTURE": "network", "traces.h5": "images", "stack.npy": "arrays"}


def lab(folder: Path) -> list[Path]:
    """What is named on the command line: a file of cells, an image, a neural system, and a folder of other files."""
    make.adata().write_h5ad(folder / "cells.h5ad")
    tifffile.imwrite(folder / "image.ome.tif", PIXELS, metadata={"axes": "CYX", "Channel": {"Name": ["DAPI", "GFP"]}})
    write_system(folder / "CULTURE", culture(60))
    more = folder / "more"
    more.mkdir()
    with h5py.File(more / "traces.h5", "w") as file:
        file["run 1/traces"] = TRACES
        file["run 1/traces"].attrs["unit"] = "mV"
    np.save(more / "stack.npy", STACK)
    return [folder / "cells.h5ad", folder / "image.ome.tif", folder / "CULTURE", more]


@dataclass
class Client:
    """Somebody who asks a server.

    Attributes
    ----------
    url
        Of the server's root, with a slash at its end, as this client sees it.
    headers
        Sent along with everything.
    token
        For programs that take a password.
    links
        What links of answers begin with, where that is not the same ``url``.
    """

    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    token: str = ""
    links: str = ""

    def ask(self, path: str, body: object = None, **headers: str) -> tuple[int, bytes, Mapping[str, str]]:
        """Status, body and headers of one request, of whatever status."""
        sent = {"Connection": "close", **self.headers, **headers}
        data = None if body is None else json.dumps(body).encode()
        if data is not None:
            sent["Content-Type"] = "application/json"
        request = urllib.request.Request(urljoin(self.url, path), data=data, headers=sent)
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE_S) as got:
                return got.status, got.read(), got.headers
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read(), error.headers

    def read(self, path: str, body: object = None) -> bytes:
        """The body of what is there."""
        status, found, _ = self.ask(path, body)
        assert status == 200, (path, status, found[:500])
        return found

    def tell(self, path: str, body: object = None) -> Any:
        """A body of JSON."""
        return json.loads(self.read(path, body))

    def ready(self) -> bool:
        """Whether everything was looked at."""
        try:
            found = self.tell("api/sources")
        except (OSError, AssertionError):
            return False
        return len(found) == len(SOURCES) and all(source["status"] == "ready" for source in found)

    def wait(self) -> None:
        """Wait until it is ready."""
        end = time.monotonic() + PATIENCE_S
        while not self.ready():
            assert time.monotonic() < end, self.ask("api/sources")[:2]
            time.sleep(0.05)

    def ids(self) -> dict[str, str]:
        """The id of each source, by its name."""
        return {source["name"]: source["source_id"] for source in self.tell("api/sources")}


def check_every_front(client: Client) -> None:
    """Read everything of `lab` through every front, and compare it with what was written.

    Raises
    ------
    AssertionError
        When anything differs.
    """
    found = {source["name"]: source["kind"] for source in client.tell("api/sources")}
    assert found == SOURCES, found
    ids = client.ids()
    check_viewer(client)
    check_cells(client, ids["cells"])
    check_images(client, ids["image.ome"])
    check_zarr(client, ids["image.ome"])
    check_socket(client, ids["image.ome"])
    check_hsds(client)
    check_h5grove(client)
    check_network(client, ids["CULTURE"])
    check_python(client.url, client.token)
    assert b"coverslip" in client.read("metrics")


def check_viewer(client: Client) -> None:
    """The page, and each file that it names."""
    page = client.read("").decode()
    named = re.findall(r'(?:src|href)="([^"]+)"', page)
    assert any("assets/" in name for name in named), page[:300]
    assert not [name for name in named if name.startswith("/")], "every address is relative"
    for name in named:
        client.read(name)
    described = urljoin(client.url, client.tell("api/openapi.json")["servers"][0]["url"])
    assert unquote(described).rstrip("/") == unquote(client.links or client.url).rstrip("/")


def check_cells(client: Client, id: str) -> None:
    """The points, a column and a gene, as anndata has them."""
    written = make.adata()
    about = client.tell(f"{id}/dataset_identity.json")
    assert about["stats"]["n_cells"] == written.n_obs
    points = np.frombuffer(client.read(f"{id}/points_2d.bin"), "<f4").reshape(-1, 2)
    assert points.shape == (written.n_obs, 2)
    for gene in ("plain", "HLA%2FA"):
        values = np.frombuffer(client.read(f"{id}/var/{gene}.values.f32"), "<f4")
        np.testing.assert_array_equal(values, column(written, gene.replace("%2F", "/")))
    asked = {"groups": {"a": {"cells": [0, 1, 2]}, "b": {"cells": [3, 4, 5]}}}
    status, body, _ = client.ask(f"{id}/analysis/summary", asked)
    assert status in (200, 400, 422), body[:300]
    assert b'"error"' in body or b"groups" in body


def column(cells: anndata.AnnData, gene: str) -> np.ndarray:
    """A gene's values."""
    return np.asarray(cells[:, gene].X, np.float32).ravel()


def check_images(client: Client, id: str) -> None:
    """A tile, a part of it, a slice, a picture, a page of SQL."""
    about = client.tell(f"api/tile_info/{id}")
    assert about["shape"][-2:] == list(PIXELS.shape[1:])
    tile = f"api/tile/{id}?level=0&col=0&row=0&c=1&fmt=raw"
    whole = client.read(tile)
    np.testing.assert_array_equal(np.frombuffer(whole, "<u2").reshape(PIXELS.shape[1:]), PIXELS[1])
    status, part, headers = client.ask(tile, Range="bytes=10-99")
    assert (status, part) == (206, whole[10:100])
    assert client.ask(tile, **{"If-None-Match": headers["ETag"]})[0] == 304
    box = {"slice_start": [0, 1, 0, 5, 7], "slice_stop": [1, 2, 1, 25, 37]}
    sliced = client.read("api/slice", {"source_id": id, **box})
    np.testing.assert_array_equal(np.frombuffer(sliced, "<u2").reshape(20, 30), PIXELS[1, 5:25, 7:37])
    assert Image.open(io.BytesIO(client.read(f"api/thumbnail/{id}?size=64"))).width == 64
    [row] = client.tell("api/sources/query", {"sql": "select count(*) as n from sources"})
    assert row == {"n": len(SOURCES)}


def check_zarr(client: Client, id: str) -> None:
    """zarr-python reads every pixel."""
    options = {"client_kwargs": {"headers": dict(client.headers)}} if client.headers else {}
    store = FsspecStore.from_url(f"{client.url}zarr/{id}", read_only=True, storage_options=options)
    np.testing.assert_array_equal(np.asarray(zarr.open_group(store, mode="r")["0"][...]).squeeze(), PIXELS)


def check_socket(client: Client, id: str) -> None:
    """Pictures over a WebSocket."""
    address = re.sub(r"^http", "ws", client.url) + "ws/render"
    box = {"slice_start": [0, 1, 0, 0, 0], "slice_stop": [1, 2, 1, 30, 40], "output_format": "raw"}
    with connect(address, additional_headers=dict(client.headers), max_size=None) as socket:
        socket.send(json.dumps({"action": "render", "id": 7, "params": {"source_id": id, **box}}))
        assert json.loads(socket.recv(PATIENCE_S))["id"] == 7
        pixels = np.frombuffer(socket.recv(PATIENCE_S), "<u2").reshape(30, 40)  # type: ignore[arg-type]
    np.testing.assert_array_equal(pixels, PIXELS[1, :30, :40])


def check_hsds(client: Client) -> None:
    """h5pyd reads the traces; each link of an answer leads back here."""
    who = {"username": "anyone", "password": client.token} if client.token else {}
    with h5pyd.File("/more/traces.h5", "r", endpoint=f"{client.url}hsds", retries=1, **who) as file:
        np.testing.assert_array_equal(file["run 1/traces"][...], TRACES)
        assert file["run 1/traces"].attrs["unit"] == "mV"
    for link in client.tell("hsds/?domain=/more/traces.h5")["hrefs"]:
        assert link["href"].startswith(f"{client.links or client.url}hsds/"), link
        if link["rel"] != "acls":
            client.read(urlsplit(link["href"])._replace(netloc=urlsplit(client.url).netloc).geturl())


def check_h5grove(client: Client) -> None:
    """What h5grove's clients ask."""
    place = "file=more/traces.h5&path=/run%201/traces"
    values = np.frombuffer(client.read(f"h5grove/data/?{place}&format=bin"), "<f4").reshape(TRACES.shape)
    np.testing.assert_array_equal(values, TRACES)
    assert client.tell(f"h5grove/attr/?{place}") == {"unit": "mV"}


def check_network(client: Client, id: str) -> None:
    """The neurons of the system, and its own file as HDF5."""
    about = client.tell(f"api/networks/{id}")
    assert about["neurons"] == 60
    assert len(client.read(f"api/networks/{id}/coordinates")) == 60 * 3 * 4
    assert client.tell("systems") == ["CULTURE"]


def check_python(url: str, token: str) -> None:
    """coverslip's own client reads the arrays, whichever protocol the address names."""
    with coverslip.connect(url, token or None) as client:
        np.testing.assert_array_equal(np.asarray(client["image.ome"]).squeeze(), PIXELS)
        np.testing.assert_array_equal(np.asarray(client["stack.npy"]).squeeze(), STACK)
        assert len(client.sql("select * from sources")) == len(SOURCES)


def basic(token: str) -> dict[str, str]:
    """The header of who shows a token as a password."""
    return {"Authorization": "Basic " + base64.b64encode(f"anyone:{token}".encode()).decode()}
