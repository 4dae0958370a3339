"""What the tests of deployment share: data, programs that are ended, and who asks."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import h5py
import numpy as np
import pytest
from conftest import PATIENCE_S, ROOT, Install, run
from surroundings import environment

DEPLOY = ROOT / "deploy"
TOKEN = "a-token-of-these-tests_0123"
SYSTEM = os.environ["PATH"] + ":/usr/sbin:/sbin"
LARGE = (13, 2048, 2048)
"""A volume of uint16: 109 MB."""


def tool(name: str) -> str:
    """A program of this machine."""
    found = shutil.which(name, path=SYSTEM)
    assert found, f"{name} is missing: run scripts/deploy-tools"
    return found


@pytest.fixture(scope="session")
def coverslip(install: Install) -> Path:
    """The installed command with Flight and TLS."""
    return install("flight,tls").parent / "coverslip"


@pytest.fixture(scope="session")
def volume() -> np.ndarray:
    return np.random.default_rng(5).integers(0, 60000, LARGE, np.uint16)


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory, volume: np.ndarray) -> Path:
    folder = tmp_path_factory.mktemp("what a lab has")
    with h5py.File(folder / "large.h5", "w") as file:
        file.create_dataset("v", data=volume, chunks=(1, 512, 512))
    then = time.time() - 60
    os.utime(folder / "large.h5", (then, then))
    return folder


@pytest.fixture(scope="session")
def pixels(volume: np.ndarray, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The volume, for programs of another environment."""
    file = tmp_path_factory.mktemp("pixels") / "volume.npy"
    np.save(file, volume)
    return file


def biopb_reads(url: str, ca: Path, pixels: Path) -> dict[str, object]:
    """What the unmodified client of the tensor server finds."""
    python = environment("biopb[tensor]==0.13.0")
    script = ROOT / "tests" / "e2e" / "clients" / "biopb_reads_tls.py"
    found: dict[str, object] = json.loads(run(python, script, url, TOKEN, ca, pixels).stdout.splitlines()[-1])
    return found


@dataclass
class Process:
    """A program that runs, and what it says."""

    process: subprocess.Popen[str]
    out: list[str] = field(default_factory=list)
    err: list[str] = field(default_factory=list)

    def said(self, words: str) -> bool:
        assert self.process.poll() is None, "".join(self.out + self.err)
        return words in "".join(self.out + self.err)

    def stop(self, how: signal.Signals = signal.SIGTERM) -> int:
        if self.process.poll() is None:
            self.process.send_signal(how)
        code = self.process.wait(PATIENCE_S)
        for stream in (self.process.stdout, self.process.stderr):
            if stream is not None:
                stream.close()
        return code


Begin = Callable[..., Process]


@pytest.fixture(scope="module")
def begin() -> Iterator[Begin]:
    """Starts programs; all are ended afterwards."""
    started: list[Process] = []

    def starts(*command: object, **environment: str) -> Process:
        process = subprocess.Popen(
            [str(c) for c in command],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment or None,
        )
        began = Process(process)
        started.append(began)
        for stream, lines in ((process.stdout, began.out), (process.stderr, began.err)):
            threading.Thread(target=_read, args=(stream, lines), daemon=True).start()
        return began

    yield starts
    for one in reversed(started):
        one.stop()


def _read(stream: object, lines: list[str]) -> None:
    try:
        for line in stream:  # type: ignore[attr-defined]
            lines.append(line)  # noqa: PERF402
    except ValueError:  # closed
        pass


def surroundings(coverslip: Path, folder: Path, **more: str) -> dict[str, str]:
    """The environment of a program that finds our command and has a home of its own."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("COVERSLIP_", "BIOPB_"))}
    return {
        **kept, "PATH": f"{coverslip.parent}:{SYSTEM}", "HOME": str(folder), "PYTHONWARNINGS": "ignore",
        "COVERSLIP_STATE_DIR": str(folder / "state"), "COVERSLIP_CACHE_DIR": str(folder / "cache"), **more,
    }  # fmt: skip


def ask(url: str, context: ssl.SSLContext | None = None, body: object = None, **headers: str) -> tuple[int, bytes]:
    sent = json.dumps(body).encode() if body is not None else None
    headers = {"Connection": "close", "Content-Type": "application/json", **headers}
    request = urllib.request.Request(url, data=sent, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE_S, context=context) as got:
            return got.status, got.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()


def answers(url: str, context: ssl.SSLContext | None = None) -> bool:
    try:
        return ask(f"{url}/readyz", context)[0] == 200
    except OSError:
        return False


BEARER = {"Authorization": f"Bearer {TOKEN}"}


def flight_sources(coverslip: Path, location: str, token: str, ca: Path | None = None) -> str:
    """The names of sources, asked by pyarrow in an environment of its own; or the error's first line."""
    script = """
import sys, pyarrow.flight as f
location, token, ca = sys.argv[1:]
client = f.FlightClient(location, **({"tls_root_certs": open(ca, "rb").read()} if ca else {}))
options = f.FlightCallOptions(headers=[(b"authorization", b"Bearer " + token.encode())], timeout=120)
print("health", len(list(client.do_action(f.Action("health", b""), f.FlightCallOptions(timeout=120)))))
try:
    print("tree", next(client.do_action(f.Action("catalog_children", b"{}"), options)).body.to_pybytes().decode())
except f.FlightError as error:
    print("refused", type(error).__name__)
"""
    python = coverslip.parent / "python"
    return run(python, "-c", script, location, token, str(ca or "")).stdout


def _accepts(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True
