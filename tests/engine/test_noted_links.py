"""Links that were made: noted, listed, taken back; by several servers, on a disk that is full, over restarts."""

from __future__ import annotations

import errno
import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import keys_lab
import pytest
from keys_lab import KEY, OTHER, TOKEN, WHERE, Clock

from coverslip.core.errors import BadRequest, CoverslipError, DiskFull, Forbidden, NotFound, TooLarge, Unreadable
from coverslip.engine import links as module
from coverslip.engine.keys import MOST_LABEL, Keys
from coverslip.engine.links import FRESH_S, KEPT_S, Links, kept_links
from coverslip.engine.rights import link_id

clock = keys_lab.clock
FULL = OSError(errno.ENOSPC, "No space left on device")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "links"


def server(folder: Path | None, clock: Clock, token: str = TOKEN) -> Keys:
    """One of the servers of a user."""
    return Keys(token, None, KEY, clock, Links(folder, clock))


def opens(keys: Keys, secret: str) -> bool:
    """Whether a link opens something after it was looked after, as the gate does it."""
    id = keys.link_of(secret)
    if id is not None and keys.links.stale(id):
        keys.links.look(id)
    return keys.right_of(secret) is not None


@pytest.mark.parametrize("kept", [True, False])
def test_one_is_taken_back_and_the_others_stay(folder: Path, clock: Clock, kept: bool) -> None:
    keys = server(folder if kept else None, clock)
    ada, bob = (keys.share("lung", WHERE, 60, label) for label in ("Ada", "Bob"))
    assert ada.secret != bob.secret, "made in the same second, for the same source"
    right = keys.right_of(ada.secret)
    assert right is not None
    cookie = keys.cookie(right)
    assert keys.right_of_cookie(cookie) == right
    assert keys.holds(right)
    clock.now += 5
    note = keys.revoke(ada.id)
    assert (note.label, note.revoked_s) == ("Ada", clock.now)
    assert keys.right_of(ada.secret) is None
    assert keys.right_of_cookie(cookie) is None
    assert not keys.holds(right)
    assert keys.ended(ada.secret), "nobody guessed it"
    assert opens(keys, bob.secret)
    assert {one.label: one.revoked_s is None for one in keys.shares()} == {"Ada": False, "Bob": True}
    again = keys.revoke(ada.id)
    assert (again.id, again.revoked_s) == (ada.id, pytest.approx(note.revoked_s))


