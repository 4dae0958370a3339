"""Servers under measurement: started, ready, looked at, stopped."""

from __future__ import annotations

import contextlib
import getpass
import http.client
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from measuring import ROOT

START_S, STOP_S = 120, 15
LOOK_S = 0.005


@dataclass
class Server:
    """A running server."""

    name: str
    port: int
    process: subprocess.Popen[bytes]
    ready_s: float = 0.0

    def get(self, path: str, **headers: str) -> bytes:
        """A body over a connection of its own: one of the peers keeps none."""
        return fetch(self.port, path, headers)

    def timed(self, path: str, **headers: str) -> float:
        """How long that takes, in milliseconds."""
        start = time.perf_counter()
        self.get(path, **headers)
        return (time.perf_counter() - start) * 1000

    def memory_mb(self) -> float:
        """Memory of the process and its children, in MB; pages that several have count once (PSS)."""
        return sum(proportional_mb(pid) for pid in family(self.process.pid))

    def peak_mb(self) -> float:
        """The most memory that the process itself ever held, in MB."""
        found = re.search(r"VmHWM:\s+(\d+)", Path(f"/proc/{self.process.pid}/status").read_text())
        return int(found[1]) * 1024 / 1e6 if found else 0.0

    def processor_s(self) -> float:
        """Seconds of processor time that the process and its children have taken so far."""
        ticks = 0
        for pid in family(self.process.pid):
            with contextlib.suppress(OSError):
                ticks += sum(map(int, Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]))
        return ticks / os.sysconf("SC_CLK_TCK")


def fetch(port: int, path: str, headers: Mapping[str, str] | None = None) -> bytes:
    """One body of a server on this machine.

    Raises
    ------
    SystemExit
        For any answer that is no success: a benchmark of errors would be a fast one.
    """
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=300)
    try:
        plain = {"Accept-Encoding": "identity", "Connection": "close"}
        connection.request("GET", path, headers={**plain, **(headers or {})})
        answer = connection.getresponse()
        body = answer.read()
    finally:
        connection.close()
    if answer.status not in (200, 206):
        raise SystemExit(f"{path}: {answer.status} {body[:300]!r}")
    return body


def family(pid: int) -> list[int]:
    """A process and all below it."""
    found = [pid]
    for one in found:
        with contextlib.suppress(OSError):
            for thread in Path(f"/proc/{one}/task").iterdir():
                found += map(int, (thread / "children").read_text().split())
    return found


def proportional_mb(pid: int) -> float:
    """PSS of one process in MB; 0 when it has just ended."""
    try:
        found = re.search(r"^Pss:\s+(\d+)", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.MULTILINE)
    except OSError:
        return 0.0
    return int(found[1]) * 1024 / 1e6 if found else 0.0


@contextlib.contextmanager
def running(
    name: str,
    command: list[Any],
    port: int,
    ready: str,
    environ: Mapping[str, str] | None = None,
    stop: signal.Signals = signal.SIGINT,
) -> Iterator[Server]:
    """A server that answers a path; stopped whatever happens, and its children with it."""
    with tempfile.TemporaryFile() as said:
        start = time.perf_counter()
        process = subprocess.Popen(
            [str(part) for part in command],
            stdin=subprocess.DEVNULL, stdout=said, stderr=said, env={**os.environ, **(environ or {})},
            start_new_session=True,
        )  # fmt: skip
        server = Server(name, port, process)
        try:
            while not answers(port, ready):
                if process.poll() is not None or time.perf_counter() - start > START_S:
                    said.seek(0)
                    raise SystemExit(f"{name} does not answer {ready}\n{said.read()[-3000:].decode(errors='replace')}")
                time.sleep(LOOK_S)
            server.ready_s = time.perf_counter() - start
            yield server
        finally:
            ended(process, stop)


def answers(port: int, path: str) -> bool:
    """Whether a server answers a path with what it is asked for."""
    try:
        fetch(port, path)
    except (OSError, http.client.HTTPException, SystemExit):
        return False
    return True


def ended(process: subprocess.Popen[bytes], how: signal.Signals) -> None:
    """Ask the whole group to end, and make it when it does not."""
    for sign in (how, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, sign)
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            continue
        break
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


@contextlib.contextmanager
def coverslip(*served: Any, ready: str = "/livez", environ: Mapping[str, str] | None = None) -> Iterator[Server]:
    """coverslip of this checkout with an empty cache of its own."""
    from surroundings import free_port

    port = free_port()
    command = [Path(sys.executable).parent / "coverslip", "serve", *served, "--port", port, "--no-browser", "--quiet"]
    with tempfile.TemporaryDirectory(dir=ROOT / ".cache") as cache:
        settings = {"COVERSLIP_CACHE_DIR": cache, **(environ or {})}
        with running("coverslip", command, port, ready, settings) as server:
            yield server


NGINX = """
daemon off;
pid {own}/pid;
error_log {own}/error.log;
worker_processes {workers};
{user}
events {{ worker_connections 1024; }}
http {{
    access_log off;
    sendfile on;
    tcp_nopush on;
    keepalive_requests 1000000;
    default_type application/octet-stream;
    open_file_cache max=20000 inactive=10m;
    open_file_cache_valid 10m;
    {temporary}
    server {{ listen 127.0.0.1:{port}; root {root}; }}
}}
"""


def nginx_command() -> str | None:
    """nginx, where it is installed; Debian puts it where not everybody looks."""
    return shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")


def nginx_version() -> str:
    """Its version."""
    told = subprocess.run([nginx_command() or "nginx", "-v"], capture_output=True, text=True, check=True)
    return told.stderr.rpartition("/")[2].strip()


@contextlib.contextmanager
def nginx(root: Path, ready: str) -> Iterator[Server]:
    """nginx on a folder, as one sets it up for plain files: kept connections, sendfile, open files remembered."""
    from surroundings import free_port

    port = free_port()
    with tempfile.TemporaryDirectory() as own:
        kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        text = NGINX.format(
            own=own, port=port, root=root, workers=len(os.sched_getaffinity(0)),
            user=f"user {getpass.getuser()};" if os.getuid() == 0 else "",
            temporary=" ".join(f"{kind}_temp_path {own}/{kind};" for kind in kinds),
        )  # fmt: skip
        (Path(own) / "nginx.conf").write_text(text)
        command = [nginx_command(), "-p", own, "-c", f"{own}/nginx.conf", "-e", f"{own}/error.log"]
        with running("nginx", command, port, ready, stop=signal.SIGTERM) as server:
            yield server
