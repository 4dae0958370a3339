"""Requests handed on: to whom, as whom, and what becomes of them; with a service node that is not HSDS's."""

from __future__ import annotations

import asyncio
import json
import threading
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient
from starlette.types import ASGIApp, Receive, Scope, Send

from coverslip.hsds.relay import Relay

PASSWORD = "p" * 40
ABOUT = b'{"dn_urls": ["http+unix://%2Ftmp%2Fx%2Fdn.sock"], "dn_ids": ["dn-001"], "state": "READY"}'


class Node:
    """Answers with what it was sent; some paths are special."""

    def __init__(self, socket: Path) -> None:
        self.socket, self.connections, self.requests = socket, 0, 0
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        assert self._ready.wait(60)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._server = self._loop.run_until_complete(asyncio.start_unix_server(self._one, self.socket))
        self._ready.set()
        self._loop.run_forever()
        self._loop.run_until_complete(self._end())
        self._loop.close()

    async def _end(self) -> None:
        self._server.close()
        left = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(60)

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while await self._answer(reader, writer):
                pass
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        self.requests += 1
        headers = dict(line.split(": ", 1) for line in head[1:] if line)
        body = b""
        if "content-length" in headers:
            body = await reader.readexactly(int(headers["content-length"]))
        elif "transfer-encoding" in headers:
            while size := int(await reader.readline(), 16):
                body += (await reader.readexactly(size + 2))[:-2]
            await reader.readline()
        path = head[0].split(" ")[1]
        if path.startswith("/about"):
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(ABOUT), ABOUT))
        elif path.startswith("/datasets/broken"):
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nabc")
            return False
        elif path.startswith("/datasets/big"):
            writer.write(
                b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Type: application/octet-stream\r\n\r\n"
            )
            for i in range(40):
                writer.write(b"%x\r\n%b\r\n" % (100_000, bytes([i]) * 100_000))
                await writer.drain()
            writer.write(b"0\r\n\r\n")
        else:
            told = json.dumps({"line": head[0], "headers": headers, "body": body.decode()}).encode()
            own = b"Access-Control-Allow-Origin: *\r\nServer: HSDS\r\nX-Kept: 1\r\n"
            writer.write(b"HTTP/1.1 201 Created\r\n%bContent-Length: %d\r\n\r\n%b" % (own, len(told), told))
        await writer.drain()
        return "close" not in path


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    node = Node(tmp_path / "sn.sock")
    yield node
    node.close()


