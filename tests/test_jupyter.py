"""What jupyter-server-proxy is told; that it can begin it is an end-to-end test."""

from __future__ import annotations

import tomllib
from importlib import import_module
from pathlib import Path

import pytest

from coverslip.cli.serve import serve
from coverslip.engine.access import choose_token
from coverslip.jupyter import launcher


@pytest.fixture(autouse=True)
def no_paths(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COVERSLIP_JUPYTER_PATHS", raising=False)


def test_it_is_found_by_its_entry_point() -> None:
    project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["project"]
    module, _, name = project["entry-points"]["jupyter_serverproxy_servers"]["coverslip"].partition(":")
    assert getattr(import_module(module), name) is launcher


def test_only_jupyter_knows_the_token() -> None:
    told, again = launcher(), launcher()
    token = told["environment"]["COVERSLIP_TOKEN"]
    assert choose_token(token, ["127.0.0.1"]) == token
    assert told["request_headers_override"] == {"Authorization": f"Bearer {token}"}
    assert token not in " ".join(told["command"]), "everybody may list processes"
    assert again["environment"]["COVERSLIP_TOKEN"] != token


def test_what_is_served(monkeypatch: pytest.MonkeyPatch) -> None:
    def flags() -> dict[str, object]:
        words = [word.format(port=4711, base_url="/user/ann/") for word in launcher()["command"]]
        assert words[1:5] == ["-P", "-m", "coverslip", "serve"]
        return serve.make_context("serve", words[5:]).params

    assert (flags()["paths"], flags()["port"], flags()["host"]) == ((".",), 4711, "127.0.0.1")
    assert flags()["trusted_proxy"] == ("127.0.0.1", "::1")
    monkeypatch.setenv("COVERSLIP_JUPYTER_PATHS", "/data/{odd} 'two words' -x s3://bucket/a")
    assert flags()["paths"] == ("/data/{odd}", "two words", "-x", "s3://bucket/a")
