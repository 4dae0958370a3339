"""The nodes of one HSDS: started, watched, asked whether they are ready, stopped; on Unix sockets of our own."""

from __future__ import annotations

import base64
import http.client
import json
import logging
import os
import re
import secrets
import shutil
import socket
import subprocess
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import Any

from coverslip.core.errors import CoverslipError, TimedOut, Unsupported
from coverslip.engine.secret import write_private
from coverslip.hsds.environment import Found, plain_environment
from coverslip.hsds.store import BUCKET, SOCKETS

USER = "admin"
NODE = Path(__file__).with_name("node.py")
READY_S = 120.0
LOOK_S = 0.1
STOP_S = 25.0
WATCH_S = 1.0
MOST_RESTARTS = 3
RESTARTS_S = 60.0
LONGEST_SOCKET = 100
"""Bytes of a path that a Unix socket can have, less a few."""
ABSENT = "/coverslip/is-this-answered"
REQUEST = re.compile(r"\b(REQ|RSP)> ")
TAIL_LINES = 30
LOG_BYTES = 10 << 20
OLD_LOGS = 2


class Log(RotatingFileHandler):
    """The log of all nodes: three files of 10 MB at most."""

    def __init__(self, file: Path) -> None:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        super().__init__(file, maxBytes=LOG_BYTES, backupCount=OLD_LOGS, encoding="utf-8")

    def write(self, line: str) -> None:
        """Add a line."""
        self.handle(logging.makeLogRecord({"msg": line}))

    def handleError(self, record: logging.LogRecord) -> None:
        """A disk that is full keeps nothing, and the server goes on."""


@dataclass(frozen=True)
class Sizes:
    """How large HSDS becomes.

    Attributes
    ----------
    nodes
        Data nodes; each takes about 100 MB when idle.
    cache_mb
        Decoded chunks that each of them keeps, in MB; as much again may go to metadata.
    """

    nodes: int = 4
    cache_mb: int = 128


@dataclass
class Node:
    """One process."""

    name: str
    arguments: list[str]
    socket: Path
    process: subprocess.Popen[bytes] | None = None
    said: deque[str] = field(default_factory=lambda: deque(maxlen=TAIL_LINES))
    restarts: list[float] = field(default_factory=list)

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return self.process is not None and self.process.poll() is None


