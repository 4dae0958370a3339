"""Flags, the configuration, and what a server is made of them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from coverslip.config import Config, load
from coverslip.core.errors import BadRequest, BadUsage
from coverslip.daemon import flags as flags_module
from coverslip.daemon.compose import offered, settings_of
from coverslip.daemon.flags import Flags
from coverslip.daemon.places import Places

TOKEN = "abcdefghijklmnopqrstuvwxyz"
DATA = Flags(paths=("/data",))


def configured(folder: Path, text: str) -> Config:
    file = folder / "coverslip.toml"
    file.write_text(text)
    return load(file)


def test_without_a_word_both_ports_are_on_loopback() -> None:
    settings, flags = settings_of(DATA, Config())
    assert (settings.host, settings.port) == ("127.0.0.1", 8814)
    assert (settings.flight_host, settings.flight_port) == ("127.0.0.1", 8815)
    assert (settings.token, settings.log_level, settings.listeners) == (None, "INFO", ("127.0.0.1", "127.0.0.1"))
    assert flags.token is None


@pytest.mark.parametrize(
    ("flags", "text", "told"),
    [
        ({}, "port = 9000\nhost = '127.0.0.2'", {"flight_port": 9000, "flight_host": "127.0.0.2", "port": 8814}),
        ({}, "port = 9000\nflight_port = 9001\nweb_port = 9002", {"flight_port": 9001, "port": 9002}),
        ({"port": 0, "web_port": 0}, "port = 9000\nweb_port = 9002", {"flight_port": 0, "port": 0}),
        ({"flight": False}, "flight_port = 9000", {"flight_port": None}),
        ({"web_host": "::1"}, "web_host = 'localhost'", {"host": "::1"}),
        ({}, "log_level = 'debug'", {"log_level": "DEBUG"}),
        ({"log_level": "WARNING"}, "log_level = 'debug'", {"log_level": "WARNING"}),
        ({"allow_host": ("a",)}, "allow_hosts = ['b']\nallow_origins = ['c']",
         {"allow_hosts": ("a",), "allow_origins": ("c",)}),
        ({}, "read_threads = 7", {"read_threads": 7}),
    ],
)  # fmt: skip
def test_flags_come_before_the_configuration(
    tmp_path: Path, flags: dict[str, Any], text: str, told: dict[str, Any]
) -> None:
    settings, _ = settings_of(Flags(paths=("/data",), **flags), configured(tmp_path, f"[server]\n{text}"))
    assert {name: getattr(settings, name) for name in told} == told


@pytest.mark.parametrize("reachable", [{"host": "0.0.0.0"}, {"web_host": "0.0.0.0"}])
def test_a_token_is_made_when_any_listener_can_be_reached(reachable: dict[str, str]) -> None:
    settings, flags = settings_of(Flags(paths=("/data",), **reachable), Config())  # type: ignore[arg-type]
    assert settings.token is not None
    assert len(settings.token) >= 43
    assert flags.token is None
    assert flags.token_kept


def test_where_a_token_comes_from(tmp_path: Path) -> None:
    config = configured(tmp_path, f"[server]\ntoken = '{TOKEN}'")
    settings, flags = settings_of(DATA, config)
    assert (settings.token, flags.token_kept) == (TOKEN, False)
    settings, flags = settings_of(Flags(paths=("/data",), token=TOKEN[::-1]), config)
    assert (settings.token, flags.token_kept) == (TOKEN[::-1], True)
    for bad in ("short", "x" * 129, "abcdefghijklmnop qrstuv"):
        with pytest.raises(BadUsage) as refused:
            settings_of(Flags(paths=("/data",), token=bad), Config())
        assert bad not in str(refused.value)


def test_something_must_be_served(tmp_path: Path) -> None:
    with pytest.raises(BadRequest, match="No data sources"):
        settings_of(Flags(), Config())
    settings, _ = settings_of(Flags(), configured(tmp_path, "[server]\nwritable = true\nwrite_dir = 'up'"))
    assert settings.writable
    config = configured(tmp_path, "[[sources]]\npath = 'a'")
    settings_of(Flags(), config)
    assert [str(getattr(item, "path", item)) for item in offered(Flags(paths=("/b", "s3://c/d")), config)] == [
        "/b", "s3://c/d", str(tmp_path / "a")
    ]  # fmt: skip


def test_two_protocols_need_two_ports() -> None:
    one = Flags(paths=("/data",), port=8899, web_port=8899)
    with pytest.raises(BadRequest, match="cannot both listen on port 8899"):
        settings_of(one, Config())
    settings_of(replace(one, flight=False), Config())
    settings_of(replace(one, host="127.0.0.2"), Config())
    settings_of(replace(one, port=0, web_port=0), Config())


def test_flags_are_remembered_without_the_token(tmp_path: Path) -> None:
    places = Places(tmp_path)
    assert flags_module.kept(places) == Flags()
    given = Flags(paths=("/a", "/b"), port=0, token=TOKEN, san=("x",), flight=False)
    flags_module.keep(places, given)
    assert TOKEN not in places.flags.read_text()
    again = flags_module.kept(places)
    assert (again.paths, again.port, again.token, again.san, again.flight) == (("/a", "/b"), 0, None, ("x",), False)
    newer = Flags(paths=("/c",), web_port=1).over(again)
    assert (newer.paths, newer.port, newer.web_port, newer.flight) == (("/c",), 0, 1, False)
    assert Flags().over(again) == again
    for broken in ("", "[]", "{", '{"nonsense": 1}'):
        places.flags.write_text(broken)
        assert flags_module.kept(places) == Flags()
