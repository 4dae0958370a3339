"""The installed command runs one server in the background: its life, its deaths, its neighbours."""

from __future__ import annotations

import json
import os
import re
import resource
import signal
import socket
import ssl
import stat
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from conftest import PATIENCE_S, Install, fetch, wait_for
from surroundings import environment, free_port

from refused import refused_with

PEER = "biopb[tensor]==0.13.0"
HTTP_ONLY = ("--no-flight", "--web-port", "0")


@pytest.fixture(scope="session")
def flight_command(install: Install) -> Path:
    """The installed command with Arrow Flight."""
    return install("flight,tls").parent / "coverslip"


class Daemon:
    """One state folder and the commands that look at it."""

    def __init__(self, command: Path, folder: Path) -> None:
        self.command = command
        self.state = folder / "state"
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("COVERSLIP_", "BIOPB_"))},
            "COVERSLIP_STATE_DIR": str(self.state),
            "COVERSLIP_CACHE_DIR": str(folder / "cache"),
            "XDG_CONFIG_HOME": str(folder / "config"),
        }

    def begin(self, *arguments: str | Path, **options: Any) -> subprocess.Popen[str]:
        """A command that runs beside."""
        return subprocess.Popen(
            [self.command, "server", *map(str, arguments)],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=self.environment, **options,
        )  # fmt: skip

    def __call__(self, *arguments: str | Path, **options: Any) -> subprocess.CompletedProcess[str]:
        process = self.begin(*arguments, **options)
        out, err = process.communicate(timeout=PATIENCE_S)
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)

    def start(self, *arguments: str | Path) -> dict[str, Any]:
        """Start it; its status."""
        done = self("start", *arguments)
        assert done.returncode == 0, done.stderr
        return self.status()

    def status(self, *arguments: str) -> dict[str, Any]:
        """As JSON."""
        done = self("status", "--json", *arguments)
        assert (done.returncode, "Traceback" in done.stderr) == (0, False), done.stderr
        told: dict[str, Any] = json.loads(done.stdout)
        return told

    @property
    def processes(self) -> list[psutil.Process]:
        """The servers of this state folder."""
        found = []
        for process in psutil.process_iter():
            try:
                ours = "coverslip.daemon" in process.cmdline() and process.status() != psutil.STATUS_ZOMBIE
                if ours and process.environ().get("COVERSLIP_STATE_DIR") == str(self.state):
                    found.append(process)
            except psutil.Error:
                continue
        return found


@pytest.fixture
def daemon(command: Path, tmp_path: Path) -> Iterator[Daemon]:
    """The command that speaks HTTP only; whatever it started is ended."""
    made = Daemon(command, tmp_path)
    yield made
    for process in made.processes:
        process.kill()


@pytest.fixture
def flying(flight_command: Path, tmp_path: Path) -> Iterator[Daemon]:
    """The command with Arrow Flight."""
    made = Daemon(flight_command, tmp_path)
    yield made
    for process in made.processes:
        process.kill()


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    folder.mkdir()
    np.save(folder / "points.npy", np.arange(600, dtype=np.uint16).reshape(20, 30))
    return folder


def test_it_starts_serves_and_stops(daemon: Daemon, data: Path) -> None:
    told = daemon.start(*HTTP_ONLY, data)
    assert (told["running"], told["health"] in ("STARTING", "SERVING")) == (True, True)
    assert daemon.status("--wait", str(PATIENCE_S))["source_count"] == 1
    assert json.loads(fetch(f"{told['http']}/api/sources"))[0]["name"] == "points.npy"
    assert b"<html" in fetch(f"{told['http']}/"), "the viewer"
    process = psutil.Process(told["pid"])
    assert process.cwd() == "/"
    assert os.getsid(process.pid) == process.pid
    process.send_signal(signal.SIGHUP)  # the terminal closes
    assert daemon.status()["health"] == "SERVING"
    stopped = daemon("stop")
    assert stopped.stdout == f"Stopping TensorFlight server (PID {told['pid']})...\nTensorFlight server stopped\n"
    assert daemon.processes == []
    assert daemon.status()["status"] == "stopped"


def test_of_many_starts_at_once_one_becomes_the_server(daemon: Daemon, data: Path) -> None:
    starts = [daemon.begin("start", *HTTP_ONLY, data) for _ in range(5)]
    told = [start.communicate(timeout=PATIENCE_S) for start in starts]
    assert [start.returncode for start in starts] == [0] * 5, told
    pid = daemon.status()["pid"]
    said = sorted(next(line for line in out.splitlines() if f"PID {pid}" in line) for out, _ in told)
    assert said == [
        *[f"TensorFlight server already running (PID {pid})"] * 4,
        f"TensorFlight server started (PID {pid})",
    ]
    assert [process.pid for process in daemon.processes] == [pid]


