"""What went wrong in Arrow Flight, in words that say what to do."""

from __future__ import annotations

import json
import re
import socket
import ssl
from pathlib import Path
from typing import Any

import pyarrow.flight as flight

from coverslip.client.address import Address, Target
from coverslip.client.connections import wrong_token
from coverslip.client.errors import CannotConnect, NotAnswering
from coverslip.client.tls import PROBE_S, Trust, presented, reason, speaks_tls, tls_scheme, wrong_certificate
from coverslip.core.errors import (
    BadRequest,
    CoverslipError,
    Forbidden,
    NotFound,
    Stopped,
    TimedOut,
    Unreadable,
    Unsupported,
)
from coverslip.core.patience import HANGS

NOISE = re.compile(r"(\. )?(gRPC client debug context|Client context|Detail: ).*", re.DOTALL)
LEAD = re.compile(r"^(Flight (returned )?\w+ error|Flight error)[,:]?\s*(with message: )?", re.IGNORECASE)
BY_CODE: dict[str, type[CoverslipError]] = {"NOT_FOUND": NotFound, "INVALID_ARGUMENT": BadRequest}


def told(error: Exception, target: Target, trust: Trust) -> CoverslipError:
    """Our error for one of Flight's."""
    message = plain(str(error))
    match error:
        case flight.FlightUnauthenticatedError():
            if "write mode" in message or "capability" in message or "seal" in message:
                return Forbidden(message)
            if _extra(error).get("reason") == "too_many_tokens":
                return Forbidden(message)
            return wrong_token(target)
        case flight.FlightUnauthorizedError():
            return Forbidden(message)
        case flight.FlightUnavailableError():
            if _extra(error).get("reason") == HANGS:
                return Unreadable(message, "", HANGS)
            return _unavailable(message, target.address, trust)
        case flight.FlightTimedOutError():
            return TimedOut(f"{target.address} did not answer in time", "Try again, or ask for less at once.")
        case flight.FlightCancelledError():
            return Stopped("The read was stopped")
    kind = BY_CODE.get(str(_extra(error).get("code")))
    if kind is not None:
        return kind(message)
    if message.startswith("Source not found"):  # servers that tell it in words only
        return NotFound(message)
    if "Unknown action" in message:
        return Unsupported(f"The server at {target.address} does not know this: {message}")
    return CoverslipError(message or error.__class__.__name__)


def plain(message: str) -> str:
    """The server's own words, without what the libraries wrap around them."""
    text = LEAD.sub("", NOISE.sub("", message)).strip()
    return text.splitlines()[0] if text else ""


def _extra(error: Exception) -> dict[str, Any]:
    try:
        found = json.loads(getattr(error, "extra_info", b"") or b"{}")
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _unavailable(message: str, address: Address, trust: Trust) -> CoverslipError:
    """Nobody is there, or somebody who speaks otherwise: looked at with a connection of our own."""
    if "unresolved" in message.lower():
        return CoverslipError(message, "The server has to fetch it first: resolve it there.", "unresolved")
    try:
        socket.create_connection((address.host, address.port), PROBE_S).close()
    except OSError as error:
        return NotAnswering(f"No server answers at {address}: {reason(error)}", "Is it running? Check host and port.")
    if address.tls:
        try:
            certificate = presented(address)
        except CannotConnect as error:
            return error
        if "handshake" in message.lower() or "certificate" in message.lower() or "ssl" in message.lower():
            return wrong_certificate(address, certificate, trust)
    elif speaks_tls(address):
        return CannotConnect(f"The server at {address} speaks TLS", f"Use {tls_scheme(address)}.", "tls_needed")
    elif _speaks_http(address):
        return CannotConnect(
            f"The server at {address} speaks HTTP, not Arrow Flight", f"Use http://{address.authority}.", "http_needed"
        )
    if re.search("connect|socket|reset|closed|refused|handshake", message, re.IGNORECASE):
        return NotAnswering(f"The server at {address} broke the connection", "Does it still run? Try again.")
    return CoverslipError(message, "", "unavailable")


def _speaks_http(address: Address) -> bool:
    try:
        with socket.create_connection((address.host, address.port), PROBE_S) as sock:
            sock.settimeout(PROBE_S)
            sock.sendall(f"GET /livez HTTP/1.1\r\nHost: {address.authority}\r\nConnection: close\r\n\r\n".encode())
            return sock.recv(8).startswith(b"HTTP/1.")
    except OSError:
        return False


def tls_options(address: Address, trust: Trust) -> dict[str, Any]:
    """What `FlightClient` is told of certificates.

    Raises
    ------
    CannotConnect
        When the server's certificate is not the one that was named.
    """
    if trust.fingerprint is None:
        authority = trust.authority.encode() if trust.authority is not None else _system()
        return {"tls_root_certs": authority} if authority else {}
    certificate = presented(address)
    if not trust.matches(certificate):
        raise wrong_certificate(address, certificate, trust)
    pem = ssl.DER_cert_to_PEM_cert(certificate)
    name = _name_in(address, pem)
    return {"tls_root_certs": pem.encode(), **({"override_hostname": name} if name else {})}


def _system() -> bytes:
    place = ssl.get_default_verify_paths().cafile
    return Path(place).read_bytes() if place and Path(place).is_file() else b""


def _name_in(address: Address, pem: str) -> str | None:
    """A name that the certificate is for: known by its fingerprint, it is right under whatever name it was reached."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    context.load_verify_locations(cadata=pem)
    try:
        with (
            socket.create_connection((address.host, address.port), PROBE_S) as sock,
            context.wrap_socket(sock, server_hostname=address.host) as secured,
        ):
            names: Any = (secured.getpeercert() or {}).get("subjectAltName", ())
    except OSError as error:
        raise CannotConnect(f"No secure connection to {address}: {reason(error)}", "", "tls") from error
    listed = [value for kind, value in names if kind in ("DNS", "IP Address") and "*" not in value]
    return None if not listed or address.host in listed else str(listed[0])
