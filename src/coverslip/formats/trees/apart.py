"""Sources that a process of their own reads, of a format whose library keeps Python's lock while it asks a disk.

A network disk that hangs would stop the whole server there. Here it stops a process that nobody else needs: who waits
for it does so without the lock, and is told after a while that the disk does not answer (`coverslip.engine.lanes`).

Questions and answers are JSON, one line each with its length before it; elements follow as they lie in memory.
"""

from __future__ import annotations

import atexit
import json
import subprocess
import sys
import threading
import time
from collections.abc import Hashable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from coverslip.core import errors
from coverslip.core.beats import beat
from coverslip.core.errors import CoverslipError, Damaged, NotFound
from coverslip.core.idle import KEEPERS
from coverslip.core.mounts import network_mount
from coverslip.core.node import Array, Group, Node, Source
from coverslip.core.spec import ArraySpec, Box
from coverslip.formats.trees.source import PathSource

PROCESSES = 2
"""For the files of one disk: each reads one thing at a time."""
END_S = 0.5
LISTEN_S = 0.5
START = "import sys; sys.path[:] = sys.argv[1:]; from coverslip.formats.trees.apart_process import main; main()"


class Process:
    """One that reads."""

    def __init__(self) -> None:
        self.beats = 0
        """Signs of life that it gave."""
        pipe = subprocess.PIPE
        command = [sys.executable, "-I", "-c", START, *sys.path]
        self._process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL)

    @property
    def runs(self) -> bool:
        """Whether it can be asked."""
        return self._process.poll() is None

    def ask(self, question: dict[str, Any]) -> tuple[dict[str, Any], bytearray]:
        """Its answer, and the bytes after it.

        Raises
        ------
        CoverslipError, OSError
            As the format raised it there.
        Damaged
            When the process ends over it.
        """
        try:
            self._send(question)
            while True:
                answer = json.loads(self._take(int.from_bytes(self._take(8), "little")))
                if "beat" not in answer:
                    break
                self.beats += 1
                beat()
            data = self._take(answer.get("bytes", 0))
        except (EOFError, BrokenPipeError, ValueError) as error:
            self.close()
            name = Path(question["path"]).name
            hint = "The file may be damaged; copy it again."
            raise Damaged(f"{name} cannot be read: its library ended the process", hint) from error
        except BaseException:  # no memory for the answer: what is left of it is no answer of the next question
            self.close()
            raise
        if "error" in answer:
            raise _error(**answer["error"])
        return answer, data

    def close(self) -> None:
        """End it; one whose disk hangs ends later."""
        self._process.kill()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(END_S)
        for pipe in (self._process.stdin, self._process.stdout):
            with suppress(OSError):  # what was not sent cannot be sent any more
                if pipe is not None:
                    pipe.close()

    def _send(self, question: dict[str, Any]) -> None:
        assert self._process.stdin is not None
        data = json.dumps(question).encode()
        self._process.stdin.write(len(data).to_bytes(8, "little") + data)
        self._process.stdin.flush()

    def _take(self, size: int) -> bytearray:
        assert self._process.stdout is not None
        data, done = bytearray(size), 0
        with memoryview(data) as into:
            while done < size:
                got = self._process.stdout.readinto(into[done:])  # type: ignore[attr-defined]
                if not got:
                    raise EOFError
                done += got
        return data


class Processes:
    """Those that read one disk, started when they are needed."""

    def __init__(self, most: int = PROCESSES) -> None:
        self._most, self._count = most, 0
        self._idle: list[Process] = []
        self._working: list[Process] = []
        self._room = threading.Condition()
        self.used_s = 0.0
        KEEPERS.add(self)

    def ask(self, question: dict[str, Any]) -> tuple[dict[str, Any], bytearray]:
        """As `Process.ask`, by the next that is free."""
        with self._one() as process:
            return process.ask(question)

    def let_go(self) -> None:
        """End those that read nothing."""
        with self._room:
            idle, self._idle = self._idle, []
            self._count -= len(idle)
            self.used_s = 0.0
        for process in idle:
            process.close()

    @contextmanager
    def _one(self) -> Iterator[Process]:
        with self._room:
            self._wait()
            process = self._idle.pop() if self._idle else None
            self._count += process is None
        try:
            if process is not None and not process.runs:  # it was ended meanwhile
                process.close()
                process = None
            process = process or Process()
            self._working.append(process)
            yield process
        finally:
            with self._room:
                if process in self._working:
                    self._working.remove(process)
                if process is not None and process.runs:
                    self._idle.append(process)
                    self.used_s = time.monotonic()
                else:
                    self._count -= 1
                self._room.notify()

    def _wait(self) -> None:
        """Until one is free; while those that are not do something, who waits for them is not held up by the disk."""
        heard = None
        while not self._room.wait_for(lambda: self._idle or self._count < self._most, LISTEN_S):
            hears = sum(process.beats for process in self._working)
            if hears != heard:
                heard = hears
                beat()


