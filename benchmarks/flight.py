"""A 1.2 GB OME-Zarr over Arrow Flight, read by biopb's own client, beside zarr-python reading the files in one process.

Prints a Markdown table: time until ready, the whole volume, random 256 x 256 tiles, raw chunks, eight clients that read
random planes, a plan of 2,304 chunks, and the server's memory; and Arrow Flight with nothing behind it. Figures of the
tensor server of the seed are those that were published and measured before, on another run, and are named so: its
server is not on PyPI. The client is installed into an environment of its own under ``.cache/peers``; its cache is off.

``BENCH_TENSOR_SERVER=PYTHON`` measures the tensor server too, in turn with ours: PYTHON is that of an environment into
which its public source and ``biopb[tensor]==0.8.0`` were installed, the client that belongs to it.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import psutil
import tensorstore as ts
import zarr

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "scripts"))
from surroundings import environment, free_port  # noqa: E402

PEER = "biopb[tensor]==0.13.0"
SHAPE, CHUNK = (64, 3072, 3072), (1, 512, 512)
ROUNDS = 3
PEER_SERVER = "BENCH_TENSOR_SERVER"
START_S = 60
BEFORE = {
    "whole volume, first time [MB/s]": "113-148",
    "whole volume, again [MB/s]": "311-393",
    "tile 256 x 256, p50 [ms]": "4.8",
    "plan of the volume, as the client sees it [ms]": "60-160",
}
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
elif what == "tile":
    timed(lambda: client.get_array(id, box((1, 256, 256))), 30)
    print(1000 * timed(lambda: client.get_array(id, box((1, 256, 256))), 300))
elif what == "planes":
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
PLAN = """
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


def data() -> Path:
    """Noise of a camera over smooth structure, as OME-Zarr 0.4 of LZ4 chunks; made once."""
    path = ROOT / ".cache" / "data" / "flight-v2.zarr"
    if (path / "done").exists():
        return path
    blosc = {"id": "blosc", "cname": "lz4", "clevel": 5, "shuffle": 1, "blocksize": 0}
    metadata = {"shape": SHAPE, "dtype": "<u2", "chunks": CHUNK, "compressor": blosc, "dimension_separator": "/"}
    spec = {"driver": "zarr", "kvstore": f"file://{path}/0/", "metadata": metadata}
    store = ts.open({**spec, "create": True, "delete_existing": True}).result()
    rows, columns = np.mgrid[: SHAPE[1], : SHAPE[2]]
    noise = np.random.default_rng(0).poisson(100, SHAPE[1:]).astype(np.uint16)
    for z in range(SHAPE[0]):
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
    config = ROOT / ".cache" / "data" / "tensor-server.toml"
    config.write_text(f'[server]\nhost = "127.0.0.1"\nport = {port}\n[[sources]]\nurl = "{path}"\ntype = "ome-zarr"\n')
    command = str(Path(os.environ[PEER_SERVER]).parent / "biopb-tensor-server")
    return [command, "serve", "--config", str(config)]


