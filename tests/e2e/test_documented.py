"""Every command that the documentation shows, run as it stands: on samples, with the ports that are free."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from pathlib import Path

import numpy as np
import pytest
import tifffile
from click.testing import CliRunner
from conftest import PATIENCE_S, wait_for
from surroundings import free_port

import make
from coverslip.cli.main import cli
from coverslip.systems import predefined
from documented import LINES, ROOT, elsewhere

OURS = [line for line in LINES if elsewhere(line) is None]
SERVES = [line for line in OURS if re.match(r"coverslip (serve |ui server .*--launch)", line)]
BACKGROUND = [line for line in OURS if line.startswith("coverslip server start")]
ASKS = [line for line in OURS if re.match(r"coverslip (server (status|logs|token)|share|tensor)", line)]
ENDS = [line for line in OURS if line not in {*SERVES, *BACKGROUND, *ASKS}]
URL = re.compile(r"https?://[^\s'\"]+")
LINK = "5b1f0c9a7d3e2468"
"""The link that the pages take back."""
AT_ONCE = 3
STACK = np.random.default_rng(7).integers(0, 60_000, (2, 10, 512, 520), np.uint16)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The machine that the pages speak of: what is at ``/data`` there, and the folder somebody types in."""
    root = tmp_path_factory.mktemp("machine")
    screen = root / "data" / "screen7"
    screen.mkdir(parents=True)
    make.adata().write_h5ad(screen / "lung.h5ad")
    np.save(screen / "stack.npy", STACK)
    tifffile.imwrite(screen / "slide7.tif", np.zeros((300, 400), np.uint8))
    for folder in (root / "data" / "my_systems", root / "systems", root / "systems" / "graphs"):
        folder.mkdir(exist_ok=True)
        shutil.copytree(predefined("EI1"), folder / "EI1")
    shutil.copytree(screen, root / "scratch" / "you" / "run4")
    shutil.copytree(screen, root / "slides")
    shutil.copy(screen / "lung.h5ad", root / "cells.h5ad")
    tifffile.imwrite(root / "slide.svs", np.zeros((600, 700, 3), np.uint8), tile=(256, 256), photometric="rgb")
    (root / "markers.txt").write_text("plain\nHLA/A\n")
    (root / "DATA").symlink_to(screen)
    (root / "lab.toml").write_text(f'[server]\nread_threads = 2\n[[sources]]\npath = "{screen}"\n')
    return root


def environ(place: Path, state: str) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("COVERSLIP_", "BIOPB_", "XDG_"))}
    return {
        **kept, "HOME": str(place), "BROWSER": "true", "PYTHONWARNINGS": "ignore", "host": "localhost",
        "port": str(free_port()), "COVERSLIP_STATE_DIR": str(place / state),
        "COVERSLIP_CACHE_DIR": str(place / "cache"),
    }  # fmt: skip


def words_of(line: str, place: Path, env: dict[str, str]) -> list[str]:
    """What is run for a line: paths of that machine become ours, ports such as are free."""
    line = re.sub(r"(?<![\w/])/(data|scratch)\b", rf"{place}/\1", line)
    line = re.sub(r"port=\d+", f"port={free_pair()}", line)
    line = re.sub(r"\$(\w+)", lambda name: env[name[1]], line)
    return [sys.executable, "-m", "coverslip", *shlex.split(line)[1:]]


def free_pair() -> int:
    """A port that is free together with the next one."""
    while True:
        port = free_port()
        with ExitStack() as held:
            try:
                for one in (port, port + 1):
                    held.enter_context(closing(socket.create_server(("127.0.0.1", one))))
            except OSError:
                continue
        return port


def run(line: str, place: Path, state: str = "state", *more: str, **variables: str) -> subprocess.CompletedProcess[str]:
    env = {**environ(place, state), **variables}
    words = [*words_of(line, place, env), *more]
    return subprocess.run(words, capture_output=True, text=True, check=False, cwd=place, env=env, timeout=PATIENCE_S)


def answers(url: str) -> bool:
    trusting = ssl.create_default_context()
    trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
    try:
        with urllib.request.urlopen(url, timeout=PATIENCE_S, context=trusting) as got:
            return bool(got.status == 200)
    except OSError:
        return False


