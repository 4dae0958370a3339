"""Memory that nobody uses is let go of, and what was in it comes back when it is asked for."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import psutil
import pytest
import zarr

from catalog_files import QUICK, catalog, toy
from coverslip.core.idle import ASKED, KEEPERS
from coverslip.core.spec import Box
from coverslip.engine.rest import Rest
from coverslip.formats import open_source
from coverslip.formats.trees.tensorstore import OPENED, PartArray

LONG_AGO_S = 1.0


class Keeps:
    """Keeps something."""

    def __init__(self, used_s: float) -> None:
        self.used_s = used_s
        self.kept = True
        KEEPERS.add(self)

    def let_go(self) -> None:
        self.kept, self.used_s = False, 0.0


@pytest.fixture
def given_back(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[float]]:
    """When memory was given back to the system."""
    times: list[float] = []
    monkeypatch.setattr("coverslip.engine.rest.give_back", lambda: times.append(time.monotonic()))
    before = {keeper: keeper.used_s for keeper in KEEPERS}
    for keeper in before:
        keeper.used_s = 0.0
    yield times
    for keeper, used_s in before.items():
        keeper.used_s = used_s


def test_only_what_was_not_used_lately_is_let_go_of(given_back: list[float]) -> None:
    now = time.monotonic()
    old, new, empty = Keeps(now - 31), Keeps(now - 5), Keeps(0)
    rest = Rest(30)
    assert rest.tidy()
    assert (old.kept, new.kept, empty.kept) == (False, True, True)
    assert len(given_back) == 1
    assert not rest.tidy()
    assert len(given_back) == 2, "what is freed a moment later goes back too"
    assert not rest.tidy()
    assert len(given_back) == 2


def test_it_looks_by_itself_until_it_is_closed(given_back: list[float]) -> None:
    old = Keeps(LONG_AGO_S)
    rest = Rest(0.01, 0.01)
    others = set(threading.enumerate())  # servers of other tests look, too
    rest.start()
    (own,) = (t for t in threading.enumerate() if t.name == "coverslip-rest" and t not in others)
    wait(lambda: not old.kept and len(given_back) >= 2)
    before = len(given_back)
    ASKED.now()
    wait(lambda: len(given_back) >= before + 2)
    rest.close()
    wait(lambda: not own.is_alive())


def wait(there: Callable[[], bool]) -> None:
    end = time.monotonic() + 20
    while not there():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_the_process_of_queries_ends_and_the_next_query_starts_another(tmp_path: Path) -> None:
    pytest.importorskip("duckdb")
    toy(tmp_path / "data" / "one.toy", "word")
    with closing(catalog(tmp_path / "data", options=QUICK)) as made:
        made.start()
        assert made.wait_idle(20)
        before = set(psutil.Process().children())
        assert made.query("SELECT count(*) AS n FROM sources")[0] == [{"n": 1}]
        (child,) = set(psutil.Process().children()) - before
        made._query.used_s = LONG_AGO_S
        Rest().tidy()
        assert not child.is_running()
        assert made._query.used_s == 0.0
        assert made.query("SELECT count(*) AS n FROM sources")[0] == [{"n": 1}]
        with made._query._lock:
            made._query.used_s = LONG_AGO_S
            Rest().tidy()
            assert made._query._process is not None
            assert made._query._process.poll() is None, "one that answers is not ended"


def test_arrays_are_closed_and_opened_again_while_they_are_read(tmp_path: Path) -> None:
    values = np.random.default_rng(0).integers(0, 9, (64, 64), np.uint16)
    group = zarr.open_group(tmp_path / "a.zarr", mode="w", zarr_format=2)
    group.create_array("a", shape=values.shape, chunks=(16, 16), dtype=values.dtype)[:] = values
    with closing(open_source(tmp_path / "a.zarr")) as source:
        (array,) = [one for one in arrays(source.root) if isinstance(one, PartArray)]
        assert np.array_equal(array.read(Box((3, 3), (40, 60))), values[3:40, 3:60])
        assert array.opened is not None
        ended = threading.Event()

        def close() -> None:
            while not ended.is_set():
                OPENED.let_go()

        thread = threading.Thread(target=close)
        thread.start()
        try:
            for _ in range(50):
                assert np.array_equal(array.read(Box((0, 0), (64, 64))), values)
        finally:
            ended.set()
            thread.join()
        OPENED.let_go()
        assert (array.opened, OPENED.used_s) == (None, 0.0)


def arrays(group: object) -> Iterator[object]:
    from coverslip.core.node import Group

    assert isinstance(group, Group)
    for node in (group[name] for name in group):
        if isinstance(node, Group):
            yield from arrays(node)
        else:
            yield node
