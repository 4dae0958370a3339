"""A server of some sources, and who asks it with which right."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote_to_bytes

import numpy as np
import pytest
import tifffile
from starlette.testclient import TestClient
from starlette.types import Message

from coverslip.app import catalog_of, create_app
from coverslip.engine.catalog import Catalog
from coverslip.engine.keys import Keys
from coverslip.engine.options import CatalogOptions
from coverslip.fronts.openapi.document import document
from coverslip.settings import Settings
from make import adata

PATIENCE_S = 60
TOKEN, READ, OTHER = "open-sesame-open-sesame", "only-reading-only-reading", "another-sesame-another"
HERE = "http://127.0.0.1:8765"
FILL = {"kind": "composition", "job": "0" * 32, "number": "1", "event": "ready"}
DESCRIBED = [
    (method.upper(), re.sub(r"\{(\w+)\}", lambda m: FILL.get(m[1], "x"), path).lstrip("/"), one["tags"])
    for path, methods in document("1", notebook=True)["paths"].items()
    for method, one in methods.items()
]


class Clock:
    now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Lab:
    """A server of some sources."""

    client: TestClient
    catalog: Catalog
    keys: Keys
    clock: Clock
    folder: Path

    def id(self, name: str) -> str:
        """Of a source, by the name of its file."""
        (found,) = [row.id for row in self.catalog.entries()[0] if row.path == name]
        return found

    def array(self, name: str) -> str:
        """The id of the first array of a source."""
        id = self.id(name)
        tensors = self.catalog.get(id).tensors or []
        return f"{id}/{tensors[0]['path']}" if tensors[0]["path"] else id

    def link(self, name: str, for_s: float = 60) -> str:
        """The secret of a link to a source."""
        id = self.id(name)
        return self.keys.share(id, self.catalog.where(id)[0], for_s)[0]

    def ask(self, method: str, target: str, token: str = "", body: bytes = b"", **headers: str) -> tuple[int, bytes]:
        """Status and body of the answer to a request whose path is sent exactly so."""
        path, _, query = target.partition("?")
        named = {"host": "127.0.0.1:8765", "content-type": "application/json"}
        named |= {name.replace("_", "-"): value for name, value in headers.items()}
        if token:
            named["authorization"] = f"Bearer {token}"
        scope = {
            "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": method, "scheme": "http",
            "path": unquote_to_bytes(path).decode("utf-8", "replace"), "raw_path": path.encode(), "root_path": "",
            "query_string": query.encode(), "client": ("192.0.2.7", 1), "server": ("127.0.0.1", 8765),
            "headers": [(name.encode(), value.encode()) for name, value in named.items()],
        }  # fmt: skip
        told: list[Message] = []
        sent: list[bool] = []

        async def receive() -> Message:
            if sent:
                await asyncio.Event().wait()  # it stays until it is answered
            sent.append(True)
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: Message) -> None:
            told.append(message)

        assert self.client.portal is not None
        self.client.portal.call(self.client.app, scope, receive, send)
        return told[0]["status"], b"".join(message.get("body", b"") for message in told[1:])


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    folder = tmp_path_factory.mktemp("lab") / "data"
    (folder / "deep").mkdir(parents=True)
    for name in ("lung", "brain", "deep/obs"):
        adata().write_h5ad(folder / f"{name}.h5ad")
    tifffile.imwrite(folder / "slide.tif", np.arange(64 * 64, dtype=np.uint16).reshape(64, 64))
    tifffile.imwrite(folder / "secret.tif", np.full((64, 64), 7, np.uint16))
    for path in (folder, *folder.rglob("*")):  # what was written a moment ago counts as being written
        os.utime(path, (1.6e9, 1.6e9))
    clock = Clock()
    keys = Keys(TOKEN, READ, b"k" * 32, clock)
    catalog = catalog_of(folder, catalog=CatalogOptions(persist=False, settle_s=1.0))
    app = create_app(catalog, Settings(token=TOKEN, read_token=READ), 8765, keys=keys)
    with TestClient(app, base_url=HERE) as client:
        assert catalog.wait_idle(PATIENCE_S)
        yield Lab(client, catalog, keys, clock, folder)


@pytest.fixture
def enter(lab: Lab) -> Any:
    def exchange(secret: str, cookie: str = "") -> tuple[dict[str, Any], str]:
        headers = {"cookie": cookie} if cookie else {}
        answer = lab.client.post("/api/session", json={"token": secret}, headers=headers)
        lab.client.cookies.clear()
        return answer.json(), answer.headers.get("set-cookie", "").partition(";")[0]

    return exchange
