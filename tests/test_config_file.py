"""The configuration file while a server runs: shown without secrets, checked, and written anew."""

from __future__ import annotations

import json
import os
import stat
import tomllib
from pathlib import Path
from typing import Any

import pytest

from coverslip.config import load
from coverslip.config_file import REDACTED, ConfigFile, effective, redacted, schema
from coverslip.core.errors import CoverslipError, DiskFull, Invalid, NotFound
from coverslip.settings import Settings, with_config

TEXT = """# our lab
[server]
port = 9000  # as the firewall has it
token = "sesame-sesame-sesame"

[credentials]
default_profile = "lab"

[[credentials.profiles]]
name = "lab"
key = "AKIA"
secret = "hush"

[[credentials.profiles]]
name = "other"
secret = "quiet"

[[sources]]
path = "data"  # the small ones
name = "Liver"

[[sources]]
url = "https://me:pw@example.org/a.zarr?sig=abc"
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "lab.toml"
    path.write_text(TEXT)
    path.chmod(0o640)
    (tmp_path / "data").mkdir()
    return path


def test_nothing_secret_is_shown(file: Path) -> None:
    shown = ConfigFile(file).shown()
    text = json.dumps(shown)
    for secret in ("sesame", "AKIA", "hush", "quiet", "me:pw", "sig=abc"):
        assert secret not in text
    assert shown["server"] == {"port": 9000, "token": REDACTED}
    assert shown["sources"][1] == {"url": f"https://{REDACTED}@example.org/a.zarr?{REDACTED}"}
    assert redacted({"server": {"tls_key": "key.pem", "token": ""}}) == {"server": {"tls_key": "key.pem", "token": ""}}


def test_what_is_shown_can_be_sent_back_and_changes_nothing(file: Path) -> None:
    config = ConfigFile(file)
    assert config.save(config.shown()) is False
    assert file.read_text() == TEXT
    assert not file.with_name("lab.toml.bak").exists()


def test_a_change_is_written_with_the_secrets_the_comments_and_the_rights(file: Path) -> None:
    config = ConfigFile(file)
    wanted = config.shown()
    wanted["server"]["port"] = 9001
    wanted["server"]["read_threads"] = None
    wanted["cache"] = {"max_bytes": 1000}
    wanted["credentials"]["profiles"].reverse()
    wanted["sources"][0]["name"] = "Lung"
    etag = config.etag
    assert config.save(wanted) is True
    assert config.etag != etag
    written = file.read_text()
    assert "# our lab" in written
    assert "# as the firewall has it" in written
    assert stat.S_IMODE(file.stat().st_mode) == 0o640
    now = load(file)
    assert (now.server.port, now.server.token, now.cache.max_bytes) == (9001, "sesame-sesame-sesame", 1000)
    assert [(p.name, p.key, p.secret) for p in now.credentials.profiles] == [
        ("other", "", "quiet"),
        ("lab", "AKIA", "hush"),
    ]
    assert [s.name for s in now.sources] == ["Lung", ""]
    assert now.sources[1].url.endswith("sig=abc")
    assert file.with_name("lab.toml.bak").read_text() == TEXT
    assert not list(file.parent.glob(".*"))
    wanted["server"]["port"] = 9000
    wanted["sources"][0]["name"] = "Liver"
    del wanted["cache"]
    wanted["credentials"]["profiles"].reverse()
    assert config.save(wanted) is False, "it is again what the server began with"
    assert tomllib.loads(file.read_text()) == tomllib.loads(TEXT)


@pytest.mark.parametrize(
    ("wanted", "places"),
    [
        ({"server": {"prot": 1}}, ["server.prot"]),
        ({"server": {"port": 70000, "slice_bytes": -1}}, ["server.port", "server.slice_bytes"]),
        ({"server": {"port": "9000"}}, ["server.port"]),
        ({"sources": [{"name": "x"}]}, ["sources[0].url"]),
        ({"sources": [{"path": "a", "channel_colors": ["red"]}]}, ["sources[0].channel_colors"]),
        ({"sources": "all"}, ["sources"]),
        ({"server": {"token": REDACTED}, "serve": {}}, ["serve"]),
        ({"credentials": {"profiles": [{"name": "new", "secret": REDACTED}]}}, ["credentials.profiles[0].secret"]),
        ({"credentials": {"profiles": [{"name": "a"}, {"name": "a"}]}}, [""]),
    ],
)
def test_what_could_not_be_started_is_refused_key_by_key(file: Path, wanted: dict[str, Any], places: list[str]) -> None:
    with pytest.raises(Invalid) as refused:
        ConfigFile(file).save(wanted)
    assert [place for place, _ in refused.value.faults] == places
    assert all(told for _, told in refused.value.faults)
    assert file.read_text() == TEXT


def test_what_others_put_beside_it_is_neither_followed_nor_written_into(file: Path) -> None:
    victim, open_to_all = file.with_name("victim"), file.with_name("theirs")
    victim.write_text("precious")
    open_to_all.touch(0o666)
    for name in ("lab.toml.bak", f".lab.toml.{os.getpid()}.part"):
        file.with_name(name).symlink_to(victim)
    wanted = ConfigFile(file).shown()
    wanted["server"]["port"] = 9001
    assert ConfigFile(file).save(wanted)
    assert victim.read_text() == "precious"
    backup = file.with_name("lab.toml.bak")
    assert (backup.is_symlink(), backup.read_text()) == (False, TEXT)
    backup.unlink()
    os.link(open_to_all, backup)
    wanted["server"]["port"] = 9002
    assert ConfigFile(file).save(wanted)
    assert open_to_all.read_text() == ""
    assert stat.S_IMODE(backup.stat().st_mode) == 0o640


def test_a_secret_is_not_moved_to_another_name(file: Path) -> None:
    config = ConfigFile(file)
    wanted = config.shown()
    wanted["credentials"]["profiles"][0]["name"] = "else"
    with pytest.raises(Invalid, match="redacted"):
        config.save(wanted)


def test_what_goes_wrong_with_the_file(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = ConfigFile(file)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(DiskFull):
            config.save({"server": {"port": 1}})
    assert file.read_text() == TEXT
    assert not list(file.parent.glob(".*"))
    file.write_text("[server")
    with pytest.raises(CoverslipError, match=r"lab\.toml"):
        config.shown()
    file.unlink()
    with pytest.raises(NotFound, match=r"lab\.toml is gone"):
        config.save({})


def test_a_link_stays_a_link_and_json_stays_json(tmp_path: Path) -> None:
    real = tmp_path / "real.json"
    real.write_text(json.dumps({"server": {"port": 1}}))
    link = tmp_path / "link.json"
    link.symlink_to(real)
    ConfigFile(link).save({"server": {"port": 2}})
    assert link.is_symlink()
    assert json.loads(real.read_text()) == {"server": {"port": 2}}


def test_tables_of_other_programs_are_kept(tmp_path: Path) -> None:
    file = tmp_path / "biopb.toml"
    file.write_text("[server]\nport = 1\n\n[mcp]\nserver_start_timeout = 60\n")
    config = ConfigFile(file)
    wanted = config.shown()
    wanted["server"]["port"] = 2
    config.save(wanted)
    assert tomllib.loads(file.read_text()) == {"server": {"port": 2}, "mcp": {"server_start_timeout": 60}}


def test_what_a_server_runs_with(file: Path) -> None:
    settings = with_config(Settings(token="x" * 20, port=1), load(file))
    assert settings.config_file == file
    told = effective(settings, 8765)
    assert told["server"]["port"] == 8765
    assert told["server"]["token"] == REDACTED
    assert told["server"]["read_threads"] == 4
    assert told["credentials"] == {"default_profile": "lab", "profiles": [{"name": "lab"}, {"name": "other"}]}
    assert "hush" not in json.dumps(told)


def test_the_schema_tells_every_key() -> None:
    found = schema()
    assert set(found["properties"]) == {"server", "cache", "metadata_db", "cells", "ui", "credentials", "sources"}
    assert "tls_cert" in found["$defs"]["ServerTable"]["properties"]
    assert found["additionalProperties"] is False
    assert "notes" not in json.dumps(found["properties"])
