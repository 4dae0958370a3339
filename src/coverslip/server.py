"""Running a server: in the foreground for the command line, in the background for notebooks."""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import re
import signal
import socket
import sys
import threading
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Self

from coverslip import flight
from coverslip.app import catalog_of, certificate_of, create_app, keys_of, remotes_of, viewer_built, with_token
from coverslip.core.errors import CannotListen, CoverslipError
from coverslip.reached import elsewhere, here
from coverslip.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

    import uvicorn

    from coverslip.domains.analyses import Analyses
    from coverslip.domains.gene_indexes import GeneIndexes
    from coverslip.engine.catalog import Catalog
    from coverslip.engine.certificate import Certificate
    from coverslip.engine.dialogue import Dialogue

BACKLOG = 2048
GRACE_S = 1
MOST_MESSAGE_BYTES = 1 << 20
"""Of a client, on a WebSocket."""
FILE_LIBRARIES = ("pydicom", "tifffile", "nibabel", "nd2", "liffile", "czifile", "bioio", "zarr", "h5py")
"""What they find odd about a file is no news to who runs a server; what cannot be read is listed with its reason."""
TOKEN = re.compile(r"([?&#](?:token|share)=)[^&\s]*")
IN_USE = "port_in_use"


class FlightRefused(CannotListen):
    """An address or a port that Arrow Flight cannot be served on."""


def listen(host: str, port: int) -> socket.socket:
    """A listening socket on exactly this address; never on another port than the one asked for.

    Raises
    ------
    CannotListen
        With what to do about it.
    """
    if not 0 <= port <= 65535:
        raise CannotListen(f"{port} is not a port", "Ports are numbered 0 to 65535; 0 takes any free one.")
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        sock = socket.socket(family, kind, protocol)
    except OSError as error:
        raise CannotListen(f"{host} is not an address of this machine", "Try --host 127.0.0.1.") from error
    try:
        if os.name == "posix":  # a port left a moment ago can be taken again at once; one in use cannot
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(address)
        sock.listen(BACKLOG)
    except OSError as error:
        sock.close()
        raise _cannot_listen(error, host, port) from error
    sock.set_inheritable(False)
    return sock


def _cannot_listen(error: OSError, host: str, port: int) -> CannotListen:
    if error.errno == errno.EADDRINUSE:
        return CannotListen(
            f"Port {port} is already in use", "Choose another with --port, or --port 0 for any free one.", IN_USE
        )
    if error.errno == errno.EACCES:
        return CannotListen(f"Port {port} needs more rights", "Choose one above 1023 with --port.")
    return CannotListen(f"Cannot listen on {host}: {error.strerror}", "Try --host 127.0.0.1.")


def without_token(record: logging.LogRecord) -> bool:
    """A logging filter that lets every line through, without the token of its URL."""
    if isinstance(record.args, tuple):
        record.args = tuple(TOKEN.sub(r"\1…", a) if isinstance(a, str) else a for a in record.args)
    return True