def test_those_that_end(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the order of the alphabet, in this process; who writes a folder once more is told to write over it."""
    monkeypatch.chdir(place)
    env: dict[str, str | None] = {**dict.fromkeys(os.environ), **environ(place, "state")}
    exports: set[str] = set()
    for line in ENDS:
        target = next(iter(re.findall(r"prepare cells\.h5ad (\S+)", line)), None)
        words = words_of(line, place, environ(place, "state"))[3:] + (["--force"] if target in exports else [])
        exports |= {target} if target else set()
        done = CliRunner().invoke(cli, words, env=env)
        # The doctor finds what is wrong with this machine, the check what is wrong with the sample: both say so with 1.
        code = (0, 1) if re.match(r"coverslip (doctor|check)", line) else (0,)
        assert isinstance(done.exception, SystemExit | None), (line, done.exception)
        assert done.exit_code in code, (line, done.output)
        assert done.stdout.strip(), line
        if "--json" in line:
            json.loads(done.stdout)
    assert (place / "export" / "dataset_identity.json").is_file()
    assert (place / "site" / "index.html").is_file()


def serves(line: str, place: Path, number: int) -> None:
    env = environ(place, f"state-{number}")
    words = words_of(line, place, env)
    if "serve" in words[3:4]:
        words = [*words, "--no-browser"] if "--no-browser" not in words else words
        words = [*words, "--port", "0"] if "--port" not in words else [*words, *("--port", "0")]
    elif not any(word.startswith("port=") for word in words):
        words += ["--port", str(free_pair())]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=place, env=env)
    said: list[str] = []
    threading.Thread(target=lambda: said.extend(iter(process.stdout.readline, "")), daemon=True).start()  # type: ignore[union-attr]
    try:
        wait_for(lambda: process.poll() is not None or bool(URL.search("".join(said))), f"{line}: an address")
        assert process.poll() is None, (line, said, process.stderr.read() if process.stderr else "")
        found = URL.search("".join(said))
        assert found is not None
        url = found[0].partition("#")[0].rstrip("/")
        path = "/about" if "ui" in words else "/readyz"
        wait_for(lambda: answers(url + path), f"{line}: an answer")
    finally:
        process.send_signal(signal.SIGINT)
        code = process.wait(PATIENCE_S)
        for stream in (process.stdout, process.stderr):
            if stream is not None:
                stream.close()
    assert code in (0, 130), line


def test_those_that_serve(place: Path) -> None:
    assert run("coverslip prepare cells.h5ad export", place, "state", "--force").returncode == 0
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for done in [pool.submit(serves, line, place, number) for number, line in enumerate(SERVES)]:
            done.result()


def test_those_that_start_a_server_in_the_background(place: Path) -> None:
    def starts(number: int, line: str) -> None:
        state = f"background-{number}"
        words = re.sub(r" --web-port \d+", "", line)
        try:
            done = run(words, place, state, "--web-port", "0", "--port", "0")
            assert done.returncode == 0, (line, done.stdout, done.stderr)
            told = json.loads((place / state / "server.json").read_text())
            assert answers(f"{told['http'].rstrip('/')}/livez")
        finally:
            assert run("coverslip server stop", place, state).returncode == 0

    with ThreadPoolExecutor(AT_ONCE) as pool:
        for done in [pool.submit(starts, number, line) for number, line in enumerate(BACKGROUND)]:
            done.result()


@pytest.fixture(scope="module")
def running(place: Path) -> Iterator[dict[str, str]]:
    """A server in the background with what the pages ask for; where it is."""
    start = "coverslip server start /data/screen7 --token a-token-of-these-tests"
    done = run(start, place, "asked", "--web-port", "0", "--port", "0")
    assert done.returncode == 0, done.stderr
    run("coverslip server status --wait 60", place, "asked")
    yield json.loads(run("coverslip server status --json", place, "asked").stdout)
    run("coverslip server stop", place, "asked")


def made_link(line: str, place: Path) -> str:
    """The id of a link that a line can take back: one that is made now, as another token ends those before."""
    if LINK not in line:
        return LINK
    assert run("coverslip share slide7.tif -q", place, "asked").returncode == 0
    listed = json.loads(run("coverslip share --list --json", place, "asked").stdout)
    return str(listed[-1]["id"])


def test_those_that_ask_a_server(place: Path, running: dict[str, str]) -> None:
    listed = run("coverslip tensor query --json", place, "asked").stdout
    [stack] = set(re.findall(r'"(stack[^"/]*)"', listed)) - {"stack.npy"}
    for line in ASKS:
        here = line.replace(LINK, made_link(line, place))
        here = here.replace("https://lab.example.org", running["http"].rstrip("/"))
        here = here.replace("grpc://there:8815", running["grpc"]).replace("get stack ", f"get {stack} ")
        named = " -s " in line or "--url" in line  # who names a server has to show its token
        token = run("coverslip server token", place, "asked").stdout.strip() if named else ""
        done = run(here, place, "asked", COVERSLIP_TOKEN=token)
        assert done.returncode == 0, (line, done.stdout, done.stderr)
        assert done.stdout.strip() or "-o" in line, line
    np.testing.assert_array_equal(tifffile.imread(place / "stack.tif").ravel(), STACK.ravel())
    np.testing.assert_array_equal(np.load(place / "part.npy").squeeze(), STACK[0, :, :512, :512])


def test_every_command_is_in_one_of_them() -> None:
    assert ROOT.is_dir()
    assert sorted([*SERVES, *BACKGROUND, *ASKS, *ENDS]) == sorted(OURS)
    assert len(OURS) >= 40
