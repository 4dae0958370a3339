"""Images of a real server, over both protocols: what they are, and that indexing them is numpy's."""

from __future__ import annotations

import pickle
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import FIRST, LIVER, SECOND, TOKEN, VOLUME, Reads, running, settle, url_of, write_zarr

import coverslip
from coverslip.client import Changed, Client
from coverslip.core.errors import Ambiguous, CoverslipError, NotFound
from coverslip.server import Server

PATIENCE_S = 60
KEYS = [
    np.s_[...],
    np.s_[0],
    np.s_[-1, 2],
    np.s_[..., 5],
    np.s_[1, :, 1, 10:20, -30:],
    np.s_[0, ::2, :, ::50, ::-70],
    np.s_[:, ::-1, 0, 619:5:-200, 3],
    np.s_[None, 0, 1, ..., None, 4],
    np.s_[0, 0, 0, 600:700, 10:5],
    np.s_[np.int64(1), np.uint8(2)],
    np.s_[0, 0, 0, 0, 0],
    np.s_[:, [2, 0]],
    np.s_[0, [True, False, True], :, 5],
    np.s_[0, :, 1, [600, 3, 3, -1], ::100],
    np.s_[..., np.array([7, 9, 500])],
    np.s_[:, :, :, []],
]


def test_what_an_image_is(client: Client) -> None:
    image = client["liver.ome.tif"]
    assert image.dims == ("t", "c", "z", "y", "x")
    assert (image.shape, image.dtype, image.ndim, image.size) == (LIVER.shape, np.uint16, 5, LIVER.size)
    assert image.pixel_size == {"y": 0.5, "x": 0.5}
    assert image.units == {"y": "micrometer", "x": "micrometer"}
    assert [channel.label for channel in image.channels] == ["DAPI", "GFP", "Cy5"]
    assert [level.shape[-2:] for level in image.levels] == [(620, 530), (310, 265)]
    assert not image.rgb
    assert not image.is_label
    for word in ("liver", "t 2 × c 3 × z 2 × y 620 × x 530", "uint16", "2 levels", "0.5 micrometer", "DAPI, GFP, Cy5"):
        assert word in repr(image)


@pytest.mark.parametrize("key", KEYS, ids=str)
def test_indexing_is_numpys(client: Client, key: Any) -> None:
    found = client["liver.ome.tif"][key]
    want = LIVER[key]
    assert found.dtype == want.dtype
    assert found.shape == want.shape
    np.testing.assert_array_equal(found, want)
    assert found.flags.writeable or not found.ndim


@pytest.mark.parametrize(
    ("key", "words"),
    [
        (np.s_[0, 0, 0, 0, 0, 0], "too many indices"),
        (np.s_[2], "out of bounds for axis 0 with size 2"),
        (np.s_[0, -4], "out of bounds for axis 1 with size 3"),
        (np.s_[..., 0, ...], "single ellipsis"),
        (np.s_[[0, 1], [0, 1]], "only one axis"),
        (np.s_[[0, 5]], "out of bounds"),
        (np.s_[[[0, 1]]], "a list of indices"),
        (np.s_[[0.5]], "a list of indices"),
        (np.s_[[True] * 5], "a list of indices"),
        (np.s_[True], "only integers"),
        (np.s_["x"], "only integers"),
        (np.s_[0.5], "only integers"),
    ],
    ids=str,
)
def test_what_cannot_be_an_index(client: Client, key: Any, words: str) -> None:
    with pytest.raises(IndexError, match=words):
        _ = client["liver.ome.tif"][key]


def test_only_what_is_needed_is_read(client: Client, reads: Reads) -> None:
    image = client["liver.ome.tif"]
    _ = image[1, 2, 0, 100:164, 30:40]
    assert reads == [(1, 1, 1, 64, 10)]
    reads.clear()
    _ = image[1, 0:3:2, 1]  # two planes far apart are read one by one
    assert reads == [(1, 1, 1, 620, 530)] * 2
    reads.clear()
    _ = image[0:0]
    assert reads == []


def test_levels(client: Client) -> None:
    coarse = client["liver.ome.tif"].level(1)
    assert coarse.downsample[-2:] == (2, 2)
    square = LIVER.astype(np.uint32).reshape(2, 3, 2, 310, 2, 265, 2).sum((-1, -3))
    assert np.abs(coarse[...].astype(int) - square / 4).max() <= 1
    np.testing.assert_array_equal(coarse[1, ::2, 0, 100:110, ::-3], coarse[...][1, ::2, 0, 100:110, ::-3])
    with pytest.raises(NotFound, match=r"no level 7\. There is 0 to 1"):
        client["liver.ome.tif"].level(7)


