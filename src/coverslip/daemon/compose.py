"""From flags and a configuration to the settings of a server, and what can be wrong with them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from coverslip.core.errors import BadRequest, CannotListen, CoverslipError
from coverslip.daemon.flags import Flags

if TYPE_CHECKING:
    from coverslip.config import Config
    from coverslip.engine.certificate import Certificate
    from coverslip.settings import Settings

WEB_PORT = 8814
HOST = "127.0.0.1"


def config_of(flags: Flags) -> Config:
    """The configuration that the flags name; an empty one where they name none."""
    from coverslip.config import Config, load
    from coverslip.said import amended, said

    return amended(load(Path(flags.config)) if flags.config else Config(), said("start", flags.more, {}))


def offered(flags: Flags, config: Config) -> list[Any]:
    """What is served: paths, addresses, configured sources."""
    from coverslip.said import unwatched

    return [*unwatched(flags.paths, config), *config.offered]


def settings_of(flags: Flags, config: Config) -> tuple[Settings, Flags]:
    """How to serve: flags before the configuration before the defaults; and the flags with the token to keep.

    Raises
    ------
    CoverslipError
        When nothing is to be served, the token cannot be used, or both protocols were given one port.
    """
    from coverslip.app import with_token

    given = config.server
    if not flags.paths and not config.offered and not (given.writable or given.add_source):
        hint = "Name a file or folder: coverslip server start PATH, or write [[sources]] into the configuration."
        raise BadRequest("No data sources configured", hint, "no_sources")
    settings = wanted(flags, config)
    if settings.port and (settings.host, settings.port) == (settings.flight_host, settings.flight_port):
        hint = "Give each its own: --web-port for HTTP, --port for Arrow Flight."
        raise BadRequest(f"HTTP and Arrow Flight cannot both listen on port {settings.port}", hint, "one_port")
    flags = replace(
        flags,
        token=settings.token,
        token_kept=flags.token is not None or given.token is None,
        read_token_kept=flags.read_token is not None or given.read_token is None,
    )
    return with_token(settings), flags


def wanted(flags: Flags, config: Config) -> Settings:
    """What was asked for, before it is seen whether it can be."""
    from coverslip.domains.cells import Options
    from coverslip.ports import FLIGHT_PORT
    from coverslip.settings import Settings, with_config

    given = config.server
    flight = _first(flags.port, given.flight_port, given.port, FLIGHT_PORT)
    settings = Settings(
        host=_first(flags.web_host, given.web_host, HOST),
        port=_first(flags.web_port, given.web_port, WEB_PORT),
        token=_first(flags.token, given.token),
        read_token=_first(flags.read_token, given.read_token),
        allow_hosts=flags.allow_host or given.allow_hosts,
        allow_origins=flags.allow_origin or given.allow_origins,
        flight_host=_first(flags.host, given.flight_host, given.host, HOST),
        flight_port=None if flags.flight is False else flight,
        external_location=_first(flags.external_location, given.external_location),
        log_level=_first(flags.log_level, given.log_level, "INFO").upper(),
        tls=_first(flags.tls, given.tls, False),
        tls_cert=_path(_first(flags.tls_cert, given.tls_cert)),
        tls_key=_path(_first(flags.tls_key, given.tls_key)),
        tls_names=flags.san or given.san,
        trusted_proxies=flags.trusted_proxy or given.trusted_proxies,
        root_path=_first(flags.root_path, given.root_path, ""),
        dev=bool(flags.dev),
        gene_index=not flags.no_index,
        cells=Options(gene_id_column=_first(config.cells.gene_id_column, "index"), latent_key=config.cells.latent_key),
    )
    return with_config(settings, config)


def _first(*values: Any) -> Any:
    """The first that says something."""
    return next((value for value in values if value is not None), None)


def _path(name: str | None) -> Path | None:
    return Path(name) if name else None


def safety(settings: Settings, certificate: Certificate | None) -> Iterator[str]:
    """What who starts a server should know of tokens and certificates."""
    if settings.dev:
        yield "DEV MODE: no token is asked for; only this machine can reach the server."
    if certificate is not None:
        yield from certificate.notes
        if ends := certificate.warning():
            yield ends
        yield f"Certificate, SHA-256: {certificate.fingerprint}"


def refused(error: CannotListen, settings: Settings) -> CoverslipError:
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
