"""A copy on a plain web host (Python's, below its root), drawn by a real browser without a server of ours."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from conftest import Open, href, linked, run, wait_for


class Quiet(http.server.SimpleHTTPRequestHandler):
    """``python -m http.server``, without its log; it keeps connections, which makes the page load in half the time."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def host(tmp_path: Path) -> Iterator[str]:
    """The address of the folder above."""
    (tmp_path / "www").mkdir()
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=tmp_path / "www")) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


def test_a_plain_web_host_shows_it(tmp_path: Path, host: str, command: Path, pbmc: Path, look: Open) -> None:
    """Points, a field, a gene, a cell's values, a link; without one error on the console or request that fails."""
    site = tmp_path / "www" / "lab" / "blood cells"
    run(command, "prepare", pbmc, site, "--static", "--var-quantization", "8")
    watched = look(f"{host}lab/blood%20cells/")
    watched.ready("field:bulk_labels")
    assert watched.attribute("cells") == "700"
    page = watched.page
    assert page.title().startswith("10x_pbmc68k_reduced")
    assert page.get_by_test_id("legend-item").count() == 10
    page.get_by_test_id("gene-search").fill("CST3")
    page.get_by_test_id("gene-option").first.click()
    watched.ready("gene:CST3")
    for hidden in ("home-link", "analyse", "to-search"):
        assert not page.get_by_test_id(hidden).is_visible()
    page.get_by_role("button", name="Select all shown").click()
    page.wait_for_function("() => document.querySelector('[data-testid=scatter]').dataset.selected === '700'")
    wait_for(lambda: linked(page).get("color") == "gene:CST3", f"the link, not {href(page)}")
    link = href(page)
    assert "/lab/blood%20cells/?" in link
    again = look(link)
    again.ready("gene:CST3")
    for one in (watched, again):
        assert one.problems == []
        assert all(url.startswith((f"{host}lab/blood%20cells/", "blob:", "data:")) for url in one.requests)
        assert not any("api/" in url or "analysis/" in url for url in one.requests)
