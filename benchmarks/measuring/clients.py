"""Clients: one process with many kept connections, which asks for one path after the other on each and reads them.

The process is apart from the benchmark and from the server, and does little for each answer, because it shares the
cores with the server; how much it did is in its figures. Run as a program it reads from standard input what to do.
"""

from __future__ import annotations

import json
import selectors
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from typing import Any

PATIENCE_S = 300
BUFFER = 1 << 20


@dataclass
class Asked:
    """What clients saw of a server."""

    milliseconds: list[float]
    """Of each answer, from the question to its last byte."""
    bytes: int
    """Of all bodies."""
    seconds: float
    processor_s: float
    """Processor time of the clients themselves."""

    @property
    def per_s(self) -> float:
        """Answers a second."""
        return len(self.milliseconds) / self.seconds

    @property
    def mb_per_s(self) -> float:
        """MB of bodies a second."""
        return self.bytes / 1e6 / self.seconds


def asked(port: int, paths: list[str], clients: int, seconds: float, headers: str = "", once: bool = False) -> Asked:
    """Let so many clients ask for paths, each for its share again and again (or once), for some seconds."""
    todo = {"port": port, "paths": paths, "clients": clients, "seconds": seconds, "headers": headers, "once": once}
    done = subprocess.run(
        [sys.executable, "-S", Path(__file__), "-"], input=json.dumps(todo), capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(done.stderr[-2000:])
    return Asked(**json.loads(done.stdout))


class Connection:
    """One client: its connection, and the answer that is on its way."""

    def __init__(self, port: int, paths: Iterator[str], headers: str) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.paths = paths
        self.headers = f" HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n{headers}\r\n"
        self.head = b""
        self.left: int | None = None
        self.got = 0
        self.chunked = False

    def ask(self) -> bool:
        """The next question; False when there is none."""
        path = next(self.paths, None)
        if path is None:
            return False
        self.head, self.left, self.got, self.chunked = b"", None, 0, False
        self.begun = time.perf_counter()
        self.socket.sendall(f"GET {path}{self.headers}".encode())
        return True

    def read(self, buffer: memoryview) -> bool:
        """Take what has come; True with the last byte of an answer."""
        n = self.socket.recv_into(buffer)
        if not n:
            raise SystemExit(f"The server has closed a connection: {self.head[:200]!r}")
        if self.left is not None and not self.chunked:
            self.left -= n
            return self.left == 0
        self.head += buffer[:n]
        if self.chunked:
            return self.pieces()
        return self.begin()

    def begin(self) -> bool:
        """Look at the head, once it is there."""
        end = self.head.find(b"\r\n\r\n")
        if end < 0:
            return False
        head, rest = self.head[:end].lower(), self.head[end + 4 :]
        if head[9:12] not in (b"200", b"206"):
            raise SystemExit(f"{self.head[:600]!r}")
        at = head.find(b"\r\ncontent-length:")
        if at < 0:
            self.chunked, self.head, self.left = True, rest, 0
            return self.pieces()
        size = int(head[at + 17 :].split(b"\r\n", 1)[0])
        self.got, self.left = size, size - len(rest)
        return self.left == 0

    def pieces(self) -> bool:
        """Take whole chunks of an answer whose length was not told."""
        while (line := self.head.find(b"\r\n")) >= 0:
            size = int(self.head[:line], 16)
            if len(self.head) < line + size + 4:
                return False
            self.got, self.head = self.got + size, self.head[line + size + 4 :]
            if not size:
                return True
        return False


def work(port: int, paths: list[str], clients: int, seconds: float, headers: str, once: bool) -> dict[str, Any]:
    """Ask until the time is over, then wait for what is on its way."""
    buffer, selector = memoryview(bytearray(BUFFER)), selectors.DefaultSelector()
    milliseconds: list[float] = []
    total, busy = 0, 0
    worked, start = time.process_time(), time.perf_counter()
    for number in range(clients):
        own = paths[number::clients] or paths
        connection = Connection(port, iter(own) if once else cycle(own), headers)
        busy += connection.ask()
        selector.register(connection.socket, selectors.EVENT_READ, connection)
    while busy:
        ready = selector.select(PATIENCE_S)
        if not ready:
            raise SystemExit("The server does not answer any more")
        for key, _ in ready:
            one: Connection = key.data
            if one.read(buffer):
                now = time.perf_counter()
                milliseconds.append((now - one.begun) * 1000)
                total += one.got
                if now - start >= seconds or not one.ask():
                    busy -= 1
    took = time.perf_counter() - start
    return {"milliseconds": milliseconds, "bytes": total, "seconds": took, "processor_s": time.process_time() - worked}


if __name__ == "__main__":
    print(json.dumps(work(**json.load(sys.stdin))))
