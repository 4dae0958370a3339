"""The application behind both ports of `coverslip.companion`: an HDF5 server, and a file server."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from coverslip.companion import Launch
from coverslip.core.errors import CoverslipError, NotFound
from coverslip.core.idle import ASKED
from coverslip.ending import ended
from coverslip.engine.access import Access
from coverslip.engine.cache import ByteCache
from coverslip.engine.failures import Failures
from coverslip.engine.files import Files
from coverslip.engine.keys import Keys, kept_keys
from coverslip.engine.only import Apart, OnlyFiles
from coverslip.engine.places import Root
from coverslip.engine.read import CLIENT, Reader
from coverslip.engine.rest import Rest
from coverslip.engine.rights import Right
from coverslip.engine.systems import OnlySystem, Systems
from coverslip.formats.hdf5_arrays import has_signature, open_typed
from coverslip.fronts.access.front import AccessFront
from coverslip.fronts.errors import error_response
from coverslip.fronts.forwarded import Forwarded
from coverslip.fronts.guard import Guard
from coverslip.fronts.held import looking
from coverslip.fronts.hsds.front import HsdsFront
from coverslip.fronts.prefixed import Prefixed
from coverslip.fronts.scopes import right_in
from coverslip.fronts.systems.front import SystemsFront
from coverslip.fronts.tokens import path_of, problem
from coverslip.fronts.turns import asker
from coverslip.per_link import PerLink
from coverslip.settings import SLICE_BYTES

METADATA_BYTES = 64 << 20
LINK_BYTES = 1 << 20
"""Descriptions of HDF5 files that are kept for each link."""
NOWHERE = Path(os.devnull)
NO_SOCKETS = 1008
"""With it a WebSocket is refused: none is spoken here."""
ELSEWHERE = "GET /systems is on the port after HSDS's."
HDF5 = "hsds/"
"""Before the paths of the first port, in the table of what may be asked: `coverslip serve` has the same there."""


class Listed(NamedTuple):
    """A system, in the words of a list of sources."""

    id: str
    name: str
    path: str


class OfferedSystems:
    """What can be shared here: whole systems, by their names.

    Parameters
    ----------
    systems
        Those there are.
    """

    def __init__(self, systems: Systems) -> None:
        self._systems = systems

    def __contains__(self, id: object) -> bool:
        return id in self._systems.names()

    def entries(self, search: str = "") -> tuple[Sequence[Listed], int]:
        """The systems whose names hold a word, and how many."""
        found = [Listed(name, name, name) for name in self._systems.names() if search in name]
        return found, len(found)

    def where(self, id: str) -> tuple[str, Listed]:
        """Where a system is; `NotFound` when there is none."""
        return self._systems.place(id), Listed(id, id, id)


@dataclass(frozen=True)
class Pair:
    """The fronts of both ports.

    Attributes
    ----------
    hsds, systems
        Of the first and the second one.
    close
        Closes the files.
    """

    hsds: HsdsFront
    systems: SystemsFront
    close: Callable[[], None]


def create_pair(launch: Launch, ports: tuple[int, int], keys: Keys | None = None) -> Starlette:
    """The application behind both ports.

    Parameters
    ----------
    ports
        Of the HDF5 server and of the file server.
    keys
        What opens them; the tokens of ``launch`` where nothing is said.
    """
    keys = keys or kept_keys(launch.token, launch.read_token)
    root, reader = Root.at(launch.root_dir), Reader()
    systems = Systems([root])
    files = Files([root], has_signature, open_typed)
    hsds = HsdsFront(files, reader, ByteCache(METADATA_BYTES), SLICE_BYTES, prefix="")
    whole = Pair(hsds, SystemsFront(systems, reader), files.close)
    links = PerLink(partial(_found, systems, keys), partial(_shared, systems, root, reader), lambda pair: pair.close())
    given = AccessFront(keys, OfferedSystems(systems), reader, page=False)

    async def pair_of(right: Right) -> Pair:
        if right.scope != "share":
            return whole
        key = ("pair", right.source, right.place, right.ring)
        return await reader.run(key, lambda stop: links.of(right), "quick")

    async def close() -> None:
        reader.close()
        await ended(files.close)
        await ended(links.close)

    async def first(right: Right) -> Any:
        return (await pair_of(right)).hsds

    async def second(right: Right) -> Any:
        return (await pair_of(right)).systems

    hdf5 = (beside(given, first), hsds.has)
    return behind_ports(launch, ports, keys, reader, given, hdf5, beside(given, second), close)


def _found(systems: Systems, keys: Keys, right: Right) -> str | None:
    """Where the system of a link is; None when it is gone, or is another."""
    try:
        where = systems.place(right.source)
    except NotFound:
        return None
    return where if keys.meant(right, where) else None


def _shared(systems: Systems, root: Root, reader: Reader, right: Right, where: str) -> Pair:
    """The fronts of one system."""
    apart = Apart(reader, ("share", right.source, where))
    try:
        path = systems.folder(right.source) if where else NOWHERE
    except NotFound:
        path = NOWHERE
    files = OnlyFiles([root], has_signature, open_typed, path)
    hsds = HsdsFront(files, apart, ByteCache(LINK_BYTES), SLICE_BYTES, prefix="")
    return Pair(hsds, SystemsFront(OnlySystem(systems, right.source, where), apart), files.close)


def behind_ports(
    launch: Launch,
    ports: tuple[int, int],
    keys: Keys,
    reader: Reader,
    given: AccessFront,
    hdf5: tuple[ASGIApp, Callable[[str], bool]],
    systems: ASGIApp,
    close: Callable[[], Awaitable[None]],
) -> Starlette:
    """One application that is another one on each port, behind its rules.

    Parameters
    ----------
    keys, reader
        What opens both, and threads to look after links in.
    given
        Answers about tokens and links, on both ports.
    hdf5
        The application of the first port, and whether a path is of its protocol.
    systems
        That of the second one.
    close
        Called at the end.
    """
    # Pages of either port may read from the other one.
    own = [f"http://{name}:{port}" for port in ports for name in ("localhost", "127.0.0.1")]
    origins, proxied = (*own, *launch.allow_origins), bool(launch.trusted_proxies)
    access = Access.create(launch.host, keys, launch.allow_hosts, origins, proxied)
    guard = partial(Guard, access=access, failures=Failures(), look=looking(keys.links, reader))

    def speaks(path: str) -> bool:
        return given.takes(path) or hdf5[1](path)

    def meant(path: str) -> str:
        return path if given.has(path) else HDF5 + path

    gates: dict[int, ASGIApp] = {
        ports[0]: guard(hdf5[0], port=ports[0], speaks=speaks, meant=meant),
        ports[1]: guard(systems, port=ports[1], speaks=given.takes),
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

    before = [Middleware(Forwarded, trusted=launch.trusted_proxies)] if proxied else []
    if launch.root_path or proxied:
        before.insert(0, Middleware(Prefixed, root_path=launch.root_path, trusted=launch.trusted_proxies))
    app = Starlette(middleware=before, lifespan=lifespan)
    app.router.default = by_port
    return app


def beside(given: AccessFront, front_of: Callable[[Right], Awaitable[Any]]) -> ASGIApp:
    """An application of the answers about tokens and links, and of the front that whoever asks is given."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        request, path = Request(scope, receive, send), path_of(scope)
        response: Response = problem(404, "not_found", "There is nothing here", ELSEWHERE)
        try:
            front = given if given.has(path) else await front_of(right_in(scope))
            if front.has(path):
                response = await front(request, path)
        except CoverslipError as error:  # where the system of a link is cannot be seen
            response = error_response(error)
        await response(scope, receive, send)

    return app
