"""Tokens as a person meets them: in the printed URL, in a browser, after a restart."""

from __future__ import annotations

import socket
import urllib.parse
from contextlib import ExitStack
from pathlib import Path

from conftest import Open, Start, fetch


def test_the_printed_url_opens_the_page_and_the_token_leaves_the_address(start: Start, pbmc: Path, look: Open) -> None:
    url = start(pbmc, "--token", "sesame-sesame").url
    assert "token=sesame-sesame" in url
    seen = look(f"{url}&color=gene:CST3")
    seen.ready("gene:CST3")
    assert "token" not in seen.page.url
    assert seen.problems == []
    cookies = seen.page.context.cookies()
    assert [c["httpOnly"] and c["sameSite"] == "Strict" for c in cookies] == [True]
    seen.page.reload()
    seen.ready("gene:CST3")
    assert not any("sesame" in asked for asked in seen.requests[1:])


def test_without_the_token_a_page_says_what_to_do(start: Start, pbmc: Path, look: Open) -> None:
    url = urllib.parse.urlsplit(start(pbmc, "--token", "sesame-sesame").url)
    seen = look(f"http://{url.netloc}/")
    assert "Open the whole URL that the server printed" in seen.page.inner_text("body")


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
