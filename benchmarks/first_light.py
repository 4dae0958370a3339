"""One million cells, served by coverslip and by cellucid 0.0.9 in one run.

Start, first bytes, genes, memory, and first paint where there is Chromium. ``cellucid==0.0.9`` is installed into an
environment of its own under ``.cache/peers``.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from measuring import ROOT
from measuring.results import OURS, Table, arguments, given, publish
from surroundings import CHROMIUM, CHROMIUM_FLAGS, PEER, free_port, peer_command

STARTS, GENES = 5, 15
CELLS, QUICK = 1_000_000, 2_000


def get(url: str) -> bytes:
    """One body over a connection of its own: the peer serves one connection at a time."""
    with urllib.request.urlopen(urllib.request.Request(url, headers={"Connection": "close"}), timeout=300) as response:
        body: bytes = response.read()
        return body


def timed(work: Callable[[], object]) -> float:
    """Seconds that something takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


@dataclass
class Served:
    """One server and what was measured of it."""

    name: str
    command: list[str]
    seconds: dict[str, list[float]] = field(default_factory=dict)
    megabytes: dict[str, list[float]] = field(default_factory=dict)

    def start(self, file: Path) -> tuple[subprocess.Popen[bytes], str]:
        """Start it and wait until it answers."""
        port = free_port()
        url = f"http://127.0.0.1:{port}/"
        environment = {**os.environ, "CELLUCID_WEB_PROXY_CACHE_DIR": str(ROOT / ".cache" / "peers" / "web")}
        begun = time.perf_counter()
        process = subprocess.Popen(
            [*self.command, "serve", str(file), "--port", str(port), "--no-browser"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=environment,
        )
        while True:
            try:
                get(f"{url}_cellucid/health")
                break
            except (urllib.error.URLError, ConnectionError):
                time.sleep(0.005)
        self.note("ready", time.perf_counter() - begun)
        return process, url

    def note(self, what: str, seconds: float) -> None:
        """Keep a measurement."""
        self.seconds.setdefault(what, []).append(seconds)

    def measure(self, file: Path) -> None:
        """One start, then everything once; memory as it goes."""
        process, url = self.start(file)
        memory = psutil.Process(process.pid)
        self.megabytes.setdefault("idle", []).append(memory.memory_info().rss / 1e6)
        self.note("identity + points", timed(lambda: (get(url + "dataset_identity.json"), get(url + "points_2d.bin"))))
        self.note("command to points", self.seconds["ready"][-1] + self.seconds["identity + points"][-1])
        self.note("one field's codes", timed(lambda: get(url + "obs/cluster.codes.u8")))
        for gene in range(GENES):
            self.note("a gene, first time", timed(lambda g=gene: get(f"{url}var/var{g * 7}.values.f32")))
        for _ in range(GENES):
            self.note("a gene, again", timed(lambda: get(f"{url}var/var0.values.f32")))
        status = Path(f"/proc/{process.pid}/status").read_text()
        peak = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM"))
        self.megabytes.setdefault("peak", []).append(peak * 1024 / 1e6)
        process.send_signal(signal.SIGINT)
        process.wait()


BARE = """<canvas width=1280 height=800></canvas><script>
const gl = document.querySelector('canvas').getContext('webgl2'), n = 1e6;
const sh = (t, s) => { const o = gl.createShader(t); gl.shaderSource(o, s); gl.compileShader(o); return o; };
const p = gl.createProgram();
gl.attachShader(p, sh(gl.VERTEX_SHADER,
  '#version 300 es\\nin vec2 a;void main(){gl_Position=vec4(a,0,1);gl_PointSize=1.;}'));
gl.attachShader(p, sh(gl.FRAGMENT_SHADER,
  '#version 300 es\\nprecision highp float;out vec4 c;void main(){c=vec4(0,.4,.4,1);}'));
gl.linkProgram(p); gl.useProgram(p);
const xy = new Float32Array(2 * n).map(() => Math.random() * 2 - 1);
gl.bindBuffer(gl.ARRAY_BUFFER, gl.createBuffer()); gl.bufferData(gl.ARRAY_BUFFER, xy, gl.STATIC_DRAW);
gl.enableVertexAttribArray(0); gl.vertexAttribPointer(0, 2, gl.FLOAT, false, 0, 0);
window.frame = () => { const t = performance.now(); gl.clear(gl.COLOR_BUFFER_BIT); gl.drawArrays(gl.POINTS, 0, n);
  gl.readPixels(0, 0, 1, 1, gl.RGBA, gl.UNSIGNED_BYTE, new Uint8Array(4)); return performance.now() - t; };
</script>"""


def browser_figures(file: Path, starts: int) -> dict[str, list[float]]:
    """Milliseconds from navigation to the first and to all points, and of a bare page's frame."""
    from playwright.sync_api import sync_playwright

    ours = Served("coverslip", [str(Path(sys.executable).parent / "coverslip")])
    process, url = ours.start(file)
    seen: dict[str, list[float]] = {"first paint": [], "all painted": [], "bare WebGL frame": []}
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=CHROMIUM_FLAGS)
        for _ in range(starts):
            page = browser.new_page(viewport={"width": 1280, "height": 800})
            page.goto(url + "?color=none&size=1")
            page.wait_for_function(
                "() => performance.getEntriesByName('coverslip:all-painted').length > 0", timeout=120_000
            )
            for mark in ("first paint", "all painted"):
                name = f"coverslip:{mark.replace(' ', '-')}"
                seen[mark].append(page.evaluate(f"performance.getEntriesByName('{name}')[0].startTime"))
            page.close()
            bare = browser.new_page(viewport={"width": 1280, "height": 800})
            bare.set_content(BARE)
            seen["bare WebGL frame"] += [bare.evaluate("frame()") for _ in range(4)][1:]
            bare.close()
        browser.close()
    process.send_signal(signal.SIGINT)
    process.wait()
    return seen


def main() -> None:
    """Measure in turn, A B A B, and publish."""
    args = given(arguments(__doc__, STARTS))
    n_cells = QUICK if args.quick else CELLS
    made = [sys.executable, ROOT / "scripts" / "million_cells.py", str(n_cells)]
    file = Path(subprocess.run(made, capture_output=True, text=True, check=True).stdout.strip())
    servers = [Served(OURS, [str(Path(sys.executable).parent / "coverslip")])]
    if not args.no_peers:
        servers.append(Served(PEER.replace("==", " "), [str(peer_command())]))
    for _ in range(args.rounds):
        for served in servers:
            served.measure(file)
    table = Table(f"{n_cells:,} cells × 200 genes, CSR", [served.name for served in servers])
    for served in servers:
        for what, seconds in served.seconds.items():
            table.note(what, "ms", served.name, *(1000 * value for value in seconds))
        for what, megabytes in served.megabytes.items():
            table.note(f"server memory, {what}", "MB", served.name, *megabytes)
    command = [servers[0].command[0], "--help"]
    for _ in range(2 * args.rounds - 1):
        wall = timed(lambda: subprocess.run(command, capture_output=True, check=True))
        table.note("`coverslip --help`, wall", "ms", OURS, wall * 1000)
    if CHROMIUM:
        for what, values in browser_figures(file, args.rounds).items():
            table.note(f"page: {what}", "ms", OURS, *values)
    publish("first_light", [table], {}, args)


if __name__ == "__main__":
    main()
