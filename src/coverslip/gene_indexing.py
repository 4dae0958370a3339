"""The process that makes one gene index: ``python -m coverslip.gene_indexing``, told what by its input."""

from __future__ import annotations

import json
import os
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

from coverslip.core.errors import CoverslipError, Damaged, Unreadable
from coverslip.domains.cells import Cells, Options
from coverslip.domains.gene_index_build import write_index
from coverslip.domains.modalities import data_sets
from coverslip.formats import open_source

NICE = 10


def make(task: dict[str, Any]) -> None:
    """Write the index of one matrix, beside its place first, and put it there when it is whole.

    Raises
    ------
    CoverslipError
        When the source cannot be read, or is not what it was.
    OSError
        When the index cannot be written.
    """
    source = open_source(Path(task["path"]))
    target = Path(task["target"])
    part = target.with_name(f".part-{os.getpid()}-{target.name}")
    try:
        _check(source.etag == task["etag"])
        cells = Cells(data_sets(source.root)[task["part"]](), Options(**task["options"]))
        matrix = cells.expression(task["expression"]).matrix.bulk
        if matrix is None:
            raise Damaged("There is nothing to index", "Genes are read at once as they are stored.")
        _check([*matrix.shape] == task["shape"])
        write_index(matrix, part, bytes.fromhex(task["key"]), _tell, int(task["workers"]), int(task["memory"]))
        _check(source.fresh())  # else some of it may be of another version
        part.replace(target)
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)
        source.close()


def _check(same: bool) -> None:
    if not same:
        raise Unreadable("The file changed while its genes were indexed", "It is indexed anew with the next gene.")


def _tell(done: int, total: int) -> None:
    _say({"done": done, "total": total})


def _say(told: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(told) + "\n")
    sys.stdout.flush()


def _end_with_the_server() -> None:
    """Leave when our input ends: nobody waits for us any more."""
    sys.stdin.read()
    os._exit(1)


def main() -> None:
    """Do what the first line of the input says."""
    task = json.loads(sys.stdin.readline())
    if hasattr(os, "nice"):
        os.nice(NICE)
    threading.Thread(target=_end_with_the_server, daemon=True).start()
    try:
        make(task)
    except CoverslipError as error:
        _say({"error": error.message})
    except OSError as error:
        _say({"error": f"The index cannot be written: {error.strerror}"})
    else:
        _say({"ready": True})
    sys.stdout.flush()
    os._exit(0)  # the thread that waits for the input would be waited for


if __name__ == "__main__":
    main()
