"""Differential expression of two groups of cells: coverslip and scanpy in one run, on the same file.

500,000 cells × 2,000 genes, a tenth of the values not zero (the file of
``benchmarks/genes.py``); ``--cells 100000`` takes a smaller one. Two groups of half of the cells, Wilcoxon's rank sum
with the correction for ties, and Welch's t-test. scanpy reads the file and has it in memory; its time is that of
``rank_genes_groups`` alone, once it is compiled.
"""

from __future__ import annotations

import base64
import http.client
import json
import multiprocessing
import statistics
import tempfile
import threading
import time
import warnings
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from genes import Server, data, ours
from measuring.results import OURS, Table, arguments, given, publish

CELLS, QUICK = 500_000, 20_000
LISTS = ("scores", "pvals", "pvals_adj", "logfoldchanges")
Times = dict[str, float]


def groups(n_cells: int) -> np.ndarray:
    """Which cells are in the first group."""
    return np.random.default_rng(1).random(n_cells) < 0.5


def theirs(path: Path, methods: list[str], out: Any) -> None:
    """What scanpy says, how long it took, and its memory in MB."""
    import anndata
    import pandas as pd
    import scanpy

    warnings.simplefilter("ignore")
    cells = anndata.read_h5ad(path)
    names = np.where(groups(cells.n_obs), "one", "other")
    cells.obs["side"] = pd.Categorical(names)
    few = cells[:200].copy()
    found: dict[str, Any] = {}
    for method in methods:
        how: dict[str, Any] = {"groups": ["one"], "reference": "other", "method": method, "tie_correct": True}
        scanpy.tl.rank_genes_groups(few, "side", **how)  # compiled
        start = time.perf_counter()
        scanpy.tl.rank_genes_groups(cells, "side", **how)
        took = time.perf_counter() - start
        frame = scanpy.get.rank_genes_groups_df(cells, "one").set_index("names")
        found[method] = (took, {name: frame[name].to_dict() for name in LISTS})
    status = Path("/proc/self/status").read_text()
    out.put((found, float(status.split("VmHWM:")[1].split()[0]) / 1000))


def post(server: Server, path: str, body: dict[str, Any]) -> dict[str, Any]:
    """A question's answer."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=300)
    connection.request("POST", f"/{path}", json.dumps(body), {"Content-Type": "application/json"})
    response = connection.getresponse()
    content = response.read()
    if response.status not in (200, 202):
        raise SystemExit(f"{path}: {response.status} {content[:200]!r}")
    found: dict[str, Any] = json.loads(content)
    return found


def asked(server: Server, n_cells: int, method: str) -> tuple[float, dict[str, Any], list[float]]:
    """How long a question took from being sent to its answer being here, that answer, and `health` meanwhile."""
    bits = np.packbits(groups(n_cells), bitorder="little").tobytes()
    body = {"group": {"kind": "cells", "bits": base64.b64encode(bits).decode()}, "method": method, "tie_correct": True}
    health: list[float] = []
    over = threading.Event()

    def look() -> None:
        while not over.wait(0.02):
            health.append(server.get("_cellucid/health")[1])

    watch = threading.Thread(target=look)
    watch.start()
    start = time.perf_counter()
    told = post(server, "analysis/differential", body)
    while told.get("state") == "running":
        time.sleep(0.05)
        told = json.loads(server.get(f"analysis/jobs/{told['job']}")[0])
    if "results" not in told:
        told = json.loads(server.get(told["result"])[0])
    took = time.perf_counter() - start
    over.set()
    watch.join()
    return took, told["results"][0], health


def children_mb(server: Server) -> float:
    """The most memory that one of the server's processes held, of those that are there now."""
    most = 0.0
    with suppress(OSError):
        for thread in Path(f"/proc/{server.process.pid}/task").iterdir():
            for child in (thread / "children").read_text().split():
                status = Path(f"/proc/{child}/status").read_text()
                if "VmHWM:" in status:  # else it has just ended
                    most = max(most, float(status.split("VmHWM:")[1].split()[0]) / 1000)
    return most


def worst(one: dict[str, Any], other: dict[str, Any]) -> float:
    """The largest relative difference of any figure."""
    most = 0.0
    for name in LISTS:
        a = np.array(one[name], float)
        b = np.array([other[name][gene] for gene in one["names"]], float)
        known = np.abs(b) > 1e-300
        most = max(most, float(np.abs((a[known] - b[known]) / b[known]).max(initial=0)))
    return most


def main() -> None:
    """Measure and publish."""
    parser = arguments(__doc__, 1)
    parser.add_argument("--cells", type=int)
    args = given(parser)
    n_cells = args.cells or (QUICK if args.quick else CELLS)
    path = data(n_cells, False)
    methods = ["wilcoxon", "t-test"]
    table = Table(f"{n_cells:,} cells × 2,000 genes × 2 groups", [OURS, *([] if args.no_peers else ["scanpy"])])
    answers: dict[str, dict[str, Any]] = {}
    health: list[float] = []
    with tempfile.TemporaryDirectory() as cache:
        for label in ("no index", "index made first", "indexed"):
            environment = {"COVERSLIP_NO_INDEX": "1"} if label == "no index" else {}
            server = ours(path, cache, **environment)
            peak, over = [0.0], threading.Event()

            def watch(server: Server = server, peak: list[float] = peak, over: threading.Event = over) -> None:
                while not over.wait(0.1):
                    peak[0] = max(peak[0], children_mb(server))

            thread = threading.Thread(target=watch)
            thread.start()
            took: Times = {}
            for method in methods if label == "indexed" else methods[:1]:
                took[method], answers[method], looks = asked(server, n_cells, method)
                health += looks
            over.set()
            thread.join()
            for method, seconds in took.items():
                table.note(f"{method}, {label}", "s", OURS, seconds)
            table.note(f"memory of the server, peak, {label}", "MB", OURS, server.peak_mb())
            table.note(f"memory of its process, peak, {label}", "MB", OURS, peak[0])
            server.stop()
    table.note("health meanwhile, p95", "ms", OURS, statistics.quantiles(health, n=20)[18] * 1000)
    if not args.no_peers:
        context = multiprocessing.get_context("spawn")
        out = context.Queue()
        process = context.Process(target=theirs, args=(path, methods, out))
        process.start()
        found, memory = out.get()
        process.join()
        for method in methods:
            table.note(f"{method}, indexed", "s", "scanpy", found[method][0])
            print(f"{method}: largest relative difference {worst(answers[method], found[method][1]):.1e}")
        table.note("memory of its process, peak, indexed", "MB", "scanpy", memory)
    publish("differential", [table], {} if args.no_peers else {"scanpy": version("scanpy")}, args)


if __name__ == "__main__":
    main()
