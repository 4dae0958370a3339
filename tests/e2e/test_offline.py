"""A machine whose network was taken away, first start ever: the command, its page and the data, in a real Chromium."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import CHROMIUM, CHROMIUM_FLAGS, PATIENCE_S

ALONE = ["unshare", "--map-root-user", "--net", "sh", "-ec"]
"""A network of its own, with nothing in it but loopback."""
LOOPBACK = "ip link set lo up"
VISIT = """
import json, subprocess, sys
from playwright.sync_api import sync_playwright

command, data, chromium, flags = sys.argv[1:]
serve = [command, "serve", data, "--port", "0", "--no-browser", "--quiet"]
server = subprocess.Popen(serve, stdout=subprocess.PIPE, text=True)
try:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=json.loads(flags))
        page = browser.new_page()
        page.set_default_timeout(120_000)
        page.goto(server.stdout.readline().strip())
        page.locator("[data-page=cells][data-state=ready]").wait_for()
        print(page.get_by_test_id("cell-count").inner_text())
        browser.close()
finally:
    server.kill()
"""


def test_the_first_start_ever_needs_no_network(command: Path, pbmc: Path, tmp_path: Path) -> None:
    if not shutil.which("unshare") or subprocess.run([*ALONE, LOOPBACK], capture_output=True, check=False).returncode:
        pytest.skip("this machine does not let us make a network of our own")
    assert CHROMIUM
    flags = json.dumps([*CHROMIUM_FLAGS, "--no-sandbox"])
    done = subprocess.run(
        [*ALONE, f'{LOOPBACK}; exec "$@"', "sh", sys.executable, "-c", VISIT, str(command), str(pbmc), CHROMIUM, flags],
        capture_output=True, text=True, check=False, timeout=PATIENCE_S * 3, env={**os.environ, "HOME": str(tmp_path)},
    )  # fmt: skip
    assert done.stdout.strip() == "700 cells", done.stderr[-2000:]
