"""Tiles and slices of a 0.5 GB OME-Zarr over HTTP, served by coverslip and by Tiled in one run.

Prints a Markdown table: random 256 x 256 tiles by one client and by eight, each asked for once and then the same few
again, the whole array, health while a slice of 400 MB is sent. Every figure is taken of one server and at once of the
other, so that what else the machine does hits both. Tiled (PyPI) is installed into an environment of its own under
``.cache/peers``.
"""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import itertools
import json
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from argparse import Namespace
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import psutil
import tensorstore as ts
from measuring import DATA
from measuring.results import OURS, Table, arguments, given, publish
from surroundings import environment, free_port

PEER = "tiled[server]==0.2.20"
SHAPE, QUICK_SHAPE = (4, 16, 2048, 2048), (4, 1, 1024, 1024)
CHUNK, TILE = (1, 1, 512, 512), 256
TILE_S, QUICK_S, ROUNDS, CLIENTS = 3.0, 0.3, 5, 8
SENT = 3
"""Channels of the slice that is sent while health is asked for: 3 of 4, 403 MB."""
WARM = 200
"""Tiles that are asked for again and again, 26 MB: both servers keep more."""
START_S = 120
PEER_SETTINGS = {"TILED_RESPONSE_BYTESIZE_LIMIT": str(1 << 30)}
"""Its own cap, 300 MB, would refuse the whole array."""


def data(compressed: bool, shape: tuple[int, ...] = SHAPE) -> Path:
    """Noise of a camera over smooth structure, 12 bit, as OME-Zarr; made once."""
    size = "" if shape == SHAPE else "-quick"
    path = DATA / f"camera{'' if compressed else '-plain'}{size}.zarr"
    if (path / "done").exists():
        return path
    codecs = [{"name": "bytes", "configuration": {"endian": "little"}}]
    if compressed:
        codecs.append({"name": "zstd", "configuration": {"level": 1, "checksum": False}})
    store = ts.open(
        {
            "driver": "zarr3",
            "kvstore": f"file://{path}/0/",
            "metadata": {
                "shape": shape,
                "data_type": "uint16",
                "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": CHUNK}},
                "codecs": codecs,
            },
            "create": True,
            "delete_existing": True,
        }
    ).result()
    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[: shape[2], : shape[3]]
    for c, z in np.ndindex(*shape[:2]):
        smooth = 800 * (1 + np.sin(rows / (40 + c)) * np.cos(columns / (50 + z)))
        store[c, z].write(rng.poisson(smooth + 100).astype(np.uint16)).result()
    axes = [{"name": "c", "type": "channel"}] + [{"name": n, "type": "space", "unit": "micrometer"} for n in "zyx"]
    steps = [{"type": "scale", "scale": [1, 1, 0.5, 0.5]}]
    multiscales = [{"axes": axes, "datasets": [{"path": "0", "coordinateTransformations": steps}]}]
    group = {
        "zarr_format": 3,
        "node_type": "group",
        "attributes": {"ome": {"version": "0.5", "multiscales": multiscales}},
    }
    (path / "zarr.json").write_text(json.dumps(group))
    (path / "done").touch()
    return path


@dataclass
class Served:
    """A server under measurement."""

    name: str
    port: int
    tile: str
    whole: str
    part: str
    health: str
    shape: tuple[int, ...]
    seconds: float
    table: Table
    process: subprocess.Popen[bytes] = field(init=False)

    def note(self, what: str, unit: str, value: float) -> None:
        """Keep a measurement."""
        self.table.note(what, unit, self.name, value)

    def paths(self) -> list[str]:
        """Every tile of the whole array, in random order: more than any cache of answers holds."""
        edge = self.shape[-1] // TILE
        tiles = list(np.ndindex(*self.shape[:2], edge, edge))
        random.Random(1).shuffle(tiles)
        return [
            self.tile.format(c=c, z=z, row=r, col=q, y=r * TILE, x=q * TILE, y1=(r + 1) * TILE, x1=(q + 1) * TILE)
            for c, z, r, q in tiles
        ]


