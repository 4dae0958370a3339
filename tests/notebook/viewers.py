"""A view of a notebook, and a viewer as HTTP hears it."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import coverslip
import make
from coverslip.notebook import View


class Viewer:
    """A browser's side."""

    def __init__(self, view: View) -> None:
        self.url = view.url
        self.token = view.viewer_url.partition("#token=")[2]
        self.last: int | None = None

    def ask(self, path: str, method: str = "GET", body: bytes | None = None, **headers: str) -> Any:
        sent = {"Authorization": f"Bearer {self.token}", **{k.replace("_", "-"): v for k, v in headers.items()}}
        request = urllib.request.Request(f"{self.url}/{path}", body, sent, method=method)
        return urllib.request.urlopen(request, timeout=30)

    def commands(self) -> list[dict[str, Any]]:
        with self.ask("api/dialogue/commands" + ("" if self.last is None else f"?after={self.last}")) as answer:
            told = json.load(answer)
        self.last = told["last"]
        return list(told["commands"])

    def cells(self, command: dict[str, Any]) -> np.ndarray:
        with self.ask(f"api/dialogue/cells/{command['number']}") as answer:
            bits = np.frombuffer(answer.read(), np.uint8)
        return np.flatnonzero(np.unpackbits(bits, bitorder="little", count=command["n"]))

    def tell(self, what: str, body: bytes) -> None:
        self.ask(f"api/dialogue/events/{what}", "PUT", body).close()


def status(viewer: Viewer, *asked: Any, **headers: str) -> int:
    try:
        with viewer.ask(*asked, **headers) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code


@pytest.fixture(scope="module")
def shared() -> Iterator[View]:
    with coverslip.show(make.adata(), dataset_name="Blood") as view:
        yield view


@pytest.fixture
def view(shared: View) -> View:
    shared.clear_hooks()
    shared._dialogue._commands.clear()
    return shared


def soon(check: Any) -> None:
    end = time.monotonic() + 20
    while not check():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.01)
