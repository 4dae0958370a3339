"""A 1.2 GB OME-Zarr over Arrow Flight, read by biopb's own client, beside zarr-python reading the files in one process.

Time until ready, the whole volume, random 256 x 256 tiles, raw chunks, eight clients that read random planes, a plan of
2,304 chunks, and the server's memory; and Arrow Flight with nothing behind it. What was published of the tensor server
of the seed stands beside it: its server is not on PyPI. The client is installed into an environment of its own under
``.cache/peers``; its cache is off.

``BENCH_TENSOR_SERVER=PYTHON`` measures the tensor server too, in turn with ours: PYTHON is that of an environment into
which its public source and ``biopb[tensor]==0.8.0`` were installed, the client that belongs to it.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

import numpy as np
import psutil
import tensorstore as ts
from measuring import DATA
from measuring.results import OURS, Table, arguments, given, publish
from surroundings import environment, free_port

PEER = "biopb[tensor]==0.13.0"
SHAPE, QUICK_SHAPE, CHUNK = (64, 3072, 3072), (8, 1024, 1024), (1, 512, 512)
PEER_SERVER = "BENCH_TENSOR_SERVER"
START_S = 60
LOCAL, BARE, THEIRS, PUBLISHED = (
    "zarr-python, in process",
    "bare Arrow Flight",
    "tensor server",
    "tensor server, published",
)
WHOLE, AGAIN = "whole volume, first in its process", "whole volume, again"
TILE, PLAN = "random 256² tile, p50", "plan of the volume, as the client sees it"
RAW, PLANES = "raw chunks of 6 MB, one after the other", "random 512² planes, 8 clients"
BEFORE = {WHOLE: "113–148 MB/s", AGAIN: "311–393 MB/s", TILE: "4.8 ms", PLAN: "60–160 ms"}
"""What was published and measured of the tensor server, not in this run."""
CLIENT = """
import json, os, random, statistics, subprocess, sys, threading, time
import numpy as np
from biopb.tensor import TensorFlightClient
from pyarrow import flight

url, what, seed = sys.argv[1:]
client = TensorFlightClient(url, cache_bytes=0)
if not hasattr(client, "get_array"):  # 0.8
    tensors = next(iter(client.list_sources().values())).tensors
    id, shape = tensors[0].array_id, tuple(tensors[0].shape)
    client.get_array = lambda id, box=None: client.get_tensor(id, slice_hint=box).compute()
else:
    row = client.query("SELECT tensors FROM sources", format="records")[0]["tensors"][0]
    id, shape = row["array_id"], tuple(row["shape"])
random.seed(int(seed))
now = time.perf_counter


def box(size):
    z, y, x = (random.randrange(n - s + 1) for n, s in zip(shape, size))
    return tuple(slice(a, a + s) for a, s in zip((z, y, x), size))


def timed(work, times):
    seconds = []
    for _ in range(times):
        start = now()
        work()
        seconds.append(now() - start)
    return statistics.median(seconds)


if what == "whole":
    start = now()
    size = client.get_array(id).nbytes
    print(size / 1e6 / (now() - start))
elif what == "again":
    client.get_array(id)
    print(np.prod(shape) * 2 / 1e6 / timed(lambda: client.get_array(id), 3))
elif what == "tile":
    timed(lambda: client.get_array(id, box((1, 256, 256))), 30)
    print(1000 * timed(lambda: client.get_array(id, box((1, 256, 256))), 300))
elif what == "planes":
    client.get_array(id, box((1, 512, 512)))
    print("ready", flush=True)
    sys.stdin.readline()
    end, count = now() + 4.0, 0
    start = now()
    while now() < end:
        client.get_array(id, box((1, 512, 512)))
        count += 1
    print(count / (now() - start))
elif what == "plan":
    client.get_tensor(id)
    print(1000 * timed(lambda: client.get_tensor(id), 5))
