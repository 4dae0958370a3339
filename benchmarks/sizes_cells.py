"""Cells as they become more: 10,000 to 5 million, served by coverslip, cellucid 0.0.9 and cellucid 0.9.5 in turn.

Files as `scripts/million_cells.py` makes them: UMAP, four columns, 200 genes, 10 stored values a cell. Each round
starts every server on the file anew and asks for what a page needs first. cellucid 0.9.5 hands out ranges of the file,
and its page reads them: it is asked for the ranges in which points, codes and genes lie, and a gene of a matrix
stored by cell costs its client the whole matrix; what a page reads before, to find the ranges, is left out.
"""

from __future__ import annotations

import argparse
import functools
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
from measuring import DATA, ROOT
from measuring.results import OURS, Table, arguments, given, publish
from measuring.servers import Server, coverslip, running
from surroundings import PEER as OLDER
from surroundings import environment, free_port

CELLS, QUICK = [10_000, 100_000, 1_000_000, 5_000_000], [2_000]
NEWER = "cellucid==0.9.5"
THEIRS = [name.replace("==", " ") for name in (OLDER, NEWER)]
GENES = 5
INDEX_S = 300
READY = "/_cellucid/health"


Place = tuple[int, np.dtype, int]


@dataclass
class Asker:
    """One program: how it is started, and how it is asked."""

    name: str
    start: Callable[[Path], AbstractContextManager[Server]]
    points: Callable[[Server, Path], int]
    codes: Callable[[Server, Path], int]
    gene: Callable[[Server, Path, int], np.ndarray]


def data(n_cells: int) -> Path:
    """The file with so many cells; made once."""
    made = [sys.executable, ROOT / "scripts" / "million_cells.py", str(n_cells)]
    return Path(subprocess.run(made, capture_output=True, text=True, check=True).stdout.strip())


def by_gene(path: Path) -> Path:
    """The same cells with their matrix stored by gene, as cellucid 0.9.5 wants it; made once."""
    import scipy.sparse

    target = path.with_name(f"{path.stem}_by_gene.h5ad")
    if target.exists():
        return target
    part = target.with_suffix(".part")
    with h5py.File(path) as file, h5py.File(part, "w") as copy:
        copy.attrs.update(file.attrs)
        for name in ("obs", "var", "obsm"):
            file.copy(name, copy)
        x, shape = file["X"], tuple(file["X"].attrs["shape"])
        columns = scipy.sparse.csr_matrix((x["data"][:], x["indices"][:], x["indptr"][:]), shape=shape).tocsc()
        group = copy.create_group("X")
        group.attrs.update({"encoding-type": "csc_matrix", "encoding-version": "0.1.0", "shape": shape})
        for name in ("data", "indices", "indptr"):
            group[name] = getattr(columns, name)
    part.replace(target)
    return target


def older(path: Path) -> AbstractContextManager[Server]:
    """cellucid 0.0.9, which looks for its page's files on the network, too: here they are not found."""
    port = free_port()
    command = [environment(OLDER).parent / "cellucid", "serve", path, "--port", port, "--no-browser", "--quiet"]
    settings = {"CELLUCID_WEB_PROXY_CACHE_DIR": str(DATA.parent / "peers" / "web")}
    return running(THEIRS[0], command, port, READY, settings)


def newer(path: Path) -> AbstractContextManager[Server]:
    """cellucid 0.9.5 without its page, which it does not start without a network."""
    places(path)
    port = free_port()
    command = [environment(NEWER).parent / "cellucid", "serve", path, "--port", port, "--no-browser", "--quiet"]
    command += ["--no-web-ui", "--dataset-name", "Cells", "--dataset-id", "cells"]
    return running(THEIRS[1], command, port, READY)


@functools.cache
def places(path: Path) -> tuple[dict[str, Place], tuple[int, int], bool]:
    """Where data sets begin in a file, their items and number; the matrix's shape, and whether it is stored by cell."""
    with h5py.File(path) as file:
        names = ("obsm/X_umap", "obs/cluster/codes", "X/data", "X/indices", "X/indptr")
        found = {name: (file[name].id.get_offset(), file[name].dtype, file[name].size) for name in names}
        return found, tuple(file["X"].attrs["shape"]), file["X"].attrs["encoding-type"] == "csr_matrix"


def part(server: Server, path: Path, data_set: str, start: int = 0, stop: int | None = None) -> np.ndarray:
    """Items of a data set that lies in one piece, by their range of the file."""
    offset, dtype, size = places(path)[0][data_set]
    first, last = offset + start * dtype.itemsize, offset + (size if stop is None else stop) * dtype.itemsize - 1
    return np.frombuffer(server.get("/_cellucid/anndata/cells.h5ad", Range=f"bytes={first}-{last}"), dtype)


def picked(server: Server, path: Path, gene: int) -> np.ndarray:
    """A gene as the page of 0.9.5 has to find it: all of a matrix by cell, or two ranges of one by gene."""
    _, shape, by_cell = places(path)
    starts = part(server, path, "X/indptr")
    values = np.zeros(shape[0], np.float32)
    if by_cell:
        here = np.flatnonzero(part(server, path, "X/indices") == gene)
        rows = np.searchsorted(starts, here, side="right") - 1
        values[rows] = part(server, path, "X/data")[here]
    else:
        a, b = int(starts[gene]), int(starts[gene + 1])
        values[part(server, path, "X/indices", a, b)] = part(server, path, "X/data", a, b)
    return values


