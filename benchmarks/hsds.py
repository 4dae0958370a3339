"""HDF5 over HTTP with the stock h5pyd: coverslip on the raw files, hsds 1.0.2 on its own copy; h5grove 4 by requests.

All servers run at the same time and are measured in turn, round by round, so that what else
the machine does hits all. The peers (PyPI) are installed into environments of their own under ``.cache/peers``.
"""

from __future__ import annotations

import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from measuring import DATA
from measuring.results import OURS, Table, arguments, given, publish
from surroundings import environment, free_port

CLIENT, HSDS, GROVE = "h5pyd==1.0.0", "hsds==1.0.2", "h5grove[fastapi]==4.0.0"
PEERS = {"h5pyd": CLIENT, "hsds": HSDS, "h5grove": GROVE}
SHAPE, CHUNK = (256, 512, 512), (16, 128, 128)
ROUNDS, QUICK_SHARE = 3, 0.1
START_S = 60

DRIVER = r"""
import json, random, sys, time
kind, endpoint, task, seconds, seed = sys.argv[1], sys.argv[2], sys.argv[3], float(sys.argv[4]), int(sys.argv[5])
random.seed(seed)
extra = {"username": "admin", "password": "admin"} if kind == "hsds" else {}
if kind == "h5grove":
    import numpy as np, requests
    session = requests.Session()
    class Set:
        def __init__(self, file, path):
            self.file, self.path = file, path
            self.shape = self.meta()["shape"]
        def meta(self):
            return session.get(f"{endpoint}/meta", params={"file": self.file, "path": self.path}).json()
        def __getitem__(self, index):
            text = ",".join(f"{s.start}:{s.stop}" if isinstance(s, slice) else str(s) for s in index)
            query = {"file": self.file, "path": self.path, "format": "bin", "selection": text}
            return np.frombuffer(session.get(f"{endpoint}/data", params=query).content, "f4")
    def dataset(name):
        return Set("vol.h5", f"/{name}")
    def walk():
        names, todo = 0, ["/"]
        while todo:
            path = todo.pop()
            found = session.get(f"{endpoint}/meta", params={"file": "many.h5", "path": path}).json()
            if found["attributes"]:
                session.get(f"{endpoint}/attr", params={"file": "many.h5", "path": path}).json()
            names += 1
            todo += [f"{path.rstrip('/')}/{c['name']}" for c in found.get("children", [])]
        return names
else:
    import h5pyd
    def dataset(name):
        return h5pyd.File("/bench/vol.h5", "r", endpoint=endpoint, **extra)[name]
    def walk():
        names = []
        def seen(name, item):
            names.append(name)
            dict(item.attrs)
        h5pyd.File("/bench/many.h5", "r", endpoint=endpoint, **extra).visititems(seen)
        return len(names)
def timed(work):
    start = time.perf_counter(); work(); return time.perf_counter() - start
def a_slice(d):
    i, j, k = random.randrange(256), random.randrange(504), random.randrange(256)
    return d[i, j:j + 8, k:k + 256]
def until(work, most=10**9):
    times, end = [], time.perf_counter() + seconds
    while time.perf_counter() < end and len(times) < most:
        times.append(timed(work))
    return times
if task == "open":
    def work():
        d = dataset("z"); assert tuple(d.shape) == (256, 512, 512)
    work(); print(json.dumps(until(work)))
elif task == "walk":
    walk(); print(json.dumps(until(lambda: walk() >= 500 or 1 / 0)))
elif task in ("z", "plain"):
    d = dataset(task); d[0, 0:8, 0:8]
    def work():
        for i in range(0, 256, 16):
            assert d[i:i + 16, 0:512, 0:512].nbytes == 1 << 24
    print(json.dumps([(1 << 28) / t / 1e6 for t in until(work)]))
elif task in ("raw z", "raw plain"):
    import base64, http.client, urllib.parse
    name, place = task[4:], urllib.parse.urlsplit(endpoint)
    link = http.client.HTTPConnection(place.hostname, place.port)
    login = base64.b64encode(b"admin:admin").decode()
    headers = {"accept": "application/octet-stream", **({"authorization": f"Basic {login}"} if extra else {})}
    def get(path):
        link.request("GET", place.path + path, headers=headers)
        return link.getresponse().read()
    if kind == "h5grove":
        urls = [f"/data?file=vol.h5&path=/{name}&format=bin&selection={i}:{i + 16}" for i in range(0, 256, 16)]
    else:
        root = json.loads(get("/?domain=/bench/vol.h5"))["root"]
        id = json.loads(get(f"/groups/{root}/links/{name}?domain=/bench/vol.h5"))["link"]["id"]
        at = f"/datasets/{id}/value?domain=/bench/vol.h5&select="
        urls = [f"{at}[{i}:{i + 16},0:512,0:512]" for i in range(0, 256, 16)]
    def work():
        for url in urls:
            assert len(get(url)) == 1 << 24
    print(json.dumps([(1 << 28) / t / 1e6 for t in until(work)]))
elif task == "random":
    d = dataset("z"); a_slice(d); print(json.dumps(until(lambda: a_slice(d))))
elif task == "hot":
    d = dataset("z"); work = lambda: d[7, 8:16, 0:256]; work(); work(); print(json.dumps(until(work)))
elif task == "many":
    d = dataset("z"); a_slice(d); print("ready", flush=True); sys.stdin.readline()
    print(json.dumps(until(lambda: a_slice(d))))
"""


