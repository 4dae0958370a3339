"""Arrow Flight: ``docs/reference/flight.md``, in the words of the tensor server's protocol, for its clients."""

from __future__ import annotations

import importlib.util
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from coverslip.core.errors import CannotListen, Stopped, Unsupported
from coverslip.core.node import Source
from coverslip.core.stop import Stop
from coverslip.domains.images import Images
from coverslip.engine.catalog import Catalog
from coverslip.engine.failures import Failures
from coverslip.engine.keys import Keys
from coverslip.engine.memory import large_blocks
from coverslip.fronts.flight.desk import Desk, Part
from coverslip.fronts.flight.errors import Unavailable, parsed
from coverslip.fronts.flight.options import FlightOptions
from coverslip.fronts.flight.registry import Call, Registry
from coverslip.fronts.flight.seals import Seals
from coverslip.fronts.flight.sockets import check_free, hang_up
from coverslip.fronts.flight.tensors import Tensors
from coverslip.fronts.forwarded import Proxies

CLOSE_S = 1.0
CLOSE_TRIES = 20
"""After that the server ends although a library still decodes for somebody who is gone."""
LIBRARIES = ("pyarrow", "biopb")


class FlightFront:
    """Serves a catalog by Arrow Flight.

    Parameters
    ----------
    catalog
        What is on offer; started and closed by who made it.
    images_of
        The images of an opened source; give the same function to every front.
    version
        Ours.
    host, port
        Where to listen; port 0 takes any free one.
    token
        What callers must show, or None.
    options
        Numbers and permissions.
    tls
        The certificate chain and its key as PEM; None serves without encryption.
    further
        Parts that add to what is answered.
    failures
        Where wrong tokens are counted; give the same to every front.
    proxies
        Whose word on whom they speak for is taken.
    keys
        What opens the server, where that is more than the ``token``; give the same to every front.

    Raises
    ------
    Unsupported
        When pyarrow or biopb is not installed.
    """

    def __init__(
        self,
        catalog: Catalog,
        images_of: Callable[[Source], Images],
        version: str,
        host: str,
        port: int,
        token: str | None,
        options: FlightOptions | None = None,
        tls: tuple[bytes, bytes] | None = None,
        further: Sequence[Part] = (),
        failures: Failures | None = None,
        proxies: Proxies | None = None,
        keys: Keys | None = None,
    ) -> None:
        check_installed()
        self._options = options or FlightOptions()
        self._host, self.port, self._keys, self._tls = host, port, keys or Keys(token), tls
        registry = Registry()
        tensors = Tensors(catalog, images_of, registry.finders, version)
        self._desk = Desk(catalog, tensors, registry, Seals(lambda: self._keys.tokens), self._options, version)
        self._further = tuple(further)
        self._failures = Failures() if failures is None else failures
        self._proxies = proxies
        self._server: Any = None

    @property
    def registry(self) -> Registry:
        """What is answered; add to it before `start`."""
        return self._desk.registry

    @property
    def listening(self) -> bool:
        """Whether it has started, and was not closed."""
        return self._server is not None

    @property
    def url(self) -> str:
        """Where it is reached, from a client's point of view."""
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"{'grpc+tls' if self._tls else 'grpc'}://{host}:{self.port}"

    def chunk(self, ticket: bytes, stop: Stop) -> tuple[str, Any]:
        """The ``array_id`` and the elements that a ticket of a chunk stands for; for who was let in already.

        Raises
        ------
        CoverslipError
            When it is none of ours, or of a file that changed since.
        """
        from biopb.tensor.ticket_pb2 import TensorTicket

        pixels = self.registry.pixels
        if pixels is None:
            raise Unavailable("Arrow Flight has not started yet", "Try again in a moment.")
        message = parsed(TensorTicket, ticket, "TensorTicket")
        return pixels(message, Call(True, "http", lambda: asked_to_end(stop)))

    def start(self) -> None:
        """Listen, and answer in threads of gRPC's own; returns at once.

        Raises
        ------
        CannotListen
            When the port is taken or the address is none of this machine.
        """
        import pyarrow

        from coverslip.fronts.flight.guesses import Guesses
        from coverslip.fronts.flight.parts import PARTS
        from coverslip.fronts.flight.plans import Plans
        from coverslip.fronts.flight.service import Service

        check_free(self._host, self.port)
        self.registry.hang_up = lambda peer: hang_up(self.port, peer)
        large_blocks()
        plans = Plans(self._desk)
        for part in (*PARTS, *self._further):
            part(self._desk)
        try:
            guesses, writable = Guesses(self._failures, self._proxies), self._options.writable
            self._server = Service(self.url, self.registry, plans, self._keys, writable, self._tls, guesses)
        except pyarrow.ArrowException as error:
            hint = "Is the certificate the one of the key, both as PEM?" if self._tls else "Choose another port."
            raise CannotListen(f"Arrow Flight cannot listen on {self._host}:{self.port}", hint) from error
        self.port = self._server.port

    def close(self) -> None:
        """Listen no more and end the calls that run, within about a second; safe to call twice."""
        server, self._server = self._server, None
        if server is None:
            return
        server.closing = True
        ending = threading.Thread(target=_shut_down, args=(server,), name="coverslip-flight-end", daemon=True)
        ending.start()
        ending.join(CLOSE_S / 2)
        for _ in range(CLOSE_TRIES):
            if not ending.is_alive():
                break
            hang_up(self.port)
            ending.join(CLOSE_S / 10)
        for closer in self.registry.closers:
            closer()


def asked_to_end(stop: Stop) -> bool:
    """Whether nobody waits any more."""
    try:
        stop.check()
    except Stopped:
        return True
    return False


def check_installed() -> None:
    """Raise `Unsupported` when what Arrow Flight needs is not installed."""
    missing = [name for name in LIBRARIES if importlib.util.find_spec(name) is None]
    if missing:
        raise Unsupported(
            f"Arrow Flight needs {' and '.join(missing)}", "Install it: pip install 'coverslip[flight]'.",
            "library_missing",
        )  # fmt: skip


def _shut_down(server: Any) -> None:
    with suppress(Exception):  # the top of a thread; it is gone either way
        server.shutdown()
