"""Mixed load on one server for a while: cells, pixels, HDF5 and Arrow Flight, every byte compared, memory watched.

Usage: ``python scripts/soak.py [SECONDS [PAUSE]]`` (an hour without a number; without a pause each client asks again as
soon as it is answered). Exits with 1 when an answer was wrong, a request failed, or memory grew: its median in the last
third lies more than `GROWTH` above that of the second.
"""

from __future__ import annotations

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
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import anndata
import h5py
import numpy as np
import psutil  # type: ignore[import-untyped,unused-ignore]
import tensorstore as ts
from scipy import sparse

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "scripts"))
from surroundings import free_port  # noqa: E402

HOUR_S = 3600.0
GROWTH = 0.05
LEAST_GROWTH_MB = 8.0
"""Less than this is no growth: what the allocator holds comes and goes by as much."""
LOOK_S = 0.25
TELL_S = 10.0
READY_S = 60.0
CELLS, GENES = 20_000, 300
IMAGE = (3, 4, 1024, 1024)
HDF5 = (64, 256, 256)
Answer = Callable[[random.Random], None]


class Wrong(Exception):
    """An answer that is not what the file holds."""


class Truth:
    """What is served, in memory as well.

    Parameters
    ----------
    folder
        Where its files are written.
    """

    def __init__(self, folder: Path) -> None:
        draw = np.random.default_rng(7)
        self.matrix = sparse.random(CELLS, GENES, 0.1, "csr", np.float32, rng=draw)
        self.umap = draw.normal(size=(CELLS, 2)).astype("f4")
        adata = anndata.AnnData(self.matrix, obsm={"X_umap": self.umap})
        adata.obs["group"] = np.array(["a", "b", "c"])[draw.integers(0, 3, CELLS)]
        adata.obs["group"] = adata.obs["group"].astype("category")
        adata.write_h5ad(folder / "cells.h5ad")
        self.columns = self.matrix.tocsc()
        self.image = draw.integers(0, 4000, IMAGE, np.uint16)
        made = {"driver": "zarr3", "kvstore": f"file://{folder}/image.zarr/0/", "create": True, "delete_existing": True}
        chunks = {"name": "regular", "configuration": {"chunk_shape": [1, 1, 256, 256]}}
        codecs = [{"name": "bytes", "configuration": {"endian": "little"}}, {"name": "zstd"}]
        layout = {"shape": IMAGE, "data_type": "uint16", "chunk_grid": chunks, "codecs": codecs}
        ts.open({**made, "metadata": layout}).result()[...].write(self.image).result()
        axes = [{"name": name, "type": "channel" if name == "c" else "space"} for name in "czyx"]
        scale = [{"type": "scale", "scale": [1.0] * 4}]
        multiscales = [{"axes": axes, "datasets": [{"path": "0", "coordinateTransformations": scale}]}]
        group = {
            "zarr_format": 3,
            "node_type": "group",
            "attributes": {"ome": {"version": "0.5", "multiscales": multiscales}},
        }
        (folder / "image.zarr" / "zarr.json").write_text(json.dumps(group))
        self.volume = draw.normal(size=HDF5).astype("f4")
        with h5py.File(folder / "model.h5", "w") as file:
            file.create_dataset("volume", data=self.volume, chunks=(8, 64, 64), compression="gzip", shuffle=True)


