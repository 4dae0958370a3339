"""Cache, reader, library and access."""

from __future__ import annotations

import asyncio
import threading
import time
from dataclasses import dataclass

import pytest

from coverslip.core.errors import NotFound, Stopped
from coverslip.core.node import Source
from coverslip.core.stop import Stop
from coverslip.core.tree import MemoryGroup
from coverslip.engine.access import Access, host_name, is_loopback
from coverslip.engine.cache import ByteCache
from coverslip.engine.keys import Keys
from coverslip.engine.library import Library
from coverslip.engine.read import Reader
from coverslip.engine.rights import FULL


@dataclass
class Blob:
    nbytes: int


def test_the_cache_keeps_its_budget_and_what_was_used_last() -> None:
    cache: ByteCache[Blob] = ByteCache(100)
    for i in range(4):
        cache.put(str(i), Blob(30))
        cache.get("0")
    assert cache.nbytes <= 100
    assert cache.get("0") is not None
    assert cache.get("1") is None
    cache.put("large", Blob(51))
    assert cache.get("large") is None
    cache.put("0", Blob(10))
    assert cache.nbytes == sum(b.nbytes for k in "0123" if (b := cache.get(k)))


def test_work_asked_for_twice_is_done_once() -> None:
    calls = []

    def work(stop: Stop) -> int:
        calls.append(1)
        time.sleep(0.05)
        return len(calls)

    async def both() -> list[int]:
        reader = Reader(2)
        answers = await asyncio.gather(*(reader.run("same", work) for _ in range(5)))
        answers.append(await reader.run("same", work))
        reader.close()
        return answers

    assert asyncio.run(both()) == [1, 1, 1, 1, 1, 2]


def test_work_is_stopped_when_the_last_who_waits_leaves() -> None:
    seen = threading.Event()

    def work(stop: Stop) -> None:
        while True:
            time.sleep(0.005)
            try:
                stop.check()
            except Stopped:
                seen.set()
                raise

    async def leave() -> None:
        reader = Reader(1)
        first, second = (asyncio.create_task(reader.run("k", work)) for _ in range(2))
        await asyncio.sleep(0.03)
        first.cancel()
        await asyncio.sleep(0.03)
        assert not seen.is_set(), "somebody still waits"
        second.cancel()
        await asyncio.to_thread(seen.wait, 5)
        assert await reader.run("k", lambda stop: "anew") == "anew"
        reader.close()

    asyncio.run(leave())
    assert seen.is_set()


def test_quick_questions_do_not_wait_for_slow_reads() -> None:
    release = threading.Event()

    async def ask() -> str:
        reader = Reader(1)
        slow = [asyncio.create_task(reader.run(f"slow {i}", lambda stop: release.wait(20))) for i in range(5)]
        answer = await asyncio.wait_for(reader.run("health", lambda stop: "well", lane="quick"), 10)
        release.set()
        await asyncio.gather(*slow)
        reader.close()
        return answer

    assert asyncio.run(ask()) == "well"


def test_an_error_reaches_all_who_wait() -> None:
    def work(stop: Stop) -> None:
        time.sleep(0.02)
        raise NotFound("gone")

    async def both() -> list[object]:
        reader = Reader(1)
        found = await asyncio.gather(*(reader.run("k", work) for _ in range(2)), return_exceptions=True)
        reader.close()
        return found

    assert [type(e) for e in asyncio.run(both())] == [NotFound, NotFound]


def test_long_reads_give_way_to_short_ones() -> None:
    def long(stop: Stop) -> str:
        begun.append(1)
        for _ in range(100):
            time.sleep(0.005)
            stop.check()
        return "long"

    begun: list[int] = []

    async def ask() -> tuple[float, list[str]]:
        reader = Reader(1)
        slow = [asyncio.create_task(reader.run(i, long, within_s=0.02)) for i in range(3)]
        await asyncio.sleep(0.01)
        started = time.perf_counter()
        assert await reader.run("short", lambda stop: "short", within_s=0.02) == "short"
        waited = time.perf_counter() - started
        answers = await asyncio.gather(*slow)
        reader.close()
        return waited, answers

    waited, answers = asyncio.run(ask())
    assert waited < 0.5, "three long reads of half a second each were begun before"
    assert answers == ["long"] * 3
    assert len(begun) == 6, "each is begun again once, where it may take longer"


