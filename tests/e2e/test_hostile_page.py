"""A hostile page in the browser of somebody who runs a server: another site, and a name that leads to this machine."""

from __future__ import annotations

import http.server
import threading
import urllib.parse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import EVIL, Running, Start, fetch, visitor
from playwright.sync_api import Browser, Page

READS = ["dataset_identity.json", "api/sources", "genes/0.values.f32", "_cellucid/datasets", "api/config", "hsds/"]
TRY = """
async ([server, paths]) => {
    const read = [];
    const tell = (how, what) => read.push(`${how}: ${what}`);
    const late = (promise) => Promise.race([promise, new Promise((_, no) => setTimeout(() => no("late"), 3000))]);
    for (const path of paths) {
        for (const mode of ["cors", "no-cors", "same-origin"])
            for (const credentials of ["omit", "include"])
                try {
                    const answer = await late(fetch(server + path, { mode, credentials }));
                    const text = await answer.text();
                    if (text || answer.status) tell(`fetch ${mode} ${path}`, `${answer.status} ${text.slice(0, 40)}`);
                } catch {}
    }
    const query = ["POST", "api/sources/query"];
    const put = ["PUT", "api/config"];
    const types = ["text/plain", "application/json"];
    for (const [method, path, type] of types.flatMap((t) => [[...query, t], [...put, t]]))
        try {
            const headers = { "Content-Type": type };
            const answer = await late(fetch(server + path, { method, headers, body: '{"sql": "SELECT 1"}' }));
            tell(`send ${path}`, answer.status);
        } catch {}
    const element = (name, attributes) => late(new Promise((yes, no) => {
        const made = document.createElement(name);
        made.onload = () => yes(made);
        made.onerror = () => no("refused");
        Object.assign(made, attributes);
        document.body.append(made);
    }));
    for (const path of ["favicon.svg", "api/thumbnail/0"])
        try {
            const made = await element("img", { src: server + path });
            tell(`img ${path}`, made.naturalWidth);
        } catch {}
    for (const path of ["dataset_identity.json", "genes.json"])
        try { await element("script", { src: server + path }); tell("script", path); } catch {}
    try {
        const frame = await element("iframe", { src: server });
        if (frame.contentDocument?.body?.innerText) tell("iframe", frame.contentDocument.body.innerText.slice(0, 40));
        if (frame.contentWindow.length) tell("iframe", `has ${frame.contentWindow.length} frames`);
    } catch {}
    try {
        await late(new Promise((yes, no) => {
            const socket = new WebSocket(server.replace("http", "ws") + "ws/render");
            socket.onopen = () => yes(tell("socket", "open"));
            socket.onerror = no;
        }));
    } catch {}
    try {
        await late(new Promise((yes, no) => {
            const events = new EventSource(server + "api/events");
            events.onopen = () => yes(tell("events", "open"));
            events.onerror = no;
        }));
    } catch {}
    return read;
}
"""


class Quiet(http.server.SimpleHTTPRequestHandler):
    """Answers every question with an empty page."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(b"<!doctype html><title>hostile</title><body></body>")

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing."""


@pytest.fixture(scope="module")
def site() -> Iterator[int]:
    """The port of the hostile site."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Quiet) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port
        server.shutdown()


@pytest.fixture(scope="module")
def server(start: Start, pbmc: Path) -> Running:
    return start(pbmc)


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    with visitor(browser) as context:
        yield context.new_page()


def test_another_site_reads_nothing(page: Page, server: Running, site: int) -> None:
    page.goto(server.url)  # the user's own tab: it has whatever cookies there are
    page.locator("[data-page=cells][data-state=ready]").wait_for()
    own = page.context.new_page()
    own.goto(f"http://127.0.0.1:{site}/")
    assert "dataset_identity.json" in READS
    for url in (f"http://{EVIL}:{site}/", f"http://127.0.0.1:{site}/", f"http://localhost:{site}/"):
        own.goto(url)
        read = own.evaluate(TRY, [server.url, READS])
        assert read == [], url
    assert fetch(f"{server.url}_cellucid/health"), "it is there all the same"


def test_a_name_that_leads_here_reads_nothing(page: Page, server: Running) -> None:
    port = urllib.parse.urlsplit(server.url).port
    base = f"http://{EVIL}:{port}/"
    answer = page.goto(base)
    assert answer is not None
    assert answer.status == 421
    read = page.evaluate("async (paths) => Promise.all(paths.map(async (p) => (await fetch('/' + p)).status))", READS)
    assert set(read) == {421}


def test_the_guard_is_what_stops_it(page: Page, start: Start, pbmc: Path, site: int) -> None:
    """The same attempts succeed from a page that was allowed: they can."""
    allowed = start(pbmc, "--allow-origin", f"http://{EVIL}:{site}")
    page.goto(f"http://{EVIL}:{site}/")
    read = page.evaluate(TRY, [allowed.url, READS[:1]])
    assert any(line.startswith("fetch cors dataset_identity.json: 200") for line in read), read
