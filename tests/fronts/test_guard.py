"""The gate alone, before an application that answers everything."""

from __future__ import annotations

from base64 import b64encode

import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.testclient import TestClient, WebSocketDenialResponse
from starlette.websockets import WebSocket, WebSocketDisconnect

from coverslip.core.errors import BadUsage
from coverslip.engine.access import Access
from coverslip.engine.failures import Failures
from coverslip.engine.keys import Keys
from coverslip.fronts.forwarded import Forwarded, networks
from coverslip.fronts.guard import LOCKED_SCOPE, Guard

TOKEN = "open-sesame-open-sesame"
BASIC = b64encode(f"anyone:{TOKEN}".encode()).decode()
HERE = "http://127.0.0.1:8765"
SOCKET = "ws://127.0.0.1:8765/ws/a"
INSIDE = {"token_needed": True, "authenticated": True, "scope": "admin"}
ACCESS = Access(keys=Keys(TOKEN))


@pytest.mark.parametrize(
    ("name", "first", "second", "status"),
    [("host", "127.0.0.1:8765", "evil.example", 421), ("origin", HERE, "http://evil.example", 403)],
)
def test_what_is_said_twice_is_not_believed(name: str, first: str, second: str, status: int) -> None:
    app = Starlette(routes=[Route("/a", lambda _: Response())], middleware=[Middleware(Guard, access=Access(), port=1)])
    asked = TestClient(app, base_url=HERE)
    assert asked.get("/a", headers={name: first}).status_code == 200
    assert asked.get("/a", headers=[(name, first), (name, second)]).status_code == status
    assert asked.get("/a", headers=[(name, second), (name, first)]).status_code == status


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
            (SOCKET, {"cookie": f"coverslip_token_8765={ACCESS.keys.session}"}),
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
        for access in (Access(), Access(keys=Keys(TOKEN))):
            with (
                pytest.raises(WebSocketDenialResponse) as refused,
                client(access).websocket_connect(f"{SOCKET}?token={TOKEN}", headers=headers),
            ):
                pass
            assert (refused.value.status_code, refused.value.json()["error"]["code"]) == (status, code)

    def test_loopback_asks_for_none(self) -> None:
        with client(Access()).websocket_connect(SOCKET, headers={"origin": HERE}) as socket:
            assert socket.receive_text() == "behind the gate"


async def everything(request: Request) -> Response:
    return JSONResponse({"locked": request.scope.get(LOCKED_SCOPE), "scheme": request.url.scheme})


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def pages(access: Access = ACCESS, clock: Clock | None = None, peer: str = "192.0.2.1") -> TestClient:
    """A gate before an application that answers every path; ``/`` is the viewer's."""
    app = Starlette(
        routes=[Route("/{path:path}", everything, methods=["GET", "POST"]), WebSocketRoute("/ws/{name}", echo)],
        middleware=[
            Middleware(Forwarded, trusted=["198.51.100.0/24"]),
            Middleware(
                Guard, access=access, port=8765, public=lambda path: path in ("", "app.js"),
                failures=Failures(3, 60, clock=clock or Clock()),
            ),
        ],
    )  # fmt: skip
    return TestClient(app, base_url=HERE, client=(peer, 1234))


class TestToken:
    @pytest.mark.parametrize(
        "headers",
        [
            {"authorization": f"bearer {TOKEN}"},
            {"X-Biopb-Token": TOKEN},
            {"authorization": f"Basic {BASIC}"},
            # h5pyd 1.0.0 writes bytes, which a browser's Python sends as text.
            {"authorization": f"b'Basic {BASIC}'"},
            {"authorization": f"b'Bearer {TOKEN}'"},
            {"authorization": ",".join(str(byte) for byte in f"Basic {BASIC}".encode())},
        ],
    )
    def test_programs_show_it_in_a_header(self, headers: dict[str, str]) -> None:
        assert pages().get("/api/x", headers=headers).status_code == 200

    def test_without_it_the_answer_is_as_documented(self) -> None:
        answer = pages().get("/api/x")
        assert (answer.status_code, answer.json()["detail"]) == (401, "Invalid or missing token")
        assert answer.json()["error"]["code"] == "token_needed"
        assert answer.headers["www-authenticate"] == "Bearer"
        assert answer.headers["cache-control"] == "no-store"

    def test_the_page_itself_is_served_and_knows_that_it_is_locked(self) -> None:
        client = pages()
        assert client.get("/").json()["locked"] == "missing"
        assert client.get("/app.js").json()["locked"] == "missing"
        assert client.get("/?token=wrong").json()["locked"] == "wrong"
        client.post("/api/session", json={"token": TOKEN})
        assert client.get("/").json()["locked"] is None
        assert pages(Access()).get("/").json()["locked"] is None

    def test_supervisors_need_none(self) -> None:
        for path in ("/livez", "/readyz", "/healthz"):
            assert pages().get(path).status_code == 200

    def test_the_api_never_tells_it(self) -> None:
        client = pages()
        for answer in (client.get("/api/x?token=wrong"), client.post("/api/session", json={"token": TOKEN})):
            assert TOKEN not in answer.text + str(answer.headers)