@contextmanager
def serving(command: list[str], port: int, figures: dict[str, list[float]]) -> Iterator[tuple[str, Memory]]:
    """A server, ready; stopped whatever happens."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as kept:
        folders = {f"COVERSLIP_{name}_DIR": f"{kept}/{name}" for name in ("CACHE", "STATE")} | {"TMPDIR": kept}
        start = time.perf_counter()
        quiet = subprocess.DEVNULL
        process = subprocess.Popen(command, stdout=quiet, stderr=quiet, env={**os.environ, **folders})
        try:
            wait_for_port(port, process)
            figures.setdefault("ready [s]", []).append(time.perf_counter() - start)
            yield f"grpc://127.0.0.1:{port}", Memory(process.pid)
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


def local_volume(path: Path) -> float:
    """MB/s of zarr-python in this process."""
    start = time.perf_counter()
    size = zarr.open_array(path / "0", mode="r")[:].nbytes
    return float(size / 1e6 / (time.perf_counter() - start))


def local_tile(path: Path) -> float:
    """ms of a random tile by zarr-python in this process, p50."""
    array = zarr.open_array(path / "0", mode="r")
    random = np.random.default_rng(1)
    seconds = []
    for _ in range(200):
        z, y, x = (int(random.integers(0, n - s + 1)) for n, s in zip(SHAPE, (1, 256, 256), strict=True))
        start = time.perf_counter()
        array[z, y : y + 256, x : x + 256]
        seconds.append(time.perf_counter() - start)
    return 1000 * statistics.median(seconds)


def eight(client: Callable[[str, int], float]) -> float:
    """Planes a second of eight clients together."""
    found: list[float] = []
    threads = [threading.Thread(target=lambda n=n: found.append(client("planes", n))) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(found)


def measure(command: list[str], port: int, python: str | Path, figures: dict[str, list[float]], raw: bool) -> None:
    """One server, everything once."""
    with serving(command, port, figures) as (url, memory):

        def note(name: str, value: float) -> None:
            figures.setdefault(name, []).append(value)

        def client(what: str, seed: int = 1) -> float:
            return figure(python, "-c", CLIENT, url, what, str(seed))

        time.sleep(3.0)
        note("memory, idle [MB]", memory.now)
        before = memory.seconds
        note("whole volume, first time [MB/s]", client("whole"))
        note("CPU of the server for it [s]", memory.seconds - before)
        note("whole volume, again [MB/s]", client("whole"))
        before = memory.seconds
        note("tile 256 x 256, p50 [ms]", client("tile"))
        note("CPU of the server for one [ms]", 1000 * (memory.seconds - before) / 330)
        note("plan of the volume, as the client sees it [ms]", client("plan"))
        if raw:
            note("raw chunks of 8 MB [MB/s]", client("raw"))
        note("planes 512 x 512, 8 clients [1/s]", eight(client))
        note("memory, most [MB]", memory.most)


def main() -> None:
    """Both servers and the files by themselves in turn, several times."""
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    path, python = data(), environment(PEER)
    columns: dict[str, dict[str, list[float]]] = {"coverslip": {}}
    if PEER_SERVER in os.environ:
        columns["tensor server"] = {}
    columns["zarr-python, in process"] = local = {}
    columns["bare Arrow Flight"] = bare = {}
    for _ in range(ROUNDS):
        port = free_port()
        measure(ours(path, port), port, python, columns["coverslip"], raw=True)
        if PEER_SERVER in os.environ:
            port = free_port()
            measure(theirs(path, port), port, os.environ[PEER_SERVER], columns["tensor server"], raw=False)
        for name, value in (
            ("whole volume, again [MB/s]", local_volume(path)),
            ("tile 256 x 256, p50 [ms]", local_tile(path)),
            ("client's own memory, no server [MB/s]", figure(python, "-c", FLOOR, repr(SHAPE))),
        ):
            local.setdefault(name, []).append(value)
        for name, what in (("raw chunks of 8 MB [MB/s]", "raw"), ("tile 256 x 256, p50 [ms]", "tile")):
            bare.setdefault(name, []).append(figure(python, "-c", TRANSPORT, what, TRANSPORT))
        plan = figure(sys.executable, "-c", PLAN, repr((SHAPE, CHUNK)))
        columns["coverslip"].setdefault("2,304 tickets made [ms]", []).append(plan)
    print(f"| medians of {ROUNDS}, load {os.getloadavg()[0]:.1f} | {' | '.join(columns)} | tensor server, before |")
    print("|---" * (len(columns) + 2) + "|")
    for name in dict.fromkeys(name for figures in columns.values() for name in figures):
        cells = [f"{statistics.median(f[name]):,.1f}" if name in f else "" for f in columns.values()]
        print(f"| {name} | {' | '.join(cells)} | {BEFORE.get(name, '')} |")


if __name__ == "__main__":
    main()
