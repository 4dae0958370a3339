"""The unmodified h5pyd in a browser's own Python, on a page of another origin, without a network.

Pyodide and the wheels come from a server of the test; of ours come nothing but data.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import urlsplit

import pytest
from conftest import Running, Start, visitor
from playwright.sync_api import Browser
from pyodide_files import pyodide_files

from coverslip.testing.networks import culture, write_system

TOKEN = "a-token-for-the-browser"

# h5json imports h5py, which cannot be had here, for the names of some numbers.
STUB = """
import sys, types
h5py = types.ModuleType("h5py")
h5py.h5z = types.SimpleNamespace(
    SZIP_EC_OPTION_MASK=4, SZIP_NN_OPTION_MASK=32, SO_FLOAT_DSCALE=0, SO_FLOAT_ESCALE=1, SO_INT=2
)
sys.modules["h5py"] = h5py
"""
INSTALL = """
import micropip
await micropip.install(wheels, deps=False)
import pyodide_http
pyodide_http.patch_all()
import h5pyd
"""
READ = """
import json
f = h5pyd.File("/EI1/cells.h5", "r", endpoint=endpoint, **options)
json.dumps({
    "populations": list(f["Populations"].keys()),
    "ranges": [[int(v) for v in row] for row in f["H5Types/Populations"][:]],
    "x": [float(v) for v in f["Populations/EXC/Generated Coordinates/X Coordinate/Attribute Value"][:3]],
    "n": len(f["Populations/EXC/Generated Coordinates/X Coordinate/Attribute Value"]),
})
"""
ONCE = """
h5pyd.httpconn.Retry = lambda **_: 0
"""
"""What cannot be reached is otherwise asked for again, for minutes."""
PAGE = """<!doctype html><html lang="en"><title>Python</title><script src="pyodide/pyodide.js"></script>
<script>
async function python(parts, names) {
  const own = window.own ??= loadPyodide({ indexURL: "pyodide/" });
  const pyodide = await own;
  await pyodide.loadPackage(["numpy", "pytz", "packaging", "micropip", "ssl"]);
  for (const [name, value] of Object.entries(names)) pyodide.globals.set(name, pyodide.toPy(value));
  let last;
  for (const part of parts) last = await pyodide.runPythonAsync(part);
  return last;
}
</script></html>"""


class Quiet(SimpleHTTPRequestHandler):
    """Static files, without a word."""

    extensions_map: ClassVar = {**SimpleHTTPRequestHandler.extensions_map, ".wasm": "application/wasm"}

    def log_message(self, format: str, *arguments: Any) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The origin of a page that is not ours, and brings Python along."""
    files = pyodide_files()
    folder = tmp_path_factory.mktemp("site")
    for name in ("pyodide", "wheels"):
        (folder / name).symlink_to(files / name)
    (folder / "index.html").write_text(PAGE)
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture(scope="module")
def systems(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pyodide") / "graphs"
    folder.mkdir()
    write_system(folder / "EI1", culture(10, 3))
    return folder


Reads = Callable[..., Any]


@pytest.fixture(scope="module")
def reads(site: str, browser: Browser) -> Iterator[Reads]:
    """Runs parts of Python in one page of `site`, where h5pyd was installed; what the last one says."""
    contexts = ExitStack()
    page = contexts.enter_context(visitor(browser)).new_page()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(site)
    wheels = [f"{site}/wheels/{wheel.name}" for wheel in sorted((pyodide_files() / "wheels").iterdir())]
    page.evaluate("([parts, names]) => python(parts, names)", [[STUB, INSTALL], {"wheels": wheels}])
    own = {urlsplit(site).netloc}

    def run(server: Running, *parts: str, **options: Any) -> Any:
        own.add(urlsplit(server.url).netloc)
        names = {"endpoint": f"{server.url.split('#')[0]}hsds", "options": options}
        return page.evaluate("([parts, names]) => python(parts, names)", [list(parts), names])

    yield run
    contexts.close()
    elsewhere = {urlsplit(url).netloc for url in asked if url.startswith("http")} - own
    assert not elsewhere, f"asked elsewhere: {elsewhere}"


def is_right(answer: str) -> None:
    found = json.loads(answer)
    assert found["populations"] == ["EXC", "INH"]
    assert found["ranges"] == [[0, 8, 10], [8, 2, 11]]
    assert len(found["x"]) == 3
    assert found["n"] == 8


def test_h5pyd_reads_in_the_browser(start: Start, systems: Path, site: str, reads: Reads) -> None:
    server = start(systems, "--allow-origin", site)
    is_right(reads(server, READ))


def test_a_page_that_was_not_allowed_reads_nothing(start: Start, systems: Path, reads: Reads) -> None:
    server = start(systems)
    with pytest.raises(Exception, match="OSError"):
        reads(server, ONCE, READ)


def test_the_same_with_a_token(start: Start, systems: Path, site: str, reads: Reads) -> None:
    """h5pyd 1.0.0 writes the header as bytes, which a browser spells as their numbers; they are understood."""
    server = start(systems, "--allow-origin", site, "--token", TOKEN)
    is_right(reads(server, READ, username="anyone", password=TOKEN))
    is_right(reads(server, READ, api_key=TOKEN))
    for shown in ({"username": "anyone", "password": "wrong"}, {"api_key": "wrong"}, {}):
        with pytest.raises(Exception, match="OSError"):
            reads(server, READ, **shown)
