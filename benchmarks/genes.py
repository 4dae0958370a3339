"""Genes of a CSR matrix: coverslip and cellucid 0.0.9 in one run, on the same files.

The files (500,000 cells × 2,000 genes, a tenth of the values not zero; as they are and
gzip-compressed) are made once under ``.cache/data/genes``; ``--cells 100000`` takes smaller ones. Servers take turns
gene by gene, so that what else the machine does hits both; clients share it. Each round starts them anew.
"""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from measuring import DATA
from measuring.results import OURS, Table, arguments, given, publish
from surroundings import PEER, free_port, peer_command

GENES, SHARE = 2000, 10
PATIENCE_S = 300
IDLE_SOCKETS, CLIENTS, CACHED_S = 100, 8, 3.0
NAMES = ("uns", "layers", "varm", "obsp", "varp")


def data(n_cells: int, compressed: bool) -> Path:
    """A CSR matrix as AnnData writes it; made once."""
    path = DATA / "genes" / f"genes_{n_cells // 1000}k{'_gzip' if compressed else ''}.h5ad"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(".part")
        with h5py.File(part, "w") as file:
            _write(file, n_cells, {"compression": "gzip", "compression_opts": 4} if compressed else {})
        part.replace(path)
    return path


def _marked(node: Any, kind: str, version: str, **attrs: Any) -> Any:
    node.attrs.update({"encoding-type": kind, "encoding-version": version, **attrs})
    return node


def _write(file: h5py.File, n_cells: int, filters: dict[str, Any]) -> None:
    rng = np.random.default_rng(0)
    per = GENES // SHARE
    matrix = _marked(file.create_group("X"), "csr_matrix", "0.1.0", shape=np.array([n_cells, GENES]))
    values = matrix.create_dataset("data", (n_cells * per,), np.float32, **filters)
    indices = matrix.create_dataset("indices", (n_cells * per,), np.int32, **filters)
    matrix["indptr"] = np.arange(0, n_cells * per + 1, per, dtype=np.int32)
    for a in range(0, n_cells, 10_000):
        b = min(a + 10_000, n_cells)
        chosen = np.argpartition(rng.random((b - a, GENES), dtype=np.float32), per, axis=1)[:, :per]
        indices[a * per : b * per] = np.sort(chosen, axis=1).reshape(-1)
        values[a * per : b * per] = np.log1p(rng.poisson(2, (b - a) * per) + 1).astype(np.float32)
    text = h5py.string_dtype()
    for name, count in (("obs", n_cells), ("var", GENES)):
        frame = _marked(file.create_group(name), "dataframe", "0.2.0", _index="_index")
        frame.attrs.create("column-order", np.array([], text), dtype=text)
        index = np.array([f"{name}{i}" for i in range(count)], object)
        _marked(frame.create_dataset("_index", data=index, dtype=text), "string-array", "0.2.0")
    obsm = _marked(file.create_group("obsm"), "dict", "0.1.0")
    points = rng.normal(size=(n_cells, 2)).astype(np.float32)
    _marked(obsm.create_dataset("X_umap", data=points), "array", "0.2.0")
    for name in NAMES:
        _marked(file.create_group(name), "dict", "0.1.0")
    _marked(file, "anndata", "0.1.0")


