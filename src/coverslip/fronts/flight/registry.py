"""What the Flight server answers, by name. Every part of this front adds its own (`coverslip.fronts.flight.parts`).

Names are those of the wire: types of actions, the arms of ``TensorTicket`` for reads and of ``PutCommand`` for writes.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from coverslip.core.stop import Stop
from coverslip.engine.failures import CODE, refusal

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet

    from coverslip.fronts.flight.region import Region
    from coverslip.fronts.flight.tensors import Tensor

Gate = Literal["open", "token", "write", "sealed"]
"""Who may call: anybody; who shows the server's token; the same, on a server that may be written to; or who shows the
token or a seal, which the work looks at itself (`Call.require`)."""


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a client.

    Attributes
    ----------
    authorized
        Whether it showed the server's token, or the server asks for none.
    peer
        Where it comes from, as gRPC writes it: ``ipv4:127.0.0.1:41234``.
    cancelled
        Whether the client has gone.
    wait_s
        Seconds until a token is looked at again, because too many wrong ones came from there; 0 = now.
    reads_only
        Whether its token is one for reading.
    client
        The address that a proxy speaks for, which is believed; empty where there is none.
    """

    authorized: bool
    peer: str
    cancelled: Callable[[], bool]
    wait_s: int = 0
    reads_only: bool = False
    client: str = ""

    def require(self) -> None:
        """Raise `coverslip.fronts.flight.errors.Unauthenticated` unless the token was shown."""
        if not self.authorized:
            from coverslip.fronts.flight.errors import Unauthenticated

            if self.wait_s:
                raise Unauthenticated(*refusal(self.wait_s), CODE)
            raise Unauthenticated("Invalid or missing Bearer token")

    def stop(self) -> Stop:
        """Ends work when the client has gone."""
        return _CallStop(self)


LOOK_S = 0.02
"""How often gRPC is asked whether the client has gone: the question takes as long as a small read."""


class _CallStop(Stop):
    def __init__(self, call: Call) -> None:
        super().__init__()
        self._call = call
        self._next_s = time.monotonic() + LOOK_S

    def check(self) -> None:
        now = time.monotonic()
        if now >= self._next_s:
            self._next_s = now + LOOK_S
            if self._call.cancelled():
                self.set()
        super().check()


ActionWork = Callable[[bytes, Call], Iterator[bytes]]
"""Body of the action in, bodies of its results out; a ``Stop`` belongs between long steps."""
ReadWork = Callable[[Any, Call], Any]
"""A parsed ``TensorTicket`` in, a ``pyarrow.flight.FlightDataStream`` out."""
PutWork = Callable[[Any, Any, Any, Call], None]
"""A parsed ``PutCommand``, a ``MetadataRecordBatchReader`` and a ``FlightMetadataWriter`` in."""
Find = Callable[[str], "Tensor | None"]
"""A tensor of this ``array_id`` that is in no source of the catalog, or None."""
Describe = Callable[[Any, "Tensor", "AbstractSet[str]", Call], None]
"""Fills further fields of a ``TensorDescriptor``; the set holds the optional parts that were asked for."""
Permit = Callable[["Tensor"], None]
"""Raises when pixels of a tensor may not be read (yet); a plan of them may be made, for an upload is planned too."""
TableRows = Callable[[], list[dict[str, Any]]]
"""Rows of a table that SQL may ask for."""


@dataclass
class Registry:
    """Everything that is answered.

    Attributes
    ----------
    actions, reads, puts
        Work and its gate by name.
    finders, describers, permits
        Asked in order: `finders` and `describers` for every plan, `permits` for every read of pixels.
    tables
        Rows of the tables of SQL, ``sources`` excepted, by name.
    """

    actions: dict[str, tuple[Gate, ActionWork]] = field(default_factory=dict)
    reads: dict[str, tuple[Gate, ReadWork]] = field(default_factory=dict)
    puts: dict[str, tuple[Gate, PutWork]] = field(default_factory=dict)
    finders: list[Find] = field(default_factory=list)
    describers: list[Describe] = field(default_factory=list)
    permits: list[Permit] = field(default_factory=list)
    tables: dict[str, TableRows] = field(default_factory=dict)
    stats: list[Callable[[], dict[str, Any]]] = field(default_factory=list)
    """Keys of ``cache_stats``."""
    planned: Callable[[Tensor, Region, Call], None] = lambda tensor, region, call: None
    """Told of every plan with endpoints, before it is made."""
    pixels: Callable[[Any, Call], tuple[str, Any]] | None = None
    """Of a parsed ``TensorTicket`` of a chunk: the ``array_id``, and the elements; for fronts that are not Flight."""
    hang_up: Callable[[str], None] = lambda peer: None
    """Ends the connection of a peer (`Call.peer`)."""
    closers: list[Callable[[], None]] = field(default_factory=list)
    """Called when the server ends."""

    def action(self, name: str, work: ActionWork, gate: Gate = "token") -> None:
        """Answer ``DoAction`` of this type."""
        self.actions[name] = (gate, work)

    def read(self, arm: str, work: ReadWork, gate: Gate = "token") -> None:
        """Answer ``DoGet`` of tickets with this arm set."""
        self.reads[arm] = (gate, work)

    def put(self, arm: str, work: PutWork, gate: Gate = "write") -> None:
        """Answer ``DoPut`` of commands with this arm set."""
        self.puts[arm] = (gate, work)