class Load:
    """Clients of every kind, each on a thread of its own.

    Parameters
    ----------
    port, flight_port
        Of the server.
    ids
        Of its sources, by the names of their files.
    truth
        What it serves.
    pause_s
        How long each client waits between two requests.
    """

    def __init__(self, port: int, flight_port: int, ids: dict[str, str], truth: Truth, pause_s: float = 0.0) -> None:
        self._pause_s = pause_s
        self._port, self._flight_port, self._truth = port, flight_port, truth
        self._cells, self._image = ids["cells"], ids["image"]
        self._own = threading.local()
        self.counts: Counter[str] = Counter()
        self.failures: list[str] = []
        self.ended = threading.Event()
        kinds: list[tuple[str, Answer]] = [
            ("gene", self._gene), ("points", self._points), ("tile", self._tile), ("block", self._block),
            ("hdf5", self._hdf5), ("flight", self._flight), ("list", self._list),
        ]  # fmt: skip
        self._threads = [
            threading.Thread(target=self._work, args=(name, ask, seed), name=name, daemon=True)
            for seed, (name, ask) in enumerate(kinds)
        ]

    def start(self) -> None:
        """Begin."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """End, once every answer is in."""
        self.ended.set()
        for thread in self._threads:
            thread.join(READY_S)

    def _work(self, name: str, ask: Answer, seed: int) -> None:
        draw = random.Random(seed)
        while not self.ended.is_set():
            try:
                ask(draw)
                self.counts[name] += 1
                self.ended.wait(self._pause_s)
            except Exception as error:  # noqa: BLE001  (the top of a thread; told at the end)
                self.failures.append(f"{name}: {error.__class__.__name__}: {error}")
                self._hang_up()
                time.sleep(0.1)
        self._hang_up()

    def _hang_up(self) -> None:
        for name in ("link", "flight"):
            if (one := self._own.__dict__.pop(name, None)) is not None:
                one.close()

    def get(self, path: str) -> bytes:
        """One body over this thread's connection; now and then over a new one."""
        link = getattr(self._own, "link", None)
        if link is None:
            link = self._own.link = http.client.HTTPConnection("127.0.0.1", self._port, timeout=READY_S)
        link.request("GET", path)
        response = link.getresponse()
        body: bytes = response.read()
        if response.status != 200:
            raise Wrong(f"{path}: {response.status} {body[:100]!r}")
        return body

    @staticmethod
    def _same(found: np.ndarray, wanted: np.ndarray, what: str) -> None:
        if found.tobytes() != np.ascontiguousarray(wanted).tobytes():
            raise Wrong(f"{what} is not what the file holds")

    def _gene(self, draw: random.Random) -> None:
        i = draw.randrange(GENES)
        found = np.frombuffer(self.get(f"/{self._cells}/genes/{i}.values.f32?expression=X"), "<f4")
        self._same(found, self._truth.columns[:, [i]].toarray().ravel(), f"gene {i}")

    def _points(self, draw: random.Random) -> None:
        found = np.frombuffer(self.get(f"/{self._cells}/embeddings/0_2d.bin?coordinates=stored"), "<f4")
        self._same(found, self._truth.umap, "the embedding")

    def _tile(self, draw: random.Random) -> None:
        c, z, row, col = (draw.randrange(n) for n in (3, 4, 2, 2))
        body = self.get(f"/api/tile/{self._image}?level=0&col={col}&row={row}&c={c}&z={z}&fmt=raw")
        edge = round((len(body) / 2) ** 0.5)
        wanted = self._truth.image[c, z, row * edge : (row + 1) * edge, col * edge : (col + 1) * edge]
        if wanted.size:
            self._same(np.frombuffer(body, "<u2"), wanted, f"tile {c, z, row, col}")

    def _box(self, draw: random.Random) -> tuple[slice, ...]:
        y, x = draw.randrange(700), draw.randrange(700)
        c, z = draw.randrange(3), draw.randrange(3)
        return slice(c, c + 1), slice(z, z + 2), slice(y, y + 300), slice(x, x + 300)

    def _block(self, draw: random.Random) -> None:
        box = self._box(draw)
        shape = json.loads(self.get(f"/api/tile_info/{self._image}"))["levels"][0]["shape"]
        ahead = len(shape) - len(box)  # axes that the file does not have
        start = [0] * ahead + [s.start for s in box]
        stop = [1] * ahead + [s.stop for s in box]
        words = f"start={','.join(map(str, start))}&stop={','.join(map(str, stop))}"
        found = np.frombuffer(self.get(f"/api/block/{self._image}?level=0&{words}"), "<u2")
        self._same(found, self._truth.image[box], "a block")

    def _hdf5(self, draw: random.Random) -> None:
        i, j, k = (draw.randrange(n - 16) for n in HDF5)
        root = json.loads(self.get("/hsds/?domain=/model.h5"))["root"]
        id = json.loads(self.get(f"/hsds/groups/{root}/links/volume?domain=/model.h5"))["link"]["id"]
        box = f"[{i}:{i + 4},{j}:{j + 16},{k}:{k + 16}]"
        link = self._own.link
        path = f"/hsds/datasets/{id}/value?domain=/model.h5&select={box}"
        link.request("GET", path, headers={"Accept": "application/octet-stream"})
        body = link.getresponse().read()
        self._same(np.frombuffer(body, "<f4"), self._truth.volume[i : i + 4, j : j + 16, k : k + 16], f"slab {box}")

    def _flight(self, draw: random.Random) -> None:
        client = getattr(self._own, "flight", None)
        if client is None:
            from coverslip import connect

            client = self._own.flight = connect(f"grpc://127.0.0.1:{self._flight_port}")
        image = client[self._image]
        box = self._box(draw)
        self._same(np.asarray(image[box]), self._truth.image[box], "a box over Flight")

    def _list(self, draw: random.Random) -> None:
        if len(json.loads(self.get("/api/sources"))) != 3:
            raise Wrong("the list of sources is not whole")
        self.get("/metrics")
        time.sleep(0.2)


