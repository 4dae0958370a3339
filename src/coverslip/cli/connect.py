"""``coverslip connect``: data on another machine, served there, seen here, through one SSH connection."""

from __future__ import annotations

import contextlib
import http.client
import secrets
import shlex
import shutil
import socket
import subprocess
import threading
import time
import webbrowser
from collections import deque
from random import SystemRandom

import click

from coverslip.cli.helping import Sectioned
from coverslip.core.errors import BadUsage, CannotListen, CoverslipError, NotFound, TimedOut
from coverslip.ports import DEFAULT_PORT

EXAMPLES = (
    ("coverslip connect you@there:/data/cells.h5ad", "Opens a tab here; nothing is copied."),
    ("coverslip connect there:/data --remote-command /opt/env/bin/coverslip", "Where coverslip is in an environment."),
    (
        "coverslip connect there:/data --ssh 'ssh -J gate' -- --no-index",
        "Through another; flags of serve after --.",
    ),
)
OPTIONS = ("-T", "-o", "ExitOnForwardFailure=yes", "-o", "ServerAliveInterval=15", "-o", "ServerAliveCountMax=3")
ANSWERED_S = 20.0
STOP_S = 5.0
FAR_PORTS = range(20_000, 32_000)
"""Of these one is tried on the other machine: below those that systems give to clients."""
TRIES = 3
SSH_FAILED, NOT_FOUND = 255, 127
MOST_LINES = 50
LOOK_S = 0.1


@click.command(cls=Sectioned, examples=EXAMPLES, context_settings={"ignore_unknown_options": True})
@click.argument("place", metavar="[USER@]HOST:PATH")
@click.argument("words", metavar="[-- FLAGS OF serve]...", nargs=-1, type=click.UNPROCESSED)
@click.option(
    "-p", "--port", default=DEFAULT_PORT, show_default=True, help="Port here; 0, or when it is busy: any free one."
)
@click.option("--no-browser", is_flag=True, help="Open no browser tab.")
@click.option("-q", "--quiet", is_flag=True, help="Print the URL only.")
@click.option("--remote-command", default="coverslip", show_default=True, help="How coverslip is called on HOST.")
@click.option(
    "--ssh", "ssh_words", default="ssh", show_default=True, envvar="COVERSLIP_SSH", help="How ssh is called here."
)
def connect(
    place: str, words: tuple[str, ...], port: int, no_browser: bool, quiet: bool, remote_command: str, ssh_words: str
) -> None:
    """Serve PATH on HOST, reached by ssh, to a browser tab here.

    coverslip must be installed there. The server listens on HOST's loopback only, asks for a token that only this
    command knows, and ends with the connection.
    """
    host, path = parted(place)
    ssh = shlex.split(ssh_words)
    if not ssh or shutil.which(ssh[0]) is None:
        raise NotFound(f"There is no {ssh[0] if ssh else 'ssh'} on this machine", "Install an OpenSSH client.")
    near, token = free_port(port), secrets.token_urlsafe(32)
    fixed = ("--no-browser", "--quiet", "--end-with-input", "--token", "-")
    remote = [*shlex.split(remote_command), "serve", path if path[0] != "-" else f"./{path}", *words, *fixed]
    for _ in range(TRIES):
        with Far(ssh, host, remote, near, token) as far:
            if not far.began():
                if far.busy:
                    continue
                raise far.failure(remote_command)
            far.wait_until_answered(near)
            url = f"http://127.0.0.1:{near}/#token={token}"
            tell(url, host, path, quiet)
            if not no_browser:
                webbrowser.open(url)
            raise far.lost()
    raise CannotListen(f"No port could be had on {host}", "Try again.")


def parted(place: str) -> tuple[str, str]:
    """The machine and the path of ``user@host:path``.

    Raises
    ------
    BadUsage
        When it is no such thing, or ssh would take the host for a flag.
    """
    host, colon, path = place.partition(":")
    if place.startswith("["):  # an address of IPv6
        inside, _, rest = place[1:].partition("]")
        host, colon, path = inside, rest[:1], rest[1:]
    if not host or colon != ":" or not path or host.startswith("-") or path.startswith(("//", "\\")):
        raise BadUsage(f"{place} names no path on another machine", "Write it like user@host:/data/cells.h5ad.")
    return host, path


