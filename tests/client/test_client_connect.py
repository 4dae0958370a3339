"""Connecting: what goes wrong is told in a line that says what to do."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from conftest import TOKEN, VOLUME, running, settle, url_of, write_zarr

import coverslip
from coverslip.client import CannotConnect, Client, NotAnswering, WrongToken
from coverslip.client.tls import fingerprint_of, shown, trust_of
from coverslip.core.errors import NotFound
from coverslip.server import Server


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


def scheme(protocol: str, tls: bool = False) -> str:
    return {"http": "http", "flight": "grpc"}[protocol] + ("s" if tls else "")


def test_nobody_there(protocol: str) -> None:
    with pytest.raises(NotAnswering, match="refused") as caught:
        coverslip.connect(f"{scheme(protocol)}://127.0.0.1:{free_port()}")
    assert "Is it running?" in str(caught.value)
    with pytest.raises(NotAnswering, match="no such host"):
        coverslip.connect(f"{scheme(protocol)}://no.such.host.invalid:1")


def test_tokens(server: Server, protocol: str) -> None:
    with pytest.raises(WrongToken, match="asks for a token") as caught:
        coverslip.connect(url_of(server, protocol))
    assert "COVERSLIP_TOKEN" in str(caught.value)
    with pytest.raises(WrongToken, match="does not take the token") as refused:
        coverslip.connect(url_of(server, protocol), "another-token-altogether")
    assert "another" not in str(refused.value)


def test_the_printed_url_is_enough(server: Server) -> None:
    with coverslip.connect(server.viewer_url) as client:
        assert len(client.sources) == 4


def test_a_token_of_the_environment(server: Server, protocol: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BIOPB_TENSOR_URL", url_of(server, protocol))
    monkeypatch.setenv("BIOPB_TENSOR_TOKEN", TOKEN)
    with coverslip.connect() as client:
        assert len(client.sources) == 4


def test_the_other_protocol(server: Server) -> None:
    flight, http = url_of(server, "flight"), url_of(server, "http")
    with pytest.raises(CannotConnect, match=r"speaks HTTP, not Arrow Flight. Use http://127"):
        coverslip.connect(http.replace("http://", "grpc://"), TOKEN)
    with pytest.raises(CannotConnect, match=r"is no coverslip over HTTP.*grpc://127"):
        coverslip.connect(flight.replace("grpc://", "http://"), TOKEN)


def test_no_tls_where_it_is_expected(server: Server, protocol: str) -> None:
    secure = url_of(server, protocol).replace("://", "s://", 1)
    with pytest.raises(CannotConnect, match=f"does not speak TLS. Try {scheme(protocol)}://"):
        coverslip.connect(secure, TOKEN)


@pytest.fixture(scope="module")
def encrypted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("secret")
    write_zarr(folder / "x.zarr", VOLUME[:3], (1, 64, 64))
    settle(folder)
    server = running(folder, token=TOKEN, tls=True)
    yield server
    server.stop()


def certificate(server: Server) -> str:
    port = int(server.url.rpartition(":")[2])
    return ssl.get_server_certificate(("127.0.0.1", port))


def test_a_certificate_that_is_named(encrypted: Server, protocol: str, tmp_path: Path) -> None:
    url, pem = url_of(encrypted, protocol), certificate(encrypted)
    (tmp_path / "ca.pem").write_text(pem)
    mark = fingerprint_of(ssl.PEM_cert_to_DER_cert(pem))
    for given in ({"fingerprint": shown(mark)}, {"fingerprint": mark}, {"tls_ca": str(tmp_path / "ca.pem")}):
        with coverslip.connect(url, TOKEN, **given) as client:
            np.testing.assert_array_equal(client["x.zarr"][1], VOLUME[1])


def test_a_certificate_that_is_not_known(encrypted: Server, protocol: str) -> None:
    url = url_of(encrypted, protocol)
    mark = shown(fingerprint_of(ssl.PEM_cert_to_DER_cert(certificate(encrypted))))
    with pytest.raises(CannotConnect, match="not signed by an authority") as caught:
        coverslip.connect(url, TOKEN)
    assert mark in str(caught.value)
    with pytest.raises(CannotConnect, match="not the one that was named"):
        coverslip.connect(url, TOKEN, fingerprint="ab" * 32)
    with pytest.raises(CannotConnect, match=f"speaks TLS. Use {scheme(protocol, tls=True)}://"):
        coverslip.connect(f"{scheme(protocol)}://{url.partition('://')[2]}", TOKEN)


def test_the_environment_names_a_certificate(tmp_path: Path) -> None:
    assert trust_of(None, None, {"BIOPB_TENSOR_TLS_FINGERPRINT": "AB:cd"}).fingerprint == "abcd"
    body = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----"
    (tmp_path / "pair.pem").write_text(f"-----BEGIN PRIVATE KEY-----\nsecret\n-----END PRIVATE KEY-----\n{body}\n")
    trust = trust_of(None, None, {"COVERSLIP_TLS_CA": str(tmp_path / "pair.pem")})
    assert trust.authority == body, "a key is never kept"
    with pytest.raises(NotFound, match="no certificate in"):
        trust_of("-----BEGIN PRIVATE KEY-----", None, {})
    with pytest.raises(NotFound, match="no certificate that can be read"):
        trust_of(str(tmp_path / "nothing.pem"), None, {})


@pytest.fixture
def babbler() -> Iterator[int]:
    """A port where anything is answered with nonsense, or with nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        answers = [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", b"\x00\x01\x02", b"SSH-2.0-x\r\n"]
        done = threading.Event()

        def talk() -> None:
            at = 0
            while not done.is_set():
                try:
                    sock, _ = listening.accept()
                except OSError:
                    return
                with sock:
                    sock.settimeout(0.2)
                    try:
                        sock.recv(4096)
                        sock.sendall(answers[at % len(answers)])
                    except OSError:
                        pass
                    at += 1

        thread = threading.Thread(target=talk, daemon=True)
        thread.start()
        yield listening.getsockname()[1]
        done.set()
        with socket.create_connection(("127.0.0.1", listening.getsockname()[1])):
            pass
        thread.join(60)


def test_something_else_answers(babbler: int, protocol: str) -> None:
    for _ in range(3):
        with pytest.raises(CannotConnect):
            coverslip.connect(f"{scheme(protocol)}://127.0.0.1:{babbler}", TOKEN)


def test_an_answer_cut_short_is_asked_for_again(server: Server, client: Client, protocol: str) -> None:
    """The connections die under the client between two reads."""
    image = client["volume.zarr"]
    np.testing.assert_array_equal(image[0], VOLUME[0])
    if protocol == "http":
        for connection in client.transport._connections._idle:  # type: ignore[attr-defined]
            connection.sock.shutdown(socket.SHUT_RDWR)
    else:
        client.transport.close()
    np.testing.assert_array_equal(image[1], VOLUME[1])
