"""Tokens, seals, sockets and the end of a Flight server."""

from __future__ import annotations

import json
import socket
import stat
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from biopb.tensor.descriptor_pb2 import TensorDescriptor
from biopb.tensor.ticket_pb2 import TensorTicket
from flight_reading import TOKEN, Reader, images_of, serving, tickets
from pyarrow import flight

from coverslip.app import catalog_of
from coverslip.client import connect
from coverslip.core.errors import CannotListen, Forbidden
from coverslip.engine.failures import TOO_MANY, Failures
from coverslip.fronts.flight.budget import Budget
from coverslip.fronts.flight.errors import Unavailable
from coverslip.fronts.flight.front import FlightFront
from coverslip.fronts.flight.guesses import address_of
from coverslip.fronts.flight.options import FlightOptions
from coverslip.fronts.flight.registry import Call
from coverslip.fronts.flight.seals import KEY_FILE, Seals, kept_key
from coverslip.fronts.forwarded import Proxies
from coverslip.server import Server
from coverslip.settings import Settings
from refused import refused_with

PIXELS = np.random.default_rng(0).integers(0, 60_000, (6, 700, 900), dtype=np.uint16)
MANY = FlightOptions(small_bytes=100_000, chunk_bytes=1_300_000)
HERE = Call(True, "here", lambda: False)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("gate")
    np.save(made / "cells.npy", PIXELS)
    return made


@pytest.fixture(scope="module")
def guarded(folder: Path) -> Iterator[Reader]:
    with serving(folder, token=TOKEN, options=MANY) as found:
        yield found


def stranger(reader: Reader, token: str | None = None) -> Reader:
    return Reader(reader.front, reader.catalog, reader.connection, token)


# -- the token ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("token", [None, "", "wrong", TOKEN[:-1], f"{TOKEN}x", TOKEN.upper()])
def test_everything_but_health_asks_for_the_token(guarded: Reader, token: str | None) -> None:
    other = stranger(guarded, token)
    assert json.loads(other.action("health")[0])["status"] == "SERVING"
    id = guarded.id("cells")
    for call in (
        lambda: other.plan(id),
        lambda: other.query("SELECT 1 FROM sources LIMIT 0"),
        lambda: other.action("catalog_children"),
        lambda: other.action("cache_stats"),
        lambda: list(other.connection.list_flights(options=other.options)),
        lambda: other.connection.get_flight_info(flight.FlightDescriptor.for_path("sources"), other.options),
        lambda: other.chunk(tickets(guarded.plan(id, fields=("endpoints",)))[0]),
    ):
        with pytest.raises(flight.FlightUnauthenticatedError, match="Invalid or missing Bearer token"):
            call()


@pytest.mark.parametrize("token", [None, TOKEN])
def test_what_nothing_uses_is_refused_without_a_traceback(guarded: Reader, token: str | None) -> None:
    other = stranger(guarded, token)
    writer, reader = other.connection.do_exchange(flight.FlightDescriptor.for_path("x"), other.options)
    with pytest.raises(flight.FlightServerError, match="DoExchange is not answered here") as caught:
        reader.read_chunk()
    assert "Traceback" not in str(caught.value)
    with pytest.raises(flight.FlightServerError):
        writer.close()


def test_health_tells_what_clients_look_for(guarded: Reader) -> None:
    told = json.loads(guarded.action("health")[0])
    assert told | {"protocol": 3, "ticket_stubs": True, "source_count": 1, "writable": False} == told
    assert told["metadata_db_enabled"] is True
    assert told["registration_pending"] == 0
    assert "external_location" not in told
    assert "tls_not_after" not in told


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def wrong(reader: Reader, token: str) -> str:
    with pytest.raises(flight.FlightUnauthenticatedError) as caught:
        stranger(reader, token).action("catalog_children")
    return str(caught.value)


