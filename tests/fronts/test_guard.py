"""The gate alone, before an application that answers everything."""

from __future__ import annotations

import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.routing import WebSocketRoute
from starlette.testclient import TestClient, WebSocketDenialResponse
from starlette.websockets import WebSocket, WebSocketDisconnect

from coverslip.engine.access import Access
from coverslip.fronts.guard import Guard

TOKEN = "open-sesame-open-sesame"
HERE = "http://127.0.0.1:8765"
SOCKET = "ws://127.0.0.1:8765/ws/a"
ACCESS = Access(token=TOKEN)


async def echo(socket: WebSocket) -> None:
    await socket.accept()
    await socket.send_text("behind the gate")
    await socket.close()


def client(access: Access) -> TestClient:
    app = Starlette(
        routes=[WebSocketRoute("/ws/{name}", echo)], middleware=[Middleware(Guard, access=access, port=8765)]
    )
    return TestClient(app, base_url=HERE)


class TestWebSocket:
    @pytest.mark.parametrize(
        ("path", "headers"),
        [
            (f"{SOCKET}?x=1&token={TOKEN}", {}),
            (SOCKET, {"authorization": f"Bearer {TOKEN}"}),
            (SOCKET, {"x-biopb-token": TOKEN}),
            (SOCKET, {"cookie": f"coverslip_token_8765={ACCESS.session}"}),
            (f"{SOCKET}?token={TOKEN}", {"origin": HERE}),
        ],
    )
    def test_the_token_opens_it(self, path: str, headers: dict[str, str]) -> None:
        with client(ACCESS).websocket_connect(path, headers=headers) as socket:
            assert socket.receive_text() == "behind the gate"

    @pytest.mark.parametrize(
        ("path", "headers"),
        [
            (SOCKET, {}),
            (f"{SOCKET}?token=", {}),
            (f"{SOCKET}?token=wrong", {}),
            (SOCKET, {"authorization": f"Basic {TOKEN}"}),
            (SOCKET, {"cookie": f"coverslip_token_8765={TOKEN}"}),
        ],
    )
    def test_without_it_the_page_is_told_4001(self, path: str, headers: dict[str, str]) -> None:
        with (
            client(ACCESS).websocket_connect(path, headers=headers) as socket,
            pytest.raises(WebSocketDisconnect) as closed,
        ):
            socket.receive_text()
        assert (closed.value.code, closed.value.reason) == (4001, "Invalid or missing token")

    @pytest.mark.parametrize(
        ("headers", "status", "code"),
        [
            ({"origin": "https://evil.example"}, 403, "wrong_origin"),
            ({"origin": "null"}, 403, "wrong_origin"),
            ({"origin": "http://127.0.0.1:9999"}, 403, "wrong_origin"),
            ({"host": "evil.example"}, 421, "wrong_host"),
        ],
    )
    def test_foreign_pages_are_refused_with_and_without_a_token(
        self, headers: dict[str, str], status: int, code: str
    ) -> None:
        for access in (Access(), Access(token=TOKEN)):
            with (
                pytest.raises(WebSocketDenialResponse) as refused,
                client(access).websocket_connect(f"{SOCKET}?token={TOKEN}", headers=headers),
            ):
                pass
            assert (refused.value.status_code, refused.value.json()["error"]["code"]) == (status, code)

    def test_loopback_asks_for_none(self) -> None:
        with client(Access()).websocket_connect(SOCKET, headers={"origin": HERE}) as socket:
            assert socket.receive_text() == "behind the gate"
