"""The process that answers one question about cells: ``python -m coverslip.analysing``, told which by its input."""

from __future__ import annotations

import json
import os
import shutil
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np

from coverslip.core.errors import CoverslipError, Damaged, Unreadable
from coverslip.domains.analysis import ERROR, Plan, answer
from coverslip.domains.cell_sets import Labels
from coverslip.domains.cells import Cells, Options
from coverslip.domains.gene_index import GeneIndex
from coverslip.domains.modalities import data_sets
from coverslip.formats import open_source

NICE = 5
TELL_S = 0.1


def work(task: dict[str, Any]) -> None:
    """Answer the question, and write the files of the answer into the folder.

    Raises
    ------
    CoverslipError
        When the source cannot be read, or is not what it was.
    OSError
        When the answer cannot be written.
    """
    source = open_source(Path(task["path"]))
    folder = Path(task["folder"])
    try:
        _check(source.etag == task["etag"])
        cells = Cells(data_sets(source.root)[task["part"]](), Options(**task["options"]))
        plan = _plan(task["plan"], folder)
        _use_index(cells, plan, task["index"])
        files = answer(plan, cells, task["job"], _Teller(), int(task["workers"]))
        _check(source.fresh())  # else some of it may be of another version
        for name, data in files.items():
            (folder / name).write_bytes(data)
    finally:
        source.close()


def _check(same: bool) -> None:
    if not same:
        raise Unreadable("The file changed while it was looked through", "Ask again.")


def _plan(asked: dict[str, Any], folder: Path) -> Plan:
    labels = None
    if "labels" in asked:
        named, categories = asked["labels"], asked["labels"]["categories"]
        codes = np.load(folder / "codes.npy", allow_pickle=False)
        labels = Labels(codes, tuple(named["names"]), tuple(categories) if categories is not None else None)
    return Plan(asked["kind"], asked["expression"], tuple(asked["genes"]), (), labels, asked["settings"])


def _use_index(cells: Cells, plan: Plan, index: dict[str, str] | None) -> None:
    bulk = cells.expression(plan.expression).matrix.bulk
    if index is None or bulk is None:
        return
    try:
        bulk.index = GeneIndex(Path(index["path"]), bulk.shape, bytes.fromhex(index["key"]))
    except (Damaged, OSError):  # it was removed meanwhile; the file has everything
        bulk.index = None


class _Teller:
    """Says how far it is, not more often than anybody looks."""

    def __init__(self) -> None:
        self._next = 0.0

    def __call__(self, done: int, total: int) -> None:
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + TELL_S
            _say({"done": done, "total": total})


def _say(told: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(told) + "\n")
    sys.stdout.flush()


def _end_with_the_server(folder: str) -> None:
    """Leave when our input ends: nobody waits for us any more."""
    sys.stdin.read()
    shutil.rmtree(folder, ignore_errors=True)
    os._exit(1)


def main() -> None:
    """Do what the first line of the input says."""
    task = json.loads(sys.stdin.readline())
    if hasattr(os, "nice"):
        os.nice(NICE)
    threading.Thread(target=_end_with_the_server, args=(task["folder"],), daemon=True).start()
    try:
        work(task)
    except CoverslipError as error:
        told = {"message": error.message, "hint": error.hint, "code": error.name}
        Path(task["folder"], ERROR).write_text(json.dumps(told))
        _say({"error": error.message})
    except OSError as error:
        _say({"error": f"The answer cannot be written: {error.strerror}"})
    else:
        _say({"ready": True})
    sys.stdout.flush()
    os._exit(0)  # the thread that waits for the input would be waited for


if __name__ == "__main__":
    main()
