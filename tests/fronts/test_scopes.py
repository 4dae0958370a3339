"""What a token for reading opens over HTTP and WebSockets, what it does not, and another token from now on."""

from __future__ import annotations

import ast
import json
from pathlib import Path
from typing import Any

import pytest
import scopes_lab
from scopes_lab import DESCRIBED, HERE, READ, TOKEN, Lab
from starlette.testclient import TestClient, WebSocketDenialResponse

import coverslip.fronts
from coverslip.app import catalog_of, create_app
from coverslip.engine.keys import Keys
from coverslip.engine.rights import FULL, Right
from coverslip.fronts.scopes import CODE, ROWS, SOCKET, refused
from coverslip.settings import Settings

lab = scopes_lab.lab
enter = scopes_lab.enter

FRONTS = Path(coverslip.fronts.__file__).parent
METHODS = {"PUT", "POST", "DELETE", "PATCH"}
NO_ROUTES = {"guard.py", "scopes.py"}
"""The gate itself: it names methods, and answers nothing that is not `api/session`."""


def test_whatever_is_not_reading_stands_in_the_table() -> None:
    """A new route that changes something is refused to a token for reading until a row of the table says otherwise."""
    for method, path, tags in DESCRIBED:
        rows = [row for row in ROWS if row.has(method, path)]
        if method not in ("GET", "HEAD") and path != "api/session":  # that is the gate's own
            assert rows, f"{method} {path} is in no row of coverslip.fronts.scopes"
        if {"Administration", "Sharing"} & set(tags):
            assert rows, f"{method} {path} is in no row of coverslip.fronts.scopes"
            assert all(row.changes for row in rows), path


def test_every_front_that_takes_other_methods_stands_in_the_table() -> None:
    listed = {row.front for row in ROWS if row.method != SOCKET}
    taking = set()
    for file in FRONTS.rglob("*.py"):
        name = file.relative_to(FRONTS).as_posix()
        if name.startswith("openapi/") or name.endswith("described.py") or name in NO_ROUTES:
            continue
        named = {node.value for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.Constant)}
        if METHODS & {value for value in named if isinstance(value, str)}:
            taking.add(name)
    assert taking == listed


def test_what_stands_nowhere_is_refused() -> None:
    for method in ("PUT", "PATCH", "DELETE", "POST", "MKCOL"):
        for right, status in ((Right("read"), 403), (Right("share", "a"), 404)):
            answer = refused(right, method, "api/new/thing")
            assert answer is not None
            assert answer.status_code == status
        assert refused(FULL, method, "api/new/thing") is None


def test_a_token_for_reading_reads_everything_and_changes_nothing(lab: Lab) -> None:
    for method, path, _ in DESCRIBED:
        if path == "api/session":
            continue
        status, body = lab.ask(method, f"/{path}", READ, b"{}")
        code = json.loads(body)["error"]["code"] if status == 403 else ""
        if path.startswith("api/dialogue") and method == "PUT":  # a notebook's server only takes that at all
            assert status == 405
            continue
        closed = any(row.has(method, path) and row.changes for row in ROWS)
        assert (code == CODE) == closed, (method, path, status, body[:200])
        assert closed or status != 403, (method, path)


def test_the_refusal_says_what_to_do(lab: Lab) -> None:
    status, body = lab.ask("PUT", "/api/config", READ, b"{}")
    told = json.loads(body)
    assert (status, told["error"]["code"]) == (403, CODE)
    assert told["detail"] == "The configuration is read and written here: this token is for reading"
    assert "coverslip server token" in told["error"]["hint"]
    assert lab.ask("GET", "/api/config", TOKEN)[0] == 200


def test_it_reads(lab: Lab) -> None:
    assert len(json.loads(lab.ask("GET", "/api/sources", READ)[1])) == 5
    assert lab.ask("POST", "/api/sources/query", READ, b'{"sql": "SELECT 1 AS one"}')[0] == 200
    assert lab.ask("GET", f"/api/tile/{lab.id('slide.tif')}", READ)[0] == 200
    assert lab.ask("GET", "/metrics", READ)[0] == 200, "what Prometheus is given"