def data(folder: Path) -> None:
    """A volume compressed and plain, and a file of 500 objects; made once."""
    if (folder / "done").exists():
        return
    (folder / "bench").mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    with h5py.File(folder / "bench" / "vol.h5", "w") as f:
        smooth = np.cumsum(rng.normal(size=SHAPE[1:]), axis=1).astype("f4")
        z = f.create_dataset("z", SHAPE, "f4", chunks=CHUNK, compression="gzip", compression_opts=4, shuffle=True)
        # Chunked, too: hsds makes one chunk of what lies in one piece, and refuses it for its size.
        plain = f.create_dataset("plain", SHAPE, "f4", chunks=CHUNK)
        for i in range(SHAPE[0]):
            plane = np.round(smooth * 8 + rng.normal(size=SHAPE[1:], scale=20)).astype("f4")
            z[i] = plain[i] = plane
    with h5py.File(folder / "bench" / "many.h5", "w") as f:
        for i in range(50):
            group = f.create_group(f"g{i}")
            group.attrs["number"] = i
            for j in range(9):
                group[f"d{j}"] = rng.normal(size=30)
                group[f"d{j}"].attrs["units"] = "mV"
    (folder / "done").touch()


def answers(url: str) -> bool:
    """Whether somebody answers at an address."""
    try:
        with urllib.request.urlopen(url, timeout=5) as response:
            return bool(response.status == 200)
    except OSError:
        return False


@contextmanager
def server(command: list[str | Path], url: str, **environ: str) -> Iterator[tuple[str, float]]:
    """A running server: its process id and how long it took to answer."""
    start = time.perf_counter()
    log = tempfile.TemporaryFile()  # noqa: SIM115  (closed with the process)
    process = subprocess.Popen(
        [str(c) for c in command], stdout=log, stderr=log, env={**os.environ, **environ}, start_new_session=True
    )
    try:
        while not answers(url):
            if process.poll() is not None or time.perf_counter() - start > START_S:
                log.seek(0)
                raise SystemExit(f"{command} does not answer\n{log.read().decode()[-3000:]}")
            time.sleep(0.02)
        yield str(process.pid), time.perf_counter() - start
    finally:
        os.killpg(process.pid, signal.SIGINT)  # hsds leaves its children behind on any other signal
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


GROVE_APP = """
import sys, uvicorn
from fastapi import FastAPI
from h5grove.fastapi_utils import router, settings
settings.base_dir = sys.argv[1]
app = FastAPI()
app.include_router(router)
uvicorn.run(app, port=int(sys.argv[2]), log_level="error")
"""


def client(python: Path, name: str, endpoint: str, task: str, seconds: float) -> list[float]:
    """What one client measures."""
    done = subprocess.run(
        [python, "-c", DRIVER, name, endpoint, task, str(seconds), "1"], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"{name} {task}: {done.stderr[-3000:]}")
    return list(map(float, json.loads(done.stdout)))


