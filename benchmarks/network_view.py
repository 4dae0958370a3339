"""The network view of the browser with 10 million connections: opening, drawing more of them, turning, one neuron.

It uses the system of `networks.py`, and Chromium with WebGL in software: a graphics card draws
many times as fast. The page draws an even sample of the connections, about as large as asked for, and 20,000 of those
while the camera moves.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

from measuring.results import OURS, Table, arguments, given, publish
from networks import NEURONS as SIZE
from networks import QUICK, data
from playwright.sync_api import Page, sync_playwright
from surroundings import CHROMIUM, CHROMIUM_FLAGS

ROUNDS = 3
PATIENCE_MS = 120_000
STEPS = (20_000, 200_000, 1_000_000)
NEURONS = (77, 5_000, 9_999)
DRAWN = """(edges) => {
    const view = document.querySelector('[data-testid=network]')?.dataset;
    return view?.painted === view?.neurons && Math.abs(Number(view?.edges) - edges) < edges / 4;
}"""
PICKED = """(gid) => {
    const view = document.querySelector('[data-testid=network]').dataset;
    return view.picked === gid && view.inputs !== '' && view.outputs !== '';
}"""
# Until a frame with it was sent to the screen.
FRAME = "() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"
WATCH = """() => {
    window.frames_ = [];
    const tick = (now) => { window.frames_.push(now); window.ticking = requestAnimationFrame(tick); };
    window.ticking = requestAnimationFrame(tick);
}"""
SEEN = "() => { cancelAnimationFrame(window.ticking); return window.frames_; }"


def drawn(page: Page, edges: int) -> None:
    """Wait until every neuron and about so many connections are drawn, and seen."""
    page.wait_for_function(DRAWN, arg=edges, timeout=PATIENCE_MS)
    page.evaluate(FRAME)


def seconds(work: Callable[[], object]) -> float:
    """How long something takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def opened(page: Page, url: str) -> None:
    """From nothing to every neuron and the first 2,000 connections."""
    page.goto(url)
    drawn(page, 2000)


def asked(page: Page, edges: int) -> None:
    """Another number of connections."""
    page.get_by_test_id("edges-select").select_option(str(edges))
    drawn(page, edges)


def turned(page: Page) -> list[float]:
    """Seconds between frames while the network is turned with the mouse."""
    box = page.locator("[data-testid=network] .canvas-host").bounding_box()
    assert box is not None
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.evaluate(WATCH)
    for step in range(40):
        page.mouse.move(x + 6 * step, y + 2 * step)
    times = page.evaluate(SEEN)
    page.mouse.up()
    page.wait_for_timeout(1500)
    return [(b - a) / 1000 for a, b in pairwise(times)]


def picked(page: Page, gid: int) -> None:
    """One neuron, its inputs and outputs drawn."""
    page.get_by_test_id("gid-input").fill(str(gid))
    page.get_by_test_id("gid-find").click()
    page.wait_for_function(PICKED, arg=str(gid), timeout=PATIENCE_MS)
    page.evaluate(FRAME)


def measured(page: Page, url: str, rounds: int, quick: bool) -> Table:
    """Everything, on one page."""
    table = Table("a few connections" if quick else "10 million connections", [OURS])

    def row(name: str, times: list[float]) -> None:
        table.note(name, "ms", OURS, *(1000 * value for value in times))

    row("page, every neuron and 2,000 connections", [seconds(lambda: opened(page, url)) for _ in range(rounds)])
    row("a frame while it turns", turned(page))
    row(
        "one neuron with its connections",
        [seconds(lambda g=gid: picked(page, g)) for gid in (NEURONS[:1] if quick else NEURONS)],
    )
    page.get_by_test_id("unpick").click()
    for step in () if quick else STEPS:
        row(f"{step:,} connections instead", [seconds(lambda s=step: asked(page, s))])
        row(f"a frame while it turns, {step:,} chosen", turned(page))
    table.note(
        "memory of the page's own data", "MB", OURS, page.evaluate("() => performance.memory.usedJSHeapSize") / 1e6
    )
    return table


def main() -> None:
    """Serve the system, look at it, publish."""
    args = given(arguments(__doc__, ROUNDS))
    folder = data(QUICK if args.quick else SIZE)
    assert CHROMIUM, "no Chromium on this machine"
    with tempfile.TemporaryDirectory() as cache:
        command = [str(Path(sys.executable).with_name("coverslip")), "serve", str(folder), "--port", "0"]
        server = subprocess.Popen(
            [*command, "--no-browser", "--quiet"],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "COVERSLIP_CACHE_DIR": cache},
        )
        try:
            assert server.stdout is not None
            url = server.stdout.readline().strip()
            with sync_playwright() as playwright:
                browser = playwright.chromium.launch(executable_path=CHROMIUM, args=CHROMIUM_FLAGS)
                page = browser.new_page(viewport={"width": 1280, "height": 800})
                found = page.request.get(f"{url}api/sources").json()[0]
                table = measured(page, f"{url}?network={found['source_id']}", args.rounds, args.quick)
                browser.close()
        finally:
            server.terminate()
            server.wait()
    publish("network_view", [table], {}, args)


if __name__ == "__main__":
    main()
