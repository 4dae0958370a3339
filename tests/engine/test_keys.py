"""What opens a server: tokens, links to one source, other tokens from now on."""

from __future__ import annotations

import base64
import math

import keys_lab
import pytest
from keys_lab import KEY, OTHER, TOKEN, WHERE, Clock

from coverslip.core.errors import BadRequest, BadUsage, CoverslipError, Forbidden
from coverslip.engine.access import choose_read_token
from coverslip.engine.keys import KEY_BYTES, MOST_GRACE_S, MOST_SHARE_S, Keys
from coverslip.engine.rights import FULL, LINK, Right, widest

READ = "only-reading-only-reading"
clock = keys_lab.clock


@pytest.fixture
def keys(clock: Clock) -> Keys:
    return Keys(TOKEN, READ, KEY, clock)


def shared(keys: Keys, source: str = "lung", for_s: float = 60) -> str:
    return keys.share(source, WHERE, for_s)[0]


class TestScopes:
    def test_each_token_opens_its_own(self, keys: Keys) -> None:
        assert keys.right_of(TOKEN) == FULL
        assert keys.right_of(READ) == Right("read")
        for wrong in (
            "",
            TOKEN[:-1],
            f"{TOKEN} ",
            TOKEN.upper(),
            "ä",
            "\ud800",
            f"{TOKEN}{READ}",
            LINK,
            "s2..",
            "c2.x.y",
        ):
            assert keys.right_of(wrong) is None
            assert keys.right_of_cookie(wrong) is None

    def test_each_has_a_cookie_of_its_own_that_is_no_token(self, keys: Keys) -> None:
        for right in (FULL, Right("read")):
            cookie = keys.cookie(right)
            assert keys.right_of_cookie(cookie) == right
            assert keys.right_of(cookie) is None
        assert keys.cookie(FULL) != keys.cookie(Right("read"))

    def test_the_widest_counts(self) -> None:
        share, read = Right("share", "a"), Right("read")
        assert widest([share, FULL, read]) == FULL
        assert widest([share, read]) == read
        assert widest([]) is None

    def test_a_token_for_reading(self) -> None:
        assert choose_read_token(None, TOKEN) is None
        assert choose_read_token(READ, TOKEN) == READ
        made = choose_read_token("auto", TOKEN)
        assert made is not None
        assert len(made) == 43
        for given, token in (("short", TOKEN), (TOKEN, TOKEN), (READ, None), ("auto", None)):
            with pytest.raises(BadUsage) as refused:
                choose_read_token(given, token)
            assert READ not in str(refused.value)


class TestLinks:
    def test_one_opens_its_source_until_it_ends(self, keys: Keys, clock: Clock) -> None:
        link, ends_s, id = keys.share("lung", WHERE, 60)
        right = keys.right_of(link)
        assert right is not None
        assert (right.scope, right.source, right.ends_s, right.link) == ("share", "lung", ends_s, id)
        assert math.floor(clock.now + 60) == ends_s
        assert keys.meant(right, WHERE)
        assert not keys.meant(right, "/data/other.h5ad"), "another file that has its id later"
        clock.now = ends_s - 0.1
        assert keys.right_of(link) == right
        assert keys.holds(right)
        assert not keys.ended(link)
        clock.now = ends_s
        assert keys.right_of(link) is None
        assert not keys.holds(right)
        assert keys.ended(link)

    def test_its_cookie_opens_the_same_and_is_no_link(self, keys: Keys, clock: Clock) -> None:
        link = shared(keys)
        right = keys.right_of(link)
        assert right is not None
        cookie = keys.cookie(right)
        assert keys.right_of_cookie(cookie) == right
        assert keys.right_of(cookie) is None
        assert keys.right_of_cookie(link) is None
        clock.now += 61
        assert keys.right_of_cookie(cookie) is None

    def test_it_fits_into_an_address_and_tells_no_path_and_no_token(self, keys: Keys) -> None:
        link = shared(keys, "lung-1a2b3c")
        assert set(link) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.")
        payload = base64.urlsafe_b64decode(link.split(".")[1] + "==")
        assert payload.endswith(b"lung-1a2b3c")
        assert WHERE.encode() not in payload
        assert TOKEN.encode() not in payload

    def test_no_change_of_it_is_taken(self, keys: Keys) -> None:
        link = shared(keys)
        for at in range(len(link)):
            for other in ("A", "B", ".", "", "=", "%"):
                changed = link[:at] + other + link[at + 1 :]
                assert changed == link or keys.right_of(changed) is None
        for changed in (
            f"{link}=",
            f" {link}",
            f"{link}A",
            link[:-4],
            link + link,
            f"{link}\0",
            link.replace("s2.", "c2."),
        ):
            assert keys.right_of(changed) is None
            assert not keys.ended(changed)

    def test_parts_of_two_make_no_third(self, keys: Keys) -> None:
        one, other = shared(keys, "lung"), shared(keys, "brain")
        mixed = [
            ".".join((LINK[:-1], one.split(".")[1], other.split(".")[2])),
            other.rpartition(".")[0] + "." + one[-32:],
        ]
        for link in mixed:
            assert keys.right_of(link) is None

    @pytest.mark.parametrize(("token", "key"), [(OTHER, KEY), (TOKEN, b"x" * KEY_BYTES), (TOKEN, None)])
    def test_another_server_takes_none_of_it(self, keys: Keys, clock: Clock, token: str, key: bytes | None) -> None:
        link = shared(keys)
        right = keys.right_of(link)
        assert right is not None
        other = Keys(token, READ, key, clock)
        assert other.right_of(link) is None
        assert other.right_of_cookie(keys.cookie(right)) is None
        assert not other.ended(link)
        again = Keys(TOKEN, None, KEY, clock, keys.links)
        assert again.right_of(link) is not None, "the same server, started again"

    @pytest.mark.parametrize("source", ["a", "lung.zarr", "ä ö/ü%2F..", "\udcff", "x" * 300])
    def test_ids_come_back_as_they_are(self, keys: Keys, source: str) -> None:
        right = keys.right_of(shared(keys, source))
        assert right is not None
        assert right.source == source

    @pytest.mark.parametrize("for_s", [0, 0.5, -1, MOST_SHARE_S + 1, math.nan, math.inf, -math.inf])
    def test_times_that_none_may_have(self, keys: Keys, for_s: float) -> None:
        with pytest.raises(BadRequest):
            keys.share("lung", WHERE, for_s)

    def test_where_no_token_is_asked_for_there_are_none(self) -> None:
        with pytest.raises(Forbidden, match="asks for no token"):
            Keys(None).share("lung", WHERE, 60)