elif what == "raw":
    from biopb.tensor._pool import _chunk_ticket
    from biopb.tensor._session import _parse_flight_endpoints

    info = flight.FlightInfo.deserialize(client.get_tensor(id, output="pb").flight_info)
    keys, _, grant = _parse_flight_endpoints(info)
    raw = flight.FlightClient(url, generic_options=[("grpc.max_receive_message_size", 80 << 20)])
    start, size = now(), 0
    for key in keys:
        size += raw.do_get(flight.Ticket(_chunk_ticket(key, grant))).read_all().nbytes
    print(size / 1e6 / (now() - start))
os._exit(0)
"""
TICKETS = """
import statistics, time, sys
from coverslip.fronts.flight.plans import tickets
from coverslip.fronts.flight.region import Region
shape, chunk = eval(sys.argv[1])
region = Region("volume", bytes(8), (0, 0, 0), shape, (1, 1, 1), "", chunk)
seconds = []
for _ in range(25):
    start = time.perf_counter()
    count = len(list(tickets(region, None)))
    seconds.append(time.perf_counter() - start)
assert count == 2304
print(1000 * statistics.median(seconds))
"""
FLOOR = """
import sys, time
import numpy as np
shape = eval(sys.argv[1])
start = time.perf_counter()
planes = [np.ones((1, *shape[1:]), "u2") for _ in range(shape[0])]
whole = np.concatenate(planes)
print(whole.nbytes / 1e6 / (time.perf_counter() - start))
"""
"""What the client's own memory costs: chunks received and put together, with no server and no file."""

TRANSPORT = """
import statistics, subprocess, sys, time
import pyarrow as pa
from pyarrow import flight

SIZES = {b"chunk": 8 << 20, b"tile": 256 * 256 * 2}


class Server(flight.FlightServerBase):
    batches = {
        key: pa.record_batch([pa.array([bytes(size)], pa.large_binary())], ["data"]) for key, size in SIZES.items()
    }

    def do_get(self, context, ticket):
        batch = self.batches[ticket.ticket]
        return flight.RecordBatchStream(pa.RecordBatchReader.from_batches(batch.schema, [batch]))

    def get_flight_info(self, context, descriptor):
        end = flight.FlightEndpoint(flight.Ticket(b"tile"), [])
        return flight.FlightInfo(self.batches[b"tile"].schema, descriptor, [end], 1, SIZES[b"tile"])


if sys.argv[1] == "serve":
    server = Server("grpc://127.0.0.1:0")
    print(server.port, flush=True)
    server.serve()
process = subprocess.Popen([sys.executable, "-c", sys.argv[2], "serve"], stdout=subprocess.PIPE, text=True)
client = flight.FlightClient(f"grpc://127.0.0.1:{process.stdout.readline().strip()}")
tile, seconds = flight.FlightDescriptor.for_command(b"tile"), []
for _ in range(330):
    start = time.perf_counter()
    client.do_get(client.get_flight_info(tile).endpoints[0].ticket).read_all()
    seconds.append(time.perf_counter() - start)
start = time.perf_counter()
for _ in range(144):
    client.do_get(flight.Ticket(b"chunk")).read_all()
raw = 144 * SIZES[b"chunk"] / 1e6 / (time.perf_counter() - start)
process.kill()
print(1000 * statistics.median(seconds[30:]) if sys.argv[1] == "tile" else raw)
"""
"""Arrow Flight with nothing behind it: the same bytes from memory again and again, by pyarrow itself."""


