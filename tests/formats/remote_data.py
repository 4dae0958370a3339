"""Sources on a real S3 server and a web server, and what they are compared with."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import zarr

from coverslip.core.node import Array, Group, Source
from coverslip.core.spec import Box
from coverslip.formats.remote.credentials import Credentials, Profile
from coverslip.formats.remote.place import Offer, Place, Places
from remote_servers import S3, Web, s3_server, web_server


@pytest.fixture(scope="module")
def s3() -> Iterator[S3]:
    with s3_server() as server:
        yield server


@pytest.fixture
def web(tmp_path: Path) -> Iterator[Web]:
    folder = tmp_path / "web"
    folder.mkdir()
    with web_server(folder) as server:
        yield server


@pytest.fixture
def places(s3: S3, tmp_path: Path) -> Places:
    lab = Profile("lab", "s3", s3.key, s3.secret, "us-east-1", endpoint_url=s3.url)
    return Places(Credentials([lab], "lab"), tmp_path / "copies")


def offers(place: Place) -> list[Offer]:
    return [offer for batch in place.offers() for offer in batch]


def multiscales(version: str, levels: int = 2) -> dict:
    axes = [{"name": n, "type": t} for n, t in (("c", "channel"), ("y", "space"), ("x", "space"))]
    sets = [
        {"path": str(i), "coordinateTransformations": [{"type": "scale", "scale": [1, 0.5 * 2**i, 0.5 * 2**i]}]}
        for i in range(levels)
    ]
    scales = [{"name": "cells", "axes": axes, "datasets": sets, "version": version}]
    return {"ome": {"version": version, "multiscales": scales}} if version == "0.5" else {"multiscales": scales}


def write_ome(folder: Path, version: str, shards: tuple[int, ...] | None = None) -> np.ndarray:
    data = np.random.default_rng(3).integers(0, 60000, (2, 200, 300)).astype(np.uint16)
    data[:, :64, :64] = 0  # chunks that are not stored
    group = zarr.open_group(str(folder), mode="w", zarr_format=3 if version == "0.5" else 2)
    group.attrs.update(multiscales(version))
    for level in range(2):
        part = data[:, :: 2**level, :: 2**level]
        keys = {} if version == "0.5" else {"chunk_key_encoding": {"name": "v2", "separator": "/"}}
        made = group.create_array(
            str(level), shape=part.shape, dtype=part.dtype, chunks=(1, 64, 64), shards=shards, fill_value=0, **keys
        )
        made[...] = part
    return data


def walk(node: Group, at: str = "") -> Iterator[tuple[str, Array]]:
    for name in node:
        child = node[name]
        if isinstance(child, Array):
            yield f"{at}/{name}", child
        else:
            yield from walk(child, f"{at}/{name}")


def same(a: Source, b: Source) -> None:
    """Both trees hold the same values and attributes."""
    left, right = dict(walk(a.root)), dict(walk(b.root))
    assert list(left) == list(right)
    assert left
    assert dict(a.root.attrs) == dict(b.root.attrs)
    for name, array in left.items():
        other = right[name]
        assert array.spec == other.spec, name
        np.testing.assert_array_equal(array.read_all(), other.read_all(), name)


BOXES = [Box((0, 0, 0), (2, 200, 300)), Box((1, 10, 20), (2, 70, 33)), Box((0, 190, 290), (1, 200, 300))]