def closing(relay: Relay) -> ASGIApp:
    """The relay as an application that ends."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await relay(scope, receive, send)
            return
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await relay.close()
        await send({"type": "lifespan.shutdown.complete"})

    return app


@pytest.fixture
def client(node: Node) -> Iterator[TestClient]:
    with TestClient(closing(Relay(node.socket, ("admin", "inner"), lambda: (PASSWORD,)))) as client:
        yield client


def basic(user: str, password: str) -> str:
    return "Basic " + b64encode(f"{user}:{password}".encode()).decode()


def test_a_request_and_its_answer(client: TestClient) -> None:
    answer = client.get(
        "/groups/g-1/links?domain=%2FEI1%2Fcells.h5&Limit=3&bucket=%2Fdata&token=x", headers={"Accept": "a/b"}
    )
    told = answer.json()
    assert answer.status_code == 201
    assert told["line"] == "GET /groups/g-1/links?domain=%2FEI1%2Fcells.h5&Limit=3 HTTP/1.1"
    assert told["headers"]["accept"] == "a/b"
    assert told["headers"]["host"] == "localhost"
    assert answer.headers["x-kept"] == "1"
    assert {"access-control-allow-origin", "server"} & set(answer.headers) == set()


@pytest.mark.parametrize(
    ("asked", "handed_on"),
    [
        ("/?domain=/E", "/?domain=systems/E"),
        ("/?domain=%2FE&getobjs=1", "/?domain=systems/E&getobjs=1"),
        ("/domains?domain=%2FE%2F", "/domains?domain=systems/E/"),
        ("/domains?domain=/", "/domains?domain=/"),
        ("/?domain=/E/cells.h5", "/?domain=/E/cells.h5"),
        ("/?domain=/EI", "/?domain=/EI"),
        ("/groups/a%2Fb?domain=/x%20y", "/groups/a%2Fb?domain=/x%20y"),
        ("/?bucket=other", "/"),
    ],
)
def test_names_as_hsds_takes_them(client: TestClient, asked: str, handed_on: str) -> None:
    assert client.get(asked).json()["line"] == f"GET {handed_on} HTTP/1.1"


@pytest.mark.parametrize(
    ("shown", "who"),
    [
        ({}, None),
        ({"Authorization": basic("admin", PASSWORD)}, basic("admin", "inner")),
        ({"Authorization": basic("anybody", PASSWORD)}, basic("admin", "inner")),
        ({"Authorization": f"Bearer {PASSWORD}"}, basic("admin", "inner")),
        ({"Authorization": basic("admin", "admin")}, None),
        ({"Authorization": basic("admin", "inner")}, None),
        ({"Authorization": "Basic !!!"}, None),
        ({"X-Forwarded-For": "1.2.3.4", "Cookie": "a=b", "X-Hdf-Bucket": "b", "Origin": "http://x"}, None),
    ],
)
def test_who_asks(client: TestClient, shown: dict[str, str], who: str | None) -> None:
    headers = client.put("/?domain=/EI1/a.h5", headers=shown, json={}).json()["headers"]
    assert headers.get("authorization") == who
    assert {"x-forwarded-for", "cookie", "x-hdf-bucket", "origin"} & set(headers) == set()


def test_bodies(client: TestClient) -> None:
    def pieces() -> Iterator[bytes]:
        yield b"one "
        yield b"two"

    assert client.post("/groups", content=b"abc").json()["body"] == "abc"
    assert client.put("/datasets/d/value", content=pieces()).json()["body"] == "one two"
    for answer in (client.delete("/?domain=/EI1/a.h5"), client.put("/?domain=/EI1/a.h5", content=b"")):
        told = answer.json()
        assert told["body"] == ""
        assert "transfer-encoding" not in told["headers"], "HSDS takes an empty body that is announced for broken JSON"
    big = client.get("/datasets/big/value")
    assert big.content == b"".join(bytes([i]) * 100_000 for i in range(40))
    assert client.head("/groups/g").content == b""


def test_no_path_of_a_socket_is_told(client: TestClient) -> None:
    answer = client.get("/about?domain=/EI1/cells.h5")
    assert answer.json() == {"dn_urls": ["dn-001"], "dn_ids": ["dn-001"], "state": "READY"}
    assert int(answer.headers["content-length"]) == len(answer.content)


@pytest.mark.parametrize("path", ["/info", "/metrics", "/nodeinfo", "/files/EI1/graph.json", "/aboutness"])
def test_what_is_not_handed_on(client: TestClient, node: Node, path: str) -> None:
    assert client.get(path).status_code == 404
    assert node.requests == 0


def test_connections_are_kept_and_replaced(client: TestClient, node: Node) -> None:
    for _ in range(5):
        client.get("/groups/g")
    assert node.connections == 1
    client.get("/groups/close")  # the node ends this connection afterwards
    assert client.get("/groups/g").status_code == 201
    assert node.connections == 2


def test_a_node_that_is_away(tmp_path: Path, node: Node) -> None:
    with TestClient(closing(Relay(tmp_path / "nobody.sock", ("admin", "inner"), lambda: (PASSWORD,)))) as client:
        answer = client.get("/groups/g")
        assert answer.status_code == 503
        assert answer.headers["retry-after"] == "3"
        assert client.put("/", json={}).status_code == 503


def test_an_answer_that_breaks_off(client: TestClient) -> None:
    with pytest.raises(ConnectionError):
        client.get("/datasets/broken")
    assert client.get("/groups/g").status_code == 201


@pytest.mark.parametrize(
    "domain",
    ["other/x.h5", "../x.h5", "/../x.h5", "/a/../../x.h5", "%2E%2E/x.h5", "..%2Fx.h5", "/a/..%5Cx", "/x%00.h5"],
)
def test_domains_that_lead_elsewhere_are_not_handed_on(client: TestClient, node: Node, domain: str) -> None:
    before = node.requests
    for query in (f"domain={domain}", f"getobjs=1&d%6Fmain={domain}", f"host={domain}", f"domain=/E&domain={domain}"):
        answer = client.get(f"/?{query}")
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, "bad_domain")
    assert client.get("/", headers={"X-Hdf-Domain": "other/x.h5"}).status_code == 400
    assert node.requests == before
    assert client.get("/?domain=systems/E/..x.h5").status_code == 201


def test_a_request_that_is_ended_keeps_no_connection(tmp_path: Path) -> None:
    """A server that ends, while HSDS works on an answer."""

    async def ends() -> None:
        asked, left = asyncio.Event(), asyncio.Event()

        async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            asked.set()
            await reader.read()
            left.set()
            writer.close()

        async def unused(*_: object) -> dict[str, object]:
            raise AssertionError

        scope = {"type": "http", "method": "GET", "path": "/groups", "query_string": b"", "headers": []}
        async with await asyncio.start_unix_server(silent, tmp_path / "node"):
            relay = Relay(tmp_path / "node", ("u", "p"), list)
            asking = asyncio.create_task(relay(scope, unused, unused))  # type: ignore[arg-type]
            await asyncio.wait_for(asked.wait(), 60)
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)
            await asyncio.wait_for(left.wait(), 60)  # and nothing that was forgotten warns when it is collected

    asyncio.run(ends())
