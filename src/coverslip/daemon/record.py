"""What is known of the background server: what it wrote down, and whether that is still true."""

from __future__ import annotations

import json
import platform
from contextlib import suppress
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Literal

from coverslip.daemon.identity import Identity, this_boot
from coverslip.daemon.places import Places, write_private
from coverslip.daemon.typed import fits

State = Literal["running", "stale", "stopped", "elsewhere"]


@dataclass(frozen=True)
class Record:
    """What a server says of itself once it answers.

    Attributes
    ----------
    pid
        Its process.
    node
        Name of its machine.
    http, grpc
        How this machine reaches it; ``grpc`` is None without Arrow Flight.
    started
        When, in seconds since 1970.
    config
        Its configuration file, or None.
    writable
        Whether images can be uploaded.
    version
        Of coverslip.
    certificate
        File of its TLS certificate, or None.
    """

    pid: int
    node: str
    http: str
    grpc: str | None
    started: float
    config: str | None = None
    writable: bool = False
    version: str = ""
    certificate: str | None = None


@dataclass(frozen=True)
class Known:
    """The state of the background server.

    Attributes
    ----------
    state
        ``running``; ``stale``: its files are there and its process is not; ``elsewhere``: it was started on another
        machine that shares this folder, and cannot be asked about from here; ``stopped``.
    identity, record
        Its process, and what it says of itself; no record while it starts.
    node
        The other machine, when ``elsewhere``.
    """

    state: State
    identity: Identity | None = None
    record: Record | None = None
    node: str = ""

    @property
    def running(self) -> bool:
        """Whether it runs on this machine."""
        return self.state == "running"


def known(places: Places) -> Known:
    """What is true now."""
    try:
        number, started, *rest = places.pid.read_text().splitlines()
        identity = Identity(int(number), started)
    except FileNotFoundError:
        return Known("stopped")
    except (OSError, ValueError):  # not written by us
        return Known("stale", Identity(0, ""))
    node = rest[0] if rest else ""
    if identity.alive:
        return Known("running", identity, _read(places, identity.pid), node)
    elsewhere = node != platform.node() and identity.boot not in ("", this_boot())
    return Known("elsewhere" if elsewhere else "stale", identity, None, node)


def _read(places: Places, pid: int) -> Record | None:
    try:
        given: dict[str, Any] = json.loads(places.record.read_text())
        if not fits(Record, given):
            return None
        record = Record(**{field.name: given[field.name] for field in fields(Record) if field.name in given})
    except (OSError, ValueError, TypeError, RecursionError):
        return None
    return record if record.pid == pid else None


def claim(places: Places) -> Identity:
    """Write down that this process is the server."""
    own = Identity.own()
    forget(places)
    write_private(places.pid, f"{own.pid}\n{own.started}\n{platform.node()}\n")
    return own


def publish(places: Places, record: Record) -> None:
    """Write down that the server answers."""
    write_private(places.record, json.dumps(asdict(record)))


def forget(places: Places) -> None:
    """Remove what a server wrote down of itself."""
    for path in (places.record, places.token, places.read_token, places.pid):
        with suppress(OSError):
            path.unlink()


def token_of(places: Places) -> str | None:
    """The token of the running server; None when it asks for none."""
    return _text_of(places.token)


def read_token_of(places: Places) -> str | None:
    """The token of the running server for reading; None when there is none."""
    return _text_of(places.read_token)


def keep_tokens(places: Places, token: str, read_token: str | None) -> None:
    """Write down the tokens of the running server, for its owner only; each file is there whole or as it was.

    Raises
    ------
    CoverslipError
        When they cannot be written.
    """
    if read_token is not None:
        write_private(places.read_token, read_token)
    write_private(places.token, token)
    if read_token is None:
        with suppress(OSError):
            places.read_token.unlink()


def _text_of(file: Path) -> str | None:
    try:
        return file.read_text().strip() or None
    except OSError:
        return None