def test_guesses_are_held_up_and_clients_that_are_known_are_not(folder: Path) -> None:
    clock = Clock()
    failures = Failures(3, 60, clock=clock)
    with serving(folder, token=TOKEN, failures=failures) as known:
        known.action("catalog_children")
        sealed = tickets(known.plan(known.id("cells")))
        with flight.connect(known.front.url) as connection:
            guesser = Reader(known.front, known.catalog, connection, "")
            for token in ("first-guess", "first-guess", "second-guess", "third-guess"):
                assert "Invalid or missing Bearer token" in wrong(guesser, token)
            for token in ("fourth-guess", TOKEN):
                assert "Too many wrong tokens came from this address. Wait 60 seconds" in wrong(guesser, token)
            with pytest.raises(flight.FlightUnauthenticatedError) as caught:
                stranger(guesser, TOKEN).chunk(tickets(known.plan(known.id("cells"), fields=("endpoints",)))[0])
            assert json.loads(caught.value.extra_info) == {"code": "UNAUTHENTICATED", "reason": "too_many_tokens"}
            assert json.loads(guesser.action("health")[0])["status"] == "SERVING"
            assert np.array_equal(guesser.chunk(sealed[0]), PIXELS), "a seal is no guess"
            assert known.action("catalog_children"), "whoever was in stays in"
            clock.now += 60
            assert stranger(guesser, TOKEN).action("catalog_children")
    assert failures.wait_s("127.0.0.1") == 0


def test_who_guesses_on_a_connection_loses_it(folder: Path) -> None:
    with serving(folder, token=TOKEN, failures=Failures(2, 60, clock=Clock())) as known:
        known.action("catalog_children")
        for token in ("first-guess", "second-guess"):
            wrong(known, token)
        assert "Too many wrong tokens" in wrong(known, TOKEN)


def test_wrong_tokens_of_both_protocols_count_together(folder: Path) -> None:
    server = Server(folder, Settings(port=0, flight_port=0, token=TOKEN))
    server.start_background()
    try:
        for i in range(10):
            headers = {"authorization": f"Bearer wrong-{i}"}
            with refused_with(401):
                urllib.request.urlopen(urllib.request.Request(f"{server.url}/api/sources", headers=headers))
        with flight.connect(server.flight_url) as connection:
            options = flight.FlightCallOptions(headers=[(b"authorization", f"Bearer {TOKEN}".encode())])
            action = flight.Action("catalog_children", b"")
            with pytest.raises(flight.FlightUnauthenticatedError) as caught:
                list(connection.do_action(action, options))
        assert TOO_MANY in str(caught.value)
        with pytest.raises(Forbidden, match=TOO_MANY):
            connect(server.flight_url, TOKEN).query("SELECT 1")
    finally:
        server.stop()


def test_behind_a_proxy_each_client_has_its_own_address(folder: Path) -> None:
    proxies = Proxies(["127.0.0.1"])
    with serving(folder, token=TOKEN, failures=Failures(2, 60, clock=Clock()), proxies=proxies) as known:

        def ask(token: str, *passed: str) -> Any:
            headers = [(b"authorization", f"Bearer {token}".encode())]
            headers += [(b"x-forwarded-for", one.encode()) for one in passed]
            action = flight.Action("catalog_children", b"")
            return list(known.connection.do_action(action, flight.FlightCallOptions(headers=headers)))

        for i in range(3):
            with pytest.raises(flight.FlightUnauthenticatedError):
                ask(f"guess-{i}", f"192.0.2.{i}, 198.51.100.7")
        with pytest.raises(flight.FlightUnauthenticatedError, match="Too many wrong tokens"):
            ask(TOKEN, "198.51.100.7")
        assert ask(TOKEN, "198.51.100.8")
        assert ask(TOKEN)


@pytest.mark.parametrize(
    ("peer", "address"),
    [("ipv4:127.0.0.1:41234", "127.0.0.1"), ("ipv6:[::1]:41234", "::1"), ("ipv6:%5B::1%5D:41234", "::1"),
     ("ipv6:%5Bfe80::1%25eth0%5D:1", "fe80::1%eth0"), ("unix:", "unix:"), ("", "")],
)  # fmt: skip
def test_addresses_of_peers(peer: str, address: str) -> None:
    assert address_of(peer) == address


# -- seals -------------------------------------------------------------------------------------------------------------


