"""``coverslip server token`` and ``coverslip share``, with a real server in the background."""

from __future__ import annotations

import json
import stat
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from coverslip.cli import share as sharing
from coverslip.cli.main import cli
from coverslip.cli.share import seconds
from coverslip.core.errors import BadUsage, CoverslipError
from coverslip.daemon.places import Places
from coverslip.daemon.record import Record, known

TOKEN, READ, OTHER = "open-sesame-open-sesame", "only-reading-only-reading", "another-sesame-another"
START = ("server", "start", "--no-flight", "--web-port", "0")


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Places]:
    """A state folder of its own; whatever was started there is ended."""
    monkeypatch.setenv("COVERSLIP_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    for name in ("COVERSLIP_TOKEN", "BIOPB_TENSOR_TOKEN", "COVERSLIP_READ_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "state").mkdir()
    yield Places(tmp_path / "state")
    invoke("server", "stop", "-t", "5")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    folder.mkdir()
    for name in ("points", "others"):
        np.save(folder / f"{name}.npy", np.zeros((20, 3, 4), np.uint16))
    return folder


def invoke(*arguments: str | Path) -> Result:
    return CliRunner().invoke(cli, list(map(str, arguments)))


def running(places: Places) -> Record:
    about = known(places).record
    assert about is not None
    return about


def status(base: str, token: str) -> int:
    asked = urllib.request.Request(f"{base}/api/sources", headers={"Authorization": f"Bearer {token}"})
    try:
        with urllib.request.urlopen(asked, timeout=60) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code


def test_a_running_server_takes_another_token(places: Places, data: Path) -> None:
    started = invoke(*START, "--token", TOKEN, "--read-token", "auto", data)
    assert started.exit_code == 0, started.output
    base, pid = running(places).http, running(places).pid
    assert invoke("server", "token").output == f"{TOKEN}\n"
    reading = invoke("server", "token", "--read").output.strip()
    assert len(reading) == 43
    assert status(base, TOKEN) == status(base, reading) == 200
    assert invoke("server", "status", "--wait", "60").exit_code == 0

    made = invoke("share", "points", "--expires", "1h", "--label", "Ada", "--url", "https://lab.example.org/data/")
    assert made.exit_code == 0, made.output
    link = made.stdout.strip()
    assert link.startswith("https://lab.example.org/data/#share=s2.")
    assert "until 20" in made.stderr
    assert "this machine's own" not in made.stderr
    unknown = invoke("share", "point")
    assert isinstance(unknown.exception, CoverslipError)
    assert "coverslip tensor query" in unknown.exception.hint
    quiet = invoke("share", "points.npy", "--quiet")
    assert quiet.output.startswith(f"{base}/#share=")
    secret = link.partition("#share=")[2]
    assert status(base, secret) == 200

    other = quiet.output.strip()
    listed = json.loads(invoke("share", "--list", "--json").output)
    assert [(note["name"], note["label"], note["revoked"]) for note in listed] == [
        ("points.npy", "Ada", None), ("points.npy", "", None),
    ]  # fmt: skip
    shown = invoke("share", "--list").output
    assert "Ada" in shown
    assert listed[0]["id"] in made.stderr
    back = invoke("share", "--revoke", other)
    assert back.exit_code == 0, back.output
    assert "points.npy opens nothing any more" in back.stdout
    assert [status(base, one) for one in (secret, other.partition("#share=")[2])] == [200, 401]
    assert "taken back" in invoke("share", "--list").output

    done = invoke("server", "token", "--rotate")
    assert done.exit_code == 0, done.output
    fresh = done.stdout.strip()
    assert [status(base, one) for one in (TOKEN, reading, secret, fresh)] == [401, 401, 401, 200]
    assert places.token.read_text() == fresh
    assert invoke("share", "--list").output == "No link was made that has not ended.\n"
    assert {stat.S_IMODE(file.stat().st_mode) for file in (places.token, places.read_token)} == {0o600}
    again = invoke("server", "token", "--read").output.strip()
    assert again != reading
    assert status(base, again) == 200
    assert running(places).pid == pid

    restarted = invoke("server", "restart")
    assert restarted.exit_code == 0, restarted.output
    base = running(places).http
    assert [status(base, one) for one in (TOKEN, fresh, again)] == [401, 200, 200], "a restart keeps the new ones"
    log = places.log.read_text()
    assert "another token is asked for from now on" in log
    for one in (TOKEN, fresh, reading, again, secret):
        assert one not in log
        assert one not in places.flags.read_text()
    invoke("server", "stop")
    assert not places.read_token.exists()


