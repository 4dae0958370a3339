"""The server process itself, in the background or in the foreground."""

from __future__ import annotations

import logging
import os
import platform
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from coverslip import __version__
from coverslip.core.errors import BadRequest, CannotListen, CoverslipError
from coverslip.daemon import journal, record
from coverslip.daemon.flags import Flags, keep
from coverslip.daemon.places import Places, cannot_write, write_private
from coverslip.daemon.voice import Voice

if TYPE_CHECKING:
    from coverslip.config import Config
    from coverslip.server import Server
    from coverslip.settings import Settings

LOG = logging.getLogger("coverslip.server")
WEB_PORT = 8814
HOST = "127.0.0.1"
WINNER_S = 5.0
LOOK_S = 0.2


def run(flags: Flags, voice: Voice, handler: logging.Handler) -> int:
    """Be the server until told to end; the exit code.

    Parameters
    ----------
    flags
        What it was asked for.
    voice
        Who is told how far it is.
    handler
        Where it logs.
    """
    signal.signal(signal.SIGTERM, _end)
    try:
        places = Places.here()
        with holding(places) as mine:
            if not mine:
                return _tell_winner(places, voice)
            record.claim(places)
            try:
                _serve(flags, places, voice, handler)
            finally:
                record.forget(places)
    except CoverslipError as error:
        LOG.error("%s", error)
        voice.failed(error)
        return error.exit_code
    except Exception as error:
        LOG.exception("unforeseen error")
        voice.failed(CoverslipError(f"{error.__class__.__name__}: {error}", code="internal"))
        return 1
    return 0


@contextmanager
def holding(places: Places) -> Iterator[bool]:
    """Hold the lock that one server has at a time; whether this process got it."""
    try:
        descriptor = os.open(places.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise cannot_write(places.lock, error) from error
    try:
        yield _locked(descriptor)
    finally:
        os.close(descriptor)


def _locked(descriptor: int) -> bool:
    try:
        import fcntl
    except ImportError:  # Windows: in the foreground only
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # some network disks have no locks; the pid file has to do
        return not record.known(Places.here()).running
    return True


def _tell_winner(places: Places, voice: Voice) -> int:
    """Say which process is the server; it may be so new that it has not written it down yet."""
    end = time.monotonic() + WINNER_S
    while not (found := record.known(places)).running and time.monotonic() < end:
        time.sleep(0.02)
    voice.already(found.identity.pid if found.identity is not None else 0)
    return 0


def _serve(flags: Flags, places: Places, voice: Voice, handler: logging.Handler) -> None:
    from coverslip.config import Config, load

    config = load(Path(flags.config)) if flags.config else Config()
    for note in config.notes:
        voice.note(note)
    settings, flags = settings_of(flags, config)
    if settings.token and settings.token != flags.token:
        voice.token_made(settings.token)
        flags = replace(flags, token=settings.token)
    journal.begin(handler, settings.log_level or "INFO", settings.token)
    if settings.token:
        write_private(places.token, settings.token)
    keep(places, flags)
    from coverslip.server import Server

    server = Server([*map(_offered, flags.paths), *config.offered], settings)
    started = time.time()

    def ready() -> None:
        told = record.Record(
            os.getpid(), platform.node(), server.url, server.flight_url, started, flags.config,
            bool(getattr(settings, "writable", False)), __version__,
        )  # fmt: skip
        record.publish(places, told)
        LOG.info("coverslip %s answers on %s", __version__, " and ".join(filter(None, (told.http, told.grpc))))
        voice.ready({"pid": told.pid, "http": server.viewer_url, "grpc": told.grpc})
        _tell_found(server)

    try:
        server.run(ready)
    except SystemExit:  # how SIGTERM ends it
        pass
    except CannotListen as error:
        raise _refused(error, settings) from error
    LOG.info("stopped")


def _refused(error: CannotListen, settings: Settings) -> CoverslipError:
    """Which port of the two it was, and who may have it."""
    from coverslip.daemon.health import answers_as_coverslip
    from coverslip.server import IN_USE, FlightRefused

    flight = isinstance(error, FlightRefused)
    host, port = settings.host, settings.port
    if flight:
        host, port = settings.flight_host or host, settings.flight_port or 0
    flag, name = ("--port", "gRPC") if flight else ("--web-port", "HTTP")
    if error.name != IN_USE:
        return CoverslipError(f"{name} on {host}:{port}: {error.message}", error.hint, error.name)
    ours = not flight and answers_as_coverslip(host, port)
    who = (
        "A coverslip server of another account, of another COVERSLIP_STATE_DIR or of coverslip serve answers there."
        if ours
        else "Another program listens there; it is not the server that coverslip server status tells of."
    )
    lines = (
        f"{name} port {host}:{port} is already in use.", who,
        f"Which one it is:  lsof -nP -iTCP:{port} -sTCP:LISTEN",
        f"Another port:     coverslip server start {flag} {port + 10}",
        f"Any free port:    coverslip server start {flag} 0",
    )  # fmt: skip
    return CannotListen("\n".join(lines), code=IN_USE)


def settings_of(flags: Flags, config: Config) -> tuple[Settings, Flags]:
    """How to serve: flags before the configuration before the defaults; and the flags with the token to keep.

    Raises
    ------
    CoverslipError
        When nothing is to be served, or the token cannot be used.
    """
    from coverslip.app import with_token
    from coverslip.settings import FLIGHT_PORT, Settings, with_config

    given = config.server
    if not flags.paths and not config.offered and not getattr(given, "writable", False):
        hint = "Name a file or folder: coverslip server start PATH, or write [[sources]] into the configuration."
        raise BadRequest("No data sources configured", hint, "no_sources")
    flight = _first(flags.port, given.flight_port, given.port, FLIGHT_PORT)
    settings = Settings(
        host=_first(flags.web_host, given.web_host, HOST),
        port=_first(flags.web_port, given.web_port, WEB_PORT),
        token=_first(flags.token, given.token),
        allow_hosts=flags.allow_host or given.allow_hosts,
        allow_origins=flags.allow_origin or given.allow_origins,
        flight_host=_first(flags.host, given.flight_host, given.host, HOST),
        flight_port=None if flags.no_flight else flight,
        log_level=_first(flags.log_level, given.log_level, "INFO").upper(),
    )
    configured = flags.token is None and given.token is not None
    flags = replace(flags, token=settings.token, token_kept=not configured)
    return with_token(with_config(settings, config)), flags


def _first(*values: Any) -> Any:
    """The first that says something."""
    return next((value for value in values if value is not None), None)


def _offered(path: str) -> Any:
    return path if "://" in path else Path(path)


def _tell_found(server: Server) -> None:
    """Log what was found once everything was looked at."""
    import threading

    def wait() -> None:
        while (counts := server.counts()) is not None:
            if counts["scanned"] and not counts["scanning"] and not counts["by_status"].get("pending"):
                LOG.info("%d sources found, %d of them cannot be read", counts["sources"], counts["failed"])
                return
            time.sleep(LOOK_S)

    threading.Thread(target=wait, name="coverslip-found", daemon=True).start()


def _end(number: int, _: Any) -> NoReturn:
    raise SystemExit(0)
