"""The file server of neural systems: JSON of listed systems, and nothing else, however it is asked."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from starlette.testclient import TestClient

from coverslip.companion import Launch
from coverslip.companion_app import create_pair
from coverslip.systems import predefined

PORTS = (5101, 5102)
SECRET = b"do not show"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Two systems, and much around them that is nobody's business."""
    root = tmp_path / "graphs"
    shutil.copytree(predefined("EI1"), root / "EI1")
    shutil.copytree(predefined("EI1"), root / "EI2")
    (root / "EI1" / "params").mkdir()
    (root / "EI1" / "params" / "default.json").write_text('{"a": 1}')
    hidden = json.dumps({"secret": SECRET.decode()})
    for folder in (tmp_path / "graphs-private", root / ".git", root / "notes", root / "EI1" / ".cache"):
        folder.mkdir()
        (folder / "secret.json").write_text(hidden)
    shutil.copytree(predefined("EI1"), root / ".hidden")
    (tmp_path / "secret.json").write_text(hidden)
    (root / "secret.json").write_text(hidden)
    (root / "EI1" / ".secret.json").write_text(hidden)
    (root / "EI1" / "secret.txt").write_text(hidden)
    (root / "EI1" / "secret.JSON").write_text(hidden)
    (root / "EI1" / "folder.json").mkdir()
    (root / "EI1" / "out.json").symlink_to(tmp_path / "secret.json")
    (root / "EI1" / "other.json").symlink_to(root / "notes" / "secret.json")
    (root / "EI1" / "there").symlink_to(tmp_path / "graphs-private")
    (root / "EI1" / "link.json").symlink_to(root / "EI1" / "graph.json")
    shutil.copytree(predefined("EI1"), tmp_path / "outside")
    (tmp_path / "outside" / "secret.json").write_text(hidden)
    (root / "linked").symlink_to(tmp_path / "outside")
    os.mkfifo(root / "EI1" / "pipe.json")
    return root


@pytest.fixture
def client(root: Path) -> Iterator[TestClient]:
    app = create_pair(Launch(root), PORTS)
    with TestClient(app, base_url="http://localhost:5102", headers={"accept-encoding": "identity"}) as made:
        yield made


def test_the_list(client: TestClient, root: Path) -> None:
    assert client.get("/systems").json() == ["EI1", "EI2"]
    etag = client.get("/systems").headers["etag"]
    assert client.get("/systems", headers={"if-none-match": etag}).status_code == 304
    shutil.rmtree(root / "EI2")
    assert client.get("/systems", headers={"if-none-match": etag}).json() == ["EI1"]


def test_files(client: TestClient, root: Path) -> None:
    whole = client.get("/files/EI1/graph.json")
    assert whole.content == (root / "EI1" / "graph.json").read_bytes()
    assert whole.headers["content-type"] == "application/json"
    assert client.get("/files/EI1/params/default.json").json() == {"a": 1}
    assert client.get("/files/EI1/params%2Fdefault.json").json() == {"a": 1}
    assert client.get("/files/EI1/link.json").content == whole.content
    head = client.head("/files/EI1/graph.json")
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-length"] == str(len(whole.content))
    part = client.get("/files/EI1/graph.json", headers={"range": "bytes=5-9"})
    assert (part.status_code, part.content) == (206, whole.content[5:10])
    assert part.headers["content-range"] == f"bytes 5-9/{len(whole.content)}"
    etag = whole.headers["etag"]
    assert client.get("/files/EI1/graph.json", headers={"if-none-match": etag}).status_code == 304
    (root / "EI1" / "graph.json").write_text("{}")
    changed = client.get("/files/EI1/graph.json", headers={"if-none-match": etag})
    assert (changed.status_code, changed.json()) == (200, {})
    packed = client.get("/files/EI2/graph.json", headers={"accept-encoding": "gzip"})
    assert packed.headers["content-encoding"] == "gzip"
    assert packed.json() == json.loads((root / "EI2" / "graph.json").read_text())


def raw(app: Any, path: str, method: str = "GET") -> tuple[int, bytes]:
    """One request whose path no client has put in order."""
    sent: list[Any] = []
    scope = {
        "type": "http", "method": method, "path": unquote(path), "raw_path": path.encode("utf-8", "surrogateescape"),
        "query_string": b"", "headers": [(b"host", b"localhost:5102")], "root_path": "", "scheme": "http",
        "server": ("127.0.0.1", 5102), "client": ("127.0.0.1", 1), "http_version": "1.1",
    }  # fmt: skip

    async def receive() -> dict[str, Any]:
        await asyncio.sleep(60)
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)

    asyncio.run(app(scope, receive, send))
    return sent[0]["status"], b"".join(m.get("body", b"") for m in sent[1:])