def memory(process: psutil.Process) -> float:
    """MB that a server and its children hold by themselves."""
    total = 0.0
    for one in (process, *process.children(recursive=True)):
        try:
            held = one.memory_info()
        except psutil.NoSuchProcess:
            continue
        total += (held.rss - held.shared) / 1e6
    return total


def soak(seconds: float, pause_s: float = 0.0, tell: Callable[[str], None] = print) -> bool:
    """Run the load; whether all was well."""
    with tempfile.TemporaryDirectory(prefix="coverslip-soak-") as name:
        folder = Path(name) / "data"
        folder.mkdir()
        truth = Truth(folder)
        port, flight_port = free_port(), free_port()
        command = str(Path(sys.executable).parent / "coverslip")
        words = [
            command,
            "serve",
            str(folder),
            "--port",
            str(port),
            "--flight",
            str(flight_port),
            "--no-browser",
            "--quiet",
        ]
        kept = {f"COVERSLIP_{place}_DIR": f"{name}/{place.lower()}" for place in ("CACHE", "STATE")}
        server = subprocess.Popen(words, env={**os.environ, **kept}, stdout=subprocess.DEVNULL)
        try:
            ids = wait_ready(port, server)
            return _loaded(server, Load(port, flight_port, ids, truth, pause_s), seconds, tell)
        finally:
            server.send_signal(signal.SIGTERM)
            server.wait(READY_S)


def wait_ready(port: int, server: subprocess.Popen[bytes]) -> dict[str, str]:
    """Wait until everything in the folder can be read; the ids of its sources by their files' names."""
    end = time.monotonic() + READY_S
    while time.monotonic() < end and server.poll() is None:
        link = http.client.HTTPConnection("127.0.0.1", port, timeout=READY_S)
        try:
            link.request("GET", "/api/sources")
            rows = json.loads(link.getresponse().read())
            if len(rows) == 3 and all(row["status"] == "ready" for row in rows):
                return {row["source_id"].rpartition("-")[0]: row["source_id"] for row in rows}
        except (OSError, ValueError):
            pass
        finally:
            link.close()
        time.sleep(LOOK_S)
    raise SystemExit("The server was not ready in time")


def _loaded(server: subprocess.Popen[bytes], load: Load, seconds: float, tell: Callable[[str], None]) -> bool:
    process, held = psutil.Process(server.pid), []
    load.start()
    start = told = time.monotonic()
    while (now := time.monotonic()) < start + seconds and server.poll() is None:
        held.append(memory(process))
        if now - told >= TELL_S:
            told = now
            tell(f"{now - start:6.0f} s  {held[-1]:6.0f} MB  {sum(load.counts.values()):,} answers")
        time.sleep(LOOK_S)
    load.stop()
    third = len(held) // 3
    second, last = (statistics.median(held[a : a + third]) for a in (third, 2 * third))
    grown = last - second
    counted = ", ".join(f"{name} {count:,}" for name, count in sorted(load.counts.items()))
    tell(f"{counted}\nmemory, second third {second:.0f} MB, last third {last:.0f} MB")
    for failure in itertools.islice(dict.fromkeys(load.failures), 10):
        tell(f"FAILED {failure}")
    flat = grown <= max(GROWTH * second, LEAST_GROWTH_MB)
    if not flat:
        tell(f"FAILED memory grew by {grown:.0f} MB")
    if server.poll() is not None:
        tell(f"FAILED the server ended with {server.returncode}")
    return flat and not load.failures and server.poll() is None and len(load.counts) == 7


if __name__ == "__main__":
    given = [float(word) for word in sys.argv[1:3]]
    sys.exit(0 if soak(*(given or [HOUR_S])) else 1)
