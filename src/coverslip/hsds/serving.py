"""``coverslip ui server --engine hsds``: HSDS behind a port of ours, the file server on the next one."""

from __future__ import annotations

import secrets
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.types import Receive, Scope, Send

from coverslip.companion import Launch, run_pair, settled, two_ports
from coverslip.companion_app import OfferedSystems, behind_ports, beside
from coverslip.core.errors import BadUsage, Unreadable, Unsupported
from coverslip.engine.keys import Keys, kept_keys
from coverslip.engine.places import Root
from coverslip.engine.read import Reader
from coverslip.engine.rights import Right
from coverslip.engine.secret import write_private
from coverslip.engine.systems import Systems
from coverslip.fronts.access.front import AccessFront
from coverslip.fronts.systems.front import SystemsFront
from coverslip.fronts.tokens import path_of
from coverslip.hsds.cluster import USER, Cluster, Sizes
from coverslip.hsds.environment import find
from coverslip.hsds.relay import Relay
from coverslip.hsds.store import Store

if TYPE_CHECKING:
    import uvicorn

PASSWORD_FILE = "password"  # noqa: S105  (the name of a file)


def serve(launch: Launch, announce: Callable[[Launch], None], verbose: bool = False) -> None:
    """Serve what was imported into HSDS until interrupted.

    Parameters
    ----------
    announce
        Called once everything answers.

    Raises
    ------
    CoverslipError
        When the folder, the store, the ports or HSDS cannot be had.
    """
    from coverslip.server import listen

    launch.check()
    settled(launch, launch.port)  # what is wrong with it is said before anything is started
    found = find()
    if found is None:
        raise BadUsage("HSDS is not installed", "Let it be installed: --yes.", "no_hsds")
    store = Store(launch.store_dir)
    with terminable(), store.hold():
        sockets = two_ports(listen, launch.host, launch.port)
        ports = (sockets[0].getsockname()[1], sockets[1].getsockname()[1])
        now = settled(launch, ports[0])
        keys = kept_keys(now.token, now.read_token)
        endpoint = f"http://localhost:{ports[0]}"
        sizes = Sizes(launch.nodes, launch.cache_mb)
        ended = threading.Event()
        serving: list[uvicorn.Server] = []

        def end() -> None:
            ended.set()
            for server in serving:
                server.should_exit = True

        cluster = Cluster(found, store.data, store.log, endpoint, sizes, verbose)
        try:
            cluster.start(end)
            cluster.wait_ready()
            made = secrets.token_urlsafe(32)
            keep_password(store, now.token or made)
            keys.keepers.append(lambda token, read_token: keep_password(store, token))
            store.write(cluster.socket, ports[0], USER, cluster.password)
            relay = Relay(cluster.socket, (USER, cluster.password), lambda: keys.tokens or (made,))
            app = _application(now, ports, relay, keys)
            run_pair(app, sockets, lambda: announce(now), verbose, serving.append)
            if cluster.failed is not None:
                raise cluster.failed
        finally:
            for sock in sockets:
                sock.close()
            cluster.stop()
            with suppress(OSError):
                (store.folder / PASSWORD_FILE).unlink()


class NoLinks(OfferedSystems):
    """Systems of which none can be shared by itself: HSDS answers whoever may ask about everything it has."""

    def __contains__(self, id: object) -> bool:
        hint = "Give the token for reading, or serve without --engine hsds."
        raise Unsupported("HSDS makes no links to one system", hint, "no_links")


def keep_password(store: Store, password: str) -> None:
    """Write down what is shown to write, for who runs the server.

    Raises
    ------
    Unreadable
        When it cannot be written.
    """
    try:
        write_private(store.folder / PASSWORD_FILE, f"{password}\n".encode())
    except OSError as error:
        what = f"The password cannot be written down: {error.strerror}"
        raise Unreadable(what, f"Check who may write to {store.folder.name}.") from error


def _application(launch: Launch, ports: tuple[int, int], relay: Relay, keys: Keys) -> Starlette:
    reader, named = Reader(), Systems([Root.at(launch.root_dir)])
    systems = SystemsFront(named, reader)
    given = AccessFront(keys, NoLinks(named), reader, page=False)

    async def second(right: Right) -> SystemsFront:
        return systems

    async def first(scope: Scope, receive: Receive, send: Send) -> None:
        await (asked if given.has(path_of(scope)) else relay)(scope, receive, send)

    async def close() -> None:
        reader.close()
        await relay.close()

    asked = beside(given, second)
    return behind_ports(launch, ports, keys, reader, given, (first, relay.has), asked, close)


@contextmanager
def terminable() -> Iterator[None]:
    """Let SIGTERM and SIGHUP end this process as its end does, so that what it started is ended first."""

    def end(number: int, _: FrameType | None) -> None:
        raise SystemExit(128 + number)

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {one: signal.signal(one, end) for one in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for one, how in before.items():
            signal.signal(one, how)
