"""Extras that a node may offer beside `coverslip.core.node`; code that wants one asks for it and works without it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, cast, runtime_checkable

from coverslip.core.node import Array


@dataclass(frozen=True, slots=True)
class ChunkLayout:
    """How the chunks of an array are stored, in the words of Zarr v3 (core specification, section 3.1).

    Attributes
    ----------
    chunk_shape
        Elements of one stored chunk; chunks at the edges are stored whole. A shard is one chunk.
    data_type
        Zarr v3's name of the dtype: ``uint16``.
    codecs
        As ``zarr.json`` lists them: what turns the elements into the stored bytes, first to last.
    fill_value
        As ``zarr.json`` writes it: the value of every element of a chunk that is not stored.
    """

    chunk_shape: tuple[int, ...]
    data_type: str
    codecs: Sequence[Mapping[str, Any]]
    fill_value: Any


@runtime_checkable
class RawChunks(Protocol):
    """An array whose stored chunks can be handed out without being decoded."""

    @property
    def layout(self) -> ChunkLayout | None:
        """How chunks are stored; None when Zarr v3 has no words for it (then no chunk is given out)."""

    def stored_size(self, index: tuple[int, ...]) -> int | None:
        """Bytes of a stored chunk; None when it is not stored."""

    def stored_chunk(self, index: tuple[int, ...], start: int = 0, stop: int | None = None) -> bytes | None:
        """The stored bytes of a chunk, or bytes ``start`` to ``stop`` of them; None when it is not stored.

        Parameters
        ----------
        index
            Number of the chunk along each axis; `NotFound` when there is no such chunk.
        """


def raw_chunks(node: object) -> RawChunks | None:
    """``node`` when it hands out stored chunks, else None."""
    # Asked for each chunk that is sent: to look for every method of the protocol takes longer than to read a chunk.
    layout = getattr(node, "layout", None)
    return cast(RawChunks, node) if isinstance(layout, ChunkLayout) else None


@runtime_checkable
class Unlocked(Protocol):
    """An array of a library that lets one thread in at a time, and that can be read beside it."""

    def unlocked(self) -> Array:
        """The same array, read by any number of threads at once where that is possible."""


def beside_locks(array: Array) -> Array:
    """``array`` as it is read fastest by several threads."""
    return array.unlocked() if isinstance(array, Unlocked) else array


@runtime_checkable
class Packed(Protocol):
    """An array that tells how its stored bytes are compressed."""

    @property
    def packing(self) -> str | None:
        """A name that people know (``gzip``), or None when it is not."""