def test_killed_it_is_told_and_started_again_on_the_same_port(daemon: Daemon, data: Path) -> None:
    port = str(free_port())
    first = daemon.start("--no-flight", "--web-port", port, data)
    os.kill(first["pid"], signal.SIGKILL)
    wait_for(lambda: daemon.status()["status"] == "stale", "its end")
    again = daemon("start", "--no-flight", "--web-port", port, data)
    assert again.stdout.splitlines()[0] == f"Removing stale PID file (process {first['pid']} not running)"
    assert again.returncode == 0
    second = daemon.status()
    assert (second["http"], second["running"]) == (first["http"], True)
    assert second["pid"] != first["pid"]


def test_a_dead_server_that_nobody_waits_for_is_dead(daemon: Daemon, data: Path) -> None:
    """In a container without an init every orphan stays behind as a zombie."""
    careless = (
        "import ctypes, subprocess, sys, time\n"
        "ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # orphans become children of this process\n"
        "subprocess.run(sys.argv[1:], check=True); print(flush=True); time.sleep(600)"
    )
    arguments = [str(daemon.command), "server", "start", *HTTP_ONLY, str(data)]
    parent = subprocess.Popen(
        [sys.executable, "-c", careless, *arguments], stdout=subprocess.PIPE, text=True, env=daemon.environment
    )
    try:
        assert parent.stdout is not None
        while parent.stdout.readline().strip():
            pass
        pid = daemon.status()["pid"]
        assert psutil.Process(pid).ppid() == parent.pid
        os.kill(pid, signal.SIGKILL)
        wait_for(lambda: psutil.Process(pid).status() == psutil.STATUS_ZOMBIE, "its end")
        assert daemon.status()["status"] == "stale"
        assert daemon.start(*HTTP_ONLY, data)["pid"] != pid
    finally:
        parent.kill()
        parent.communicate()


def test_one_that_hangs_is_told_and_killed(daemon: Daemon, data: Path) -> None:
    told = daemon.start(*HTTP_ONLY, data)
    os.kill(told["pid"], signal.SIGSTOP)
    assert daemon.status()["health"] == "unreachable"
    stopped = daemon("stop", "-t", "0.5")
    assert stopped.stdout.splitlines()[-1] == "Did not stop within 0.5s; force killed"
    assert stopped.returncode == 0
    assert daemon.processes == []


def test_the_command_that_started_it_may_die(daemon: Daemon, data: Path) -> None:
    starting = daemon.begin("start", *HTTP_ONLY, data)
    wait_for(lambda: daemon.processes != [], "the new process")
    starting.kill()
    starting.communicate()
    wait_for(lambda: daemon.status()["health"] == "SERVING", "the server")


def test_one_that_is_told_to_end_while_it_starts(daemon: Daemon, data: Path) -> None:
    starting = daemon.begin("start", *HTTP_ONLY, data)
    wait_for(lambda: (daemon.state / "server.pid").exists(), "the new process")
    assert daemon("stop").returncode == 0
    starting.communicate(timeout=PATIENCE_S)
    assert daemon.processes == []
    assert daemon.status()["status"] == "stopped"


