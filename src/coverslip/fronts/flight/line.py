"""Who is next: clients take turns, and so do the connections of one client.

A client is an address; behind a proxy that is believed, the address it speaks for. A connection is none: pyarrow's
clients open one for each of their threads or processes, and a program with sixteen of them would have sixteen turns.
Many people may have one address all the same (a hub of notebooks, an ssh tunnel): therefore connections of one address
take turns among themselves, and whoever has one waits for one read of each other, not for all of them.
"""

from __future__ import annotations

import time
from collections import OrderedDict, deque
from collections.abc import Iterator
from dataclasses import dataclass, field


@dataclass(eq=False)
class Place:
    """One read: waiting, or under way.

    Attributes
    ----------
    client, connection
        Whose it is.
    size
        Bytes that it holds, from its decoder to the client.
    decoding
        Whether it uses the processor now, or will.
    """

    client: str
    connection: str
    size: int
    decoding: bool = True


@dataclass(eq=False)
class Part:
    """What a client, or a connection of it, has of what there is."""

    bytes: int = 0
    reads: int = 0

    def add(self, place: Place, sign: int = 1) -> None:
        """Have more, or less."""
        self.bytes += sign * place.size
        self.reads += sign * place.decoding

    @property
    def idle(self) -> bool:
        """Whether nothing is under way."""
        return not self.bytes and not self.reads


@dataclass(eq=False)
class Connection(Part):
    """One connection."""

    waiting: deque[Place] = field(default_factory=deque)
    served_s: float = 0.0


@dataclass(eq=False)
class Client(Part):
    """One client."""

    connections: OrderedDict[str, Connection] = field(default_factory=OrderedDict)

    @property
    def waits(self) -> bool:
        """Whether anything of it waits."""
        return any(connection.waiting for connection in self.connections.values())


class Line:
    """Reads that wait, in the order in which they are to go on: not safe from several threads.

    The next is that of the client who has the smallest share of what there is, of bytes or of threads, whichever is
    larger; among its connections likewise; and among equals that of whoever was served longest ago. Who has little
    is therefore before who has much, and nobody waits for ever.

    Source: Ghodsi et al., "Dominant Resource Fairness", NSDI 2011.

    Parameters
    ----------
    most_bytes, most_reads
        All there is: shares are parts of it.
    """

    def __init__(self, most_bytes: int, most_reads: int) -> None:
        self._most_bytes, self._most_reads = most_bytes, most_reads
        self._clients: OrderedDict[str, Client] = OrderedDict()

    def share(self, part: Part) -> float:
        """How much of what there is; 1 = all."""
        return max(part.bytes / self._most_bytes, part.reads / self._most_reads)

    def join(self, place: Place) -> None:
        """Wait."""
        client = self._clients.setdefault(place.client, Client())
        client.connections.setdefault(place.connection, Connection()).waiting.append(place)

    def leave(self, place: Place) -> bool:
        """Wait no more; False when it did not."""
        client = self._clients.get(place.client)
        connection = client.connections.get(place.connection) if client is not None else None
        if connection is None or place not in connection.waiting:
            return False
        connection.waiting.remove(place)
        self._tidy(place)
        return True

    def order(self) -> Iterator[Place]:
        """One read of each client, who is next first."""
        waiting = [client for client in self._clients.values() if client.waits]
        for client in sorted(waiting, key=self.share):
            yield min((c for c in client.connections.values() if c.waiting), key=self.share).waiting[0]

    def newcomer(self, place: Place) -> bool:
        """Whether nothing of its client is under way."""
        return self._clients[place.client].idle

    def begin(self, place: Place) -> None:
        """It waits no more, and is under way: others of equal share are before its client now."""
        client = self._clients[place.client]
        connection = client.connections[place.connection]
        connection.waiting.remove(place)
        for part in (client, connection):
            part.add(place)
        self._clients.move_to_end(place.client)
        client.connections.move_to_end(place.connection)
        connection.served_s = time.monotonic()

    def served_s(self, place: Place) -> float:
        """When a read of the connection of one that waits went on last; 0 when none did of late."""
        return self._clients[place.client].connections[place.connection].served_s

    def decoded(self, place: Place) -> None:
        """It uses the processor no more."""
        if place.decoding:
            client = self._clients[place.client]
            place.decoding = False
            client.reads -= 1
            client.connections[place.connection].reads -= 1

    def end(self, place: Place) -> None:
        """It is over."""
        client = self._clients[place.client]
        for part in (client, client.connections[place.connection]):
            part.add(place, -1)
        self._tidy(place)

    def _tidy(self, place: Place) -> None:
        """Forget who has nothing and waits for nothing."""
        client = self._clients[place.client]
        connection = client.connections[place.connection]
        if connection.idle and not connection.waiting:
            del client.connections[place.connection]
        if not client.connections:
            del self._clients[place.client]

    def __len__(self) -> int:
        return sum(len(c.waiting) for client in self._clients.values() for c in client.connections.values())
