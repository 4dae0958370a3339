"""``WS /ws/render``: pictures over one connection."""

from __future__ import annotations

import asyncio
import io
import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image
from starlette.testclient import TestClient, WebSocketDenialResponse
from starlette.websockets import WebSocketDisconnect

from coverslip.core.errors import BadRequest
from coverslip.fronts.tensors import slices, sockets
from coverslip.settings import Settings

Serve = Callable[..., TestClient]
ROOT = "ws://127.0.0.1:8765"
URL = f"{ROOT}/ws/render"
PIXELS = np.random.default_rng(0).integers(0, 4000, (2, 3, 100, 120), np.uint16)


@pytest.fixture(scope="module")
def client(serve_all: Serve, tmp_path_factory: pytest.TempPathFactory) -> TestClient:
    path = tmp_path_factory.mktemp("three") / "three.ome.tif"
    tifffile.imwrite(path, PIXELS, metadata={"axes": "ZCYX"})
    return serve_all(path)


def params(**more: Any) -> dict[str, Any]:
    return {"source_id": "three.ome", "slice_start": [0, 1, 1, 10, 20], "slice_stop": [1, 2, 2, 60, 100], **more}


def test_a_picture_follows_its_announcement(client: TestClient) -> None:
    plane = PIXELS[1, 1, 10:60, 20:100]
    with client.websocket_connect(URL) as socket:
        socket.send_json({"action": "render", "id": 7, "params": params(use_min_max=True, color="white")})
        started = socket.receive_json()
        assert started == {
            "action": "render_start",
            "id": 7,
            "width": 80,
            "height": 50,
            "format": "png",
            "loaded_region": {"start": [0, 1, 1, 10, 20], "stop": [1, 2, 2, 60, 100]},
            "percentile_lo": 1.0,
            "percentile_hi": 99.0,
            "percentile_lo_value": float(plane.min()),
            "percentile_hi_value": float(plane.max()),
        }
        picture = np.asarray(Image.open(io.BytesIO(socket.receive_bytes())).convert("L"))
        want = (plane - plane.min()) / (plane.max() - plane.min()) * 255.0
        np.testing.assert_allclose(picture, want, atol=0.6)


def test_the_same_as_over_http(client: TestClient) -> None:
    body = params(scale_hint=[1, 1, 1, 2, 2], output_format="jpeg", percentile_lo=5, percentile_hi=95)
    over_http = client.post("/api/render", json=body)
    assert over_http.headers["X-Loaded-Region"] == "0,1,1,10,20:1,2,2,60,100"
    with client.websocket_connect(URL) as socket:
        socket.send_text(json.dumps({"action": "render", "params": body}))
        started = socket.receive_json()
        assert "id" not in started
        assert (started["width"], started["height"], started["format"]) == (40, 25, "jpeg")
        assert f"{started['percentile_hi_value']:g}" == over_http.headers["X-Percentile-Hi-Value"]
        assert socket.receive_bytes() == over_http.content


def test_raw_pixels(client: TestClient) -> None:
    with client.websocket_connect(URL) as socket:
        socket.send_json({"action": "render", "params": params(output_format="raw")})
        started = socket.receive_json()
        assert (started["shape"], started["dtype"], started["dim_labels"]) == (
            [1, 1, 1, 50, 80],
            "uint16",
            list("tczyx"),
        )
        found = np.frombuffer(socket.receive_bytes(), "<u2").reshape(50, 80)
        np.testing.assert_array_equal(found, PIXELS[1, 1, 10:60, 20:100])


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        ("hello", "bad_request"),
        ("[1]", "bad_request"),
        ("{}", "bad_request"),
        (json.dumps({"action": "dance", "params": {}}), "bad_request"),
        (json.dumps({"action": "render"}), "bad_request"),
        (json.dumps({"action": "render", "error": "x", "params": {}}), "bad_request"),
        (json.dumps({"action": "render", "params": {"source_id": "nothing"}}), "source_not_found"),
        (json.dumps({"action": "render", "params": params(slice_stop=[9, 9, 9, 9, 9])}), "bad_selection"),
        (json.dumps({"action": "render", "params": params(output_format="bmp")}), "bad_selection"),
        (json.dumps({"action": "render", "params": params(), "x": "y" * (1 << 20)}), "too_large"),
    ],
)
def test_a_mistake_is_told_and_the_next_request_is_answered(client: TestClient, sent: str, code: str) -> None:
    with client.websocket_connect(URL) as socket:
        socket.send_text(sent)
        told = socket.receive_json()
        assert (told["action"], told["code"]) == ("error", code)
        assert told["message"]
        socket.send_json({"action": "render", "params": params()})
        assert socket.receive_json()["action"] == "render_start"
        assert socket.receive_bytes()