def test_strangers_and_others_of_ours_are_told_apart(daemon: Daemon, data: Path, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as stranger:
        port = stranger.getsockname()[1]
        refused = daemon("start", "--no-flight", "--web-port", str(port), data)
    assert refused.returncode == 1
    assert refused.stderr.startswith(f"HTTP port 127.0.0.1:{port} is already in use.\n")
    assert "Another program listens there" in refused.stderr
    mine = daemon.start(*HTTP_ONLY, data)
    other = Daemon(daemon.command, tmp_path / "other")
    refused = other("start", "--no-flight", "--web-port", mine["http"].rsplit(":", 1)[1], data)
    assert refused.returncode == 1
    assert "A coverslip server of another account" in refused.stderr
    assert other.status()["status"] == "stopped"
    assert daemon.status()["pid"] == mine["pid"]


def test_off_loopback_a_token_is_made_and_shown_once(daemon: Daemon, data: Path) -> None:
    done = daemon("start", *HTTP_ONLY, "--web-host", "0.0.0.0", data)
    assert done.returncode == 0, done.stderr
    token = re.search(r"^Generated access token: ([\w-]{43})$", done.stdout, re.MULTILINE)
    assert token is not None
    assert f"/#token={token[1]}" in done.stdout
    told = daemon.status("--wait", str(PATIENCE_S))
    assert (told["health"], told["source_count"]) == ("SERVING", 1), "the command knows the token"
    with refused_with(401):
        fetch(f"{told['http']}/api/sources")
    assert fetch(f"{told['http']}/api/sources", Authorization=f"Bearer {token[1]}")
    shown = [" ".join(process.info["cmdline"] or ()) for process in psutil.process_iter(["cmdline"])]
    assert not any(token[1] in line for line in shown)
    assert stat.S_IMODE((daemon.state / "server.token").stat().st_mode) == 0o600
    again = daemon("restart")
    assert again.returncode == 0, again.stderr
    assert "Generated" not in again.stdout
    assert f"/#token={token[1]}" in again.stdout, "a restart keeps it"
    for file in (daemon.state / "logs").iterdir():
        assert token[1] not in file.read_text()
    daemon("stop")
    assert not (daemon.state / "server.token").exists()


@pytest.mark.parametrize("variable", ["COVERSLIP_TOKEN", "BIOPB_TENSOR_TOKEN"])
def test_tokens_of_the_environment(daemon: Daemon, data: Path, variable: str) -> None:
    daemon.environment[variable] = "short"
    refused = daemon("start", *HTTP_ONLY, data)
    assert (refused.returncode, "short" in refused.stderr) == (2, False), refused.stderr
    daemon.environment[variable] = "abcdefghijklmnopqrstuvwxyz"
    told = daemon.start(*HTTP_ONLY, data)
    with refused_with(401):
        fetch(f"{told['http']}/api/sources")
    assert told["health"] in ("SERVING", "STARTING")


def test_the_log_is_followed_through_a_restart(daemon: Daemon, data: Path) -> None:
    first = daemon.start(*HTTP_ONLY, "--log-level", "debug", data)
    following = daemon.begin("logs", "-f", "-n", "1")
    assert following.stdout is not None
    try:
        following.stdout.readline()
        fetch(f"{first['http']}/api/sources?token=not-one")
        daemon("restart")
        fetch(f"{daemon.status()['http']}/livez")
        lines = []
        while not (lines and "GET /livez" in lines[-1]):
            lines.append(following.stdout.readline())
    finally:
        following.send_signal(signal.SIGINT)
        following.communicate(timeout=PATIENCE_S)
    assert following.returncode == 130
    assert any("GET /api/sources?token=…" in line for line in lines)
    assert any(line.startswith("--- Started at") for line in lines)
    assert daemon("logs", "--level", "ERROR").stdout == ""


def test_a_disk_without_room(daemon: Daemon, data: Path) -> None:
    """No file may grow: the start is refused in one line; one that runs goes on without a log."""

    def full() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))

    refused = daemon("start", *HTTP_ONLY, data, preexec_fn=full)
    assert refused.returncode == 1
    assert refused.stderr.count("\n") == 1
    assert re.match(r"Error: Cannot write .*server\.pid: .*COVERSLIP_STATE_DIR", refused.stderr)
    assert daemon.status()["status"] == "stopped"
    told = daemon.start(*HTTP_ONLY, "--log-level", "DEBUG", data)
    assert daemon.status("--wait", str(PATIENCE_S))["source_count"] == 1
    log = daemon.state / "logs" / "server.log"
    resource.prlimit(told["pid"], resource.RLIMIT_FSIZE, (log.stat().st_size, resource.RLIM_INFINITY))
    size = log.stat().st_size  # what was written on the way is in it, and no more can be
    for _ in range(50):
        assert fetch(f"{told['http']}/livez")
    assert log.stat().st_size == size
    assert daemon.status()["health"] == "SERVING"
    resource.prlimit(told["pid"], resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    fetch(f"{told['http']}/livez")
    wait_for(lambda: log.stat().st_size > size, "the log to go on")


def test_a_configuration_of_biopb_is_found_and_named(daemon: Daemon, data: Path, tmp_path: Path) -> None:
    file = tmp_path / "config" / "biopb" / "biopb.toml"
    file.parent.mkdir(parents=True)
    file.write_text(
        "[server]\nport = 9\nwatcher_type = 'x'\n[tensor_browser]\nserver_url = 'grpc://localhost:8815'\n"
        f"[[sources]]\nurl = '{data}'\nmonitor = true\n"
    )
    done = daemon("start", *HTTP_ONLY)
    assert done.returncode == 0, done.stderr
    assert f"  Config: {file}\n" in done.stdout
    assert done.stderr.splitlines() == [
        "biopb.toml: [tensor_browser] has no meaning here",
        "biopb.toml: server.watcher_type has no meaning here",
    ]
    assert daemon.status("--wait", str(PATIENCE_S))["source_count"] == 1
    file.write_text("[server\n")
    refused = daemon("restart")
    assert (refused.returncode, refused.stderr.count("\n")) == (1, 1)
    assert refused.stderr.startswith("Error: biopb.toml: ")
    assert daemon.status()["running"], "what runs is not stopped for a file with a mistake"


def test_without_the_extra_it_says_what_to_install(daemon: Daemon, data: Path) -> None:
    refused = daemon("start", "--port", "0", "--web-port", "0", data)
    assert refused.returncode == 1
    assert "pip install 'coverslip[flight]'" in refused.stderr
    assert refused.stderr.count("\n") == 1


Query = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session")
def query() -> Query:
    """``biopb tensor query`` of the peer, as it is on PyPI."""
    biopb = environment(PEER).parent / "biopb"

    def asked(url: str, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        full = [biopb, "tensor", "query", "--server", url, *arguments]
        clean = {name: value for name, value in os.environ.items() if not name.startswith("BIOPB_")}
        clean |= variables
        return subprocess.run(full, capture_output=True, text=True, timeout=PATIENCE_S, check=False, env=clean)

    return asked


def test_flight_and_http_live_and_end_together(flying: Daemon, data: Path, query: Query) -> None:
    done = flying("start", "--port", "0", "--web-port", "0", data)
    assert done.returncode == 0, done.stderr
    told = flying.status("--wait", str(PATIENCE_S))
    assert f"  gRPC: {told['grpc']}\n" in done.stdout
    assert re.fullmatch(r"grpc://127\.0\.0\.1:\d+", told["grpc"])
    asked = query(told["grpc"])
    assert asked.returncode == 0, asked.stderr
    assert "points" in asked.stdout
    assert json.loads(fetch(f"{told['http']}/api/sources"))[0]["name"] == "points.npy"
    assert flying("stop").stdout.splitlines()[-1] == "TensorFlight server stopped"
    for url in (told["http"], told["grpc"]):
        with socket.create_server(("127.0.0.1", int(url.rsplit(":", 1)[1]))):
            pass  # both ports are free


def test_one_token_guards_flight_too(flying: Daemon, data: Path, query: Query) -> None:
    flying.environment["COVERSLIP_TOKEN"] = "abcdefghijklmnopqrstuvwxyz"
    told = flying.start("--port", "0", "--web-port", "0", data)
    assert query(told["grpc"]).returncode != 0
    assert query(told["grpc"], "--token", "abcdefghijklmnopqrstuvwxyz").returncode == 0


def test_one_certificate_encrypts_both(flying: Daemon, data: Path, query: Query) -> None:
    done = flying("start", "--tls", "--port", "0", "--web-port", "0", data)
    assert done.returncode == 0, done.stderr
    assert re.search(r"^Certificate, SHA-256: ([0-9A-F]{2}:){31}[0-9A-F]{2}$", done.stderr, re.MULTILINE)
    told = flying.status("--wait", str(PATIENCE_S))
    assert (told["health"], told["source_count"]) == ("SERVING", 1), "asked over its own certificate"
    trusted = flying.state / "tls-certificate.pem"
    assert json.loads((flying.state / "server.json").read_text())["certificate"] == str(trusted)
    assert "PRIVATE" not in trusted.read_text()
    with urllib.request.urlopen(
        f"{told['http']}/api/sources", timeout=PATIENCE_S, context=ssl.create_default_context(cafile=str(trusted))
    ) as answer:
        assert json.load(answer)[0]["name"] == "points.npy"
    with pytest.raises(urllib.error.URLError, match="certificate"):
        fetch(f"{told['http']}/api/sources")
    asked = query(told["grpc"], BIOPB_TENSOR_TLS_CA=str(trusted))
    assert asked.returncode == 0, asked.stderr
    assert "points" in asked.stdout


def test_a_stranger_on_the_port_of_flight(flying: Daemon, data: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as stranger:
        port = stranger.getsockname()[1]
        refused = flying("start", "--port", str(port), "--web-port", "0", data)
    assert refused.returncode == 1
    assert refused.stderr.startswith(f"gRPC port 127.0.0.1:{port} is already in use.\n")
    assert flying.processes == []


def test_one_port_and_another_in_the_foreground(flight_command: Path, data: Path, query: Query) -> None:
    """``coverslip serve --flight``, with the path where a port might stand."""
    ports = [free_port(), free_port()]
    process = subprocess.Popen(
        [flight_command, "serve", "--port", str(ports[0]), "--no-browser", "--flight", str(ports[1]), data],
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        grpc = next(found[0] for line in process.stdout if (found := re.search(r"grpc://\S+", line)))
        assert grpc == f"grpc://127.0.0.1:{ports[1]}"
        wait_for(lambda: "points" in query(grpc).stdout, "the source")
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 130
