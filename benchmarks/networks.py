"""A neural system of 10 million connections: coverslip, livn 2.0.0 with pyfive, and h5pyd, in one run.

The system is made once under ``.cache/data``; livn (PyPI) runs in an environment of its own
under ``.cache/peers``. Every figure is the median of several; what is compared takes turns, so that what else the
machine does hits both. Clients and servers share the machine.
"""

from __future__ import annotations

import http.client
import json
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import h5pyd
from measuring import DATA
from measuring.results import OURS, Table, arguments, given, publish
from surroundings import environment, free_port

from coverslip.systems import System
from coverslip.testing.networks import write_system
from coverslip.testing.recipes import Cells, Kernel, Recipe

PEER = "livn==2.0.0"
NEURONS, QUICK, ROUNDS, REQUESTS = 10_000, 500, 3, 400
PAIR = ("EXC", "EXC")

LIVN = """
import json, sys, time, warnings
warnings.simplefilter("ignore")
from livn.system import System
for line in sys.stdin:
    start = time.perf_counter()
    system = System(sys.argv[1])
    {"open": lambda: system.population_ranges, "coordinates": lambda: system.neuron_coordinates,
     "projection": lambda: system.projection_array("EXC", "EXC"),
     "neuron": lambda: next(edges for gid, edges in system.projections("EXC", "EXC") if gid == 77),
     "summary": lambda: system.summary()}[line.strip()]()
    print(json.dumps(time.perf_counter() - start), flush=True)
"""


