"""Path prefixes of proxies, before an application that tells what it was asked."""

from __future__ import annotations

import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount
from starlette.testclient import TestClient
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket

from coverslip.core.errors import BadUsage
from coverslip.engine.access import Access
from coverslip.engine.keys import Keys
from coverslip.fronts.forwarded import Forwarded
from coverslip.fronts.guard import Guard
from coverslip.fronts.prefixed import Prefixed, checked, prefix_of
from coverslip.fronts.tokens import path_of, raw_path_of

TOKEN = "open-sesame-open-sesame"
PROXY = "198.51.100.7"


async def told(scope: Scope, receive: Receive, send: Send) -> None:
    about = {"path": path_of(scope), "raw": raw_path_of(scope), "root": scope["root_path"]}
    if scope["type"] == "websocket":
        socket = WebSocket(scope, receive, send)
        await socket.accept()
        await socket.send_json(about)
        await socket.close()
        return
    response: Response = JSONResponse({**about, "base": str(Request(scope).base_url)})
    await response(scope, receive, send)


def behind(root: str = "", trusted: tuple[str, ...] = (), token: str | None = None) -> TestClient:
    app = Starlette(
        routes=[Mount("/", told)],
        middleware=[
            Middleware(Prefixed, root_path=root, trusted=trusted),
            Middleware(Forwarded, trusted=trusted),
            Middleware(Guard, access=Access(keys=Keys(token)), port=8765),
        ],
    )
    return TestClient(app, base_url="http://localhost:8765", client=(PROXY, 9), follow_redirects=False)


@pytest.mark.parametrize("left_on", [True, False])
@pytest.mark.parametrize("root", ["/lab", "/user/ann/proxy/8765", "/node/n-07.cluster/8765", "/user/ann%40lab.org"])
@pytest.mark.parametrize("path", ["", "api/catalog", "lung/obs/a%2Fb", "user/obs", "sp%20ace/%C3%A9"])
def test_with_the_prefix_and_without(root: str, path: str, left_on: bool) -> None:
    client = behind(checked(root))
    found = client.get(f"{root if left_on else ''}/{path}").json()
    assert found["raw"] == path
    assert found["path"] == path.replace("%2F", "/").replace("%20", " ").replace("%C3%A9", "é")
    assert found["root"] == root.replace("%40", "@")
    assert found["base"] == f"http://localhost:8765{root.replace('%40', '@')}/"


@pytest.mark.parametrize("left_on", [True, False])
def test_websockets_too(left_on: bool) -> None:
    with behind("/lab/x").websocket_connect(f"ws://localhost:8765{'/lab/x' if left_on else ''}/ws/render") as socket:
        assert socket.receive_json() == {"path": "ws/render", "raw": "ws/render", "root": "/lab/x"}


def test_a_name_that_only_begins_like_the_prefix_is_no_prefix() -> None:
    assert behind("/lab").get("/laboratory/obs").json()["path"] == "laboratory/obs"
    assert behind("/a/b").get("/a%2Fb/livez").json()["raw"] == "a%2Fb/livez"


@pytest.mark.parametrize("query", ["", "?page=home&token=x"])
def test_without_its_last_slash_the_page_would_not_find_its_files(query: str) -> None:
    answer = behind("/user/ann/lab", token=TOKEN).get(f"/user/ann/lab{query}")
    assert (answer.status_code, answer.headers["location"]) == (307, f"./lab/{query}")


def test_a_header_of_a_trusted_proxy_comes_first() -> None:
    sent = {"x-forwarded-prefix": "/user/ann/proxy/8765/"}
    client = behind("/lab", trusted=("198.51.100.0/24",))
    assert client.get("/api/catalog", headers=sent).json()["root"] == "/user/ann/proxy/8765"
    assert client.get("/user/ann/proxy/8765/api/catalog", headers=sent).json()["path"] == "api/catalog"
    assert client.get("/api/catalog").json()["root"] == "/lab"
    assert client.get("/api/catalog", headers={"x-forwarded-prefix": "/evil, /a"}).json()["root"] == "/a"


def test_a_header_of_a_stranger_means_nothing() -> None:
    sent = {"x-forwarded-prefix": "/evil"}
    found = behind("", trusted=("10.0.0.0/8",)).get("/evil/api", headers=sent).json()
    assert (found["root"], found["path"]) == ("", "evil/api")


@pytest.mark.parametrize(
    "header", ["//evil.example", "/a/../b", "/a;Path=/", "/a%0d%0ax", "evil", "/a\\b", "/" + "x" * 2000]
)
def test_what_is_no_prefix_is_passed_over(header: str) -> None:
    assert prefix_of(header) is None
    client = behind("/lab", trusted=(PROXY,))
    assert client.get("/api", headers={"x-forwarded-prefix": header}).json()["root"] == "/lab"
    with pytest.raises(BadUsage, match="is not a path prefix"):
        checked(header)


@pytest.mark.parametrize(
    ("root", "path"),
    [("", "/"), ("/user/ann@lab/", "/user/ann@lab/"), ("/user/ann%40lab", "/user/ann%40lab/"), ("/a%20b", "/a%20b/")],
)
def test_the_cookie_is_for_what_lies_below_the_prefix(root: str, path: str) -> None:
    answer = behind(root, token=TOKEN).post("/api/session", json={"token": TOKEN})
    assert f"path={path};" in answer.headers["set-cookie"].lower().replace("; ", ";") + ";"
    answer = behind(root, token=TOKEN).get(f"/x?token={TOKEN}")
    assert (answer.status_code, answer.headers["location"]) == (303, "./x")


def test_the_nearest_cookie_of_two_counts() -> None:
    session = Keys(TOKEN).session
    client = behind("/lab", token=TOKEN)
    made = client.post("/api/session", json={"token": TOKEN}).cookies["coverslip_token_8765"]
    assert made != session, "each server has a key of its own here"
    both = {"cookie": f"other=1; coverslip_token_8765={made}; coverslip_token_8765={session}"}
    client.cookies.clear()
    assert client.get("/api/x", headers=both).status_code == 200
