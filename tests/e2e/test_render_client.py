"""Pictures over a WebSocket: a client we did not write, against the installed server."""

from __future__ import annotations

import io
import json
import threading
from contextlib import suppress
from pathlib import Path
from socket import SHUT_RDWR
from typing import Any

import numpy as np
import pytest
import tifffile
from conftest import PATIENCE_S, Open, Running, Start, fetch, wait_for
from PIL import Image
from websockets.exceptions import ConnectionClosedError, InvalidStatus
from websockets.sync.client import connect

TOKEN = "sesame-sesame-sesame"
PIXELS = np.random.default_rng(4).integers(0, 60000, (2, 1000, 1200), np.uint16)
MANY = 30


@pytest.fixture(scope="module")
def command(imaging_command: Path) -> Path:
    return imaging_command


@pytest.fixture(scope="module")
def server(start: Start, tmp_path_factory: pytest.TempPathFactory) -> Running:
    folder = tmp_path_factory.mktemp("images")
    tifffile.imwrite(folder / "two.ome.tif", PIXELS, metadata={"axes": "CYX"})
    running = start(folder / "two.ome.tif")
    wait_for(lambda: json.loads(fetch(f"{running.url}api/sources"))[0]["status"] == "ready", "the image")
    return running


def address(server: Running) -> str:
    return server.url.partition("#")[0].replace("http://", "ws://") + "ws/render"


def request(id: int, **more: Any) -> str:
    box = {"slice_start": [0, 1, 0, 0, 0], "slice_stop": [1, 2, 1, 1000, 1200]}
    return json.dumps({"action": "render", "id": id, "params": {"source_id": "two.ome", **box, **more}})


def test_pictures_one_after_the_other(server: Running) -> None:
    with connect(address(server), max_size=None) as socket:
        for number in range(MANY):
            edge = 100 + number
            socket.send(request(number, slice_stop=[1, 2, 1, edge, edge], output_format="png", color="white"))
            started = json.loads(socket.recv(PATIENCE_S))
            assert (started["action"], started["id"], started["width"]) == ("render_start", number, edge)
            picture = Image.open(io.BytesIO(socket.recv(PATIENCE_S)))
            assert picture.size == (edge, edge)
        socket.send(request(99, output_format="raw"))
        assert json.loads(socket.recv(PATIENCE_S))["dtype"] == "uint16"
        raw = np.frombuffer(socket.recv(PATIENCE_S), "<u2").reshape(1000, 1200)
        np.testing.assert_array_equal(raw, PIXELS[1])


def test_many_at_once_are_each_answered_and_the_last_is_drawn(server: Running) -> None:
    with connect(address(server), max_size=None) as socket:
        for number in range(MANY):
            socket.send(request(number, percentile_lo=number / 10))
        told, drawn = [], []
        while len(told) < MANY:
            message = socket.recv(PATIENCE_S)
            if isinstance(message, bytes):
                drawn.append(told[-1]["id"])
            else:
                told.append(json.loads(message))
        assert isinstance(socket.recv(PATIENCE_S), bytes)
    assert [one["id"] for one in told] == list(range(MANY))
    assert told[-1]["action"] == "render_start"
    assert {one["code"] for one in told if one["action"] == "error"} <= {"superseded"}
    assert drawn == [one["id"] for one in told[:-1] if one["action"] == "render_start"]


def test_a_client_that_leaves_keeps_nothing_busy(server: Running) -> None:
    def leave() -> None:
        with connect(address(server)) as socket:
            for number in range(5):
                socket.send(request(number, percentile_lo=20 + number / 10))
            socket.socket.shutdown(SHUT_RDWR)

    leaving = [threading.Thread(target=leave) for _ in range(8)]
    for thread in leaving:
        thread.start()
    for thread in leaving:
        thread.join()
    with connect(address(server), max_size=None) as socket:
        socket.send(request(1, percentile_lo=30))
        assert json.loads(socket.recv(PATIENCE_S))["action"] == "render_start"


def test_what_is_too_long_ends_the_connection(server: Running) -> None:
    with connect(address(server)) as socket:
        with suppress(ConnectionClosedError):  # when the server's word comes before all is sent
            socket.send("x" * (2 << 20))
        with pytest.raises(ConnectionClosedError) as closed:
            socket.recv(PATIENCE_S)
    assert closed.value.rcvd is None or closed.value.rcvd.code == 1009
    with connect(address(server)) as socket:
        socket.send(request(1))
        assert json.loads(socket.recv(PATIENCE_S))["action"] == "render_start"


def test_who_may_connect(server: Running, start: Start) -> None:
    with pytest.raises(InvalidStatus) as refused:
        connect(address(server), origin="https://evil.example")  # type: ignore[arg-type]
    assert refused.value.response.status_code == 403
    gated = start(*server.process.args[2:3], "--token", TOKEN)  # type: ignore[index]
    with connect(address(gated)) as socket, pytest.raises(ConnectionClosedError) as closed:
        socket.recv(PATIENCE_S)
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 4001
    with connect(address(gated), additional_headers={"Authorization": f"Bearer {TOKEN}"}) as socket:
        socket.send(request(1))
        assert json.loads(socket.recv(PATIENCE_S))["action"] == "render_start"


def test_a_page_of_the_server_may(server: Running, look: Open) -> None:
    seen = look(server.url)
    found = seen.page.evaluate(
        """async (message) => {
            const socket = new WebSocket(location.origin.replace('http', 'ws') + '/ws/render');
            socket.binaryType = 'blob';
            await new Promise((done) => { socket.onopen = done; });
            const got = [];
            const both = new Promise((done) => {
                socket.onmessage = (event) => { got.push(event.data); if (got.length > 1) done(); };
            });
            socket.send(message);
            await both;
            const picture = await createImageBitmap(got[1]);
            return [JSON.parse(got[0]).width, picture.width, picture.height];
        }""",
        request(1, output_format="jpeg"),
    )
    assert found == [1200, 1200, 1000]
