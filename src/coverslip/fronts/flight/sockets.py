"""What pyarrow does not do with sockets: tell why a port is busy, and hang up on clients when the server ends."""

from __future__ import annotations

import errno
import os
import socket
from contextlib import suppress
from pathlib import Path

from coverslip.core.errors import CannotListen

MOST_FILES = 4096


def check_free(host: str, port: int) -> None:
    """Raise `CannotListen`, with the reason, when nothing can listen there; gRPC only says that it did not start."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            if os.name == "posix":
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
            probe.listen(1)
    except OSError as error:
        busy = error.errno in (errno.EADDRINUSE, errno.EACCES)
        hint = "Choose another port; 0 takes any free one." if busy else "Name an address of this machine: 127.0.0.1."
        raise CannotListen(f"Arrow Flight cannot listen on {host}:{port}: {error.strerror or error}", hint) from error


def hang_up(port: int, peer: str = "") -> None:
    """End the connections that this process accepted on ``port``: all, or that of one peer, as gRPC writes it.

    A server of gRPC that is shut down waits for its calls, and pyarrow gives it no deadline: one client that reads
    nothing would keep it from ending for ever.
    """
    for number in _open_files():
        with suppress(OSError, ValueError):
            _hang_up(number, port, peer)


def _hang_up(number: int, port: int, peer: str) -> None:
    with socket.socket(fileno=os.dup(number)) as connection:
        if connection.family not in (socket.AF_INET, socket.AF_INET6) or connection.getsockname()[1] != port:
            return
        other = connection.getpeername()  # one that listens has none
        if not peer or peer.rpartition(":")[2] == str(other[1]):
            connection.shutdown(socket.SHUT_RDWR)


def _open_files() -> list[int]:
    for folder in ("/proc/self/fd", "/dev/fd"):
        with suppress(OSError):
            return [int(entry.name) for entry in Path(folder).iterdir()]
    return list(range(3, MOST_FILES))
