"""Tiles and slices of a 0.5 GB OME-Zarr over HTTP, served by coverslip and by Tiled in one run.

Prints a Markdown table: random 256 x 256 tiles by one client and by eight, the whole array, health while it is sent.
Tiled (PyPI) is installed into an environment of its own under ``.cache/peers``.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import signal
import statistics
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import psutil
import tensorstore as ts

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "scripts"))
from surroundings import environment, free_port  # noqa: E402

PEER = "tiled[server]==0.2.20"
SHAPE, CHUNK, TILE = (4, 16, 2048, 2048), (1, 1, 512, 512), 256
TILES, ROUNDS, CLIENTS = 2000, 5, 8


def data(compressed: bool) -> Path:
    """Noise of a camera over smooth structure, 12 bit, as OME-Zarr; made once."""
    path = ROOT / ".cache" / "data" / f"camera{'' if compressed else '-plain'}.zarr"
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
                "shape": SHAPE,
                "data_type": "uint16",
                "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": CHUNK}},
                "codecs": codecs,
            },
            "create": True,
            "delete_existing": True,
        }
    ).result()
    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[: SHAPE[2], : SHAPE[3]]
    for c, z in np.ndindex(*SHAPE[:2]):
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
    process: subprocess.Popen[bytes]
    tile: str
    whole: str
    health: str
    figures: dict[str, list[float]] = field(default_factory=dict)

    def note(self, what: str, value: float) -> None:
        """Keep a measurement."""
        self.figures.setdefault(what, []).append(value)

    def paths(self) -> list[str]:
        """Random tiles over the whole array."""
        rng = random.Random(1)
        edge = SHAPE[-1] // TILE
        return [
            self.tile.format(c=rng.randrange(SHAPE[0]), z=rng.randrange(SHAPE[1]), row=r, col=q, y=r * TILE, x=q * TILE,
                             y1=(r + 1) * TILE, x1=(q + 1) * TILE)
            for r, q in ((rng.randrange(edge), rng.randrange(edge)) for _ in range(TILES))
        ]  # fmt: skip


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


async def client(port: int, paths: list[str], seconds: list[float]) -> None:
    """Ask for paths one after the other."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 22)
    for path in paths:
        start = time.perf_counter()
        await get(reader, writer, path)
        seconds.append(time.perf_counter() - start)
    writer.close()


async def many(port: int, paths: list[str], clients: int) -> tuple[list[float], float]:
    """Seconds of every request, and answers in a second."""
    seconds: list[float] = []
    start = time.perf_counter()
    await asyncio.gather(*(client(port, paths[i::clients], seconds) for i in range(clients)))
    return seconds, len(paths) / (time.perf_counter() - start)


async def busy(served: Served) -> list[float]:
    """Seconds of health checks while the whole array is sent."""
    big = asyncio.create_task(client(served.port, [served.whole] * 2, []))
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


def measure(served: Served) -> None:
    """One round."""
    paths = served.paths()
    seconds, _ = asyncio.run(many(served.port, paths[: TILES // 4], 1))
    served.note("tile, 1 client, p50 [ms]", statistics.median(seconds) * 1000)
    _, rate = asyncio.run(many(served.port, paths, CLIENTS))
    served.note("tiles, 8 clients [1/s]", rate)
    size = float(np.prod(SHAPE)) * 2
    start = time.perf_counter()
    asyncio.run(many(served.port, [served.whole], 1))
    served.note("whole array [MB/s]", size / 1e6 / (time.perf_counter() - start))
    checks = sorted(asyncio.run(busy(served)))
    served.note("health while it is sent, p95 [ms]", checks[int(len(checks) * 0.95)] * 1000)
    served.note("memory [MB]", psutil.Process(served.process.pid).memory_info().rss / 1e6)


@contextlib.contextmanager
def running(name: str, command: list[str], port: int, tile: str, whole: str, health: str) -> Iterator[Served]:
    """A server, stopped whatever happens."""
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env={**os.environ, "TILED_ALLOW_ORIGINS": ""}
    )
    try:
        for _ in range(600):
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}{health}", timeout=5).close()
                break
            except (urllib.error.URLError, ConnectionError):
                time.sleep(0.05)
        else:
            raise SystemExit(f"{name} did not start: {' '.join(command)}")
        yield Served(name, port, process, tile, whole, health)
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()


def ours(path: Path) -> contextlib.AbstractContextManager[Served]:
    """coverslip on a file."""
    port = free_port()
    command = [str(Path(sys.executable).parent / "coverslip"), "serve", str(path), "--port", str(port), "--no-browser"]
    id = path.stem
    tile = f"/api/tile/{id}?size={TILE}&c={{c}}&z={{z}}&row={{row}}&col={{col}}"
    return running("coverslip", command, port, tile, f"/api/block/{id}", "/livez")


def theirs(path: Path) -> contextlib.AbstractContextManager[Served]:
    """Tiled on the folder that holds the array."""
    port = free_port()
    folder = ROOT / ".cache" / "data" / f"tiled-{path.stem}"
    folder.mkdir(exist_ok=True)
    with contextlib.suppress(FileExistsError):
        (folder / "image.zarr").symlink_to(path / "0")
    python = environment(PEER)
    command = [str(python.parent / "tiled"), "serve", "directory", str(folder), "--public", "--port", str(port)]
    full = "/api/v1/array/full/image"
    tile = full + "?slice={c},{z},{y}:{y1},{x}:{x1}&format=application/octet-stream"
    return running("Tiled", command, port, tile, full + "?format=application/octet-stream", "/api/v1/")


def table(rows: list[Served], title: str) -> str:
    """Medians side by side, and how they compare."""
    names = [r.name for r in rows]
    lines = [f"| {title} | {' | '.join(names)} | ratio |", "|---" * (len(names) + 2) + "|"]
    for what in rows[0].figures:
        values = [statistics.median(r.figures[what]) if what in r.figures else float("nan") for r in rows]
        better = "" if len(values) < 2 else f"{values[0] / values[1] if '/s]' in what else values[1] / values[0]:.1f}x"
        lines.append(f"| {what} | {' | '.join(f'{v:,.1f}' for v in values)} | {better} |")
    return "\n".join(lines)


def main() -> None:
    """Both servers, alternating, on compressed and on plain data."""
    for compressed in (True, False):
        path = data(compressed)
        with contextlib.ExitStack() as stack:
            rows = [stack.enter_context(ours(path))]
            try:
                rows.append(stack.enter_context(theirs(path)))
            except SystemExit as error:
                print(f"{error}\n", file=sys.stderr)
            for _ in range(ROUNDS):
                for served in rows:
                    measure(served)
            print(table(rows, f"{'zstd' if compressed else 'uncompressed'} chunks 512 x 512"), end="\n\n", flush=True)


if __name__ == "__main__":
    main()
