"""Tokens as a person meets them: in the printed URL, in a browser, after a restart."""

from __future__ import annotations

import json
import socket
import urllib.error
import urllib.parse
from contextlib import ExitStack
from pathlib import Path

import pytest
from conftest import ROOT, Open, Running, Start, Watched, fetch, href, repainted, wait_for
from playwright.sync_api import expect
from surroundings import free_port

from refused import refused_with

TOKEN = "sesame-sesame-sesame"
AXE = ROOT / "viewer" / "node_modules" / "axe-core" / "axe.min.js"


def place(running: Running) -> str:
    """The address of a server without its token."""
    return urllib.parse.urldefrag(running.url).url


def asked_for_data(seen: Watched) -> list[str]:
    """What a page asked of the server besides its own files and the door."""
    paths = [urllib.parse.urlsplit(url).path for url in seen.requests]
    return [p for p in paths if not p.startswith("/assets/") and p not in ("/", "/favicon.svg", "/api/session")]


def accessible(seen: Watched) -> list[str]:
    repainted(seen.page)
    seen.page.evaluate(AXE.read_text())
    found = seen.page.evaluate("async () => (await axe.run()).violations.map((v) => v.id)")
    return list(found)


def test_the_printed_url_opens_the_page_and_the_token_leaves_the_address(start: Start, pbmc: Path, look: Open) -> None:
    running = start(pbmc, "--token", TOKEN)
    assert running.url == f"{place(running)}#token={TOKEN}"
    seen = look(f"{place(running)}?color=gene:CST3#token={TOKEN}")
    seen.ready("gene:CST3")
    assert "token" not in href(seen.page)
    assert "#" not in href(seen.page)
    assert seen.problems == []
    assert not any("sesame" in url for url in seen.requests[1:]), (
        "a browser sends no fragment, and no page asks with it"
    )
    [cookie] = seen.page.context.cookies()
    assert (cookie["httpOnly"], cookie["sameSite"], cookie["secure"], cookie["expires"]) == (True, "Strict", False, -1)
    assert TOKEN not in json.dumps(cookie)
    assert seen.page.evaluate("document.cookie") == ""
    kept = seen.page.evaluate("JSON.stringify([{...localStorage}, {...sessionStorage}, history.state, history.length])")
    assert "sesame" not in kept
    seen.page.reload()
    seen.ready("gene:CST3")
    seen.page.goto("about:blank")
    seen.page.go_back()
    seen.ready("gene:CST3")
    assert "token" not in href(seen.page)


def test_a_token_in_the_query_still_works(start: Start, pbmc: Path, look: Open) -> None:
    running = start(pbmc, "--token", TOKEN)
    seen = look(f"{place(running)}?token={TOKEN}&color=gene:CST3")
    seen.ready("gene:CST3")
    assert "token" not in href(seen.page)
    assert [c["httpOnly"] and c["sameSite"] == "Strict" for c in seen.page.context.cookies()] == [True]
    assert not any("sesame" in url for url in seen.requests[1:])


def test_without_it_the_page_asks_and_asks_for_no_data(start: Start, pbmc: Path, look: Open) -> None:
    running = start(pbmc, "--token", TOKEN)
    seen = look(f"{place(running)}?color=gene:CST3")
    unlock = seen.page.get_by_test_id("unlock")
    expect(unlock).to_have_attribute("data-why", "missing")
    assert accessible(seen) == []
    assert asked_for_data(seen) == []
    seen.page.get_by_test_id("token").fill("not-the-right-token")
    seen.page.keyboard.press("Enter")
    expect(seen.page.get_by_test_id("unlock-error")).to_have_attribute("data-code", "token_needed")
    assert accessible(seen) == []
    seen.page.keyboard.press("Escape")
    seen.page.keyboard.press("Escape")
    expect(unlock).to_be_visible()
    assert asked_for_data(seen) == []
    assert seen.page.context.cookies() == []
    seen.page.get_by_test_id("token").fill(f"  {running.url}\n")
    seen.page.get_by_test_id("unlock-submit").click()
    seen.ready("gene:CST3")
    assert [problem for problem in seen.problems if "401" not in problem] == []
    assert not any("sesame" in url for url in seen.requests)


