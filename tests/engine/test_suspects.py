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
from coverslip.engine.catalog import Catalog
from coverslip.engine.options import CatalogOptions
from coverslip.engine.store import Row
from coverslip.engine.suspects import CODE, DIGEST, MOST_TIMES, Suspects

pytestmark = pytest.mark.skipif(os.name != "posix", reason="needs flock")
KEPT = CatalogOptions(quiet_s=0.1, settle_s=0.2)
BOMB = "BOMB"
TESTS = Path(__file__).parents[1]
SERVER = f"""
import os, signal, sys
sys.path.insert(0, {str(TESTS)!r})
import catalog_files
from coverslip.engine import indexer
from coverslip.engine.options import CatalogOptions
from pathlib import Path

def describe(source):
    if {BOMB!r} in source.words:
        os.kill(os.getpid(), signal.SIGSEGV)
    return catalog_files.describe(source)

catalog_files.describe = describe
indexer.SUSPECT_S = 0.2
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


def served(data: Path) -> int:
    """How a server of a folder ends when it has looked at everything."""
    return subprocess.run([sys.executable, "-c", SERVER, str(data)], check=False, capture_output=True).returncode


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
    assert not list(cache.glob("*.opening-*"))


def test_others_are_looked_at_before_it_is_tried_again(data: Path) -> None:
    assert served(data) == -signal.SIGSEGV
    toy(data / "new.toy")
    assert served(data) == -signal.SIGSEGV
    with started(data) as made:
        assert row(made, "new.toy").indexed_s is not None
        assert row(made, "bomb.toy").code == CODE


def test_a_server_that_was_killed_accuses_nobody_for_long(data: Path, cache: Path) -> None:
    with started(data) as made:
        innocent = row(made, "a.toy")
        file = next(cache.glob("*.sqlite"))
    left(file, innocent)
    with closing(Suspects()) as seen:
        seen.begin(file)
        assert seen.times(innocent) == 1
        seen.check(innocent)
        with seen.opening(innocent):
            pass
        assert not seen.any
    with closing(Suspects()) as later:
        later.begin(file)
        assert not later.any


def left(file: Path, *rows: Row) -> None:
    """What a server leaves that is killed while it opens some sources."""
    gone = Suspects()
    gone.begin(file)
    opening = [gone.opening(one) for one in rows]
    for one in opening:
        one.__enter__()
    assert gone._mark is not None
    os.close(gone._mark)  # as the system does
    gone._mark = None


def test_several_at_once_are_all_noted_and_one_that_is_at_work_accuses_nobody(tmp_path: Path) -> None:
    file = tmp_path / "list.sqlite"
    rows = [Row(f"id{n}", "root", f"{n}.toy", f"{n}.toy", "toy", "images", stamp=str(n)) for n in range(3)]
    with closing(Suspects()) as working:
        working.begin(file)
        with working.opening(rows[2]), closing(Suspects()) as beside:
            left(file, rows[0], rows[1])
            beside.begin(file)
            assert [beside.times(one) for one in rows] == [1, 1, 0]
    left(file, rows[0])
    with closing(Suspects()) as last:
        last.begin(file)
        assert [last.times(one) for one in rows] == [2, 1, 0]
        with pytest.raises(Damaged) as told:
            last.check(rows[0])
        assert told.value.name == CODE
        changed = Row("id0", "root", "0.toy", "0.toy", "toy", "images", stamp="another")
        last.check(changed)


@pytest.mark.parametrize("text", ["", "[]", "{", '{"a": 3}', '{"%s": "x"}' % ("0" * DIGEST), "[" * 10_000])
def test_a_damaged_note_accuses_nobody(tmp_path: Path, text: str) -> None:
    file = tmp_path / "list.sqlite"
    (tmp_path / "list.sqlite.suspects").write_text(text)
    (tmp_path / "list.sqlite.opening-0").write_bytes(os.urandom(400))
    (tmp_path / "list.sqlite.opening-1").symlink_to(tmp_path / "nowhere")
    with closing(Suspects()) as seen:
        seen.begin(file)
        assert not seen.any


def test_where_nothing_can_be_written_nothing_is_noted(tmp_path: Path) -> None:
    with closing(Suspects()) as seen:
        seen.begin(tmp_path / "not there" / "list.sqlite")
        seen.begin(None)
        with seen.opening(Row("a", "r", "p", "n", "f", "k")):
            pass
    assert not list(tmp_path.iterdir())


def test_the_note_names_no_file(data: Path, cache: Path) -> None:
    assert served(data) == -signal.SIGSEGV
    (mark,) = cache.glob("*.opening-*")
    assert mark.stat().st_mode & 0o077 == 0
    assert b"bomb" not in mark.read_bytes()
    assert served(data) == -signal.SIGSEGV
    (told,) = cache.glob("*.suspects")
    assert "bomb" not in told.read_text()
    assert list(json.loads(told.read_text()).values()) == [1]
