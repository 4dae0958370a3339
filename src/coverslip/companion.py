"""A folder of neural systems for h5pyd and livn: an HDF5 server, and a file server on the port that follows.

Both are one process and one application, which tells by the port that a request came to whom it is for.
"""

from __future__ import annotations

import logging
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount
from starlette.types import ASGIApp, Receive, Scope, Send

from coverslip.core.errors import CannotListen, NotFound, Unreadable
from coverslip.core.idle import ASKED
from coverslip.ending import ended
from coverslip.engine.access import Access, choose_token
from coverslip.engine.cache import ByteCache
from coverslip.engine.failures import Failures
from coverslip.engine.files import Files
from coverslip.engine.keys import Keys
from coverslip.engine.places import Root
from coverslip.engine.read import CLIENT, Reader
from coverslip.engine.rest import Rest
from coverslip.engine.systems import Systems
from coverslip.formats.hdf5_arrays import has_signature, open_typed
from coverslip.fronts.guard import Guard
from coverslip.fronts.hsds.front import HsdsFront
from coverslip.fronts.systems.front import SystemsFront
from coverslip.fronts.tokens import problem
from coverslip.fronts.turns import asker
from coverslip.settings import SLICE_BYTES

if TYPE_CHECKING:
    import uvicorn

DEFAULT_PORT = 5101
DEFAULT_ROOT = Path("systems") / "graphs"
HIGHEST_PORT = 65535
METADATA_BYTES = 64 << 20
GRACE_S = 1
TRIES = 20
NO_SOCKETS = 1008
"""With it a WebSocket is refused: none is spoken here."""


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
    token
        What every request must show; made up when the address is not loopback.
    allow_hosts, allow_origins
        Further names the servers answer to, and further web origins whose pages may read.
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
    allow_hosts: tuple[str, ...] = ()
    allow_origins: tuple[str, ...] = ()
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


def create_pair(launch: Launch, ports: tuple[int, int]) -> Starlette:
    """The application behind both ports.

    Parameters
    ----------
    ports
        Of the HDF5 server and of the file server.
    """
    root = Root.at(launch.root_dir)
    reader = Reader()
    files = Files([root], has_signature, open_typed)
    hsds = HsdsFront(files, reader, ByteCache(METADATA_BYTES), SLICE_BYTES, prefix="")
    systems = SystemsFront(Systems([root]), reader)

    async def close() -> None:
        reader.close()
        await ended(files.close)

    return behind_ports(launch, ports, (only(hsds), hsds.has), only(systems), close)


def behind_ports(
    launch: Launch,
    ports: tuple[int, int],
    hdf5: tuple[ASGIApp, Callable[[str], bool]],
    systems: ASGIApp,
    close: Callable[[], Awaitable[None]],
) -> Starlette:
    """One application that is another one on each port, behind its rules.

    Parameters
    ----------
    hdf5
        The application of the first port, and whether a path is of its protocol.
    systems
        That of the second one.
    close
        Called at the end.
    """
    # Pages of either port may read from the other one.
    own = [f"http://{name}:{port}" for port in ports for name in ("localhost", "127.0.0.1")]
    access = Access.create(launch.host, Keys(launch.token), launch.allow_hosts, (*own, *launch.allow_origins))
    failures = Failures()
    gates: dict[int, ASGIApp] = {
        ports[0]: Guard(hdf5[0], access, ports[0], failures=failures, speaks=hdf5[1]),
        ports[1]: Guard(systems, access, ports[1], failures=failures),
    }

    async def by_port(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": NO_SOCKETS})
            return
        ASKED.now()
        CLIENT.set(asker(scope))
        server = scope.get("server") or ("", ports[0])
        await gates.get(server[1], gates[ports[0]])(scope, receive, send)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        rest = Rest()
        rest.start()
        yield
        rest.close()
        await close()

    return Starlette(routes=[Mount("/", by_port)], lifespan=lifespan)


def only(front: Any) -> ASGIApp:
    """An application of one front."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive, send)
        path = scope["path"].removeprefix(scope.get("root_path", "")).lstrip("/")
        response: Response = (
            await front(request, path)
            if front.has(path)
            else problem(404, "not_found", "There is nothing here", "GET /systems is on the port after HSDS's.")
        )
        await response(scope, receive, send)

    return app


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
    from coverslip.server import listen

    launch.check()
    sockets = two_ports(listen, launch.host, launch.port)
    ports = (sockets[0].getsockname()[1], sockets[1].getsockname()[1])
    settled = replace(launch, port=ports[0], token=choose_token(launch.token, [launch.host]))
    run_pair(create_pair(settled, ports), sockets, lambda: announce(settled), verbose)


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
