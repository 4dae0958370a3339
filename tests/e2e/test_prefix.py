"""Behind a path prefix: nginx that leaves it on or takes it off, Open OnDemand's rules, and jupyter-server-proxy."""

from __future__ import annotations

import getpass
import json
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from conftest import PATIENCE_S, ROOT, Open, Start, fetch, wait_for
from surroundings import environment, free_port

from every_front import SOURCES, Client, check_every_front, lab

TOKEN = "a-token-of-these-tests_0123"
BEARER = {"Authorization": f"Bearer {TOKEN}"}
JUPYTER = ("jupyterlab==4.6.6", "jupyter-server-proxy==4.6.0", "anywidget==0.11.0", "anndata==0.12.19")
HEADERS = """
        proxy_http_version 1.1;
        proxy_set_header X-Forwarded-For $remote_addr;
        proxy_set_header X-Forwarded-Proto $scheme;
        proxy_set_header Upgrade $http_upgrade;
        proxy_set_header Connection $coverslip_connection;
        proxy_buffering off;"""
PLACES = """
    location /left/on/ {{        # left on, and told
        proxy_pass http://127.0.0.1:{trusting};
        proxy_set_header Host $http_host;
        proxy_set_header X-Forwarded-Prefix /left/on;{headers}
    }}
    location /user/ann@lab.org/ {{  # left on, escaped
        proxy_pass http://127.0.0.1:{trusting};
        proxy_set_header Host $http_host;
        proxy_set_header X-Forwarded-Prefix /user/ann%40lab.org;{headers}
    }}
    location /node/ {{           # Open OnDemand: the host is the node's, the cookie's path is rewritten
        proxy_pass http://127.0.0.1:{node};
        proxy_set_header X-Forwarded-Host $http_host;
        proxy_cookie_path ~.* /node/127.0.0.1/{node};{headers}
    }}
    location /rnode/127.0.0.1/{node}/ {{
        proxy_pass http://127.0.0.1:{node}/;
        proxy_set_header X-Forwarded-Host $http_host;
        proxy_redirect ~^\\.(/.*)$ /rnode/127.0.0.1/{node}$1;
        proxy_cookie_path ~.* /rnode/127.0.0.1/{node};{headers}
    }}
"""


@pytest.fixture(scope="module")
def command(imaging_command: Path) -> Path:
    return imaging_command


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return lab(tmp_path_factory.mktemp("lab"))


@pytest.fixture(scope="module")
def nginx(start: Start, data: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, int]]:
    """nginx before two servers, one that is told its prefix at the start; its address and that server's port."""
    folder, port, node = tmp_path_factory.mktemp("nginx"), free_port(), free_port()
    trust = ("--token", TOKEN, "--trusted-proxy", "127.0.0.1")
    trusting = start(*data, *trust)
    start(*data, *trust, "--root-path", f"/node/127.0.0.1/{node}", port=node)
    ours = (
        (ROOT / "deploy" / "nginx-prefix.conf")
        .read_text()
        .replace("127.0.0.1:8814", f"127.0.0.1:{urlsplit(trusting.url).port}")
    )
    upgrade, _, location = ours.partition("location ")
    places = f"location {location}" + PLACES.format(trusting=urlsplit(trusting.url).port, node=node, headers=HEADERS)
    user = f"user {getpass.getuser()};" if os.getuid() == 0 else ""
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    temporary = "".join(f"{kind}_temp_path {folder}/{kind};\n" for kind in kinds)
    (folder / "nginx.conf").write_text(
        f"{user}\ndaemon off;\npid {folder}/pid;\nerror_log {folder}/error.log;\nevents {{}}\nhttp {{\n{temporary}"
        f"access_log off;\n{upgrade}"
        f"server {{\n    listen 127.0.0.1:{port};\n{places}}}\n}}\n"
    )
    program = shutil.which("nginx", path=os.environ["PATH"] + ":/usr/sbin:/sbin")
    assert program, "nginx is missing: run scripts/deploy-tools"
    words = [program, "-p", str(folder), "-c", str(folder / "nginx.conf"), "-e", str(folder / "error.log")]
    process = subprocess.Popen(words, start_new_session=True)
    try:
        here = f"http://localhost:{port}/"
        wait_for(lambda: Client(f"{here}lab/coverslip/", BEARER, TOKEN).ready(), f"nginx: {folder / 'error.log'}")
        wait_for(lambda: Client(f"{here}node/127.0.0.1/{node}/", BEARER, TOKEN).ready(), "the second server")
        yield here, node
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(PATIENCE_S)