HOSTILE = [
    "/files/../secret.json", "/files/EI1/../secret.json", "/files/EI1/../../secret.json", "/files/..%2fsecret.json",
    "/files/%2e%2e/secret.json", "/files/%2e%2e%2fsecret.json", "/files/EI1/%2e%2e%2f%2e%2e%2fsecret.json",
    "/files/EI1/%252e%252e%252fsecret.json", "/files/..%2fgraphs-private%2fsecret.json", "/files/..%5csecret.json",
    "/files/EI1/..%5c..%5csecret.json", "/files/EI1\\..\\..\\secret.json", "/files/%c0%ae%c0%ae/secret.json",
    "/files/%uff0e%uff0e/secret.json", "/files//secret.json", "/files///etc/hosts.json", "/files/EI1//graph.json",
    "/files/.git/secret.json", "/files/.hidden/graph.json", "/files/EI1/.cache/secret.json", "/files/EI1/.secret.json",
    "/files/notes/secret.json", "/files/secret.json", "/files/linked/secret.json", "/files/linked/graph.json",
    "/files/EI1/out.json", "/files/EI1/other.json", "/files/EI1/there/secret.json", "/files/EI1/secret.txt",
    "/files/EI1/secret.JSON", "/files/EI1/cells.h5", "/files/EI1/cells.h5.json", "/files/EI1/folder.json",
    "/files/EI1/pipe.json", "/files/EI1/graph.json/", "/files/EI1/graph.json/x.json", "/files/EI1/", "/files/EI1",
    "/files/", "/files", "/files/EI1/secret.txt%00.json", "/files/EI1%00/graph.json", "/files/EI1/%00",
    "/files/./EI1/graph.json",
    "/files/EI1/./graph.json", "/files/C:/EI1/graph.json", "/files/EI1/graph.json::$DATA", "/files/EI1/graph.json%20",
    "/files/ei1/graph.json", "/files/EI1/graph.json%0a", "/files/~/x.json", f"/files/{'a' * 5000}/graph.json",
    f"/files/EI1/{'a' * 300}.json", f"/files/EI1/{'a/' * 600}x.json", "/files/EI1/%ff%fe.json",
    "/files/EI1/\udcff.json",
    "/systems/", "/systems/EI1", "/", "/graph.json", "/hsds", "/about",
]  # fmt: skip


@pytest.mark.parametrize("path", HOSTILE)
def test_nothing_else_is_sent(path: str, root: Path) -> None:
    status, body = raw(create_pair(Launch(root), PORTS), path)
    assert status in (400, 404), (path, status)
    assert SECRET not in body
    assert str(root.parent).encode() not in body
    assert json.loads(body)["error"]["message"]


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
def test_nothing_is_changed(method: str, client: TestClient) -> None:
    assert client.request(method, "/files/EI1/graph.json").status_code == 405


def test_who_may_ask(root: Path) -> None:
    app = create_pair(Launch(root, token="a" * 20, allow_origins=("https://lab.example",)), PORTS)
    with TestClient(app, base_url="http://localhost:5102") as client:
        assert client.get("/systems").status_code == 401
        for shown in (
            {"authorization": f"Bearer {'a' * 20}"},
            {"authorization": "Basic YWRtaW46" + "YWFh" * 6 + "YWE="},
        ):
            answer = client.get("/systems", headers=shown)
            assert answer.status_code == 200, shown
        allowed = {"https://lab.example": 200, "http://localhost:5101": 200, "https://evil.example": 403, "null": 403}
        for origin, status in allowed.items():
            answer = client.get("/systems", headers={**shown, "origin": origin})
            assert answer.status_code == status, origin
            there = origin if status == 200 else None
            assert answer.headers.get("access-control-allow-origin") == there
            assert "access-control-allow-credentials" not in answer.headers
        preflight = client.options("/systems", headers={"origin": "https://lab.example"})
        assert preflight.status_code == 204
        assert client.get("/systems", headers={**shown, "host": "evil.example"}).status_code == 421


def test_each_port_has_its_own(root: Path) -> None:
    app = create_pair(Launch(root), PORTS)
    with (
        TestClient(app, base_url="http://localhost:5101") as hdf5,
        TestClient(app, base_url="http://localhost:5102") as files,
    ):
        assert hdf5.get("/about").json()["state"] == "READY"
        assert hdf5.get("/systems").status_code == files.get("/about").status_code == 404
        root_id = hdf5.get("/", params={"domain": "/EI1/cells.h5"}).json()["root"]
        links = hdf5.get(f"/groups/{root_id}/links", params={"domain": "/EI1/cells.h5"}).json()["links"]
        assert [link["title"] for link in links] == ["H5Types", "Populations"]
        assert hdf5.get("/", params={"domain": "/.hidden/cells.h5"}).status_code == 404


def test_a_large_document_is_refused(root: Path, client: TestClient) -> None:
    with (root / "EI1" / "large.json").open("wb") as file:
        file.truncate(65 << 20)
    assert client.get("/files/EI1/large.json").status_code == 413


def test_beside_everything_else(serve: Any, root: Path) -> None:
    client = serve(root)
    assert client.get("/systems").json() == ["EI1", "EI2"]
    assert client.get("/files/EI1/graph.json").json() == json.loads((root / "EI1" / "graph.json").read_text())
    assert client.get("/files/.hidden/graph.json").status_code == 404
    alone = serve(root / "EI1")
    assert alone.get("/systems").json() == ["EI1"]
    assert alone.get("/files/EI1/mea.json").status_code == 200
