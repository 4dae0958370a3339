"""Which server is meant."""

from __future__ import annotations

import json
import os
import platform
import tomllib
from pathlib import Path

import pytest

from coverslip.client.address import choose, parse
from coverslip.client.saved import save_url, saved_url
from coverslip.core.errors import BadRequest, Unreadable


@pytest.mark.parametrize(
    ("url", "want"),
    [
        ("grpc://localhost:8815", "grpc+tcp://localhost:8815"),
        ("grpc+tcp://lab.example.org", "grpc+tcp://lab.example.org:8815"),
        ("GRPCS://h:1", "grpc+tls://h:1"),
        ("grpc+tls://[::1]:9", "grpc+tls://[::1]:9"),
        ("localhost:8815", "grpc+tcp://localhost:8815"),
        ("http://h", "http://h:80"),
        ("https://h/data/", "https://h:443/data"),
        ("http://127.0.0.1:8765/#token=abc", "http://127.0.0.1:8765"),
    ],
)
def test_urls(url: str, want: str) -> None:
    assert parse(url)[0].url == want


def test_the_token_of_a_printed_url() -> None:
    for url in ("http://h:1/?token=abc", "http://h:1/#token=abc"):
        address, token = parse(url)
        assert token == "abc"
        assert "abc" not in f"{address} {address!r}"
    assert "abc" not in repr(choose("http://h:1/?token=abc", None))


@pytest.mark.parametrize("url", ["ftp://h", "http://", "grpc://h:port", "http://user:secret@h", "://", "http://[::1"])
def test_what_is_no_address(url: str) -> None:
    with pytest.raises(BadRequest, match="is not the address of a server") as caught:
        parse(url)
    assert "secret" not in str(caught.value)


def test_a_source_is_not_part_of_the_address() -> None:
    with pytest.raises(BadRequest, match=r'connect\(…\)\["liver/0"\]'):
        parse("grpc://h:1/liver/0")


def test_order(tmp_path: Path) -> None:
    home = {"XDG_CONFIG_HOME": str(tmp_path), "COVERSLIP_STATE_DIR": str(tmp_path / "state")}

    def chosen(url: str | None = None, **environment: str) -> tuple[str, str | None, str]:
        target = choose(url, None, {**home, **environment})
        return target.address.given, target.token, target.origin

    assert chosen() == ("grpc://localhost:8815", None, "default")
    (tmp_path / "state").mkdir()
    about = {"pid": os.getpid(), "node": platform.node(), "http": "http://127.0.0.1:8", "grpc": "grpc://127.0.0.1:9"}
    (tmp_path / "state" / "server.json").write_text(json.dumps(about))
    (tmp_path / "state" / "server.token").write_text("its-own\n")
    assert chosen() == ("grpc://127.0.0.1:9", "its-own", "running")
    assert chosen(COVERSLIP_TOKEN="given") == ("grpc://127.0.0.1:9", "given", "running")
    (tmp_path / "state" / "server.json").write_text(json.dumps({**about, "node": "another"}))
    assert chosen()[2] == "default"
    (tmp_path / "biopb").mkdir()
    (tmp_path / "biopb" / "biopb.toml").write_text('[tensor_browser]\nserver_url = "grpc://theirs:1"\n')
    assert chosen() == ("grpc://theirs:1", None, "saved")
    (tmp_path / "biopb" / "biopb.json").write_text('{"tensor_browser": {"server_url": "grpc://json:1"}}')
    assert chosen()[0] == "grpc://json:1"
    save_url("grpc://ours:1", home)
    assert chosen()[0] == "grpc://ours:1"
    assert chosen(BIOPB_TENSOR_SERVER="grpc://old:1")[0] == "grpc://old:1"
    theirs = {"BIOPB_TENSOR_URL": "grpc://peer:1", "BIOPB_TENSOR_TOKEN": "b", "BIOPB_TENSOR_SERVER": "grpc://old:1"}
    assert chosen(**theirs) == ("grpc://peer:1", "b", "BIOPB_TENSOR_URL")
    assert chosen(COVERSLIP_URL="http://c:1", COVERSLIP_TOKEN="c", **theirs) == ("http://c:1", "c", "COVERSLIP_URL")
    assert chosen("http://d:1/?token=d", COVERSLIP_URL="http://c:1") == ("http://d:1", "d", "given")
    for broken in ("not toml", "[tensor_browser]\nserver_url = 7\n", "tensor_browser = 1\n"):
        (tmp_path / "coverslip" / "coverslip.toml").write_text(broken)
        assert chosen()[0] == "grpc://json:1"


@pytest.mark.parametrize(
    "before",
    [
        "",
        "[server]\nport = 1",
        "[tensor_browser]\n",
        '[tensor_browser] # mine\nserver_url = "old"\nother = 1\n\n[server]\nport = 1\n',
        "[tensor_browser]\nother = 1\n[server]\nserver_url = 2\n",
    ],
)
def test_an_address_is_saved_and_the_rest_left_alone(tmp_path: Path, before: str) -> None:
    home = {"XDG_CONFIG_HOME": str(tmp_path)}
    file = tmp_path / "coverslip" / "coverslip.toml"
    file.parent.mkdir()
    file.write_text(before)
    assert save_url('grpc://h:1/"x', home) == file
    assert saved_url(home) == 'grpc://h:1/"x'
    want = tomllib.loads(before)
    want.setdefault("tensor_browser", {})["server_url"] = 'grpc://h:1/"x'
    assert tomllib.loads(file.read_text()) == want
    assert [path.name for path in file.parent.iterdir()] == ["coverslip.toml"]


def test_an_address_that_cannot_be_saved(tmp_path: Path) -> None:
    (tmp_path / "coverslip").write_text("a file")
    with pytest.raises(Unreadable, match="Cannot write"):
        save_url("grpc://h:1", {"XDG_CONFIG_HOME": str(tmp_path)})
