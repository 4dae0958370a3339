"""Whom to trust: the system's authorities, a certificate that was given, or the one of a known fingerprint."""

from __future__ import annotations

import hashlib
import os
import re
import socket
import ssl
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from coverslip.client.address import Address
from coverslip.client.errors import CannotConnect, NotAnswering
from coverslip.core.errors import NotFound

CA_VARIABLES = ("COVERSLIP_TLS_CA", "BIOPB_TENSOR_TLS_CA")
FINGERPRINT_VARIABLES = ("COVERSLIP_TLS_FINGERPRINT", "BIOPB_TENSOR_TLS_FINGERPRINT")
PROBE_S = 5.0
CERTIFICATE = re.compile(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", re.DOTALL)


@dataclass(frozen=True)
class Trust:
    """Which certificates are taken.

    Attributes
    ----------
    authority
        PEM text of a certificate, or of the authority that signs it; None: those of the system.
    fingerprint
        SHA-256 of the server's certificate, in lower case without colons; None: any that is signed.
    """

    authority: str | None = None
    fingerprint: str | None = None

    def context(self) -> ssl.SSLContext:
        """For HTTPS."""
        context = ssl.create_default_context(cadata=self.authority)
        if self.fingerprint is not None:  # the certificate itself is compared, once the connection is there
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return context

    def matches(self, certificate: bytes | None) -> bool:
        """Whether a certificate (DER) is the one that was named."""
        return self.fingerprint is None or (certificate is not None and fingerprint_of(certificate) == self.fingerprint)


SYSTEM = Trust()


def trust_of(ca: str | None, fingerprint: str | None, environment: Mapping[str, str] = os.environ) -> Trust:
    """What was given, else what the environment says (``COVERSLIP_TLS_CA``, ``COVERSLIP_TLS_FINGERPRINT``).

    Parameters
    ----------
    ca
        Path of a PEM file, or its text; only its certificates are kept.
    fingerprint
        SHA-256 in hexadecimal digits, with colons or without.

    Raises
    ------
    NotFound
        When the file cannot be read, or holds no certificate.
    """
    ca = ca or next((v for n in CA_VARIABLES if (v := environment.get(n))), None)
    fingerprint = fingerprint or next((v for n in FINGERPRINT_VARIABLES if (v := environment.get(n))), None)
    if ca is not None and "-----BEGIN" not in ca:
        try:
            ca = Path(ca).read_text("ascii")
        except (OSError, UnicodeDecodeError) as error:
            raise NotFound(f"There is no certificate that can be read at {ca}", "Name a PEM file.") from error
    if ca is not None:  # a file may hold the key too, and what is trusted travels in pickles
        ca = "\n".join(CERTIFICATE.findall(ca))
        if not ca:
            raise NotFound("There is no certificate in what was named", "Name a PEM file.", "no_certificate")
    digits = fingerprint.replace(":", "").replace(" ", "").lower() if fingerprint else None
    return Trust(ca, digits)


def fingerprint_of(certificate: bytes) -> str:
    """SHA-256 of a certificate (DER), in lower case."""
    return hashlib.sha256(certificate).hexdigest()


def shown(fingerprint: str) -> str:
    """A fingerprint as people compare it: ``AB:CD:…``."""
    return ":".join(fingerprint[i : i + 2] for i in range(0, len(fingerprint), 2)).upper()


def presented(address: Address) -> bytes:
    """The certificate (DER) that a server shows, unchecked.

    Raises
    ------
    NotAnswering
        When nothing listens there.
    CannotConnect
        When it does not speak TLS.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        with (
            socket.create_connection((address.host, address.port), PROBE_S) as plain,
            context.wrap_socket(plain, server_hostname=address.host) as secured,
        ):
            return secured.getpeercert(binary_form=True) or b""
    except ssl.SSLError as error:
        raise CannotConnect(
            f"The server at {address} does not speak TLS", f"Try {plain_scheme(address)}.", "no_tls"
        ) from error
    except OSError as error:
        raise NotAnswering(f"No server answers at {address}: {reason(error)}", "Is it running?") from error


def plain_scheme(address: Address) -> str:
    """The same address without TLS."""
    return f"{'grpc' if address.flight else 'http'}://{address.authority}{address.path}"


def tls_scheme(address: Address) -> str:
    """The same address with TLS."""
    return f"{'grpcs' if address.flight else 'https'}://{address.authority}{address.path}"


def reason(error: OSError) -> str:
    """Why a connection failed, in a few words."""
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, socket.gaierror):
        return "there is no such host"
    return (error.strerror or str(error) or error.__class__.__name__).lower()


def wrong_certificate(address: Address, certificate: bytes, trust: Trust) -> CannotConnect:
    """The error for a certificate that is not trusted."""
    found = shown(fingerprint_of(certificate))
    if trust.fingerprint is not None:
        message = f"The certificate of {address} is not the one that was named; its fingerprint is {found}"
        hint = "If the server has a new certificate, name the new fingerprint; else somebody is in between."
    else:
        message = f"The certificate of {address} is not signed by an authority that is known here, or not for this name"
        hint = (
            f"If the server printed the fingerprint {found}, name it: connect(…, fingerprint=…), --fingerprint "
            f"or {FINGERPRINT_VARIABLES[0]}."
        )
    return CannotConnect(message, hint, "wrong_certificate")


def speaks_tls(address: Address) -> bool:
    """Whether TLS is spoken at an address."""
    with suppress(CannotConnect):
        presented(address)
        return True
    return False
