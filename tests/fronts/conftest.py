"""A client of the whole application, without a socket."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from coverslip.app import catalog_of, create_app
from coverslip.settings import Settings

Serve = Callable[..., TestClient]
PATIENCE_S = 60


def settle(path: Path) -> None:
    """Date files back: those written a moment ago count as being written."""
    then = time.time() - 60
    for file in [path, *path.rglob("*")] if path.is_dir() else [path]:
        if file.stat().st_mtime > then:
            os.utime(file, (then, then))


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Serves data, and gives a client once the catalog knows everything."""
    clients = []

    def begin(data: object, settings: Settings | None = None) -> TestClient:
        for item in data if isinstance(data, list) else [data]:
            if isinstance(item, Path):
                settle(item)
        catalog = catalog_of(data)
        app = create_app(catalog, settings or Settings(), 8765)
        client = TestClient(app, base_url="http://127.0.0.1:8765", headers={"accept-encoding": "identity"})
        client.__enter__()
        clients.append(client)
        assert catalog.wait_idle(PATIENCE_S)
        return client

    yield begin
    for client in clients:
        client.__exit__()