class Server:
    """One server on one file."""

    def __init__(self, command: list[Any], path: Path, **environment: str) -> None:
        self.port = free_port()
        self.process = subprocess.Popen(
            [*command, "serve", path, "--port", str(self.port), "--no-browser", "--quiet"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env={**os.environ, **environment},
        )  # fmt: skip
        end = time.monotonic() + PATIENCE_S
        while True:
            with suppress(OSError):
                self.get("_cellucid/health")
                return
            if time.monotonic() > end or self.process.poll() is not None:
                raise SystemExit(f"{command} does not answer")
            time.sleep(0.05)

    def get(self, path: str) -> tuple[bytes, float]:
        """A body over a connection of its own (the peer keeps none), and how long it took in seconds."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_S)
        start = time.perf_counter()
        connection.request("GET", f"/{path}", headers={"Accept-Encoding": "identity"})
        response = connection.getresponse()
        body = response.read()
        took = time.perf_counter() - start
        connection.close()
        if response.status != 200:
            raise SystemExit(f"{path}: {response.status} {body[:200]!r}")
        return body, took

    def gene(self, number: int) -> tuple[bytes, float]:
        """One gene in every cell."""
        return self.get(f"var/var{number}.values.f32")

    def peak_mb(self) -> float:
        """The most memory that it ever held, in MB; without processes that it started."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return float(status.split("VmHWM:")[1].split()[0]) / 1000

    def index(self) -> dict[str, Any]:
        """How far the gene index is."""
        found: dict[str, Any] = json.loads(self.get("gene_index.json")[0])
        return found

    def indexed(self) -> float:
        """Wait for the gene index; how long that took."""
        start = time.perf_counter()
        while (told := self.index())["state"] in ("building", "waiting"):
            time.sleep(0.05)
        if told["state"] != "ready":
            raise SystemExit(f"no index: {told}")
        return time.perf_counter() - start

    def stop(self) -> None:
        """End it."""
        self.process.send_signal(signal.SIGINT)
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def ours(path: Path, cache: str, **environment: str) -> Server:
    """coverslip with a cache of its own."""
    command = [sys.executable, "-c", "from coverslip.cli.main import main; main()"]
    return Server(command, path, COVERSLIP_CACHE_DIR=cache, **environment)


def in_turn(mine: Server, theirs: Server, numbers: list[int]) -> tuple[list[float], list[float]]:
    """The same genes from both, which must be equal."""
    took: tuple[list[float], list[float]] = ([], [])
    for number in numbers:
        bodies = []
        for server, times in zip((mine, theirs), took, strict=True):
            body, seconds = server.gene(number)
            bodies.append(body)
            times.append(seconds)
        if bodies[0] != bodies[1]:
            raise SystemExit(f"gene {number} differs")
    return took


def health_beside(server: Server, gene: Callable[[], object]) -> float:
    """95th percentile of ``health``, in seconds, with idle sockets open and a slow gene under way all the time."""

    async def idle() -> list[Any]:
        return [await asyncio.open_connection("127.0.0.1", server.port) for _ in range(IDLE_SOCKETS)]

    loop = asyncio.new_event_loop()
    sockets = loop.run_until_complete(idle())
    over = threading.Event()

    def slow() -> None:
        while not over.is_set():
            gene()

    thread = threading.Thread(target=slow)
    thread.start()
    times = [server.get("_cellucid/health")[1] for _ in range(200)]
    over.set()
    thread.join()
    for _, writer in sockets:
        writer.close()
    loop.close()
    return statistics.quantiles(times, n=20)[18]


CLIENT = """
import http.client, sys, time
connection = http.client.HTTPConnection("127.0.0.1", int(sys.argv[1]))
count, end = 0, time.perf_counter() + float(sys.argv[2])
while time.perf_counter() < end:
    connection.request("GET", "/var/var7.values.f32", headers={"Range": "bytes=0-3999"})
    connection.getresponse().read()
    count += 1
print(count)
"""


def cached_per_s(server: Server) -> float:
    """Answers a second of a gene that is kept ready, 1,000 cells of it each (the server's work, not the copying)."""
    server.gene(7)
    command = [sys.executable, "-c", CLIENT, str(server.port), str(CACHED_S)]
    clients = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(CLIENTS)]
    return sum(int(client.communicate()[0]) for client in clients) / CACHED_S


def measure(path: Path, table: Table, genes: int, n_stored: int) -> None:
    """One file, once."""
    rng = random.Random(0)
    few = max(genes // 10, 5)

    def note(name: str, mine: float, theirs: float | None = None, unit: str = "ms") -> None:
        scale = 1000 if unit == "ms" else 1
        table.note(name, unit, OURS, mine * scale)
        if theirs is not None:
            table.note(name, unit, PEER, theirs * scale)

    with tempfile.TemporaryDirectory() as cache:
        theirs = Server([peer_command()], path)
        scanning = ours(path, cache, COVERSLIP_NO_INDEX="1")
        scanning.gene(0), theirs.gene(0)
        mine, other = in_turn(scanning, theirs, rng.sample(range(10, GENES), few))
        note("a gene before the index, p50", statistics.median(mine), statistics.median(other))
        numbers = iter(rng.sample(range(10, GENES), 1000))
        beside = health_beside(scanning, lambda: scanning.gene(next(numbers)))
        note(f"health beside slow genes and {IDLE_SOCKETS} idle sockets, p95", beside)
        scanning.stop()
        server = ours(path, cache)
        server.index()
        seconds = server.indexed()
        note("index made, with the start of its process", seconds, unit="s")
        note("index made", n_stored / seconds / 1e6, unit="M values/s")
        mine, other = in_turn(server, theirs, rng.sample(range(10, GENES), few))
        mine += [server.gene(number)[1] for number in rng.sample(range(10, GENES), genes)]
        note("a gene with the index, p50", statistics.median(mine), statistics.median(other))
        note(f"server memory through {genes} genes, peak", server.peak_mb(), theirs.peak_mb(), "MB")
        note(f"a gene that is kept ready, {CLIENTS} clients", cached_per_s(server), unit="/s")
        server.stop()
        theirs.stop()


def main() -> None:
    """Both files."""
    parser = arguments(__doc__, rounds=1)
    parser.add_argument("--cells", type=int, default=500_000)
    parser.add_argument("--genes", type=int, default=200, help="how many are asked for")
    parser.add_argument("--only", choices=["plain", "gzip"], help="one of the two files")
    args = given(parser)
    if args.no_peers:
        raise SystemExit("Both are asked for the same genes in turn; leave --no-peers out.")
    cells = 20_000 if args.quick else args.cells
    tables = []
    for label in ("plain", "gzip"):
        if args.only not in (None, label):
            continue
        table = Table(f"{cells:,} cells × {GENES:,} genes, CSR, {label}", [OURS, PEER])
        for _ in range(args.rounds):
            measure(data(cells, label == "gzip"), table, args.genes, cells * GENES // SHARE)
        tables.append(table)
    name, _, number = PEER.partition("==")
    publish("genes", tables, {name: number}, args)


if __name__ == "__main__":
    main()
