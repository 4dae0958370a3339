"""The Arrow Flight front of a server, put together; what it needs is an extra, and imported only where it is served."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from importlib import import_module
from typing import TYPE_CHECKING, Any

from coverslip import __version__
from coverslip.core.errors import Unsupported
from coverslip.core.node import Source
from coverslip.domains.images import Images
from coverslip.engine.catalog import Catalog
from coverslip.engine.certificate import Certificate
from coverslip.settings import Settings
from coverslip.writable import writing_of

if TYPE_CHECKING:
    from coverslip.engine.uploads import Uploads

FRONT = "coverslip.fronts.flight"


def flight_of(
    catalog: Catalog,
    images_of: Callable[[Source], Images],
    settings: Settings,
    certificate: Certificate | None,
    uploads: Uploads | None,
) -> Any:
    """The Flight front that shares a catalog and its opened sources with HTTP; None where it is not wanted.

    Raises
    ------
    Unsupported
        When what it needs is not installed.
    """
    if settings.flight_port is None:
        return None
    options = module("options").FlightOptions(
        writable=settings.writable, tls_not_after=certificate.not_after_text if certificate is not None else ""
    )
    host = settings.flight_host or settings.host
    pair = certificate.pair if certificate is not None else None
    front = module("front").FlightFront
    writing = writing_of(settings, uploads)
    port, token = settings.flight_port, settings.token
    return front(catalog, images_of, __version__, host, port, token, options, pair, further=(writing,))


def preload() -> None:
    """Import the libraries of Flight; meant for a thread beside a server that starts."""
    with suppress(Unsupported):  # told where it is asked for
        module("parts")
        module("service")


def module(name: str) -> Any:
    """A part of the front, imported now.

    Raises
    ------
    Unsupported
        When what it needs is not installed.
    """
    try:
        return import_module(f"{FRONT}.{name}")
    except ImportError as error:
        if (error.name or "").startswith("coverslip"):
            raise
        raise Unsupported(f"Arrow Flight needs {error.name}", "Install it: pip install 'coverslip[flight]'.") from error