@pytest.mark.parametrize("address", ["?token=not-the-right-token&z=1", "?z=1#token=not-the-right-token"])
def test_a_wrong_token_in_the_link(start: Start, pbmc: Path, look: Open, address: str) -> None:
    running = start(pbmc, "--token", TOKEN)
    seen = look(f"{place(running)}{address}")
    expect(seen.page.get_by_test_id("unlock")).to_be_visible()
    assert href(seen.page) == f"{place(running)}?z=1"
    assert asked_for_data(seen) == []
    seen.page.evaluate("(token) => { location.hash = `token=${token}`; }", TOKEN)  # as pasted into the address bar
    seen.ready()
    assert "token" not in href(seen.page)


def test_a_page_in_use_survives_a_restart_with_another_token(start: Start, pbmc: Path, look: Open) -> None:
    running = start(pbmc, "--token", TOKEN, port=free_port())
    seen = look(f"{place(running)}?page=home#token={TOKEN}")
    expect(seen.page.get_by_test_id("source")).to_have_count(1)
    running.stop()
    port = urllib.parse.urlsplit(running.url).port
    again = start(pbmc, "--token", "another-token-than-before", port=port)
    expect(seen.page.get_by_test_id("unlock")).to_have_attribute("data-why", "ended")
    expect(seen.page.get_by_test_id("source")).to_have_count(1)  # what was seen stays
    seen.page.get_by_test_id("token").fill("another-token-than-before")
    seen.page.keyboard.press("Enter")
    expect(seen.page.get_by_test_id("unlock")).to_have_count(0)
    expect(seen.page.get_by_test_id("source")).to_have_count(1)
    assert again.process.poll() is None


def test_the_same_token_after_a_restart_needs_no_new_entry(start: Start, pbmc: Path, look: Open) -> None:
    running = start(pbmc, "--token", TOKEN, port=free_port())
    seen = look(f"{place(running)}?color=gene:CST3#token={TOKEN}")
    seen.ready("gene:CST3")
    running.stop()
    start(pbmc, "--token", TOKEN, port=urllib.parse.urlsplit(running.url).port)
    seen.page.reload()
    seen.ready("gene:CST3")


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 360])
def test_the_page_that_asks_fits(start: Start, pbmc: Path, look: Open, theme: str, width: int, tmp_path: Path) -> None:
    running = start(pbmc, "--token", TOKEN)
    seen = look(place(running), width=width, height=640, theme=theme)
    seen.page.get_by_test_id("token").fill("not-the-right-token")
    seen.page.keyboard.press("Enter")
    expect(seen.page.get_by_test_id("unlock-error")).to_have_attribute("data-code", "token_needed")
    box = seen.page.get_by_test_id("unlock").bounding_box()
    assert box is not None
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= width
    assert seen.page.evaluate("document.documentElement.scrollWidth") <= width
    assert accessible(seen) == []
    seen.page.screenshot(path=tmp_path / f"unlock-{theme}-{width}.png")


def test_a_token_that_is_made_up_is_printed_once_and_never_logged(start: Start, pbmc: Path) -> None:
    running = start(pbmc, "--host", "0.0.0.0", "--verbose")
    token = urllib.parse.urlsplit(running.url).fragment.removeprefix("token=")
    assert len(token) == 43
    here = place(running)
    with refused_with(401):
        fetch(f"{here}api/catalog")

    def sources() -> int:
        return int(json.loads(fetch(f"{here}api/catalog", Authorization=f"Bearer {token}"))["sources"])

    wait_for(lambda: sources() == 1, "the file")
    assert json.loads(fetch(f"{here}api/catalog", **{"X-Biopb-Token": token}))["sources"] == 1
    with refused_with(401):  # urllib follows, and keeps no cookie
        fetch(f"{here}api/catalog?token={token}")
    running.stop()
    said = (running.process.stdout.read() if running.process.stdout else "") + (
        running.process.stderr.read() if running.process.stderr else ""
    )
    assert "/api/catalog" in said
    assert "token=…" in said
    assert token not in said


def test_clients_that_stall_hold_up_nobody(start: Start, pbmc: Path) -> None:
    url = start(pbmc).url
    parts = urllib.parse.urlsplit(url)
    with ExitStack() as open_sockets:
        for number in range(60):
            sock = open_sockets.enter_context(socket.create_connection((parts.hostname, parts.port)))
            if number % 3 == 0:
                sock.sendall(b"GET /points_2d.bin HTT")  # never ends its request
            elif number % 3 == 1:
                sock.sendall(b"GET /var/CST3.values.f32 HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")  # never reads its answer
        assert len(fetch(f"{url}points_2d.bin")) == 5600