@pytest.mark.parametrize(
    "prefix", ["lab/coverslip/", "left/on/", "user/ann%40lab.org/", "node/127.0.0.1/{node}/", "rnode/127.0.0.1/{node}/"]
)
def test_every_front_behind_nginx(nginx: tuple[str, int], prefix: str) -> None:
    here, node = nginx
    url = here + prefix.format(node=node)
    told = here + prefix.format(node=node).removeprefix("r") if prefix.startswith("rnode") else url
    assert Client(url).ask("api/catalog")[0] == 401
    check_every_front(Client(url, BEARER, TOKEN, told))


def test_a_person_behind_a_prefix(nginx: tuple[str, int], look: Open) -> None:
    here, node = nginx
    path = f"/node/127.0.0.1/{node}/"
    seen = look(f"{here}{path[1:]}?dataset=cells&color=gene:plain#token={TOKEN}")
    seen.ready("gene:plain")
    assert "token" not in seen.page.url
    [cookie] = seen.page.context.cookies()
    assert cookie["path"].rstrip("/") == path.rstrip("/")
    assert cookie["httpOnly"]
    seen.page.reload()
    seen.ready("gene:plain")
    seen.page.goto(f"{here}{path[1:]}?page=home&token={TOKEN}")
    seen.page.get_by_test_id("source").nth(len(SOURCES) - 1).wait_for()
    assert urlsplit(seen.page.url).path == path
    seen.page.goto(f"{here}{path[1:]}?image=image.ome")
    seen.page.get_by_test_id("image").wait_for()
    assert {urlsplit(url).path.startswith(path) for url in seen.requests if url.startswith("http")} == {True}
    assert seen.problems == []
    place = f"{here}lab/coverslip/"
    shared = Client(place, BEARER).tell("api/shares", {"source": "cells", "expires_s": 600})
    other = look(place + shared["fragment"])  # a link to one source
    other.ready()
    assert [one["path"] for one in other.page.context.cookies()] == ["/lab/coverslip/"]
    assert {urlsplit(url).path.startswith("/lab/coverslip/") for url in other.requests if url[:4] == "http"} == {True}
    assert other.problems == []


def answers(url: str) -> bool:
    try:
        return bool(fetch(url))
    except OSError:
        return False


@pytest.fixture(scope="module")
def jupyter(command: Path, data: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Jupyter server as a hub starts one for Ann, with the wheel; its address."""
    folder, port = tmp_path_factory.mktemp("jupyter"), free_port()
    python = environment(*JUPYTER)
    [site] = (command.parents[1] / "lib").glob("python*/site-packages")
    own = {name: str(folder / "own") for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR")}
    more = {"PYTHONPATH": str(site), "COVERSLIP_JUPYTER_PATHS": " ".join(f"'{path}'" for path in data)}
    flags = (
        f"--ServerApp.port={port}", "--ServerApp.port_retries=0", "--IdentityProvider.token=", "--no-browser",
        f"--ServerApp.root_dir={folder}", "--ServerApp.base_url=/user/ann/", "--allow-root",
    )  # fmt: skip
    log = (folder / "jupyter.log").open("w")
    process = subprocess.Popen(
        [python, "-m", "jupyterlab", *flags], stdout=log, stderr=log, cwd=folder, env={**os.environ, **own, **more},
        start_new_session=True,
    )  # fmt: skip
    try:
        wait_for(lambda: answers(f"http://127.0.0.1:{port}/user/ann/api/status"), "Jupyter")
        yield f"http://127.0.0.1:{port}/user/ann/"
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(PATIENCE_S)
        log.close()


@pytest.mark.parametrize("absolute", [False, True])
def test_every_front_behind_jupyter(jupyter: str, start: Start, data: list[Path], absolute: bool) -> None:
    port = free_port()
    place = f"proxy/absolute/{port}/" if absolute else f"proxy/{port}/"
    start(*data, "--root-path", urlsplit(jupyter).path + place, port=port)
    client = Client(jupyter + place)
    client.wait()
    check_every_front(client)


def test_the_launcher_starts_it(jupyter: str, look: Open) -> None:
    entries = json.loads(fetch(f"{jupyter}server-proxy/servers-info"))["server_processes"]
    [entry] = [one for one in entries if one["name"] == "coverslip"]
    assert entry["launcher_entry"]["title"] == "coverslip"
    assert b"<svg" in fetch(entry["launcher_entry"]["icon_url"].replace("/user/ann/", jupyter, 1))
    client = Client(f"{jupyter}coverslip/")
    client.wait()
    check_every_front(client)
    seen = look(f"{jupyter}coverslip/?dataset=cells")
    seen.ready()
    assert seen.problems == []
