"""Under which addresses a server says that it is reached."""

from __future__ import annotations

import socket
import urllib.request
from pathlib import Path

import numpy as np
import pytest

from coverslip import reached
from coverslip.cli.console import Console
from coverslip.reached import elsewhere, here
from coverslip.server import Server
from coverslip.settings import Settings

ANY = "0.0.0.0"
PATIENCE_S = 60


@pytest.mark.parametrize(
    ("host", "told"),
    [(ANY, "127.0.0.1"), ("::", "127.0.0.1"), ("::1", "[::1]"), ("lab", "lab"), ("10.1.2.3", "10.1.2.3")],
)
def test_from_this_machine(host: str, told: str) -> None:
    assert here(host) == told


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        (Settings(), None),
        (Settings(host="10.1.2.3"), None),
        (Settings(host=ANY), "192.168.7.5"),
        (Settings(host="::"), "192.168.7.5"),
        (Settings(host=ANY, allow_hosts=("lab.example.org", "other")), "lab.example.org"),
        (Settings(host=ANY, allow_hosts=("2001:db8::7",)), "[2001:db8::7]"),
        (Settings(host=ANY, tls=True), "bench"),
        (Settings(host=ANY, tls=True, tls_names=("lab.example.org",)), "lab.example.org"),
        (Settings(host=ANY, root_path="/lab"), None),
        (Settings(host=ANY, trusted_proxies=("10.0.0.1",)), None),
    ],
)
def test_from_other_machines(settings: Settings, told: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reached, "own_address", lambda: "192.168.7.5")
    monkeypatch.setattr(socket, "gethostname", lambda: "bench")
    assert elsewhere(settings) == told


def test_without_a_network_the_name_has_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reached, "ELSEWHERE", ((socket.AF_INET, "no address"), (socket.AF_INET, "127.0.0.1")))
    monkeypatch.setattr(socket, "gethostname", lambda: "bench")
    assert reached.own_address() is None
    assert elsewhere(Settings(host=ANY)) == "bench"


def test_the_address_that_is_told_opens_the_data(tmp_path: Path) -> None:
    path = tmp_path / "points.npy"
    np.save(path, np.zeros((5, 2)))
    with Server(path, Settings(host=ANY, port=0, allow_hosts=("localhost",))) as server:
        url = server.network_url
        assert url is not None
        assert url.startswith("http://localhost:")
        assert url.partition("#")[2] == server.viewer_url.partition("#")[2] == f"token={server.keys.token}"
        page, _, token = url.partition("#token=")
        asked = urllib.request.Request(f"{page}api/sources", headers={"Authorization": f"Bearer {token}"})
        with urllib.request.urlopen(asked, timeout=PATIENCE_S) as answer:
            assert answer.status == 200
    with Server(path, Settings(port=0)) as server:
        assert server.network_url is None


def test_a_start_in_the_background_tells_it(capsys: pytest.CaptureFixture[str]) -> None:
    told = {"pid": 1, "http": "http://127.0.0.1:8814/", "grpc": None}
    Console(None).ready(told)
    assert "other machines" not in capsys.readouterr().out
    Console(None).ready({**told, "elsewhere": "http://192.168.7.5:8814/"})
    assert "  HTTP, from other machines: http://192.168.7.5:8814/\n" in capsys.readouterr().out
    Console(None).ready({**told, "grpc": "grpc://127.0.0.1:8815", "grpc_elsewhere": "grpc://192.168.7.5:8815"})
    assert "  gRPC, from other machines: grpc://192.168.7.5:8815\n" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        (Settings(host=ANY), None),
        (Settings(flight_port=8815), None),
        (Settings(host=ANY, flight_port=8815), "grpc://192.168.7.5:8815"),
        (Settings(flight_host=ANY, flight_port=8815), "grpc://192.168.7.5:8815"),
        (Settings(host=ANY, flight_port=8815, external_location="grpc://lab:9"), "grpc://lab:9"),
        (Settings(external_location="grpc://lab:9"), None),
    ],
)
def test_arrow_flight_from_other_machines(
    settings: Settings, told: str | None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(reached, "own_address", lambda: "192.168.7.5")
    np.save(tmp_path / "points.npy", np.zeros((5, 2)))
    assert Server(tmp_path / "points.npy", settings).network_flight_url == told
