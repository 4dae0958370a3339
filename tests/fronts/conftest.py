"""A client of the whole application, without a socket."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from coverslip.app import catalog_of, create_app
from coverslip.engine.options import CatalogOptions
from coverslip.fronts.viewer.front import ViewerFront
from coverslip.settings import Settings
from described import Judge

Serve = Callable[..., TestClient]
PATIENCE_S = 60
QUICK = replace(CatalogOptions(), settle_s=1.0)


def settle(path: Path) -> None:
    """Date files back: those written a moment ago count as being written."""
    then = time.time() - 60
    for file in [path, *path.rglob("*")] if path.is_dir() else [path]:
        if file.stat().st_mtime > then:
            os.utime(file, (then, then))


@contextmanager
def serving() -> Iterator[Serve]:
    """Serves data, and gives a client once the catalog knows everything; all end together."""
    with ExitStack() as clients:

        def begin(data: object, settings: Settings | None = None) -> TestClient:
            for item in data if isinstance(data, list) else [data]:
                if isinstance(item, Path):
                    settle(item)
            catalog = catalog_of(data, catalog=QUICK)
            app = create_app(catalog, settings or Settings(), 8765)
            judged = Judge(app, ViewerFront().has)
            client = TestClient(judged, base_url="http://127.0.0.1:8765", headers={"accept-encoding": "identity"})
            clients.enter_context(client)
            assert catalog.wait_idle(PATIENCE_S)
            return client

        yield begin


@pytest.fixture
def serve() -> Iterator[Serve]:
    """For one test."""
    with serving() as begin:
        yield begin


@pytest.fixture(scope="module")
def serve_all() -> Iterator[Serve]:
    """For all tests of a module, which change nothing of the data."""
    with serving() as begin:
        yield begin