def free_port(wanted: int) -> int:
    """The port that was asked for if it is free, else another."""
    for port in (wanted, 0):
        with socket.socket() as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                sock.bind(("127.0.0.1", port))
            except (OSError, OverflowError):
                continue
            found: int = sock.getsockname()[1]
            return found
    raise CannotListen(f"Port {wanted} cannot be had", "Choose another with --port.")


class Far:
    """A server on another machine, whose port is one here; it ends with the block, and with us.

    Parameters
    ----------
    ssh
        How ssh is called.
    host
        The other machine.
    remote
        The command there, to which its port is added.
    near
        The port here.
    token
        Goes through its standard input, so that no list of processes holds it.
    """

    def __init__(self, ssh: list[str], host: str, remote: list[str], near: int, token: str) -> None:
        self._host = host
        far = SystemRandom().choice(FAR_PORTS)
        forward = f"127.0.0.1:{near}:127.0.0.1:{far}"
        command = shlex.join([*remote, "--port", str(far)])
        self._process = subprocess.Popen(
            [*ssh, *OPTIONS, "-L", forward, "--", host, f"exec {command}"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, errors="replace",
        )  # fmt: skip
        assert self._process.stdin is not None
        self._input = self._process.stdin
        self._told: deque[str] = deque(maxlen=MOST_LINES)
        self._listener = threading.Thread(target=self._listen, name="coverslip-ssh", daemon=True)
        self._listener.start()
        with contextlib.suppress(OSError):  # it ended already, and says why
            self._input.write(f"{token}\n")
            self._input.flush()

    def _listen(self) -> None:
        assert self._process.stderr is not None
        self._told.extend(line.strip() for line in self._process.stderr if line.strip())

    def __enter__(self) -> Far:
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):
            self._input.close()  # the server there ends
        try:
            self._process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self._process.terminate()
            self._process.wait()
        self._listener.join(STOP_S)
        for pipe in (self._process.stdout, self._process.stderr):
            if pipe is not None and not self._listener.is_alive():
                pipe.close()

    def began(self) -> bool:
        """Whether the server there said its address; else it has ended."""
        assert self._process.stdout is not None
        if any(line.startswith("http") for line in self._process.stdout):
            return True
        self._process.wait()
        self._listener.join(STOP_S)
        return False

    @property
    def busy(self) -> bool:
        """Whether it ended because its port there is another program's."""
        return self._process.returncode == 1 and any("is already in use" in line for line in self._told)

    def failure(self, command: str) -> CoverslipError:
        """Why there is no server."""
        last = self._told[-1] if self._told else "no reason given"
        if self._process.returncode == SSH_FAILED:
            return CoverslipError(f"{self._host} cannot be reached: {last}", f"Try: ssh {self._host}", "no_connection")
        if self._process.returncode == NOT_FOUND:
            hint = "Install it there (pip install coverslip), or say where it is: --remote-command /path/to/coverslip."
            return NotFound(f"There is no {command} on {self._host}", hint)
        return CoverslipError(f"{self._host}: {last.removeprefix('Error: ')}", "", "remote_failed")

    def wait_until_answered(self, port: int) -> None:
        """Wait until the server answers here.

        Raises
        ------
        CoverslipError
            When the connection ends before, or nothing comes through.
        """
        end = time.monotonic() + ANSWERED_S
        while self._process.poll() is None:
            if answers(port):
                return
            if time.monotonic() > end:
                hint = "Does its sshd allow forwarding (AllowTcpForwarding)?"
                raise TimedOut(f"Nothing comes through the connection to {self._host}", hint)
            time.sleep(LOOK_S)
        raise self.lost()

    def lost(self) -> CoverslipError:
        """That the connection ended, once it has."""
        self._process.wait()
        self._listener.join(STOP_S)
        last = f" ({self._told[-1]})" if self._told else ""
        message = f"The connection to {self._host} was lost{last}"
        return CoverslipError(message, "Run the command again.", "connection_lost")


def answers(port: int) -> bool:
    """Whether a server on a port of this machine says that it lives."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=ANSWERED_S)
    try:
        connection.request("GET", "/livez")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def tell(url: str, host: str, path: str, quiet: bool) -> None:
    """Print where it is."""
    if quiet:
        click.echo(url)
        return
    click.echo(f"coverslip on {host} is serving {path}\n\n  {url}\n\nPress Ctrl+C to stop.")