class Server:
    """One server; can be started again after it stopped.

    Parameters
    ----------
    data
        A path, a list of paths, or an AnnData object.
    settings
        How to serve it.
    open_browser
        Whether to open a tab once it answers.
    dialogue
        A notebook's, with the viewers of this server.
    """

    def __init__(
        self, data: Any, settings: Settings, open_browser: bool = False, dialogue: Dialogue | None = None
    ) -> None:
        self._data = data
        self._dialogue = dialogue
        # A wrong path is told at once.
        self._catalog: Catalog | None = catalog_of(data, settings.cells, settings.catalog)
        self._serving: Catalog | None = None
        self._settings = with_token(settings)
        self.keys = keys_of(self._settings)
        self.certificate = certificate_of(self._settings)
        self._open_browser = open_browser
        self._port = settings.port
        self._flight: Any = None
        self._genes: GeneIndexes | None = None
        self._analyses: Analyses | None = None
        self._uvicorn: uvicorn.Server | None = None
        self._thread: threading.Thread | None = None
        self._runs_in: int | None = None
        self._done = threading.Event()
        self._done.set()

    @property
    def url(self) -> str:
        """Where the server can be reached from this machine, without a token."""
        return f"{self._scheme}://{here(self._settings.host)}:{self._port}"

    @property
    def _scheme(self) -> str:
        return "https" if self._settings.encrypted else "http"

    @property
    def flight_url(self) -> str | None:
        """Where Arrow Flight can be reached from this machine; None when it is not served."""
        if self._settings.flight_port is None:
            return None
        port = self._flight.port if self._flight is not None else self._settings.flight_port
        scheme = "grpc+tls" if self._settings.encrypted else "grpc"
        return f"{scheme}://{here(self._settings.flight_host or self._settings.host)}:{port}"

    @property
    def viewer_url(self) -> str:
        """The address to open in a browser; where a token is needed, with it behind the ``#``, which no proxy sees."""
        return f"{self.url}/#token={self.keys.token}" if self.keys.token else f"{self.url}/"

    @property
    def network_url(self) -> str | None:
        """The address that other machines open, as `viewer_url`; None where it is the same, or they reach none."""
        host = elsewhere(self._settings)
        return None if host is None else self.viewer_url.replace(self.url, f"{self._scheme}://{host}:{self._port}", 1)

    @property
    def network_flight_url(self) -> str | None:
        """As `flight_url`, for other machines; None where it is the same, or they reach none."""
        own, settings = self.flight_url, self._settings
        if own is None or settings.external_location is not None:
            return own and settings.external_location
        host = elsewhere(replace(settings, host=settings.flight_host or settings.host))
        return host and f"{own.partition('://')[0]}://{host}:{own.rpartition(':')[2]}"

    def counts(self) -> dict[str, Any] | None:
        """What was found so far, as ``GET /api/catalog`` tells it; None when not serving."""
        catalog = self._serving
        try:
            return catalog.counts() if catalog is not None else None
        except CoverslipError:  # it ended this very moment
            return None

    def indexing(self) -> tuple[str, float] | None:
        """Of which data set a gene index is being made, and how much of it is done, 0 to 1."""
        return self._genes.at_work if self._genes is not None else None

    def answering(self) -> tuple[str, str, float] | None:
        """Of which data set a question is being answered, which kind it is, and how much of it is done, 0 to 1."""
        task = self._analyses.tasks.at_work if self._analyses is not None else None
        return (task.name, task.kind, task.progress) if task is not None else None

    def index_error(self) -> str | None:
        """Why the gene index that was tried last is not there; None when it is."""
        return self._genes.last_error if self._genes is not None else None

    def run(self, on_ready: Callable[[], None] | None = None, verbose: bool = False) -> None:
        """Serve until interrupted or stopped.

        Raises
        ------
        CoverslipError
            When the data cannot be opened or the port cannot be had.
        """
        import uvicorn  # nothing of it is needed to say that a path is wrong

        from coverslip.http_protocol import Bounded

        sock = listen(self._settings.host, self._settings.port)
        try:
            self._port = sock.getsockname()[1]
            self._prepare_flight()
            catalog = self._catalog
            if catalog is None:  # one that was made beforehand lists nothing yet
                catalog = catalog_of(self._data, self._settings.cells, self._settings.catalog)
            self._catalog, self._serving = None, catalog  # a catalog lives as long as one run
            remotes = remotes_of(self._data, self._settings, catalog)
            given = (remotes, self.certificate, self._dialogue, self.keys)
            app = create_app(catalog, self._settings, self._port, *given)
            self._flight = app.state.flight
            self._genes, self._analyses = app.state.genes, app.state.analyses
            config = uvicorn.Config(
                app,
                **_logging(self._settings.log_level, verbose),
                **_encryption(self.certificate),
                proxy_headers=False,  # believed of nobody, or of those that were named (fronts/forwarded.py)
                server_header=False,
                timeout_graceful_shutdown=GRACE_S,
                timeout_keep_alive=75,
                http=Bounded,
                ws=_socket_protocol,  # type: ignore[arg-type]  # uvicorn calls it; a class or not
                ws_max_size=MOST_MESSAGE_BYTES,
                ws_per_message_deflate=False,  # pictures are compressed already
            )
            self._uvicorn = _announcing(config, self._flight, lambda: self._ready(on_ready))
            self._runs_in = threading.get_ident()
            self._done.clear()
            self._uvicorn.run(sockets=[sock])
            if (failed := getattr(self._uvicorn, "failed", None)) is not None:
                raise failed
            if getattr(self._uvicorn, "interrupted", False):  # also where SIGINT was ignored when we were started
                raise KeyboardInterrupt
        finally:
            self._uvicorn = self._serving = self._flight = self._genes = self._analyses = self._runs_in = None
            sock.close()
            self._done.set()

    def _prepare_flight(self) -> None:
        """Tell early that Flight cannot be had, and load its library beside everything else."""
        port = self._settings.flight_port
        if port is None:
            return
        if port:
            try:
                listen(self._settings.flight_host or self._settings.host, port).close()
            except CannotListen as error:
                raise FlightRefused(error.message, error.hint.replace("--port", "--flight"), error.name) from error
        threading.Thread(target=flight.preload, name="coverslip-flight-import", daemon=True).start()

    def _ready(self, on_ready: Callable[[], None] | None) -> None:
        if on_ready is not None:
            on_ready()
        if not viewer_built():
            sys.stderr.write("This checkout has no viewer yet; the data is served without one. Build it: make build\n")
        elif self._open_browser:
            threading.Thread(target=_open_tab, args=(self.viewer_url,), daemon=True).start()

    def __enter__(self) -> Self:
        """Serve in a thread for the time of a ``with`` block."""
        self.start_background()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self, blocking: bool = True) -> None:
        """Serve; until Ctrl+C or `stop` when ``blocking``. Does nothing while it runs.

        Raises
        ------
        CoverslipError
            As `run` does.
        """
        if self.is_running():
            return
        if not blocking:
            self.start_background()
        elif _loop_runs_here():  # a notebook: its thread has an event loop already
            self.start_background()
            self.wait()
        else:
            with suppress(KeyboardInterrupt):
                self.run()

    def start_background(self) -> None:
        """Serve in a thread; returns once the server answers.

        Raises
        ------
        CoverslipError
            As `run` does, in the caller.
        """
        if self.is_running():
            return
        ready, failed = threading.Event(), []

        def serve_in_thread() -> None:
            try:
                self.run(ready.set)
            except BaseException as error:  # noqa: BLE001  (handed to the caller)
                failed.append(error)
            finally:
                ready.set()

        self._thread = threading.Thread(target=serve_in_thread, name="coverslip-server", daemon=True)
        self._thread.start()
        ready.wait()
        if failed:
            self._thread.join()
            self._thread = None
            raise failed[0]

    def stop(self) -> None:
        """Stop serving; returns when the port is free again. Does nothing when it does not run."""
        running = self._uvicorn
        if running is not None:
            running.should_exit = True
        if self._runs_in == threading.get_ident():
            return  # called by what it runs itself: it ends when that returns
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        self._done.wait()

    def is_running(self) -> bool:
        """Whether the server is running."""
        return not self._done.is_set()

    def wait(self) -> None:
        """Wait until the server stops, or until Ctrl+C, which stops it."""
        try:
            while not self._done.wait(0.5):
                pass
        except KeyboardInterrupt:
            self.stop()


