"""Answering questions about cells beside the server: in a process of its own where the data is a file here."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from coverslip.core.errors import BadRequest, CoverslipError, Unreadable
from coverslip.domains.cells import Cells
from coverslip.domains.gene_indexes import GeneIndexes, Kept
from coverslip.domains.plan import ERROR, Plan
from coverslip.engine.job import Job
from coverslip.engine.tasks import Files, Lane, Task, Tasks

COMMAND = ("-m", "coverslip.analysing")
LEAST_VALUES = 4_000_000
"""Fewer are looked through in a thread, in less time than a process takes to begin."""
LOOK_S = 0.02
INDEX_SHARE = 0.4
"""Of the progress, where the gene index has to be made first."""
SETS_OF_ALL_GENES = ("differential", "markers")


class Analyses:
    """The questions of one server, and who answers them.

    Parameters
    ----------
    indexes
        Gene indexes; None makes and uses none.
    """

    def __init__(self, indexes: GeneIndexes | None = None) -> None:
        self.tasks = Tasks()
        self._indexes = indexes

    def ask(self, id: str, kept: Kept, cells: Cells, plan: Plan, fresh: Callable[[], bool]) -> Task:
        """Have a question answered.

        Parameters
        ----------
        id
            Equal for equal questions about equal data.
        kept, cells
            The data set, and where it lies.
        fresh
            Whether it is still what it was.

        Raises
        ------
        Busy
            When too many are waiting.
        """
        long = _reads_all(plan)
        lane: Lane = "long" if long else "short"
        apart = long and kept.path is not None and _values(cells, plan) >= LEAST_VALUES
        work = partial(self._apart, kept, cells, plan) if apart else partial(self._here, kept, cells, plan, fresh)
        return self.tasks.ask(id, plan.kind, kept.name, work, lane)

    def _here(self, kept: Kept, cells: Cells, plan: Plan, fresh: Callable[[], bool], task: Task) -> Files:
        from coverslip.domains.analysis import answer  # who never asks need not wait for it

        if self._indexes is not None and plan.expression is not None:
            self._indexes.want(kept, cells, plan.expression)  # used where it is there, else begun
        files = answer(plan, cells, task.id, lambda done, total: task.tell(done / max(total, 1)), stop=task.stop)
        if not fresh():  # some of it may be of another version
            raise Unreadable("The data changed while it was looked through", "Ask again.")
        return files

    def _apart(self, kept: Kept, cells: Cells, plan: Plan, task: Task) -> Files:
        before = self._index(kept, cells, plan, task)
        folder = Path(tempfile.mkdtemp(prefix="coverslip-"))
        try:
            return self._process(kept, cells, plan, task, folder, before)
        except OSError as error:
            raise Unreadable(f"The answer cannot be worked out: {error.strerror}", "Is the disk full?") from None
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _index(self, kept: Kept, cells: Cells, plan: Plan, task: Task) -> float:
        """Wait for the gene index, which is read several times as fast as what it is made of; the progress then."""
        waited = False
        while self._indexes is not None:
            progress = self._indexes.want(kept, cells, plan.expression)
            if progress.state not in ("building", "waiting"):
                break
            waited = True
            task.tell(progress.share * INDEX_SHARE, "Gene index")
            task.stop.check()
            time.sleep(LOOK_S * 5)
        return INDEX_SHARE if waited else 0.0

    def _process(self, kept: Kept, cells: Cells, plan: Plan, task: Task, folder: Path, before: float) -> Files:
        told = _told(kept, cells, plan, task.id, folder)
        over, failed = threading.Event(), [""]

        def finished(error: str | None) -> None:
            failed[0] = error or ""
            over.set()

        task.tell(before)
        job = Job(COMMAND, told, finished)
        try:
            while not over.wait(LOOK_S):
                task.tell(before + (1 - before) * job.share)
                task.stop.check()
        finally:
            job.close()
        if failed[0]:
            raise _error(folder, failed[0])
        return {path.name: path.read_bytes() for path in folder.iterdir() if path.suffix != ".npy"}

    def close(self) -> None:
        """End all of them."""
        self.tasks.close()


def _error(folder: Path, message: str) -> CoverslipError:
    """Why a process did not answer."""
    try:
        told = json.loads((folder / ERROR).read_text())
    except (OSError, ValueError):  # it was ended before it could say so
        return Unreadable(message, "Ask again.")
    return BadRequest(str(told["message"]), str(told["hint"]), str(told["code"]))


def _reads_all(plan: Plan) -> bool:
    return plan.kind in SETS_OF_ALL_GENES or (plan.kind == "score" and (plan.settings or {})["method"] == "scanpy")


def _values(cells: Cells, plan: Plan) -> int:
    matrix = cells.expression(plan.expression).matrix
    if plan.kind in SETS_OF_ALL_GENES:
        return matrix.n_values * len(plan.genes) // max(matrix.shape[1], 1)
    return matrix.n_values


def _told(kept: Kept, cells: Cells, plan: Plan, id: str, folder: Path) -> dict[str, Any]:
    """What the process is told; the groups lie in its folder."""
    asked = {"kind": plan.kind, "expression": plan.expression, "genes": plan.genes, "settings": plan.settings}
    labels = plan.labels
    if labels is not None:
        np.save(folder / "codes.npy", labels.codes, allow_pickle=False)
        asked["labels"] = {"names": labels.names, "categories": labels.categories}
    bulk = cells.expression(plan.expression).matrix.bulk
    index = bulk.index if bulk is not None else None
    return {
        "path": str(kept.path), "etag": kept.etag, "part": kept.part, "options": asdict(cells.options), "job": id,
        "folder": str(folder), "plan": asked, "workers": max(1, min(os.cpu_count() or 1, 4)),
        "index": None if index is None else {"path": str(index.path), "key": index.key.hex()},
    }  # fmt: skip
