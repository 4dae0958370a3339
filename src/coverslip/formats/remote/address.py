"""Addresses of what lies elsewhere; secrets in them are never shown."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from ipaddress import ip_address
from urllib.parse import quote, unquote, urlsplit

from coverslip.core.errors import BadRequest

SCHEMES = ("s3", "gs", "https", "http")
URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")
EXAMPLES = "Write s3://bucket/path, gs://bucket/path or https://host/path."


def is_url(text: str) -> bool:
    """Whether somebody means an address and not a path."""
    return URL.match(text) is not None


@dataclass(frozen=True)
class Address:
    """One object, or everything below one.

    Attributes
    ----------
    scheme
        ``s3``, ``gs``, ``https`` or ``http``.
    host
        The bucket, or the host with its port.
    path
        Below it, without slashes at the ends; of ``http`` decoded.
    folder
        Whether it was written with a slash at its end.
    query, user
        What a signed address carries, and ``name:password``: secrets.
    """

    scheme: str
    host: str
    path: str
    folder: bool = False
    query: str = field(default="", repr=False)
    user: str = field(default="", repr=False)

    @classmethod
    def parse(cls, text: str) -> Address:
        """The address that was written.

        Raises
        ------
        BadRequest
            When it is none that coverslip reads.
        """
        scheme = text.partition("://")[0].lower()
        if scheme not in SCHEMES:
            raise BadRequest(f"coverslip does not read {scheme[:20]}:// addresses", EXAMPLES)
        web = scheme.startswith("http")
        try:
            parts = urlsplit(text) if web else None
            if parts is not None:
                user, _, host = parts.netloc.rpartition("@")
                path, query = unquote(parts.path, errors="strict"), parts.query
                loopback = is_loopback(parts.hostname or "")
            else:
                host, _, path = text.partition("://")[2].partition("/")
                user = query = ""
                loopback = False
        except (ValueError, UnicodeDecodeError):
            raise BadRequest("This address makes no sense", EXAMPLES) from None
        inner = path.strip("/")
        if not host or any(part in ("", ".", "..") for part in inner.split("/") if inner):
            raise BadRequest("This address makes no sense", EXAMPLES)
        if scheme == "http" and not loopback:
            raise BadRequest("http:// is read from this machine only", "Use https://.")
        return cls(scheme, host, inner, path.endswith("/") or not inner, query, user)

    @property
    def shown(self) -> str:
        """Where it is, without secrets."""
        return f"{self.scheme}://{self.host}/{quote(self.path) if self.web else self.path}"

    @property
    def web(self) -> bool:
        """Whether it is one of the web, where nothing can be listed."""
        return self.scheme.startswith("http")

    @property
    def name(self) -> str:
        """Its last part."""
        return self.path.rpartition("/")[2] or self.host

    def below(self, path: str) -> Address:
        """The address of something below this one."""
        return replace(self, path="/".join(part for part in (self.path, path) if part), folder=False)

    def __str__(self) -> str:
        return self.shown


def is_loopback(host: str) -> bool:
    """Whether a host name means this machine."""
    try:
        return host.lower() == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False
