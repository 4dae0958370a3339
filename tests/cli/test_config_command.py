"""``coverslip config show``: every setting, and who said so."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from coverslip.cli.config import NO_SETTINGS, config
from coverslip.cli.serve import serve

TOKEN = "sesame-sesame-sesame"
FILE = f"""
[server]
port = 9001
host = "0.0.0.0"
token = "{TOKEN}"
external_location = "grpc://lab.example:443"
slice_bytes = 1000000
[cache]
persist = false
gene_index = false
[[sources]]
url = "{{folder}}"
"""


def shown(*words: str) -> Result:
    return CliRunner().invoke(config, ["show", *words])


def told(*words: str) -> dict[str, dict[str, Any]]:
    done = shown("--json", *words)
    assert done.exit_code == 0, done.output
    found: dict[str, dict[str, Any]] = json.loads(done.stdout)
    return found


@pytest.fixture(autouse=True)
def no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for option in serve.params:
        for name in [option.envvar] if isinstance(option.envvar, str) else option.envvar or []:
            monkeypatch.delenv(name, raising=False)


@pytest.fixture
def file(tmp_path: Path) -> str:
    (tmp_path / "lab.toml").write_text(FILE.replace("{folder}", str(tmp_path)))
    return str(tmp_path / "lab.toml")


def test_without_a_word_all_is_default() -> None:
    found = told()
    assert {one["from"] for one in found.values()} == {"default"}
    assert found["port"]["value"] == 8765
    assert {o.name for o in serve.params if isinstance(o, click.Option)} - NO_SETTINGS <= set(found)


def test_flags_before_variables_before_the_file(file: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COVERSLIP_HOST", "127.0.0.2")
    monkeypatch.setenv("COVERSLIP_PORT", "9002")
    found = told("--config", file, "--port", "9003", "data")
    assert found["port"] == {"value": 9003, "from": "flag"}
    assert found["host"] == {"value": "127.0.0.2", "from": "COVERSLIP_HOST"}
    assert found["external_location"] == {"value": "grpc://lab.example:443", "from": "lab.toml"}
    assert found["no_index"] == {"value": True, "from": "lab.toml"}
    assert found["server.slice_bytes"] == {"value": 1000000, "from": "lab.toml"}
    assert found["cache.persist"] == {"value": False, "from": "lab.toml"}
    assert found["cache.max_bytes"]["from"] == "default"
    assert found["paths"] == {"value": ["data"], "from": "flag"}
    assert found["sources"]["from"] == "lab.toml"


def test_no_token_is_shown(file: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert TOKEN not in shown("--config", file).output
    assert told("--config", file)["token"]["from"] == "lab.toml"
    monkeypatch.setenv("COVERSLIP_TOKEN", "open-open-open-open")
    done = shown()
    assert "open-open" not in done.output
    assert "COVERSLIP_TOKEN" in done.output


def test_what_serve_would_refuse_is_refused(tmp_path: Path) -> None:
    assert shown("--nonsense").exit_code == 2
    (tmp_path / "bad.toml").write_text("[server]\nprot = 1\n")
    done = shown("--config", str(tmp_path / "bad.toml"))
    assert done.exit_code != 0
    assert "prot" in str(done.exception)
    assert "FLAGS OF serve" in shown("--help").output
