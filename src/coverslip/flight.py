"""The Arrow Flight front of a server, put together; what it needs is an extra, and imported only where it is served."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from importlib import import_module
from typing import TYPE_CHECKING, Any

from coverslip import __version__
from coverslip.core.errors import BadUsage, Unsupported
from coverslip.core.node import Source
from coverslip.domains.images import Images
from coverslip.engine.access import host_name, is_loopback
from coverslip.engine.catalog import Catalog
from coverslip.engine.failures import Failures
from coverslip.engine.keys import Keys
from coverslip.fronts.forwarded import Proxies
from coverslip.settings import Settings

if TYPE_CHECKING:
    from coverslip.engine.certificate import Certificate
    from coverslip.engine.uploads import Uploads

FRONT = "coverslip.fronts.flight"
SCHEMES = {"grpc": "grpc", "grpc+tcp": "grpc", "grpcs": "grpc+tls", "grpc+tls": "grpc+tls"}
"""As people write them, and as every client understands them."""


def flight_of(
    catalog: Catalog,
    images_of: Callable[[Source], Images],
    settings: Settings,
    certificate: Certificate | None,
    uploads: Uploads | None,
    failures: Failures,
    keys: Keys,
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
        writable=settings.writable,
        external_location=location_of(settings),
        tls_not_after=certificate.not_after_text if certificate is not None else "",
    )
    host = settings.flight_host or settings.host
    pair = certificate.pair if certificate is not None else None
    front = module("front").FlightFront
    from coverslip.writable import writing_of

    writing = writing_of(settings, uploads)
    port = settings.flight_port
    return front(
        catalog,
        images_of,
        __version__,
        host,
        port,
        keys.token,
        options,
        pair,
        (writing,),
        failures,
        Proxies(settings.trusted_proxies),
        keys,
    )


def location_of(settings: Settings) -> str:
    """Where clients elsewhere reach Arrow Flight; empty where that cannot be told.

    An address of a wildcard or of loopback tells nothing to anybody elsewhere.

    Raises
    ------
    BadUsage
        When what was configured is no address of Flight.
    """
    given = settings.external_location
    if given:
        scheme, _, rest = given.strip().rstrip("/").partition("://")
        if scheme.lower() not in SCHEMES or not host_name(rest) or not rest.rpartition(":")[2].isdecimal():
            hint = "Write grpc://HOST:PORT, or grpc+tls://HOST:PORT where connections are encrypted."
            raise BadUsage(f"{given} is no address of Arrow Flight", hint, "bad_location")
        return f"{SCHEMES[scheme.lower()]}://{rest}"
    host, port = settings.flight_host or settings.host, settings.flight_port
    if not port or is_loopback(host):
        return ""
    from coverslip.engine.certificate import WILDCARDS

    if host in WILDCARDS:
        return ""
    name = f"[{host}]" if ":" in host else host
    return f"{'grpc+tls' if settings.encrypted else 'grpc'}://{name}:{port}"


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
