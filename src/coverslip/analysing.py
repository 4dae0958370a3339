"""The process that answers one question about cells: ``python -m coverslip.analysing``, told which by its input."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np

from coverslip.core.errors import CoverslipError, Damaged
from coverslip.domains.analysis import answer
from coverslip.domains.cell_sets import Labels
from coverslip.domains.cells import Cells
from coverslip.domains.gene_index import GeneIndex
from coverslip.domains.plan import ERROR, Plan
from coverslip.engine.job_process import Told, do
from coverslip.task_cells import cells_of

NICE = 5


def work(task: dict[str, Any], tell: Told) -> None:
    """Answer the question, and write the files of the answer into the folder.

    Raises
    ------
    CoverslipError
        When the source cannot be read, or is not what it was.
    OSError
        When the answer cannot be written.
    """
    folder = Path(task["folder"])
    with cells_of(task, "The file changed while it was looked through", "Ask again.") as cells:
        plan = _plan(task["plan"], folder)
        _use_index(cells, plan, task["index"])
        files = answer(plan, cells, task["job"], tell, int(task["workers"]))
    for name, data in files.items():
        (folder / name).write_bytes(data)


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


def _write_error(task: dict[str, Any], error: CoverslipError) -> None:
    told = {"message": error.message, "hint": error.hint, "code": error.name}
    Path(task["folder"], ERROR).write_text(json.dumps(told))


def main() -> None:
    """Do what the first line of the input says."""
    do(
        work,
        NICE,
        "The answer cannot be written",
        lambda task: shutil.rmtree(task["folder"], ignore_errors=True),
        _write_error,
    )


if __name__ == "__main__":
    main()