_of: dict[Hashable, Processes] = {}
_lock = threading.Lock()


def processes(place: Hashable) -> Processes:
    """Those of one disk."""
    with _lock:
        if not _of:
            atexit.register(_end)
        return _of.setdefault(place, Processes())


def _end() -> None:
    for each in list(_of.values()):
        each.let_go()


def _error(kind: str, message: str, hint: str, code: str) -> Exception:
    found = getattr(errors, kind, None)
    if isinstance(found, type) and issubclass(found, CoverslipError):
        return found(message, hint, code)
    return OSError(message)


class File:
    """One file that is read by others.

    Parameters
    ----------
    form
        The name of its format.
    path
        Where it is.
    """

    def __init__(self, form: str, path: Path) -> None:
        self._others = processes(network_mount(path))
        self._what = {"form": form, "path": str(path)}

    def node(self, names: tuple[str, ...]) -> Node:
        """A group or an array by the names that lead to it."""
        told, _ = self._others.ask({**self._what, "node": names})
        return ApartArray(self, names, told) if "shape" in told else ApartGroup(self, names, told)

    def read(self, names: tuple[str, ...], box: Box) -> npt.NDArray[Any]:
        """The elements of a box."""
        told, data = self._others.ask({**self._what, "node": names, "start": box.start, "stop": box.stop})
        found: npt.NDArray[Any] = np.ndarray(box.shape, told["dtype"], data)
        return found

    def open(self) -> str:
        """Open it; its version."""
        told, _ = self._others.ask(self._what)
        self._what["etag"] = told["etag"]
        return str(told["etag"])


class ApartGroup(Group):
    """Nodes of such a file."""

    def __init__(self, file: File, names: tuple[str, ...], told: dict[str, Any]) -> None:
        self._file, self._path = file, names
        self._nodes: dict[str, Node | None] = dict.fromkeys(told["names"])
        self.attrs = told["attrs"]

    def __iter__(self) -> Iterator[str]:
        return iter(self._nodes)

    def __contains__(self, name: object) -> bool:
        return name in self._nodes

    def __getitem__(self, name: str) -> Node:
        if name not in self._nodes:
            raise NotFound(f"There is no {name!r} here", f"There is {', '.join(list(self)[:9]) or 'nothing'}.")
        node = self._nodes[name]
        if node is None:
            node = self._nodes[name] = self._file.node((*self._path, name))
        return node


class ApartArray(Array):
    """An array of such a file."""

    def __init__(self, file: File, names: tuple[str, ...], told: dict[str, Any]) -> None:
        chunks = told["chunks"]
        self._spec = ArraySpec(tuple(told["shape"]), np.dtype(told["dtype"]), tuple(chunks) if chunks else None)
        self._read = partial(file.read, names)
        self.attrs = told["attrs"]

    @property
    def spec(self) -> ArraySpec:
        """Shape, dtype and chunks."""
        return self._spec

    def read(self, box: Box) -> npt.NDArray[Any]:
        """The elements of ``box``."""
        return self._read(box)


def open_apart(form: str, path: Path) -> Source:
    """A file of a format, read by another process.

    Raises
    ------
    CoverslipError, OSError
        As the format raises it.
    """
    file = File(form, path)
    version = file.open()
    root = file.node(())
    assert isinstance(root, Group)
    source = PathSource(path, root)
    if source.etag != version:
        raise Damaged(f"{path.name} was changed while it was opened", "Ask again.")
    return source
