"""The one way in which the client talks to a server, and which protocol does it."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING, Any, Protocol

from coverslip.client.address import Address, Target
from coverslip.client.tls import SYSTEM, Trust
from coverslip.core.errors import Unsupported

if TYPE_CHECKING:
    import numpy.typing as npt

    from coverslip.client.model import Description, Entry, Health, Rows

Index = tuple[int, ...]


class Transport(Protocol):
    """A server, asked in one protocol. Safe to use from several threads."""

    @property
    def address(self) -> Address:
        """Where the server is."""

    def health(self) -> Health:
        """How the server is; needs no token.

        Raises
        ------
        CannotConnect
            When it does not answer, or speaks another protocol or version.
        """

    def check_token(self) -> None:
        """Raise `WrongToken` when the server does not take our token."""

    def count(self, search: str = "") -> int:
        """How many sources there are, or are found by ``search``."""

    def page(self, offset: int, limit: int, search: str = "") -> list[Entry]:
        """Some sources, in a fixed order."""

    def everything(self) -> list[Entry]:
        """All sources, in one question where that is possible."""

    def source(self, id: str) -> Entry | None:
        """One source, or None when there is none of this id."""

    def metadata(self, id: str) -> Any:
        """The file's own metadata; None when there is none."""

    def sql(self, query: str) -> Rows:
        """Rows that DuckDB finds in the table ``sources``."""

    def describe(self, array_id: str) -> Description:
        """What an image is."""

    def read(
        self, image: Description, level: int, start: Index, stop: Index, out: npt.NDArray[Any] | None = None
    ) -> npt.NDArray[Any]:
        """The box from ``start`` to ``stop`` of a level, in ``out`` where it is given; else not to be written to."""

    def cancel(self) -> None:
        """End what is being read."""

    def close(self) -> None:
        """Let go of all connections."""


def open_transport(target: Target, trust: Trust = SYSTEM) -> Transport:
    """A transport of the protocol that the address names; asks nothing yet.

    Raises
    ------
    Unsupported
        When the packages that Arrow Flight needs are not installed.
    """
    if not target.address.flight:
        from coverslip.client.http import HttpTransport

        return HttpTransport(target, trust)
    try:
        from importlib.util import find_spec

        from coverslip.client.flight import FlightTransport

        if find_spec("biopb") is None:
            raise ImportError("biopb")
    except ImportError as error:
        raise Unsupported(
            f"{target.address} speaks Arrow Flight, and that needs pyarrow and biopb",
            "pip install 'coverslip[flight]', or use the server's http:// address.",
            "library_missing",
        ) from error
    return FlightTransport(target, trust)


_shared: dict[tuple[int, str, str | None, Trust], Transport] = {}
_lock = threading.Lock()


def shared_transport(target: Target, trust: Trust) -> Transport:
    """The transport of this process for images that came from another one: opened once for all of them."""
    key = (os.getpid(), target.address.url, target.token, trust)
    with _lock:
        if key not in _shared:
            _shared[key] = open_transport(target, trust)
        return _shared[key]