def test_an_error_nobody_foresaw_tells_no_details(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("secret")

    monkeypatch.setattr(slices.Rendering, "make", broken)
    with client.websocket_connect(URL) as socket:
        socket.send_json({"action": "render", "params": params(percentile_lo=3)})
        told = socket.receive_text()
        assert "secret" not in told
        assert json.loads(told)["code"] == "internal"


def test_the_newest_request_is_made_and_every_one_is_answered_in_order(client: TestClient) -> None:
    go, seen = threading.Event(), threading.Event()
    make = slices.Rendering.make

    def slow(self: slices.Rendering, found: slices.Found, etag: str, stop: Any) -> Any:
        if self.low == 11:
            seen.set()
            while not go.wait(0.01):
                stop.check()
        return make(self, found, etag, stop)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(slices.Rendering, "make", slow)
        with client.websocket_connect(URL) as socket:
            socket.send_json({"action": "render", "id": 0, "params": params(percentile_lo=11)})
            assert seen.wait(30)
            for number in range(1, 20):
                socket.send_json({"action": "render", "id": number, "params": params(percentile_lo=12)})
            told = []
            while not told or told[-1]["id"] != 19:
                told.append(socket.receive_json())
                if told[-1]["action"] == "render_start":
                    assert socket.receive_bytes()
    go.set()
    assert [one["id"] for one in told] == list(range(20))
    assert told[0]["code"] == "superseded"
    assert told[19]["action"] == "render_start"
    assert {one.get("code") for one in told if one["action"] == "error"} == {"superseded"}


def test_what_nobody_waits_for_ends() -> None:
    begun, ended = asyncio.Event(), asyncio.Event()

    async def render(_: dict[str, Any]) -> Any:
        begun.set()
        try:
            await asyncio.sleep(60)
        finally:
            ended.set()

    async def speak() -> None:
        messages = asyncio.Queue[dict[str, Any]]()
        for message in (
            {"type": "websocket.connect"},
            {"type": "websocket.receive", "text": '{"action": "render", "params": {}}'},
        ):
            messages.put_nowait(message)
        sent: list[Any] = []

        async def send(message: Any) -> None:
            sent.append(message)

        speaking = asyncio.create_task(sockets.RenderSocket(render)({}, messages.get, send))  # type: ignore[arg-type]
        await begun.wait()
        messages.put_nowait({"type": "websocket.disconnect", "code": 1006})
        await asyncio.wait_for(speaking, 10)
        await asyncio.wait_for(ended.wait(), 10)
        assert [message["type"] for message in sent] == ["websocket.accept"]

    asyncio.run(speak())


def test_a_client_that_takes_nothing_holds_little() -> None:
    async def render(_: dict[str, Any]) -> Any:
        raise BadRequest("no")

    async def speak() -> int:
        taken = 0

        async def receive() -> dict[str, Any]:
            nonlocal taken
            taken += 1
            await asyncio.sleep(0)
            return {"type": "websocket.receive", "text": "{}"}

        async def send(message: dict[str, Any]) -> None:
            if message["type"] != "websocket.accept":
                await asyncio.sleep(3600)

        speaking = asyncio.create_task(sockets.RenderSocket(render)({}, receive, send))  # type: ignore[arg-type]
        for _ in range(5000):
            await asyncio.sleep(0)
        speaking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await speaking
        return taken

    assert asyncio.run(speak()) <= sockets.MOST_WAITING + 5


def test_only_there_and_only_with_the_token(serve: Serve, tmp_path: Path, client: TestClient) -> None:
    for address, headers, status in (
        (f"{ROOT}/ws/other", {}, 404),
        (URL, {"origin": "https://evil.example"}, 403),
        (URL.replace("127.0.0.1", "evil.example"), {}, 421),
    ):
        with pytest.raises(WebSocketDenialResponse) as refused, client.websocket_connect(address, headers=headers):
            pass
        assert refused.value.status_code == status
    tifffile.imwrite(tmp_path / "x.tif", PIXELS[0, 0])
    gated = serve(tmp_path / "x.tif", Settings(token="sesame-sesame-sesame"))
    with gated.websocket_connect(URL) as socket, pytest.raises(WebSocketDisconnect) as closed:
        socket.receive_text()
    assert closed.value.code == 4001
    for address, headers in (("?token=sesame-sesame-sesame", {}), ("", {"x-biopb-token": "sesame-sesame-sesame"})):
        with gated.websocket_connect(f"{URL}{address}", headers=headers) as socket:
            socket.send_json({"action": "render", "params": {"source_id": "x"}})
            assert socket.receive_json()["action"] == "render_start"
