"""Arrays as they become larger, for more clients: OME-Zarr of 0.1, 1 and 10 GB, for 1, 8 and 64 clients at once.

coverslip beside Tiled (tiles and planes that the server decodes) and beside nginx, which hands out the same folder as
plain files (chunks as they are stored, which the client decodes, as Viv and TensorStore do). All three servers run at
once and are measured in turn. The client is one process with so many connections; it shares the cores. Planes of
2,048 x 2,048 uint16 in zstd chunks of 512 x 512: those of the 0.1 GB differ; the larger arrays repeat its chunks in
another order, as hard links, which takes no disk.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import statistics
import sys
import time
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from measuring import DATA
from measuring.clients import Asked, asked
from measuring.results import OURS, Table, arguments, given, publish
from measuring.servers import Server, coverslip, nginx, nginx_command, nginx_version, running
from surroundings import environment, free_port

PEER = "tiled[server]==0.2.20"
TILED, NGINX = "Tiled", "nginx"
PLANES, QUICK = [12, 120, 1200], [2]
CLIENTS, QUICK_CLIENTS = [1, 8, 64], [1, 4]
EDGE, CHUNK, TILE = 2048, 512, 256
SECONDS, QUICK_SECONDS = 1.0, 0.3
SIZE_GB = EDGE * EDGE * 2 / 1e9
MEMORY = "memory"


def data(planes: int, first: int) -> Path:
    """An array of so many planes; the first ones are made, the others are links to their chunks."""
    path = DATA / "sizes" / f"array_{planes}.zarr"
    if (path / "done").exists():
        return path
    shutil.rmtree(path, ignore_errors=True)
    if planes <= first:
        make(path, planes)
    else:
        link(data(first, first), path, planes)
    (path / "done").touch()
    return path


def make(path: Path, planes: int) -> None:
    """Noise of a camera over smooth structure, 12 bit."""
    import tensorstore as ts

    codecs = [
        {"name": "bytes", "configuration": {"endian": "little"}},
        {"name": "zstd", "configuration": {"level": 1, "checksum": False}},
    ]
    metadata = {
        "shape": [planes, EDGE, EDGE],
        "data_type": "uint16",
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [1, CHUNK, CHUNK]}},
        "codecs": codecs,
    }
    spec = {"driver": "zarr3", "kvstore": f"file://{path}/0/", "metadata": metadata, "create": True}
    store = ts.open(spec).result()
    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[:EDGE, :EDGE]
    for z in range(planes):
        smooth = 800 * (1 + np.sin(rows / (40 + z)) * np.cos(columns / 50))
        store[z].write(rng.poisson(smooth + 100).astype(np.uint16)).result()
    axes = [{"name": name, "type": "space", "unit": "micrometer"} for name in "zyx"]
    steps = [{"type": "scale", "scale": [1, 0.5, 0.5]}]
    multiscales = [{"axes": axes, "datasets": [{"path": "0", "coordinateTransformations": steps}]}]
    ome = {"version": "0.5", "multiscales": multiscales}
    group = {"zarr_format": 3, "node_type": "group", "attributes": {"ome": ome}}
    (path / "zarr.json").write_text(json.dumps(group))


def link(source: Path, path: Path, planes: int) -> None:
    """An array whose chunks are those of a smaller one, in another order."""
    chunks = sorted(file for file in (source / "0" / "c").rglob("*") if file.is_file())
    (path / "0").mkdir(parents=True)
    shutil.copy(source / "zarr.json", path)
    array = json.loads((source / "0" / "zarr.json").read_text())
    array["shape"][0] = planes
    (path / "0" / "zarr.json").write_text(json.dumps(array))
    order, edge = random.Random(0), EDGE // CHUNK
    for z, y in np.ndindex(planes, edge):
        folder = path / "0" / "c" / str(z) / str(y)
        folder.mkdir(parents=True)
        for x in range(edge):
            os.link(order.choice(chunks), folder / str(x))


def theirs(path: Path) -> AbstractContextManager[Server]:
    """Tiled on the folder that holds the array."""
    port, folder = free_port(), DATA / "sizes" / f"tiled_{path.stem}"
    folder.mkdir(exist_ok=True)
    if not (folder / "image.zarr").is_symlink():
        (folder / "image.zarr").symlink_to(path / "0")
    command = [environment(PEER).parent / "tiled", "serve", "directory", folder, "--public", "--port", port]
    settings = {"TILED_RESPONSE_BYTESIZE_LIMIT": str(1 << 30)}
    return running(TILED, command, port, f"{TILED_IMAGE}&slice=0,:4,:4", settings)


TILED_IMAGE = "/api/v1/array/full/image?format=application/octet-stream"


@dataclass
class Paths:
    """What is asked of each server: all of it in random order, so that nothing is asked for twice for long."""

    tiles: dict[str, list[str]]
    chunks: dict[str, list[str]]
    planes: dict[str, list[str]]


def paths(id: str, planes: int) -> Paths:
    """Tiles, chunks and planes, the same for all servers."""
    order, edge, grid = random.Random(1), EDGE // TILE, EDGE // CHUNK
    tiles = list(np.ndindex(planes, edge, edge))
    chunks = list(np.ndindex(planes, grid, grid))
    order.shuffle(tiles)
    order.shuffle(chunks)
    stack = order.sample(range(planes), planes)

    def sliced(z: int, r: int, c: int) -> str:
        return f"{TILED_IMAGE}&slice={z},{r * TILE}:{(r + 1) * TILE},{c * TILE}:{(c + 1) * TILE}"

    return Paths(
        tiles={
            OURS: [f"/api/tile/{id}?size={TILE}&z={z}&row={r}&col={c}" for z, r, c in tiles],
            TILED: [sliced(z, r, c) for z, r, c in tiles],
        },
        chunks={
            OURS: [f"/zarr/{id}/0/c/{z}/{y}/{x}" for z, y, x in chunks],
            NGINX: [f"/0/c/{z}/{y}/{x}" for z, y, x in chunks],
        },
        planes={
            OURS: [f"/api/block/{id}?start={z},0,0&stop={z + 1},{EDGE},{EDGE}" for z in stack],
            TILED: [f"{TILED_IMAGE}&slice={z}" for z in stack],
        },
    )


def same(servers: dict[str, Server], wanted: dict[str, list[str]]) -> None:
    """The first answers must be the same bytes."""
    bodies = {name: servers[name].get(all_of[0]) for name, all_of in wanted.items() if name in servers}
    if len(set(bodies.values())) > 1:
        raise SystemExit(f"not the same bytes: { {name: len(body) for name, body in bodies.items()} }")


def decoded(server: Server, at: str, planes: int, seconds: float) -> float:
    """MB of pixels a second of a client that reads chunks, many at a time, and decodes them itself: TensorStore."""
    import tensorstore as ts

    array = ts.open({"driver": "zarr3", "kvstore": f"http://127.0.0.1:{server.port}{at}/0/"}, read=True).result()
    start, number = time.perf_counter(), 0
    while time.perf_counter() - start < seconds:
        array[number * 7 % planes].read().result()
        number += 1
    return number * SIZE_GB * 1000 / (time.perf_counter() - start)


def of_clients(number: int) -> str:
    """In words."""
    return "1 client" if number == 1 else f"{number} clients"


def p95(found: Asked) -> float:
    """The slowest twentieth begins here; milliseconds."""
    return sorted(found.milliseconds)[int(len(found.milliseconds) * 0.95)]


def size(tables: dict[str, Table], args: argparse.Namespace, planes: int, first: int) -> None:
    """One array, all servers, all numbers of clients."""
    path, label = data(planes, first), f"{planes * SIZE_GB:.2g} GB"
    wanted, seconds = paths(path.stem, planes), QUICK_SECONDS if args.quick else SECONDS
    numbers = QUICK_CLIENTS if args.quick else CLIENTS
    with ExitStack() as stack:
        servers = {OURS: stack.enter_context(coverslip(path, ready=paths(path.stem, 1).tiles[OURS][0]))}
        if nginx_command():
            servers[NGINX] = stack.enter_context(nginx(path, "/zarr.json"))
        if not args.no_peers:
            servers[TILED] = stack.enter_context(theirs(path))
        for kind in (wanted.tiles, wanted.chunks, wanted.planes):
            same(servers, kind)
        for _ in range(args.rounds):
            for clients in numbers:
                for kind, of in (("tiles", wanted.tiles), ("chunks", wanted.chunks), ("planes", wanted.planes)):
                    for name in of:
                        if name not in servers:
                            continue
                        found = asked(servers[name].port, of[name], clients, seconds)
                        row, rate = (
                            f"{label}, {of_clients(clients)}",
                            found.mb_per_s if kind == "planes" else found.per_s,
                        )
                        tables[kind].note(row, "MB/s" if kind == "planes" else "/s", name, rate)
                        if clients in (numbers[0], numbers[-1]):
                            tables["waiting"].note(f"{kind}: {row}", "ms", name, p95(found))
            for name, at in ((OURS, f"/zarr/{path.stem}"), (NGINX, "")):
                if name in servers:
                    tables["decoded"].note(label, "MB/s", name, decoded(servers[name], at, planes, seconds))
        for name, server in servers.items():
            tables[MEMORY].note(label, "MB", name, server.memory_mb())
    print(f"{label}: done", file=sys.stderr, flush=True)


def stored_kb(path: Path) -> float:
    """The size of a chunk."""
    return statistics.median(f.stat().st_size for f in (path / "0" / "c" / "0").rglob("*") if f.is_file()) / 1e3


def main() -> None:
    """Measure and publish; the large arrays are removed."""
    parser = arguments(__doc__)
    parser.add_argument("--planes", type=int, nargs="*", help="other numbers of planes of 8.4 MB")
    args = given(parser)
    numbers = args.planes or (QUICK if args.quick else PLANES)
    peers = [] if args.no_peers else [TILED]
    floor = [NGINX] if nginx_command() else []
    chunk = stored_kb(data(numbers[0], numbers[0]))
    tables = {
        "tiles": Table(f"tiles of {TILE}², decoded", [OURS, *peers]),
        "chunks": Table(f"chunks as stored, {chunk:.0f} kB", [OURS, *floor]),
        "planes": Table(f"planes of {EDGE}², decoded", [OURS, *peers]),
        "decoded": Table("planes by a client that decodes (TensorStore)", [OURS, *floor]),
        "waiting": Table("until an answer is there, 95th percentile", [OURS, *peers, *floor]),
        MEMORY: Table("memory afterwards", [OURS, *peers, *floor]),
    }
    try:
        for planes in numbers:
            size(tables, args, planes, numbers[0])
    finally:
        for planes in numbers[1:]:
            shutil.rmtree(DATA / "sizes" / f"array_{planes}.zarr", ignore_errors=True)
    versions = ({NGINX: nginx_version()} if floor else {}) | ({TILED: PEER.partition("==")[2]} if peers else {})
    publish("sizes_arrays", list(tables.values()), versions, args)


if __name__ == "__main__":
    main()
