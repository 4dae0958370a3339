"""A folder of neural systems for h5pyd and livn: an HDF5 server, and a file server on the port that follows.

Both are one process and one application, which tells by the port that a request came to whom it is for.
"""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from coverslip.core.errors import CannotListen, NotFound, Unreadable
from coverslip.engine.access import choose_tokens
from coverslip.engine.places import Root
from coverslip.engine.systems import Systems
from coverslip.fronts.forwarded import networks
from coverslip.fronts.prefixed import checked

if TYPE_CHECKING:
    import uvicorn
    from starlette.types import ASGIApp

DEFAULT_PORT = 5101
DEFAULT_ROOT = Path("systems") / "graphs"
HIGHEST_PORT = 65535
GRACE_S = 1
TRIES = 20


@dataclass(frozen=True)
class Launch:
    """What is to be served, and where.

    Attributes
    ----------
    root_dir
        Holds one folder for each system.
    host
        Address to bind to.
    port
        Of the HDF5 server; the file server has the next one. 0 = any two free ones.
    token, read_token
        What every request must show, made up when others can reach; and a second one that changes nothing.
    allow_hosts, allow_origins
        Further names the servers answer to, and further web origins whose pages may read.
    trusted_proxies, root_path
        Addresses of proxies that are believed, and the path prefix behind which they offer both servers.
    engine
        Who serves the HDF5 files; see `ENGINES`.
    store
        Where the engine `hsds` keeps its copies; None = a hidden folder in ``root_dir``.
    nodes, cache_mb
        Data nodes of the engine `hsds`, and the chunks that each of them keeps, in MB.
    """

    root_dir: Path = DEFAULT_ROOT
    host: str = "127.0.0.1"
    port: int = DEFAULT_PORT
    token: str | None = None
    read_token: str | None = None
    allow_hosts: tuple[str, ...] = ()
    allow_origins: tuple[str, ...] = ()
    trusted_proxies: tuple[str, ...] = ()
    root_path: str = ""
    engine: str = "native"
    store: Path | None = None
    nodes: int = 4
    cache_mb: int = 128

    def told(self) -> dict[str, str]:
        """The configuration in words."""
        shown = {
            "engine": self.engine,
            "host": self.host,
            "port": str(self.port),
            "files_port": str(self.port + 1) if self.port else "0",
            "root_dir": str(self.root_dir.absolute()),
        }
        if self.root_path:
            shown["root_path"] = self.root_path
        if self.engine != "native":
            shown |= {"store": str(self.store_dir), "nodes": str(self.nodes), "cache_mb": str(self.cache_mb)}
        if self.root_dir.is_dir():
            shown["systems"] = ", ".join(self.names()) or "none"
        else:
            shown["systems"] = "root_dir does not exist"
        return shown

    @property
    def store_dir(self) -> Path:
        """Where copies are kept, by engines that make some."""
        return (self.store or self.root_dir / ".hsds").absolute()

    def names(self) -> list[str]:
        """The names of its systems."""
        return Systems([Root.at(self.root_dir)]).names()

    def check(self) -> None:
        """See that there is a folder to serve.

        Raises
        ------
        NotFound, Unreadable
            When there is none, or it cannot be read.
        """
        if not self.root_dir.is_dir():
            raise NotFound(f"There is no folder {self.root_dir}", "Name it: root_dir=/data/my_systems.")
        try:
            next(self.root_dir.iterdir(), None)
        except OSError as error:
            raise Unreadable(f"{self.root_dir} cannot be read: {error.strerror}", "Check who may read it.") from error


def settled(launch: Launch, port: int) -> Launch:
    """The same with the port that was had, and with tokens, made up where others can reach.

    Raises
    ------
    BadUsage
        When a token, a proxy or the path prefix cannot be used.
    """
    networks(launch.trusted_proxies)
    given = (launch.token, launch.read_token)
    token, read_token = choose_tokens(*given, [launch.host], proxied=bool(launch.trusted_proxies))
    return replace(launch, port=port, token=token, read_token=read_token, root_path=checked(launch.root_path))


def two_ports(listen: Callable[[str, int], socket.socket], host: str, port: int) -> list[socket.socket]:
    """Listening sockets on a port and the next one; on any two that follow each other for port 0.

    Raises
    ------
    CannotListen
        When one of them cannot be had; then none is held.
    """
    if port == HIGHEST_PORT:
        raise CannotListen(f"There is no port after {port} for the file server", "Choose a lower port.")
    for left in reversed(range(TRIES if port == 0 else 1)):
        first = listen(host, port)
        following = first.getsockname()[1] + 1
        try:
            if following <= HIGHEST_PORT:
                return [first, listen(host, following)]
        except CannotListen:
            if not left:
                first.close()
                raise
        first.close()
    raise CannotListen("No two free ports follow each other", "Name one with port=….")


def serve_native(launch: Launch, announce: Callable[[Launch], None], verbose: bool = False) -> None:
    """Serve a folder of systems straight from its files until interrupted.

    Parameters
    ----------
    announce
        Called once both ports answer, with the ports and the token that they have.

    Raises
    ------
    CoverslipError
        When the folder or the ports cannot be had.
    """
    from coverslip.companion_app import create_pair
    from coverslip.server import listen

    launch.check()
    settled(launch, launch.port)  # what is wrong with it is said before a port is taken
    sockets = two_ports(listen, launch.host, launch.port)
    ports = (sockets[0].getsockname()[1], sockets[1].getsockname()[1])
    now = settled(launch, ports[0])
    run_pair(create_pair(now, ports), sockets, lambda: announce(now), verbose)


def run_pair(
    app: ASGIApp,
    sockets: list[socket.socket],
    on_ready: Callable[[], None],
    verbose: bool,
    hold: Callable[[uvicorn.Server], None] = lambda _: None,
) -> None:
    """Serve on two sockets until interrupted, and close them.

    Parameters
    ----------
    on_ready
        Called once both answer.
    hold
        Is given the server, to end it.
    """
    import uvicorn

    from coverslip.http_protocol import Bounded
    from coverslip.server import _announcing, without_token

    try:
        logging.getLogger("uvicorn.access").addFilter(without_token)
        config = uvicorn.Config(
            app,
            http=Bounded,
            log_level="info" if verbose else "critical",
            access_log=verbose,
            proxy_headers=False,
            server_header=False,
            timeout_graceful_shutdown=GRACE_S,
            timeout_keep_alive=75,
        )
        server = _announcing(config, None, on_ready)
        hold(server)
        with suppress(KeyboardInterrupt):
            server.run(sockets=sockets)
        if getattr(server, "interrupted", False):
            raise KeyboardInterrupt
    finally:
        for sock in sockets:
            sock.close()


def serve_hsds(launch: Launch, announce: Callable[[Launch], None], verbose: bool = False) -> None:
    """Serve what was imported into HSDS; see `coverslip.hsds.serving.serve`."""
    from coverslip.hsds.serving import serve

    serve(launch, announce, verbose)


ENGINES: dict[str, Callable[[Launch, Callable[[Launch], None], bool], None]] = {
    "native": serve_native,
    "hsds": serve_hsds,
}
"""Who may serve the HDF5 files, by name; each is given what to serve, whom to tell, and whether to be talkative."""
