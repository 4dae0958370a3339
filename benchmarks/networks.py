"""A neural system of 10 million connections: coverslip, livn 2.0.0 with pyfive, and h5pyd, in one run.

Prints a Markdown table. The system is made once under ``.cache/data``; livn (PyPI) runs in an environment of its own
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

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "scripts"), str(ROOT / "src")]
from surroundings import environment, free_port  # noqa: E402

from coverslip.systems import System  # noqa: E402
from coverslip.testing.networks import write_system  # noqa: E402
from coverslip.testing.recipes import Cells, Kernel, Recipe  # noqa: E402

PEER = "livn==2.0.0"
NEURONS, ROUNDS, REQUESTS = 10_000, 3, 400
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


def data() -> Path:
    """10,000 excitatory cells with 1,000 connections each, and 1,000 inhibitory ones; made once."""
    path = ROOT / ".cache" / "data" / "systems" / "big"
    if not (path / "mea.json").exists():
        cells = {"EXC": Cells(10, NEURONS), "INH": Cells(11, NEURONS // 10, excitatory=False)}
        kernels = {PAIR: Kernel(1000, 400.0), ("INH", "EXC"): Kernel(20), ("EXC", "INH"): Kernel(50)}
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


def row(name: str, mine: list[float], theirs: list[float] | None = None, unit: str = "ms") -> None:
    """One line of the table."""
    scale = 1000 if unit == "ms" else 1
    a = statistics.median(mine) * scale
    cells = [f"{a:,.2f} {unit}", "", ""]
    if theirs:
        b = statistics.median(theirs) * scale
        cells[1:] = [f"{b:,.2f} {unit}", f"{b / a:,.0f} ×" if b / a >= 10 else f"{b / a:.1f} ×"]
    print(f"| {name} | {' | '.join(cells)} |", flush=True)


def main() -> None:
    path = data()
    livn = Livn(path)
    edges = len(System(path, backend="local").projection_matrix(*PAIR).data)
    print(f"{edges:,} connections of one projection, gzip.\n\n| | coverslip | livn (pyfive) | |\n|---|---|---|---|")
    for what, name in (("open", "open, ranges of populations"), ("coordinates", "coordinates of all neurons"),
                       ("projection", "the projection, all in memory"), ("summary", "summary")):  # fmt: skip
        pairs = [(ours(path, what), livn(what)) for _ in range(ROUNDS)]
        row(name, [a for a, _ in pairs], [b for _, b in pairs])
    with tempfile.TemporaryDirectory() as cache:
        server = Server(path, cache)
        first = [server.get("/outputs/5")[1]]
        made = [server.indexed()]
        neurons = [random.randrange(NEURONS) for _ in range(REQUESTS)]
        row("inputs of one neuron, over HTTP", [server.get(f"/inputs/{n}")[1] for n in neurons], [livn("neuron")])
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
    assert livn.process.stdin is not None
    livn.process.stdin.close()
    livn.process.wait()


if __name__ == "__main__":
    main()