def test_of_a_link_that_is_not_known_yet_everybody_waits_for_the_answer(
    folder: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the second of two requests after a restart would be told that the link has ended."""
    made, keys = server(folder, clock).share("lung", WHERE, 3600), server(folder, clock)
    stale, read = list[bool](), module._read

    def slow(file: Path) -> module.Note | None:
        stale.append(keys.links.stale(made.id))
        return read(file)

    monkeypatch.setattr(module, "_read", slow)
    assert opens(keys, made.secret)
    assert not keys.links.stale(made.id)
    clock.now += FRESH_S
    assert opens(keys, made.secret)
    assert stale == [True, False], "of one that is known, what is known counts meanwhile"


def test_the_list_tells_no_secret(folder: Path, clock: Clock) -> None:
    keys = server(folder, clock)
    made = keys.share("lung-1a2b", WHERE, 3600, "Ada Lovelace", "lung.h5ad")
    (note,) = keys.shares()
    assert (note.id, note.source, note.name, note.label) == (made.id, "lung-1a2b", "lung.h5ad", "Ada Lovelace")
    assert (note.made_s, note.ends_s, note.revoked_s) == (clock.now, made.ends_s, None)
    (file,) = folder.iterdir()
    written = file.read_bytes()
    for secret in (made.secret, made.secret.rpartition(".")[2], TOKEN, KEY.decode(), WHERE):
        assert secret.encode() not in written
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert link_id(made.secret) == link_id(f"https://lab.example/x/?a=b#share={made.secret} ") == made.id
    for wrong in ("", "s2.", "s2.x.y", "s2.!.y", made.id, TOKEN, "s2." + "A" * 2000 + ".x", "s2.ä.x"):
        assert link_id(wrong) is None


def test_a_restart_keeps_both_lists(folder: Path, clock: Clock) -> None:
    before = server(folder, clock)
    kept, back = (before.share("lung", WHERE, 3600) for _ in range(2))
    before.revoke(back.id)
    after = server(folder, clock)
    assert opens(after, kept.secret)
    assert not opens(after, back.secret)
    assert after.ended(back.secret)
    assert {note.id: note.revoked_s is not None for note in after.shares()} == {kept.id: False, back.id: True}


def test_two_servers_know_of_each_other(folder: Path, clock: Clock) -> None:
    one, other = server(folder, clock), server(folder, clock)
    made = one.share("lung", WHERE, 3600)
    assert opens(other, made.secret), "it was made a moment ago, and elsewhere"
    other.revoke(made.id)
    assert not opens(other, made.secret)
    clock.now += FRESH_S
    assert not opens(one, made.secret)
    assert [note.revoked_s is not None for note in one.shares()] == [True]
    ids = {keys.share("lung", WHERE, 3600).id for keys in (one, other) for _ in range(5)}
    assert {note.id for note in one.shares()} == ids | {made.id}


def test_two_processes_lose_nothing(folder: Path) -> None:
    """Both make links and take every other one back, at the same time."""
    code = f"""
import sys
from pathlib import Path
from coverslip.engine.keys import Keys
from coverslip.engine.links import Links
keys = Keys({TOKEN!r}, None, {KEY!r}, links=Links(Path({str(folder)!r})))
print("ready", flush=True)
sys.stdin.readline()
for number in range(30):
    made = keys.share("lung", "/x", 3600)
    if number % 2:
        keys.revoke(made.id)
    print(made.id, number % 2)
"""
    running = [
        subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    for one in running:
        assert one.stdout is not None
        assert one.stdout.readline() == "ready\n"
    for one in running:
        assert one.stdin is not None
        one.stdin.write("\n")
        one.stdin.flush()
    told = dict(line.split() for one in running for line in one.communicate(timeout=120)[0].splitlines())
    assert [one.returncode for one in running] == [0, 0]
    notes = Keys(TOKEN, None, KEY, links=Links(folder)).shares()
    assert {note.id: str(int(note.revoked_s is not None)) for note in notes} == told
    assert len(told) == 60


def test_another_token_lists_and_ends_its_own(folder: Path, clock: Clock) -> None:
    mine, theirs = server(folder, clock), server(folder, clock, OTHER)
    made = mine.share("lung", WHERE, 3600)
    assert theirs.shares() == []
    with pytest.raises(NotFound):
        theirs.revoke(made.id)
    assert opens(mine, made.secret)
    mine.rotate("third-third-third-third", None, grace_s=60)
    (note,) = mine.shares()
    assert note.ends_s == clock.now + 60, "with the token that it was made with"
    clock.now += 61
    assert mine.shares() == []
    with pytest.raises(NotFound):
        mine.revoke(made.id)


def test_notes_end_with_their_links(folder: Path, clock: Clock) -> None:
    keys = server(folder, clock)
    short, back, long = (keys.share("lung", WHERE, for_s) for for_s in (60, 60, 9 * KEPT_S))
    keys.revoke(back.id)
    clock.now += 61
    assert [note.id for note in keys.shares()] == [long.id]
    assert len(list(folder.iterdir())) == 3, "clocks of two machines differ a little"
    assert keys.revoke(short.id).id == short.id
    clock.now += KEPT_S
    keys.share("lung", WHERE, 60)
    assert len(list(folder.iterdir())) == 2


@pytest.mark.parametrize("change", ["gone", "empty", "damaged", "another"])
def test_a_note_that_is_lost_closes_its_link(folder: Path, clock: Clock, change: str) -> None:
    keys = server(folder, clock)
    made, other = keys.share("lung", WHERE, 3600), keys.share("brain", WHERE, 3600)
    file = folder / f"{made.id}.json"
    if change == "gone":
        file.unlink()
    else:
        another = (folder / f"{other.id}.json").read_bytes()
        file.write_bytes({"empty": b"", "damaged": b'{"id": 5', "another": another}[change])
    clock.now += FRESH_S
    assert not opens(keys, made.secret)
    assert opens(keys, other.secret)
    assert [note.id for note in keys.shares()] == [other.id]
    with pytest.raises(NotFound):
        keys.revoke(made.id)
    for name in ("notes.txt", "ABC.json", ".part"):
        (folder / name).write_text("of somebody else")
    assert [note.id for note in keys.shares()] == [other.id]


@pytest.mark.parametrize("id", ["", "x", "..", "../../session", "0" * 15, "0" * 16, "0" * 17, "\0" * 16, "é" * 16])
def test_no_such_link(folder: Path, clock: Clock, id: str) -> None:
    keys = server(folder, clock)
    keys.share("lung", WHERE, 60)
    with pytest.raises(NotFound):
        keys.revoke(id)
    assert len(keys.shares()) == 1


class TestTrouble:
    def test_no_link_is_given_that_cannot_be_noted(
        self, folder: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        keys = server(folder, clock)

        def full(descriptor: int) -> None:
            raise FULL

        monkeypatch.setattr(os, "fsync", full)
        with pytest.raises(DiskFull, match="the disk is full"):
            keys.share("lung", WHERE, 60)
        assert list(folder.iterdir()) == []
        monkeypatch.undo()
        assert opens(keys, keys.share("lung", WHERE, 60).secret)

    def test_taking_back_needs_no_room(self, folder: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
        keys = server(folder, clock)
        made = keys.share("lung", WHERE, 60)

        def full(*about: Any, **more: Any) -> Any:
            raise FULL

        monkeypatch.setattr(module, "_write", full)
        keys.revoke(made.id)
        assert not opens(server(folder, clock), made.secret)

    def test_what_cannot_be_written_down_is_told_and_closed_meanwhile(
        self, folder: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        keys = server(folder, clock)
        made = keys.share("lung", WHERE, 60)

        def full(file: Path, other: Path, now_s: float) -> None:
            raise FULL

        with monkeypatch.context() as patched:
            patched.setattr(module, "_rename", full)
            with pytest.raises(DiskFull, match="closed while this server runs") as told:
                keys.revoke(made.id)
        assert "another token" in told.value.hint
        assert not opens(keys, made.secret)
        assert opens(server(folder, clock), made.secret), "which is why it is told"
        keys.revoke(made.id)
        assert not opens(server(folder, clock), made.secret)

    def test_a_disk_that_does_not_answer_changes_nothing(
        self, folder: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        keys = server(folder, clock)
        made = keys.share("lung", WHERE, 60)

        def broken(file: Path) -> None:
            raise OSError(errno.EIO, "Input/output error")

        with monkeypatch.context() as patched:
            patched.setattr(module, "_read", broken)
            clock.now += FRESH_S
            assert opens(keys, made.secret), "what was known last"
            assert not opens(server(folder, clock), made.secret), "of which nothing is known stays closed"
            assert "Input/output error" in caplog.text
            with pytest.raises(Unreadable):
                keys.shares()
            with pytest.raises(Unreadable):
                keys.revoke(made.id)
            assert not opens(keys, made.secret), "closed until it ends, and told"

    def test_where_nothing_can_be_kept_links_end_with_the_server(
        self, tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "file").write_text("no folder")
        monkeypatch.setenv("COVERSLIP_STATE_DIR", str(tmp_path / "file" / "state"))
        keys = Keys(TOKEN, None, KEY, clock, kept_links())
        made = keys.share("lung", WHERE, 60)
        assert keys.right_of(made.secret) is not None
        assert not opens(Keys(TOKEN, None, KEY, clock, kept_links()), made.secret)
        monkeypatch.setenv("COVERSLIP_STATE_DIR", str(tmp_path / "state"))
        made = Keys(TOKEN, None, KEY, clock, kept_links()).share("lung", WHERE, 60)
        assert opens(Keys(TOKEN, None, KEY, clock, kept_links()), made.secret)

    @pytest.mark.parametrize("label", ["x" * (MOST_LABEL + 1), "two\nlines", "\x1b[2J", "\ud800"])
    def test_labels_that_none_may_have(self, folder: Path, clock: Clock, label: str) -> None:
        with pytest.raises(BadRequest):
            server(folder, clock).share("lung", WHERE, 60, label)
        assert not folder.exists()

    def test_there_are_not_too_many(self, folder: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(module, "MOST", 3)
        for keys in (server(folder, clock), server(None, clock)):
            for _ in range(3):
                keys.share("lung", WHERE, 60)
            with pytest.raises(TooLarge):
                keys.share("lung", WHERE, 60)
            clock.now += 61
            assert keys.share("lung", WHERE, 60).secret, "those that ended do not count"

    def test_without_a_token_there_are_none(self) -> None:
        for ask in (lambda: Keys(None).share("lung", WHERE, 60), lambda: Keys(None).require()):
            with pytest.raises(Forbidden):
                ask()
        assert Keys(None).shares() == []
        with pytest.raises(CoverslipError):
            Keys(None).revoke("0" * 16)


def test_who_is_slower_than_another_server_takes_it_back_all_the_same(
    folder: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = server(folder, clock), server(folder, clock)
    made, rename = one.share("lung", WHERE, 3600), module._rename

    def quicker(*_: Any) -> None:
        monkeypatch.setattr(module, "_rename", rename)
        other.revoke(made.id)
        rename(folder / f"{made.id}.json", folder / "x", clock.now)

    monkeypatch.setattr(module, "_rename", quicker)
    assert one.revoke(made.id).revoked_s == clock.now
    assert not opens(one, made.secret)
    assert not opens(other, made.secret)
