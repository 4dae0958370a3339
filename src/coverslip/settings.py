"""Every option once. Flags come before the environment, then the configuration file, then these defaults."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from coverslip.domains.cells import Options
from coverslip.engine.options import CatalogOptions
from coverslip.formats.remote.credentials import Credentials, Profile
from coverslip.ports import DEFAULT_PORT

if TYPE_CHECKING:
    from coverslip.config import Config

CACHE_BYTES = 128 << 20
SLICE_BYTES = 1 << 30
DISK_BYTES = 10 << 30


@dataclass(frozen=True)
class Settings:
    """How one server is run.

    Attributes
    ----------
    host
        Address to bind to (``COVERSLIP_HOST``).
    port
        TCP port; 0 = any free one (``COVERSLIP_PORT``).
    token
        What every request must show (``COVERSLIP_TOKEN``); made up when the address is not loopback.
    read_token
        What opens everything to read and changes nothing, ``auto`` to have one made (``COVERSLIP_READ_TOKEN``).
    allow_hosts
        Further host names the server answers to, behind a proxy for instance (``COVERSLIP_ALLOW_HOST``).
    allow_origins
        Further web origins whose pages may read its answers (``COVERSLIP_ALLOW_ORIGIN``).
    cache_bytes
        Memory for answers kept ready.
    slice_bytes
        The largest slice that is answered.
    disk_bytes
        Disk space for levels of images that their files do not store.
    read_threads
        How many reads run at once.
    cells
        How data sets of cells are read.
    catalog
        How the list of sources is kept.
    credentials
        Who asks for sources on other machines.
    flight_port
        TCP port of Arrow Flight; 0 = any free one, None = no Flight.
    flight_host
        Address Arrow Flight binds to; None = the same as ``host``.
    external_location
        Where clients elsewhere reach Arrow Flight, ``grpc://HOST:PORT`` (``COVERSLIP_EXTERNAL_LOCATION``); None = told
        where the address it binds to says it.
    tls
        Whether connections are encrypted, with a self-signed certificate where none is given (``COVERSLIP_TLS``).
    tls_cert
        The certificate, with those that signed it: a file in PEM (``COVERSLIP_TLS_CERT``).
    tls_key
        Its key, a file in PEM (``COVERSLIP_TLS_KEY``).
    tls_names
        Further host names and addresses for the self-signed certificate (``COVERSLIP_SAN``).
    trusted_proxies
        Addresses and networks of proxies whose ``X-Forwarded-*`` headers are believed (``COVERSLIP_TRUSTED_PROXY``).
    root_path
        The path prefix behind which a proxy offers the server, as a browser sees it (``COVERSLIP_ROOT_PATH``).
    dev
        Whether tokens are off, for development on this machine only (``COVERSLIP_DEV``, ``BIOPB_WEB_DEV_BYPASS``).
    write_dir
        The folder that uploads are kept in; None = nothing can be uploaded.
    upload_ttl_s
        How long an upload that is not finished may go without a chunk, in seconds.
    add_source
        Whether who has the token may offer further files and folders of this machine.
    log_level
        Least level of what the server logs (``INFO``); None = it prints what a person at a terminal needs.
    gene_index
        Whether gene indexes are made and used (``COVERSLIP_NO_INDEX`` turns them off).
    config_file
        The configuration file that it was started with, or None.
    """

    host: str = "127.0.0.1"
    port: int = DEFAULT_PORT
    token: str | None = None
    allow_hosts: tuple[str, ...] = ()
    allow_origins: tuple[str, ...] = ()
    cache_bytes: int = CACHE_BYTES
    slice_bytes: int = SLICE_BYTES
    disk_bytes: int = DISK_BYTES
    read_threads: int = 4
    cells: Options = field(default_factory=Options)
    catalog: CatalogOptions = field(default_factory=CatalogOptions)
    credentials: Credentials = field(default_factory=Credentials)
    flight_port: int | None = None
    flight_host: str | None = None
    external_location: str | None = None
    write_dir: Path | None = None
    upload_ttl_s: float = 3600.0
    add_source: bool = False
    log_level: str | None = None
    tls: bool = False
    tls_cert: Path | None = None
    tls_key: Path | None = None
    tls_names: tuple[str, ...] = ()
    trusted_proxies: tuple[str, ...] = ()
    root_path: str = ""
    dev: bool = False
    gene_index: bool = True
    config_file: Path | None = None
    read_token: str | None = None

    @property
    def encrypted(self) -> bool:
        """Whether connections are encrypted."""
        return self.tls or self.tls_cert is not None or self.tls_key is not None

    @property
    def writable(self) -> bool:
        """Whether anything can be uploaded."""
        return self.write_dir is not None

    @property
    def listeners(self) -> tuple[str, ...]:
        """Every address that is bound to."""
        flight = () if self.flight_port is None else (self.flight_host or self.host,)
        return (self.host, *flight)


def with_config(settings: Settings, config: Config) -> Settings:
    """The settings with what a configuration file says of things that have no flag."""
    given: dict[str, Any] = {
        "cache_bytes": config.cache.max_bytes,
        "disk_bytes": int(config.cache.file_max_total_gb * (1 << 30)) if config.cache.file_max_total_gb else None,
        "slice_bytes": config.server.slice_bytes,
        "read_threads": config.server.read_threads,
        "write_dir": Path(config.server.write_dir) if config.server.writable and config.server.write_dir else None,
        "upload_ttl_s": config.server.upload_ttl,
        "add_source": config.server.add_source or None,
        "catalog": config.catalog,
        "gene_index": config.cache.gene_index if settings.gene_index else None,
        "credentials": credentials_of(config),
        "external_location": settings.external_location or config.server.external_location,
        "config_file": Path(config.file) if config.file is not None else None,
    }
    return replace(settings, **{name: value for name, value in given.items() if value is not None})


def credentials_of(config: Config) -> Credentials:
    """The profiles of a configuration file."""
    table = config.credentials
    profiles = tuple(
        Profile(p.name, p.storage_type, p.key, p.secret, p.region, p.token, p.endpoint_url) for p in table.profiles
    )
    return Credentials(profiles, table.default_profile)