class TestRotation:
    def test_whatever_the_old_token_opened_ends(self, keys: Keys) -> None:
        link = shared(keys)
        rights = [right for right in map(keys.right_of, (TOKEN, READ, link)) if right is not None]
        cookies = [keys.cookie(right) for right in rights]
        assert len(rights) == 3
        keys.rotate(OTHER, None)
        assert (keys.token, keys.read_token, keys.tokens) == (OTHER, None, (OTHER,))
        assert [keys.right_of(one) for one in (TOKEN, READ, link)] == [None] * 3
        assert [keys.right_of_cookie(one) for one in cookies] == [None] * 3
        assert not any(keys.holds(right) for right in rights)
        assert [keys.cookie(right) for right in rights] == [""] * 3
        new = keys.right_of(OTHER)
        assert new is not None
        assert keys.right_of_cookie(keys.cookie(new)) == new

    def test_for_a_while_both_hold(self, keys: Keys, clock: Clock) -> None:
        link = shared(keys, for_s=3600)
        keys.rotate(OTHER, READ, grace_s=60)
        assert keys.tokens == (OTHER, TOKEN)
        for one, scope in ((TOKEN, "admin"), (OTHER, "admin"), (READ, "read"), (link, "share")):
            right = keys.right_of(one)
            assert right is not None
            assert right.scope == scope
            assert right.ends_s == (math.inf if one in (OTHER, READ) else clock.now + 60), "links end with theirs"
        old = keys.right_of(TOKEN)
        assert old is not None
        assert keys.right_of_cookie(keys.cookie(old)) == old
        clock.now += 61
        assert keys.tokens == (OTHER,)
        assert keys.right_of(TOKEN) is None
        assert keys.right_of(link) is None
        assert not keys.holds(old)
        assert keys.right_of(READ) is not None, "it was named again"

    def test_a_grace_is_never_made_longer(self, keys: Keys, clock: Clock) -> None:
        keys.rotate(OTHER, None, grace_s=60)
        keys.rotate("third-third-third-third", None, grace_s=3600)
        clock.now += 61
        assert keys.tokens == ("third-third-third-third", OTHER)
        keys.rotate("fourth-fourth-fourth", None)
        assert keys.tokens == ("fourth-fourth-fourth",), "without a grace it ends for all before"

    def test_what_cannot_be_kept_changes_nothing(self, keys: Keys) -> None:
        def full(token: str, read_token: str | None) -> None:
            raise CoverslipError("The disk is full")

        keys.keepers.append(full)
        with pytest.raises(CoverslipError, match="full"):
            keys.rotate(OTHER, None)
        assert keys.token == TOKEN
        assert keys.right_of(TOKEN) == FULL

    def test_what_is_refused(self, keys: Keys) -> None:
        for token, read_token, grace_s in (
            (TOKEN, None, 0.0), (OTHER, OTHER, 0.0), (OTHER, None, -1.0), (OTHER, None, MOST_GRACE_S + 1),
            (OTHER, None, math.nan),
        ):  # fmt: skip
            with pytest.raises(BadRequest):
                keys.rotate(token, read_token, grace_s)
        assert keys.token == TOKEN
        with pytest.raises(Forbidden):
            Keys(None).rotate(OTHER, None)
