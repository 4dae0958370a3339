"""Files on network disks whose libraries keep Python's lock: read by another process, and the same."""

from __future__ import annotations

import io
import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import test_bioio
import test_czi

from coverslip.core import mounts
from coverslip.core.beats import beats
from coverslip.core.errors import Damaged, NotFound
from coverslip.core.node import Array
from coverslip.core.spec import Box
from coverslip.formats import open_source
from coverslip.formats.trees import apart
from coverslip.formats.trees.apart import ApartGroup, Process
from coverslip.formats.trees.apart_process import Answers

PATIENCE_S = 60
ANSWER = b'{"bytes":2}'
SAID = f"sys.stdout.buffer.write({len(ANSWER).to_bytes(8, 'little') + ANSWER + b'ok'!r}); sys.stdout.flush()"


@pytest.fixture(autouse=True)
def network(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> str:
    """Everything that a test writes lies on what is taken for one network disk."""
    base = tmp_path_factory.getbasetemp()
    table = tmp_path_factory.mktemp("mounts") / "mounts"
    table.write_text(f"/dev/sda / ext4 rw 0 0\nnas:/x {base} nfs4 rw 0 0\n")
    monkeypatch.setattr(mounts, "MOUNTS", table)
    return str(base)


@pytest.fixture(autouse=True, scope="module")
def ended() -> Iterator[None]:
    yield
    apart._end()


class TestCzi(test_czi.TestStack):
    """Everything that holds for a CZI that is read here holds for one that is read elsewhere."""

    def test_it_is_read_elsewhere(self, sample: Path) -> None:
        source = open_source(sample)
        assert isinstance(source.root, ApartGroup)
        source.close()


class TestMosaic(test_czi.TestMosaic):
    """Several images, with tiles."""


def written(path: Path, data: np.ndarray) -> Path:
    test_czi.write(path, {(0, "C0", 0, 0): data})
    return path


def pixels(path: Path) -> Array:
    return open_source(path).root.array("0")


def whole(array: Array) -> Any:
    return array.read_all().squeeze()


def test_what_a_plug_in_reads(tmp_path: Path) -> None:
    path, data = tmp_path / "a.dv", np.arange(8 * 9, dtype=np.uint16).reshape(8, 9)
    test_bioio.mrc.imsave(path, data)
    source = open_source(path)
    assert isinstance(source.root, ApartGroup)
    np.testing.assert_array_equal(whole(source.root.array("0")), data)
    with pytest.raises(NotFound, match="There is 0"):
        source.root["none"]


def test_what_is_wrong_is_told_as_it_is_here(tmp_path: Path) -> None:
    path = written(tmp_path / "a.czi", test_czi.noise((40, 50)))
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(Damaged) as told:
        open_source(path)
    text = str(told.value)
    with pytest.MonkeyPatch.context() as local:
        local.setattr(mounts, "MOUNTS", tmp_path / "none")
        with pytest.raises(Damaged) as here:
            open_source(path)
    assert text == str(here.value)


def test_a_file_that_is_replaced_gives_no_mixture(tmp_path: Path) -> None:
    first, second = test_czi.noise((30, 40)), test_czi.noise((30, 40))
    path = written(tmp_path / "a.czi", first)
    array = pixels(path)
    np.testing.assert_array_equal(whole(array), first)
    written(tmp_path / "b.czi", second).replace(path)
    with pytest.raises(Damaged, match="changed while it was read"):
        array.read(Box.whole(array.spec.shape))
    np.testing.assert_array_equal(whole(pixels(path)), second)
    with pytest.raises(Damaged, match="changed while it was read"):
        array.read(Box.whole(array.spec.shape))


def test_a_process_that_ends_is_told_and_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = apart.Processes(1)
    monkeypatch.setattr(apart, "processes", lambda place: one)
    data = test_czi.noise((30, 40))
    path = written(tmp_path / "a.czi", data)
    array = pixels(path)
    (first,) = one._idle
    first._process.kill()
    first._process.wait()
    np.testing.assert_array_equal(whole(array), data)
    (second,) = one._idle
    os.kill(second._process.pid, signal.SIGSTOP)
    told: list[Exception] = []

    def ask() -> None:
        try:
            second.ask({"form": "czi", "path": str(path)})
        except Damaged as error:
            told.append(error)

    asking = threading.Thread(target=ask)
    asking.start()
    os.kill(second._process.pid, signal.SIGKILL)
    asking.join(PATIENCE_S)
    assert "its library ended the process" in str(told[0])
    np.testing.assert_array_equal(whole(array), data)
    one.let_go()


def test_who_waits_for_another_goes_on_when_it_is_free(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk has two processes, and however many ask."""
    few = apart.Processes(1)
    monkeypatch.setattr(apart, "processes", lambda place: few)
    data = test_czi.noise((30, 40))
    array = pixels(written(tmp_path / "a.czi", data))
    found: list[Any] = []
    threads = [threading.Thread(target=lambda: found.append(whole(array))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE_S)
    assert few._count == 1
    assert all((one == data).all() for one in found)
    assert len(found) == 8
    few.let_go()
    assert few._count == 0


def test_signs_of_life_are_heard(monkeypatch: pytest.MonkeyPatch) -> None:
    frames = b"".join(len(text).to_bytes(8, "little") + text for text in [b'{"beat":1}'] * 3 + [b'{"bytes":2}']) + b"ok"
    program = f"import sys; sys.stdin.buffer.read(8); sys.stdout.buffer.write({frames!r}); sys.stdout.flush()"
    monkeypatch.setattr(apart, "START", program)
    process, before = Process(), beats()[0]
    try:
        assert process.ask({"path": "x"}) == ({"bytes": 2}, bytearray(b"ok"))
    finally:
        process.close()
    assert beats()[0] - before == 3


class Slow:
    """A process that works as long as nobody lets it go, and says so."""

    runs = True

    def __init__(self) -> None:
        self.beats, self.go = 0, threading.Event()

    def ask(self, question: dict[str, Any]) -> tuple[dict[str, Any], bytearray]:
        end = time.monotonic() + PATIENCE_S
        while not self.go.wait(0.01) and time.monotonic() < end:
            self.beats += 1
        return {}, bytearray()

    def close(self) -> None:
        self.go.set()


def test_who_waits_for_another_that_works_hears_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a long read of one would be told to those behind it as a disk that hangs."""
    monkeypatch.setattr(apart, "LISTEN_S", 0.01)
    made = list[Slow]()
    monkeypatch.setattr(apart, "Process", lambda: made.append(Slow()) or made[-1])
    one, heard = apart.Processes(1), list[list[int]]()

    def ask() -> None:
        heard.append(beats())
        one.ask({})

    threads = [threading.Thread(target=ask) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        end = time.monotonic() + PATIENCE_S
        while not any(each[0] >= 3 for each in list(heard)):
            assert time.monotonic() < end
            time.sleep(0.01)
    finally:
        for process in made:
            process.go.set()
        for thread in threads:
            thread.join()
    assert len(made) == 1
    one.let_go()


def test_an_answer_without_room_is_none_of_the_next_question(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apart, "START", f"import sys; sys.stdin.buffer.read(8); {SAID}; sys.stdin.buffer.read()")
    one = apart.Processes(1)
    take = Process._take

    def full(self: Process, size: int) -> bytearray:
        if size == 2:
            raise MemoryError
        return take(self, size)

    monkeypatch.setattr(Process, "_take", full)
    with pytest.raises(MemoryError):
        one.ask({"path": "x"})
    assert (one._idle, one._count) == ([], 0), "what was not taken of the answer would be read as the next"
    one.let_go()


def test_signs_of_life_are_given_while_it_works(monkeypatch: pytest.MonkeyPatch) -> None:
    out = io.BytesIO()
    monkeypatch.setattr("coverslip.formats.trees.apart_process.BEAT_S", 0.01)
    answers = Answers(out)
    threading.Thread(target=answers.beat, daemon=True).start()
    answers.begin()
    end = time.monotonic() + PATIENCE_S
    while out.getvalue().count(b"beat") < 3:
        sum(range(10_000))
        assert time.monotonic() < end
    answers.end({"bytes": 0})
    said = len(out.getvalue())
    for _ in range(300):
        sum(range(10_000))
    assert len(out.getvalue()) == said, "nobody asked"