class TestSession:
    def test_a_page_exchanges_the_token_for_a_cookie(self) -> None:
        client = pages()
        assert client.get("/api/session").json() == {"token_needed": True, "authenticated": False}
        answer = client.post("/api/session", json={"token": TOKEN}, headers={"origin": HERE})
        assert (answer.status_code, answer.json()) == (200, INSIDE)
        attributes = answer.headers["set-cookie"].lower().split("; ")
        assert {"httponly", "samesite=strict", "path=/"} <= set(attributes)
        assert "secure" not in attributes
        assert not any(part.startswith(("expires", "max-age")) for part in attributes), "it ends with the browser"
        assert client.get("/api/session").json() == INSIDE
        assert client.get("/api/x").status_code == 200
        with client.websocket_connect(SOCKET) as socket:
            assert socket.receive_text() == "behind the gate"

    def test_over_tls_the_cookie_is_for_tls_only(self) -> None:
        client = pages()
        client.base_url = HERE.replace("http:", "https:")  # type: ignore[assignment]
        assert "; secure" in client.post("/api/session", json={"token": TOKEN}).headers["set-cookie"].lower()

    def test_it_outlives_a_restart_but_not_another_token(self) -> None:
        key = b"k" * 32
        cookie = {"cookie": f"coverslip_token_8765={Access(keys=Keys(TOKEN, key=key)).keys.session}"}
        assert pages(Access(keys=Keys(TOKEN, key=key))).get("/api/x", headers=cookie).status_code == 200
        assert pages(Access(keys=Keys(f"{TOKEN}2", key=key))).get("/api/x", headers=cookie).status_code == 401

    @pytest.mark.parametrize(
        ("content", "headers", "status"),
        [
            ('{"token": "wrong"}', {}, 401),
            (f'{{"token": "{TOKEN} "}}', {}, 401),
            ('{"token": ""}', {}, 401),
            ('{"token": "\\ud800"}', {}, 400),
            ('{"token": 5}', {}, 400),
            ("{}", {}, 400),
            ("[]", {}, 400),
            ("", {}, 400),
            (b"\xff\xfe", {}, 400),
            (f'{{"token": "{"x" * 5000}"}}', {}, 400),
            (f'{{"token": "{TOKEN}"}}', {"origin": "https://evil.example"}, 403),
            (f'{{"token": "{TOKEN}"}}', {"origin": "null"}, 403),
            (f'{{"token": "{TOKEN}"}}', {"host": "evil.example"}, 421),
            (f'{{"token": "{TOKEN}"}}', {"content-type": "text/plain"}, 415),
            (f"token={TOKEN}", {"content-type": "application/x-www-form-urlencoded"}, 415),
        ],
    )
    def test_what_is_refused(self, content: str | bytes, headers: dict[str, str], status: int) -> None:
        sent = {"content-type": "application/json", **headers}
        client = pages(Access(keys=Keys(TOKEN), hosts=frozenset({"127.0.0.1"})))
        answer = client.post("/api/session", content=content, headers=sent)
        assert answer.status_code == status
        assert "set-cookie" not in answer.headers

    def test_where_none_is_needed_it_says_so(self) -> None:
        client = pages(Access())
        assert client.get("/api/session").json() == {"token_needed": False, "authenticated": True}
        answer = client.post("/api/session", json={"token": "anything"})
        assert answer.json() == {"token_needed": False, "authenticated": True}
        assert "set-cookie" not in answer.headers


