"""The server process itself, in the background or in the foreground."""

from __future__ import annotations

import logging
import os
import platform
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NoReturn

from coverslip import __version__
from coverslip.core.errors import CannotListen, CoverslipError
from coverslip.daemon import compose, journal, record
from coverslip.daemon.flags import Flags, keep
from coverslip.daemon.places import Places, cannot_write
from coverslip.daemon.voice import Voice
from coverslip.starting import start

if TYPE_CHECKING:
    from coverslip.server import Server
    from coverslip.settings import Settings

LOG = logging.getLogger("coverslip.server")
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
        with holding(places) as mine, start() as settled:
            if not mine:
                return _tell_winner(places, voice)
            record.claim(places)
            try:
                _serve(flags, places, voice, handler, settled)
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


def _serve(flags: Flags, places: Places, voice: Voice, handler: logging.Handler, settled: Callable[[], None]) -> None:
    server, settings, flags = _prepared(flags, places, voice, handler)
    started, certificate = time.time(), server.certificate

    def ready() -> None:
        settled()
        told = record.Record(
            os.getpid(), platform.node(), server.url, server.flight_url, started, flags.config,
            settings.writable, __version__, str(certificate.cert_file) if certificate is not None else None,
        )  # fmt: skip
        record.publish(places, told)
        keep(places, flags)
        LOG.info("coverslip %s answers on %s", __version__, " and ".join(filter(None, (told.http, told.grpc))))
        elsewhere = {"elsewhere": server.network_url, "grpc_elsewhere": server.network_flight_url}
        voice.ready({"pid": told.pid, "http": server.viewer_url, "grpc": told.grpc, **elsewhere})
        _tell_found(server)

    try:
        server.run(ready)
    except SystemExit:  # how SIGTERM ends it
        pass
    except CannotListen as error:
        raise compose.refused(error, settings) from error
    LOG.info("stopped")


def _prepared(flags: Flags, places: Places, voice: Voice, handler: logging.Handler) -> tuple[Server, Settings, Flags]:
    """The server, not yet running; and the flags with the token that it has."""
    config = compose.config_of(flags)
    for note in config.notes:
        voice.note(note)
    settings, flags = compose.settings_of(flags, config)
    if settings.token and settings.token != flags.token:
        voice.token_made(settings.token)
        flags = replace(flags, token=settings.token)
    journal.begin(handler, settings.log_level or "INFO", settings.token, settings.read_token)
    if settings.token:
        record.keep_tokens(places, settings.token, settings.read_token)
    from coverslip.server import Server

    server = Server(compose.offered(flags, config), settings)

    def changed(token: str, read_token: str | None) -> None:
        journal.hide(handler, token, read_token)
        record.keep_tokens(places, token, read_token)
        LOG.info("another token is asked for from now on")

    server.keys.keepers.append(changed)
    for note in compose.safety(settings, server.certificate):
        voice.note(note)
    return server, settings, flags


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