class Cluster:
    """A service node and data nodes.

    Nothing of it listens on a port: HSDS binds ports on all addresses, and its data nodes ask nobody who they are, so
    that its sockets lie in a folder of our own. Two of them never meet.

    Parameters
    ----------
    found
        The environment it runs in.
    store
        Folder of its files, with a folder named `BUCKET`.
    log
        Where its nodes log, bounded.
    endpoint
        What it calls itself in links.
    verbose
        Whether every request is logged.
    """

    def __init__(
        self, found: Found, store: Path, log: Path, endpoint: str, sizes: Sizes | None = None, verbose: bool = False
    ) -> None:
        if not hasattr(socket, "AF_UNIX"):
            raise Unsupported("HSDS runs on Unix sockets, which this system lacks", "Use --engine native.")
        self._found, self._store, self._endpoint, self._verbose = found, store, endpoint, verbose
        self._sizes = sizes or Sizes()
        self._log = Log(log)
        self._stopping = threading.Event()
        self.password = secrets.token_urlsafe(32)
        self.folder = _short_folder()
        self._nodes = self._plan()
        self.failed: CoverslipError | None = None

    @property
    def socket(self) -> Path:
        """Of the service node."""
        return self._nodes[-1].socket

    @property
    def pids(self) -> list[int]:
        """Of its processes."""
        return [node.process.pid for node in self._nodes if node.process is not None]

    def _plan(self) -> list[Node]:
        numbers = range(1, self._sizes.nodes + 1)
        data = [self.folder / f"dn_{i:03}.sock" for i in numbers]
        common = [
            "--standalone",
            "--use_socket",
            f"--dn_urls={','.join(map(_url, data))}",
            f"--hsds_endpoint={self._endpoint}",
            f"--root_dir={self._store}",
        ]
        nodes = [Node(f"dn{i}", ["--node_type=dn", f"--node_number={i - 1}", *common], data[i - 1]) for i in numbers]
        service = self.folder / "sn.sock"
        nodes.append(Node("sn", ["--node_type=sn", f"--sn_url={_url(service)}", *common], service))
        return nodes

    def start(self, on_failed: Callable[[], None] = lambda: None) -> None:
        """Start its processes, and watch them.

        Parameters
        ----------
        on_failed
            Called when a node ends again and again; `failed` says what happened.
        """
        write_private(self.folder / "passwords", f"{USER}:{self.password}\n".encode())
        for node in self._nodes:
            self._launch(node)
        threading.Thread(target=self._watch, args=(on_failed,), name="coverslip-hsds-watch", daemon=True).start()

    def _launch(self, node: Node) -> None:
        megabytes = f"{self._sizes.cache_mb}m"
        environ = plain_environment(
            PYTHONUNBUFFERED="1",
            BUCKET_NAME=BUCKET,
            PASSWORD_FILE=str(self.folder / "passwords"),
            ADMIN_USER=USER,
            DEFAULT_PUBLIC="1",
            LOG_LEVEL="INFO" if self._verbose else "WARNING",
            CHUNK_MEM_CACHE_SIZE=megabytes,
            METADATA_MEM_CACHE_SIZE=megabytes,
        )
        try:
            node.process = subprocess.Popen(
                [str(self._found.python), "-P", str(NODE), *node.arguments],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                cwd=self.folder, env=environ, start_new_session=True,
            )  # fmt: skip
        except OSError as error:
            raise CoverslipError(
                f"HSDS cannot be started: {error.strerror}", "Is its environment still there?"
            ) from error
        threading.Thread(target=self._read, args=(node, node.process), name=f"hsds-{node.name}", daemon=True).start()

    def _read(self, node: Node, process: subprocess.Popen[bytes]) -> None:
        """Put what a node says into the log; without a reader it would stand still."""
        assert process.stdout is not None
        with process.stdout:
            for raw in process.stdout:
                line = raw.decode("utf-8", "replace").rstrip()
                if not self._verbose and REQUEST.search(line):
                    continue  # HSDS logs each request, whatever the level
                node.said.append(line)
                self._note(node.name, line)

    def _note(self, name: str, line: str) -> None:
        self._log.write(f"{name} {line.replace(self.password, '…')}")

    def _watch(self, on_failed: Callable[[], None]) -> None:
        """Start a node anew that ended by itself."""
        while not self._stopping.wait(WATCH_S):
            for node in self._nodes:
                if node.alive or self._stopping.is_set():
                    continue
                now = time.monotonic()
                node.restarts = [then for then in node.restarts if now - then < RESTARTS_S]
                if len(node.restarts) >= MOST_RESTARTS:
                    self.failed = self._ended(node)
                    on_failed()
                    return
                node.restarts.append(now)
                self._note(node.name, "ended, and is started again")
                try:
                    self._launch(node)
                except CoverslipError as error:
                    self.failed = error
                    on_failed()
                    return

    def _ended(self, node: Node) -> CoverslipError:
        last = next((line for line in reversed(node.said) if "Error" in line or "ERROR" in line), "")
        return CoverslipError(
            f"A node of HSDS ({node.name}) ends again and again{f': {last}' if last else ''}",
            f"Its log is {self._log.baseFilename}.",
            "hsds_failed",
        )

    def wait_ready(self, patience_s: float = READY_S) -> None:
        """Wait until every node says that it is ready, and a domain is looked for all the way through.

        Raises
        ------
        CoverslipError
            When it does not come up.
        """
        end = time.monotonic() + patience_s
        while not self.ready():
            if self.failed is not None:
                raise self.failed
            if time.monotonic() > end:
                late = ", ".join(n.name for n in self._nodes if not self._node_ready(n)) or "it"
                raise TimedOut(
                    f"HSDS is not ready after {patience_s:.0f} s ({late})", f"Its log: {self._log.baseFilename}"
                )
            time.sleep(LOOK_S)

    def ready(self) -> bool:
        """Whether it serves: all nodes are READY, and a question about a domain goes to a data node and back."""
        if not all(map(self._node_ready, self._nodes)):
            return False
        about, domain = self.ask("/about"), self.ask(f"/?domain={ABSENT}")
        return about[0] == 200 and about[1].get("node_count") == self._sizes.nodes and domain[0] in (404, 410)

    def _node_ready(self, node: Node) -> bool:
        if not node.alive or not node.socket.exists():
            return False
        status, told = ask(node.socket, "/about" if node.name == "sn" else "/info")
        state = told.get("state") if node.name == "sn" else (told.get("node") or {}).get("state")
        return status == 200 and state == "READY"

    def ask(self, path: str, method: str = "GET", body: Any = None) -> tuple[int, Any]:
        """One request as HSDS's user; see `ask`."""
        return ask(self.socket, path, method, body, (USER, self.password))

    def stop(self) -> None:
        """End all processes: they write what they hold, and are killed when they do not come to an end."""
        self._stopping.set()
        running = [node.process for node in reversed(self._nodes) if node.process is not None]
        for process in running:
            with suppress(OSError):
                process.terminate()
        end = time.monotonic() + STOP_S
        for process in running:
            try:
                process.wait(max(0.1, end - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            if process.stdin is not None:
                process.stdin.close()
        shutil.rmtree(self.folder, ignore_errors=True)
        self._log.close()


def _short_folder() -> Path:
    """A new folder of our own whose name leaves room for a socket's."""
    for base in (os.environ.get("XDG_RUNTIME_DIR"), tempfile.gettempdir(), "/tmp"):  # noqa: S108  (made with 0700)
        if base and os.access(base, os.W_OK) and len(os.fsencode(base)) < LONGEST_SOCKET - 40:
            return Path(tempfile.mkdtemp(prefix=SOCKETS, dir=base))
    raise Unsupported("There is no folder for the sockets of HSDS", "Set TMPDIR to one with a short name.")


def _url(path: Path) -> str:
    return "http+unix://" + str(path).replace("/", "%2F")


class UnixConnection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: Path, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        """Connect to the socket."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


def ask(
    path: Path, target: str, method: str = "GET", body: Any = None, user: tuple[str, str] | None = None
) -> tuple[int, Any]:
    """One request to a node: its status, and its JSON; status 0 when it does not answer."""
    headers = {"Content-Type": "application/json"}
    if user is not None:
        headers["Authorization"] = "Basic " + base64.b64encode(":".join(user).encode()).decode()
    connection = UnixConnection(path, 30)
    try:
        connection.request(method, target, None if body is None else json.dumps(body), headers)
        response = connection.getresponse()
        text = response.read()
        try:
            told = json.loads(text)
        except ValueError:
            told = {}
        return response.status, told if isinstance(told, dict) else {}
    except (OSError, http.client.HTTPException):
        return 0, {}
    finally:
        connection.close()