def test_nobody_ends_what_another_asked(lab: Lab) -> None:
    place, question = f"/{lab.id('lung.h5ad')}/analysis", b'{"groups": {"field": 0}, "field": 0}'
    lab.ask("POST", f"{place}/composition", READ, question)
    (job,) = lab_jobs(lab)
    link, other = lab.link("lung.h5ad"), lab.link("brain.h5ad")
    for secret in (link, other):
        status, body = lab.ask("GET", f"{place}/jobs/{job}", secret)
        assert status == 404, "who has a link sees his own questions only"
    assert lab.ask("GET", f"{place}/jobs/{job}", READ)[0] == 200
    assert lab.ask("DELETE", f"{place}/jobs/{job}", READ)[0] == 200, "his own"
    lab.ask("POST", f"{place}/composition", link, question)
    status, body = lab.ask("DELETE", f"{place}/jobs/{job}", READ)
    assert (status, json.loads(body)["error"]["code"]) == (403, "not_yours")
    assert lab.ask("GET", f"{place}/jobs/{job}", link)[0] == 200
    assert lab.ask("GET", f"/{lab.id('brain.h5ad')}/analysis/jobs/{job}", other)[0] == 404
    assert lab.ask("DELETE", f"{place}/jobs/{job}", link)[0] == 403
    assert lab.ask("DELETE", f"{place}/jobs/{job}", TOKEN)[0] == 200


def lab_jobs(lab: Lab) -> list[str]:
    app: Any = lab.client.app
    return list(app.state.analyses.tasks._tasks)


def test_another_token_from_now_on(lab: Lab, enter: Any) -> None:
    keys = Keys(TOKEN, READ, b"k" * 32, lab.clock)
    app = create_app(lab.catalog, Settings(token=TOKEN, read_token=READ), 8765, keys=keys)
    client = TestClient(app, base_url=HERE)

    def status(**headers: str) -> int:
        return client.get("/_nothing", headers=headers).status_code  # 404 behind the gate

    link = keys.share("slide", "/x", 60)[0]
    cookie = f"coverslip_token_8765={keys.session}"
    old = [{"authorization": f"Bearer {one}"} for one in (TOKEN, READ, link)] + [{"cookie": cookie}]
    assert [status(**one) for one in old] == [404] * 4
    for content in ({"token": "short"}, {"token": TOKEN}, {"grace_s": -1}, {"token": 5}, {"read_token": "short"}):
        answer = client.post("/api/admin/token", json=content, headers=old[0])
        assert answer.status_code == 400, content
        assert TOKEN not in answer.text
    answer = client.post("/api/admin/token", json={}, headers=old[0])
    told = answer.json()
    assert answer.status_code == 200, told
    assert answer.headers["cache-control"] == "no-store"
    assert [status(**one) for one in old] == [401] * 4
    assert status(authorization=f"Bearer {told['token']}") == 404
    read = {"authorization": f"Bearer {told['read_token']}"}
    assert client.post("/api/admin/token", json={}, headers=read).json()["error"]["code"] == CODE


def test_where_no_token_is_asked_for_there_is_none_to_change() -> None:
    app = create_app(catalog_of([]), Settings(), 8765)
    with TestClient(app, base_url=HERE) as client:
        answer = client.post("/api/admin/token", json={})
        assert (answer.status_code, answer.json()["error"]["code"]) == (409, "no_token")


def test_a_websocket_that_changes_something_would_be_refused(lab: Lab) -> None:
    with (
        pytest.raises(WebSocketDenialResponse) as closed,
        lab.client.websocket_connect("/ws/new", headers={"host": "127.0.0.1:8765", "authorization": f"Bearer {READ}"}),
    ):
        pass
    assert closed.value.status_code == 403
