"""Exports: coverslip and cellucid 0.0.9 in one run, of the same file.

The file (500,000 cells × 2,000 genes, a tenth of the values not zero, by cell; columns, a
graph of 15 neighbours, arrows) is made once under ``.cache/data/genes``; ``--cells 50000`` takes a smaller one. What
cellucid works on was read before its clock starts; coverslip's time has the start of Python and the reading in it.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from genes import data as plain
from measuring import DATA
from measuring.results import OURS, Table, arguments, given, publish
from surroundings import PEER, environment

THEIRS = """
import json, sys, time, warnings
warnings.simplefilter("ignore")
import anndata, cellucid
bits, level = (int(v) or None for v in sys.argv[3:5])
a = anndata.read_h5ad(sys.argv[1])
start, worked = time.perf_counter(), time.process_time()
cellucid.prepare(
    latent_space=a.obsm["X_pca"], obs=a.obs, var=a.var, gene_expression=a.X, connectivities=a.obsp["connectivities"],
    X_umap_2d=a.obsm["X_umap"], vector_fields={"velocity_umap_2d": a.obsm["velocity_umap"]}, out_dir=sys.argv[2],
    var_quantization=bits, obs_continuous_quantization=bits, compression=level,
)
print(json.dumps({"took": time.perf_counter() - start, "worked": time.process_time() - worked}))
"""
NEIGHBOURS = 15
CELLS, QUICK = 500_000, 20_000


def data(n_cells: int) -> Path:
    """A file with everything that is exported; made once."""
    path = DATA / "genes" / f"prepare_{n_cells // 1000}k.h5ad"
    if not path.exists():
        part = path.with_suffix(".part")
        shutil.copy(plain(n_cells, False), part)
        with h5py.File(part, "r+") as file:
            _add(file, n_cells)
        part.replace(path)
    return path


def _add(file: h5py.File, n: int) -> None:
    rng = np.random.default_rng(1)

    def array(group: h5py.Group, name: str, values: Any, kind: str = "array") -> None:
        group.create_dataset(name, data=values).attrs.update({"encoding-type": kind, "encoding-version": "0.2.0"})

    obs, names = file["obs"], []
    for i, count in enumerate((8, 20, 60, 300)):
        names.append(f"kind{i}")
        column = obs.create_group(names[-1])
        column.attrs.update({"encoding-type": "categorical", "encoding-version": "0.2.0", "ordered": False})
        array(column, "codes", rng.integers(0, count, n).astype(np.int8 if count < 128 else np.int16))
        text = np.array([f"Kind {k}" for k in range(count)], object)
        column.create_dataset("categories", data=text, dtype=h5py.string_dtype()).attrs.update(
            {"encoding-type": "string-array", "encoding-version": "0.2.0"}
        )
    for i in range(4):
        names.append(f"score{i}")
        array(obs, names[-1], rng.normal(size=n).astype(np.float32))
    del obs.attrs["column-order"]
    obs.attrs.create("column-order", np.array(names, object), dtype=h5py.string_dtype())
    array(file["obsm"], "X_pca", rng.normal(size=(n, 20)).astype(np.float32))
    array(file["obsm"], "velocity_umap", rng.normal(size=(n, 2)).astype(np.float32))
    graph = file["obsp"].create_group("connectivities")
    graph.attrs.update({"encoding-type": "csr_matrix", "encoding-version": "0.1.0", "shape": np.array([n, n])})
    near = (np.arange(n)[:, None] + rng.integers(1, 2000, (n, NEIGHBOURS))) % n
    graph["indices"] = np.sort(near, axis=1).astype(np.int32).reshape(-1)
    graph["indptr"] = np.arange(0, n * NEIGHBOURS + 1, NEIGHBOURS, dtype=np.int32)
    graph["data"] = rng.random(n * NEIGHBOURS).astype(np.float32)


def run(command: list[Any], out: Path) -> tuple[float, float, float, str]:
    """Seconds, seconds of all cores, the most memory in MB, and what was said."""
    shutil.rmtree(out, ignore_errors=True)
    start = time.perf_counter()
    with subprocess.Popen(
        list(map(str, command)), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as made:
        assert made.stdout is not None
        said = made.stdout.read()
        _, status, used = os.wait4(made.pid, 0)
        made.returncode = os.waitstatus_to_exitcode(status)
    if made.returncode:
        raise SystemExit(f"{command[0]} failed")
    return time.perf_counter() - start, used.ru_utime + used.ru_stime, used.ru_maxrss / 1000, said


def main() -> None:
    """Both in turn."""
    parser = arguments(__doc__, 1)
    parser.add_argument("--cells", type=int)
    parser.add_argument("--bits", type=int, default=8)
    parser.add_argument("--level", type=int, default=6)
    args = given(parser)
    n_cells = args.cells or (QUICK if args.quick else CELLS)
    path, peer = data(n_cells), PEER.replace("==", " ")
    title = f"{n_cells:,} cells, {args.bits or 32} bits, gzip {args.level or 'none'}"
    table = Table(title, [OURS, *([] if args.no_peers else [peer])])

    def note(who: str, took: float, worked: float, memory: float, out: Path) -> None:
        for name, unit, value in (("by the clock", "s", took), ("of all cores", "s", worked),
                                  ("memory, peak", "MB", memory), ("the folder", "MB", _size(out))):  # fmt: skip
            table.note(name, unit, who, value)

    with tempfile.TemporaryDirectory(dir=DATA.parent) as folder:
        out = Path(folder) / "out"
        numbers = [args.bits, args.level]
        flags = ["--var-quantization", args.bits, "--obs-continuous-quantization", args.bits] if args.bits else []
        flags += ["--compression", args.level] if args.level else []
        ours = [sys.executable, "-c", "from coverslip.cli.main import main; main()", "prepare", path, out, *flags]
        for _ in range(args.rounds):
            if not args.no_peers:
                _, _, memory, said = run([environment(PEER), "-c", THEIRS, path, out, *numbers], out)
                told = json.loads(said.strip().splitlines()[-1])
                note(peer, told["took"], told["worked"], memory, out)
            took, worked, memory, _ = run(ours, out)
            note(OURS, took, worked, memory, out)
    publish("prepare", [table], {}, args)


def _size(folder: Path) -> float:
    return sum(f.stat().st_size for f in folder.rglob("*") if f.is_file()) / 1e6


if __name__ == "__main__":
    main()
