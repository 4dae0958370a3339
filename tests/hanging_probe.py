"""A program that reads files of a disk which hangs at one question after the other, and says whether Python goes on.

Its arguments are a file of `hanging_disk.Watched`, the disk's process, how many questions of each file, and paths.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from coverslip.core.errors import CoverslipError
from coverslip.core.node import Array, Node
from coverslip.core.spec import Box
from coverslip.formats import open_source
from hanging_disk import Watched

DEEP, MOST_NODES, SIDE = 6, 4, 40


def arrays(node: Node, depth: int = 0) -> Iterator[Array]:
    """Some arrays of a tree."""
    if isinstance(node, Array):
        yield node
    elif depth < DEEP:
        for name in list(node)[:MOST_NODES]:
            yield from arrays(node[name], depth + 1)


def look(path: Path) -> str:
    """Open a file and read a part of each array; what went wrong."""
    try:
        source = open_source(path)
        for array in list(arrays(source.root))[:MOST_NODES]:
            shape = array.spec.shape
            array.read(Box((0,) * len(shape), tuple(min(n, SIDE) for n in shape)))
        source.fresh()
        source.close()
    except CoverslipError as error:
        return str(error)
    return ""


def paused(process: int) -> bool:
    """Whether a process was stopped by a signal."""
    return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] == "T"


def main(watched: Watched, disk: int, path: Path, most: int) -> None:
    """One file: its name, how many questions it takes and what went wrong; then each of them."""
    for _ in range(2):  # libraries are loaded by the first
        watched.hang_at = 0
        wrong = look(path)
    asked = watched.asked
    print("path", path.name, asked, wrong, flush=True)
    for number in range(1, asked + 1, max(asked // most, 1)):
        print("at", number, flush=True)
        watched.hang_at = number
        reader = threading.Thread(target=look, args=(path,))
        reader.start()
        while reader.is_alive() and not paused(disk):
            time.sleep(0.0005)
        hung = reader.is_alive()
        for _ in range(3):
            time.sleep(0.0005)
        print("on" if hung else "passed", number, flush=True)
        os.kill(disk, signal.SIGCONT)
        reader.join()


if __name__ == "__main__":
    for name in sys.argv[4:]:
        main(Watched(Path(sys.argv[1])), int(sys.argv[2]), Path(name), int(sys.argv[3]))
    print("over", flush=True)
    os._exit(0)  # threads that were left behind are waited for by nobody