def whole_gene(server: Server, _: Path, gene: int) -> np.ndarray:
    """A gene of a server that has an answer for it."""
    return np.frombuffer(server.get(f"/var/var{gene}.values.f32"), np.float32)


def whole_points(server: Server, _: Path) -> int:
    """What there is, and the points."""
    return len(server.get("/dataset_identity.json")) and len(server.get("/points_2d.bin"))


def whole_codes(server: Server, _: Path) -> int:
    """A column."""
    return len(server.get("/obs/cluster.codes.u8"))


def points_part(server: Server, path: Path) -> int:
    """The points, as the file has them."""
    return part(server, path, "obsm/X_umap").nbytes


def codes_part(server: Server, path: Path) -> int:
    """A column, as the file has it."""
    return part(server, path, "obs/cluster/codes").nbytes


ASKERS = [
    Asker(OURS, lambda path: coverslip(path, ready=READY), whole_points, whole_codes, whole_gene),
    Asker(THEIRS[0], older, whole_points, whole_codes, whole_gene),
    Asker(THEIRS[1], newer, points_part, codes_part, picked),
]


def milliseconds(work: Callable[[], object]) -> float:
    """How long something takes."""
    start = time.perf_counter()
    work()
    return (time.perf_counter() - start) * 1000


def indexed(server: Server) -> None:
    """Wait until coverslip has its index of genes."""
    end = time.monotonic() + INDEX_S
    while json.loads(server.get("/gene_index.json"))["state"] in ("building", "waiting"):
        if time.monotonic() > end:
            raise SystemExit("The gene index is not made")
        time.sleep(0.02)


def start(notes: dict[str, list[float]], asker: Asker, path: Path) -> None:
    """One start, and what a page asks for first; milliseconds and MB."""
    with asker.start(path) as server:
        took = {
            "ready": server.ready_s * 1000,
            "points": milliseconds(lambda: asker.points(server, path)),
            "a column": milliseconds(lambda: asker.codes(server, path)),
            "a gene, the first": milliseconds(lambda: asker.gene(server, path, 3)),
        }
        took["from the start to all four"] = sum(took.values())
        if asker.name == OURS:
            indexed(server)
        later = [milliseconds(lambda g=gene: asker.gene(server, path, g)) for gene in range(10, 10 + GENES)]
        took["a gene, later"] = statistics.median(later)
        took["memory afterwards"] = server.memory_mb()
    for name, value in took.items():
        notes[name].append(value)


def by_gene_in_turn(askers: list[Asker], path: Path, rounds: int) -> dict[str, list[float]]:
    """Genes of a matrix that is stored by gene, all servers running at once; their values must be the same."""
    took: dict[str, list[float]] = {asker.name: [] for asker in askers}
    with ExitStack() as stack:
        servers = [(asker, stack.enter_context(asker.start(path))) for asker in askers]
        for number in range(10, 10 + GENES * rounds):
            seen: list[np.ndarray] = []
            for asker, server in servers:
                begun = time.perf_counter()
                seen.append(asker.gene(server, path, number))
                took[asker.name].append((time.perf_counter() - begun) * 1000)
            if any(not np.array_equal(seen[0], other) for other in seen[1:]):
                raise SystemExit(f"gene {number} of {path.name} differs")
    return took


NAMES = ("ready", "points", "a column", "a gene, the first", "from the start to all four", "a gene, later")


def measured(args: argparse.Namespace) -> Table:
    """Every question for every number of cells."""
    askers = ASKERS[:1] if args.no_peers else ASKERS
    sizes = args.cells or (QUICK if args.quick else CELLS)
    found: dict[tuple[str, int], dict[str, list[float]]] = {}
    for n_cells in sizes:
        path = data(n_cells)
        for name in (*NAMES, "memory afterwards"):
            found[name, n_cells] = {asker.name: [] for asker in askers}
        for _ in range(args.rounds):
            for asker in askers:
                start({name: found[name, n_cells][asker.name] for name in (*NAMES, "memory afterwards")}, asker, path)
        found["a gene, matrix stored by gene", n_cells] = by_gene_in_turn(askers, by_gene(path), args.rounds)
        print(f"{n_cells:,} cells: done", file=sys.stderr, flush=True)
    table = Table("200 genes, CSR", [asker.name for asker in askers])
    for name in (*NAMES, "a gene, matrix stored by gene", "memory afterwards"):
        for n_cells in sizes:
            for column, values in found[name, n_cells].items():
                table.note(f"{name}: {n_cells:,} cells", "MB" if "memory" in name else "ms", column, *values)
    return table


def main() -> None:
    """Measure and publish."""
    parser = arguments(__doc__)
    parser.add_argument("--cells", type=int, nargs="*", help="other numbers of cells")
    args = given(parser)
    publish("sizes_cells", [measured(args)], {}, args)


if __name__ == "__main__":
    main()
