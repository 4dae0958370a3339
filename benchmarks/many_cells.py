"""One, five and ten million cells in the viewer: first points, all points, memory, frames while the camera moves.

Needs Chromium, which draws in software here. Pass numbers of cells to measure others. There is no peer in this table:
cellucid's page is fetched from its makers' server.
"""

from __future__ import annotations

import itertools
import statistics
import subprocess
import sys
import threading
import time
import urllib.request
from pathlib import Path

import psutil
from measuring import ROOT
from measuring.results import Table, arguments, given, publish
from playwright.sync_api import Browser, Page, sync_playwright
from surroundings import CHROMIUM, CHROMIUM_FLAGS

CELLS, QUICK = (1_000_000, 5_000_000, 10_000_000), (2_000,)
MOST_KEPT = 5_000_000
"""Files of more cells take gigabytes, and are removed when they were measured."""
PATIENCE_MS = 300_000
DRAG_S = 3.0
PAINTED = "(n) => document.querySelector('[data-testid=scatter]')?.dataset.painted === String(n)"
QUIET = "() => document.querySelector('[data-testid=progress]')?.textContent === ''"
SEEN = """() => new Promise((done) => {
    requestAnimationFrame(() => requestAnimationFrame(() => done(performance.now())));
})"""
FRAMES = """() => {
    const times = [];
    const points = [];
    const look = (now) => {
        times.push(now);
        points.push(Number(document.querySelector('[data-testid=scatter]').dataset.painted));
        window.frame = requestAnimationFrame(look);
    };
    window.frame = requestAnimationFrame(look);
    window.frames = () => { cancelAnimationFrame(window.frame); return [times, points]; };
}"""


def megabytes(processes: list[psutil.Process]) -> float:
    """Memory that is in use by nobody else, of some processes."""
    return sum(one.memory_full_info().uss for one in processes if one.is_running()) / 1e6


def chromium() -> list[psutil.Process]:
    """Every process of the browser that this script started."""
    return [one for one in psutil.Process().children(recursive=True) if "chrom" in one.name()]


class Health:
    """Asks a server how it is, again and again, on the side."""

    def __init__(self, url: str) -> None:
        self.url, self.times, self.going = url, [], True  # type: tuple[str, list[float], bool]
        self.thread = threading.Thread(target=self.ask, daemon=True)
        self.thread.start()

    def ask(self) -> None:
        """Until it is ended."""
        while self.going:
            started = time.perf_counter()
            urllib.request.urlopen(f"{self.url}_cellucid/health", timeout=60).read()
            self.times.append((time.perf_counter() - started) * 1000)
            time.sleep(0.01)

    def end(self) -> float:
        """The 95th percentile, in milliseconds."""
        self.going = False
        self.thread.join()
        return sorted(self.times)[int(len(self.times) * 0.95)]


def panned(page: Page) -> tuple[float, float, float]:
    """Drag the plot in circles: median and 95th percentile of the time between frames, and points in a frame."""
    box = page.locator(".canvas-host").first.bounding_box() or {"x": 0, "y": 0, "width": 1, "height": 1}
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 5, y)
    page.wait_for_timeout(300)
    page.evaluate(FRAMES)
    end = time.monotonic() + DRAG_S
    step = 0
    while time.monotonic() < end:
        step += 1
        page.mouse.move(x + 40 * ((step % 8) / 4 - 1), y + 40 * ((step % 10) / 5 - 1))
    times, points = page.evaluate("() => window.frames()")
    page.mouse.up()
    between = sorted(b - a for a, b in itertools.pairwise(times)) or [DRAG_S * 1000]
    return statistics.median(between), between[int(len(between) * 0.95)], statistics.median(points or [0])


def measured(browser: Browser, n: int) -> dict[str, tuple[float, str]]:
    """Everything about a file of so many cells."""
    made = [sys.executable, ROOT / "scripts" / "million_cells.py", str(n)]
    file = subprocess.run(made, check=True, capture_output=True, text=True).stdout.strip()
    command = [Path(sys.executable).parent / "coverslip", "serve", file, "--port", "0", "--no-browser", "--quiet"]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        url = server.stdout.readline().strip()
        health = Health(url)
        page = browser.new_context(viewport={"width": 1280, "height": 800}).new_page()
        page.goto(url)
        page.wait_for_function(PAINTED, arg=n, timeout=PATIENCE_MS)
        page.wait_for_function(QUIET, timeout=PATIENCE_MS)
        every = page.evaluate(SEEN)  # the mark is of the frame that was sent, this of the one that was seen
        p95 = health.end()
        first = page.evaluate("() => performance.getEntriesByName('coverslip:first-paint')[0].startTime")
        page.wait_for_timeout(2000)
        memory = megabytes(chromium())
        served = megabytes([psutil.Process(server.pid)])
        middle, slow, points = panned(page)
        page.wait_for_function(PAINTED, arg=n, timeout=PATIENCE_MS)
        errors = page.get_by_test_id("error").count()
        page.context.close()
    finally:
        server.terminate()
        server.wait()
        if n > MOST_KEPT:
            Path(file).unlink()
    found = {
        "first points": (first / 1000, "s"),
        "all points": (every / 1000, "s"),
        "browser's memory, all processes": (memory, "MB"),
        "server's memory": (served, "MB"),
        "between frames while moving, median": (middle, "ms"),
        "… 95th percentile": (slow, "ms"),
        "points in such a frame": (points, ""),
        "health while it loads, p95": (p95, "ms"),
        "errors on the page": (errors, ""),
    }
    print(n, found, file=sys.stderr, flush=True)
    return found


def main() -> None:
    """Measure and publish."""
    parser = arguments(__doc__, 1)
    parser.add_argument("cells", type=int, nargs="*", help="other numbers of cells")
    args = given(parser)
    numbers = args.cells or list(QUICK if args.quick else CELLS)
    table = Table("WebGL in software", [f"{n:,} cells" for n in numbers])
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=CHROMIUM_FLAGS)
        for n in (n for n in numbers for _ in range(args.rounds)):
            for name, (value, unit) in measured(browser, n).items():
                table.note(name, unit, f"{n:,} cells", value)
        browser.close()
    publish("many_cells", [table], {}, args)


if __name__ == "__main__":
    main()
