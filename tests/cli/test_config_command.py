"""``coverslip config show``: every setting, and who said so; every step of who comes first, of every setting."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path
from typing import Any

import click
import msgspec
import pytest
from click.testing import CliRunner, Result

from coverslip.cli.config import config
from coverslip.cli.serve import serve
from coverslip.cli.server import start
from coverslip.cli.ui import server as ui
from coverslip.config import TABLES
from coverslip.core.errors import BadUsage
from coverslip.every_setting import COMMANDS, NOWHERE, OLDER, OTHERS, SETTINGS, Setting, of_command
from coverslip.settings import Settings

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
CLICK = {"serve": serve, "start": start, "ui": ui}
NO_SETTINGS = {
    "paths", "config", "help", "quiet", "verbose", "no_browser", "end_with_input", "more", "words", "launch", "yes",
    "foreground", "static_dir",
}  # fmt: skip
"""Options of what is done, not of how a server is."""
FLAG_ONLY = {("start", "flight")}
"""Settings that only a flag says: whether the background server has Arrow Flight at all."""
CASES = [(command, setting) for command in COMMANDS for setting in of_command(command)]
NAMES = [f"{command}-{setting.key or setting.serve}" for command, setting in CASES]


def shown(*words: str) -> Result:
    return CliRunner().invoke(config, ["show", *words])


def told(*words: str) -> dict[str, dict[str, Any]]:
    done = shown("--json", *words)
    assert done.exit_code == 0, (done.output, done.exception)
    found: dict[str, dict[str, Any]] = json.loads(done.stdout)
    return found


@pytest.fixture(autouse=True)
def no_variables(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "none"))
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in {name for setting in SETTINGS for name in setting.variables} | {"COVERSLIP_CONFIG"}:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def file(tmp_path: Path) -> str:
    (tmp_path / "lab.toml").write_text(FILE.replace("{folder}", str(tmp_path)))
    return str(tmp_path / "lab.toml")


def option_of(command: str, setting: Setting) -> click.Option | None:
    name = setting.option(command)
    return next((p for p in CLICK[command].params if name and p.name == name and isinstance(p, click.Option)), None)


def kind_of(setting: Setting) -> str:
    table, _, name = (setting.key or f"server.{setting.serve}").partition(".")
    fields = {field.name: str(field.type) for field in msgspec.structs.fields(TABLES[table])}
    return fields.get(name, "bool")


def samples(setting: Setting) -> tuple[Any, Any, Any]:
    """What the file, the environment and a flag say, each something else where there are so many values."""
    odd: dict[str, tuple[Any, Any, Any]] = {
        "server.log_level": ("DEBUG", "WARNING", "ERROR"),
        "server.monitor_mode": ("off", "periodic", "off"),
        "server.trusted_proxies": (["10.0.0.1"], "10.0.0.2", "10.0.0.3"),
        "server.external_location": ("grpc://a:1", "grpc://b:1", "grpc://c:1"),
        "cache.gene_index": (False, "true", "true"),
        "cache.persist": (False, "false", "true"),
        "ui.engine": ("native", "hsds", "native"),
    }
    kind = kind_of(setting)
    if setting.key in odd:
        return odd[setting.key]
    if "tuple" in kind:
        return ["from-file"], "from-environment", "from-flag"
    if "bool" in kind:
        return True, "true", "true"
    if "int" in kind or "float" in kind:
        return 21, "22", "23"
    return "from-file", "from-environment", "from-flag"


def flag_words(command: str, setting: Setting, value: Any) -> list[str]:
    option = option_of(command, setting)
    if option is None:
        return ["--set", f"{setting.key}={value}"]
    return [option.opts[-1]] if option.is_flag and option.flag_value is True else [option.opts[-1], str(value)]


def agrees(found: Any, said: Any) -> bool:
    if found == "***REDACTED***":
        return True
    if isinstance(found, list):
        return found == (said if isinstance(said, list) else [said])
    if isinstance(found, bool):
        return found is (said in (True, "true"))
    if isinstance(found, (int, float)):
        return float(found) == float(said)
    return str(found) == str(said) or str(found).endswith(f"/{said}")


def name_in(command: str, setting: Setting) -> str:
    return setting.option(command) or setting.key


@pytest.mark.parametrize(("command", "setting"), CASES, ids=NAMES)
def test_flags_before_variables_before_the_file_before_the_default(
    command: str, setting: Setting, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_file, in_environment, in_flag = samples(setting)
    name, words = name_in(command, setting), ["--of", command]
    assert told(*words)[name]["from"] == "default"
    if setting.key:
        table, _, key = setting.key.partition(".")
        more = 'write_dir = "up"\n' if key == "writable" else ""
        (tmp_path / "own.toml").write_text(f"[{table}]\n{key} = {json.dumps(in_file)}\n{more}")
        words += ["--config", str(tmp_path / "own.toml")]
        found = told(*words)[name]
        on = not in_file if setting.key == "cache.gene_index" else in_file  # the flag turns it off
        assert (found["from"], agrees(found["value"], on)) == ("own.toml", True), found
    option = option_of(command, setting)
    given = setting.variables if option is None else option.envvar
    for variable in [given] if isinstance(given, str) else given or []:
        with monkeypatch.context() as patched:
            patched.setenv(variable, str(in_environment))
            found = told(*words)[name]
            assert (found["from"], agrees(found["value"], in_environment)) == (variable, True), found
            found = told(*words, *flag_words(command, setting, in_flag))[name]
            assert (found["from"], agrees(found["value"], in_flag)) == ("flag", True), found


class TestEverySetting:
    """Nothing that can be said is missing in the table, which the reference is made of."""

    @pytest.mark.parametrize("command", COMMANDS)
    def test_every_option_of_a_command(self, command: str) -> None:
        listed = {setting.option(command) for setting in of_command(command)}
        options = {param.name for param in CLICK[command].params} - NO_SETTINGS
        assert options - {name for at, name in FLAG_ONLY if at == command} == listed - {""}

    @pytest.mark.parametrize(("command", "setting"), CASES, ids=NAMES)
    def test_every_variable(self, command: str, setting: Setting) -> None:
        option = option_of(command, setting)
        if option is not None:
            given = [option.envvar] if isinstance(option.envvar, str) else list(option.envvar or ())
            assert given, "it can be said in the environment"
            assert set(given) <= set(setting.variables)
        assert setting.meaning or option is not None

    def test_every_key_of_the_file(self) -> None:
        tables = {name: TABLES[name] for name in ("server", "cache", "metadata_db", "cells", "ui")}
        keys = {f"{name}.{field.name}" for name, table in tables.items() for field in msgspec.structs.fields(table)}
        assert {setting.key for setting in SETTINGS if setting.key} == keys - set(OLDER.values())

    def test_every_field_of_the_settings(self) -> None:
        inside = {"cells", "catalog"}  # of these some fields are settings
        unsaid = {"credentials", "config_file"}  # tables of the file, and where it is
        fields = {field.name for field in dataclasses.fields(Settings)} - inside - unsaid
        found = {one.field for one in SETTINGS if (one.field and one.serve != NOWHERE) or one.start != NOWHERE}
        assert {name for name in found if name and "." not in name} == (fields | {"writable"})
        assert {name.partition(".")[0] for name in found if "." in name} == inside

    def test_every_variable_that_the_source_names(self) -> None:
        source = Path(__file__).parents[2] / "src" / "coverslip"
        named = {
            name
            for path in source.rglob("*.py")
            for name in re.findall(r'"((?:COVERSLIP|BIOPB|CELLUCID)_[A-Z_]*[A-Z])"', path.read_text())
        }
        assert named <= {name for one in SETTINGS for name in one.variables} | set(OTHERS)


def test_without_a_word_all_is_default() -> None:
    for command in COMMANDS:
        assert {one["from"] for one in told("--of", command).values()} == {"default"}
    assert told()["port"]["value"] == 8765
    assert told("--of", "start")["web_port"]["value"] == 8814
    assert told("--of", "ui")["port"]["value"] == 5101


def test_a_file_of_biopb_says_where_flight_is(file: str) -> None:
    found = told("--of", "start", "--config", file)
    assert found["port"] == {"value": 9001, "from": "lab.toml"}
    assert found["web_port"] == {"value": 8814, "from": "default"}
    assert told("--config", file)["port"] == {"value": 9001, "from": "lab.toml"}


def test_paths_and_sources_are_told(file: str) -> None:
    found = told("--config", file, "data")
    assert found["paths"] == {"value": ["data"], "from": "flag"}
    assert found["sources"]["from"] == "lab.toml"
    assert found["no_index"] == {"value": True, "from": "lab.toml"}


def test_no_token_is_shown(file: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert TOKEN not in shown("--config", file).output
    assert told("--config", file)["token"]["from"] == "lab.toml"
    monkeypatch.setenv("COVERSLIP_TOKEN", "open-open-open-open")
    done = shown()
    assert "open-open" not in done.output
    assert "COVERSLIP_TOKEN" in done.output


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--set", "server.red_threads=3"], "server.read_threads"),
        (["--set", "server.read_threads"], "has no value"),
        (["--set", "server.read_threads=many"], "--set server.read_threads: many is no whole number"),
        (["--set", "server.read_threads=0"], "--set server.read_threads: must be more than 0"),
        (["--set", "server.web_port=1"], "Write --port"),
        (["--set", "server.writable=true"], "needs server.write_dir"),
    ],
)
def test_what_cannot_be_set(words: list[str], told: str) -> None:
    done = shown(*words)
    assert isinstance(done.exception, BadUsage)
    assert told in f"{done.exception} {done.exception.hint}"


def test_what_a_variable_says_wrong_is_said_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COVERSLIP_CACHE_MAX_BYTES", "much")
    assert "COVERSLIP_CACHE_MAX_BYTES: much is no whole number" in str(shown().exception)


def test_what_serve_would_refuse_is_refused(tmp_path: Path) -> None:
    assert shown("--nonsense").exit_code == 2
    (tmp_path / "bad.toml").write_text("[server]\nprot = 1\n")
    for command in COMMANDS:
        done = shown("--of", command, "--config", str(tmp_path / "bad.toml"))
        assert done.exit_code != 0
        assert "server.prot, did you mean port?" in str(done.exception)
    assert "FLAGS" in shown("--help").output
