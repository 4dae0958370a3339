"""One million cells, served by coverslip and by cellucid 0.0.9 in one run.

Prints a Markdown table: start, first bytes, genes, memory, first paint.
Needs ``cellucid==0.0.9`` in an environment of its own (made under ``.cache/peers``) and Chromium.
"""

from __future__ import annotations

import json
import os
import signal
import statistics
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "scripts"))
from surroundings import CHROMIUM, CHROMIUM_FLAGS, PEER, free_port, peer_command  # noqa: E402

STARTS, GENES = 5, 15


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
    megabytes: dict[str, float] = field(default_factory=dict)

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
        self.megabytes["idle"] = max(self.megabytes.get("idle", 0), memory.memory_info().rss / 1e6)
        self.note("identity + points", timed(lambda: (get(url + "dataset_identity.json"), get(url + "points_2d.bin"))))
        self.note("command to points", self.seconds["ready"][-1] + self.seconds["identity + points"][-1])
        self.note("one field's codes", timed(lambda: get(url + "obs/cluster.codes.u8")))
        for gene in range(GENES):
            self.note("a gene, first time", timed(lambda g=gene: get(f"{url}var/var{g * 7}.values.f32")))
        for _ in range(GENES):
            self.note("a gene, again", timed(lambda: get(f"{url}var/var0.values.f32")))
        status = Path(f"/proc/{process.pid}/status").read_text()
        peak = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM"))
        self.megabytes["peak"] = max(self.megabytes.get("peak", 0), peak * 1024 / 1e6)
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


def browser_figures(file: Path) -> dict[str, float]:
    """Milliseconds from navigation to the first and to all points, and a bare page's frame, medians of five."""
    from playwright.sync_api import sync_playwright

    ours = Served("coverslip", [str(Path(sys.executable).parent / "coverslip")])
    process, url = ours.start(file)
    seen: dict[str, list[float]] = {"first paint": [], "all painted": [], "bare WebGL frame": []}
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=CHROMIUM_FLAGS)
        for _ in range(STARTS):
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
    return {name: statistics.median(values) for name, values in seen.items()}


def main() -> None:
    """Measure in turn, A B A B, and print."""
    made = subprocess.run(
        [sys.executable, ROOT / "scripts" / "million_cells.py"], capture_output=True, text=True, check=True
    )
    file = Path(made.stdout.strip())
    ours = Served("coverslip", [str(Path(sys.executable).parent / "coverslip")])
    theirs = Served(PEER, [str(peer_command())])
    for _ in range(STARTS):
        ours.measure(file)
        theirs.measure(file)
    print(f"| 1,000,000 cells × 200 genes, CSR; medians of {STARTS} starts | coverslip | {PEER} | ratio |")
    print("|---|---|---|---|")
    for what, values in ours.seconds.items():
        a, b = statistics.median(values), statistics.median(theirs.seconds[what])
        print(f"| {what} | {a * 1000:,.1f} ms | {b * 1000:,.1f} ms | {b / a:.1f} × |")
    for what, a in ours.megabytes.items():
        b = theirs.megabytes[what]
        print(f"| server memory, {what} | {a:,.0f} MB | {b:,.0f} MB | {b / a:.1f} × |")
    wall = [
        timed(lambda: subprocess.run([ours.command[0], "--help"], capture_output=True, check=True)) for _ in range(9)
    ]
    print(f"| `coverslip --help`, wall | {statistics.median(wall) * 1000:,.0f} ms | | |")
    for what, value in browser_figures(file).items():
        print(f"| page: {what} | {value:,.0f} ms | | |")
    print(json.dumps({"cores": os.cpu_count()}), file=sys.stderr)


if __name__ == "__main__":
    main()
