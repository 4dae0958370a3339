"""The Flight server itself: from calls of gRPC to what the registry holds."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any

from biopb.tensor.descriptor_pb2 import FlightRequest
from biopb.tensor.ticket_pb2 import PutCommand, TensorTicket
from pyarrow import flight

from coverslip.core.errors import BadRequest, Stopped, Unsupported
from coverslip.core.idle import ASKED
from coverslip.engine.keys import Keys
from coverslip.fronts.flight.errors import Unauthenticated, parsed, telling, told
from coverslip.fronts.flight.guesses import Guesses
from coverslip.fronts.flight.registry import Call, Gate, Registry
from coverslip.fronts.scopes import check_flight

AUTH = "authorization"
BEARER = "bearer "
FOR = "x-forwarded-for"
MOST_TICKET = 1 << 20
MOST_BODY = 16 << 20


class Shown(flight.ServerMiddleware):  # type: ignore[misc]
    """What one call showed as its token, if anything, and whether it may pass with it."""

    def __init__(
        self, authorized: bool, token: str | None = None, passed: Sequence[str] = (), reads_only: bool = False
    ) -> None:
        self.authorized = authorized
        self.reads_only = reads_only
        self.token = token
        self.passed = passed


class Doorkeeper(flight.ServerMiddlewareFactory):  # type: ignore[misc]
    """Looks at the token of every call; what it means is decided by what is called."""

    def __init__(self, keys: Keys) -> None:
        super().__init__()
        self._keys = keys
        self._open, self._closed = Shown(True), Shown(False)

    def start_call(self, info: Any, headers: Mapping[str, list[str]]) -> Shown:
        """Compare in constant time; links to one source open nothing here."""
        passed = headers.get(FOR) or ()
        if not self._keys.needed:
            return Shown(True, passed=passed) if passed else self._open
        shown = headers.get(AUTH) or headers.get("Authorization") or [""]
        text = shown[0] if isinstance(shown[0], str) else ""
        if text[: len(BEARER)].lower() != BEARER:
            return Shown(False, passed=passed) if passed else self._closed
        own = text[len(BEARER) :].strip()
        right = self._keys.right_of(own)
        scope = right.scope if right is not None else "share"
        return Shown(scope != "share", own, passed, scope == "read")


class Service(flight.FlightServerBase):  # type: ignore[misc]
    """Answers calls from the registry; every error leaves as one that clients understand.

    Parameters
    ----------
    location
        ``grpc://host:port`` or ``grpc+tls://host:port``.
    registry
        What is answered.
    plans
        ``plan(option, call)`` and ``table(path, call)`` answer ``GetFlightInfo``, ``tables(call)`` ``ListFlights``.
    keys
        What calls must show.
    writable
        Whether the gate ``write`` is open to those who show it.
    tls
        Certificate chain and key as PEM, or None.
    guesses
        Holds up who tries many tokens.
    """

    def __init__(
        self,
        location: str,
        registry: Registry,
        plans: Any,
        keys: Keys,
        writable: bool,
        tls: tuple[bytes, bytes] | None,
        guesses: Guesses,
    ) -> None:
        self._registry = registry
        self._guesses = guesses
        self._plans = plans
        self._writable = writable
        self.closing = False
        super().__init__(location, tls_certificates=[tls] if tls else None, middleware={"token": Doorkeeper(keys)})

    def _call(self, context: Any) -> Call:
        if self.closing:
            raise Stopped("The server is ending")
        ASKED.now()
        shown, peer = context.get_middleware("token"), context.peer()
        wait_s = self._guesses.judge(peer, shown.token, shown.authorized, shown.passed) if shown.token else 0
        client = self._guesses.speaks_for(peer, shown.passed) if shown.passed else ""
        return Call(
            shown.authorized and not wait_s, peer, lambda: self._gone(context), wait_s, shown.reads_only, client
        )

    def _gone(self, context: Any) -> bool:
        return self.closing or context.is_cancelled()

    def _pass(self, gate: Gate, call: Call, name: str) -> None:
        if gate in ("token", "write"):
            call.require()
        if call.reads_only:
            check_flight(name)
        if gate == "write" and not self._writable:
            raise Unauthenticated("Server not in write mode")

    def get_flight_info(self, context: Any, descriptor: Any) -> Any:
        """A plan to read a tensor, or a table of SQL."""
        with told():
            call = self._call(context)
            if descriptor.descriptor_type == flight.DescriptorType.PATH:
                call.require()
                return self._plans.table([_text(part) for part in descriptor.path or ()])
            command = descriptor.command or b""
            if len(command) > MOST_TICKET:
                raise BadRequest(f"The request is over {MOST_TICKET:,} bytes", "", "too_large")
            request = parsed(FlightRequest, command, "FlightRequest")
            if request.WhichOneof("request") is None:
                raise BadRequest("The request asks for nothing", "Set tensor_read.", "malformed")
            return self._plans.plan(request.tensor_read, call)

    def get_schema(self, context: Any, descriptor: Any) -> Any:
        """The schema that `get_flight_info` tells."""
        info = self.get_flight_info(context, descriptor)
        return flight.SchemaResult(info.schema)

    def list_flights(self, context: Any, criteria: bytes) -> Iterator[Any]:
        """One for each table of SQL."""
        with told():
            self._call(context).require()
            return telling(iter(self._plans.tables()))

    def do_get(self, context: Any, ticket: Any) -> Any:
        """Pixels, rows of SQL, annotations."""
        with told():
            call = self._call(context)
            data = ticket.ticket
            if len(data) > MOST_TICKET:
                raise BadRequest(f"The ticket is over {MOST_TICKET:,} bytes", "", "too_large")
            message = parsed(TensorTicket, data, "TensorTicket")
            arm = message.WhichOneof("payload")
            if arm not in self._registry.reads:
                raise BadRequest("The ticket asks for nothing that is read here", "", "malformed")
            gate, work = self._registry.reads[arm]
            self._pass(gate, call, arm)
            return work(message, call)

    def do_put(self, context: Any, descriptor: Any, reader: Any, writer: Any) -> None:
        """Writes."""
        with told():
            call = self._call(context)
            command = descriptor.command or b""
            if len(command) > MOST_TICKET:
                raise BadRequest(f"The command is over {MOST_TICKET:,} bytes", "", "too_large")
            message = parsed(PutCommand, command, "PutCommand")
            arm = message.WhichOneof("command")
            if arm not in self._registry.puts:
                call.require()
                raise BadRequest("The command writes nothing that is written here", "", "malformed")
            gate, work = self._registry.puts[arm]
            self._pass(gate, call, arm)
            work(message, reader, writer, call)

    def do_exchange(self, context: Any, descriptor: Any, reader: Any, writer: Any) -> None:
        """Nothing of the protocol uses it; pyarrow's own refusal would show a traceback."""
        with told():
            raise Unsupported("DoExchange is not answered here", "Read by DoGet, write by DoPut.")

    def do_action(self, context: Any, action: Any) -> Iterable[bytes]:
        """Everything else; the first result is made before this returns, so that errors of the gate come at once."""
        with told():
            call = self._call(context)
            if action.type not in self._registry.actions:
                raise flight.FlightServerError(f"Unknown action: {action.type[:200]}")
            gate, work = self._registry.actions[action.type]
            self._pass(gate, call, action.type)
            body = action.body.to_pybytes() if action.body is not None else b""
            if len(body) > MOST_BODY:
                raise BadRequest(f"The body is over {MOST_BODY:,} bytes", "", "too_large")
            results = work(body, call)
            first = next(results, None)
            return iter(()) if first is None else telling(chain((first,), results))

    def list_actions(self, context: Any) -> list[tuple[str, str]]:
        """Names of all actions."""
        with told():
            self._call(context)
            return [(name, "") for name in sorted(self._registry.actions)]


def _text(part: bytes | str) -> str:
    return part.decode("utf-8", "replace") if isinstance(part, bytes) else part
