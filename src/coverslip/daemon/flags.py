"""What a start was asked for: sent to the new process through a pipe, and kept for the next restart."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from coverslip.daemon.places import Places, write_private
from coverslip.daemon.typed import fits


@dataclass(frozen=True)
class Flags:
    """What the command line and the environment say; None = the configuration decides.

    Attributes
    ----------
    paths
        What to serve besides the sources of the configuration: absolute paths, addresses.
    config
        Configuration file; None = the first default that is there.
    host, port
        Of Arrow Flight.
    web_host, web_port
        Of HTTP.
    flight
        Whether Arrow Flight is served.
    external_location
        Where clients elsewhere reach Arrow Flight.
    log_level
        Least level that is logged.
    allow_host, allow_origin
        Further names and origins that HTTP answers to.
    tls, tls_cert, tls_key, san
        Encryption.
    trusted_proxy
        Proxies whose word on addresses is taken.
    root_path
        Path prefix of a proxy.
    dev
        No token.
    no_index
        No gene indexes.
    more
        ``KEY=VALUE`` of settings that have no flag of their own.
    token
        What every request must show.
    read_token
        What opens everything to read; ``auto`` = one is made.
    token_kept
        Whether the next restart uses the token again: not where a configuration file says it.
    read_token_kept
        The same of the token for reading.
    """

    paths: tuple[str, ...] = ()
    config: str | None = None
    host: str | None = None
    port: int | None = None
    web_host: str | None = None
    web_port: int | None = None
    flight: bool | None = None
    external_location: str | None = None
    log_level: str | None = None
    allow_host: tuple[str, ...] = ()
    allow_origin: tuple[str, ...] = ()
    tls: bool | None = None
    tls_cert: str | None = None
    tls_key: str | None = None
    san: tuple[str, ...] = ()
    trusted_proxy: tuple[str, ...] = ()
    root_path: str | None = None
    dev: bool | None = None
    no_index: bool | None = None
    more: tuple[str, ...] = ()
    token: str | None = None
    read_token: str | None = None
    token_kept: bool = True
    read_token_kept: bool = True

    @classmethod
    def of(cls, given: dict[str, Any]) -> Flags:
        """From decoded JSON; names of other versions are passed over."""
        known = {f.name for f in fields(cls)}
        taken: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in given.items() if k in known}
        return cls(**taken)

    def dumped(self) -> str:
        """As JSON."""
        return json.dumps(asdict(self))

    def over(self, older: Flags) -> Flags:
        """These flags, and those of an earlier start where these say nothing."""
        given = {
            k: v for k, v in vars(self).items() if v not in (None, ()) and k not in ("token_kept", "read_token_kept")
        }
        named = {word.partition("=")[0]: word for word in (*older.more, *self.more)}
        return replace(older, **{**given, "more": tuple(named.values())})


def keep(places: Places, flags: Flags) -> None:
    """Remember the flags for a restart, without the tokens."""
    write_private(places.flags, replace(flags, token=None, read_token=None).dumped())


def kept(places: Places) -> Flags:
    """The flags of the last start; none when there was none."""
    try:
        given = json.loads(places.flags.read_text())
        return Flags.of(given) if isinstance(given, dict) and fits(Flags, given) else Flags()
    except (OSError, ValueError, TypeError, RecursionError):
        return Flags()