def test_what_nobody_waits_for_any_more_is_not_begun() -> None:
    release, begun = threading.Event(), []

    async def scroll() -> None:
        reader = Reader(1)
        first = asyncio.create_task(reader.run("first", lambda stop: release.wait(20)))
        await asyncio.sleep(0.02)
        rest = [asyncio.create_task(reader.run(i, lambda stop: begun.append(1))) for i in range(50)]
        await asyncio.sleep(0.02)
        for task in rest:
            task.cancel()
        await asyncio.sleep(0.02)
        release.set()
        await first
        await reader.run("last", lambda stop: None)
        reader.close()

    asyncio.run(scroll())
    assert not begun


def test_an_end_of_iteration_is_an_error_like_others() -> None:
    async def ask() -> None:
        reader = Reader(1)
        try:
            await asyncio.wait_for(reader.run("k", lambda stop: next(iter(()))), 5)
        finally:
            reader.close()

    with pytest.raises(RuntimeError, match="StopIteration"):
        asyncio.run(ask())


class Fake(Source):
    def __init__(self, etag: str) -> None:
        self.root = MemoryGroup({})
        self.etag = etag
        self.modified_s = 0.0
        self.changed = False

    def fresh(self) -> bool:
        return not self.changed


def test_a_changed_source_is_opened_anew_and_seen_anew() -> None:
    opened: list[Fake] = []

    def open_fake() -> Fake:
        opened.append(Fake(str(len(opened))))
        return opened[-1]

    def look(source: Source) -> str:
        return f"seen {source.etag}"

    entry = Library().add("a", "fake", open_fake)
    assert entry.view(look) == ("seen 0", "0")
    assert entry.view(look) == ("seen 0", "0")
    opened[0].changed = True
    assert entry.view(look) == ("seen 1", "1")
    assert len(opened) == 2


def test_ids_are_distinct_and_safe() -> None:
    library = Library()
    ids = [library.add(name, "k", lambda: Fake("x")).id for name in ("a b", "a/b", "a_b", "β", "")]
    assert ids == ["a_b", "a_b-2", "a_b-3", "data", "data-2"]
    assert [entry.id for entry in library] == ids
    with pytest.raises(NotFound):
        library["nope"]


@pytest.mark.parametrize(
    ("authority", "name"),
    [
        ("localhost:8765", "localhost"), ("127.0.0.1", "127.0.0.1"), ("[::1]:80", "::1"), ("LOCALHOST", "localhost"),
        ("evil.com", "evil.com"), ("", None), ("a:b:c", None), ("user@localhost", None), ("localhost/x", None),
        ("localhost:99999", None), ("localhost.", "localhost"), ("localhost..", "localhost."), (".", None),
        ("localhost?evil.com", None), ("localhost#evil.com", None), ("local\thost", None), ("[::1]evil.com", None),
        ("[::1]evil.com:80", None), ("localhost\\evil.com", None), ("localhost,evil.com", None),
        ("localhost:", "localhost"),
    ],
)  # fmt: skip
def test_host_names(authority: str, name: str | None) -> None:
    assert host_name(authority) == name


def test_who_is_answered() -> None:
    local = Access.create("127.0.0.1", Keys(None), hosts=["lab.example.org"], origins=["https://notebook.example.org/"])
    assert local.host_allowed("localhost:1")
    assert local.host_allowed("lab.example.org")
    assert not local.host_allowed("evil.example.org")
    assert local.origin_allowed("http://127.0.0.1:8765", "127.0.0.1:8765")
    assert not local.origin_allowed("http://127.0.0.1:9999", "127.0.0.1:8765")
    assert not local.origin_allowed("null", "127.0.0.1:8765")
    assert local.origin_allowed("https://notebook.example.org", "127.0.0.1:8765")
    wide = Access.create("0.0.0.0", Keys("secret"))
    assert wide.host_allowed("10.0.0.7:8765")
    assert wide.keys.right_of("secret") == FULL
    assert wide.keys.right_of("") is None
    assert local.keys.right_of("") is None
    assert not Access.create("0.0.0.0", Keys(None)).host_allowed("evil.example.org")


@pytest.mark.parametrize(
    ("host", "loop"),
    [
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("10.0.0.1", False),
        ("lab", False),
    ],
)
def test_loopback(host: str, loop: bool) -> None:
    assert is_loopback(host) is loop
