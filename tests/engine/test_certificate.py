"""Certificates, compared with the openssl of this machine and with Python's own TLS."""

from __future__ import annotations

import ssl
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from coverslip.core.errors import BadUsage, CoverslipError, NotFound, Unreadable
from coverslip.engine.certificate import Certificate, load, minted

NOW = datetime.now(UTC)


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("COVERSLIP_STATE_DIR", str(tmp_path / "state"))
    return tmp_path / "state"


def openssl(*arguments: object) -> str:
    return subprocess.run(["openssl", *map(str, arguments)], capture_output=True, text=True, check=True).stdout


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Path, Path]:
    cert, key = tmp_path / "lab.crt", tmp_path / "lab.key"
    openssl(
        "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=lab", "-addext", "subjectAltName=DNS:lab",
        "-days", 90, "-out", cert, "-keyout", key,
    )  # fmt: skip
    return cert, key


def shake_hands(certificate: Certificate, name: str) -> None:
    """A whole handshake in memory, the client trusting this certificate only."""
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(certificate.cert_file, certificate.key_file)
    client = ssl.create_default_context(cadata=certificate.chain_pem.decode())
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [client.wrap_bio(down, up, server_hostname=name), server.wrap_bio(up, down, server_side=True)]
    for _ in range(3):
        for end in ends:
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                continue


def test_minted_once_and_kept_for_its_owner(state: Path) -> None:
    made = minted(["lab.example.org", "192.0.2.7", "0.0.0.0"])
    assert made.notes == ()
    assert minted() == made
    assert (state / "tls-pair.pem").stat().st_mode & 0o777 == 0o600
    assert b"PRIVATE" not in (state / "tls-certificate.pem").read_bytes()
    told = openssl(
        "x509", "-in", state / "tls-certificate.pem", "-noout", "-fingerprint", "-sha256", "-ext", "subjectAltName"
    )
    assert told.splitlines()[0].rpartition("=")[2] == made.fingerprint
    for name in ("DNS:localhost", "DNS:lab.example.org", "IP Address:127.0.0.1", "IP Address:192.0.2.7"):
        assert name in told
    assert "0.0.0.0" not in told
    assert "PRIVATE" not in repr(made)


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1", "::1", "lab.example.org"])
def test_clients_trust_it_by_its_name(name: str) -> None:
    shake_hands(minted(["lab.example.org"]), name)
    with pytest.raises(ssl.SSLCertVerificationError):
        shake_hands(minted(), "elsewhere.example.org")


def test_more_names_or_its_end_make_a_new_one_and_say_so() -> None:
    first = minted()
    second = minted(["Lab.Example.org"])
    assert second.fingerprint != first.fingerprint
    assert second.notes == ("A new TLS certificate was made: it has more names than the old one.",)
    assert minted(["lab.example.org"]).fingerprint == second.fingerprint
    assert minted().fingerprint == second.fingerprint, "fewer names need no new one"
    later = second.not_after + timedelta(seconds=1)
    third = minted(now=later)
    assert third.notes == ("A new TLS certificate was made: the old one has ended.",)
    assert "lab.example.org" in third.names, "names are kept"


@pytest.mark.parametrize("harm", [b"", b"nonsense", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"])
def test_a_damaged_one_is_made_again(state: Path, harm: bytes) -> None:
    first = minted()
    (state / "tls-pair.pem").write_bytes(harm)
    assert minted().fingerprint != first.fingerprint


def test_names_no_certificate_can_hold() -> None:
    with pytest.raises(BadUsage, match="is not a host name"):
        minted(["x" * 64 + ".org"])


def test_where_nothing_can_be_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("COVERSLIP_STATE_DIR", str(tmp_path / "file"))
    with pytest.raises(Unreadable, match="state folder"):
        minted()


def test_a_warning_thirty_days_before_its_end() -> None:
    made = minted()
    assert made.warning() is None
    assert made.warning(made.not_after - timedelta(days=31)) is None
    assert "ends in 29 days" in (made.warning(made.not_after - timedelta(days=29, hours=1)) or "")
    assert "ends in 1 day," in (made.warning(made.not_after - timedelta(days=1, hours=1)) or "")
    assert made.not_after_text == made.not_after.strftime("%Y-%m-%dT%H:%M:%SZ")


def test_a_pair_of_files(pair: tuple[Path, Path]) -> None:
    found = load(*pair)
    assert found.fingerprint in openssl("x509", "-in", pair[0], "-noout", "-fingerprint", "-sha256")
    assert (found.names, found.notes) == (("lab",), ())
    shake_hands(found, "lab")
    assert found.pair == (pair[0].read_bytes(), pair[1].read_bytes())
    pair[1].chmod(0o644)
    assert load(*pair).notes == ("Others on this machine may read the TLS key lab.key; close it: chmod 600.",)


def test_pairs_that_cannot_be_served_with(pair: tuple[Path, Path], tmp_path: Path) -> None:
    cert, key = pair
    other = tmp_path / "other.key"
    openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", other)
    locked = tmp_path / "locked.key"
    openssl("pkey", "-in", key, "-aes256", "-passout", "pass:secret", "-out", locked)
    der = tmp_path / "lab.der"
    openssl("x509", "-in", cert, "-outform", "der", "-out", der)
    empty = tmp_path / "empty.pem"
    empty.write_bytes(b"")
    cut = tmp_path / "cut.pem"
    cut.write_bytes(cert.read_bytes()[:300])
    cases: list[tuple[Path, Path, type[CoverslipError], str]] = [
        (cert, other, BadUsage, "is not that of lab.crt"),
        (cert, locked, BadUsage, "asks for a password"),
        (cert, cert, BadUsage, "holds no private key"),
        (key, key, BadUsage, "holds no certificate"),
        (der, key, BadUsage, "holds no certificate in PEM"),
        (empty, key, BadUsage, "holds no certificate"),
        (cut, key, BadUsage, "holds no certificate"),
        (cert, empty, BadUsage, "holds no private key"),
        (tmp_path / "none.crt", key, NotFound, "There is no certificate"),
        (cert, tmp_path / "none.key", NotFound, "There is no key"),
        (tmp_path, key, Unreadable, "Cannot read the certificate"),
    ]
    for one, two, kind, words in cases:
        with pytest.raises(kind, match=words) as refused:
            load(one, two)
        assert refused.value.hint
        assert "\n" not in str(refused.value)


def test_times_at_which_no_client_would_accept_it(pair: tuple[Path, Path]) -> None:
    with pytest.raises(BadUsage, match=r"The certificate lab\.crt ended on 20"):
        load(*pair, now=NOW + timedelta(days=91))
    with pytest.raises(BadUsage, match=r"The certificate lab\.crt begins on 20"):
        load(*pair, now=NOW - timedelta(days=1))


def test_the_file_that_is_shown_holds_no_key_and_comes_back(state: Path) -> None:
    made = minted()
    assert made.cert_file == state / "tls-certificate.pem"
    assert made.key_file == state / "tls-pair.pem"
    for harm in (lambda: made.cert_file.unlink(), lambda: made.cert_file.write_bytes(b"of another server")):
        harm()
        assert minted() == made
        assert made.cert_file.read_bytes() == made.chain_pem
        assert made.cert_file.stat().st_mode & 0o777 == 0o600
