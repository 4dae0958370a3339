"""What the end-to-end tests share: an installed wheel, running servers, a real browser, real data."""

from __future__ import annotations

import fcntl
import os
import queue
import signal
import subprocess
import sys
import threading
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, TimeoutError, expect, sync_playwright
from surroundings import CHROMIUM, CHROMIUM_FLAGS, fill

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_S = 120
"""How long anything is waited for. What a quiet machine does in a second has taken a minute on a busy one."""
PATIENCE_MS = PATIENCE_S * 1000
expect.set_options(timeout=PATIENCE_MS)
EVIL = "evil.example"
"""The name of a hostile site. It leads to this machine, as that of one does which answers so at the second question."""
LONGEST = (
    "test_engines", "test_deploy_nginx", "test_deploy_ssh", "test_image_viewer", "test_home", "test_home_many",
    "test_client", "test_image_page", "test_image_kinds", "test_deploy", "test_viewer", "test_network_view",
    "test_soak", "test_cells_on_tissue", "test_tissue_page", "test_flight_clients", "test_daemon", "test_notebook",
    "test_cells_analysis", "test_h5web", "test_vitessce", "test_h5pyd", "test_exports", "test_cells_filters",
    "test_peer",
)  # fmt: skip
"""The files that take longest: begun first, so that no process is left with a long one when the others are done."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything in this folder is an end-to-end test."""
    own = [item for item in items if Path(__file__).parent in item.path.parents]
    for item in own:
        item.add_marker("e2e")
    ranks = {id(item): LONGEST.index(item.path.stem) if item.path.stem in LONGEST else len(LONGEST) for item in own}
    items.sort(key=lambda item: ranks.get(id(item), -1))


def run(*command: str | Path, **options: object) -> subprocess.CompletedProcess[str]:
    """Run a command; a failure shows what it said."""
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True, check=False, **options)  # type: ignore[call-overload]
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done  # type: ignore[no-any-return]


READY = """(color) => {
    const app = document.querySelector('[data-testid=app]');
    const s = document.querySelector('[data-testid=scatter]');
    return app?.dataset.state === 'ready' && Number(s.dataset.cells) > 0
        && s.dataset.painted === s.dataset.cells
        && (color === null ? s.dataset.color !== 'none' : s.dataset.color === color)
        && document.querySelector('[data-testid=progress]').textContent === '';
}"""
STATE = """() => JSON.stringify([
    location.href,
    ...['app', 'scatter'].map((id) => ({...document.querySelector(`[data-testid=${id}]`)?.dataset})),
    document.querySelector('[data-testid=progress]')?.textContent,
    document.querySelector('[data-testid=gene-search]')?.value,
    document.activeElement?.outerHTML.slice(0, 200),
])"""


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of this run, the same for tests that run at the same time."""
    own = tmp_path_factory.getbasetemp()
    return own.parent if "PYTEST_XDIST_WORKER" in os.environ else own


@contextmanager
def making(folder: Path) -> Iterator[bool]:
    """Whether a folder is still to be made; who comes meanwhile waits until it is there."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with (folder.parent / f"{folder.name}.lock").open("w") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)
        done = folder.parent / f"{folder.name}.done"
        yield not done.is_file()
        done.touch()


@pytest.fixture(scope="session")
def wheel(shared: Path) -> Path:
    """The wheel built from this checkout, its viewer included."""
    folder = shared / "wheel"
    with making(folder) as missing:
        if missing:
            flags = ("--quiet", "--no-deps", "--no-build-isolation")  # what builds it is here
            run(sys.executable, "-m", "pip", "wheel", *flags, "--wheel-dir", folder, ROOT)
    return next(folder.glob("coverslip-*.whl"))


Install = Callable[..., Path]


@pytest.fixture(scope="session")
def install(wheel: Path, shared: Path) -> Install:
    """Installs the wheel with some extras, and what else is named, once in this run; the environment's Python."""

    def installed(extras: str = "", *others: str) -> Path:
        folder = shared / "installed" / "+".join(filter(None, [extras.replace(",", "+") or "plain", *others]))
        with making(folder) as missing:
            if missing:
                fill(folder, f"{wheel}[{extras}]" if extras else str(wheel), *others)
        return folder / "bin" / "python"

    return installed


@pytest.fixture(scope="session")
def command(install: Install) -> Path:
    """The ``coverslip`` command of an environment into which only the wheel was installed."""
    return install().parent / "coverslip"


@pytest.fixture(scope="session")
def imaging_command(install: Install) -> Path:
    """The installed command with the libraries that read image files."""
    return install("images").parent / "coverslip"


