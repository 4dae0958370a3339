"""A file that is elsewhere and is read by ranges of bytes, and formats that read it so."""

from __future__ import annotations

from typing import IO, Protocol, runtime_checkable

from coverslip.core.node import Source


@runtime_checkable
class Ranges(Protocol):
    """One file that lies on another machine; safe from any thread. Its text is an address without secrets."""

    name: str
    """Its file name."""
    stem: str
    """The same without its suffix."""
    size: int
    """In bytes."""
    etag: str
    """Another one whenever a byte of it changed; holds no character outside ``[0-9a-z-]``."""
    modified_s: float
    """When it last changed, in seconds since 1970 (UTC); 0 when nobody knows."""

    def read(self, offset: int, length: int) -> bytes:
        """Exactly ``length`` bytes from ``offset`` on; `Damaged` when there are fewer or the file was changed."""

    def read_into(self, offset: int, target: memoryview) -> None:
        """Fill ``target`` with the bytes from ``offset`` on."""

    def open(self) -> IO[bytes]:
        """The same as a file object with a position of its own."""

    def fresh(self) -> bool:
        """Whether it is still the file whose size and etag these are."""

    def close(self) -> None:
        """Forget what was kept of it."""


@runtime_checkable
class RangedFormat(Protocol):
    """A format that reads only what it needs of a file elsewhere; others get a copy of the whole file."""

    def open_ranges(self, file: Ranges) -> Source:
        """As `coverslip.core.format.Format.open`."""
