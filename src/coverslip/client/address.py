"""Which server is meant: its URL and its token, from what was given, the environment and saved settings."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import parse_qs, urlsplit

from coverslip.client.local import local_server
from coverslip.client.saved import saved_url
from coverslip.core.errors import BadRequest

DEFAULT_URL = "grpc://localhost:8815"
FLIGHT_PORT = 8815
SCHEMES = {
    "grpc": "grpc+tcp", "grpc+tcp": "grpc+tcp", "grpcs": "grpc+tls", "grpc+tls": "grpc+tls",
    "http": "http", "https": "https",
}  # fmt: skip
PORTS = {"grpc+tcp": FLIGHT_PORT, "grpc+tls": FLIGHT_PORT, "http": 80, "https": 443}
LOCAL = frozenset({"localhost", "127.0.0.1", "::1"})
URL_VARIABLES = ("COVERSLIP_URL", "BIOPB_TENSOR_URL", "BIOPB_TENSOR_SERVER")
TOKEN_VARIABLES = ("COVERSLIP_TOKEN", "BIOPB_TENSOR_TOKEN")


@dataclass(frozen=True)
class Address:
    """Where a server is, without its token.

    Attributes
    ----------
    scheme
        ``grpc+tcp``, ``grpc+tls``, ``http`` or ``https``.
    host, port
        Of the server; the host without brackets.
    path
        Below which its endpoints are (HTTP behind a proxy), without a slash at its end.
    given
        The URL as it was written, without a token.
    """

    scheme: str
    host: str
    port: int
    path: str
    given: str

    @property
    def flight(self) -> bool:
        """Whether Arrow Flight is spoken there."""
        return self.scheme.startswith("grpc")

    @property
    def tls(self) -> bool:
        """Whether the connection is encrypted."""
        return self.scheme in ("grpc+tls", "https")

    @property
    def local(self) -> bool:
        """Whether it is this machine."""
        return self.host in LOCAL

    @property
    def authority(self) -> str:
        """Host and port, as URLs write them."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    @property
    def url(self) -> str:
        """The address in one spelling."""
        return f"{self.scheme}://{self.authority}{self.path}"

    def __str__(self) -> str:
        return self.given


@dataclass(frozen=True)
class Target:
    """A server and how to introduce oneself.

    Attributes
    ----------
    address
        Where it is.
    token
        What it asks for, or None.
    origin
        Where the address came from: ``given``, the name of a variable, ``saved``, ``running`` or ``default``.
    certificate
        PEM file of the certificate of the server that runs here in the background, or None.
    """

    address: Address
    token: str | None
    origin: str
    certificate: str | None = None

    def __repr__(self) -> str:
        """Without the token."""
        return f"Target({self.address.url!r}, origin={self.origin!r})"


def parse(url: str) -> tuple[Address, str | None]:
    """An address, and the token that its query or fragment holds (as in the URL that a server prints).

    Raises
    ------
    BadRequest
        When it is not a URL of a server.
    """
    text = url.strip()
    try:
        parts = urlsplit(text if "://" in text else f"grpc://{text}")
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise _not_an_address(url) from error
    scheme = SCHEMES.get(parts.scheme.lower())
    if scheme is None or not host or "@" in parts.netloc:
        raise _not_an_address(url)
    path = "" if scheme.startswith("grpc") else parts.path.rstrip("/")
    if scheme.startswith("grpc") and parts.path.strip("/"):
        raise BadRequest(
            f"{parts.scheme}://{parts.netloc} is a server, and {parts.path.strip('/')} is in it",
            f'Connect to the server, then open it: connect(…)["{parts.path.strip("/")}"].',
            "not_an_address",
        )
    shown = {**parse_qs(parts.fragment), **parse_qs(parts.query)}
    token = next(iter(shown.get("token", ())), None)
    given = f"{parts.scheme.lower()}://{parts.netloc}{path}"
    return Address(scheme, host.rstrip("."), PORTS[scheme] if port is None else port, path, given), token


def _not_an_address(url: str) -> BadRequest:
    shown = url.partition("?")[0].partition("#")[0].rpartition("@")[2][:200]  # what follows may be a secret
    return BadRequest(
        f"{shown!r} is not the address of a server",
        f"It begins with grpc://, grpcs://, http:// or https://, as {DEFAULT_URL} does.",
        "not_an_address",
    )


def choose(url: str | None, token: str | None, environment: Mapping[str, str] = os.environ) -> Target:
    """The server that is meant.

    A URL that is given comes first, then ``COVERSLIP_URL``, ``BIOPB_TENSOR_URL`` (and its older name
    ``BIOPB_TENSOR_SERVER``), then the saved ``tensor_browser.server_url``, then the server that this user started in
    the background, then ``grpc://localhost:8815``. The token is the one given, else the URL's own, else
    ``COVERSLIP_TOKEN`` or ``BIOPB_TENSOR_TOKEN``, else, for the server in the background only, the one it wrote down.

    Raises
    ------
    BadRequest
        When the URL is none.
    """
    origin = "given"
    if not url:
        found = ((environment.get(name, "").strip(), name) for name in URL_VARIABLES)
        url, origin = next(((value, name) for value, name in found if value), ("", "saved"))
    if not url:
        url = saved_url(environment) or ""
    running = None if url else local_server(environment)
    if not url:
        url, origin = (DEFAULT_URL, "default") if running is None else (running.url, "running")
    address, own = parse(url)
    token = token or own or next((v for n in TOKEN_VARIABLES if (v := environment.get(n, "").strip())), None)
    if running is not None:
        return Target(address, token or running.token, origin, running.certificate)
    return Target(address, token, origin)
