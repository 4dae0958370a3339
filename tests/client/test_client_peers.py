"""Tensor servers that are not ours: older columns, plans that answer more than was asked for, lies."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from tensor_server import TensorServer

import coverslip
from coverslip.client import CannotConnect, Client, TooOld
from coverslip.core.errors import CoverslipError, Damaged, NotFound

PIXELS = np.random.default_rng(3).integers(0, 60000, (95, 130)).astype(">u2")


@pytest.fixture
def peer() -> Iterator[TensorServer]:
    with TensorServer(PIXELS, {"status": "SERVING", "protocol": 2, "source_count": 1}) as server:
        yield server


@pytest.fixture
def client(peer: TensorServer) -> Iterator[Client]:
    with coverslip.connect(f"grpc://127.0.0.1:{peer.port}") as found:
        yield found


KEYS = [np.s_[...], np.s_[41:43, 60:90], np.s_[::7, ::-3], np.s_[-1], np.s_[39:41, 39:41], np.s_[50, [129, 0, 80]]]


@pytest.mark.parametrize("key", KEYS, ids=str)
def test_boxes_are_cut_out_of_what_is_answered(client: Client, key: Any) -> None:
    np.testing.assert_array_equal(client["old-1"][key], PIXELS[key])
    coarse = client["old-1"].level(1)
    where = tuple(k if isinstance(k, slice) else slice(None) for k in (key if isinstance(key, tuple) else (key,)))
    np.testing.assert_array_equal(coarse[where], PIXELS[::2, ::2][where])


def test_what_it_tells(client: Client) -> None:
    image = client["old-1"]
    assert image.dtype == np.dtype(">u2")
    assert image.pixel_size == {"y": 0.25, "x": 0.5}
    assert image.units["x"] == "micrometer"
    assert [(c.label, c.color) for c in image.channels] == [("Red", "FF0000")]
    assert [level.shape for level in image.levels] == [(95, 130), (48, 65)]
    assert client.sources["old-1"].images == ("old-1",)
    assert client.sources["old-1"].name == "old.czi"
    with pytest.raises(NotFound, match=r"Source not found: nothing\. There is old-1"):
        _ = client["nothing"]


def test_rows_that_were_left_out(client: Client) -> None:
    rows = client.sql("SELECT * FROM sources")
    assert (rows.truncated, rows.total, len(rows)) == (True, 9, 1)


@pytest.mark.parametrize(("lie", "words"), [("missing", "plan covers"), ("shape", "another chunk")])
def test_a_server_that_does_not_do_as_it_says(client: Client, peer: TensorServer, lie: str, words: str) -> None:
    image = client["old-1"]
    peer.lie = lie
    with pytest.raises(Damaged, match=words):
        _ = image[...]


@pytest.mark.parametrize(("health", "words"), [({}, "speaks protocol 1"), ({"protocol": 9}, "Upgrade coverslip here")])
def test_another_version(peer: TensorServer, health: dict[str, Any], words: str) -> None:
    peer.health = health
    with pytest.raises(TooOld, match=words):
        coverslip.connect(f"grpc://127.0.0.1:{peer.port}")


def test_another_way_of_sending(client: Client, peer: TensorServer) -> None:
    peer.wire = b"1"
    with pytest.raises(TooOld, match="sends chunks in another way"):
        _ = client["old-1"]


def test_health_that_is_none(peer: TensorServer) -> None:
    peer.health = [1]  # type: ignore[assignment]
    with pytest.raises(CannotConnect, match="no tensor server"):
        coverslip.connect(f"grpc://127.0.0.1:{peer.port}")


def test_a_server_that_is_starting_is_waited_for(peer: TensorServer) -> None:
    peer.health["status"] = "STARTING"
    with pytest.raises(CoverslipError, match=r"not become ready in 0s. it still looks"):
        coverslip.connect(f"grpc://127.0.0.1:{peer.port}", timeout_s=0.3)
    import threading

    threading.Timer(0.3, peer.health.update, [{"status": "SERVING"}]).start()
    coverslip.connect(f"grpc://127.0.0.1:{peer.port}").close()