def test_an_image_is_an_array(client: Client) -> None:
    image = client["volume.zarr"]
    np.testing.assert_array_equal(np.asarray(image), VOLUME)
    assert np.asarray(image, np.float64).dtype == np.float64
    assert len(image) == 20
    with pytest.raises(ValueError, match="copy"):
        np.array(image, copy=False)


def test_images_of_a_source_with_several(client: Client) -> None:
    with pytest.raises(Ambiguous, match="has 2 images"):
        _ = client["two.ome.tif"]
    source = client.sources["two.ome.tif"]
    assert len(source.images) == 2
    for id, want in zip(source.images, (FIRST, SECOND), strict=True):
        field = id.partition("/")[2]
        for image in (client[id], source[field], client[f"two.ome.tif/{field}"]):
            np.testing.assert_array_equal(image[...].squeeze(), want)


def test_a_name_there_is_not(client: Client) -> None:
    near = next(id for id in client.sources if id.startswith("volume"))
    with pytest.raises(NotFound, match=rf"Source not found: volume\.zar\. Did you mean {near}"):
        _ = client["volume.zar"]
    with pytest.raises(NotFound, match=r"Source not found: xyz\. There is "):
        _ = client["xyz/0"]
    with pytest.raises(NotFound, match="has no image"):
        _ = client[f"{near}/nothing"]
    with pytest.raises(CoverslipError, match="ends too early"):
        _ = client["broken.ome.tif"]
    for odd in ("", "/", "%", "a b?c#d", "../x", "é"):
        with pytest.raises(NotFound):
            _ = client[odd]


def test_a_pickle_reads_in_another_process(client: Client) -> None:
    image = client["liver.ome.tif"]
    code = "import pickle, sys; a = pickle.load(sys.stdin.buffer); print(int(a[1, 2, 0].sum()), a.level(1).shape)"
    done = subprocess.run([sys.executable, "-c", code], input=pickle.dumps(image), capture_output=True, check=True)
    assert done.stdout.decode().split(" ", 1) == [str(int(LIVER[1, 2, 0].sum())), f"{image.level(1).shape}\n"]
    again = pickle.loads(pickle.dumps([image, image.level(1)]))
    np.testing.assert_array_equal(again[0][0, 0], LIVER[0, 0])
    assert again[0].transport is again[1]._origin.transport


def test_the_token_is_shown_nowhere(client: Client) -> None:
    image = client["liver.ome.tif"]
    lazy = image.dask()
    told = [
        client,
        image,
        image.levels,
        client.sources,
        lazy.name,
        lazy.dask,
        vars(client),
        vars(image),
        image.xarray(),
    ]
    assert TOKEN not in repr([repr(one) for one in told])
    assert TOKEN in pickle.dumps(image).decode("latin-1")


def test_a_file_that_changed_is_not_mixed_with_what_it_was(tmp_path: Path, protocol: str) -> None:
    write_zarr(tmp_path / "x.zarr", VOLUME[:4], (2, 64, 64))
    settle(tmp_path)
    server = running(tmp_path)
    try:
        with coverslip.connect(url_of(server, protocol)) as client:
            old = client["x.zarr"]
            np.testing.assert_array_equal(old[0], VOLUME[0])
            for chunk in (tmp_path / "x.zarr" / "c").rglob("*"):
                if chunk.is_file():
                    chunk.write_bytes(bytes(chunk.stat().st_size))
            (tmp_path / "x.zarr" / "zarr.json").touch()
            with pytest.raises(Changed, match="has changed"):
                _ = old[1]
            assert not settled(lambda: client["x.zarr"][1]).any()
    finally:
        server.stop()


def settled(read: Callable[[], Any]) -> Any:
    """What is read once nothing changes any more: the watch may tell of chunks after their metadata was looked at."""
    end = time.monotonic() + PATIENCE_S
    while True:
        try:
            return read()
        except Changed:
            assert time.monotonic() < end
            time.sleep(0.1)


def test_many_threads_read_at_once(server: Server, client: Client) -> None:
    from concurrent.futures import ThreadPoolExecutor

    image = client["volume.zarr"]

    def check(i: int) -> bool:
        return np.array_equal(image[i % 20, i : i + 20], VOLUME[i % 20, i : i + 20], equal_nan=True)

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(check, range(100)))
