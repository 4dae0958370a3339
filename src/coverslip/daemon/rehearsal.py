"""Finding out whether a server could start while the one that it is to replace still runs."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from coverslip.core.errors import CannotListen, NotFound
from coverslip.daemon import compose
from coverslip.daemon.flags import Flags
from coverslip.daemon.places import Places, cannot_write, write_private

if TYPE_CHECKING:
    from coverslip.daemon.record import Record
    from coverslip.settings import Settings

ROOM_BYTES = 256 << 10
"""What a start writes into the state folder, and some lines of its log."""


def rehearse(flags: Flags, places: Places, now: Record | None) -> None:
    """Find out what a start would refuse: its configuration, data, certificate, folders, addresses and ports.

    Parameters
    ----------
    flags
        What is to be started.
    places
        Where it is to leave its files.
    now
        The server that runs, whose ports will be free.

    Raises
    ------
    CoverslipError
        With the reason.
    """
    from coverslip import app, flight

    config = compose.config_of(flags)
    settings, _ = compose.settings_of(flags, config)
    flight.location_of(settings)
    if settings.flight_port is not None:
        flight.module("front").check_installed()
    data = compose.offered(flags, config)
    for item in data:
        if isinstance(item, Path) and not item.exists():
            raise NotFound(f"Path not found: {item}", "Check the spelling, and that it is on this machine.")
    app.check(app.catalog_of(data, settings.cells, settings.catalog), settings.cells)
    check_room(places)
    check_ports(settings, now)
    app.certificate_of(settings)  # last: it may make a new one


def check_room(places: Places) -> None:
    """See that the state folder and the log can be written to.

    Raises
    ------
    CoverslipError
        When the disk is full, or the folder may not be written.
    """
    for folder in (places.folder, places.log.parent):
        trial = folder / f".{places.record.name}.trial"
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_private(trial, "." * ROOM_BYTES)
        except OSError as error:
            raise cannot_write(folder, error) from error
        finally:
            with suppress(OSError):
                trial.unlink()


def check_ports(settings: Settings, now: Record | None) -> None:
    """See that the addresses are this machine's, and that nobody but the server that runs has the ports.

    Raises
    ------
    CoverslipError
        With who may have it, and what to do.
    """
    from coverslip.server import FlightRefused, listen

    own = ports_of(now) if now is not None else set()
    try:
        listen(settings.host, 0 if settings.port in own else settings.port).close()
        if settings.flight_port is not None:
            host, port = settings.flight_host or settings.host, settings.flight_port
            try:
                listen(host, 0 if port in own else port).close()
            except CannotListen as error:
                raise FlightRefused(error.message, error.hint, error.name) from error
    except CannotListen as error:
        raise compose.refused(error, settings) from error


def ports_of(record: Record) -> set[int]:
    """The ports that a server has, as it wrote them down."""
    found = set()
    for url in filter(None, (record.http, record.grpc)):
        with suppress(ValueError):
            found.add(urlsplit(url).port)
    return {port for port in found if port is not None}