def data(neurons: int = NEURONS) -> Path:
    """10,000 excitatory cells with 1,000 connections each, and 1,000 inhibitory ones; made once."""
    path = DATA / "systems" / "big" if neurons == NEURONS else DATA / "systems" / f"of_{neurons}" / "big"
    if not (path / "mea.json").exists():
        cells = {"EXC": Cells(10, neurons), "INH": Cells(11, neurons // 10, excitatory=False)}
        kernels = {PAIR: Kernel(neurons // 10, 400.0), ("INH", "EXC"): Kernel(20), ("EXC", "INH"): Kernel(50)}
        recipe = Recipe(cells, kernels, ((0.0, 0.0), (2000.0, 2000.0)))
        write_system(path, recipe, compression="gzip", synapses=False)
    return path


def seconds(work: Callable[[], object]) -> float:
    """How long something takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


class Livn:
    """livn in a process of its own that opens the system anew for every question."""

    def __init__(self, path: Path) -> None:
        self.process = subprocess.Popen(
            [environment(PEER), "-c", LIVN, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def __call__(self, what: str) -> float:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{what}\n")
        self.process.stdin.flush()
        return float(self.process.stdout.readline())


def ours(path: Path, what: str) -> float:
    """The same questions to coverslip, as values that can be used at once."""

    def work() -> object:
        with System(path, backend="local") as system:
            return {
                "open": lambda: system.population_ranges,
                "coordinates": lambda: system.neuron_coordinates,
                "projection": lambda: system.projection_matrix(*PAIR, "Connections/distance"),
                "summary": system.summary,
            }[what]()

    return seconds(work)


class Server:
    """``coverslip serve`` with an empty cache."""

    def __init__(self, path: Path, cache: str) -> None:
        self.port = free_port()
        code = "from coverslip.cli.main import main; main()"
        self.process = subprocess.Popen(
            [sys.executable, "-c", code, "serve", path, "--port", str(self.port), "--no-browser", "--quiet"],
            stdout=subprocess.PIPE, env={**os.environ, "COVERSLIP_CACHE_DIR": cache},
        )  # fmt: skip
        assert self.process.stdout is not None
        self.process.stdout.readline()
        self.connection = http.client.HTTPConnection("127.0.0.1", self.port)

    def get(self, path: str) -> tuple[bytes, float]:
        """A body, and how long it took."""
        start = time.perf_counter()
        self.connection.request("GET", f"/api/networks/big{path}", headers={"Accept-Encoding": "identity"})
        response = self.connection.getresponse()
        body = response.read()
        assert response.status == 200, body[:200]
        return body, time.perf_counter() - start

    def indexed(self) -> float:
        """Wait for the indexes; how long that took."""
        start = time.perf_counter()
        while not all(p["indexed"] for p in json.loads(self.get("")[0])["projections"]):
            time.sleep(0.05)
        return time.perf_counter() - start

    def stop(self) -> None:
        self.process.send_signal(signal.SIGINT)
        self.process.wait()


def neuron_by_h5pyd(file: h5pyd.File, cell: int) -> object:
    """The inputs of one cell as a client reads them with h5pyd: two reads, three with the distances."""
    group = file["Projections/EXC/EXC"]
    start, stop = (int(v) for v in group["Edges/Destination Pointer"][cell : cell + 2])
    return group["Edges/Source Index"][start:stop], group["Connections/distance"][start:stop]


class Rows:
    """The table; what was measured in seconds."""

    def __init__(self, edges: int, peer: str | None) -> None:
        self.peer = peer
        self.table = Table(f"{edges:,} connections, gzip", [OURS, *([peer] if peer else [])])

    def __call__(self, name: str, mine: list[float], theirs: list[float] | None = None) -> None:
        """One line: milliseconds; the median where there are many."""
        for column, values in ((OURS, mine), (self.peer, theirs)):
            if column and values:
                kept = values if len(values) <= 10 else [statistics.median(values)]
                self.table.note(name, "ms", column, *(1000 * value for value in kept))


def main() -> None:
    """Measure and publish."""
    args = given(arguments(__doc__, ROUNDS))
    count = QUICK if args.quick else NEURONS
    path = data(count)
    livn = None if args.no_peers else Livn(path)
    row = Rows(len(System(path, backend="local").projection_matrix(*PAIR).data), livn and PEER.replace("==", " "))
    for what, name in (("open", "open, ranges of populations"), ("coordinates", "coordinates of all neurons"),
                       ("projection", "the projection, all in memory"), ("summary", "summary")):  # fmt: skip
        pairs = [(ours(path, what), livn(what) if livn else 0.0) for _ in range(args.rounds)]
        row(name, [a for a, _ in pairs], [b for _, b in pairs])
    with tempfile.TemporaryDirectory() as cache:
        server = Server(path, cache)
        first = [server.get("/outputs/5")[1]]
        made = [server.indexed()]
        neurons = [random.randrange(count) for _ in range(REQUESTS)]
        row(
            "inputs of one neuron, over HTTP",
            [server.get(f"/inputs/{n}")[1] for n in neurons],
            [livn("neuron") for _ in range(args.rounds)] if livn else None,
        )
        for name, ask in (("outputs of one neuron", "/outputs/{}"),
                          ("inputs with distances", "/inputs/{}?attributes=Connections/distance"),
                          ("outputs with distances", "/outputs/{}?attributes=Connections/distance")):  # fmt: skip
            row(f"{name}, over HTTP", [server.get(ask.format(n))[1] for n in neurons])
        row(
            "neurons in a box, over HTTP",
            [server.get(f"/box?low={n % 1500},0,0&high=1900,{n % 900},9")[1] for n in neurons],
        )
        row("degrees of all neurons", [server.get(f"/degrees?v={n}")[1] for n in neurons[:50]])
        row("200,000 connections to draw, first time", [server.get("/edges")[1]])
        row("probability by distance, first time", [server.get("/distances")[1]])
        row("outputs before there is an index", first)
        row("the indexes, in the background", made)
        with h5pyd.File("/connections.h5", "r", endpoint=f"http://127.0.0.1:{server.port}/hsds") as file:
            neuron_by_h5pyd(file, 1)
            times = [seconds(lambda n=n: neuron_by_h5pyd(file, n)) for n in neurons[:100]]
            row("inputs with distances, by h5pyd", times)
        server.stop()
    if livn:
        assert livn.process.stdin is not None
        livn.process.stdin.close()
        livn.process.wait()
    publish("networks", [row.table], {}, args)


if __name__ == "__main__":
    main()