def test_a_sealed_plan_is_read_without_the_token_and_nothing_else_is(guarded: Reader) -> None:
    info = guarded.plan(guarded.id("cells"), [0, 0, 0], [3, 700, 900])
    other = stranger(guarded)
    sealed = tickets(info)
    assert len(sealed) == 3
    assert np.array_equal(np.concatenate([other.chunk(t) for t in sealed]), PIXELS[:3])
    stub = TensorTicket.FromString(TensorDescriptor.FromString(info.descriptor.command).ticket_stub)
    for change in (
        lambda t: t.chunk_ref.stub.grant.window_stop.__setitem__(0, 6),
        lambda t: setattr(t.chunk_ref.stub.grant, "expires_at", 0),
        lambda t: setattr(t.chunk_ref.stub.grant, "seal", bytes(16)),
        lambda t: setattr(t.chunk_ref.stub.grant, "seal", b""),
        lambda t: setattr(t.chunk_ref.stub, "identity", t.chunk_ref.stub.identity[:-1] + b"z"),
        lambda t: t.chunk_ref.index.__setitem__(0, 3),
        lambda t: t.chunk_ref.index.append(0),
        lambda t: t.chunk_ref.ClearField("index"),
    ):
        forged = TensorTicket.FromString(stub.SerializeToString())
        forged.chunk_ref.index.extend([0, 0, 0])
        change(forged)
        with pytest.raises(flight.FlightUnauthenticatedError, match="Ticket seal is invalid, expired, or does not"):
            other.chunk(forged.SerializeToString())


def test_a_seal_ends_with_its_time_and_with_the_token(folder: Path) -> None:
    seals = Seals(lambda: ("one",), lambda: b"k" * 32)
    parts = (b"plan", (0, 0), (3, 4))
    seal = seals.of_chunks(*parts, 0)
    now = int(time.time())
    assert seals.covers(seal, *parts, 0, (2, 3))
    assert not seals.covers(seal, *parts, 0, (3, 3))
    assert not Seals(lambda: ("two",), lambda: b"k" * 32).covers(seal, *parts, 0, (2, 3))
    assert not seals.covers(seals.of_chunks(*parts, now - 1), *parts, now - 1, (0, 0))
    assert seals.covers(seals.of_chunks(*parts, now + 60), *parts, now + 60, (0, 0))


def test_the_key_is_its_owners_and_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COVERSLIP_STATE_DIR", str(tmp_path / "state"))
    key = kept_key()
    file = tmp_path / "state" / KEY_FILE
    assert kept_key() == key
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [f.name for f in file.parent.iterdir()] == [KEY_FILE]
    file.chmod(0o644)  # others may have read it
    assert kept_key() != key
    file.write_bytes(b"short")
    assert len(kept_key()) == 32
    monkeypatch.setenv("COVERSLIP_STATE_DIR", "/dev/null/nowhere")
    assert len(kept_key()) == 32


# -- sockets -----------------------------------------------------------------------------------------------------------


def test_a_busy_port_and_a_foreign_address_are_told(folder: Path) -> None:
    catalog = catalog_of([folder])
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        busy, none = "Choose another port", "Name an address of this machine"
        for host, port, hint in (
            ("127.0.0.1", other.getsockname()[1], busy), ("192.0.2.7", 0, none), ("no.such.host.invalid", 0, none)
        ):  # fmt: skip
            front = FlightFront(catalog, images_of, "1", host, port, None)
            with pytest.raises(CannotListen, match=f"cannot listen on {host}.*{hint}"):
                front.start()
            front.close()


