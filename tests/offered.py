"""A small server of everything, and what there is on it: for tests of the description."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import tifffile
from starlette.applications import Starlette
from starlette.testclient import TestClient

import make
import network_files
from coverslip.app import catalog_of, create_app
from coverslip.engine.dialogue import Dialogue
from coverslip.engine.options import CatalogOptions
from coverslip.settings import Settings

PATIENCE_S = 60
BASE = "http://127.0.0.1:8765"


@dataclass
class Offered:
    """A server of everything.

    Attributes
    ----------
    client, app
        It, without a socket.
    values
        Values of parameters for which there is something, by their names; by ``PATH NAME`` where they differ.
    bodies
        Bodies that are answered well, by path.
    """

    client: TestClient
    app: Starlette
    values: dict[str, Any]
    bodies: dict[str, Any] = field(default_factory=dict)


def sample(folder: Path) -> Path:
    """A folder with something of every kind."""
    cells = make.adata()
    cells.obsm["velocity_umap"] = np.ones((cells.n_obs, 2), "f4")
    cells.write_h5ad(folder / "cells.h5ad")
    pixels = np.random.default_rng(0).integers(0, 4000, (2, 3, 96, 80), np.uint16)
    tifffile.imwrite(folder / "image.ome.tif", pixels, metadata={"axes": "TCYX"}, tile=(32, 32))
    with h5py.File(folder / "several.h5", "w") as file:
        file["a"] = pixels[0, 0]
        file["b"] = pixels[0, 1]
        file["rows"] = np.zeros(5, [("id", "<u4"), ("x", "<f4")])
        file["type"] = np.dtype("<i4")
        for at in (file, file["a"], file["type"]):
            at.attrs["title"] = "sample"
    network_files.hippocampal(folder / "CA1")
    return folder


@contextmanager
def offering(folder: Path, config: Path) -> Iterator[Offered]:
    """A server of everything in an empty folder, with a notebook and a configuration file."""
    sample(folder)
    then = time.time() - 60  # files that were written a moment ago count as being written
    for file in [folder, *folder.rglob("*")]:
        os.utime(file, (then, then))
    config.write_text("[server]\nport = 8765\n")
    catalog = catalog_of(folder, catalog=replace(CatalogOptions(), settle_s=1.0))
    dialogue = Dialogue()
    number = dialogue.tell({"do": "select"}, cells=b"\0\0\0\0")
    app = create_app(catalog, Settings(config_file=config), 8765, dialogue=dialogue)
    with TestClient(app, base_url=BASE, headers={"accept-encoding": "identity"}) as client:
        assert catalog.wait_idle(PATIENCE_S)
        yield Offered(client, app, values_of(client) | {"number": number}, bodies_of(client))


def ids_of(client: TestClient) -> dict[str, str]:
    """Ids of sources by the names of their files without an end."""
    return {row["name"].partition(".")[0]: row["source_id"] for row in client.get("/api/sources").json()}


def values_of(client: TestClient) -> dict[str, Any]:
    """What there is on the server."""
    cells, image, several, network = (ids_of(client)[name] for name in ("cells", "image", "several", "CA1"))
    fields = client.get(f"/{cells}/dataset_identity.json").json()["obs_fields"]
    (field,) = [f for f in fields if f["key"] == "kind"]
    (number,) = [f for f in fields if f["key"] == "score"]
    domain = client.get("/hsds/", params={"domain": "/several.h5", "getobjs": "1"}).json()
    first = {letter: next(id for id in domain["domain_objs"] if id.startswith(letter)) for letter in "dt"}
    by_path = {
        path: client.get("/hsds/", params={"domain": "/several.h5", "h5path": path}).json()["id"]
        for path in ("/a", "/rows")
    }
    summary = {"groups": {"field": field["index"]}, "genes": [0]}
    client.headers["content-type"] = "application/json"
    markers = client.post(f"/{cells}/analysis/markers", json={"groups": summary["groups"], "genes": [0, 1]})
    score = client.post(f"/{cells}/analysis/score", json={"genes": [0], "method": "mean"})
    del client.headers["content-type"]
    return {
        "source_id": image,
        "array_id": image,
        "network_id": network,
        "dataset": cells,
        "v": client.get(f"/api/tile_info/{image}").json()["version"],
        "domain": "/several.h5",
        "/hsds/domains domain": "/",
        "file": "several.h5",
        "/files/{system}/{file} file": "graph.json",
        "system": "CA1",
        "path": "/",
        "/api/admin/browse path": "",
        "/api/sources/{source_id}/metadata path": "",
        "/h5grove/data path": "/a",
        "/h5grove/stats path": "/a",
        "group_id": domain["root"],
        "dataset_id": by_path["/a"],
        "/hsds/datasets/{dataset_id}/query dataset_id": by_path["/rows"],
        "query": "x == 0",
        "datatype_id": first["t"],
        "link": "a",
        "attribute": "title",
        "user": "me",
        "image": "a",
        "/zarr/{source_id}/{image}/zarr.json source_id": several,
        "/zarr/{source_id}/{image}/{level}/c/{chunk} source_id": several,
        "/zarr/{source_id}/{level}/c/{chunk} chunk": "0/0/0/0/0",
        "/zarr/{source_id}/{image}/{level}/c/{chunk} chunk": "0/0",
        "level": 0,
        "chunk": "0/0",
        "column": 0,
        "gid": 0,
        "low": "-1000,-1000,-1000",
        "high": "1000,1000,1000",
        "index": 0,
        "dimensions": 2,
        "numbered": number["index"],
        "coded": field["index"],
        "extension": "u8",
        "gene": "plain",
        "genes": "0,1",
        "end": "src",
        "vector_field": "velocity_umap",
        "job": markers.json()["job"],
        "scored": score.json()["job"],
        "form": "bits",
        "n": 8,
    }


def bodies_of(client: TestClient) -> dict[str, Any]:
    """Bodies that are answered well."""
    image = ids_of(client)["image"]
    groups = {"groups": {"field": 0}}
    return {
        "/api/slice": {"source_id": image, "slice_start": [0, 0, 0, 0, 0], "slice_stop": [1, 1, 1, 8, 8]},
        "/api/render": {"source_id": image, "slice_stop": [1, 1, 1, 8, 8], "output_format": "png"},
        "/hsds/datasets/{dataset_id}/value": {"points": [[0, 1], [2, 3]]},
        "/api/session": {"token": "anything"},
        "/api/config": {"server": {"port": 8765}},
        "analysis/differential": {"group": {"kind": "category", "field": 0, "codes": [0]}, "genes": [0]},
        "analysis/markers": {**groups, "genes": [0]},
        "analysis/summary": {**groups, "genes": [0]},
        "analysis/distribution": {**groups, "genes": [0]},
        "analysis/composition": {**groups, "field": 0},
        "analysis/score": {"genes": [0], "method": "mean"},
    }