def eight(python: Path, name: str, endpoint: str, seconds: float) -> float:
    """Slices a second of eight clients together."""
    clients = [
        subprocess.Popen(
            [python, "-c", DRIVER, name, endpoint, "many", str(seconds), str(i)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for i in range(8)
    ]
    for one in clients:
        assert one.stdout is not None
        assert one.stdout.readline() == "ready\n"
    for one in clients:
        assert one.stdin is not None
        one.stdin.write("go\n")
        one.stdin.flush()
    return sum(len(json.loads(one.communicate()[0])) for one in clients) / seconds


def load(folder: Path, endpoint: str) -> float:
    """How long hsload takes for the files."""
    tools = environment(CLIENT).parent
    login = ["-e", endpoint, "-u", "admin", "-p", "admin"]
    subprocess.run([tools / "hstouch", *login, "/bench/"], check=True, capture_output=True)
    start = time.perf_counter()
    for name in ("vol.h5", "many.h5"):
        subprocess.run([tools / "hsload", *login, folder / name, f"/bench/{name}"], check=True, capture_output=True)
    return time.perf_counter() - start


TASKS = [
    ("open, and a shape", "open", "ms", 2.0),
    ("walk of 500 objects with attributes", "walk", "ms", 3.0),
    ("slabs of 16 MB, gzip and shuffle", "z", "MB/s", 4.0),
    ("slabs of 16 MB, not compressed", "plain", "MB/s", 3.0),
    ("the same by plain HTTP, gzip", "raw z", "MB/s", 3.0),
    ("the same by plain HTTP, not compressed", "raw plain", "MB/s", 2.0),
    ("random slice of 8 x 256, p50", "random", "ms", 2.0),
    ("the same slice again, p50", "hot", "ms", 1.5),
    ("8 clients, random slices", "many", "/s", 4.0),
]


def measure(servers: dict[str, tuple[Path, str]], rounds: int, share: float) -> Table:
    """Every task of every server, a round at a time; a share of the time that each task has."""
    table = Table("256 × 512 × 512 float32", list(servers))
    for _ in range(rounds):
        for title, task, unit, whole in TASKS:
            seconds = whole * share
            for name, (python, endpoint) in servers.items():
                if task == "many":
                    table.note(title, unit, name, eight(python, name, endpoint, seconds))
                    continue
                values = client(python, name, endpoint, task, seconds)
                table.note(title, unit, name, statistics.median(values) * (1000 if unit == "ms" else 1))
    return table


def memory_of(pid: str) -> float:
    """MB held by a process and its children."""
    import psutil

    process = psutil.Process(int(pid))
    return float(sum(p.memory_info().rss for p in [process, *process.children(recursive=True)]) / 1e6)


def main() -> None:
    """Measure and publish."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended"))  # the servers are ended, too
    args = given(arguments(__doc__, ROUNDS))
    folder = DATA / "hdf5"
    data(folder)
    own, theirs, grove = free_port(), free_port(), free_port()
    python = environment(CLIENT)
    servers: dict[str, tuple[Path, str]] = {OURS: (python, f"http://127.0.0.1:{own}/hsds")}
    notes: dict[str, Any] = {}
    with ExitStack() as running:
        ours = Path(sys.executable).parent / "coverslip"
        command = [ours, "serve", folder, "--port", str(own), "--no-browser", "--quiet"]
        url = f"http://127.0.0.1:{own}/hsds/?domain=/bench/vol.h5"
        pids = {}
        pids["coverslip"], notes["first answer, coverslip"] = running.enter_context(server(command, url))
        if not args.no_peers:
            store = running.enter_context(tempfile.TemporaryDirectory())
            command = [
                environment(HSDS).parent / "hsds",
                "--host",
                "localhost",
                "--port",
                str(theirs),
                "--root_dir",
                store,
            ]
            command += ["--hs_username", "admin", "--hs_password", "admin", "--logfile", f"{store}/log", "--count", "4"]
            about = f"http://localhost:{theirs}/about"
            pids["hsds"], notes["first answer, hsds"] = running.enter_context(server(command, about))
            time.sleep(6)
            notes["import, hsds"] = load(folder / "bench", f"http://localhost:{theirs}")
            servers["hsds"] = (python, f"http://localhost:{theirs}")
            command = [environment(GROVE), "-c", GROVE_APP, folder / "bench", str(grove)]
            pids["h5grove"], _ = running.enter_context(server(command, f"http://127.0.0.1:{grove}/"))
            servers["h5grove"] = (python, f"http://127.0.0.1:{grove}")
        table = measure(servers, args.rounds, QUICK_SHARE if args.quick else 1.0)
        for name, pid in pids.items():
            table.note("memory", "MB", name, memory_of(pid))
    for name in servers:
        for what in ("first answer", "import"):
            if (value := notes.get(f"{what}, {name}")) is not None:
                table.note(f"before the first byte: {what}", "s", name, value)
    versions = {} if args.no_peers else {name: name_of.partition("==")[2] for name, name_of in PEERS.items()}
    publish("hsds", [table], versions, args)


if __name__ == "__main__":
    main()
