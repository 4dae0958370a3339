"""Who needs a token, and what one may be."""

from __future__ import annotations

import re

import pytest

from coverslip.core.errors import BadUsage
from coverslip.engine.access import Access, choose_token
from coverslip.engine.failures import Failures, network
from coverslip.engine.keys import Keys
from coverslip.engine.rights import FULL
from coverslip.engine.secret import kept_key

GOOD = "a-token_of-16-ch"


@pytest.mark.parametrize("listeners", [["127.0.0.1"], ["localhost", "::1"], ["127.0.0.1", "127.0.0.9"]])
def test_none_is_needed_while_every_listener_is_loopback(listeners: list[str]) -> None:
    assert choose_token(None, listeners) is None
    assert choose_token(GOOD, listeners) == GOOD
    assert choose_token(GOOD, listeners, dev=True) is None


@pytest.mark.parametrize("listeners", [["0.0.0.0"], ["127.0.0.1", "0.0.0.0"], ["::", "::1"], ["10.1.2.3"], ["lab"]])
def test_one_is_made_as_soon_as_any_can_be_reached(listeners: list[str]) -> None:
    made = {choose_token(None, listeners) for _ in range(3)}
    assert len(made) == 3
    assert all(re.fullmatch(r"[A-Za-z0-9_-]{43}", one or "") for one in made)
    with pytest.raises(BadUsage, match="no token") as refused:
        choose_token(None, listeners, dev=True)
    assert (refused.value.exit_code, refused.value.name) == (2, "dev_exposed")


def test_a_proxy_brings_requests_from_elsewhere() -> None:
    assert choose_token(None, ["127.0.0.1"], proxied=True) is not None
    with pytest.raises(BadUsage, match="proxy"):
        choose_token(None, ["127.0.0.1"], dev=True, proxied=True)


@pytest.mark.parametrize(
    "token", ["", "short", "x" * 15, "x" * 129, "sixteen characte", "ümlaut-ümlaut-ümlaut", f"{GOOD}\n"]
)
def test_a_malformed_token_is_an_error_that_does_not_tell_it(token: str) -> None:
    for listeners in (["127.0.0.1"], ["0.0.0.0"]):
        with pytest.raises(BadUsage, match="token cannot be used") as refused:
            choose_token(token, listeners)
        assert refused.value.exit_code == 2
        assert not token or token not in str(refused.value)


@pytest.mark.parametrize("token", ["x" * 16, "x" * 128, "AZaz09-_AZaz09-_"])
def test_every_other_is_taken(token: str) -> None:
    assert choose_token(token, ["0.0.0.0"]) == token


def test_a_cookie_is_of_its_token_and_key_and_tells_neither() -> None:
    keys = Keys(GOOD, key=b"k" * 32)
    assert keys.right_of_cookie(keys.session) == FULL
    assert GOOD not in keys.session
    assert keys.right_of_cookie(GOOD) is None
    assert keys.right_of(keys.session) is None
    assert Keys(f"{GOOD}2", key=b"k" * 32).right_of_cookie(keys.session) is None
    assert Keys(GOOD).right_of_cookie(keys.session) is None
    assert Keys(None).session == ""
    assert Keys(None).right_of_cookie("") is None
    shown = repr(Access(keys=keys)) + repr(keys._rings)
    assert GOOD not in shown
    assert "kkk" not in shown


def test_pages_that_came_encrypted_stay_so() -> None:
    access = Access()
    assert access.origin_allowed("https://lab", "lab", encrypted=True)
    assert not access.origin_allowed("http://lab", "lab", encrypted=True)
    assert access.origin_allowed("http://lab", "lab")


def test_the_key_of_cookies_outlives_a_restart(tmp_path, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setenv("COVERSLIP_STATE_DIR", str(tmp_path / "state"))
    key = kept_key("some.key")
    assert len(key) == 32
    assert kept_key("some.key") == key
    assert kept_key("other.key") != key
    file = tmp_path / "state" / "some.key"
    assert file.stat().st_mode & 0o777 == 0o600
    file.write_bytes(b"cut")
    assert len(kept_key("some.key")) == 32
    assert file.read_bytes() == kept_key("some.key")
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("COVERSLIP_STATE_DIR", str(tmp_path / "file"))
    assert len(kept_key("some.key")) == 32, "nothing can be kept, and everything works"


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


class TestFailures:
    def test_who_guesses_waits(self) -> None:
        clock = Clock()
        failures = Failures(3, 60, clock=clock)
        for guess in ("a", "b"):
            failures.note("10.0.0.1", guess)
        assert failures.wait_s("10.0.0.1") == 0
        clock.now += 30
        failures.note("10.0.0.1", "c")
        assert failures.wait_s("10.0.0.1") == 60, "the wait begins with the last guess"
        assert failures.wait_s("10.0.0.2") == 0
        clock.now += 60
        assert failures.wait_s("10.0.0.1") == 0
        failures.note("10.0.0.1", "d")
        assert failures.wait_s("10.0.0.1") == 0, "counted anew"

    def test_the_same_wrong_token_counts_once(self) -> None:
        failures = Failures(3)
        for _ in range(1000):
            failures.note("10.0.0.1", "old token")
        assert failures.wait_s("10.0.0.1") == 0

    def test_old_guesses_are_forgotten(self) -> None:
        clock = Clock()
        failures = Failures(3, 60, clock=clock)
        for guess in range(20):
            failures.note("10.0.0.1", str(guess))
            assert failures.wait_s("10.0.0.1") == 0
            clock.now += 31

    def test_memory_is_bounded(self) -> None:
        failures = Failures(3, addresses=10)
        for number in range(1000):
            failures.note(f"10.0.{number // 250}.{number % 250}", "x" * 100)
            failures.note("10.9.9.9", str(number))
        assert len(failures) == 10
        assert failures.wait_s("10.9.9.9") > 0, "who goes on is not forgotten"

    def test_a_customer_has_many_addresses(self) -> None:
        assert network("2001:db8:1:2::1") == network("2001:db8:1:2:ffff::9")
        assert network("2001:db8:1:2::1") != network("2001:db8:1:3::1")
        assert network("::ffff:10.0.0.1") == network("10.0.0.1") == "10.0.0.1"
        assert network("fe80::1%eth0") == network("fe80::2")
        assert network("") == ""