async def get(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, path: str) -> int:
    """One answer over a kept connection; its size."""
    writer.write(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: application/octet-stream\r\n\r\n".encode())
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    assert b" 200 " in head.split(b"\r\n")[0], head
    if b"content-length:" in head:
        at = head.index(b"content-length:") + 15
        left = size = int(head[at : head.index(b"\r\n", at)])
        while left:
            left -= len(await reader.read(min(left, 1 << 20)))
        return size
    size = 0
    while True:  # chunked
        step = int((await reader.readuntil(b"\r\n")).strip(), 16)
        size += step
        await reader.readexactly(step + 2)
        if not step:
            return size


async def client(port: int, paths: Iterable[str], seconds: list[float]) -> None:
    """Ask for paths one after the other."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 22)
    for path in paths:
        start = time.perf_counter()
        await get(reader, writer, path)
        seconds.append(time.perf_counter() - start)
    writer.close()


def until(end: float, paths: Iterable[str]) -> Iterator[str]:
    """Paths, again and again, for some time."""
    return itertools.takewhile(lambda _: time.perf_counter() < end, itertools.cycle(paths))


async def many(served: Served, paths: list[str], clients: int) -> tuple[list[float], float]:
    """Seconds of every request of some seconds, and answers in a second."""
    seconds: list[float] = []
    start = time.perf_counter()
    end = start + served.seconds
    await asyncio.gather(*(client(served.port, until(end, paths[i::clients]), seconds) for i in range(clients)))
    return seconds, len(seconds) / (time.perf_counter() - start)


async def busy(served: Served) -> list[float]:
    """Seconds of health checks while a large slice is sent, twice."""
    big = asyncio.create_task(client(served.port, [served.part] * 2, []))
    seconds: list[float] = []
    reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
    while not big.done():
        start = time.perf_counter()
        await get(reader, writer, served.health)
        seconds.append(time.perf_counter() - start)
        await asyncio.sleep(0.01)
    writer.close()
    await big
    return seconds


def one_client(served: Served) -> None:
    """Tiles one after the other."""
    seconds, _ = asyncio.run(many(served, served.paths(), 1))
    served.note("tile, 1 client, each once, p50", "ms", statistics.median(seconds) * 1000)


def many_clients(served: Served) -> None:
    """Tiles for several clients at once."""
    _, rate = asyncio.run(many(served, served.paths(), CLIENTS))
    served.note(f"tiles, {CLIENTS} clients, each once", "/s", rate)


def again(served: Served) -> None:
    """Tiles for several clients at once that somebody has asked for before: what a viewer that pans about sees."""
    warm = served.paths()[:WARM]
    asyncio.run(client(served.port, warm, []))
    _, rate = asyncio.run(many(served, warm, CLIENTS))
    served.note(f"tiles, {CLIENTS} clients, {WARM} asked for again (warm)", "/s", rate)


def whole(served: Served) -> None:
    """All of it in one answer, by a client that costs next to nothing: it shares the cores with the server."""
    size, buffer = int(np.prod(served.shape)) * 2, memoryview(bytearray(4 << 20))
    start = time.perf_counter()
    connection = http.client.HTTPConnection("127.0.0.1", served.port)
    connection.request("GET", served.whole, headers={"Accept": "application/octet-stream"})
    answer, got = connection.getresponse(), 0
    while step := answer.readinto(buffer):
        got += step
    assert got == size, (answer.status, got)
    served.note("whole array", "MB/s", size / 1e6 / (time.perf_counter() - start))
    connection.close()


def health(served: Served) -> None:
    """Whether others wait while much is sent."""
    checks = sorted(asyncio.run(busy(served)))
    sent = SENT * np.prod(served.shape[1:]) * 2 / 1e6
    served.note(f"health while {sent:,.0f} MB are sent, p95", "ms", checks[int(len(checks) * 0.95)] * 1000)
    served.note("memory", "MB", psutil.Process(served.process.pid).memory_info().rss / 1e6)


MEASURES: tuple[Callable[[Served], None], ...] = (one_client, many_clients, again, whole, health)


@contextlib.contextmanager
def running(served: Served, command: list[str], settings: dict[str, str]) -> Iterator[Served]:
    """A server, ready; stopped whatever happens."""
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(command, stdout=said, stderr=said, env={**os.environ, **settings})
        served.process = process
        try:
            if not ready(served):
                said.seek(0)
                raise SystemExit(f"{served.name} did not start: {' '.join(command)}\n{said.read()[-2000:].decode()}")
            yield served
        finally:
            process.send_signal(signal.SIGINT)
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()


def ready(served: Served) -> bool:
    """Wait until it answers with a tile, which may be after it is healthy; False when it ended, or took too long."""
    end = time.monotonic() + START_S
    while served.process.poll() is None and time.monotonic() < end:
        try:
            for path in (served.health, served.paths()[0]):
                urllib.request.urlopen(f"http://127.0.0.1:{served.port}{path}", timeout=5).close()
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            time.sleep(0.1)
        else:
            return True
    return False


def ours(path: Path, shape: tuple[int, ...], seconds: float, table: Table) -> contextlib.AbstractContextManager[Served]:
    """coverslip on a file."""
    port = free_port()
    command = [str(Path(sys.executable).parent / "coverslip"), "serve", str(path), "--port", str(port), "--no-browser"]
    id = path.stem
    tile = f"/api/tile/{id}?size={TILE}&c={{c}}&z={{z}}&row={{row}}&col={{col}}"
    block = f"/api/block/{id}"
    served = Served(OURS, port, tile, block, f"{block}?stop={SENT}", "/livez", shape, seconds, table)
    return running(served, command, {})


def theirs(
    path: Path, shape: tuple[int, ...], seconds: float, table: Table
) -> contextlib.AbstractContextManager[Served]:
    """Tiled on the folder that holds the array."""
    port = free_port()
    folder = DATA / f"tiled-{path.stem}"
    folder.mkdir(exist_ok=True)
    with contextlib.suppress(FileExistsError):
        (folder / "image.zarr").symlink_to(path / "0")
    python = environment(PEER)
    command = [str(python.parent / "tiled"), "serve", "directory", str(folder), "--public", "--port", str(port)]
    full = "/api/v1/array/full/image?format=application/octet-stream"
    tile = full + "&slice={c},{z},{y}:{y1},{x}:{x1}"
    served = Served("Tiled", port, tile, full, f"{full}&slice=:{SENT}", "/healthz", shape, seconds, table)
    return running(served, command, PEER_SETTINGS)


def measured(args: Namespace, compressed: bool) -> Table:
    """Both servers, alternating."""
    shape = QUICK_SHAPE if args.quick else SHAPE
    starts = [ours] if args.no_peers else [ours, theirs]
    table = Table("zstd" if compressed else "not compressed", [OURS] if args.no_peers else [OURS, "Tiled"])
    path = data(compressed, shape)
    with contextlib.ExitStack() as stack:
        servers = [
            stack.enter_context(start(path, shape, QUICK_S if args.quick else TILE_S, table)) for start in starts
        ]
        for measure in (measure for _ in range(args.rounds) for measure in MEASURES):
            for served in servers:
                measure(served)
    return table


def main() -> None:
    """Compressed and plain data."""
    args = given(arguments(__doc__, ROUNDS))
    tables = [measured(args, compressed) for compressed in (True, False)]
    publish("tiles", tables, {} if args.no_peers else {"Tiled": PEER.partition("==")[2]}, args)


if __name__ == "__main__":
    main()