def data(shape: tuple[int, ...]) -> Path:
    """Noise of a camera over smooth structure, as OME-Zarr 0.4 of LZ4 chunks; made once."""
    path = DATA / f"flight-v2{'' if shape == SHAPE else '-quick'}.zarr"
    if (path / "done").exists():
        return path
    blosc = {"id": "blosc", "cname": "lz4", "clevel": 5, "shuffle": 1, "blocksize": 0}
    metadata = {"shape": shape, "dtype": "<u2", "chunks": CHUNK, "compressor": blosc, "dimension_separator": "/"}
    spec = {"driver": "zarr", "kvstore": f"file://{path}/0/", "metadata": metadata}
    store = ts.open({**spec, "create": True, "delete_existing": True}).result()
    rows, columns = np.mgrid[: shape[1], : shape[2]]
    noise = np.random.default_rng(0).poisson(100, shape[1:]).astype(np.uint16)
    for z in range(shape[0]):
        smooth = (800 * (1 + np.sin(rows / (50 + z)) * np.cos(columns / 50))).astype(np.uint16)
        store[z].write(smooth + np.roll(noise, z * 37, 0)).result()
    axes = [{"name": n, "type": "space", "unit": "micrometer"} for n in "zyx"]
    steps = [{"type": "scale", "scale": [1, 0.5, 0.5]}]
    ome = [{"version": "0.4", "axes": axes, "datasets": [{"path": "0", "coordinateTransformations": steps}]}]
    (path / ".zgroup").write_text('{"zarr_format": 2}')
    (path / ".zattrs").write_text(json.dumps({"multiscales": ome}))
    (path / "done").touch()
    return path


class Memory:
    """The most memory that a process held."""

    def __init__(self, pid: int) -> None:
        self._process = psutil.Process(pid)
        self.most = 0.0
        threading.Thread(target=self._watch, daemon=True).start()

    @property
    def seconds(self) -> float:
        """Of all cores, used until now."""
        used = self._process.cpu_times()
        return used.user + used.system

    @property
    def now(self) -> float:
        """MB held now, memory that it shares with its files left out."""
        held = self._process.memory_info()
        return (held.rss - held.shared) / 1e6

    def _watch(self) -> None:
        try:
            while True:
                self.most = max(self.most, self.now)
                time.sleep(0.05)
        except psutil.NoSuchProcess:
            return


def ours(path: Path, port: int) -> list[str]:
    """Our command, as a user starts it."""
    command = str(Path(sys.executable).parent / "coverslip")
    return [command, "serve", str(path), "--port", "0", "--flight", str(port), "--no-browser"]


def theirs(path: Path, port: int) -> list[str]:
    """The tensor server of the environment that was named."""
    config = DATA / "tensor-server.toml"
    config.write_text(f'[server]\nhost = "127.0.0.1"\nport = {port}\n[[sources]]\nurl = "{path}"\ntype = "ome-zarr"\n')
    command = str(Path(os.environ[PEER_SERVER]).parent / "biopb-tensor-server")
    return [command, "serve", "--config", str(config)]


@contextmanager
def serving(command: list[str], port: int) -> Iterator[tuple[str, Memory, float]]:
    """A server, ready; stopped whatever happens."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as kept:
        folders = {f"COVERSLIP_{name}_DIR": f"{kept}/{name}" for name in ("CACHE", "STATE")} | {"TMPDIR": kept}
        start = time.perf_counter()
        quiet = subprocess.DEVNULL
        process = subprocess.Popen(command, stdout=quiet, stderr=quiet, env={**os.environ, **folders})
        try:
            wait_for_port(port, process)
            yield f"grpc://127.0.0.1:{port}", Memory(process.pid), time.perf_counter() - start
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()


def wait_for_port(port: int, process: subprocess.Popen[bytes]) -> None:
    """Wait until Flight listens."""
    import socket

    end = time.monotonic() + START_S
    while process.poll() is None and time.monotonic() < end:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.005)
    raise SystemExit("The server did not start")


def figure(*command: str | Path) -> float:
    """What a program prints."""
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr[-2000:])
    return float(done.stdout.split()[-1])


BY_ZARR = """
import json, random, statistics, sys, time
import zarr

array, what = zarr.open_array(sys.argv[1], mode="r"), sys.argv[2]
random.seed(1)


def rate():
    start = time.perf_counter()
    return array[:].nbytes / 1e6 / (time.perf_counter() - start)


