"""``coverslip ui server --engine hsds``: HSDS behind a port of ours, the file server on the next one."""

from __future__ import annotations

import secrets
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from types import FrameType
from typing import TYPE_CHECKING

from starlette.applications import Starlette

from coverslip.companion import Launch, behind_ports, only, run_pair, two_ports
from coverslip.core.errors import BadUsage
from coverslip.engine.access import choose_token
from coverslip.engine.places import Root
from coverslip.engine.read import Reader
from coverslip.engine.secret import write_private
from coverslip.engine.systems import Systems
from coverslip.fronts.systems.front import SystemsFront
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
    found = find()
    if found is None:
        raise BadUsage("HSDS is not installed", "Let it be installed: --yes.", "no_hsds")
    store = Store(launch.store_dir)
    with terminable(), store.hold():
        sockets = two_ports(listen, launch.host, launch.port)
        ports = (sockets[0].getsockname()[1], sockets[1].getsockname()[1])
        settled = replace(launch, port=ports[0], token=choose_token(launch.token, [launch.host]))
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
            credential = settled.token or secrets.token_urlsafe(32)
            write_private(store.folder / PASSWORD_FILE, f"{credential}\n".encode())
            store.write(cluster.socket, ports[0], USER, cluster.password)
            app = _application(settled, ports, Relay(cluster.socket, (USER, cluster.password), credential))
            run_pair(app, sockets, lambda: announce(settled), verbose, serving.append)
            if cluster.failed is not None:
                raise cluster.failed
        finally:
            for sock in sockets:
                sock.close()
            cluster.stop()
            with suppress(OSError):
                (store.folder / PASSWORD_FILE).unlink()


def _application(launch: Launch, ports: tuple[int, int], relay: Relay) -> Starlette:
    reader = Reader()
    systems = SystemsFront(Systems([Root.at(launch.root_dir)]), reader)

    async def close() -> None:
        reader.close()
        await relay.close()

    return behind_ports(launch, ports, (relay, relay.has), only(systems), close)


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
