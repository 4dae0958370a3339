"""The other side of `coverslip.formats.trees.apart`: the process that reads. It ends with its input."""

from __future__ import annotations

import json
import sys
import threading
import time
from collections import OrderedDict
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from coverslip.core.errors import CoverslipError, Damaged
from coverslip.core.node import Array, Group, Node, Source
from coverslip.core.spec import Box
from coverslip.formats import formats

MOST_OPEN = 16
BEAT_S, LEAST_CPU_S = 0.5, 0.01
"""How often it says that it works, where it does."""


class Answers:
    """Writes answers, and signs of life between them."""

    def __init__(self, out: BinaryIO) -> None:
        self._out = out
        self._lock = threading.Lock()
        self._busy = False

    def begin(self) -> None:
        """A question was asked."""
        with self._lock:
            self._busy = True

    def end(self, told: dict[str, Any], data: bytes | memoryview = b"") -> None:
        """Answer it."""
        with self._lock:
            self._busy = False
            self._write(told, data)

    def beat(self) -> None:
        """Tell for ever whether this process works."""
        before = time.process_time()
        while True:
            time.sleep(BEAT_S)
            now = time.process_time()
            with self._lock:
                if self._busy and now - before > LEAST_CPU_S:
                    self._write({"beat": 1})
            before = now

    def _write(self, told: dict[str, Any], data: bytes | memoryview = b"") -> None:
        message = json.dumps(told).encode()
        self._out.write(len(message).to_bytes(8, "little") + message)
        self._out.write(data)
        self._out.flush()


class Shelf:
    """The files that are open."""

    def __init__(self) -> None:
        self._open: OrderedDict[str, Source] = OrderedDict()

    def source(self, form: str, path: str, etag: str | None = None) -> Source:
        """A file; of this version, where one is asked for.

        Raises
        ------
        Damaged
            When it has changed since.
        """
        found = self._open.get(path)
        if found is not None and (etag is None or found.etag != etag or not found.fresh()):
            self._open.pop(path).close()
            found = None
        if found is None:
            known = next(f for f in formats() if f.name == form)
            found = self._open[path] = known.open(Path(path))
        self._open.move_to_end(path)
        while len(self._open) > MOST_OPEN:
            self._open.popitem(last=False)[1].close()
        if etag not in (None, found.etag):
            raise Damaged(f"{Path(path).name} was changed while it was read", "Ask again.")
        return found


def main() -> None:
    """Answer until the input ends."""
    questions, answers, shelf = sys.stdin.buffer, Answers(sys.stdout.buffer), Shelf()
    threading.Thread(target=answers.beat, daemon=True).start()
    while len(head := questions.read(8)) == 8:
        question = json.loads(questions.read(int.from_bytes(head, "little")))
        answers.begin()
        try:
            told, data = _answer(shelf, question)
        except CoverslipError as error:
            told, data = {"error": _told(type(error).__name__, error.message, error.hint, error.name)}, b""
        except OSError as error:
            text = (str(error).splitlines() or [""])[0] or type(error).__name__
            told, data = {"error": _told("OSError", error.strerror or text)}, b""
        answers.end(told, data)


def _told(kind: str, message: str, hint: str = "", code: str = "") -> dict[str, str]:
    return {"kind": kind, "message": message, "hint": hint, "code": code}


def _answer(shelf: Shelf, question: dict[str, Any]) -> tuple[dict[str, Any], bytes | memoryview]:
    source = shelf.source(question["form"], question["path"], question.get("etag"))
    if "node" not in question:
        return {"etag": source.etag}, b""
    node: Node = source.root
    for name in question["node"]:
        assert isinstance(node, Group)
        node = node[name]
    if "start" not in question:
        return _described(node), b""
    assert isinstance(node, Array)
    found = _native(node.read(Box(tuple(question["start"]), tuple(question["stop"]))))
    return {"dtype": found.dtype.str, "bytes": found.nbytes}, found.reshape(-1).view(np.uint8).data


def _native(found: npt.NDArray[Any]) -> npt.NDArray[Any]:
    return np.ascontiguousarray(found, found.dtype.newbyteorder("="))


def _described(node: Node) -> dict[str, Any]:
    if isinstance(node, Group):
        return {"attrs": dict(node.attrs), "names": list(node)}
    spec = node.spec
    return {"attrs": dict(node.attrs), "shape": spec.shape, "dtype": spec.dtype.str, "chunks": spec.chunks}
