"""What who runs a server asks of it: diagnostics, configuration, status, folders."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from starlette.testclient import TestClient

from coverslip.app import catalog_of, create_app
from coverslip.config import load
from coverslip.engine.diagnostics import Diagnostics
from coverslip.fronts.tensors import admin, browse
from coverslip.settings import Settings, with_config

Serve = Callable[..., TestClient]
TOKEN = "sesame-sesame-sesame"
TEXT = '# ours\n[server]\nport = 9000\ntoken = "sesame-sesame-sesame"\n\n[[sources]]\npath = "data"\n'


@pytest.fixture
def data(tmp_path: Path) -> Path:
    (tmp_path / "data" / "deep").mkdir(parents=True)
    np.save(tmp_path / "data" / "points.npy", np.random.default_rng(0).random((9, 2)))
    (tmp_path / "data" / "notes.txt").write_text("notes")
    (tmp_path / "data" / ".secret").write_text("x")
    (tmp_path / "outside").mkdir()
    (tmp_path / "data" / "way out").symlink_to(tmp_path / "outside")
    (tmp_path / "data" / "way in").symlink_to(tmp_path / "data" / "deep")
    return tmp_path / "data"


@pytest.fixture
def file(data: Path) -> Path:
    path = data.parent / "lab.toml"
    path.write_text(TEXT)
    return path


@pytest.fixture
def configured(file: Path) -> Iterator[TestClient]:
    config = load(file)
    settings = with_config(Settings(token=config.server.token), config)
    app = create_app(catalog_of(list(config.offered)), settings, 8765)
    headers = {"authorization": f"Bearer {TOKEN}"}
    with TestClient(app, base_url="http://127.0.0.1:8765", headers=headers) as client:
        yield client


class TestConfig:
    def test_it_is_told_with_its_schema_and_without_secrets(self, configured: TestClient) -> None:
        answer = configured.get("/api/config")
        told = answer.json()
        assert TOKEN not in answer.text
        assert told["config"] == {"server": {"port": 9000, "token": "***REDACTED***"}, "sources": [{"path": "data"}]}
        assert (told["path"], told["writable"]) == ("lab.toml", True)
        assert told["effective"]["server"]["port"] == 8765
        assert told["schema"]["properties"]["sources"]
        again = configured.get("/api/config", headers={"if-none-match": answer.headers["etag"]})
        assert again.status_code == 304
        assert configured.head("/api/config").content == b""

    def test_a_change_is_saved(self, configured: TestClient, file: Path) -> None:
        config = configured.get("/api/config").json()["config"]
        config["server"]["port"] = 9001
        answer = configured.put("/api/config", json=config)
        assert answer.status_code == 200, answer.text
        assert answer.json() == {"saved": True, "restart_required": True, "path": "lab.toml"}
        assert load(file).server.port == 9001
        assert load(file).server.token == TOKEN
        assert file.read_text().startswith("# ours")
        assert (file.parent / "lab.toml.bak").read_text() == TEXT
        config["server"]["port"] = 9000
        back = configured.put("/api/config", json={"config": config})
        assert back.json()["restart_required"] is False

    def test_what_cannot_be_used_is_told_key_by_key(self, configured: TestClient, file: Path) -> None:
        answer = configured.put("/api/config", json={"server": {"prot": 1, "port": -1}})
        assert answer.status_code == 422
        told = answer.json()
        assert isinstance(told["detail"], str)
        assert [error["path"] for error in told["errors"]] == ["server.prot", "server.port"]
        assert "port" in told["errors"][0]["message"]
        assert file.read_text() == TEXT

    @pytest.mark.parametrize(
        ("body", "headers", "status"),
        [
            (b"server = 1", {}, 400),
            (b"[]", {}, 400),
            (b"{}", {}, 400),
            (b'{"server": {"port": 1}}', {"content-type": "text/plain"}, 415),
            (b'{"server": {"port": 1}}', {"if-match": '"other"'}, 412),
            (b'{"server": {"port": 1}}', {"origin": "http://evil.example"}, 403),
            (b'{"server": {"port": 1}}', {"origin": "http://["}, 403),
            (b'{"x": "' + b"y" * (1 << 20) + b'"}', {}, 413),
            (b'{"server": {"port": 1}}', {"authorization": "Bearer wrong-wrong-wrong"}, 401),
        ],
    )
    def test_what_is_refused(
        self, configured: TestClient, file: Path, body: bytes, headers: dict[str, str], status: int
    ) -> None:
        sent = {"content-type": "application/json", **headers}
        assert configured.put("/api/config", content=body, headers=sent).status_code == status
        assert file.read_text() == TEXT

    def test_the_version_that_was_read_can_be_named(self, configured: TestClient) -> None:
        etag = configured.get("/api/config").headers["etag"]
        body = {"server": {"port": 1, "token": "***REDACTED***"}}
        assert configured.put("/api/config", json=body, headers={"if-match": etag}).status_code == 200
        assert configured.put("/api/config", json=body, headers={"if-match": etag}).status_code == 412

    def test_pages_that_may_read_data_may_not_change_it(self, file: Path) -> None:
        settings = with_config(Settings(allow_origins=("https://friend.example",)), load(file))
        with TestClient(
            create_app(catalog_of(file.parent / "data"), settings, 8765), base_url="http://127.0.0.1:8765"
        ) as c:
            friend = {"origin": "https://friend.example"}
            assert c.get("/api/sources", headers=friend).status_code == 200
            assert c.get("/api/config", headers=friend).status_code == 403
            assert c.get("/api/config", headers={"origin": "http://["}).status_code == 403
            assert c.put("/api/config", json={"server": {"port": 1}}, headers=friend).status_code == 403
            own = {"origin": "http://127.0.0.1:8765"}
            assert c.put("/api/config", json={"server": {"port": 1}}, headers=own).status_code == 200

    def test_without_a_file_nothing_can_be_saved(self, serve: Serve, data: Path) -> None:
        client = serve(data)
        told = client.get("/api/config").json()
        assert (told["config"], told["path"], told["writable"]) == ({}, None, False)
        assert told["effective"]["server"]["host"] == "127.0.0.1"
        refused = client.put("/api/config", json={"server": {"port": 1}})
        assert (refused.status_code, refused.json()["error"]["code"]) == (409, "no_config_file")
        assert "--config" in refused.json()["error"]["hint"]

    @pytest.mark.skipif(os.geteuid() == 0, reason="root may write everything")
    def test_a_file_that_may_not_be_written(self, configured: TestClient, file: Path) -> None:
        file.chmod(0o400)
        assert configured.put("/api/config", json={"server": {"port": 1}}).status_code == 403

    def test_a_file_that_is_gone(self, configured: TestClient, file: Path) -> None:
        file.unlink()
        assert configured.get("/api/config").status_code == 404
        assert configured.put("/api/config", json={"server": {"port": 1}}).status_code in (403, 404)

    def test_nothing_else_is_put(self, configured: TestClient) -> None:
        for path in ("/api/diagnostics", "/api/sources", "/api/admin/status"):
            assert configured.put(path, json={}).status_code == 405
        assert configured.request("DELETE", "/api/config").status_code == 405


def test_diagnostics(serve: Serve, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    client = serve(data)
    id = client.get("/api/sources").json()[0]["source_id"]
    for _ in range(3):
        assert client.get(f"/api/thumbnail/{id}").status_code == 200
    assert client.get("/api/sources/none").status_code == 404
    (data / "points.npy").write_bytes(b"\x93NUMPY" + bytes(100))
    then = time.time() - 60
    os.utime(data / "points.npy", (then, then))
    assert client.get(f"/api/thumbnail/{id}").status_code >= 500
    told = client.get("/api/diagnostics").json()
    requests = told["requests"]
    assert (requests["count"], requests["refused"], requests["failed"]) == (6, 1, 1)
    assert 0 < requests["latency_ms"]["p50"] <= requests["latency_ms"]["p95"]
    assert told["cache"]["hits"] >= 2
    assert 0 < told["cache"]["hit_rate"] < 1
    assert told["last_error"]["path"] == f"/api/thumbnail/{id}"
    assert told["last_error"]["status"] >= 500
    assert str(data) not in str(told)
    often = client.get("/api/diagnostics")
    assert (often.status_code, often.headers["retry-after"]) == (429, "1")
    monkeypatch.setattr(admin, "PATIENCE_S", 0.0)
    assert client.get("/api/diagnostics").status_code == 200


def test_shares_of_what_was_noted() -> None:
    diagnostics = Diagnostics()
    assert diagnostics.told()["latency_ms"] == {"p50": None, "p95": None}
    for n in range(1, 101):
        diagnostics.note(n / 1000, 200)
    assert diagnostics.told()["latency_ms"] == {"p50": 51.0, "p95": 96.0}
    for _ in range(5000):
        diagnostics.note(1.0, 200)
    assert diagnostics.told()["recent"] == 1000
    assert diagnostics.told()["count"] == 5100


def test_status(configured: TestClient, data: Path) -> None:
    answer = configured.get("/api/admin/status")
    told = answer.json()
    assert (told["status"], told["service"], told["config"], told["pid"]) == (
        "ok",
        "coverslip",
        "lab.toml",
        os.getpid(),
    )
    assert told["memory_bytes"] > 1 << 20
    assert told["server"]["token"] == "***REDACTED***"
    assert told["catalog"]["roots"] == ["data"]
    assert str(data) not in answer.text
    assert TOKEN not in answer.text
    for path in ("admin/status", "admin/browse", "config", "diagnostics"):
        assert configured.get(f"/api/{path}", headers={"authorization": ""}).status_code == 401


class TestBrowse:
    def names(self, client: TestClient, path: str) -> list[str]:
        answer = client.get("/api/admin/browse", params={"path": path})
        assert answer.status_code == 200, answer.text
        return [entry["name"] for entry in answer.json()["entries"]]

    def test_folders_are_listed(self, serve: Serve, data: Path) -> None:
        client = serve(data)
        top = client.get("/api/admin/browse").json()
        assert top == {
            "path": "",
            "parent": None,
            "entries": [{"name": "data", "path": "data", "type": "directory", "size": None, "modified": None}],
            "truncated": False,
        }
        told = client.get("/api/admin/browse?path=data").json()
        assert (told["path"], told["parent"]) == ("data", "")
        found = {entry["name"]: (entry["path"], entry["type"], entry["size"]) for entry in told["entries"]}
        assert found == {
            "deep": ("data/deep", "directory", None),
            "way in": ("data/way in", "directory", None),
            "notes.txt": ("data/notes.txt", "file", 5),
            "points.npy": ("data/points.npy", "file", (data / "points.npy").stat().st_size),
        }
        assert client.get("/api/admin/browse?path=data/deep").json()["parent"] == "data"

    @pytest.mark.parametrize(
        "path", ["data/../outside", "..", "/etc", "data/.secret", "data/way out", "data/notes.txt", "dat", "data//deep",
                 "data/\x00", "none", "data/" + "x" * 5000],
    )  # fmt: skip
    def test_nothing_else_is(self, serve: Serve, data: Path, path: str) -> None:
        answer = serve(data).get("/api/admin/browse", params={"path": path})
        assert answer.status_code in (403, 404)
        assert str(data.parent) not in answer.text

    def test_many_are_cut(self, serve: Serve, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(browse, "MOST_ENTRIES", 3)
        told = serve(data).get("/api/admin/browse?path=data").json()
        assert [entry["name"] for entry in told["entries"]] == ["deep", "way in", "notes.txt"]
        assert told["truncated"] is True

    def test_names_that_are_no_text(self, serve: Serve, data: Path) -> None:
        (data / os.fsdecode(b"odd\xff.txt")).write_text("x")
        assert "odd�.txt" in self.names(serve(data), "data")

    def test_hidden_is_hidden_and_links_may_lead_to_nothing(self, tmp_path: Path, data: Path) -> None:
        (data / "broken").symlink_to(data / "nothing")
        (tmp_path / "hide.toml").write_text('[[sources]]\npath = "data"\nhidden = ["deep", "*.txt"]\n')
        config: Any = load(tmp_path / "hide.toml")
        app = create_app(catalog_of(list(config.offered)), Settings(), 8765)
        with TestClient(app, base_url="http://127.0.0.1:8765") as client:
            assert self.names(client, "data") == ["way in", "broken", "points.npy"]
            assert client.get("/api/admin/browse?path=data/deep").status_code == 404
