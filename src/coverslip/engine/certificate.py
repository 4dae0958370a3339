"""Certificates for TLS: read and checked, or a self-signed one that is made once and kept."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from coverslip.core.errors import BadUsage, NotFound, Unreadable, Unsupported
from coverslip.engine.secret import write_private
from coverslip.engine.state import state_folder

if TYPE_CHECKING:
    from cryptography import x509

CODE = "bad_certificate"
LASTS = timedelta(days=730)
SOON = timedelta(days=30)
SKEW = timedelta(days=1)
"""A client's clock may be slow."""
NAMES = ("localhost", "127.0.0.1", "::1")
WILDCARDS = ("0.0.0.0", "::", "")  # noqa: S104  (names of wildcards, not a bind)
PAIR, SHOWN = "tls-pair.pem", "tls-certificate.pem"


@dataclass(frozen=True)
class Certificate:
    """A certificate that can be served with.

    Attributes
    ----------
    chain_pem, key_pem
        The certificate with those that signed it, and its key.
    cert_file, key_file
        Where they are; what others may be told of is the first, which holds no key.
    fingerprint
        SHA-256 of the certificate, as browsers show it (``AB:CD:…``).
    not_before, not_after
        When it holds.
    names
        Host names and addresses it is for.
    notes
        What a person should be told, one line each.
    """

    chain_pem: bytes
    key_pem: bytes = field(repr=False)
    cert_file: Path
    key_file: Path
    fingerprint: str
    not_before: datetime
    not_after: datetime
    names: tuple[str, ...]
    notes: tuple[str, ...] = ()

    @property
    def pair(self) -> tuple[bytes, bytes]:
        """Chain and key, as a server of gRPC takes them."""
        return self.chain_pem, self.key_pem

    @property
    def not_after_text(self) -> str:
        """The end of its time (``2027-01-31T12:00:00Z``)."""
        return self.not_after.strftime("%Y-%m-%dT%H:%M:%SZ")

    def warning(self, now: datetime | None = None) -> str | None:
        """One line when it ends soon."""
        left = self.not_after - (now or datetime.now(UTC))
        if left > SOON:
            return None
        days = max(0, left.days)
        return f"The TLS certificate ends in {days} day{'' if days == 1 else 's'}, on {self.not_after_text}."


def load(cert_file: Path, key_file: Path, now: datetime | None = None) -> Certificate:
    """A certificate and its key, of files in PEM.

    Raises
    ------
    NotFound, Unreadable
        When a file cannot be read.
    BadUsage
        When one is not what it should be, they do not belong together, or the certificate does not hold now.
    Unsupported
        When the library is missing.
    """
    pem, serialization = libraries()
    chain_pem, key_pem = read(cert_file, "certificate"), read(key_file, "key")
    try:
        found: x509.Certificate = pem.load_pem_x509_certificates(chain_pem)[0]
    except nonsense() as error:
        raise wrong(f"{cert_file.name} holds no certificate in PEM", "Convert it: openssl x509 -inform der.") from error
    try:
        key = serialization.load_pem_private_key(key_pem, None)
    except TypeError as error:
        raise wrong(f"The key {key_file.name} asks for a password", "Remove it: openssl pkey -in KEY.") from error
    except nonsense() as error:
        raise wrong(f"{key_file.name} holds no private key in PEM", "Name the file with --tls-key.") from error
    try:
        together = belong(found, key)
        certificate = described(found, chain_pem, key_pem, cert_file, key_file)
    except nonsense() as error:
        raise wrong(
            f"The certificate {cert_file.name} cannot be used", "Make another one; it may be damaged."
        ) from error
    if not together:
        raise wrong(f"The key {key_file.name} is not that of {cert_file.name}", "Name the pair that was made together.")
    check_time(certificate, now or datetime.now(UTC))
    return certificate


def minted(names: Iterable[str] = (), now: datetime | None = None) -> Certificate:
    """This user's self-signed certificate, made when there is none that holds now for all these names.

    Parameters
    ----------
    names
        Host names and addresses beside those of this machine.

    Raises
    ------
    Unreadable
        When it cannot be kept.
    Unsupported
        When the library is missing.
    """
    now = now or datetime.now(UTC)
    libraries()
    file = state_folder() / PAIR
    shown = file.with_name(SHOWN)
    wanted = {normal(name) for name in (*NAMES, *names) if name not in WILDCARDS}
    with suppress(BadUsage):  # a machine may have a name that no certificate can hold
        wanted.add(normal(socket.gethostname()))
    try:
        known = kept(file)
        if known is not None and wanted <= set(known.names) and known.not_before <= now < known.not_after:
            if not shown.is_file() or shown.read_bytes() != known.chain_pem:
                write_private(shown, known.chain_pem)
            return known
        notes = [] if known is None else [f"A new TLS certificate was made: {why(known, now)}."]
        wanted |= set(known.names if known is not None else ())
        chain, key = self_signed(sorted(wanted), now)
        write_private(file, chain + key)
        write_private(shown, chain)
    except OSError as error:
        hint = "Set COVERSLIP_STATE_DIR to a folder that may be written, or give --tls-cert and --tls-key."
        raise Unreadable(f"The TLS certificate cannot be kept: {error.strerror}", hint, "no_state") from error
    made = kept(file)
    assert made is not None
    return Certificate(**{**vars(made), "notes": (*notes, *made.notes)})


