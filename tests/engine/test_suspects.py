"""A source that ends the process that opens it, as some damaged files do, ends a server twice and not for ever."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from catalog_files import catalog, row, statuses, toy, within
from coverslip.core.errors import Damaged
from coverslip.engine import suspects
from coverslip.engine.catalog import Catalog
from coverslip.engine.options import CatalogOptions
from coverslip.engine.suspects import CODE, DIGEST, MOST_TIMES, Suspects

pytestmark = pytest.mark.skipif(os.name != "posix", reason="needs flock")
KEPT = CatalogOptions(quiet_s=0.1, settle_s=0.2)
BOMB = "BOMB"
TESTS = Path(__file__).parents[1]
SERVER = f"""
import ctypes, sys
sys.path.insert(0, {str(TESTS)!r})
import catalog_files
from coverslip.engine.options import CatalogOptions
from pathlib import Path

def bomb(path):
    if {BOMB!r} in path.read_text():
        ctypes.string_at(0)

if sys.argv[2] == "recognise":
    real = catalog_files.recognise
    catalog_files.recognise = lambda path: (bomb(path) if path.is_file() else None, real(path))[1]
else:
    known = catalog_files.describe
    catalog_files.describe = lambda source: (bomb(source.path), known(source))[1]
made = catalog_files.catalog(Path(sys.argv[1]), options=CatalogOptions(quiet_s=0.1, settle_s=0.2))
made.start()
assert made.wait_idle(60)
print("survived")
made.close()
"""


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("COVERSLIP_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache" / "catalog"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    for name in ("a", "c"):
        toy(tmp_path / "data" / f"{name}.toy")
    toy(tmp_path / "data" / "bomb.toy", BOMB)
    return tmp_path / "data"


def served(data: Path, ends_in: str = "describe") -> int:
    """How a server ends when it has looked at everything."""
    command = [sys.executable, "-c", SERVER, str(data), ends_in]
    return subprocess.run(command, check=False, capture_output=True).returncode


@contextmanager
def started(data: Path) -> Iterator[Catalog]:
    with closing(catalog(data, options=KEPT)) as made:
        made.start()
        assert made.wait_idle(60)
        yield made


def test_a_source_that_ends_the_server_is_left_alone_after_the_second_time(data: Path, cache: Path) -> None:
    assert [served(data) for _ in range(MOST_TIMES)] == [-signal.SIGSEGV] * MOST_TIMES
    assert served(data) == 0
    assert served(data) == 0
    with started(data) as made:
        assert statuses(made) == {"a.toy": "ready", "bomb.toy": "failed", "c.toy": "ready"}
        failed = row(made, "bomb.toy")
        assert failed.code == CODE
        assert str(data) not in f"{failed.message} {failed.hint}"
        with pytest.raises(Damaged, match="ended the server 2 times"):  # a request would end it too
            made.open(failed.id).source()
        toy(data / "bomb.toy", "DAPI", old=False)
        within(30, lambda: row(made, "bomb.toy").status == "ready")
    assert not list(cache.glob("looking-*"))


def test_one_that_ends_the_server_while_its_format_is_asked_for_too(data: Path) -> None:
    assert [served(data, "recognise") for _ in range(MOST_TIMES)] == [-signal.SIGSEGV] * MOST_TIMES
    assert served(data, "recognise") == 0
    with started(data) as made:
        assert statuses(made) == {"a.toy": "ready", "bomb.toy": "failed", "c.toy": "ready"}
        assert row(made, "bomb.toy").code == CODE


def test_a_file_that_is_served_alone_too(data: Path) -> None:
    bomb = data / "bomb.toy"
    assert [served(bomb, "recognise") for _ in range(MOST_TIMES)] == [-signal.SIGSEGV] * MOST_TIMES
    with pytest.raises(Damaged, match="left alone until it changes") as told:
        catalog(bomb, options=KEPT)
    assert told.value.name == CODE


def test_a_server_that_was_killed_accuses_nobody_for_long(data: Path, cache: Path) -> None:
    left(cache, data / "a.toy")
    with started(data) as made:
        assert statuses(made)["a.toy"] == "ready"
    with closing(Suspects()) as later:
        later.begin(cache)
        assert later.times(data / "a.toy") == 0


def left(folder: Path, *paths: Path) -> None:
    """What a server leaves that is killed while it looks at some files."""
    folder.mkdir(parents=True, exist_ok=True)
    gone = Suspects()
    gone.begin(folder)
    looking = [gone.looking(path, "open") for path in paths]
    for one in looking:
        one.__enter__()
    assert gone._handle is not None
    os.close(gone._handle)  # as the system does
    gone._handle = None


def test_several_at_once_are_all_noted_and_one_that_is_at_work_accuses_nobody(data: Path, tmp_path: Path) -> None:
    paths = [data / "a.toy", data / "bomb.toy", data / "c.toy"]
    with closing(Suspects()) as working:
        working.begin(tmp_path)
        with working.looking(paths[2], "open"), closing(Suspects()) as beside:
            left(tmp_path, paths[0], paths[1])
            beside.begin(tmp_path)
            assert [beside.times(one) for one in paths] == [1, 1, 0]
    left(tmp_path, paths[0])
    with closing(Suspects()) as last:
        last.begin(tmp_path)
        assert [last.times(one) for one in paths] == [2, 1, 0]
        with pytest.raises(Damaged) as told, last.looking(paths[0], "open"):
            pass
        assert told.value.name == CODE
        os.utime(paths[0], (5e8, 5e8))
        with last.looking(paths[0], "open"):
            pass


@pytest.mark.parametrize("text", ["", "[]", "{", '{"a": 3}', f'{{"{"0" * DIGEST}": "x"}}', "[" * 10_000])
def test_a_damaged_note_accuses_nobody(data: Path, tmp_path: Path, text: str) -> None:
    (tmp_path / "suspects.json").write_text(text)
    (tmp_path / "looking-0").write_bytes(os.urandom(400))
    (tmp_path / "looking-1").symlink_to(tmp_path / "nowhere")
    with closing(Suspects()) as seen:
        seen.begin(tmp_path)
        assert seen.times(data / "a.toy") == 0
        with seen.looking(data / "a.toy", "open"):
            assert len(list(tmp_path.glob("looking-*"))) == 2  # ours, and the link that is nobody's


def test_two_servers_that_start_together_count_once(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = tmp_path / "looking-0"
    left.write_bytes(suspects._digest(data / "a.toy", "open").encode())
    hold = suspects._hold

    def other_was_quicker(handle: int) -> None:
        left.unlink(missing_ok=True)
        hold(handle)

    monkeypatch.setattr(suspects, "_hold", other_was_quicker)
    with closing(Suspects()) as seen:
        seen.begin(tmp_path)
        assert seen.times(data / "a.toy") == 0


def test_no_more_are_kept_than_may_be(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(suspects, "MOST_SUSPECTS", 2)
    for i in range(4):
        (tmp_path / f"looking-{i}").write_bytes(f"{i:032x}".encode())
    with closing(Suspects()) as seen:
        seen.begin(tmp_path)
    assert list(json.loads((tmp_path / "suspects.json").read_text())) == [f"{i:032x}" for i in (2, 3)]


def test_where_nothing_can_be_written_nothing_is_noted(data: Path, tmp_path: Path) -> None:
    with closing(Suspects()) as seen:
        seen.begin(tmp_path / "not there")
        seen.begin(None)
        with seen.looking(data / "a.toy", "open"):
            pass
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


def test_the_note_names_no_file(data: Path, cache: Path) -> None:
    assert served(data) == -signal.SIGSEGV
    (note,) = cache.glob("looking-*")
    assert note.stat().st_mode & 0o077 == 0
    assert b"bomb" not in note.read_bytes()
    assert served(data) == -signal.SIGSEGV
    told = (cache / "suspects.json").read_text()
    assert "bomb" not in told
    assert list(json.loads(told).values()) == [1]