def test_a_token_of_the_configuration_is_changed_there(places: Places, data: Path, tmp_path: Path) -> None:
    file = tmp_path / "lab.toml"
    file.write_text(f'[server]\ntoken = "{TOKEN}"\n[[sources]]\npath = "{data}"\n')
    assert invoke(*START, "--config", file).exit_code == 0
    base = running(places).http
    same = invoke("server", "token", "--rotate")
    assert isinstance(same.exception, BadUsage)
    assert f"{file} names the token" in str(same.exception)
    assert TOKEN not in str(same.exception)
    assert status(base, TOKEN) == 200
    file.write_text(file.read_text().replace(TOKEN, OTHER))
    done = invoke("server", "token", "--rotate", "--grace", "1h")
    assert done.stdout == f"{OTHER}\n", done.output
    assert [status(base, one) for one in (TOKEN, OTHER)] == [200, 200], "for an hour both"


def test_without_a_server_or_without_a_token(places: Places, data: Path) -> None:
    for command in (("server", "token"), ("server", "token", "--rotate"), ("share", "points")):
        refused = invoke(*command)
        assert isinstance(refused.exception, CoverslipError)
        assert refused.exception.name == "not_running"
    assert invoke(*START, data).exit_code == 0
    for words in ("server token", "server token --read", "server token --rotate", "share points"):
        refused = invoke(*words.split())
        assert isinstance(refused.exception, CoverslipError)
        assert refused.exception.name == "no_token", words


def test_a_server_elsewhere_is_asked_with_its_own_token(places: Places, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[object, ...]] = []

    def post(*about: object) -> dict[str, object]:
        asked.append(about)
        return {"fragment": "#share=x", "source": "a", "expires": "2026", "id": "0"}

    monkeypatch.setattr("coverslip.daemon.asking.post", post)
    done = invoke("share", "a", "--url", "http://far:1/lab/", "--token", TOKEN, "-q")
    assert done.output == "http://far:1/lab/#share=x\n"
    assert asked == [("http://far:1/lab/", "api/shares", TOKEN, {"source": "a", "expires_s": 604800}, None)]


@pytest.mark.parametrize("words", ["", "a --list", "--list --revoke 5", "a --revoke 0123456789abcdef"])
def test_one_thing_at_a_time(places: Places, words: str) -> None:
    refused = invoke("share", *words.split())
    assert refused.exit_code == 2
    assert "Name a SOURCE" in refused.output


def test_a_link_is_named_by_its_id_or_by_itself() -> None:
    from coverslip.engine.keys import Keys

    made = Keys(TOKEN).share("lung", "/x", 60)
    for text in (made.id, made.secret, f"https://lab.example/a/?b=c#share={made.secret}"):
        assert sharing.id_of(text) == made.id
    for text in ("", "lung", made.secret[:20], f"{made.id}0", TOKEN):
        with pytest.raises(BadUsage, match="no link"):
            sharing.id_of(text)


@pytest.mark.parametrize(
    ("text", "number"), [("30m", 1800), ("12h", 43200), ("7d", 604800), ("2W", 1209600), (" 5s ", 5)]
)
def test_times(text: str, number: int) -> None:
    assert seconds(text) == number


@pytest.mark.parametrize("text", ["", "7", "d", "-1d", "1.5h", "7 d", "1y", "9999999999d", "٧d"])
def test_what_is_no_time(text: str) -> None:
    with pytest.raises(BadUsage, match="is no time"):
        sharing.seconds(text)


def test_nobody_answers_there() -> None:
    from coverslip.daemon.asking import post

    for base, name in (
        ("http://127.0.0.1:1", "offline"),
        ("file:///etc", "bad_address"),
        ("lab", "bad_address"),
        ("http://[", "bad_address"),
        ("http://lab:port", "bad_address"),
    ):
        with pytest.raises(CoverslipError) as refused:
            post(base, "api/shares", TOKEN, {})
        assert refused.value.name == name
        assert TOKEN not in str(refused.value)