def test_what_is_not_installed_is_told(folder: Path) -> None:
    program = (
        "import sys, importlib.util as u; real = u.find_spec\n"
        "u.find_spec = lambda n, *a: None if n in ('pyarrow', 'biopb') else real(n, *a)\n"
        "from coverslip.fronts.flight.front import FlightFront\n"
        "assert not {'pyarrow', 'biopb', 'google.protobuf'} & set(sys.modules), 'imported'\n"
        "try: FlightFront(None, None, '1', '127.0.0.1', 0, None)\n"
        "except Exception as error: print(type(error).__name__, error)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    told = "Unsupported Arrow Flight needs pyarrow and biopb. Install it: pip install 'coverslip[flight]'."
    assert done.stdout.strip() == told


def test_the_server_ends_although_a_client_takes_nothing(folder: Path) -> None:
    program = f"""
import sys, threading, time
sys.path[:0] = {sys.path!r}
from pathlib import Path
import numpy as np
from pyarrow import flight
from flight_reading import serving, tickets
np.save("{folder}/large.npy", np.zeros((40, 1 << 20), np.uint8))
with serving(Path("{folder}")) as reader:
    started = []
    for _ in range(2):  # enough to fill every buffer on the way
        other = flight.connect(reader.front.url)
        started.append(other.do_get(flight.Ticket(tickets(reader.plan(reader.id("large")))[0])))
    time.sleep(0.3)
    began = time.monotonic()
    reader.front.close()
    print(time.monotonic() - began)
    reader.front.close()
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    (folder / "large.npy").unlink()
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) < 20  # by itself it would wait for ever


def test_a_server_can_be_started_where_another_ended(folder: Path) -> None:
    with serving(folder) as first:
        port = first.front.port
        assert np.array_equal(first.read(first.id("cells"), [0, 0, 0], [1, 9, 9]), PIXELS[:1, :9, :9])
    catalog = catalog_of([folder])
    catalog.start()
    front = FlightFront(catalog, images_of, "1", "127.0.0.1", port, None)
    front.start()
    try:
        assert front.port == port
        with flight.connect(front.url) as connection:
            Reader(front, catalog, connection).action("health")
    finally:
        front.close()
        catalog.close()


# -- bounds ------------------------------------------------------------------------------------------------------------


def test_bytes_in_flight_are_bounded_and_given_back() -> None:
    budget = Budget(1000, wait_s=0.3)
    with budget.turn(900, HERE) as turn:
        kept: Any = np.ones(900, "u1")
        turn.keep(kept)
    assert budget.held == 900
    with pytest.raises(Unavailable), budget.turn(200, HERE):
        pass
    later = budget.turn(200, HERE)
    waiting = threading.Thread(target=later.__enter__)
    waiting.start()
    assert kept.all()
    del kept
    waiting.join(60)
    assert budget.held == 200
    with pytest.raises(ZeroDivisionError), budget.turn(300, HERE):
        _ = 1 / 0
    assert budget.held == 200
    budget.close()


def test_a_client_that_takes_nothing_is_hung_up_on_when_others_wait(folder: Path) -> None:
    np.save(folder / "large.npy", np.ones((40, 1 << 20), np.uint8))
    narrow = FlightOptions(small_bytes=64 << 20, inflight_bytes=50 << 20, wait_s=4.0)
    with serving(folder, options=narrow) as reader:
        ticket = tickets(reader.plan(reader.id("large")))[0]
        with flight.connect(reader.front.url) as other:
            stuck = other.do_get(flight.Ticket(ticket))
            assert reader.chunk(ticket).shape == (40, 1 << 20)
            with pytest.raises(flight.FlightError):
                stuck.read_all()
    (folder / "large.npy").unlink()


def test_a_client_that_went_away_waits_no_more() -> None:
    budget = Budget(100, wait_s=60)
    with budget.turn(100, HERE), pytest.raises(Exception, match="Nobody waits"):  # noqa: SIM117
        with budget.turn(100, Call(True, "gone", lambda: True)):
            pass
    budget.close()


def test_chunks_in_flight_are_forgotten_once_they_are_sent(guarded: Reader) -> None:
    plan = tickets(guarded.plan(guarded.id("cells")))
    held: list[int] = []
    for ticket in plan:
        guarded.chunk(ticket)
    budget = guarded.front.registry.reads["chunk_ref"][1].__self__._budget  # type: ignore[attr-defined]
    end = time.monotonic() + 10
    while budget.held and time.monotonic() < end:
        time.sleep(0.01)
        held.append(budget.held)
    assert budget.held == 0, held