def _loop_runs_here() -> bool:
    """Whether this thread runs an event loop."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def _logging(level: str | None, verbose: bool) -> dict[str, Any]:
    """What uvicorn logs: at a level everything goes to the log as it is set up, else little goes to the terminal."""
    verbose = verbose or level == "DEBUG"
    if not verbose:
        for library in FILE_LIBRARIES:
            logging.getLogger(library).setLevel(logging.CRITICAL)
    for logger in ("uvicorn.access", "uvicorn.error"):  # WebSockets are told to the second
        logging.getLogger(logger).addFilter(without_token)
    if level is not None:
        for logger in ("uvicorn.error", "websockets"):  # in detail they tell headers, tokens among them
            least = logging.INFO if level == "DEBUG" else logging.WARNING
            logging.getLogger(logger).setLevel(max(least, logging.getLevelNamesMapping()[level]))
        return {"log_config": None, "access_log": verbose}
    return {"log_level": "info" if verbose else "critical", "access_log": verbose}


def _encryption(certificate: Certificate | None) -> dict[str, Any]:
    if certificate is None:
        return {}
    return {"ssl_certfile": str(certificate.cert_file), "ssl_keyfile": str(certificate.key_file)}


def _socket_protocol(**about: Any) -> asyncio.Protocol:
    """What speaks on one WebSocket; imported for the first of them."""
    from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

    class Refusing(WebSocketsSansIOProtocol):
        """Takes a handshake that was answered with a refusal for what it is: uvicorn logs it as an error of ours.

        Tells who sent none at all, and hangs up on them; answers no pings of who takes no answers.
        """

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            if not self.handshake_initiated:  # the head came whole, so nothing better follows
                self.transport.write(b"".join(self.conn.data_to_send()))
                self.transport.close()

        def handle_ping(self) -> None:
            if self.writable.is_set():
                super().handle_ping()
            else:
                self.conn.data_to_send()  # who takes no answers is sent none, or they would fill the memory

        async def send(self, message: Any) -> None:
            await super().send(message)
            if self.initial_response is not None and self.close_sent:
                self.handshake_complete = True

    return Refusing(**about)


def _announcing(config: uvicorn.Config, front: Any, on_ready: Callable[[], None]) -> uvicorn.Server:
    import uvicorn

    class Announcing(uvicorn.Server):
        """Says when it answers (a tab may be opened then), and remembers why it ended."""

        failed: CoverslipError | None = None

        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            if self.started and front is not None:
                try:
                    await asyncio.to_thread(front.start)
                except CannotListen as error:
                    self.failed, self.should_exit = FlightRefused(error.message, error.hint, error.name), True
                except CoverslipError as error:
                    self.failed, self.should_exit = error, True
            if self.started and self.failed is None:
                on_ready()

        async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
            if front is not None and self.failed is None:
                await asyncio.to_thread(front.close)
            await super().shutdown(sockets)

        def handle_exit(self, sig: int, frame: FrameType | None) -> None:
            self.interrupted = sig == signal.SIGINT
            super().handle_exit(sig, frame)

    return Announcing(config)


def _open_tab(url: str) -> None:
    import webbrowser

    try:
        opened = webbrowser.open(url)
    except (webbrowser.Error, OSError):
        opened = False
    if not opened:
        sys.stderr.write("No browser could be opened here; open the URL above yourself.\n")