def kept(file: Path) -> Certificate | None:
    """The pair in one file, or None when there is none that can be used; the certificate alone lies beside it."""
    pem, serialization = libraries()
    try:
        data = file.read_bytes()
        found = pem.load_pem_x509_certificate(data)
        key = serialization.load_pem_private_key(data, None)
        if not belong(found, key):
            return None
        chain_end = data.index(b"-----BEGIN PRIVATE KEY-----")
        return described(found, data[:chain_end], data[chain_end:], file.with_name(SHOWN), file)
    except FileNotFoundError:
        return None
    except nonsense():
        return None


def nonsense() -> tuple[type[Exception], ...]:
    """What the library raises for what is no certificate or no key that it knows."""
    from cryptography import x509
    from cryptography.exceptions import UnsupportedAlgorithm

    broken = (x509.InvalidVersion, x509.DuplicateExtension, x509.UnsupportedGeneralNameType)
    return (ValueError, TypeError, UnsupportedAlgorithm, *broken)


def belong(found: x509.Certificate, key: Any) -> bool:
    """Whether a key is that of a certificate."""
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    form = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    own: bytes = key.public_key().public_bytes(*form)
    return found.public_key().public_bytes(*form) == own


def why(known: Certificate, now: datetime) -> str:
    """Why a certificate will not do any more."""
    return "the old one has ended" if known.not_after <= now else "it has more names than the old one"


def described(
    found: x509.Certificate, chain_pem: bytes, key_pem: bytes, cert_file: Path, key_file: Path
) -> Certificate:
    """What a certificate tells of itself."""
    from cryptography.hazmat.primitives import hashes

    print_of = found.fingerprint(hashes.SHA256()).hex(":").upper()
    notes = []
    if key_file.stat().st_mode & 0o077:
        notes.append(f"Others on this machine may read the TLS key {key_file.name}; close it: chmod 600.")
    return Certificate(
        chain_pem, key_pem, cert_file, key_file, print_of,
        found.not_valid_before_utc, found.not_valid_after_utc, names_of(found), tuple(notes),
    )  # fmt: skip


def names_of(found: x509.Certificate) -> tuple[str, ...]:
    """Names and addresses in a certificate's ``subjectAltName``."""
    from cryptography import x509

    try:
        listed = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return ()
    dns: list[str] = listed.get_values_for_type(x509.DNSName)
    return (*dns, *(str(address) for address in listed.get_values_for_type(x509.IPAddress)))


def check_time(certificate: Certificate, now: datetime) -> None:
    """Refuse what does not hold now: no client would accept it."""
    name = certificate.cert_file.name
    if certificate.not_after <= now:
        raise wrong(f"The certificate {name} ended on {certificate.not_after_text}", "Renew it.")
    if certificate.not_before > now:
        starts = certificate.not_before.strftime("%Y-%m-%dT%H:%M:%SZ")
        raise wrong(f"The certificate {name} begins on {starts}", "Check this machine's clock: date -u.")


def self_signed(names: Iterable[str], now: datetime) -> tuple[bytes, bytes]:
    """A new certificate of its own signature, and its key, in PEM."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

    key = ec.generate_private_key(ec.SECP256R1())  # gRPC and every browser know this curve
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "coverslip")])
    usage = dict.fromkeys(
        ("content_commitment", "key_encipherment", "data_encipherment", "key_agreement", "key_cert_sign", "crl_sign",
         "encipher_only", "decipher_only"), False
    )  # fmt: skip
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - SKEW)
        .not_valid_after(now + LASTS)
        .add_extension(x509.SubjectAlternativeName([general_name(one) for one in names]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.KeyUsage(digital_signature=True, **usage), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return made.public_bytes(serialization.Encoding.PEM), secret


def normal(name: str) -> str:
    """A host name or an address as certificates hold it.

    Raises
    ------
    BadUsage
        When it is neither.
    """
    try:
        return str(ipaddress.ip_address(name.strip("[]")))
    except ValueError:
        pass
    try:
        return name.encode("idna").decode().lower()
    except (ValueError, UnicodeError) as error:
        raise BadUsage(f"{name} is not a host name", "Give --san a name or an address.", CODE) from error


def general_name(name: str) -> x509.GeneralName:
    """A normal name for ``subjectAltName``."""
    from cryptography import x509

    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def read(file: Path, what: str) -> bytes:
    """The bytes of a file."""
    try:
        return file.read_bytes()
    except FileNotFoundError as error:
        raise NotFound(f"There is no {what} {file}", "Check the path.") from error
    except OSError as error:
        raise Unreadable(f"Cannot read the {what} {file.name}: {error.strerror}", "Check who may read it.") from error


def libraries() -> tuple[Any, Any]:
    """The library of certificates.

    Raises
    ------
    Unsupported
        When it is missing.
    """
    try:
        from cryptography import x509
        from cryptography.hazmat.primitives import serialization
    except ImportError as error:
        raise Unsupported("TLS needs the package cryptography", "Install it: pip install 'coverslip[tls]'") from error
    return x509, serialization


def wrong(what: str, hint: str) -> BadUsage:
    """An error about a certificate."""
    return BadUsage(what, hint, CODE)
