"""One link is taken back: over HTTP, for its cookies and its connections, and for every server of the same user."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import tifffile
from scopes_lab import HERE, PATIENCE_S, READ, TOKEN, Clock
from starlette.testclient import TestClient
from starlette.types import Message
from starlette.websockets import WebSocketDisconnect

from coverslip.app import catalog_of, create_app
from coverslip.core.errors import CoverslipError
from coverslip.engine.catalog import Catalog
from coverslip.engine.keys import Keys
from coverslip.engine.links import FRESH_S, Links
from coverslip.engine.options import CatalogOptions
from coverslip.engine.read import Reader
from coverslip.fronts import held as module
from coverslip.fronts.held import Held, looking
from coverslip.settings import Settings

HOST = {"host": "127.0.0.1:8765"}


@dataclass
class Lab:
    """Two servers of one user, over the same files."""

    client: TestClient
    other: TestClient
    clock: Clock
    catalog: Catalog

    def ask(self, method: str, path: str, token: str = TOKEN, client: TestClient | None = None, **more: Any) -> Any:
        """The answer to a request with a token."""
        headers = {"authorization": f"Bearer {token}"} if token else {}
        answer = (client or self.client).request(method, path, headers=headers, **more)
        self.client.cookies.clear()
        return answer

    def made(self, **content: Any) -> dict[str, Any]:
        """A link that was made."""
        answer = self.ask("POST", "/api/shares", json={"source": "slide", **content})
        assert answer.status_code == 200, answer.text
        told: dict[str, Any] = answer.json()
        return told

    def back(self, made: dict[str, Any], client: TestClient | None = None) -> dict[str, Any]:
        """Take a link back."""
        answer = self.ask("DELETE", f"/api/shares/{made['id']}", client=client)
        assert answer.status_code == 200, answer.text
        told: dict[str, Any] = answer.json()
        return told


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    folder = tmp_path_factory.mktemp("lab")
    (folder / "data").mkdir()
    for name in ("slide", "secret"):
        tifffile.imwrite(folder / "data" / f"{name}.tif", np.zeros((64, 64), np.uint16))
    clock = Clock()
    catalog = catalog_of(folder / "data", catalog=CatalogOptions(persist=False))
    settings = Settings(token=TOKEN, read_token=READ)

    def app(port: int) -> Any:
        links = Links(folder / "links", clock)
        return create_app(catalog, settings, port, keys=Keys(TOKEN, READ, b"k" * 32, clock, links))

    with TestClient(app(8765), base_url=HERE) as client:
        assert catalog.wait_idle(PATIENCE_S)
        with TestClient(app(8766), base_url="http://127.0.0.1:8766") as other:
            yield Lab(client, other, clock, catalog)


def test_a_link_is_listed_and_taken_back(lab: Lab) -> None:
    ada, bob = lab.made(label="Ada", expires_s=60), lab.made(label="Bob")
    listed = lab.ask("GET", "/api/shares")
    assert listed.headers["cache-control"] == "no-store"
    notes = {note["id"]: note for note in listed.json()["shares"]}
    assert notes[ada["id"]] == {
        "id": ada["id"], "source": ada["source"], "name": "slide.tif", "label": "Ada",
        "made": "1970-01-12T13:46:40Z", "made_s": lab.clock.now, "expires": "1970-01-12T13:47:40Z",
        "expires_s": lab.clock.now + 60, "revoked": None, "revoked_s": None,
    }  # fmt: skip
    assert ada["token"].split(".")[2] not in listed.text
    assert lab.ask("HEAD", "/api/shares").content == b""

    told = lab.back(ada)
    assert told["revoked"] == "1970-01-12T13:46:40Z"
    refused = lab.ask("GET", "/api/sources", ada["token"])
    assert (refused.status_code, refused.json()["error"]["code"]) == (401, "share_ended")
    assert lab.ask("GET", "/api/sources", bob["token"]).status_code == 200
    assert lab.back(ada)["id"] == ada["id"], "twice is once"
    assert lab.ask("DELETE", "/api/shares/0123456789abcdef").json()["error"]["code"] == "no_link"


def test_its_cookie_ends_with_it(lab: Lab) -> None:
    made = lab.made()
    answer = lab.client.post("/api/session", json={"token": made["token"]})
    assert answer.json()["scope"] == "share"
    cookie = {"cookie": answer.headers["set-cookie"].partition(";")[0]}
    lab.client.cookies.clear()
    assert lab.client.get("/api/sources", headers=cookie).status_code == 200
    lab.back(made)
    assert lab.client.get("/api/sources", headers=cookie).status_code == 401
    assert lab.client.get("/api/session", headers=cookie).json()["authenticated"] is False
    again = lab.client.post("/api/session", json={"token": made["token"]})
    assert (again.status_code, "set-cookie" in again.headers) == (401, False)
    asked = lab.client.get(f"/api/sources?token={made['token']}", follow_redirects=False)
    assert (asked.status_code, "set-cookie" in asked.headers) == (401, False)


def test_who_goes_on_showing_it_is_not_held_up(lab: Lab) -> None:
    made = lab.made()
    lab.back(made)
    assert {lab.ask("GET", f"/api/sources?{n}", made["token"]).status_code for n in range(15)} == {401}
    assert lab.ask("GET", "/api/sources").status_code == 200


def test_another_server_of_the_user_knows_of_it(lab: Lab) -> None:
    made = lab.made()
    assert lab.ask("GET", "/api/sources", made["token"], lab.other).status_code == 200
    assert made["id"] in lab.ask("GET", "/api/shares", client=lab.other).text
    lab.back(made, lab.other)
    lab.clock.now += FRESH_S
    assert lab.ask("GET", "/api/sources", made["token"]).status_code == 401
    assert lab.client.post("/api/session", json={"token": made["token"]}).status_code == 401
    (note,) = [one for one in lab.ask("GET", "/api/shares").json()["shares"] if one["id"] == made["id"]]
    assert note["revoked"] is not None


@pytest.mark.parametrize("elsewhere", [False, True])
def test_a_connection_is_closed_though_nobody_says_anything(lab: Lab, elsewhere: bool) -> None:
    made = lab.made()
    with lab.client.websocket_connect("/ws/render", headers={**HOST, "x-biopb-token": made["token"]}) as socket:
        socket.send_json({"action": "nothing"})
        assert socket.receive_json()["action"] == "error"
        lab.back(made, lab.other if elsewhere else None)
        lab.clock.now += FRESH_S
        with pytest.raises(WebSocketDisconnect) as closed:
            socket.receive_json()
        assert closed.value.code == 4001
    with lab.client.websocket_connect("/ws/render", headers={**HOST, "x-biopb-token": made["token"]}) as socket:
        with pytest.raises(WebSocketDisconnect) as closed:
            socket.receive_json()
        assert closed.value.code == 4001


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "DELETE"])
def test_links_are_the_concern_of_who_may_do_everything(lab: Lab, method: str) -> None:
    made = lab.made()
    path = f"/api/shares/{made['id']}" if method == "DELETE" else "/api/shares"
    for token, status in ((READ, 403), (made["token"], 404), ("", 401)):
        assert lab.ask(method, path, token, json={"source": "slide"}).status_code == status, token
    evil = {"origin": "https://evil.example", "authorization": f"Bearer {TOKEN}"}
    assert lab.client.request(method, path, headers=evil).status_code == 403
    assert lab.ask("GET", "/api/sources", made["token"]).status_code == 200, "it is still there"


def test_other_methods_are_told(lab: Lab) -> None:
    for method, path, allow in (
        ("DELETE", "/api/shares", None), ("PUT", "/api/shares/x", "DELETE"), ("GET", "/api/shares/x", "DELETE"),
        ("POST", "/api/shares/x", "DELETE"), ("GET", "/api/admin/token", "POST"),
    ):  # fmt: skip
        answer = lab.ask(method, path, json={})
        assert answer.status_code == 405, (method, path)
        assert allow is None or answer.headers["allow"] == allow
    assert lab.ask("DELETE", "/api/shares/..%2f..%2fsession").status_code == 404
    for label in (5, "x" * 101, "a\nb"):
        assert lab.ask("POST", "/api/shares", json={"source": "slide", "label": label}).status_code == 400


def test_without_a_token_there_is_nothing_to_take_back() -> None:
    with TestClient(create_app(catalog_of([]), Settings(), 8765), base_url=HERE) as client:
        for method, path in (("GET", "/api/shares"), ("DELETE", "/api/shares/0123456789abcdef")):
            answer = client.request(method, path)
            assert (answer.status_code, answer.json()["error"]["code"]) == (409, "no_token")


# --- a connection by itself -------------------------------------------------------------------------------------------


class Wire:
    """A connection whose client says what a test has it say."""

    def __init__(self) -> None:
        self.said: asyncio.Queue[Message] = asyncio.Queue()
        self.told: list[Message] = []

    async def send(self, message: Message) -> None:
        """Tell the client something."""
        self.told.append(message)


def test_nothing_is_sent_any_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LOOK_S", 0.001)

    async def speak() -> None:
        wire, holds, looked = Wire(), [True], asyncio.Semaphore(0)

        async def look() -> None:
            looked.release()

        held = Held(lambda: holds[0], look, wire.said.get, wire.send, 4001, "over")
        await wire.said.put({"type": "websocket.receive", "text": "1"})
        assert (await held.receive())["text"] == "1"
        waiting = asyncio.create_task(held.receive())
        for _ in range(5):
            await looked.acquire()
        assert not waiting.done(), "nobody said anything, and it holds"
        await wire.said.put({"type": "websocket.receive", "text": "2"})
        assert (await waiting)["text"] == "2"
        await held.send({"type": "websocket.send", "text": "a"})
        holds[0] = False
        for _ in range(2):
            await held.send({"type": "websocket.send", "text": "b"})
        assert (await held.receive())["type"] == "websocket.disconnect"
        assert wire.told == [
            {"type": "websocket.send", "text": "a"}, {"type": "websocket.close", "code": 4001, "reason": "over"},
        ]  # fmt: skip

    asyncio.run(speak())


def test_who_is_interrupted_leaves_nothing_behind() -> None:
    async def speak() -> None:
        wire = Wire()

        async def look() -> None:
            raise AssertionError("it left before")

        held = Held(lambda: True, look, wire.said.get, wire.send, 4001, "over")
        waiting = asyncio.create_task(held.receive())
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        await asyncio.sleep(0)
        assert asyncio.all_tasks() == {asyncio.current_task()}
        await wire.said.put({"type": "websocket.disconnect", "code": 1001})
        assert (await held.receive())["type"] == "websocket.disconnect"

    asyncio.run(speak())


def test_a_folder_that_does_not_answer_holds_up_nobody_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PATIENCE_S", 0.01)
    hangs = threading.Event()

    class Hanging(Links):
        def look(self, id: str) -> None:
            hangs.wait(PATIENCE_S)

    async def ask() -> None:
        reader = Reader()
        await looking(Hanging(), reader)("x")
        assert not hangs.is_set(), "it went on without an answer"
        hangs.set()
        reader.close()

    asyncio.run(ask())

    class Broken(Links):
        def look(self, id: str) -> None:
            raise CoverslipError("hangs")

    async def ask_again() -> None:
        reader = Reader()
        await looking(Broken(), reader)("x")
        reader.close()

    asyncio.run(ask_again())