def tile():
    z, y, x = (random.randrange(n - s + 1) for n, s in zip(array.shape, (1, 256, 256)))
    start = time.perf_counter()
    array[z, y : y + 256, x : x + 256]
    return 1000 * (time.perf_counter() - start)


if what == "whole":
    print(rate())
elif what == "again":
    rate()
    print(statistics.median([rate() for _ in range(3)]))
else:
    print(statistics.median([tile() for _ in range(200)]))
"""
"""zarr-python, as the client: each figure in a process of its own."""


def eight(command: list[str]) -> float:
    """Planes a second of eight clients together, all of them ready before the first one asks."""
    clients = [
        subprocess.Popen([*command, str(n)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for n in range(8)
    ]
    for client in clients:
        assert client.stdout is not None
        if client.stdout.readline().strip() != "ready":
            raise SystemExit("A client failed")
    for client in clients:
        assert client.stdin is not None
        client.stdin.write("\n")
        client.stdin.flush()
    return sum(float(client.communicate()[0]) for client in clients)


def measure(table: Table, column: str, command: list[str], port: int, python: Path) -> None:
    """One server, everything once."""
    with serving(command, port) as (url, memory, ready):

        def client(what: str) -> float:
            return figure(python, "-c", CLIENT, url, what, "1")

        table.note("ready", "s", column, ready)
        time.sleep(3.0)
        table.note("memory, idle", "MB", column, memory.now)
        before = memory.seconds
        table.note(WHOLE, "MB/s", column, client("whole"))
        table.note("processor time of the server for it", "s", column, memory.seconds - before)
        table.note(AGAIN, "MB/s", column, client("again"))
        before = memory.seconds
        table.note(TILE, "ms", column, client("tile"))
        table.note("processor time of the server for one", "ms", column, 1000 * (memory.seconds - before) / 330)
        table.note(PLAN, "ms", column, client("plan"))
        if column == OURS:
            table.note(RAW, "MB/s", column, client("raw"))
        table.note(PLANES, "/s", column, eight([str(python), "-c", CLIENT, url, "planes"]))
        table.note("memory, most", "MB", column, memory.most)


def measured(args: Namespace) -> Table:
    """Both servers and the files by themselves in turn, several times."""
    shape = QUICK_SHAPE if args.quick else SHAPE
    path, python = data(shape), environment(PEER)
    peer = os.environ.get(PEER_SERVER)
    table = Table("1.2 GB OME-Zarr", [OURS, LOCAL, BARE, *([THEIRS] if peer else []), PUBLISHED])
    for _ in range(args.rounds):
        port = free_port()
        measure(table, OURS, ours(path, port), port, python)
        if peer:
            port = free_port()
            measure(table, THEIRS, theirs(path, port), port, Path(peer))
        for name, unit, what in ((WHOLE, "MB/s", "whole"), (AGAIN, "MB/s", "again"), (TILE, "ms", "tile")):
            table.note(name, unit, LOCAL, figure(sys.executable, "-c", BY_ZARR, path / "0", what))
        floor = figure(python, "-c", FLOOR, repr(shape))
        table.note("a client's own memory for it, no server, no file", "MB/s", LOCAL, floor)
        for name, unit, what in ((RAW, "MB/s", "raw"), (TILE, "ms", "tile")):
            table.note(name, unit, BARE, figure(python, "-c", TRANSPORT, what, TRANSPORT))
        if shape == SHAPE:
            made = figure(sys.executable, "-c", TICKETS, repr((SHAPE, CHUNK)))
            table.note("2,304 tickets made", "ms", OURS, made)
    for name, words in BEFORE.items():
        table.say(name, PUBLISHED, words)
    return table


def main() -> None:
    """One table."""
    args = given(arguments(__doc__))
    if args.no_peers:
        raise SystemExit("This is measured with the peer's own client only; leave --no-peers out.")
    versions = {"biopb": PEER.partition("==")[2], "zarr": version("zarr"), "pyarrow": version("pyarrow")}
    publish("flight", [measured(args)], versions, args)


if __name__ == "__main__":
    main()