@dataclass
class Running:
    """A server process."""

    process: subprocess.Popen[str]
    url: str = ""
    lines: list[str] = field(default_factory=list)

    def stop(self, how: signal.Signals = signal.SIGINT) -> int:
        """Ask it to end; its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(how)
        return self.process.wait(PATIENCE_S)


def first_line(process: subprocess.Popen[str]) -> str:
    """The first line a process prints, or an error when it prints none."""
    lines: queue.Queue[str] = queue.Queue()
    assert process.stdout is not None
    threading.Thread(target=lambda: lines.put(process.stdout.readline()), daemon=True).start()  # type: ignore[union-attr]
    try:
        line = lines.get(timeout=PATIENCE_S)
    except queue.Empty:
        raise AssertionError("the server said nothing") from None
    assert line, process.stderr.read() if process.stderr else "the server ended"
    return line.strip()


Start = Callable[..., Running]


@pytest.fixture(scope="module")
def start(command: Path) -> Iterator[Start]:
    """Starts servers of the installed wheel on free ports; all are stopped afterwards."""
    started: list[Running] = []

    def begin(*arguments: str | Path, port: int = 0, **environment: str) -> Running:
        process = subprocess.Popen(
            [command, "serve", *map(str, arguments), "--port", str(port), "--no-browser", "--quiet"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, **environment},
        )
        running = Running(process)
        started.append(running)
        running.url = first_line(process)
        return running

    yield begin
    for running in started:
        running.stop(signal.SIGKILL)
        for stream in (running.process.stdout, running.process.stderr):
            if stream is not None:
                stream.close()


@pytest.fixture(scope="session")
def pbmc() -> Path:
    """scanpy's 700 blood cells, in the encoding of anndata 0.5."""
    return Path(run(sys.executable, ROOT / "scripts" / "pypi_file.py", "10x_pbmc68k_reduced.h5ad").stdout.strip())


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """The system's Chromium."""
    assert CHROMIUM, "no Chromium on this machine: apt-get install chromium"
    with sync_playwright() as playwright:
        # A name that leads to this machine, for the tests of hostile pages.
        rules = f"--host-resolver-rules=MAP {EVIL} 127.0.0.1"
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=[*CHROMIUM_FLAGS, rules])
        yield chromium
        chromium.close()


@contextmanager
def visitor(browser: Browser, **how: Any) -> Iterator[BrowserContext]:
    """Somebody with a browser that knows nothing yet. ``COVERSLIP_SLOW=6`` makes its pages six times slower."""
    context = browser.new_context(**how)
    context.set_default_timeout(PATIENCE_MS)
    if rate := int(os.environ.get("COVERSLIP_SLOW", "0")):
        context.on("page", lambda page: _slow(page, rate))
    try:
        yield context
    finally:
        context.close()


def _slow(page: Page, rate: int) -> None:
    page.context.new_cdp_session(page).send("Emulation.setCPUThrottlingRate", {"rate": rate})


FRAMES = "() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => done(true))))"


def repainted(page: Page) -> None:
    """Wait until what the page holds now is on the screen."""
    page.evaluate(FRAMES)


def still(page: Page, take: Callable[[], bytes]) -> bytes:
    """A picture of something that no longer moves: the same one twice."""
    found = [b"", take()]

    def same() -> bool:
        repainted(page)
        found[:] = [found[1], take()]
        return found[0] == found[1]

    wait_for(same, "a picture that stays")
    return found[1]


def href(page: Page) -> str:
    """The address bar as it is now: Playwright's own copy is behind while nobody asks anything."""
    address: str = page.evaluate("location.href")
    return address


def linked(page: Page) -> dict[str, str]:
    """The query in the address bar as it is now."""
    return dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(href(page)).query))


@dataclass
class Watched:
    """A page and everything that went wrong on it."""

    page: Page
    problems: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def hear(self, message: ConsoleMessage) -> None:
        """Note an error on the console, and where it is from."""
        if message.type == "error":
            self.problems.append(f"{message.text} ({urllib.parse.urlsplit(message.location['url']).path})")

    def attribute(self, name: str) -> str:
        """A ``data-`` attribute of the scatter view."""
        return self.page.get_by_test_id("scatter").get_attribute(f"data-{name}") or ""

    def ready(self, color: str | None = None) -> None:
        """Wait until all cells are drawn (in the colours asked for)."""
        try:
            self.page.wait_for_function(READY, arg=color)
        except TimeoutError as error:
            raise AssertionError(f"{color} was never drawn: {self.page.evaluate(STATE)}, {self.problems}") from error
        repainted(self.page)


Open = Callable[..., Watched]


@pytest.fixture
def look(browser: Browser) -> Iterator[Open]:
    """Opens pages that note console errors, failed scripts and every address asked for."""
    with ExitStack() as contexts:

        def opened(url: str, width: int = 1280, height: int = 800, theme: str = "light") -> Watched:
            size = {"width": width, "height": height}
            watched = Watched(contexts.enter_context(visitor(browser, viewport=size, color_scheme=theme)).new_page())
            watched.page.on("console", watched.hear)
            watched.page.on("pageerror", lambda e: watched.problems.append(str(e)))
            watched.page.on("request", lambda r: watched.requests.append(r.url))
            watched.page.goto(url)
            return watched

        yield opened


def fetch(url: str, **headers: str) -> bytes:
    """One body over a connection of its own."""
    request = urllib.request.Request(url, headers={"Connection": "close", **headers})
    with urllib.request.urlopen(request, timeout=PATIENCE_S) as response:
        body: bytes = response.read()
        return body


def wait_for(condition: Callable[[], bool], what: str) -> None:
    """Wait until something holds."""
    end = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < end, f"waited in vain for {what}"
        time.sleep(0.05)


Result = TypeVar("Result")


def eventually(check: Callable[[], Result]) -> Result:
    """Try until all that is asserted holds; what is told in the end is the last failure."""
    end = time.monotonic() + PATIENCE_S
    while True:
        try:
            return check()
        except AssertionError:
            if time.monotonic() > end:
                raise
        time.sleep(0.05)