class TestGuessing:
    def guess(self, client: TestClient, number: int, way: str) -> int:
        if way == "header":
            return client.get("/api/x", headers={"authorization": f"Bearer {number}"}).status_code
        if way == "query":
            return client.get(f"/api/x?token={number}", follow_redirects=False).status_code
        return client.post("/api/session", json={"token": str(number)}).status_code

    @pytest.mark.parametrize("way", ["header", "query", "post"])
    def test_it_is_held_up_with_the_right_token_too(self, way: str) -> None:
        clock = Clock()
        client = pages(clock=clock)
        assert [self.guess(client, number, way) for number in range(5)] == [401, 401, 401, 429, 429]
        right = client.get("/api/x", headers={"authorization": f"Bearer {TOKEN}"})
        assert (right.status_code, right.json()["error"]["code"]) == (429, "too_many_tokens")
        assert right.headers["retry-after"] == "60"
        assert client.get("/healthz").status_code == 200
        assert client.get("/api/x").status_code == 401, "who shows none is told what is missing"
        clock.now += 60
        assert client.get("/api/x", headers={"authorization": f"Bearer {TOKEN}"}).status_code == 200

    def test_the_page_helps_nobody_to_guess(self) -> None:
        client = pages()
        seen = [client.get(f"/?token={number}", follow_redirects=False).status_code for number in range(5)]
        assert seen == [200] * 5
        assert client.get(f"/?token={TOKEN}", follow_redirects=False).status_code == 200
        assert client.get("/api/x", headers={"x-biopb-token": TOKEN}).status_code == 429

    def test_neither_does_a_websocket(self) -> None:
        client = pages()
        for number in range(3):
            with (
                client.websocket_connect(f"{SOCKET}?token={number}") as socket,
                pytest.raises(WebSocketDisconnect) as closed,
            ):
                socket.receive_text()
            assert closed.value.code == 4001
        with (
            pytest.raises(WebSocketDenialResponse) as refused,
            client.websocket_connect(f"{SOCKET}?token={TOKEN}"),
        ):
            pass
        assert refused.value.status_code == 429

    def test_who_is_inside_stays_inside(self) -> None:
        client = pages()
        client.post("/api/session", json={"token": TOKEN})
        for number in range(5):
            self.guess(client, number, "post")
        assert self.guess(client, 9, "post") == 429
        assert client.get("/api/x").status_code == 200

    def test_an_old_token_again_and_again_locks_nobody_out(self) -> None:
        client = pages()
        assert {self.guess(client, 7, "header") for _ in range(50)} == {401}
        assert client.get("/api/x", headers={"authorization": f"Bearer {TOKEN}"}).status_code == 200


class TestForwarded:
    @pytest.mark.parametrize("peer", ["192.0.2.1", "testclient"])
    def test_from_strangers_it_means_nothing(self, peer: str) -> None:
        client = pages(peer=peer)
        told = {"x-forwarded-proto": "https", "x-forwarded-host": "127.0.0.1"}
        answer = client.post("/api/session", json={"token": TOKEN}, headers=told)
        assert "secure" not in answer.headers["set-cookie"].lower()
        assert client.get("/api/session", headers={"host": "evil.example", **told}).status_code == 421
        for number in range(5):
            sent = {"authorization": f"Bearer {number}", "x-forwarded-for": f"10.0.0.{number}", "cookie": ""}
            status = client.get("/api/x", headers=sent).status_code
        assert status == 429, "an address that is made up hides nobody"

    def test_a_named_proxy_is_believed(self) -> None:
        client = pages(peer="198.51.100.7")
        told = {"x-forwarded-proto": "https", "x-forwarded-host": "localhost", "host": "inside"}
        answer = client.post("/api/session", json={"token": TOKEN}, headers=told)
        assert "; secure" in answer.headers["set-cookie"].lower()
        assert client.get("/", headers=told).json()["scheme"] == "https"
        assert client.get("/", headers={**told, "x-forwarded-host": "evil.example"}).status_code == 421
        assert client.get("/", headers={**told, "origin": "https://localhost"}).status_code == 200
        assert client.get("/", headers={**told, "origin": "http://localhost"}).status_code == 403
        with client.websocket_connect(
            f"{SOCKET}?token={TOKEN}", headers={**told, "origin": "https://localhost"}
        ) as socket:
            assert socket.receive_text() == "behind the gate"

    @pytest.mark.parametrize(
        ("header", "other"),
        [
            ("10.0.0.1", "10.0.0.2"),
            ("10.0.0.1, 198.51.100.8", "10.0.0.2"),
            ("6.6.6.6, 10.0.0.1", "6.6.6.6, 10.0.0.2"),
            ("nonsense, 10.0.0.1", "10.0.0.2"),
            ("2001:db8::1", "2001:db8:0:1::1"),
        ],
    )
    def test_each_client_counts_for_itself(self, header: str, other: str) -> None:
        client = pages(peer="198.51.100.7")
        for number in range(4):
            sent = {"authorization": f"Bearer {number}", "x-forwarded-for": header}
            status = client.get("/api/x", headers=sent).status_code
        assert status == 429
        assert client.get("/api/x", headers={**sent, "x-forwarded-for": other}).status_code == 401

    def test_what_stands_before_the_last_stranger_could_be_made_up(self) -> None:
        client = pages(peer="198.51.100.7")
        for number in range(4):
            sent = {"authorization": f"Bearer {number}", "x-forwarded-for": f"6.6.6.{number}, 10.0.0.1"}
            status = client.get("/api/x", headers=sent).status_code
        assert status == 429

    def test_addresses_that_are_none(self) -> None:
        with pytest.raises(BadUsage, match=r"proxy\.example\.org is not the address of a proxy"):
            networks(["proxy.example.org"])
        assert [str(n) for n in networks(["10.0.0.0/8", "::1"])] == ["10.0.0.0/8", "::1/128"]
