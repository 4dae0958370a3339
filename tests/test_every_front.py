"""Files and folders of every kind, served at once: every front answers on one port, Arrow Flight on another."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from coverslip.server import Server
from coverslip.settings import Settings
from every_front import Client, check_every_front, check_python, lab


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("lab")
    with Server(lab(folder), Settings(port=0, flight_port=0, root_path="/lab/coverslip")) as running:
        Client(f"{running.url}/").wait()
        yield running


@pytest.mark.parametrize("prefix", ["", "lab/coverslip/"])
def test_every_front_answers(server: Server, prefix: str) -> None:
    check_every_front(Client(f"{server.url}/{prefix}", links=f"{server.url}/lab/coverslip/"))


def test_flight_has_the_same_arrays(server: Server) -> None:
    assert server.flight_url is not None
    check_python(server.flight_url, "")
